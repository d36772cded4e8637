"""Runs in an environment of its own: diart's clustering block, fed through pipes.

One message per window: the number of local speakers and of embedding dimensions, frames of the window, then frames of
speech per local speaker (int32) and embeddings (float32, NaN for none). Zero local speakers begin a new recording and
are followed by delta_new and rho_update (float32). The answer is the centroid of each local speaker, -1 for none.

diart's packages import networks, sound devices and torch when they are entered, none of which its clustering uses:
torch is named in type annotations only. So the two packages are entered without running their `__init__`, and a module
with an empty `Tensor` stands in for torch. The code that clusters is theirs, untouched.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any, BinaryIO

import numpy as np

TAU_ACTIVE = 0.6
MAX_SPEAKERS = 20


class Rows:
    """Embeddings with the three methods of a tensor that the block calls."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def detach(self) -> Rows:
        return self

    def cpu(self) -> Rows:
        return self

    def numpy(self) -> np.ndarray:
        return self._rows


def load() -> Any:
    """diart's module `blocks.clustering`."""
    found = importlib.util.find_spec("diart")
    if found is None or found.submodule_search_locations is None:
        raise SystemExit("diart is not installed in this environment")
    root = found.submodule_search_locations[0]
    for name, path in (("diart", root), ("diart.blocks", f"{root}/blocks")):
        package = types.ModuleType(name)
        package.__path__ = [path]
        sys.modules[name] = package
    torch = types.ModuleType("torch")
    torch.Tensor = Rows  # type: ignore[attr-defined]
    sys.modules["torch"] = torch
    return importlib.import_module("diart.blocks.clustering")


def read(source: BinaryIO, count: int, kind: type[np.generic]) -> np.ndarray:
    """So many numbers."""
    return np.frombuffer(source.read(count * np.dtype(kind).itemsize), kind)


def main() -> None:
    """Answer until the input ends."""
    clustering = load()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    block: Any = None
    while len(head := source.read(12)) == 12:
        local, dimension, frames = np.frombuffer(head, np.int32).tolist()
        if local == 0:
            delta_new, rho_update = read(source, 2, np.float32).tolist()
            block = clustering.OnlineSpeakerClustering(TAU_ACTIVE, rho_update, delta_new, "cosine", MAX_SPEAKERS)
            continue
        spoken = read(source, local, np.int32)
        embeddings = read(source, local * dimension, np.float32).reshape(local, dimension).astype(np.float64)
        activity = (np.arange(frames)[:, None] < spoken).astype(np.float64)
        answer = np.full(local, -1, np.int32)
        found = block.identify(types.SimpleNamespace(data=activity), Rows(embeddings))
        for here, there in zip(*found.valid_assignments(), strict=True):
            answer[here] = there
        sink.write(answer.tobytes())
        sink.flush()


if __name__ == "__main__":
    main()
