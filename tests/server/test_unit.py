"""One session's hearing: how it is fed does not matter, and neither does a save in between."""

from __future__ import annotations

import pytest

from speakrs_server import messages
from speakrs_server.messages import AudioFormat
from speakrs_server.unit import Recipe, Unit, bounds_of, least_delay_ms, recipe_for
from speakrs_stream.core.config import SpeakerBounds
from speakrs_stream.core.events import Event, SpeakerMerged, SpeakerNamed
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.driver import answer
from speakrs_stream.errors import BadFormat, ConfigError, SessionError
from tests.server.rig import engine, talk


def recipe(**audio: object) -> Recipe:
    bundle = engine()
    base = Recipe(bundle.config, LiveConfig(), bundle.model, "f", AudioFormat(), SpeakerBounds())
    return recipe_for(messages.SessionStart(audio=AudioFormat(**audio)), 2000, base)  # type: ignore[arg-type]


def fed(unit: Unit, data: bytes, start: int, block: int) -> list[Event]:
    events: list[Event] = []
    for at in range(start, len(data) // 2, block):
        unit.push(data[2 * at : 2 * (at + block)], at)
        events += answer(unit, engine().networks)
    return events


def ended(unit: Unit) -> list[Event]:
    unit.finish()
    events = list(answer(unit, engine().networks))
    events += unit.close()
    return [*events, *answer(unit, engine().networks)]


def test_pieces_and_saves_do_not_matter() -> None:
    data = talk()
    plain = Unit(recipe())
    expected = [*fed(plain, data, 0, 40_000), *ended(plain)]
    assert plain.processed == plain.position == len(data) // 2 and not plain.busy
    saved = Unit(recipe())
    events = fed(saved, data[: 2 * 150_000], 0, 1_600)
    saved = Unit.restore(saved.snapshot(), recipe())
    events += fed(saved, data, 150_000, 7_001)
    assert [*events, *ended(saved)] == expected
    assert saved.outcomes()[0].turns == plain.outcomes()[0].turns


def test_commands() -> None:
    unit = Unit(recipe())
    fed(unit, talk(), 0, 16_000)
    assert unit.command(messages.SpeakerRename(speaker="S1", name="Ann")) == [SpeakerNamed(1, "Ann")]
    assert unit.command(messages.SpeakerDifferent(first="S1", second="S2")) == []
    assert unit.command(messages.SpeakersHint(count=2)) == []
    assert unit.command(messages.TurnReject(turn="t_0001"))
    assert SpeakerMerged(2, 1) in unit.command(messages.SpeakerSame(speaker="S2", into="S1"))
    with pytest.raises(SessionError):
        unit.command(messages.SpeakerRename(speaker="S9", name="Ann"))


def test_what_is_impossible() -> None:
    with pytest.raises(ConfigError):
        bounds_of(messages.SpeakerHint(min=3, max=2))
    unit = Unit(recipe(encoding="pcm_f32le"))
    with pytest.raises(BadFormat):
        unit.push(b"\0\0\xc0\x7f" * 200_000, 0)


def test_the_sound_is_judged() -> None:
    unit = Unit(recipe())
    unit.push(b"\xff\x7f" * 16_000, 0)
    assert any("clipped" in warning for warning in unit.quality)


def test_the_least_delay_is_a_window_that_is_waited_for_and_a_second() -> None:
    assert least_delay_ms(SAMPLE_RATE) == 2_000 and least_delay_ms(2 * SAMPLE_RATE) == 3_000
