"""A session's folder: one owner, snapshots that are whole or nothing, results, and nothing left that should be gone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from speakrs_server import messages
from speakrs_server.identifiers import new_session
from speakrs_server.journal import (
    AUDIO,
    Description,
    Journal,
    Owned,
    Saved,
    Store,
    command_record,
    event_record,
    read_description,
    read_result,
)
from speakrs_server.records import Cursor, Log, Record

DESCRIPTION = Description(
    id="X",
    key="ann",
    created=1.0,
    request=messages.SessionStart(),
    max_delay_ms=2000,
    durability="synced",
    resume_window_s=300,
    fingerprint="f",
)


def append(log: Log, record: Record) -> None:
    segment, data, _ = log.plan(record)
    log.write(segment, data)


def made(tmp_path: Path) -> tuple[Store, Journal]:
    store = Store(tmp_path)
    journal = store.create(new_session())
    journal.describe(DESCRIPTION)
    for number in range(3):
        append(journal.input, Record(AUDIO, 0, 10 * number, 1, b"ab" * 10))
    return store, journal


def test_one_process_owns_a_session(tmp_path: Path) -> None:
    store, journal = made(tmp_path)
    with pytest.raises(Owned):
        Journal(journal.folder)
    with pytest.raises(Owned):
        store.delete(journal.folder.name)
    store.claim(journal.folder.name)
    assert journal.claimed()
    journal.close()
    again = Journal(journal.folder)
    again.open()
    assert not again.claimed()
    again.close()
    assert store.delete(journal.folder.name) and not store.delete(journal.folder.name)


def test_what_was_told_comes_back(tmp_path: Path) -> None:
    _, journal = made(tmp_path)
    told = [messages.SpeakerCreated(seq=n, speaker=f"S{n}", at_ms=0) for n in (1, 2, 3)]
    for message in told:
        append(journal.events, event_record(message, message.seq, from_engine=message.seq > 1, epoch=1))
    assert [message for message, _ in journal.messages()] == told
    assert [flag for _, flag in journal.messages()] == [False, True, True]
    assert journal.told(1, 1) == [messages.encode(told[1])]
    append(journal.events, event_record(told[0], 9, from_engine=False, epoch=1))
    assert len(list(journal.messages())) == 3, "a gap ends what is believed"
    assert journal.size == journal.input.bytes + journal.events.bytes
    import hashlib

    assert journal.audio_digest() == hashlib.sha256(b"ab" * 30).hexdigest()


def test_snapshots_are_whole_or_nothing(tmp_path: Path) -> None:
    _, journal = made(tmp_path)
    saved = [Saved(bytes([n]) * 50, journal.input.end, 30, n, n, None, n) for n in range(4)]
    for one in saved:
        journal.save(one)
    assert list(journal.snapshots()) == [saved[3], saved[2]]
    newest = journal.folder / "snapshot-00000004.bin"
    whole = newest.read_bytes()
    for at in range(0, len(whole), 3):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            newest.write_bytes(damaged)
            assert list(journal.snapshots()) == [saved[2]]
    newest.write_bytes(whole)
    journal.save(Saved(b"x", Cursor(1, 10**6), 30, 1))
    assert list(journal.snapshots()) == [saved[3]], "one that reaches beyond the log does not count"


@pytest.mark.parametrize("flush", [True, False])
def test_a_snapshot_is_flushed_where_asked(flush: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, journal = made(tmp_path)
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    journal.save(Saved(b"x", journal.input.end, 30, 1), flush=flush)
    assert bool(flushed) == flush and len(list(journal.snapshots())) == 1


def test_results_stay_and_the_rest_goes(tmp_path: Path) -> None:
    store, journal = made(tmp_path)
    append(journal.input, command_record(messages.TurnReject(turn="t_0001"), 5, 1))
    journal.save(Saved(b"x", journal.input.end, 30, 1))
    journal.keep({"live": "{}", "final": "[]"})
    journal.clean(keep_audio=True)
    assert journal.input.segments() and not list(journal.snapshots())
    journal.clean(keep_audio=False)
    assert not journal.input.segments()
    assert read_result(journal.folder, "final") == "[]" and read_result(journal.folder, "../final") is None
    assert read_description(journal.folder) == DESCRIPTION
    journal.close()
    assert store.expire(time.time() - 60) == []
    assert store.expire(time.time() + 60) == [journal.folder.name] and store.all() == []


def test_links_and_strange_names_lead_nowhere(tmp_path: Path) -> None:
    store = Store(tmp_path)
    secret = tmp_path / "elsewhere"
    secret.mkdir()
    (secret / "final.json").write_text("secret")
    (secret / "session.json").write_text("{}")
    name = new_session()
    (store.sessions / name).symlink_to(secret)
    assert store.folder(name) is None and store.all() == []
    assert store.folder("..") is None and store.folder("../elsewhere") is None
    real = store.create(new_session())
    (real.folder / "final.json").symlink_to(secret / "final.json")
    (real.folder / "session.json").symlink_to(secret / "session.json")
    assert read_result(real.folder, "final") is None and read_description(real.folder) is None


def test_the_secret_is_one_for_all(tmp_path: Path) -> None:
    one, two = Store(tmp_path), Store(tmp_path)
    assert one.secret() == two.secret() and len(one.secret()) == 32
    assert (tmp_path / "secret.key").stat().st_mode & 0o077 == 0
    assert one.free_mb() > 0
