"""Progress on a terminal: how far, how fast, how long still. Elsewhere nothing is shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from speakrs_stream.cli.shell import console, interactive
from speakrs_stream.cli.timeline import clock
from speakrs_stream.core.grid import seconds
from speakrs_stream.formats.text import one_line

if TYPE_CHECKING:
    from rich.progress import TaskID

    from speakrs_stream.engine import Progress
    from speakrs_stream.models.hub import DownloadProgress, OnProgress


class Tally:
    """Samples done and to do over all recordings of a run. Pure; `now` in seconds is an argument.

    lengths: recording -> expected samples at 16 kHz
    """

    def __init__(self, lengths: Sequence[int], now: float) -> None:
        self._lengths = list(lengths)
        self._done = [0] * len(lengths)
        self._began = now

    @property
    def total(self) -> int:
        """Samples of all recordings."""
        return sum(self._lengths)

    @property
    def done(self) -> int:
        """Samples worked off."""
        return sum(self._done)

    def advance(self, recording: int, progress: Progress) -> None:
        """Take in an engine's report about one recording."""
        if progress.stage == "inference":  # what comes after takes a blink
            self._done[recording] = max(self._done[recording], min(progress.completed, self._lengths[recording]))

    def finish(self, recording: int) -> None:
        """A recording is done with, whether it worked or not."""
        self._done[recording] = self._lengths[recording]

    def times_real_time(self, now: float) -> float | None:
        """Seconds of audio worked off in a second; None before anything is known."""
        spent = now - self._began
        return seconds(self.done) / spent if spent > 0 and self.done else None

    def left(self, now: float) -> float | None:
        """Seconds until everything is done, if it goes on like this; None before anything is known."""
        rate = self.times_real_time(now)
        return seconds(self.total - self.done) / rate if rate else None

    def describe(self, now: float) -> str:
        """`1:30 of 10:00 · 45× real time · 0:12 left`."""
        rate, left = self.times_real_time(now), self.left(now)
        parts = [f"{clock(seconds(self.done))} of {clock(seconds(self.total))}"]
        if rate is not None and left is not None:
            parts += [f"{pace(rate)} real time", f"{clock(left + 0.999)} left"]
        return " · ".join(parts)


def pace(rate: float) -> str:
    """A speed-up as people write it: `0.8×`, `4.3×`, `45×`."""
    return f"{rate:.0f}×" if rate >= 10 else f"{rate:.1f}×"


class Reporter(Protocol):
    """Shows how far a run is."""

    def advance(self, recording: int, progress: Progress) -> None:
        """An engine's report; may come from any thread."""

    def finish(self, recording: int) -> None:
        """A recording is done with."""


class Silent:
    """Shows nothing."""

    def advance(self, recording: int, progress: Progress) -> None:
        """Nothing to do."""

    def finish(self, recording: int) -> None:
        """Nothing to do."""


class Bar:
    """One bar on standard error over all recordings; made by `reporter`."""

    def __init__(self, names: Sequence[str], lengths: Sequence[int]) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._names = names
        self._open = list(range(len(names)))
        self._tally = Tally(lengths, time.monotonic())
        self.display = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[how]}"),
            console=console(stderr=True),
            transient=True,
            expand=True,
            redirect_stdout=False,  # results may go there
        )
        self._task: TaskID = self.display.add_task("", total=max(1, self._tally.total), how="")
        self._show()

    def advance(self, recording: int, progress: Progress) -> None:
        """Move the bar."""
        self._tally.advance(recording, progress)
        self._show()

    def finish(self, recording: int) -> None:
        """Count a recording as done and name the next."""
        self._tally.finish(recording)
        if recording in self._open:
            self._open.remove(recording)
        self._show()

    def _show(self) -> None:
        from rich.markup import escape

        number = len(self._names) - len(self._open) + 1
        name = self._names[self._open[0]] if self._open else ""
        label = name if len(self._names) == 1 or not name else f"{number}/{len(self._names)} {name}"
        self.display.update(
            self._task,
            description=escape(label),
            completed=self._tally.done,
            how=escape(self._tally.describe(time.monotonic())),
        )


@contextmanager
def reporter(names: Sequence[str], lengths: Sequence[int], *, quiet: bool) -> Iterator[Reporter]:
    """A bar where a person watches standard error and did not ask for quiet; otherwise nothing.

    names: what to call each recording
    lengths: its expected samples at 16 kHz
    """
    if quiet or not interactive(sys.stderr):
        yield Silent()
        return
    bar = Bar(names, lengths)
    with bar.display:
        yield bar


@contextmanager
def download_bar(*, quiet: bool = False) -> Iterator[OnProgress | None]:
    """What to tell a download's progress: a bar where a person watches standard error, otherwise None.

    The bar appears with the first report, so that nothing is shown when nothing is downloaded.
    """
    if quiet or not interactive(sys.stderr):
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        *(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()),
    )
    display = Progress(*columns, console=console(stderr=True), transient=True, expand=True, redirect_stdout=False)
    tasks: list[TaskID] = []

    def report(progress: DownloadProgress) -> None:
        from rich.markup import escape

        if not tasks:
            display.start()
            tasks.append(display.add_task(""))
        label = escape(one_line(progress.file))
        display.update(tasks[0], description=label, completed=progress.completed, total=progress.total)

    try:
        yield report
    finally:
        display.stop()
