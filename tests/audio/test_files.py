from __future__ import annotations

import io
import os
import random
import re
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from speakrs_stream.audio.files import open_audio
from speakrs_stream.errors import AudioError, BadFormat, ConfigError

ROOT = Path(__file__).resolve().parents[2]


def tone(seconds: float, rate: int, channels: int = 1) -> Any:
    """(n, channels) float32: a 440 Hz tone at half of full scale."""
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, np.newaxis].astype(np.float32), channels, axis=1)


def written(path: Path, samples: Any, rate: int, **how: str) -> Path:
    soundfile.write(path, samples, rate, **how)
    return path


def loudness(samples: Any) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


@pytest.mark.parametrize(
    ("name", "rate", "channels", "how"),
    [
        ("a.wav", 16_000, 1, {"subtype": "PCM_16"}),
        ("a.wav", 8_000, 1, {"subtype": "PCM_U8"}),
        ("a.wav", 44_100, 2, {"subtype": "PCM_24"}),
        ("a.wav", 48_000, 1, {"subtype": "PCM_32"}),
        ("a.wav", 96_000, 6, {"subtype": "FLOAT"}),
        ("a.wav", 384_000, 1, {"subtype": "DOUBLE"}),
        ("a.wav", 8_000, 1, {"subtype": "ULAW"}),
        ("a.wav", 4_000, 1, {"subtype": "PCM_16"}),
        ("a.w64", 16_000, 1, {}),
        ("a.aiff", 22_050, 2, {}),
        ("a.au", 16_000, 1, {}),
        ("a.flac", 96_000, 6, {"subtype": "PCM_24"}),
        ("a.ogg", 44_100, 2, {}),
        ("a.opus", 48_000, 1, {"format": "OGG", "subtype": "OPUS"}),
        ("a.mp3", 44_100, 2, {}),
    ],
)
def test_every_usual_file_becomes_mono_at_16_khz(
    tmp_path: Path, name: str, rate: int, channels: int, how: dict[str, str]
) -> None:
    path = written(tmp_path / name, tone(1.3, rate, channels), rate, **how)
    with open_audio(path) as audio:
        assert (audio.sample_rate, audio.channels) == (rate, channels)
        samples = audio.read()
        assert audio.samples == len(samples) == 20_800
        assert samples.dtype == np.float32 and samples.ndim == 1
        assert loudness(samples[4_000:-4_000]) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
        assert audio.report.warnings == ()


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_a_file_object_gives_what_the_path_gives(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, tone(1, 44_100, 2), 44_100)
    with open_audio(str(path)) as audio:
        expected = audio.read()
    for stream in (io.BytesIO(path.read_bytes()), path.open("rb")):
        with open_audio(stream) as audio:
            np.testing.assert_array_equal(audio.read(), expected)
        assert stream.closed


def test_blocks_can_be_read_again_until_the_file_is_closed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.flac", tone(2.5, 16_000), 16_000)
    with open_audio(path) as audio:
        first = list(audio.blocks(1.0))
        assert [len(block) for block in first] == [16_000, 16_000, 8_000]
        np.testing.assert_array_equal(np.concatenate(list(audio.blocks(0.3))), np.concatenate(first))
    audio.close()
    with pytest.raises(BadFormat, match="was closed"):
        next(audio.blocks())


def test_one_channel_can_be_chosen(tmp_path: Path) -> None:
    stereo = tone(1, 16_000, 2) * [1, 0]
    path = written(tmp_path / "a.wav", stereo, 16_000)
    with open_audio(path, channel=0) as left, open_audio(path, channel=1) as right:
        assert loudness(left.read()) > 0.3 and loudness(right.read()) == 0
    with pytest.raises(ConfigError, match="no channel 5"):
        open_audio(path, channel=5)


@pytest.mark.parametrize("length", [0, 0xFFFF_FFFF, 0x7FFF_F000])
@pytest.mark.parametrize("as_stream", [False, True])
def test_wav_from_a_writer_that_could_not_go_back(tmp_path: Path, length: int, as_stream: bool) -> None:
    path = written(tmp_path / "a.wav", tone(1, 16_000), 16_000)
    data = bytearray(path.read_bytes())
    at = data.find(b"data") + 4
    data[at : at + 4] = struct.pack("<I", length)
    data[4:8] = struct.pack("<I", 0xFFFF_FFFF if length else 0)
    path.write_bytes(data)
    with open_audio(io.BytesIO(bytes(data)) if as_stream else path) as audio:
        assert len(audio.read()) == audio.samples == 16_000
        assert audio.report.warnings == ()


def test_a_wav_beyond_4_gib_is_read_to_its_end(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", tone(0.01, 48_000, 2), 48_000)
    os.truncate(path, 5 * 2**30)  # sparse: takes no room
    for length in (0, 5 * 2**30 % 2**32 - 44, 0xFFFF_FFFF):
        with path.open("r+b") as file:
            file.seek(40)
            file.write(struct.pack("<I", length))
        with open_audio(path) as audio:
            assert audio.frames == (5 * 2**30 - 44) // 4
            assert loudness(next(audio.blocks(0.01))) > 0.3


def test_flac_without_a_length(tmp_path: Path) -> None:
    path = written(tmp_path / "a.flac", tone(2, 16_000), 16_000)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # the low 36 bits of bytes 18 to 25 count the samples; 0 is "unknown"
    data[22:26] = bytes(4)
    path.write_bytes(data)
    with open_audio(path) as audio:
        assert audio.samples is None and audio.duration is None
        assert len(audio.read()) == 32_000
        assert audio.report.warnings == ()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a.wav", r"cut short: about 3\.0 s"),
        ("a.aiff", r"cut short: about 3\.0 s"),
        ("a.flac", "could be decoded"),
        ("a.mp3", "could be decoded"),
    ],
)
def test_a_file_that_is_cut_is_read_as_far_as_it_goes(tmp_path: Path, name: str, says: str) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000 * 6)
    path = written(tmp_path / name, noise, 16_000)
    os.truncate(path, path.stat().st_size // 2)
    with open_audio(path) as audio:
        assert 2.5 < len(audio.read()) / 16_000 < 3.5
        (warning,) = audio.report.warnings
        assert re.search(says, warning)


def test_a_cut_ogg_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ogg", 0.1 * np.random.default_rng(0).standard_normal(16_000 * 60), 16_000)
    os.truncate(path, path.stat().st_size // 2)
    with open_audio(path) as audio:
        assert 20 < len(audio.read()) / 16_000 < 40


@pytest.mark.parametrize("as_stream", [False, True])
def test_a_damaged_place_is_skipped_and_the_rest_stays_in_time(tmp_path: Path, as_stream: bool) -> None:
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal(16_000 * 12)
    noise[16_000 * 11 :] = tone(1, 16_000)[:, 0]
    path = written(tmp_path / "a.flac", noise, 16_000)
    data = bytearray(path.read_bytes())
    for place in (len(data) // 3, len(data) // 2):
        data[place : place + 200] = rng.bytes(200)
    path.write_bytes(data)
    with open_audio(io.BytesIO(bytes(data)) if as_stream else path) as audio:
        samples = audio.read()
        assert len(samples) == audio.samples == 16_000 * 12
        assert loudness(samples[16_000 * 11 + 2_000 : -2_000]) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
        assert loudness(samples[16_000 * 10 : 16_000 * 11 - 2_000]) == pytest.approx(0.1, rel=0.1)
        assert 0.2 < np.count_nonzero(samples == 0) / 16_000 < 1.5
        assert "count as silence" in audio.report.warnings[0]


def test_not_numbers_and_clipping_are_reported(tmp_path: Path) -> None:
    samples = tone(1, 16_000)
    samples[100:110] = np.nan
    samples[200:205] = np.inf
    samples[1_000:1_500], samples[1_500:2_000] = 1, -1
    with open_audio(written(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")) as audio:
        assert np.isfinite(audio.read()).all()
        assert audio.report.non_finite == 15 and audio.report.clipped == 1_000
        assert len(audio.report.warnings) == 2


def test_silence_and_50_ms_are_fine(tmp_path: Path) -> None:
    with open_audio(written(tmp_path / "a.wav", np.zeros(16_000), 16_000)) as audio:
        assert len(audio.read()) == 16_000 and audio.report.silent
    with open_audio(written(tmp_path / "b.wav", tone(0.05, 48_000), 48_000)) as audio:
        assert len(audio.read()) == 800


def test_integers_stored_as_floats_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", tone(1, 16_000) * 20_000, 16_000, subtype="FLOAT")
    with open_audio(path) as audio, pytest.raises(BadFormat, match=r"a\.wav: .* divide them by 32768"):
        audio.read()


def test_what_is_no_sound_says_so(tmp_path: Path) -> None:
    header = written(tmp_path / "header.wav", np.zeros(0), 16_000)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("Dear Sir or Madam,\n" * 20)
    (tmp_path / "text.vox").write_text("Dear Sir or Madam,\n" * 20)
    (tmp_path / "bare.raw").write_bytes(np.random.default_rng(0).bytes(4_000))
    (tmp_path / "video.mp4").write_bytes(b"\x00\x00\x00\x18ftypisom" + bytes(100))
    written(tmp_path / "slow.wav", np.zeros(100), 1_000)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling.wav").symlink_to(tmp_path / "nowhere")
    for name, says in {
        "empty.wav": r"is empty \(0 bytes\)",
        "text.wav": "is a text, not sound",
        "text.vox": "is a text, not sound",
        "bare.raw": "bare samples need a header",
        "video.mp4": "ffmpeg",
        "slow.wav": "sample rate is 1000 Hz",
        "pipe": "is a pipe or a device",
        "missing.wav": "there is no such file",
        "dangling.wav": "there is no such file",
        ".": "is a directory",
        "a\0b": "cannot be opened: embedded null byte",
        "x" * 300: "cannot be opened: File name too long",
        "slow.wav/x.wav": "cannot be opened: Not a directory",
    }.items():
        with pytest.raises(BadFormat, match=says):
            open_audio(os.path.join(tmp_path, name))
    with pytest.raises(BadFormat, match="pipe or a device"):
        open_audio("/dev/null")
    with open_audio(header) as audio, pytest.raises(BadFormat, match="holds no sound"):
        audio.read()


class Unsteady(io.BytesIO):
    """A stream whose disk fails after 20,000 bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 20_000:
            raise OSError(5, "Input/output error")
        return super().read(size)


def test_streams_that_fail_or_cannot_be_rewound(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "a.wav", tone(4, 16_000), 16_000)
    with open_audio(Unsteady(path.read_bytes())) as audio:
        assert 0 < len(audio.read()) < 64_000
        assert "could be decoded" in audio.report.warnings[0]
    reader, writer = os.pipe()
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe, pytest.raises(BadFormat, match="cannot be read"):
        open_audio(pipe)
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs Unix rights")
def test_a_file_without_read_permission_says_so(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", tone(0.1, 16_000), 16_000)
    path.chmod(0)
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from speakrs_stream.audio.files import open_audio
from speakrs_stream.errors import BadFormat
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
try:
    open_audio("a.wav")
except BadFormat as error:
    print(error)
"""
    tmp_path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "a.wav cannot be opened: you have no permission to read it" in done.stdout


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 16_000, 2, "PCM_16") as sound:
        for _ in range(30):
            sound.write(np.zeros((160_000, 2), np.int16))  # five minutes, 19 MB
    tracemalloc.start()
    with open_audio(path) as audio:
        assert sum(len(block) for block in audio.blocks(1.0)) == 4_800_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6


def damaged(data: bytes, rng: random.Random) -> bytes:
    """`data` with a few bytes changed, added or removed, often in the header, or cut."""
    result = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(min(len(result), 100) if rng.random() < 0.5 else len(result)) if result else 0
        match rng.randrange(5):
            case 0 | 1:
                result[at : at + 1] = bytes([rng.randrange(256)])
            case 2:
                result[at:at] = rng.randbytes(rng.randrange(1, 20))
            case 3:
                del result[at : at + rng.randrange(1, 200)]
            case _:
                del result[rng.randrange(len(result) + 1) :]
    return bytes(result)


KINDS = {"wav": {}, "float": {"format": "WAV", "subtype": "FLOAT"}, "flac": {}, "ogg": {}, "mp3": {}, "aiff": {}}


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_give_a_result_or_an_audio_error(tmp_path: Path, kind: str) -> None:
    rng = random.Random(kind)
    # OGG drops whole damaged pages, so it needs several.
    noise = 0.1 * np.random.default_rng(0).standard_normal((80_000 if kind == "ogg" else 8_000, 2))
    whole = written(tmp_path / f"whole.{kind}", noise, 16_000, **KINDS[kind]).read_bytes()
    path = tmp_path / f"damaged.{kind}"
    outcomes = {"refused": 0, "read": 0}
    for number in range(120):
        data = damaged(whole, rng)
        path.write_bytes(data)
        try:
            with open_audio(path if number % 2 else io.BytesIO(data)) as audio:
                total = 0
                for block in audio.blocks():
                    assert block.dtype == np.float32 and np.isfinite(block).all()
                    total += len(block)
                    if total > 16_000 * 600:  # a header that claims hours: enough seen
                        break
            outcomes["read"] += 1
        except AudioError as error:
            assert str(error) and "Traceback" not in str(error)
            outcomes["refused"] += 1
    assert outcomes["refused"] > 0 and outcomes["read"] > 0
