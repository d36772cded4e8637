"""The sound of a session from its journal: at any rate, from anywhere, while it grows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speakrs_server.captions.tail import Tail
from speakrs_server.journal import AUDIO, COMMAND
from speakrs_server.message_parts import AudioFormat
from speakrs_server.records import Log, Record
from speakrs_stream.audio.pcm import encode
from speakrs_stream.audio.resample import Resampler

SOUND = np.sin(np.arange(96_000) * 0.07).astype(np.float32) * np.linspace(0.1, 0.9, 96_000, dtype=np.float32)


def log(folder: Path, segment_bytes: int = 60_000) -> Log:
    made = Log(folder, "input", 7, segment_bytes=segment_bytes)
    made.open()
    return made


def append(made: Log, *records: Record) -> None:
    for record in records:
        segment, data, _ = made.plan(record)
        made.write(segment, data)


def pieces(audio: AudioFormat, start: int = 0, end: int = len(SOUND)) -> list[Record]:
    block = audio.sample_rate // 10
    channels = np.repeat(SOUND, audio.channels).reshape(-1, audio.channels)
    return [
        Record(AUDIO, 0, at, 1, encode(channels[at : min(at + block, end)].ravel(), audio.encoding))
        for at in range(start, end, block)
    ]


def everything(tail: Tail) -> np.ndarray:
    found = []
    while len(piece := tail.read(3000)):
        found.append(piece)
    return np.concatenate([*found, tail.finish()])


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (48_000, 2), (44_100, 1), (8_000, 1)])
@pytest.mark.parametrize("start", [0, 12_345])
def test_any_rate_from_anywhere(tmp_path: Path, rate: int, channels: int, start: int) -> None:
    audio = AudioFormat(encoding="pcm_f32le", sample_rate=rate, channels=channels)
    made = log(tmp_path)
    append(made, Record(COMMAND, 0, 0, 1, b"{}"), *pieces(audio))
    resampler = Resampler(rate)
    whole = np.concatenate([resampler.push(SOUND), resampler.finish()])[start:]
    found = everything(Tail(made, audio, start))
    assert len(found) == len(whole)
    np.testing.assert_allclose(found[400:], whole[400:], atol=2e-3 if start else 1e-6)


def test_it_follows_a_log_that_grows(tmp_path: Path) -> None:
    audio = AudioFormat(encoding="pcm_f32le")
    made = log(tmp_path)
    tail = Tail(made, audio, 0)
    assert len(tail.read(1000)) == 0
    found = []
    for record in pieces(audio):
        append(made, record)
        found.append(tail.read(10**6))
    assert [len(piece) for piece in found] == [1600] * 60
    np.testing.assert_array_equal(np.concatenate(found), SOUND)
    assert tail.position == 96_000


def test_half_a_record_is_none_yet(tmp_path: Path) -> None:
    audio = AudioFormat(encoding="pcm_f32le")
    made = log(tmp_path)
    first, second, *_ = pieces(audio)
    append(made, first)
    tail = Tail(made, audio, 0)
    segment, data, _ = made.plan(second)
    with made.path(segment).open("ab") as file:
        file.write(data[:500])
        file.flush()
        assert len(tail.read(10**6)) == 1600 and len(tail.read(10**6)) == 0
        file.write(data[500:])
    assert len(tail.read(10**6)) == 1600


def test_a_gap_is_silence_in_small_pieces(tmp_path: Path) -> None:
    audio = AudioFormat(encoding="pcm_f32le")
    made = log(tmp_path)
    first, second, *_ = pieces(audio)
    append(made, first, Record(AUDIO, 0, 1600 + 16_000 * 600, 1, second.payload))
    tail = Tail(made, audio, 0)
    assert len(tail.read(8000)) == 1600 + 16_000
    rest = everything(tail)
    assert len(rest) == 16_000 * 599 + 1600
    assert not rest[:-1600].any() and rest[-1600:].any()
