"""From clustered windows back to the time axis: votes, the frame's top speakers, turns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speakrs_stream.core.aggregation import add_votes
from speakrs_stream.core.arrays import U8, Array
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.grid import Span, frame_to_sample, total_frames
from speakrs_stream.core.history import History

BLOCK = 512
"""Windows whose activity is unpacked at once."""

FRAME_BLOCK = 1 << 16
"""Frames whose speakers are ranked at once."""


def activation_votes(history: History, labels: Array, clusters: int, step: int) -> Array:
    """How many windows vote for each cluster in each frame: (T, K) int16."""
    totals = np.zeros((total_frames(len(history), step), clusters), np.int16)
    for first in range(0, len(history), BLOCK):
        last = min(first + BLOCK, len(history))
        add_votes(totals, first, step, history.activations(first, last), labels[first:last])
    return totals


def top_speakers(totals: Array, counts: U8, *, allow_silent: bool) -> U8:
    """The `counts[t]` columns with most votes in each frame: (T, K) uint8 of 0 and 1.

    Equal votes: the lower column wins. `allow_silent` switches columns on even without a vote (pyannote's
    behaviour, a source of ghost speakers); otherwise a frame may have fewer speakers than its count.
    """
    if allow_silent and len(counts) and counts.max() > totals.shape[1]:
        totals = np.pad(totals, ((0, 0), (0, int(counts.max()) - totals.shape[1])))
    chosen = np.zeros(totals.shape, np.uint8)
    if totals.shape[1]:
        spoken = np.flatnonzero(counts)
        for first in range(0, len(spoken), FRAME_BLOCK):
            rows = spoken[first : first + FRAME_BLOCK]
            chosen[rows] = top_rows(totals[rows].T, counts[rows], allow_silent=allow_silent).T
    return chosen


def top_rows(totals: Array, counts: U8, *, allow_silent: bool) -> U8:
    """`top_speakers` the other way round: the `counts[t]` rows with most votes, (K, T) whole numbers; (K, T)."""
    speakers = len(totals)
    places = min(int(counts.max(initial=0)), speakers)
    if not places:
        return np.zeros(totals.shape, np.uint8)
    rank = np.array(totals, np.int32, order="C")  # no two in a frame are equal; what was picked counts as -1
    rank *= speakers
    rank += np.arange(speakers - 1, -1, -1, dtype=np.int32)[:, None]
    picked = np.zeros(totals.shape, np.bool_)
    for place in range(places):
        won = rank == rank.max(axis=0)
        won &= counts > place
        picked |= won
        np.copyto(rank, -1, where=won)
    if not allow_silent:
        picked &= totals > 0
    return picked.view(np.uint8)


def runs(column: Array) -> Array:
    """Stretches of non-zero values: (n, 2) start and one past the end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (np.asarray(column) != 0).astype(np.int8), [0]])))
    return edges.reshape(-1, 2)


def column_runs(matrix: Array) -> list[tuple[int, int, int]]:
    """Stretches of non-zero values in each column of (frames, P): column, start and one past the end, by column."""
    frames, columns = matrix.shape
    padded = np.zeros((columns, frames + 1), np.bool_)  # a column ends where the next one begins
    padded[:, :-1] = matrix.T != 0
    flat = padded.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if len(flat) and flat[0]:
        edges = np.concatenate([[0], edges])
    column, at = np.divmod(edges, frames + 1)
    return list(zip(column[::2].tolist(), at[::2].tolist(), at[1::2].tolist(), strict=True))


def clean_runs(stretches: Array, min_on: int, min_off: int) -> Array:
    """Drop stretches shorter than `min_on` frames, then join those less than `min_off` frames apart."""
    kept = stretches[(stretches[:, 1] - stretches[:, 0]) >= min_on]
    if min_off and len(kept) > 1:
        gaps = kept[1:, 0] - kept[:-1, 1]
        first = np.concatenate([[True], gaps >= min_off])
        kept = np.stack([kept[first, 0], kept[np.concatenate([first[1:], [True]]), 1]], axis=1)
    return kept


@dataclass(frozen=True, slots=True, order=True)
class CoreTurn:
    """One speaker, one span."""

    span: Span
    """Samples at 16 kHz."""
    speaker: int
    """Column of the matrix it came from."""


def turns(matrix: U8, config: PipelineConfig, samples: int) -> list[CoreTurn]:
    """Turns of a (T, K) matrix of 0 and 1, sorted by start.

    A turn runs from the middle of its first frame to the middle of the first frame after it; the last frame has
    no such follower, so a turn still open there ends at its middle. Unless `parity`, a turn ends with the audio.
    """
    out = []
    limit = frame_to_sample(len(matrix) - 1) if len(matrix) else 0
    if not config.parity:
        limit = min(limit, samples)
    for speaker in range(matrix.shape[1]):
        for start, end in clean_runs(runs(matrix[:, speaker]), config.min_on, config.min_off):
            low, high = frame_to_sample(int(start)), min(frame_to_sample(int(end)), limit)
            if low < high:
                out.append(CoreTurn(Span(low, high), speaker))
    return sorted(out)


def by_appearance(found: list[CoreTurn]) -> list[int]:
    """Columns in the order in which they are first heard."""
    return list(dict.fromkeys(turn.speaker for turn in found))
