"""Sound through pipes: WAV of every common kind, bare samples, lengths nobody knew, and things that are no sound."""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import Iterable

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from speakrs_stream.audio.pipe import PipeAudio, raw_pipe, wav_pipe
from speakrs_stream.errors import BadFormat, ConfigError, SpeakrsError

SIGNAL = (0.5 * np.sin(np.arange(8_000) / 7)).astype(np.float32)


class Pipe:
    """Gives its bytes in pieces, as pipes do."""

    def __init__(self, data: bytes, pieces: Iterable[int] = ()) -> None:
        self._data = data
        self._pieces = iter(pieces)

    def read1(self, size: int = -1, /) -> bytes:
        size = min(size if size >= 0 else len(self._data), next(self._pieces, 1 << 20))
        found, self._data = self._data[:size], self._data[size:]
        return found


def written(subtype: str, channels: int = 1, form: str = "WAV") -> bytes:
    file = io.BytesIO()
    samples = np.stack([SIGNAL / (1 + index) for index in range(channels)], axis=1)
    soundfile.write(file, samples, 8_000, subtype=subtype, format=form)
    return file.getvalue()


def heard(pipe: PipeAudio) -> np.ndarray:
    return np.concatenate([*pipe.blocks(), np.zeros((0,) if pipe.channels == 1 else (0, pipe.channels), np.float32)])


@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
@pytest.mark.parametrize(
    ("subtype", "error"),
    [
        ("PCM_U8", 1e-2),
        ("PCM_16", 1e-4),
        ("PCM_24", 1e-6),
        ("PCM_32", 1e-6),
        ("FLOAT", 0),
        ("ULAW", 0.03),
        ("ALAW", 0.03),
    ],
)
def test_wav_of_every_kind(form: str, subtype: str, error: float) -> None:
    pipe = wav_pipe(Pipe(written(subtype, form=form), [1, 5, 3] * 20))
    assert (pipe.sample_rate, pipe.channels) == (8_000, 1)
    np.testing.assert_allclose(heard(pipe), SIGNAL, atol=error)
    assert not pipe.cut


def test_several_channels_stay_apart() -> None:
    found = heard(wav_pipe(Pipe(written("PCM_16", 3))))
    assert found.shape == (8_000, 3)
    np.testing.assert_allclose(found[:, 2], SIGNAL / 3, atol=1e-4)


@pytest.mark.parametrize("length", [0, 0xFFFF_FFFF, 0x7FFF_FFFF])
def test_a_length_that_nobody_knew_means_until_the_end(length: int) -> None:
    data = bytearray(written("PCM_16"))
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", length)
    pipe = wav_pipe(Pipe(bytes(data)))
    assert len(heard(pipe)) == 8_000 and not pipe.cut


def test_what_follows_the_sound_is_not_sound() -> None:
    pipe = wav_pipe(Pipe(written("PCM_16") + b"LIST\x04\0\0\0abcd"))
    assert len(heard(pipe)) == 8_000


def test_a_pipe_that_breaks_is_noticed() -> None:
    pipe = wav_pipe(Pipe(written("PCM_16")[:-101]))
    assert len(heard(pipe)) == 7_949 and pipe.cut


def test_other_chunks_are_read_over() -> None:
    data = written("PCM_16")
    pipe = wav_pipe(Pipe(data[:12] + b"junk\x03\0\0\0abc\0" + data[12:]))
    assert len(heard(pipe)) == 8_000


def test_bare_samples() -> None:
    data = (SIGNAL * 32_768).astype("<i2").tobytes()
    pipe = raw_pipe(Pipe(data, [3, 1, 500] * 99), sample_rate=44_100)
    np.testing.assert_allclose(heard(pipe), SIGNAL, atol=1e-4)
    stereo = raw_pipe(Pipe(data), sample_rate=44_100, channels=2)
    assert heard(stereo).shape == (4_000, 2)
    cut = raw_pipe(Pipe(data[:-1]), sample_rate=44_100)
    assert len(heard(cut)) == 7_999 and cut.cut


def test_blocks_come_as_soon_as_there_is_anything() -> None:
    blocks = raw_pipe(Pipe(bytes(100), [1, 3, 2, 94]), sample_rate=8_000).blocks()
    assert [len(block) for block in blocks] == [2, 1, 47]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"RIFF", "ended inside its header"),
        (b"fLaC" + bytes(40), "is no WAV: give WAV, or bare 16-bit samples"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "without a format"),
        (b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0\1\0", "format is cut short"),
        (b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\x7f", "no sound follows"),
        (
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 85, 2, 8_000, 0, 0, 0) + b"data\0\0\0\0",
            "85 with",
        ),
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 0, 8_000, 0, 0, 16) + b"data\0\0\0\0", "0 chan"),
        (
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 1, 800, 0, 2, 16) + b"data\0\0\0\0",
            "is 800 Hz",
        ),
    ],
)
def test_what_is_no_sound(data: bytes, message: str) -> None:
    with pytest.raises(BadFormat, match=message):
        wav_pipe(Pipe(data))


def test_impossible_numbers() -> None:
    with pytest.raises(ConfigError):
        raw_pipe(Pipe(b""), sample_rate=16_000, channels=0)
    with pytest.raises(BadFormat, match="is 5 Hz"):
        raw_pipe(Pipe(b""), sample_rate=5)


@given(st.data())
def test_damaged_headers_give_sound_or_an_error_of_ours(data: st.DataObject) -> None:
    bytes_ = bytearray(written("PCM_16")[:200])
    for _ in range(data.draw(st.integers(0, 4))):
        bytes_[data.draw(st.integers(0, 60))] = data.draw(st.integers(0, 255))
    try:
        assert heard(wav_pipe(Pipe(bytes(bytes_)))).dtype == np.float32
    except SpeakrsError as error:
        assert str(error)


def test_the_standard_library_agrees() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 22_050, 0, "NONE", ""))
        writer.writeframes((SIGNAL * 32_767).astype("<i2").tobytes())
    pipe = wav_pipe(Pipe(file.getvalue()))
    assert pipe.sample_rate == 22_050 and len(heard(pipe)) == 8_000
