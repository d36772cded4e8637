"""What a session asks of a model. Whoever drives the session answers; see engine.py for the inline way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from speakrs_stream.core.arrays import Array

Model = Literal["segmentation", "filters", "trunk", "flow", "head", "pooled", "multimask"]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One inference, without batch axis, so that anybody can stack jobs of many streams."""

    id: int
    """Number of the question within its session."""

    model: Model
    """Which network is asked."""

    inputs: Mapping[str, Array]
    """segmentation: samples (160000,), or what `core.filters` makes of filtered ones · filters: samples (n,) · trunk:
    fbank (T, 80) · flow: fbank (T, 80) and context (S,) · head: statistics (2C,) · pooled: features (T', C) and
    weights (3, T') · multimask: fbank (998, 80) and masks (3, 589). The answer is one array: (589, 7) · (pool,
    rows, columns) · (T', C) · (T / stride * C + S,), features and the next context · (D,) · (3, D) · (3, D)."""

    about: tuple[int, int, int] = (0, 0, 0)
    """What is asked about, for logs and scripted answers: source (0 the stream, n its first n steps padded, -n the
    end of its first n samples padded), number of the window or chunk within it, local speaker."""
