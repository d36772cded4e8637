"""Which local speakers of which windows get an embedding, and the questions that takes.

Three layouts of embedding network are known (see `EmbeddingLayout`). They differ in what is asked; what a window
ends up with is the same: one embedding per active local speaker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from speakrs_stream.core.activity import Activity
from speakrs_stream.core.arrays import F32, Array
from speakrs_stream.core.embedding.fbank import FBANK_PER_WINDOW, HOP, Fbank
from speakrs_stream.core.embedding.pooling import (
    moments,
    pool,
    pool_moments,
    resample_centred,
    resample_nearest,
)
from speakrs_stream.core.jobs import Model
from speakrs_stream.core.powerset import LOCAL_SPEAKERS
from speakrs_stream.errors import ConfigError, SessionError


@dataclass(frozen=True, slots=True)
class FlowLayout:
    """How a padded trunk carries on from where it stopped."""

    context: int
    """Numbers it hands on."""
    delay: int
    """Features by which it is late."""
    receptive_field: int
    """Filter-bank frames one feature sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingLayout:
    """How a bundle's embedding network is cut and which features it takes."""

    kind: Literal["split", "multimask"]
    """`split`: trunk and head with our pooling between; `multimask`: one network with three masks."""
    dimension: int
    """Numbers in one embedding, D."""
    window_mean: bool
    """Whether the window's mean is subtracted from its filter bank."""
    stride: int = 8
    """Filter-bank frames between two trunk features."""
    receptive_field: int = 0
    """Filter-bank frames one trunk feature sees; 0 for a padded trunk, which has ceil(T / stride) features."""
    flow: FlowLayout | None = None
    """How a padded trunk can be shared by windows after all, nearly exactly; None where it cannot."""
    pooled: bool = False
    """Whether features that windows share are pooled by a network, as pays on a GPU, and not here."""

    def __post_init__(self) -> None:
        if self.flow is not None and (self.kind != "split" or not self.padded):
            raise ConfigError("only a padded trunk of kind split can have a flow")
        if self.kind == "split" and not self.padded:
            if self.window_mean:
                raise ConfigError("an unpadded trunk is shared by windows and cannot use a window's mean")
            if self.receptive_field > FBANK_PER_WINDOW:
                raise ConfigError(f"a trunk that sees {self.receptive_field} frames does not fit into a window")

    @property
    def padded(self) -> bool:
        """Whether the trunk pads in time, so that its features depend on where a window begins."""
        return self.receptive_field == 0

    @property
    def shared(self) -> bool:
        """Whether neighbouring windows can use the same trunk features."""
        return self.kind == "split" and not self.padded

    @property
    def features_per_window(self) -> int:
        """Trunk features of a whole window."""
        return self.feature_count(FBANK_PER_WINDOW)

    def feature_count(self, fbank_frames: int) -> int:
        """Trunk features that `fbank_frames` filter-bank frames give."""
        if self.padded:
            return -(-fbank_frames // self.stride)
        return max(0, (fbank_frames - self.receptive_field) // self.stride + 1)


class _Part(NamedTuple):
    """What a window uses of a chunk of trunk features."""

    chunk: int
    inside: slice
    """Its rows of the chunk."""
    at: slice
    """Its place among the window's features."""


@dataclass(slots=True, eq=False)
class _Window:
    """A window whose embeddings are being made."""

    masks: F32
    """(3, 589) frames that speak for each local speaker."""
    embeddings: F32
    """(3, D), NaN until answered."""
    waiting: set[int] = field(default_factory=set)
    """Trunk chunks (shared or flowing trunk) not yet answered."""
    heads: set[int] = field(default_factory=set)
    """Local speakers whose embedding is asked for."""
    done: bool = False
    """Whether nothing more is to come."""
    spoken: tuple[F32, list[_Part]] | None = None
    """Shared or flowing trunk: weights (3, T') of the window's features and where somebody speaks, once known."""


class Question(NamedTuple):
    """What to ask, and about what: the core's side of a `Job`."""

    model: Model
    """Which network."""
    about: tuple[int, int]
    """segmentation, pooled, multimask: (window, 0) · filters, flow: (chunk, 0) · trunk: (window or chunk, 0) · head:
    (window, local speaker)."""


class Extraction:
    """Embeddings of windows as their activities become known."""

    def __init__(self, layout: EmbeddingLayout, step: int) -> None:
        self.layout = layout
        self.step = step
        self._unit = step // HOP  # filter-bank frames between windows, and in a chunk of shared trunk features
        if layout.shared and self._unit % layout.stride:
            raise ConfigError(f"this bundle's step must be a multiple of {layout.stride * HOP} samples, got {step}")
        self.fbank = Fbank()
        self._windows: dict[int, _Window] = {}
        # of a shared trunk: features by chunk, beside their squares if they are pooled here; None while asked for
        self._chunks: dict[int, F32 | None] = {}
        self._ranges: dict[int, tuple[int, int]] = {}  # of features, by chunk
        self._pooled: dict[tuple[int, int], F32] = {}  # statistics waiting for the head's answer

    @property
    def reuses(self) -> bool:
        """Whether neighbouring windows use the same trunk features."""
        return self.layout.shared

    # -- what is asked ---------------------------------------------------------------------------------------

    def push(self, window: int, activity: Activity) -> list[Question]:
        """Take a window's activity; return the questions its embeddings take, none if nobody speaks."""
        return self._begin(window, activity.masks())

    def _begin(self, window: int, masks: F32) -> list[Question]:
        if not masks.any():
            return []
        empty = np.full((LOCAL_SPEAKERS, self.layout.dimension), np.nan, np.float32)
        state = self._windows[window] = _Window(masks, empty)
        if self.layout.kind == "multimask":
            return [Question("multimask", (window, 0))]
        if not self.reuses:
            return [Question("trunk", (window, 0))]
        new = []
        for chunk, _, _ in self._spoken(window)[1]:
            if chunk not in self._chunks:
                new += self._ask_chunk(chunk)
            if self._chunks[chunk] is None:
                state.waiting.add(chunk)
        return new if state.waiting else [*new, *self._pool_shared(window)]

    def _ask_chunk(self, chunk: int) -> list[Question]:
        self._chunks[chunk] = None
        return [Question("trunk", (chunk, 0))]

    def inputs(self, question: Question) -> dict[str, Array]:
        """Arrays of a question; can be made again at any time until it is answered."""
        number, local = question.about
        match question.model:
            case "multimask":
                return {"fbank": self._window_fbank(number), "masks": self._windows[number].masks}
            case "trunk":
                if not self.layout.shared:
                    return {"fbank": self._window_fbank(number)}
                low, high = self._chunk_range(number)
                stride = self.layout.stride
                rows = self.fbank.frames.get(low * stride, (high - 1) * stride + self.layout.receptive_field)
                return {"fbank": rows}
            case "pooled":
                features, weights = self._gathered(number)
                return {"features": features, "weights": weights}
            case _:
                return {"statistics": self._pooled[number, local]}

    def resolve(self, question: Question, output: Array) -> list[Question]:
        """Take an answer; return the questions it leads to. SessionError where it has the wrong shape."""
        number, local = question.about
        self._check(question, output)
        if question.model == "multimask":
            window = self._windows[number]
            spoken = window.masks.any(axis=1)
            window.embeddings[spoken] = output[spoken]
            window.done = True
            return []
        if question.model == "pooled":
            window = self._windows[number]
            spoken = self._spoken(number)[0].any(axis=1)
            window.embeddings[spoken] = output[spoken]
            window.done = True
            return []
        if question.model == "head":
            window = self._windows[number]
            window.embeddings[local] = output
            window.heads.discard(local)
            window.done = not window.heads
            del self._pooled[number, local]
            return []
        if not self.layout.shared:
            window = self._windows[number]
            statistics = pool(output, resample_nearest(window.masks, len(output)))
            return self._ask_heads(number, statistics, range(LOCAL_SPEAKERS))
        return self._have(number, output)

    def _have(self, number: int, features: F32) -> list[Question]:
        """A chunk's features are known: pool the windows that waited for them."""
        self._chunks[number] = self._kept(features)
        asked: list[Question] = []
        for index, state in list(self._windows.items()):
            if number in state.waiting:
                state.waiting.discard(number)
                if not state.waiting:
                    asked += self._pool_shared(index)
        return asked

    def _kept(self, features: F32) -> F32:
        """What is kept of a chunk's features: a copy, beside their squares if they are pooled here."""
        return np.array(features, np.float32) if self.layout.pooled else moments(features)

    def pending(self, window: int) -> bool:
        """Whether a window's embeddings are still being made."""
        state = self._windows.get(window)
        return state is not None and not state.done

    def take(self, window: int) -> F32:
        """Embeddings (3, D) of a window whose questions are all answered."""
        state = self._windows.pop(window, None)
        if state is None:
            return np.full((LOCAL_SPEAKERS, self.layout.dimension), np.nan, np.float32)
        return state.embeddings

    def forget(self, first_window: int) -> None:
        """Drop what no window from `first_window` on can need."""
        first = first_window * self.step // HOP
        if self.layout.shared:
            # a window may begin inside a chunk; if it is the first to ask for it, all of the chunk's frames are needed
            chunk = self._chunk_of(first // self.layout.stride)
            first = min(first, self._chunk_range(chunk)[0] * self.layout.stride)
            for old in [number for number in self._chunks if number < chunk]:
                del self._chunks[old]
            self._ranges = {number: found for number, found in self._ranges.items() if number >= chunk}
        self.fbank.forget(first)

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain values and arrays for a snapshot."""
        fbank, arrays = self.fbank.state()
        arrays = {f"fbank.{name}": rows for name, rows in arrays.items()}
        for number, window in self._windows.items():
            arrays[f"masks.{number}"], arrays[f"embeddings.{number}"] = window.masks, window.embeddings
        for chunk, rows in self._chunks.items():
            if rows is not None:
                arrays[f"chunk.{chunk}"] = rows if self.layout.pooled else rows[:, : rows.shape[1] // 2].copy()
        for (number, local), row in self._pooled.items():
            arrays[f"pooled.{number}.{local}"] = row
        plain = {
            "fbank": fbank,
            "windows": [[n, sorted(w.waiting), sorted(w.heads), w.done] for n, w in self._windows.items()],
            "chunks": list(self._chunks),
            "pooled": [list(key) for key in self._pooled],
        }
        return plain, arrays

    def restore(self, plain: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Take over what `state` saved."""
        self.fbank.restore(plain["fbank"], {name: arrays[f"fbank.{name}"] for name in ("samples", "frames")})
        for number, waiting, heads, done in plain["windows"]:
            masks, embeddings = arrays[f"masks.{number}"], arrays[f"embeddings.{number}"].copy()
            self._windows[number] = _Window(masks, embeddings, set(waiting), set(heads), done)
        self._chunks = dict.fromkeys(plain["chunks"])
        for chunk in self._chunks:
            if (rows := arrays.get(f"chunk.{chunk}")) is not None:
                self._chunks[chunk] = self._kept(rows)
        self._pooled = {(number, local): arrays[f"pooled.{number}.{local}"] for number, local in plain["pooled"]}

    # -- how -------------------------------------------------------------------------------------------------

    def _check(self, question: Question, output: Array) -> None:
        wanted: tuple[object, ...]
        if question.model == "trunk":
            whole = (0, self.layout.features_per_window)
            low, high = self._chunk_range(question.about[0]) if self.layout.shared else whole
            right, wanted = output.ndim == 2 and len(output) == high - low, (high - low, "channels")
        else:
            wanted = (self.layout.dimension,) if question.model == "head" else (LOCAL_SPEAKERS, self.layout.dimension)
            right = output.shape == wanted
        if not right:
            shape = str(wanted).replace("'", "")
            raise SessionError(f"the {question.model} network gave {output.shape} where {shape} was expected")

    def _window_fbank(self, window: int) -> F32:
        first = window * self.step // HOP
        rows = self.fbank.frames.get(first, first + FBANK_PER_WINDOW)
        if self.layout.window_mean:
            return rows - self.fbank.mean(first, first + FBANK_PER_WINDOW)
        return rows

    def _chunk_range(self, chunk: int) -> tuple[int, int]:
        """Trunk features of a chunk: those completed by one more step of audio, so that every window ends with one.

        Chunks are fixed by position alone, so features do not depend on how the audio was chopped.
        """
        unit = self._unit
        end = FBANK_PER_WINDOW % unit + chunk * unit
        return self.layout.feature_count(end - unit), self.layout.feature_count(end)

    def _range(self, chunk: int) -> tuple[int, int]:
        """`_chunk_range`, found once for all windows that ask."""
        if chunk not in self._ranges:
            self._ranges[chunk] = self._chunk_range(chunk)
        return self._ranges[chunk]

    def _feature_range(self, window: int) -> tuple[int, int]:
        first = window * self.step // (HOP * self.layout.stride)
        return first, first + self.layout.features_per_window

    def _spoken(self, window: int) -> tuple[F32, list[_Part]]:
        """Weights (3, T') of a window's features for each local speaker, and the parts in which somebody speaks."""
        state = self._windows[window]
        if state.spoken is None:
            weights = self._shared_weights(window, state.masks)
            anybody = np.asarray(weights.any(axis=0)).tobytes()
            first, last = self._feature_range(window)
            chunk, at, parts = self._chunk_of(first), first, []
            while at < last:
                low, high = self._range(chunk)
                end = min(high, last)
                if 1 in anybody[at - first : end - first]:
                    parts.append(_Part(chunk, slice(at - low, end - low), slice(at - first, end - first)))
                chunk, at = chunk + 1, max(at, end)
            state.spoken = weights, parts
        return state.spoken

    def _chunk_of(self, feature: int) -> int:
        """The chunk that a feature, given by number, is part of."""
        needed = feature * self.layout.stride + self.layout.receptive_field  # filter-bank frames
        return max(0, -(-(needed - FBANK_PER_WINDOW % self._unit) // self._unit))

    def _shared_weights(self, window: int, masks: F32) -> F32:
        del window  # all windows lie on the grid of features in the same way
        layout = self.layout
        return resample_centred(masks, layout.features_per_window, layout.stride, (layout.receptive_field - 1) // 2)

    def _pool_shared(self, window: int) -> list[Question]:
        weights, parts = self._spoken(window)
        if not parts:  # speech only where no whole feature lies
            self._windows[window].done = True
            return []
        if self.layout.pooled:
            return [Question("pooled", (window, 0))]
        speakers = np.flatnonzero(weights.any(axis=1)).tolist()
        rows = np.zeros((len(speakers) + len(speakers) % 2, weights.shape[1]), np.float32)
        rows[: len(speakers)] = weights[speakers]  # three rows take longer to multiply than four, the last of zeros
        held = [(self._rows_of(part), rows[:, part.at]) for part in parts]
        return self._ask_heads(window, pool_moments(held, rows), speakers)

    def _rows_of(self, part: _Part) -> F32:
        rows = self._chunks[part.chunk]
        assert rows is not None
        return rows[part.inside]

    def _gathered(self, window: int) -> tuple[F32, F32]:
        """Features of a window, zeros where nobody speaks, and their weights."""
        weights, parts = self._spoken(window)
        out = np.zeros((weights.shape[1], self._rows_of(parts[0]).shape[1]), np.float32)
        for part in parts:
            out[part.at] = self._rows_of(part)
        return out, weights

    def _ask_heads(self, window: int, statistics: F32, speakers: Sequence[int]) -> list[Question]:
        """Ask for embeddings of local speakers, given a row for each, and perhaps others of NaN."""
        state = self._windows[window]
        for row in np.flatnonzero(np.isfinite(np.add.reduce(statistics, axis=1))).tolist():
            self._pooled[window, speakers[row]] = statistics[row]
            state.heads.add(speakers[row])
        state.done = not state.heads
        return [Question("head", (window, local)) for local in sorted(state.heads)]
