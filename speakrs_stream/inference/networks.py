"""The loaded networks of a bundle behind four methods; batch sizes are arranged and shapes checked here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.core.embedding.fbank import FBANK_PER_WINDOW
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, WINDOW
from speakrs_stream.core.powerset import LOCAL_SPEAKERS
from speakrs_stream.errors import BundleCorrupt, ConfigError, ModelError, OutOfMemory
from speakrs_stream.inference.base import Array, Backend, LoadOptions, Network, Role
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.manifest import MELS, NetworkFile

F32 = NDArray[np.float32]
CLASSES = 7
POWERS = (1, 2, 4, 8, 16, 32)
"""Batch sizes that a network for any number is run with where full batches pay."""
REMEDY = "get the bundle again, or mend its manifest.json"
Trial = Callable[[], object]


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
    ) -> None:
        self.path = bundle.path(files[0].file)
        self.signature = signature
        self._networks: dict[int | None, Network] = {}
        self._sizes: tuple[int | None, ...] = ()
        for file in files:
            path = bundle.path(file.file)
            network = backend.load(path, role, options)
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


class Networks:
    """A bundle's networks, loaded and checked. Threads may share it: nothing changes after it is made."""

    def __init__(self, bundle: ModelBundle, backend: Backend, *, threads: int = 1, spin: bool = False) -> None:
        """Load every network and run each once on a tiny input.

        threads: of one inference
        spin: whether waiting threads keep their cores busy; see `LoadOptions`

        Raises BundleCorrupt for a network of the wrong shape, naming the file, ConfigError for impossible threads.
        """
        if threads < 1:
            raise ConfigError(f"threads must be at least 1, got {threads}")
        self.bundle = bundle
        options = LoadOptions(threads=threads, spin=spin)
        segmentation, embedding = bundle.segmentation, bundle.embedding
        signature = Signature((Input(segmentation.input, 1, (1, WINDOW)),), segmentation.output, 1, 3)
        # a processor gains next to nothing from fixed batches, and 32 windows at once take a gigabyte
        larger = backend.full_batches
        files = (segmentation.main, *segmentation.variants) if larger else (segmentation.main,)
        self._segmentation = Batched(bundle, files, "segmentation", signature, backend, options)
        self._trunk: Batched | None = None
        self._flow: Batched | None = None
        self._head: Batched | None = None
        self._multimask: Batched | None = None
        if trunk := embedding.trunk:
            signature = Signature((Input(trunk.input, 1, (None, MELS)),), trunk.output, 1, 3)
            self._trunk = Batched(bundle, [trunk.main], "trunk", signature, backend, options)
            if flow := trunk.flow:
                inputs = (Input("fbank", 1, (None, MELS)), Input("context", 1, (flow.context,)))
                signature = Signature(inputs, "result", 1, 2)
                self._flow = Batched(bundle, [flow.main], "flow", signature, backend, options)
            if head := embedding.head:
                signature = Signature((Input(head.input, 1, (2 * trunk.channels,)),), head.output, 1, 2)
                self._head = Batched(bundle, [head.main], "head", signature, backend, options)
        if both := embedding.multimask:
            inputs = (
                Input(both.inputs[0], 1, (FBANK_PER_WINDOW, MELS)),
                Input(both.inputs[1], LOCAL_SPEAKERS, (FRAMES_PER_WINDOW,)),
            )
            signature = Signature(inputs, both.output, LOCAL_SPEAKERS, 2)
            files = (both.main, *both.variants) if larger else (both.main,)
            self._multimask = Batched(bundle, files, "multimask", signature, backend, options)
        self._try()
        if backend.full_batches:
            self._warm_up()

    @property
    def batches(self) -> Mapping[str, int | None]:
        """Batch size that each network runs best in; None where any number of items is possible."""
        every = {
            "segmentation": self._segmentation,
            "trunk": self._trunk,
            "flow": self._flow,
            "head": self._head,
            "multimask": self._multimask,
        }
        return {name: network.batch for name, network in every.items() if network}

    # -- inferences ------------------------------------------------------------------------------------------

    def segment(self, windows: Array) -> F32:
        """Who of three local speakers is active: windows (B, 160000) -> log-probabilities (B, 589, 7).

        Raises ModelError where a result is not finite.
        """
        _expect(windows, (None, WINDOW), "windows")
        if not len(windows):
            return np.empty((0, FRAMES_PER_WINDOW, CLASSES), np.float32)
        output = self._segmentation.run(windows[:, np.newaxis, :])
        if output.shape[1:] != (FRAMES_PER_WINDOW, CLASSES):
            raise _wrong(self._segmentation.path, (FRAMES_PER_WINDOW, CLASSES), output.shape[1:])
        if not np.isfinite(output).all():
            raise ModelError(
                f"{self._segmentation.path.name} gave values that are not finite; is the audio finite? "
                "If so, the network is damaged: get the bundle again"
            )
        return np.asarray(output, np.float32)

    def trunk(self, fbank: Array) -> F32:
        """Features of a filter bank: (B, T, 80) -> (B, T', C). Only of bundles of kind `split`."""
        trunk = self.bundle.embedding.trunk
        network = _present(self._trunk, "trunk")
        assert trunk is not None
        _expect(fbank, (None, None, MELS), "fbank")
        count = trunk.feature_count(fbank.shape[1])
        if not len(fbank) or not count:
            return np.empty((len(fbank), count, trunk.channels), np.float32)
        output = network.run(fbank)
        if output.shape[1:] != (count, trunk.channels):
            raise _wrong(network.path, (count, trunk.channels), output.shape[1:])
        return np.asarray(output, np.float32)

    def flow(self, fbank: Array, context: Array) -> F32:
        """The trunk over new audio: (B, T, 80) and (B, S) -> (B, T / stride * C + S), features and the next context.

        T is a multiple of the stride. Only of bundles whose trunk has a flow.
        """
        network = _present(self._flow, "flow")
        trunk = self.bundle.embedding.trunk
        assert trunk is not None and trunk.flow is not None
        _expect(fbank, (None, None, MELS), "fbank")
        _expect(context, (len(fbank), trunk.flow.context), "context")
        count, rest = divmod(fbank.shape[1], trunk.stride)
        if rest:
            raise ValueError(f"fbank must have a multiple of {trunk.stride} frames, got {fbank.shape[1]}")
        width = count * trunk.channels + trunk.flow.context
        if not len(fbank):
            return np.empty((0, width), np.float32)
        output = network.run(fbank, context)
        if output.shape[1:] != (width,):
            raise _wrong(network.path, (width,), output.shape[1:])
        return np.asarray(output, np.float32)

    def head(self, statistics: Array) -> F32:
        """Embeddings of pooled features: (B, 2C) -> (B, D). Only of bundles of kind `split`. NaN stays NaN."""
        trunk = self.bundle.embedding.trunk
        network = _present(self._head, "head")
        assert trunk is not None
        _expect(statistics, (None, 2 * trunk.channels), "statistics")
        dimension = self.bundle.embedding.dimension
        if not len(statistics):
            return np.empty((0, dimension), np.float32)
        output = network.run(statistics)
        if output.shape[1:] != (dimension,):
            raise _wrong(network.path, (dimension,), output.shape[1:])
        return np.asarray(output, np.float32)

    def multimask(self, fbank: Array, masks: Array) -> F32:
        """Embeddings of local speakers: (B, 998, 80), (B, 3, 589) -> (B, 3, D). Only of kind `multimask`.

        A speaker without a frame in its mask gets a meaningless vector or NaN.
        """
        network = _present(self._multimask, "multimask")
        _expect(fbank, (None, FBANK_PER_WINDOW, MELS), "fbank")
        _expect(masks, (len(fbank), LOCAL_SPEAKERS, FRAMES_PER_WINDOW), "masks")
        dimension = self.bundle.embedding.dimension
        if not len(fbank):
            return np.empty((0, LOCAL_SPEAKERS, dimension), np.float32)
        output = network.run(fbank, masks.reshape(-1, FRAMES_PER_WINDOW))
        if output.shape[1:] != (dimension,):
            raise _wrong(network.path, (dimension,), output.shape[1:])
        return np.asarray(output, np.float32).reshape(-1, LOCAL_SPEAKERS, dimension)

    # -- first run -------------------------------------------------------------------------------------------

    def _try(self) -> None:
        """Run every network once: shapes that metadata leave open show only then, and later runs are faster."""
        for network, run in self._trials():
            try:
                run()
            except ModelError as error:
                if isinstance(error, BundleCorrupt):
                    raise
                raise BundleCorrupt(f"{network.path} does not work: {error}") from error

    def _warm_up(self) -> None:
        """Run every batch size once with the shapes of a window: a GPU makes room and chooses algorithms then."""
        for size in self._segmentation.sizes:
            self.segment(np.zeros((size, WINDOW), np.float32))
        if self._multimask:
            masks = (LOCAL_SPEAKERS, FRAMES_PER_WINDOW)
            for size in self._multimask.sizes:
                self.multimask(
                    np.zeros((size, FBANK_PER_WINDOW, MELS), np.float32), np.ones((size, *masks), np.float32)
                )
        if self._head and (trunk := self.bundle.embedding.trunk):
            for size in self._head.sizes:
                self.head(np.zeros((size, 2 * trunk.channels), np.float32))

    def _trials(self) -> Iterator[tuple[Batched, Trial]]:
        def items(network: Batched) -> int:
            return 2 if network.batch is None else 1  # two show an axis that only pretends to be free

        segmentation = self._segmentation
        yield segmentation, lambda: self.segment(np.zeros((items(segmentation), WINDOW), np.float32))
        if trunk := self._trunk:
            spec = self.bundle.embedding.trunk
            assert spec is not None
            length = (1 if spec.padded else spec.receptive_field) + 3 * spec.stride + 1
            yield trunk, lambda: self.trunk(np.zeros((items(trunk), length, MELS), np.float32))
        if flow := self._flow:
            spec = self.bundle.embedding.trunk
            assert spec is not None and spec.flow is not None
            rows = np.zeros((items(flow), 4 * spec.stride, MELS), np.float32)
            context = np.zeros((items(flow), spec.flow.context), np.float32)
            yield flow, lambda: self.flow(rows, context)
        if (head := self._head) and (spec := self.bundle.embedding.trunk):
            width = 2 * spec.channels
            yield head, lambda: self.head(np.zeros((items(head), width), np.float32))
        if multimask := self._multimask:
            fbank = np.zeros((1, FBANK_PER_WINDOW, MELS), np.float32)
            masks = np.ones((1, LOCAL_SPEAKERS, FRAMES_PER_WINDOW), np.float32)
            yield multimask, lambda: self.multimask(fbank, masks)


def _present(network: Batched | None, what: str) -> Batched:
    if network is None:
        raise ConfigError(f"this bundle has no {what} network; its embedding is of the other kind")
    return network


def _expect(array: Array, shape: tuple[int | None, ...], what: str) -> None:
    fits = array.ndim == len(shape) and all(n in (None, have) for n, have in zip(shape, array.shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{what} must have shape ({wanted}), got {array.shape}")


def _wrong(path: Path, expected: tuple[int, ...], found: tuple[int, ...]) -> BundleCorrupt:
    return BundleCorrupt(f"{path} has the wrong shape: expected {expected} for each item, found {found}; {REMEDY}")
