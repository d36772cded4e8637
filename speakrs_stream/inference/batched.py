"""A network in exports of some batch sizes, run with any number of items; its names, types and shapes are checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.errors import BundleCorrupt, ModelError, OutOfMemory
from speakrs_stream.inference.base import Array, Backend, LoadOptions, Network, Role
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.manifest import NetworkFile

F32 = NDArray[np.float32]
POWERS = (1, 2, 4, 8, 16, 32)
"""Batch sizes that a network for any number is run with where full batches pay."""
REMEDY = "get the bundle again, or mend its manifest.json"


@dataclass(frozen=True, slots=True)
class Part:
    """Items of one inference."""

    batch: int | None
    """Fixed batch size of the export to use; None for the one that takes any number."""
    start: int
    """First item."""
    end: int
    """One past the last item."""


def plan(items: int, batches: Sequence[int | None]) -> list[Part]:
    """How to run `items` items on exports with these fixed batch sizes (None: any number at once).

    Full batches of the largest size first; a single item that is left goes to the smallest size, more of them to the
    smallest that holds them all.
    """
    if None in batches:
        return [Part(None, 0, items)] if items else []
    sizes = sorted(size for size in batches if size is not None)
    parts = []
    start = 0
    while start < items:
        left = items - start
        size = next((size for size in sizes if size >= left), sizes[-1])
        parts.append(Part(size, start, min(items, start + size)))
        start += size
    return parts


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a network."""

    name: str
    """Its name in the file."""
    rows: int
    """Entries on the first axis for one item."""
    shape: tuple[int | None, ...]
    """Lengths of the further axes; None where any."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a network must look like."""

    inputs: tuple[Input, ...]
    """In the order of the arrays given to `Batched.run`."""
    output: str
    """Name of its output."""
    rows: int
    """Entries of the output on the first axis for one item."""
    dimensions: int
    """Axes of the output."""


class Batched:
    """A network in one or more exports of different batch sizes, as if it took any number of items."""

    def __init__(
        self,
        bundle: ModelBundle,
        files: Sequence[NetworkFile],
        role: Role,
        signature: Signature,
        backend: Backend,
        options: LoadOptions,
        made: bytes | None = None,
    ) -> None:
        """made: the network, where it was made of the one file"""
        self.path = bundle.path(files[0].file)
        self.signature = signature
        self._networks: dict[int | None, Network] = {}
        self._sizes: tuple[int | None, ...] = ()
        for file in files:
            path = bundle.path(file.file)
            network = backend.load(path, role, options, made)
            batch = checked_batch(path, network, signature, file.batch)
            self._networks.setdefault(batch, network)
        # few shapes on a GPU: each has memory and a choice of algorithms of its own
        self._sizes = POWERS if None in self._networks and backend.full_batches else tuple(self._networks)

    @property
    def batch(self) -> int | None:
        """Largest number of items that are run together; None where any is possible."""
        return None if None in self._sizes else max(size for size in self._sizes if size is not None)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Fixed batch sizes in use; empty where any is possible."""
        return tuple(size for size in self._sizes if size is not None)

    def run(self, *arrays: F32) -> Array:
        """Run any number of items; the first axis of each array holds `rows` entries per item.

        Where the device has no room for a batch, smaller ones are used from then on.

        Raises ModelError where the runtime fails or gives another shape than it promised.
        """
        items = len(arrays[0]) // self.signature.inputs[0].rows
        outputs: list[Array] = []
        done = 0
        while done < items:
            part = next(iter(plan(items - done, self._sizes)))
            part = Part(part.batch, done, done + part.end)
            try:
                outputs.append(self._part(part, arrays))
            except OutOfMemory:
                if not self._shrink(part.batch or part.end - part.start):
                    raise
            else:
                done = part.end
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def _shrink(self, size: int) -> bool:
        """Use batches below `size` from now on; whether there are any."""
        possible = POWERS if None in self._networks else self._sizes
        smaller = tuple(one for one in possible if one is not None and one < size)
        if smaller:
            self._sizes = smaller
        return bool(smaller)

    def _part(self, part: Part, arrays: Sequence[F32]) -> Array:
        size = part.end - part.start
        filling = 0 if part.batch is None else part.batch - size
        feeds = {}
        for spec, array in zip(self.signature.inputs, arrays, strict=True):
            rows = array[part.start * spec.rows : part.end * spec.rows]
            if filling:
                zeros = np.zeros((filling * spec.rows, *rows.shape[1:]), np.float32)
                rows = np.concatenate([rows, zeros])
            feeds[spec.name] = np.ascontiguousarray(rows, np.float32)
        network = self._networks[part.batch if part.batch in self._networks else None]
        output = network.run(feeds)[self.signature.output]
        expected = (size + filling) * self.signature.rows
        if output.ndim != self.signature.dimensions or len(output) != expected:
            raise ModelError(f"{self.path.name} gave shape {output.shape} for a batch of {size + filling}; {REMEDY}")
        return output[: size * self.signature.rows]


def checked_batch(path: Path, network: Network, signature: Signature, promised: int | None) -> int | None:
    """Fixed batch size of a loaded network after its names, types and shapes were found right; None for any.

    promised: batch size in the manifest; None leaves it to the file
    Raises BundleCorrupt, naming the file, what was expected and what was found.
    """
    found = {spec.name: spec for spec in network.inputs}
    shown = "; ".join(spec.describe() for spec in (*network.inputs, *network.outputs))

    def wrong(expected: str) -> BundleCorrupt:
        return BundleCorrupt(f"{path} has the wrong shape: expected {expected}, found {shown}; {REMEDY}")

    if set(found) != {spec.name for spec in signature.inputs}:
        raise wrong("inputs " + " and ".join(spec.name for spec in signature.inputs))
    if signature.output not in {spec.name for spec in network.outputs}:
        raise wrong(f"an output {signature.output}")
    batches = set()
    for spec in signature.inputs:
        tensor = found[spec.name]
        axes = ", ".join("any" if length is None else str(length) for length in spec.shape)
        if tensor.dtype != "float32" or len(tensor.shape) != len(spec.shape) + 1:
            raise wrong(f"{spec.name} float32 [batch, {axes}]")
        for length, wanted in zip(tensor.shape[1:], spec.shape, strict=True):
            if length is not None and length != wanted:
                raise wrong(f"{spec.name} float32 [batch, {axes}]")
        first = tensor.shape[0]
        if first is not None and first % spec.rows:
            raise wrong(f"a multiple of {spec.rows} on the first axis of {spec.name}")
        batches.add(None if first is None else first // spec.rows)
    batch = next((size for size in batches if size is not None), None)
    if len(batches - {None}) > 1:
        raise wrong("inputs of one batch size")
    if promised is not None and batch not in (None, promised):
        raise wrong(f"a batch of {promised}, as the manifest says")
    return promised if batch is None else batch


def expect(array: Array, shape: tuple[int | None, ...], what: str) -> None:
    """Raise ValueError where an array has another shape; None stands for any length."""
    fits = array.ndim == len(shape) and all(n in (None, have) for n, have in zip(shape, array.shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{what} must have shape ({wanted}), got {array.shape}")


def wrong_shape(path: Path, expected: tuple[int, ...], found: tuple[int, ...]) -> BundleCorrupt:
    """The refusal of a network whose output has another shape than the manifest says."""
    return BundleCorrupt(f"{path} has the wrong shape: expected {expected} for each item, found {found}; {REMEDY}")
