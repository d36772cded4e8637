"""Diarization error rate over a folder of recordings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.machine import Setting
from benchmarks.outputs import concluded, inferred
from benchmarks.references import Pair, rttm_text
from speakrs_stream.core.config import SpeakerBounds
from speakrs_stream.engine import Engine
from speakrs_stream.scoring import Labelled, Score, score, total

Diarizer = Callable[[Pair], tuple[list[Labelled], float]]
"""Gives a recording's turns in seconds, and the recording's length in seconds."""


@dataclass(frozen=True, slots=True)
class Row:
    """One recording, scored."""

    uri: str
    """Name of the recording."""

    score: Score
    """What was wrong."""

    seconds: float
    """Length of the audio."""

    took: float
    """Seconds the diarizer worked on it."""


def evaluate(
    pairs: Iterable[Pair], diarize: Diarizer, *, collar: float = 0.0, once: bool = True, output: Path | None = None
) -> Iterator[Row]:
    """Diarize and score recordings one by one; writes hypotheses as RTTM into `output` where it is given."""
    for pair in pairs:
        begin = time.perf_counter()
        turns, seconds = diarize(pair)
        took = time.perf_counter() - begin
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            (output / f"{pair.uri}.rttm").write_text(rttm_text(pair.uri, turns), encoding="utf-8")
        yield Row(pair.uri, score(pair.reference, turns, collar=collar, once=once), seconds, took)


def diarizer(engine: Engine, *, oracle: bool = False, cache: Path | None = None) -> Diarizer:
    """An engine as a diarizer; with `oracle` it is told the true number of speakers."""

    def diarize(pair: Pair) -> tuple[list[Labelled], float]:
        known = len({turn.speaker for turn in pair.reference}) if oracle and pair.reference else None
        outputs = inferred(engine, pair.audio, cache)
        result = engine.diarization(concluded(engine, outputs, SpeakerBounds.of(known)), pair.uri)
        return [Labelled(turn.start, turn.end, turn.speaker) for turn in result.turns], result.duration

    return diarize


def table(rows: Sequence[Row], *, collar: float) -> Table:
    """Percentages of reference speech per recording and in total, for people."""
    shown = Table(box=box.SIMPLE_HEAD, title=f"DER, collar {collar:g} s, overlap scored")
    shown.add_column("recording")
    for name in ("speech s", "missed %", "false alarm %", "confusion %", "DER %", "speakers ±", "speed"):
        shown.add_column(name, justify="right")
    for row in rows:
        shown.add_row(row.uri, *_cells(row.score, f"{row.score.count_error:d}", row.seconds, row.took))
    whole = total(row.score for row in rows)
    seconds, took = sum(row.seconds for row in rows), sum(row.took for row in rows)
    shown.add_section()
    label = f"{len(rows)} recordings" if len(rows) != 1 else "1 recording"
    shown.add_row(label, *_cells(whole, f"{whole.mean_count_error:.2f}", seconds, took), style="bold")
    return shown


def report(rows: Sequence[Row], *, collar: float, setting: Setting, **about: Any) -> dict[str, Any]:
    """The same as plain values for JSON: seconds and shares, with what is needed to repeat it."""
    whole = total(row.score for row in rows)
    return {
        **about,
        "collar": collar,
        "setting": asdict(setting),
        "total": _values(whole, sum(row.seconds for row in rows), sum(row.took for row in rows)),
        "files": [{"uri": row.uri, **_values(row.score, row.seconds, row.took)} for row in rows],
    }


def _cells(result: Score, count_error: str, seconds: float, took: float) -> list[str]:
    shares = [result.share(part) for part in (result.missed, result.false_alarm, result.confusion)]
    percent = [f"{100 * share:.1f}" for share in [*shares, result.der]]
    return [f"{result.total:.1f}", *percent, count_error, f"{seconds / took:.0f}×" if took > 0 else "-"]


def _values(result: Score, seconds: float, took: float) -> dict[str, float]:
    return {
        "der": result.der,
        "missed": result.missed,
        "false_alarm": result.false_alarm,
        "confusion": result.confusion,
        "speech": result.total,
        "speaker_count_error": result.mean_count_error,
        "audio_seconds": seconds,
        "took_seconds": round(took, 3),
    }
