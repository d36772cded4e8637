"""The voice store: files for their owner alone, voices over recordings, other bundles refused, all of it deletable."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.diarization import Diarization, Speaker, Turn
from speakrs_stream.errors import ConfigError, FormatError, OutputError
from speakrs_stream.voices import VoiceStore, default_directory

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Bundle:
    name: str = "embedded"
    sha256: str = "a" * 64


OURS, OTHER = Bundle(), Bundle("community-1", "b" * 64)
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX file modes")


def person(number: int, wobble: float = 0.1, seed: int = 0) -> Vector:
    """How somebody sounds in one recording: near an axis of his own."""
    noise = np.random.default_rng(100 * number + seed).normal(size=32) * wobble / np.sqrt(32)
    return np.asarray(3 * (np.eye(32)[number] + noise), np.float32)


def recording(people: Iterable[tuple[Vector | None, float, str | None]]) -> Diarization:
    """Somebody after the other: print, seconds of speech, name."""
    turns, speakers, at = [], [], 0
    for index, (embedding, seconds, name) in enumerate(people):
        label, end = f"SPEAKER_{index:02d}", at + round(seconds * SAMPLE_RATE)
        turns.append(Turn(Span(at, end), label))
        speakers.append(Speaker(label, name, embedding))
        at = end
    return Diarization("call", at, tuple(turns), tuple(turns), tuple(speakers), "embedded")


@pytest.fixture
def store(tmp_path: Path) -> VoiceStore:
    return VoiceStore(tmp_path / "kept" / "voices")


def test_a_store_that_was_never_used_is_empty_and_leaves_no_trace(store: VoiceStore) -> None:
    assert store.names() == [] and store.voices(OURS) == {} and store.strangers(OURS) == []
    assert not store.directory.exists()


def test_a_voice_is_remembered_and_recognised(store: VoiceStore) -> None:
    store.remember("Alice", person(1), OURS)
    store.remember("Bob", person(2), OURS)
    again = VoiceStore(store.directory)
    assert again.names() == ["Alice", "Bob"]
    known = again.voices(OURS)
    np.testing.assert_allclose(known["Alice"], person(1) / np.linalg.norm(person(1)), atol=1e-6)
    heard = again.recognise(recording([(person(2, seed=1), 20, None), (person(9), 20, None)]), OURS)
    assert [speaker.name for speaker in heard.speakers] == ["Bob", None]


def test_one_voice_is_not_two_people_and_the_best_fit_wins(store: VoiceStore) -> None:
    store.remember("Alice", person(1), OURS)
    near, nearer = person(1, wobble=0.8, seed=3), person(1, wobble=0.1, seed=4)
    heard = store.recognise(recording([(near, 20, None), (nearer, 20, None)]), OURS)
    assert [speaker.name for speaker in heard.speakers] == [None, "Alice"]
    taken = store.recognise(recording([(nearer, 20, None), (None, 20, "Alice")]), OURS)
    assert [speaker.name for speaker in taken.speakers] == [None, "Alice"]


def test_voices_of_another_bundle_are_not_used_and_that_is_said(store: VoiceStore) -> None:
    store.remember("Alice", person(1), OURS)
    store.remember("Bob", person(2), OTHER)
    assert list(store.voices(OURS)) == ["Alice"] and list(store.voices(OTHER)) == ["Bob"]
    (sentence,) = store.strangers(OURS)
    assert sentence.startswith("Bob was kept with another model bundle (community-1) and cannot be recognised with")
    heard = store.recognise(recording([(person(2), 20, None)]), OURS)
    assert heard.speakers[0].name is None
    store.remember("Bob", person(2), OURS)
    assert store.strangers(OURS) == [] and store.names() == ["Alice", "Bob"]


@POSIX
def test_files_are_their_owners_alone_from_the_first_byte(store: VoiceStore) -> None:
    store.remember("Alice", person(1), OURS)
    (file,) = store.directory.iterdir()
    file.chmod(0o644)  # somebody's restore from a backup
    store.remember("Alice", person(1, seed=2), OURS)
    assert {stat.S_IMODE(path.stat().st_mode) for path in store.directory.iterdir()} == {0o600}
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700
    export = store.directory.parent / "export.json"
    store.export(export)
    assert stat.S_IMODE(export.stat().st_mode) == 0o600


def test_file_names_hold_no_names(store: VoiceStore) -> None:
    for name in ("../../etc/passwd", "Ann/Bob", ".", "CON", "Zoë"):
        store.remember(name, person(1), OURS)
    assert sorted(store.names()) == sorted(["../../etc/passwd", "Ann/Bob", ".", "CON", "Zoë"])
    assert all(len(path.name) == 32 + len(".voice.json") for path in store.directory.iterdir())


def test_learning_improves_known_voices_and_keeps_named_ones(store: VoiceStore) -> None:
    store.remember("Alice", person(1, wobble=0.5), OURS)
    before = float(store.voices(OURS)["Alice"] @ person(1, wobble=0) / 3)
    learned = store.learn(
        recording(
            [
                (person(1, seed=1), 60, None),  # recognised here
                (person(2), 12, "Bob"),  # named by hand
                (person(3), 30, None),  # nobody knows
                (person(4), 9, "Short"),  # too little for a new voice
                (None, 30, "Silent"),
            ]
        ),
        OURS,
    )
    assert (learned.added, learned.updated) == (("Bob",), ("Alice",))
    assert dict(learned.names) == {"SPEAKER_00": "Alice", "SPEAKER_01": "Bob"}
    assert store.names() == ["Alice", "Bob"]
    assert float(store.voices(OURS)["Alice"] @ person(1, wobble=0) / 3) > before


def test_too_little_speech_teaches_nothing(store: VoiceStore) -> None:
    store.remember("Alice", person(1), OURS)
    before = store.voices(OURS)["Alice"]
    assert store.learn(recording([(person(1, seed=1), 2.9, "Alice")]), OURS).updated == ()
    np.testing.assert_array_equal(store.voices(OURS)["Alice"], before)


def test_a_name_shown_by_mistake_does_not_spoil_a_voice_unless_a_person_said_so(store: VoiceStore) -> None:
    store.remember("Alice", person(1), OURS)
    wrong = recording([(person(5), 60, "Alice")])
    assert store.learn(wrong, OURS).updated == ()
    assert store.learn(wrong, OURS, confirmed={"Alice"}).updated == ("Alice",)
    assert store.recognise(recording([(person(5, seed=1), 20, None)]), OURS).speakers[0].name == "Alice"
    assert store.recognise(recording([(person(1, seed=1), 20, None)]), OURS).speakers[0].name == "Alice"


def test_people_without_a_name_get_lasting_ids_only_when_asked(store: VoiceStore) -> None:
    first = recording([(person(1), 30, None), (person(2), 30, None), (person(3), 5, None)])
    assert store.learn(first, OURS).added == ()
    assert store.learn(first, OURS, numbered=True).added == ("V0001", "V0002")
    later = store.recognise(recording([(person(2, seed=1), 20, None), (person(4), 20, None)]), OURS)
    assert [speaker.name for speaker in later.speakers] == ["V0002", None]
    assert store.learn(later, OURS, numbered=True).added == ("V0003",)
    store.forget("V0003")
    assert store.learn(recording([(person(5), 20, None)]), OURS, numbered=True).added == ("V0004",)


def test_renaming(store: VoiceStore) -> None:
    store.learn(recording([(person(1), 30, None)]), OURS, numbered=True)
    store.remember("Bob", person(2), OURS)
    store.rename("V0001", "Alice")
    assert store.names() == ["Alice", "Bob"]
    assert not any(voice.numbered for voice in store.all())
    with pytest.raises(ConfigError, match="called 'Bob' already"):
        store.rename("Alice", "Bob")
    store.rename("Alice", "Bob", merge=True)
    assert store.names() == ["Bob"]
    assert len(store.all()[0].prints[OURS.sha256].prototypes) == 2
    store.rename("Bob", "Bob")
    assert store.names() == ["Bob"]
    with pytest.raises(ConfigError, match="no voice is called 'Zoë'; there are: Bob"):
        store.rename("Zoë", "Z")


def test_forgetting_leaves_nothing(store: VoiceStore) -> None:
    store.remember("Alice", person(1), OURS)
    store.forget("Alice")
    assert store.names() == [] and list(store.directory.iterdir()) == []
    with pytest.raises(ConfigError, match="there are: none"):
        store.forget("Alice")


def test_export_and_import(store: VoiceStore, tmp_path: Path) -> None:
    store.remember("Alice", person(1), OURS)
    store.remember("Bob", person(2), OTHER)
    store.learn(recording([(person(3), 30, None)]), OURS, numbered=True)
    everything = tmp_path / "all.json"
    assert store.export(everything) == ["Alice", "Bob", "V0001"]
    assert store.export(tmp_path / "one.json", ["Bob"]) == ["Bob"]
    elsewhere = VoiceStore(tmp_path / "elsewhere")
    elsewhere.learn(recording([(person(9), 30, None)]), OURS, numbered=True)
    assert elsewhere.import_(everything) == {"Alice": "Alice", "Bob": "Bob", "V0001": "V0002"}
    for name in ("Alice", "V0001"):
        ours = elsewhere.voices(OURS)["V0002" if name == "V0001" else name]
        np.testing.assert_allclose(ours, store.voices(OURS)[name], atol=1e-6)
    assert list(elsewhere.voices(OTHER)) == ["Bob"]
    before = {voice.name: voice.seconds for voice in store.all()}
    assert store.import_(everything) == {name: name for name in before}  # twice is once
    assert {voice.name: voice.seconds for voice in store.all()} == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "speakrs-voices", "version": 2, "voices": []}', "\xff"])
def test_what_is_no_export_is_refused(store: VoiceStore, tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(FormatError, match=r"x\.json"):
        store.import_(file)
    with pytest.raises(FormatError, match="cannot read"):
        store.import_(tmp_path / "absent.json")


def test_a_damaged_file_is_named(store: VoiceStore) -> None:
    store.remember("Alice", person(1), OURS)
    (file,) = store.directory.iterdir()
    whole = file.read_text()
    for text in (
        whole[:-9],
        "null",
        whole.replace("speakrs-voice", "other"),
        whole.replace('"version": 1', '"version": 9'),
    ):
        file.write_text(text)
        with pytest.raises(FormatError, match=file.name):
            store.voices(OURS)


def test_prints_that_make_no_sense_are_refused(store: VoiceStore) -> None:
    with pytest.raises(ConfigError, match="finite"):
        store.remember("Alice", [1.0, float("nan")], OURS)
    store.remember("Alice", person(1), OURS)
    with pytest.raises(ConfigError, match="has 32 numbers"):
        store.remember("Alice", [1.0, 2.0], OURS)
    with pytest.raises(ConfigError, match="one line"):
        store.remember(" ", person(1), OURS)
    assert store.recognise(recording([(np.ones(7, np.float32), 9, None)]), OURS).speakers[0].name is None


def test_places_where_nothing_can_be_kept(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match="is no folder"):
        VoiceStore(file).names()
    with pytest.raises(OutputError, match="cannot make the folder"):
        VoiceStore(file / "below").remember("Alice", person(1), OURS)


def test_no_print_is_ever_in_a_message(store: VoiceStore, tmp_path: Path) -> None:
    store.remember("Alice", person(1), OURS)
    export = tmp_path / "x.json"
    store.export(export)
    document = json.loads(export.read_text())
    secret = document["voices"][0]["bundles"][OURS.sha256]["prototypes"][0]["embedding"]
    document["voices"][0]["bundles"][OURS.sha256]["prototypes"][0]["embedding"] = secret[:-5]
    export.write_text(json.dumps(document))
    with pytest.raises(FormatError) as caught:
        store.import_(export)
    assert secret[:12] not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_the_default_place_is_the_users_own() -> None:
    assert default_directory().name == "voices" and default_directory().is_absolute()
