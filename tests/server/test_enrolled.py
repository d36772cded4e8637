"""Voices that clients name: found in the store, kept for the session alone, and never invented."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from speakrs_server import enrolled
from speakrs_server.codes import RemoteProtocolError
from speakrs_server.journal import VOICES
from speakrs_server.messages import KnownVoice
from speakrs_stream.errors import SnapshotMismatch
from speakrs_stream.voices import VoiceStore
from tests.server.rig import engine


def store(folder: Path) -> str:
    voices = VoiceStore(folder / "voices")
    for number, name in enumerate(("ann", "bob")):
        voices.remember(name, np.eye(8, dtype=np.float32)[number], engine().bundle)
    return str(folder / "voices")


def test_voices_are_found_and_kept(tmp_path: Path) -> None:
    known = (KnownVoice(enrolment="bob", name="Dr Li"), KnownVoice(enrolment="ann"))
    found = enrolled.find(known, store(tmp_path), engine().bundle)
    assert [(voice.name, voice.enrolment) for voice in found] == [("Dr Li", "bob"), ("ann", "ann")]
    assert "0." not in repr(found), "prints are not printed"
    enrolled.keep(tmp_path, found)
    again = enrolled.kept(tmp_path)
    assert [voice.name for voice in again] == ["Dr Li", "ann"]
    assert all(np.array_equal(a.embedding, b.embedding) for a, b in zip(found, again, strict=True))
    assert stat.S_IMODE((tmp_path / VOICES).stat().st_mode) == 0o600
    (tmp_path / VOICES).write_bytes(b"x")
    with pytest.raises(SnapshotMismatch):
        enrolled.kept(tmp_path)


def test_nothing_is_kept_where_nothing_is_asked(tmp_path: Path) -> None:
    assert enrolled.find((), "", engine().bundle) == ()
    enrolled.keep(tmp_path, ())
    assert enrolled.kept(tmp_path) == () and not list(tmp_path.iterdir())


def test_what_is_refused(tmp_path: Path) -> None:
    directory, bundle = store(tmp_path), engine().bundle
    for known, where, why in (
        ((KnownVoice(enrolment="eve"),), directory, "no voice is enrolled as 'eve'"),
        ((KnownVoice(enrolment="ann"),), "", "knows no voices"),
        ((KnownVoice(enrolment="ann", name="X"), KnownVoice(enrolment="bob", name="X")), directory, "same name"),
    ):
        with pytest.raises(RemoteProtocolError, match=why):
            enrolled.find(known, where, bundle)
