"""A server with made-up networks in a thread of this process, for tests that do not run an event loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal

from tests.server.rig import Rig, rig


@contextmanager
def served(folder: Path, **settings: Any) -> Iterator[Rig]:
    """The server, while the block runs. settings: see `tests.server.rig.settings`."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(rig(folder, **settings)) as found:
        yield found
