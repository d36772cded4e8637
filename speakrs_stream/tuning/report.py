"""What was found, for people: figures before, after and held out, and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from speakrs_stream.scoring import Score, total
from speakrs_stream.tuning.search import Plan, Tuned, goal

FEW_RECORDINGS = 6
"""Recordings below which held-out figures say little."""
LITTLE_SPEECH = 1800.0
"""Seconds of speech below which they say little."""


def held_out(tuned: Tuned) -> list[Score]:
    """Scores of recordings by settings found without them; empty unless there is one of each."""
    known = [score for score in tuned.held_out if score is not None]
    return known if len(known) == len(tuned.after) else []


def lines(names: Sequence[str], tuned: Tuned) -> Iterator[str]:
    """Two tables: every recording, then every kind of error."""
    width = max(len("recording"), *(len(name) for name in names))
    yield f"{'recording':{width}}  speech s  DER before  held out   after  speakers before  after"
    missing: list[Score | None] = [None] * len(names)
    outside = list(tuned.held_out) or missing
    for name, before, away, after in zip(names, tuned.before, outside, tuned.after, strict=True):
        shown = "      -" if away is None else f"{100 * away.der:6.1f}%"
        yield (
            f"{name:{width}}  {before.total:8.1f}  {100 * before.der:9.1f}%   {shown}  {100 * after.der:5.1f}%"
            f"  {'off by ' + str(before.count_error):>15}  {after.count_error:5d}"
        )
    yield ""
    yield f"{'all':8}  missed  false alarm  confusion     DER  speakers off by"
    kinds = [("before", list(tuned.before)), ("held out", held_out(tuned)), ("after", list(tuned.after))]
    for what, scores in kinds:
        if scores:
            whole = total(scores)
            yield (
                f"{what:8}  {_percent(whole, whole.missed)}  {_percent(whole, whole.false_alarm):>11}"
                f"  {_percent(whole, whole.confusion):>9}  {100 * whole.der:5.1f}%  {whole.mean_count_error:15.2f}"
            )


def _percent(whole: Score, part: float) -> str:
    return f"{100 * whole.share(part):5.1f}%"


def verdict(tuned: Tuned, plan: Plan) -> Iterator[str]:
    """Sentences about what the figures are worth."""
    speech = sum(score.total for score in tuned.before)
    if len(tuned.before) < FEW_RECORDINGS or speech < LITTLE_SPEECH:
        yield (
            f"{len(tuned.before)} recordings with {speech / 60:.0f} min of speech are few: the figures may be luck. "
            f"Take at least {FEW_RECORDINGS}, of different days and people, "
            f"with {LITTLE_SPEECH / 60:.0f} min of speech."
        )
    outside = held_out(tuned)
    if not outside:
        yield "Nothing was held out, so nobody knows how the settings do on other recordings."
    elif goal(outside, plan.count_weight) >= goal(tuned.before, plan.count_weight):
        yield "On recordings they were not found on, such settings are no better than those before: keep those."
    else:
        yield (
            "Expect the held-out figure on other recordings of this kind; the one called after is too good, as the "
            "settings were chosen for these."
        )
