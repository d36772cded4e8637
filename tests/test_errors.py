"""Errors: one tree, foreign ones translated at a border, the way out in the text."""

from __future__ import annotations

import pytest

from speakrs_stream import errors
from speakrs_stream.errors import AudioError, BadFormat, MissingExtra, SpeakrsError, WrongRate, translate


def test_everything_belongs_to_one_tree_and_is_named_in_it() -> None:
    ours = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]
    assert len(ours) > 15
    assert errors.__doc__ is not None
    for kind in ours:
        assert issubclass(kind, SpeakrsError)
        assert kind.__name__ in errors.__doc__, kind


def test_translates_what_the_table_names_and_nothing_else() -> None:
    with (
        pytest.raises(AudioError, match=r"^reading x\.wav: no such thing$") as caught,
        translate({OSError: AudioError}, "reading x.wav"),
    ):
        raise FileNotFoundError("no such thing")
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    with pytest.raises(KeyError), translate({OSError: AudioError}, "reading"):
        raise KeyError("x")


def test_leaves_our_own_errors_as_they_are() -> None:
    with pytest.raises(BadFormat, match=r"^short$"), translate({Exception: AudioError}, "reading"):
        raise BadFormat("short")


def test_says_what_to_do() -> None:
    assert "pip install 'speakrs-stream[mic]'" in str(MissingExtra("sounddevice", "mic", "the microphone"))
    assert "8000 Hz" in str(WrongRate(got=8000, want=16000)) and "resample" in str(WrongRate(got=8000, want=16000))
