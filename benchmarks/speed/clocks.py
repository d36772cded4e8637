"""Processor time of named functions while others run them, each without that of the clocked functions it calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib import import_module
from types import TracebackType
from typing import Any, TypeVar

R = TypeVar("R")

RECLUSTERING = "re-clustering"
WHOLE = {RECLUSTERING: ("core.live.identity:Identity._recluster",)}
"""Re-clusterings with everything in them."""

PARTS = {
    "gate in front": ("audio.live:LiveInput.push",),
    "filter bank": ("core.embedding.fbank:fbank",),
    "window's own mean off its filter bank": (
        *("core.embedding.extraction:Extraction._window_fbank", "core.embedding.flow:Flow._mean"),
    ),
    "level of the window, for carried filters": ("core.filters:Filters._level",),
    "pooling, and gathering features for it": (
        *("core.embedding.extraction:Extraction._gathered", "core.embedding.extraction:Extraction._begin"),
        *("core.embedding.extraction:moments", "core.embedding.extraction:pool_moments"),
        "core.embedding.extraction:pool",
    ),
    "decoding, and counting frames": ("core.session:decode", "core.activity:Activity.__post_init__"),
    "history and counts": (
        "core.history:History.push",
        *("core.aggregation:SpeakerCount.push", "core.aggregation:SpeakerCount.counted"),
    ),
    "who is who": ("core.live.identity:Identity.assign", "core.live.timeline:Shown.shares"),
    "newcomers, features": (
        *("core.live.identity:Identity._strangers", "core.live.identity:Identity._newcomer"),
        "core.live.identity:Identity.push",
    ),
    "what is shown: votes, top speakers": ("core.live.session:show",),
    "turns and events": (
        *("core.live.turns:TurnTracker.push", "core.live.session:smoothed"),
        "core.reducer:Reducer.push",
    ),
    "re-clustering: distances and linkage": ("core.clustering.ahc:quick",),
    "re-clustering: VBx": ("core.live.reclustering:vbx",),
    "re-clustering: groups of old items": ("core.live.memory:Memory._compact",),
    "re-clustering: the rest": ("core.live.identity:Identity._recluster",),
}
"""What a live session does, by function of the package; those that are not named are the rest."""


class Clocks:
    """Clocks at functions for as long as it is entered; each entry costs two looks at the clock, which it counts."""

    def __init__(self, parts: Mapping[str, Sequence[str]]) -> None:
        """parts: name -> functions, as `module:function` or `module:Class.method` of the package"""
        self.spent = dict.fromkeys(parts, 0.0)
        """Seconds of this thread in each part."""
        self._parts = parts
        self._inside: str | None = None
        self._since = 0.0
        self._before: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Clocks:
        for part, places in self._parts.items():
            for place in places:
                owner, name = found(place)
                self._before.append((owner, name, vars(owner)[name]))
                setattr(owner, name, self._clocked(part, getattr(owner, name)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._before:
            setattr(*self._before.pop())

    def _clocked(self, part: str, function: Callable[..., R]) -> Callable[..., R]:
        @wraps(function)
        def timed(*arguments: Any, **options: Any) -> R:
            outer, now = self._inside, time.thread_time()
            if outer is not None:
                self.spent[outer] += now - self._since
            self._inside, self._since = part, now
            try:
                return function(*arguments, **options)
            finally:
                now = time.thread_time()
                self.spent[part] += now - self._since
                self._inside, self._since = outer, now

        return timed


def found(place: str) -> tuple[Any, str]:
    """The module or class that holds a function of the package, and its name there; AttributeError where it is not."""
    module, _, path = place.partition(":")
    owner: Any = import_module(f"speakrs_stream.{module}")
    *classes, name = path.split(".")
    for one in classes:
        owner = getattr(owner, one)
    if name not in vars(owner):
        raise AttributeError(f"{place} is not there to be clocked")
    return owner, name
