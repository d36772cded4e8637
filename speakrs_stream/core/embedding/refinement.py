"""Exact embeddings of a recording that has been heard with fast ones, a few windows at a time."""

from __future__ import annotations

from typing import Any

from speakrs_stream.core.arrays import Array
from speakrs_stream.core.embedding.extraction import EmbeddingLayout, Extraction, Question
from speakrs_stream.core.embedding.fbank import Fbank
from speakrs_stream.core.history import History

AHEAD = 16
"""Windows asked about at once; bounds the memory their filter banks take."""


class Refinement(Extraction):
    """Goes through the windows once more, over the filter bank that was kept."""

    def __init__(self, layout: EmbeddingLayout, step: int, fbank: Fbank) -> None:
        """fbank: of the whole recording"""
        super().__init__(layout, step)
        self.fbank = fbank
        self._next = 0  # first window not asked about
        self._open: list[int] = []  # windows asked about whose embeddings are not written yet

    def advance(self, history: History) -> list[Question]:
        """Write finished embeddings into `history`; the questions to ask next, none when all is done."""
        for window in [one for one in self._open if not self.pending(one)]:
            history.embeddings[window] = self.take(window)
            self._open.remove(window)
        asked: list[Question] = []
        while self._next < len(history) and len(self._open) < AHEAD:
            questions = self.push(self._next, history.activity(self._next))
            if questions:
                asked += questions
                self._open.append(self._next)
            else:
                history.embeddings[self._next] = self.take(self._next)
            self._next += 1
        self.forget(min(self._open, default=self._next))
        return asked

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain values and arrays for a snapshot."""
        plain, arrays = super().state()
        return {**plain, "refinement": [self._next, self._open]}, arrays

    def restore(self, plain: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Take over what `state` saved."""
        super().restore(plain, arrays)
        self._next, self._open = plain["refinement"][0], list(plain["refinement"][1])
