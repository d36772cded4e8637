"""The segmentation: one network, or, where neighbours may share its first filters, those and the rest (ADR 0010)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from speakrs_stream.core.filters import LEVEL, PIECE, PLACES, FilterLayout, grouped, powers, settle
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, WINDOW
from speakrs_stream.errors import BundleNotFound, ConfigError, MissingExtra, ModelError
from speakrs_stream.inference.base import Array, Backend, LoadOptions
from speakrs_stream.inference.batched import F32, Batched, Input, Signature, expect, wrong_shape
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.filters import FILTERS_INPUT, FILTERS_OUTPUT, Front, OtherForm, take_front

CLASSES = 7
AT_ONCE = 4
"""Whole windows that are filtered together; the results of one take 5 MB."""


class Segmentation:
    """Who of three local speakers is active in windows."""

    def __init__(self, bundle: ModelBundle, backend: Backend, options: LoadOptions) -> None:
        """Load it, in two parts where the backend carries and the network's form allows it.

        Raises BundleCorrupt for a network of the wrong shape, naming the file.
        """
        self.whole_because: str | None = None
        """Why the filters run in every window although the backend would carry their results."""
        spec = bundle.segmentation
        front = self._front(bundle) if backend.carries else None
        self.layout: FilterLayout | None = front.layout if front else None
        """What the filters do that run once over a stream; None where they run in every window."""
        self._filters: Batched | None = None
        if front is None:
            signature = Signature((Input(spec.input, 1, (1, WINDOW)),), spec.output, 1, 3)
            # a processor gains next to nothing from fixed batches, and 32 windows at once take a gigabyte
            files = (spec.main, *spec.variants) if backend.full_batches else (spec.main,)
            self.network = Batched(bundle, files, "segmentation", signature, backend, options)
            """The network, or its rest."""
        else:
            channels, groups = len(front.layout.sums), front.layout.groups
            signature = Signature((Input(front.input, 1, (channels, groups)),), spec.output, 1, 3)
            self.network = Batched(bundle, [spec.main], "segmentation", signature, backend, options, front.rest)
            signature = Signature((Input(FILTERS_INPUT, 1, (1, None)),), FILTERS_OUTPUT, 1, 3)
            file = replace(spec.main, batch=None)
            self._filters = Batched(bundle, [file], "filters", signature, backend, options, front.filters)

    def _front(self, bundle: ModelBundle) -> Front | None:
        path = bundle.path(bundle.segmentation.file)
        try:
            front = take_front(path)
            return front if front.source == bundle.segmentation.input else None  # refused by its names, then
        except OtherForm as error:
            self.whole_because = f"{path.name} does not begin as PyanNet does: {error}"
        except (MissingExtra, BundleNotFound) as error:  # a missing file is told when the whole network is loaded
            self.whole_because = str(error)
        return None

    @property
    def batches(self) -> Mapping[str, int | None]:
        """Batch size that each network runs best in; None where any number of items is possible."""
        parts = {"segmentation": self.network, "filters": self._filters}
        return {name: network.batch for name, network in parts.items() if network}

    def trials(self) -> Iterator[tuple[Batched, Callable[[], object]]]:
        """Each network with something to run it once on."""
        items = 2 if self.network.batch is None else 1  # two show an axis that only pretends to be free
        yield self.network, lambda: self.segment(np.zeros((items, WINDOW), np.float32))

    def segment(self, windows: Array) -> F32:
        """Windows (B, 160000) -> log-probabilities (B, 589, 7); ModelError where a result is not finite."""
        expect(windows, (None, WINDOW), "windows")
        if not len(windows):
            return np.empty((0, FRAMES_PER_WINDOW, CLASSES), np.float32)
        if (layout := self.layout) is None:
            return self._run(windows[:, np.newaxis, :])
        parts = [self._whole(layout, windows[start : start + AT_ONCE]) for start in range(0, len(windows), AT_ONCE)]
        return self._run(np.concatenate(parts))

    def _whole(self, layout: FilterLayout, windows: Array) -> F32:
        results, places = self._results(layout, windows), np.array([[0, layout.groups]])
        pieces = _grouped(layout, results, 1)
        return self._settled(
            layout,
            [
                {LEVEL: layout.level(powers(window, WINDOW)), PLACES: places, f"{PIECE}0": piece}
                for window, piece in zip(windows, pieces, strict=True)
            ],
        )

    def filter(self, samples: Array) -> F32:
        """What windows need to know of samples: (B, n) -> (B, pool, rows, columns), see `core.filters`.

        Only where `layout` is known.
        """
        if (layout := self.layout) is None:
            raise ConfigError("this segmentation has no filters that can be run on their own")
        expect(samples, (None, None), "samples")
        return _grouped(layout, self._results(layout, samples), layout.pool)

    def _results(self, layout: FilterLayout, samples: Array) -> F32:
        """Results of the filters: (B, n) -> (B, pool, C, columns), dealt out to rows as in `core.filters.grouped`."""
        network = self._filters
        assert network is not None
        channels, columns = len(layout.sums), layout.columns(samples.shape[1])
        length = (columns * layout.pool - 1) * layout.stride + layout.taps
        padded = np.pad(samples[:, np.newaxis, :], ((0, 0), (0, 0), (0, max(0, length - samples.shape[1]))))
        output = network.run(padded)
        if output.shape[1:] != (layout.pool * channels, columns):
            raise wrong_shape(network.path, (layout.pool * channels, columns), output.shape[1:])
        return np.asarray(output, np.float32).reshape(-1, layout.pool, channels, columns)

    def segment_filtered(self, windows: Sequence[Mapping[str, Array]]) -> F32:
        """As `segment`, of windows whose samples were filtered before; inputs of each as `core.filters` makes them."""
        if self.layout is None:
            raise ConfigError("this segmentation takes samples, not results of its filters")
        return self._run(self._settled(self.layout, windows))

    def _settled(self, layout: FilterLayout, windows: Sequence[Mapping[str, Array]]) -> F32:
        largest = np.empty((len(windows), len(layout.sums), layout.groups), np.float32)
        for inputs, out in zip(windows, largest, strict=True):
            settle(layout, inputs, out)
        return largest

    def _run(self, inputs: F32) -> F32:
        output, path = self.network.run(inputs), self.network.path
        if output.shape[1:] != (FRAMES_PER_WINDOW, CLASSES):
            raise wrong_shape(path, (FRAMES_PER_WINDOW, CLASSES), output.shape[1:])
        if not np.isfinite(output).all():
            raise ModelError(
                f"{path.name} gave values that are not finite; is the audio finite? "
                "If so, the network is damaged: get the bundle again"
            )
        return np.asarray(output, np.float32)


def _grouped(layout: FilterLayout, results: F32, phases: int) -> F32:
    """`core.filters.grouped` of several chunks or windows: (B, pool, C, columns) -> (B, phases, rows, columns)."""
    out = np.empty((len(results), phases, layout.rows, results.shape[3]), np.float32)
    for one, into in zip(results, out, strict=True):
        grouped(layout, one, into)
    return out
