"""DER by interval arithmetic, by hand and against pyannote.metrics."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.scoring import Labelled, Score, merged, score, total


def test_by_hand() -> None:
    reference = [Labelled(0, 10, "A"), Labelled(8, 20, "B")]
    hypothesis = [Labelled(0, 12, "x"), Labelled(12, 25, "y")]
    result = score(reference, hypothesis)
    assert (result.total, result.missed, result.false_alarm, result.confusion) == (22.0, 2.0, 5.0, 2.0)
    assert result.mapping == {"x": "A", "y": "B"}
    assert result.der == pytest.approx(9 / 22)
    assert result.share(result.missed) == pytest.approx(2 / 22)


def test_collar_is_the_full_width() -> None:
    reference, hypothesis = [Labelled(1, 3, "A")], [Labelled(0.9, 3.3, "x")]
    assert score(reference, hypothesis, collar=0.2).false_alarm == pytest.approx(0.2)
    assert score(reference, hypothesis, collar=0.6).error == pytest.approx(0.0)
    assert score(reference, hypothesis, collar=0.6).total == pytest.approx(1.4)
    with pytest.raises(ValueError, match="collar"):
        score(reference, hypothesis, collar=-0.1)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "der", "count_error"),
    [
        ([], [], 0.0, 0),
        ([Labelled(0, 1, "A")], [], 1.0, 1),
        ([], [Labelled(0, 1, "x")], 1.0, 1),
        ([Labelled(1, 1, "A")], [], 0.0, 0),
        ([Labelled(0, 1, "A"), Labelled(2, 3, "B")], [Labelled(0, 3, "x")], 1.0, 1),
        ([Labelled(0, 1, "A")], [Labelled(5, 6, "x")], 2.0, 0),
    ],
)
def test_edges_of_the_definition(
    reference: list[Labelled], hypothesis: list[Labelled], der: float, count_error: int
) -> None:
    result = score(reference, hypothesis)
    assert result.der == pytest.approx(der)
    assert result.count_error == count_error


def test_a_speaker_over_himself_counts_once_unless_asked() -> None:
    reference = [Labelled(0, 4, "A"), Labelled(2, 6, "A"), Labelled(6, 7, "A")]
    assert merged(reference) == [Labelled(0, 6, "A"), Labelled(6, 7, "A")]
    assert score(reference, [Labelled(0, 7, "x")]) == Score(total=7.0, files=1)
    assert score(reference, [Labelled(0, 7, "x")], once=False) == Score(total=9.0, missed=2.0, files=1)


def test_sum_weighs_by_speech() -> None:
    short = Score(total=10.0, missed=5.0, count_error=1, files=1)
    long = Score(total=90.0, false_alarm=5.0, count_error=2, files=1)
    both = total([short, long])
    assert both.der == pytest.approx(0.1)
    assert both.mean_count_error == pytest.approx(1.5)
    assert total([]) == Score()


def _random(seed: int, labels: str, ticks: int) -> list[Labelled]:
    """Up to 25 turns in 60 s, edges on a grid of `ticks` per second; turns of one speaker may overlap."""
    rng = np.random.default_rng(seed)
    turns = []
    for _ in range(int(rng.integers(0, 26))):
        start, length = int(rng.integers(0, 60 * ticks)), int(rng.integers(1, 8 * ticks))
        turns.append(Labelled(start / ticks, (start + length) / ticks, str(rng.choice(list(labels)))))
    return turns


def _peer(reference: list[Labelled], hypothesis: list[Labelled], collar: float) -> dict[str, float]:
    from pyannote.core import Annotation, Segment
    from pyannote.metrics.diarization import DiarizationErrorRate

    def annotation(turns: list[Labelled]) -> Annotation:
        result = Annotation()
        for track, turn in enumerate(turns):
            result[Segment(turn.start, turn.end), track] = turn.speaker
        return result

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = DiarizationErrorRate(collar=collar)
        detail: dict[str, float] = metric(annotation(reference), annotation(hypothesis), detailed=True)
    return detail


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    collar=st.sampled_from([0.0, 0.25, 0.5, 1.3]),
    ticks=st.sampled_from([100, 10_000]),
    once=st.booleans(),
)
def test_equals_pyannote(seed: int, collar: float, ticks: int, once: bool) -> None:
    pytest.importorskip("pyannote.metrics")
    reference, hypothesis = _random(seed, "ABCD", ticks), _random(seed + 1, "wxyz", ticks)
    if once:
        theirs = _peer(merged(reference), merged(hypothesis), collar)
    else:
        theirs = _peer(reference, hypothesis, collar)
    ours = score(reference, hypothesis, collar=collar, once=once)
    assert ours.total == pytest.approx(theirs["total"], abs=1e-9)
    assert ours.missed == pytest.approx(theirs["missed detection"], abs=1e-9)
    assert ours.false_alarm == pytest.approx(theirs["false alarm"], abs=1e-9)
    assert ours.confusion == pytest.approx(theirs["confusion"], abs=1e-9)
    assert ours.der == pytest.approx(theirs["diarization error rate"], abs=1e-9)


def test_eight_hours_in_seconds() -> None:
    rng = np.random.default_rng(0)
    starts = np.sort(rng.uniform(0, 28_800, 20_000))
    turns = [Labelled(float(s), float(s + d), f"S{k}") for s, d, k in
             zip(starts, rng.uniform(0.2, 5, 20_000), rng.integers(0, 12, 20_000), strict=True)]  # fmt: skip
    begin = time.perf_counter()
    result = score(turns, turns, collar=0.25)
    assert result.error == pytest.approx(0.0, abs=1e-6)
    assert time.perf_counter() - begin < 10
