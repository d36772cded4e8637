"""How quick a machine is in the hour of a measurement: one piece of work that the goals' machine did, too."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

from benchmarks.speed.material import sound
from speakrs_stream.core.embedding.fbank import fbank
from speakrs_stream.core.grid import SAMPLE_RATE, WINDOW
from speakrs_stream.engine import Engine
from speakrs_stream.models.bundle import ModelBundle

THERE = 0.169
"""Seconds that the machine on which the goals were set took for a window's trunk of community-1's shape."""


def trunk(bundle: ModelBundle) -> Callable[[], float]:
    """The trunk over one window of 10 s, on one thread: what to call, and it says how many seconds it took.

    bundle: `material.community_shapes`
    """
    networks = Engine(bundle, mode="cpu", embedding="fast", threads=1).networks
    rows = fbank(sound(WINDOW / SAMPLE_RATE))[None]

    def timed() -> float:
        begin = process_time()
        networks.trunk(rows)
        return process_time() - begin

    return timed
