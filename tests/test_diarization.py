from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Speaker, Turn, exclusive_turns, spans_by_speaker
from speakrs_stream.errors import ConfigError, OutputError

ROOT = Path(__file__).resolve().parent.parent


def turn(start: float, end: float, speaker: str) -> Turn:
    """A turn given in seconds."""
    return Turn(Span(round(start * 16_000), round(end * 16_000)), speaker)


MEETING = Diarization.from_turns(
    [turn(0, 2, "A"), turn(1.5, 5, "B"), turn(4, 4.5, "A"), turn(8, 9, "C")], uri="meeting", samples=160_000
)


def test_turns_speak_in_seconds() -> None:
    one = turn(1.5, 5, "B")
    assert (one.start, one.end, one.duration, one.speaker) == (1.5, 5.0, 3.5, "B")


def test_turns_are_sorted_and_everything_is_frozen() -> None:
    listed = Diarization(
        "x", 32_000, (turn(1, 2, "B"), turn(0, 2, "A"), turn(0, 1, "A")), (), (Speaker("B"), Speaker("A"))
    )
    assert [(t.start, t.end) for t in listed.turns] == [(0, 1), (0, 2), (1, 2)]
    assert listed.labels == ("B", "A") and listed.duration == 2
    with pytest.raises(AttributeError):
        listed.uri = "y"  # type: ignore[misc]
    assert hash(listed.turns[0]) == hash(turn(0, 1, "A"))


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="not listed: B"):
        Diarization("x", 0, (turn(0, 1, "B"),), (), (Speaker("A"),))
    with pytest.raises(ValueError, match="same label"):
        Diarization("x", 0, (), (), (Speaker("A"), Speaker("A")))
    with pytest.raises(ValueError, match=r"exclusive turns overlap at 0\.5 s"):
        Diarization("x", 0, (), (turn(0, 1, "A"), turn(0.5, 2, "B")), (Speaker("A"), Speaker("B")))
    with pytest.raises(ValueError, match="-1 samples"):
        Diarization("x", -1, (), (), ())
    with pytest.raises(ValueError, match="one axis"):
        Speaker("A", None, np.zeros((2, 2), np.float32))


def test_embeddings_are_copied_read_only_and_kept_out_of_sight() -> None:
    vector = np.ones(4)
    speaker = Speaker("A", None, vector.astype(np.float32))
    vector[:] = 0
    assert speaker.embedding is not None and speaker.embedding.tolist() == [1] * 4
    with pytest.raises(ValueError, match="read-only"):
        speaker.embedding[0] = 5
    assert "1." not in repr(speaker) and speaker == Speaker("A")


def test_airtime() -> None:
    assert MEETING.airtime() == {"B": (3.5, 1), "A": (2.5, 2), "C": (1.0, 1)}
    assert list(MEETING.airtime()) == ["B", "A", "C"]
    assert MEETING.airtime(exclusive=True) == {"B": (3.0, 1), "A": (2.0, 1), "C": (1.0, 1)}
    double = Diarization("x", 0, (turn(0, 2, "A"), turn(1, 3, "A")), (), (Speaker("A"), Speaker("B")))
    assert double.airtime() == {"A": (3.0, 2), "B": (0.0, 0)}


def test_exclusive_turns_keep_the_floor_until_the_turn_ends() -> None:
    turns = [
        turn(0, 4, "A"),
        turn(1, 10, "B"),
        turn(2, 6, "C"),
        turn(9, 12, "A"),
        turn(9.5, 11, "C"),
        turn(14, 15, "C"),
    ]
    assert exclusive_turns(turns) == (turn(0, 4, "A"), turn(4, 10, "B"), turn(10, 12, "A"), turn(14, 15, "C"))
    assert exclusive_turns([]) == ()


def test_exclusive_turns_cover_exactly_the_speech() -> None:
    rng = np.random.default_rng(7)
    for _ in range(50):
        starts = rng.integers(0, 5_000, 30)
        turns = [Turn(Span(int(s), int(s + rng.integers(0, 400))), f"S{i % 4}") for i, s in enumerate(starts)]
        alone = exclusive_turns(turns)
        covered = np.zeros((4, 6_000), bool)
        for one in turns:
            covered[int(one.speaker[1]), one.span.start : one.span.end] = True
        given = np.zeros((4, 6_000), bool)
        for one in alone:
            given[int(one.speaker[1]), one.span.start : one.span.end] = True
        assert (given.sum(axis=0) == covered.any(axis=0)).all()
        assert (given <= covered).all()
        assert all(a.span.end <= b.span.start for a, b in pairwise(alone))


def test_spans_that_touch_are_united() -> None:
    assert spans_by_speaker([turn(1, 2, "A"), turn(0, 1, "A"), turn(3, 4, "A"), turn(0, 9, "B")]) == {
        "A": [Span(0, 32_000), Span(48_000, 64_000)],
        "B": [Span(0, 144_000)],
    }


def test_renaming() -> None:
    renamed = MEETING.rename({"A": "Alice", "C": "Carol"})
    assert renamed.labels == ("Alice", "B", "Carol")
    assert [t.speaker for t in renamed.turns] == ["Alice", "B", "Alice", "Carol"]
    assert MEETING.labels == ("A", "B", "C")
    assert MEETING.rename({"A": "B", "B": "A"}).rename({"A": "B", "B": "A"}) == MEETING
    with pytest.raises(ValueError, match="no speaker is called X; there are: A, B, C"):
        MEETING.rename({"X": "Y"})
    with pytest.raises(ValueError, match="empty"):
        MEETING.rename({"A": ""})


def test_renaming_two_speakers_to_one_makes_them_one() -> None:
    speakers = (
        Speaker("A", "Ann", np.array([1, 0], np.float32)),
        Speaker("B", None, np.array([0, 1], np.float32)),
        Speaker("C"),
    )
    before = Diarization("x", 160_000, MEETING.turns, MEETING.exclusive, speakers)
    after = before.rename({"A": "B"})
    assert after.turns == (turn(0, 5, "B"), turn(8, 9, "C"))
    assert after.exclusive == (turn(0, 5, "B"), turn(8, 9, "C"))
    assert after.labels == ("B", "C")
    assert after.speakers[0].embedding is not None
    np.testing.assert_allclose(after.speakers[0].embedding, [2.5 / 6, 3.5 / 6], atol=1e-6)


def test_names_are_shown_where_there_is_one() -> None:
    named = Diarization("x", 0, (), (), (Speaker("A", "Ann"), Speaker("B")))
    assert (named.shown("A"), named.shown("B"), named.shown("other")) == ("Ann", "B", "other")
    assert named.rename({"A": "Eve"}).shown("Eve") == "Eve"


def test_writing_and_reading_back(tmp_path: Path) -> None:
    path = MEETING.write(tmp_path / "meeting.json")
    assert Diarization.from_json(path.read_text()) == MEETING
    assert MEETING.write(tmp_path / "x.rttm", exclusive=True).read_text() == MEETING.to_rttm(exclusive=True)
    assert MEETING.to_rttm().startswith("SPEAKER meeting 1 0.000 2.000 <NA> <NA> A <NA> <NA>\n")
    assert MEETING.to_json() == path.read_text()
    with pytest.raises(OutputError):
        MEETING.write(tmp_path / "missing" / "x.rttm")
    with pytest.raises(ConfigError):
        MEETING.write(tmp_path / "x.unknown")


def test_notebooks_get_a_picture() -> None:
    assert MEETING._repr_html_().startswith('<div class="speakrs-diarization">') and "<svg" in MEETING._repr_html_()


def test_repr_is_short() -> None:
    assert repr(MEETING) == "<Diarization 'meeting': 10.0 s, 3 speakers, 4 turns>"


def test_pyannote_sees_the_same_turns() -> None:
    pytest.importorskip("pyannote.core")
    annotation = MEETING.to_pyannote()
    assert annotation.uri == "meeting"
    assert sorted((s.start, s.end, label) for s, _, label in annotation.itertracks(yield_label=True)) == [
        (t.start, t.end, t.speaker) for t in MEETING.turns
    ]
    assert MEETING.to_pyannote(exclusive=True).get_overlap().duration() == 0


def test_without_pyannote_the_extra_is_named() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.modules['pyannote.core'] = None\n"
        "from speakrs_stream.diarization import Diarization\n"
        "try:\n    Diarization('x', 0, (), (), ()).to_pyannote()\n"
        "except ImportError as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("MissingExtra") and "pip install 'speakrs-stream[pyannote]'" in done.stdout
