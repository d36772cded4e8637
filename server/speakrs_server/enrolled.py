"""Voices that a session is to recognise: found in the server's voice store, kept beside the session's journal.

A session goes on with the prints it began with, whatever becomes of the store; they are deleted when it is over. Voice
prints are biometric data: they never leave the server, and nothing here prints or logs one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from speakrs_server.codes import RemoteProtocolError
from speakrs_server.journal import VOICES
from speakrs_server.messages import KnownVoice
from speakrs_server.unit import EnrolledVoice
from speakrs_stream.core.snapshot import pack, unpack
from speakrs_stream.errors import SpeakrsError
from speakrs_stream.formats.atomic import write_bytes_atomically
from speakrs_stream.voices import Bundled, VoiceStore

KIND = "hosted voices"


def find(known: Sequence[KnownVoice], directory: str, bundle: Bundled) -> tuple[EnrolledVoice, ...]:
    """The prints of voices that a client names.

    directory: the voice store; empty where the server has none. RemoteProtocolError for a voice that is not there.
    """
    if not known:
        return ()
    if not directory:
        raise RemoteProtocolError("bad_message", "this server knows no voices", ref="session.start")
    try:
        prints = VoiceStore(directory).voices(bundle)
    except (SpeakrsError, OSError) as error:
        raise RemoteProtocolError("internal", "the voices cannot be read", ref="session.start") from error
    absent = [voice.enrolment for voice in known if voice.enrolment not in prints]
    if absent:
        why = f"no voice is enrolled as {absent[0]!r} for the bundle in use"
        raise RemoteProtocolError("bad_message", why, ref="session.start")
    names = [voice.name or voice.enrolment for voice in known]
    if len(set(names)) != len(names):
        raise RemoteProtocolError("bad_message", "two known voices have the same name", ref="session.start")
    return tuple(
        EnrolledVoice(name, voice.enrolment, np.asarray(prints[voice.enrolment], np.float32))
        for name, voice in zip(names, known, strict=True)
    )


def keep(folder: Path, voices: Sequence[EnrolledVoice]) -> None:
    """Write a session's voices into its folder, for its owner alone."""
    if voices:
        plain = {"names": [voice.name for voice in voices], "enrolments": [voice.enrolment for voice in voices]}
        arrays = {"prints": np.stack([voice.embedding for voice in voices])}
        write_bytes_atomically(folder / VOICES, pack(plain, arrays, KIND), private=True)


def kept(folder: Path) -> tuple[EnrolledVoice, ...]:
    """What `keep` wrote; SnapshotMismatch where it is damaged."""
    path = folder / VOICES
    if not path.exists():
        return ()
    plain, arrays = unpack(path.read_bytes(), KIND)
    rows = zip(plain["names"], plain["enrolments"], arrays["prints"], strict=True)
    return tuple(EnrolledVoice(name, enrolment, row) for name, enrolment, row in rows)
