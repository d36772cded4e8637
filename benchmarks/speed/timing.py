"""Repeated measurements: everything that is compared runs in turn, so that a noisy machine is noisy for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import click


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one thing."""

    values: tuple[float, ...]
    """In the order taken; at least one."""

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)

    @property
    def low(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest."""
        return max(self.values)

    def scaled(self, convert: Callable[[float], float]) -> Spread:
        """Every measurement converted, such as seconds to a speed."""
        return Spread(tuple(convert(value) for value in self.values))


def tell(line: str) -> None:
    """Progress, on standard error."""
    click.echo(line, err=True)


def in_turn(
    measurements: Mapping[str, Callable[[], float]], runs: int, report: Callable[[str], None] = lambda line: None
) -> dict[str, Spread]:
    """Take every measurement once, then every one again, `runs` times; a first round that does not count warms up.

    report: told after each round
    """
    values: dict[str, list[float]] = {name: [] for name in measurements}
    for number in range(runs + 1):
        for name, measure in measurements.items():
            value = measure()
            if number:
                values[name].append(value)
        report(f"round {number} of {runs}" if number else "warm")
    return {name: Spread(tuple(taken)) for name, taken in values.items()}


@contextmanager
def one_core() -> Iterator[int | None]:
    """Keep this process and its threads on one core, where the system can; yields its number, or None."""
    import os

    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)
