"""The loaded networks of a bundle, a method for each; batch sizes are arranged and shapes checked here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from speakrs_stream.core.embedding.fbank import FBANK_PER_WINDOW
from speakrs_stream.core.embedding.pooling import pool
from speakrs_stream.core.filters import FilterLayout
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, WINDOW
from speakrs_stream.core.powerset import LOCAL_SPEAKERS
from speakrs_stream.errors import BundleCorrupt, ConfigError, MissingExtra, ModelError
from speakrs_stream.inference.base import Array, Backend, LoadOptions
from speakrs_stream.inference.batched import F32, Batched, Input, Signature, expect, wrong_shape
from speakrs_stream.inference.segmentation import Segmentation
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.manifest import MELS, HeadSpec, TrunkSpec
from speakrs_stream.models.pooled import FEATURES, WEIGHTS, pooled_head

Trial = Callable[[], object]


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
        embedding = bundle.embedding
        self._segmentation = Segmentation(bundle, backend, options)
        self._trunk: Batched | None = None
        self._flow: Batched | None = None
        self._head: Batched | None = None
        self._pooled: Batched | None = None
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
                if backend.full_batches:
                    self._pooled = _pooled(bundle, trunk, head, backend, options)
        if both := embedding.multimask:
            inputs = (
                Input(both.inputs[0], 1, (FBANK_PER_WINDOW, MELS)),
                Input(both.inputs[1], LOCAL_SPEAKERS, (FRAMES_PER_WINDOW,)),
            )
            signature = Signature(inputs, both.output, LOCAL_SPEAKERS, 2)
            files = (both.main, *both.variants) if backend.full_batches else (both.main,)
            self._multimask = Batched(bundle, files, "multimask", signature, backend, options)
        self._try()
        if backend.full_batches:
            self._warm_up()

    @property
    def batches(self) -> Mapping[str, int | None]:
        """Batch size that each network runs best in; None where any number of items is possible."""
        every = {
            "trunk": self._trunk,
            "flow": self._flow,
            "head": self._head,
            "pooled": self._pooled,
            "multimask": self._multimask,
        }
        others = {name: network.batch for name, network in every.items() if network}
        return {**self._segmentation.batches, **others}

    @property
    def pools(self) -> bool:
        """Whether features are better pooled by a network, on the device, than by this program."""
        return self._pooled is not None

    @property
    def filters(self) -> FilterLayout | None:
        """What the segmentation's filters do that run once over a stream; None where they run in every window."""
        return self._segmentation.layout

    @property
    def whole_because(self) -> str | None:
        """Why the segmentation's filters run in every window on a backend that would carry their results."""
        return self._segmentation.whole_because

    # -- inferences ------------------------------------------------------------------------------------------

    def segment(self, windows: Array) -> F32:
        """Who of three local speakers is active: windows (B, 160000) -> log-probabilities (B, 589, 7).

        Raises ModelError where a result is not finite.
        """
        return self._segmentation.segment(windows)

    def filter(self, samples: Array) -> F32:
        """What windows need of filtered samples: (B, n) -> (B, pool, rows, columns). Only where `filters` is known."""
        return self._segmentation.filter(samples)

    def segment_filtered(self, windows: Sequence[Mapping[str, Array]]) -> F32:
        """As `segment`, of windows whose samples were filtered before; inputs of each as `core.filters` makes them."""
        return self._segmentation.segment_filtered(windows)

    def trunk(self, fbank: Array) -> F32:
        """Features of a filter bank: (B, T, 80) -> (B, T', C). Only of bundles of kind `split`."""
        trunk = self.bundle.embedding.trunk
        network = _present(self._trunk, "trunk")
        assert trunk is not None
        expect(fbank, (None, None, MELS), "fbank")
        count = trunk.feature_count(fbank.shape[1])
        if not len(fbank) or not count:
            return np.empty((len(fbank), count, trunk.channels), np.float32)
        output = network.run(fbank)
        if output.shape[1:] != (count, trunk.channels):
            raise wrong_shape(network.path, (count, trunk.channels), output.shape[1:])
        return np.asarray(output, np.float32)

    def flow(self, fbank: Array, context: Array) -> F32:
        """The trunk over new audio: (B, T, 80) and (B, S) -> (B, T / stride * C + S), features and the next context.

        T is a multiple of the stride. Only of bundles whose trunk has a flow.
        """
        network = _present(self._flow, "flow")
        trunk = self.bundle.embedding.trunk
        assert trunk is not None and trunk.flow is not None
        expect(fbank, (None, None, MELS), "fbank")
        expect(context, (len(fbank), trunk.flow.context), "context")
        count, rest = divmod(fbank.shape[1], trunk.stride)
        if rest:
            raise ValueError(f"fbank must have a multiple of {trunk.stride} frames, got {fbank.shape[1]}")
        width = count * trunk.channels + trunk.flow.context
        if not len(fbank):
            return np.empty((0, width), np.float32)
        output = network.run(fbank, context)
        if output.shape[1:] != (width,):
            raise wrong_shape(network.path, (width,), output.shape[1:])
        return np.asarray(output, np.float32)

    def head(self, statistics: Array) -> F32:
        """Embeddings of pooled features: (B, 2C) -> (B, D). Only of bundles of kind `split`. NaN stays NaN."""
        trunk = self.bundle.embedding.trunk
        network = _present(self._head, "head")
        assert trunk is not None
        expect(statistics, (None, 2 * trunk.channels), "statistics")
        dimension = self.bundle.embedding.dimension
        if not len(statistics):
            return np.empty((0, dimension), np.float32)
        output = network.run(statistics)
        if output.shape[1:] != (dimension,):
            raise wrong_shape(network.path, (dimension,), output.shape[1:])
        return np.asarray(output, np.float32)

    def pooled(self, features: Array, weights: Array) -> F32:
        """Embeddings of local speakers: features (B, T, C) and weights (B, 3, T) -> (B, 3, D). Only of kind `split`.

        NaN for a speaker without weight. On the device where it `pools`, else by `core.embedding.pooling`.
        """
        trunk = self.bundle.embedding.trunk
        _present(self._head, "head")
        assert trunk is not None
        expect(features, (None, None, trunk.channels), "features")
        expect(weights, (len(features), LOCAL_SPEAKERS, features.shape[1]), "weights")
        dimension = self.bundle.embedding.dimension
        if self._pooled is None or not len(features):
            pairs = zip(features, weights, strict=True)
            rows = [np.empty((0, 2 * trunk.channels), np.float32), *(pool(rows, masks) for rows, masks in pairs)]
            return self.head(np.concatenate(rows)).reshape(-1, LOCAL_SPEAKERS, dimension)
        output = self._pooled.run(features, weights)
        if output.shape[1:] != (dimension,):
            raise wrong_shape(self._pooled.path, (dimension,), output.shape[1:])
        return np.asarray(output, np.float32).reshape(-1, LOCAL_SPEAKERS, dimension)

    def multimask(self, fbank: Array, masks: Array) -> F32:
        """Embeddings of local speakers: (B, 998, 80), (B, 3, 589) -> (B, 3, D). Only of kind `multimask`.

        A speaker without a frame in its mask gets a meaningless vector or NaN.
        """
        network = _present(self._multimask, "multimask")
        expect(fbank, (None, FBANK_PER_WINDOW, MELS), "fbank")
        expect(masks, (len(fbank), LOCAL_SPEAKERS, FRAMES_PER_WINDOW), "masks")
        dimension = self.bundle.embedding.dimension
        if not len(fbank):
            return np.empty((0, LOCAL_SPEAKERS, dimension), np.float32)
        output = network.run(fbank, masks.reshape(-1, FRAMES_PER_WINDOW))
        if output.shape[1:] != (dimension,):
            raise wrong_shape(network.path, (dimension,), output.shape[1:])
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
        for size in self._segmentation.network.sizes:
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
        if self._pooled and (trunk := self.bundle.embedding.trunk):
            frames = trunk.feature_count(FBANK_PER_WINDOW)
            for size in self._pooled.sizes:
                features = np.zeros((size, frames, trunk.channels), np.float32)
                self.pooled(features, np.ones((size, LOCAL_SPEAKERS, frames), np.float32))

    def _trials(self) -> Iterator[tuple[Batched, Trial]]:
        def items(network: Batched) -> int:
            return 2 if network.batch is None else 1  # two show an axis that only pretends to be free

        yield from self._segmentation.trials()
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


def _pooled(
    bundle: ModelBundle, trunk: TrunkSpec, head: HeadSpec, backend: Backend, options: LoadOptions
) -> Batched | None:
    """Pooling and head as one network; None where there cannot be one: without onnx, or for a head of a fixed batch."""
    if head.main.batch is not None:
        return None
    try:
        made = pooled_head(bundle.path(head.file), head.input, trunk.channels)
    except MissingExtra:
        return None
    inputs = (Input(FEATURES, 1, (None, trunk.channels)), Input(WEIGHTS, 1, (LOCAL_SPEAKERS, None)))
    signature = Signature(inputs, head.output, LOCAL_SPEAKERS, 2)
    return Batched(bundle, [head.main], "head", signature, backend, options, made)


def _present(network: Batched | None, what: str) -> Batched:
    if network is None:
        raise ConfigError(f"this bundle has no {what} network; its embedding is of the other kind")
    return network
