"""What a runtime must offer: load a file, run a batch. Everything else is done by `networks.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]
Role = Literal["segmentation", "filters", "trunk", "flow", "head", "multimask"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a loaded network."""

    name: str
    """Its name in the file."""
    shape: tuple[int | None, ...]
    """Length of each axis; None where any length is possible."""
    dtype: str
    """NumPy name of its element type."""

    def describe(self) -> str:
        """`input float32 [?, 1, 160000]`."""
        return (
            f"{self.name} {self.dtype} [{', '.join('?' if length is None else str(length) for length in self.shape)}]"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How a network is to be run."""

    threads: int = 1
    """Threads of one inference; 1 gives the most work per core when several inferences run side by side."""

    spin: bool = False
    """Whether waiting threads keep their cores busy: a little faster alone, harmful beside other work."""


class Network(Protocol):
    """A loaded network."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One batch. Blocking. First axis of every array is the batch. Threads may call it side by side."""
        ...


class Backend(Protocol):
    """A runtime on a device."""

    name: str
    """What people call it: cpu, cuda …"""
    description: str
    """One line: which runtime and device, and why."""
    full_batches: bool
    """Whether a batch that is filled up with zeros costs less than its items one by one, as on a GPU; then exports
    with larger fixed batches are loaded too."""
    carries: bool
    """Whether what neighbouring windows share is worth carrying in the computer's memory from inference to inference,
    as on a processor; then the segmentation's first filters run once over a stream."""

    def load(self, path: Path, role: Role, options: LoadOptions, made: bytes | None = None) -> Network:
        """Load a network.

        role: what it is for; decides how exact its arithmetic must be
        made: an ONNX network that was made of the file at `path`, in place of it; only given to backends that carry
        Raises BundleCorrupt where the file is not a network that this runtime can run.
        """
        ...
