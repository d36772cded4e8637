"""Options that commands share."""

from __future__ import annotations

from typing import Any

import click
import pytest

from speakrs_stream.cli.options import (
    SpeakerCount,
    count_options,
    debug_option,
    engine_choice,
    engine_options,
    quiet_option,
    speaker_count,
    stacked,
)
from speakrs_stream.cli.shell import EngineChoice, Shell


def counts(num: int | None = None, low: int | None = None, high: int | None = None) -> dict[str, Any]:
    return {"num_speakers": num, "min_speakers": low, "max_speakers": high}


def test_values_are_taken_out() -> None:
    asked = {"bundle": "embedded", "mode": "auto", "backend": "cpu", "step": "2", "embedding": "fast", "threads": 3}
    values = asked | {"other": 1} | counts(low=2, high=2)
    expected = EngineChoice(bundle="embedded", backend="cpu", step=2.0, embedding="fast", threads=3)
    assert engine_choice(values) == expected
    assert speaker_count(values) == SpeakerCount(min_speakers=2, max_speakers=2)
    assert values == {"other": 1}


def test_nothing_asked_leaves_everything_open() -> None:
    nothing = {"bundle": None, "mode": "auto", "backend": "auto", "step": None, "embedding": None, "threads": None}
    assert engine_choice(nothing) == EngineChoice()
    assert speaker_count(counts()) == SpeakerCount()


@pytest.mark.parametrize("values", [counts(2, low=1), counts(2, high=3), counts(low=4, high=3)])
def test_impossible_numbers_are_wrong_usage(values: dict[str, Any]) -> None:
    with pytest.raises(click.UsageError):
        speaker_count(values)


def test_options_are_listed_in_the_order_given() -> None:
    @click.command()
    @engine_options
    @count_options
    @quiet_option
    @debug_option
    def command(**values: Any) -> None:
        """Nothing."""

    assert [option.name for option in command.params] == [
        *("bundle", "mode", "backend", "step", "embedding", "threads"),
        *("num_speakers", "min_speakers", "max_speakers", "quiet", "debug"),
    ]


def test_debug_is_noted_in_the_shell() -> None:
    @click.command()
    @debug_option
    def command() -> None:
        """Nothing."""

    shell = Shell()
    command.main(["--debug"], obj=shell, standalone_mode=False)
    assert shell.debug
    command.main([], standalone_mode=False)  # without a shell there is nothing to note


def test_stacked_keeps_the_order_of_decorators() -> None:
    order: list[str] = []

    def noting(name: str) -> Any:
        def decorate(function: Any) -> Any:
            order.append(name)
            return function

        return decorate

    stacked(lambda: None, noting("a"), noting("b"))
    assert order == ["b", "a"]  # the last is applied first, as decorators written below each other are
