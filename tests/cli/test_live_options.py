"""What `live` and `mic` share: names of files that overwrite nothing, voices of other bundles, lessons that fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from speakrs_stream.cli.live_options import LiveChoice, free_name, known_voices, learned, make_room, open_store, write
from speakrs_stream.diarization import Diarization
from speakrs_stream.errors import AudioError, OutputError
from speakrs_stream.voices import VoiceStore
from tests.clients.stand_ins import FakeEngine, recorded

CHOICE = LiveChoice(max_delay=None, voices=(), store=None, use_store=False, keep_unnamed=False)


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


def test_names_that_are_free(tmp_path: Path) -> None:
    assert free_name(tmp_path, "call", ["rttm", "json"]) == "call"
    (tmp_path / "call.json").touch()
    (tmp_path / "call-2.rttm").touch()
    assert free_name(tmp_path, "call", ["rttm", "json"]) == "call-3"
    assert free_name(tmp_path, "call", ["srt"]) == "call"


def test_what_was_written_in_words(tmp_path: Path) -> None:
    result = Diarization("x", 16_000, (), (), ())
    files = {form: tmp_path / f"x.{form}" for form in ("rttm", "json", "srt")}
    assert write(result, files) == f"{tmp_path}/x.rttm, {tmp_path}/x.json and {tmp_path}/x.srt"
    assert write(result, {"rttm": tmp_path / "y"}) == f"{tmp_path}/y"


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot create the folder"):
        make_room(tmp_path / "file" / "below")


def test_no_store_unless_asked(tmp_path: Path) -> None:
    assert open_store(CHOICE) is None
    store = open_store(replace(CHOICE, use_store=True, store=tmp_path))
    assert store is not None and store.directory == tmp_path
    default = open_store(replace(CHOICE, use_store=True))
    assert default is not None and default.directory.name == "voices"


def test_voices_from_files_and_from_the_store(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = VoiceStore(tmp_path)
    store.remember("Alice", np.ones(16), engine.bundle)
    store.remember("Bob", np.ones(16), replace(engine.bundle, sha256="f" * 64, name="other"))
    path = recorded(tmp_path / "zoe.wav", "C 0-5")
    voices = known_voices(engine, replace(CHOICE, voices=(("Zoë", path),)), store)
    assert list(voices) == ["Alice", "Zoë"]
    assert "Bob was kept with another model bundle (other)" in capsys.readouterr().err
    with pytest.raises(AudioError, match=r"short\.wav: there is too little clear speech"):
        short = recorded(tmp_path / "short.wav", "C 0-0.3")
        known_voices(engine, replace(CHOICE, voices=(("Zoë", short),)), None)


def test_a_store_that_fails_does_not_cost_the_result(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    result = engine.diarize(recorded(tmp_path / "talk.wav"))
    assert learned(result, engine.bundle, CHOICE, None) is result
    broken = VoiceStore(tmp_path / "file")
    assert learned(result, engine.bundle, replace(CHOICE, keep_unnamed=True), broken) is result
    assert "voices were not kept" in capsys.readouterr().err


def test_names_that_a_lesson_gives(engine: FakeEngine, tmp_path: Path) -> None:
    result = engine.diarize(recorded(tmp_path / "talk.wav", "A 0-12, B 12.5-26"))
    named = learned(result, engine.bundle, replace(CHOICE, keep_unnamed=True), VoiceStore(tmp_path / "kept"))
    assert [speaker.name for speaker in named.speakers] == ["V0001", "V0002"]
    assert named.turns == result.turns
