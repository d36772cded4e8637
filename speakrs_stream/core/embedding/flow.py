"""Embeddings from a padded trunk that runs once over new audio: nearly those of the exact way, several times cheaper.

What differs from a run per window: a feature sees the sound before and after it in place of padding at the window's
ends; the mean of the window that ends with a step is taken off that step's filter bank, in place of each window's own;
and the last features of a window, which its end would have to be padded for, are left to the windows after it. Where
nobody speaks the trunk does not run; after a pause it starts again a receptive field early.

The steps, their means and which of them carry on from which follow from the audio and the order of windows alone, so
the same sound gives the same embeddings however it was pushed and whenever questions were answered.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from speakrs_stream.core.activity import Activity
from speakrs_stream.core.arrays import F32, Array
from speakrs_stream.core.embedding.extraction import EmbeddingLayout, Extraction, FlowLayout, Question
from speakrs_stream.core.embedding.fbank import FBANK_PER_WINDOW, HOP
from speakrs_stream.core.embedding.pooling import resample_centred
from speakrs_stream.errors import ConfigError, SessionError

BRIDGE = 2
"""Silent steps that are run all the same, because starting again after them would cost more."""


class Flow(Extraction):
    """Embeddings of windows, in the order of windows, from trunk features that are computed once."""

    def __init__(self, layout: EmbeddingLayout, step: int, *, keep: bool = False) -> None:
        """keep: whether the whole filter bank is kept, 115 MB an hour, to compute exact embeddings in the end."""
        super().__init__(layout, step)
        if layout.flow is None:
            raise ConfigError("this bundle's trunk cannot be shared by windows; use exact embeddings")
        if self._unit < layout.stride:
            raise ConfigError(f"fast embeddings need a step of at least {layout.stride * HOP} samples, got {step}")
        self._flow: FlowLayout = layout.flow
        self._keep = keep
        half = self._flow.receptive_field // 2
        self._lead = (self._flow.delay - -half // layout.stride) * layout.stride  # rows in front of a fresh start
        self._turn = 0  # the window whose turn it is
        self._held: dict[int, F32] = {}  # masks of windows that came before their turn
        self._before: dict[int, int | None] = {}  # chunks asked for -> the one they carry on from, None: a fresh start
        self._contexts: dict[int, F32] = {}  # what chunks hand on, as long as somebody may want it

    @property
    def reuses(self) -> bool:
        """Whether neighbouring windows use the same trunk features: they do."""
        return True

    # -- what is asked ---------------------------------------------------------------------------------------

    def push(self, window: int, activity: Activity) -> list[Question]:
        """Take a window's activity; the questions that follow, also for later windows that waited."""
        self._held[window] = activity.masks()
        asked = []
        while self._turn in self._held:
            asked += self._begin(self._turn, self._held.pop(self._turn))
            self._turn += 1
        return asked

    def _ask_chunk(self, chunk: int) -> list[Question]:
        """Ask for a chunk, and for silent ones in front of it where that is the shorter way."""
        near = range(chunk - 1, chunk - 2 - BRIDGE, -1)
        before = next((one for one in near if one in self._before), None)
        chain = [chunk] if before is None else list(range(before + 1, chunk + 1))
        asked = []
        for one in chain:
            self._before[one], self._chunks[one] = before, None
            if before is None or before in self._contexts:
                asked.append(Question("flow", (one, 0)))
            before = one
        return asked

    def inputs(self, question: Question) -> dict[str, Array]:
        """Arrays of a question; can be made again at any time until it is answered."""
        if question.model != "flow":
            return super().inputs(question)
        chunk = question.about[0]
        before = self._before[chunk]
        rows = self.fbank.frames.get(self._start(chunk), self._rows(chunk)[1]) - self._mean(chunk)
        context = np.zeros(self._flow.context, np.float32) if before is None else self._contexts[before]
        return {"fbank": rows, "context": context}

    def resolve(self, question: Question, output: Array) -> list[Question]:
        """Take an answer; return the questions it leads to. SessionError where it has the wrong shape."""
        if question.model != "flow":
            return super().resolve(question, output)
        chunk = question.about[0]
        features, context = self._split(chunk, output)
        before, after = self._before[chunk], chunk + 1
        if before is not None:
            del self._contexts[before]
        if after not in self._before or self._before[after] == chunk:
            self._contexts[chunk] = context
        asked = [Question("flow", (after, 0))] if self._before.get(after) == chunk else []
        return [*asked, *self._have(chunk, features)]

    def _split(self, chunk: int, output: Array) -> tuple[F32, F32]:
        """Features of a chunk, without those that come before it, and what it hands on."""
        start, (low, end) = self._start(chunk), self._rows(chunk)
        stride, delay = self.layout.stride, self._flow.delay
        count = (end - start) // stride
        numbers = output.size - self._flow.context
        if output.ndim != 1 or numbers <= 0 or numbers % count:
            wanted = f"({count} * channels + {self._flow.context},)"
            raise SessionError(f"the flow network gave {output.shape} where {wanted} was expected")
        rows = output[:numbers].reshape(count, -1)
        first = (low - start) // stride + max(0, delay - low // stride)
        return rows[first:], np.asarray(output[numbers:], np.float32)

    def pending(self, window: int) -> bool:
        """Whether a window's embeddings are still being made."""
        return window in self._held or super().pending(window)

    def forget(self, first_window: int) -> None:
        """Drop what no window from `first_window` on can need."""
        chunk = self._chunk_of(self._feature_range(first_window)[0])
        oldest = chunk - BRIDGE - 1
        self._chunks = {one: rows for one, rows in self._chunks.items() if one >= chunk or rows is None}
        self._ranges = {one: found for one, found in self._ranges.items() if one >= chunk}
        self._before = {one: before for one, before in self._before.items() if one >= oldest}
        self._contexts = {one: rows for one, rows in self._contexts.items() if one >= oldest}
        if not self._keep:
            self.fbank.forget(max(0, min(self._rows(oldest)[0] - self._lead, self._end(oldest) - FBANK_PER_WINDOW)))

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain values and arrays for a snapshot."""
        plain, arrays = super().state()
        arrays |= {f"context.{chunk}": rows for chunk, rows in self._contexts.items()}
        arrays |= {f"held.{window}": masks for window, masks in self._held.items()}
        flow = {
            "turn": self._turn,
            "held": list(self._held),
            "before": [[chunk, before] for chunk, before in self._before.items()],
            "contexts": list(self._contexts),
        }
        return {**plain, "flow": flow}, arrays

    def restore(self, plain: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Take over what `state` saved."""
        super().restore(plain, arrays)
        flow = plain["flow"]
        self._turn = flow["turn"]
        self._held = {window: arrays[f"held.{window}"] for window in flow["held"]}
        self._before = dict(flow["before"])
        self._contexts = {chunk: arrays[f"context.{chunk}"] for chunk in flow["contexts"]}

    # -- how -------------------------------------------------------------------------------------------------

    def _end(self, chunk: int) -> int:
        """Filter-bank frames of the audio up to the end of a chunk: every window ends with one."""
        return FBANK_PER_WINDOW % self._unit + chunk * self._unit

    def _rows(self, chunk: int) -> tuple[int, int]:
        """Filter-bank frames a chunk adds: whole features' worth."""
        low, high = (max(0, self._end(one)) for one in (chunk - 1, chunk))
        return low - low % self.layout.stride, high - high % self.layout.stride

    def _start(self, chunk: int) -> int:
        """First filter-bank frame a chunk is asked with."""
        low, _ = self._rows(chunk)
        return low if self._before[chunk] is not None else max(0, low - self._lead)

    def _mean(self, chunk: int) -> F32:
        """Mean (80,) of the window that ends with a chunk; of the first window for chunks within it."""
        end = max(self._end(chunk), FBANK_PER_WINDOW)
        return self.fbank.mean(end - FBANK_PER_WINDOW, end)

    def _chunk_range(self, chunk: int) -> tuple[int, int]:
        low, high = (row // self.layout.stride - self._flow.delay for row in self._rows(chunk))
        return max(0, low), max(0, high)

    def _feature_range(self, window: int) -> tuple[int, int]:
        """Features centred in a window and known when it ends."""
        start, stride = window * self._unit, self.layout.stride
        first = -(-start // stride)
        return first, max(first, (start + FBANK_PER_WINDOW) // stride - self._flow.delay)

    def _chunk_of(self, feature: int) -> int:
        """The chunk that a feature, given by number, is part of."""
        needed = (feature + self._flow.delay + 1) * self.layout.stride  # filter-bank frames
        return max(0, -(-(needed - FBANK_PER_WINDOW % self._unit) // self._unit))

    def _shared_weights(self, window: int, masks: F32) -> F32:
        first, last = self._feature_range(window)
        stride = self.layout.stride
        return resample_centred(masks, last - first, stride, first * stride - window * self._unit)
