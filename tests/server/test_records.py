"""Logs: what was written whole comes back, whatever happens to the rest of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakrs_server.records import Cursor, Log, Record, pack, read, seed_of

SEED = seed_of("SESSION", "input")
RECORD = st.builds(
    Record,
    st.integers(1, 255),
    st.integers(0, 255),
    st.integers(0, 2**63),
    st.integers(0, 2**31),
    st.binary(max_size=50),
)


def filled(folder: Path, count: int = 12, **options: int) -> tuple[Log, list[Record]]:
    """A log with records, closed."""
    log = Log(folder, "input", SEED, **options)  # type: ignore[arg-type]
    log.open()
    records = [Record(1, 0, 100 * number, 1, bytes([number]) * (7 * number)) for number in range(count)]
    for record in records:
        segment, data, _ = log.plan(record)
        log.write(segment, data)
    log.sync()
    log.close()
    return log, records


def found(folder: Path) -> list[Record]:
    return [record for record, _ in Log(folder, "input", SEED).records()]


@given(st.lists(RECORD, max_size=8))
def test_records_come_back(records: list[Record]) -> None:
    data = b"".join(pack(record, SEED) for record in records)
    assert [record for record, _ in read(data, SEED)] == records
    assert not records or not list(read(data, SEED + 1))


def test_a_log_in_segments_comes_back(tmp_path: Path) -> None:
    log, records = filled(tmp_path, segment_bytes=200)
    assert len(log.segments()) > 2
    assert found(tmp_path) == records
    places = [place for _, place in log.records()]
    for number, place in enumerate(places):
        assert [record for record, _ in log.records(place)] == records[number + 1 :]
    assert log.end == places[-1] and log.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


def damages(data: bytes) -> Iterator[bytes]:
    """Cut at every byte, and every byte with one bit turned."""
    for at in range(len(data)):
        yield data[:at]
        yield data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]


def test_a_wrong_record_is_never_accepted(tmp_path: Path) -> None:
    log, records = filled(tmp_path)
    path = log.path(1)
    whole = path.read_bytes()
    tried = 0
    for damaged in damages(whole):
        path.write_bytes(damaged)
        got = found(tmp_path)
        assert got == records[: len(got)] and len(got) < len(records)
        tried += 1
    assert tried == 2 * len(whole)


def test_appending_goes_on_behind_the_last_good_record(tmp_path: Path) -> None:
    log, records = filled(tmp_path)
    path = log.path(1)
    whole = path.read_bytes()
    last = len(pack(records[-1], SEED))
    for cut in range(len(whole) - last + 1, len(whole), 5):
        path.write_bytes(whole[:cut])
        log = Log(tmp_path, "input", SEED)
        log.open()
        segment, data, _ = log.plan(records[-1])
        log.write(segment, data)
        log.close()
        assert path.read_bytes() == whole


def test_damage_in_the_middle_puts_later_segments_aside(tmp_path: Path) -> None:
    log, records = filled(tmp_path, segment_bytes=200)
    path = log.path(2)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    kept = found(tmp_path)
    log.open()
    segment, data_, _ = log.plan(records[0])
    log.write(segment, data_)
    log.close()
    assert found(tmp_path) == [*kept, records[0]]
    assert list(tmp_path.glob("*.damaged"))


def test_records_of_another_log_do_not_count(tmp_path: Path) -> None:
    filled(tmp_path)
    assert not list(Log(tmp_path, "input", seed_of("OTHER", "input")).records())
    (tmp_path / "input-00000001.seg").rename(tmp_path / "input-00000002.seg")
    assert not found(tmp_path)


class FullDisk:
    """Takes so many bytes, then none; or fails at a call."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, descriptor: int, data: bytes) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        taken = min(self.room, len(data), 10)  # short writes too
        self.room -= taken
        return os.write(descriptor, data[:taken])


@pytest.mark.parametrize("room", range(0, 300, 7))
def test_a_full_disk_leaves_no_torn_record(room: int, tmp_path: Path) -> None:
    log = Log(tmp_path, "input", SEED, write=FullDisk(room).write)
    log.open()
    records = [Record(1, 0, number, 1, b"x" * 20) for number in range(8)]
    written = 0
    with pytest.raises(OSError, match=r"space|earlier"):
        for record in records:
            segment, data, _ = log.plan(record)
            log.write(segment, data)
            written += 1
    with pytest.raises(OSError, match="earlier"):
        log.write(1, b"more")
    log.close()
    assert found(tmp_path) == records[:written]
    again = Log(tmp_path, "input", SEED)
    again.open()
    for record in records[written:]:
        segment, data, _ = again.plan(record)
        again.write(segment, data)
    again.close()
    assert found(tmp_path) == records


def test_deleting(tmp_path: Path) -> None:
    log, _ = filled(tmp_path)
    log.delete()
    assert not list(tmp_path.iterdir()) and Cursor(0, 0) < Cursor(1, 5)
