"""Linear algebra in one thread. This module must be imported, and its function called, before NumPy is imported.

The products here are small: a live stream has hundreds of them a second, of some hundred rows at most. Threads that
NumPy's library starts for the larger ones cost more than they save, and take the cores from the networks of other
streams: with two busy cores they doubled what a stream costs beside its networks, at the least.
"""

from __future__ import annotations

import os

VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""What the libraries that NumPy and SciPy are built with read when they are loaded."""


def one_thread() -> None:
    """Let linear algebra of this process, and of those it starts, have one thread, where nobody said otherwise."""
    if "OMP_NUM_THREADS" not in os.environ:  # which OpenBLAS and MKL follow, too
        for name in VARIABLES:
            os.environ.setdefault(name, "1")
