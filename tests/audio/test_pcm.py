from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speakrs_stream.audio.pcm import (
    LARGEST,
    WIDTHS,
    Gate,
    GateReport,
    PcmDecoder,
    decode,
    encode,
    from_array,
    scaled,
    to_mono,
)
from speakrs_stream.errors import BadFormat, ConfigError, SnapshotMismatch

WAVE = (0.5 * np.sin(np.arange(4_000) / 7)).astype(np.float32)

STEPS = {"pcm_u8": 2**-7, "pcm_s16le": 2**-15, "pcm_s24le": 2**-23, "pcm_s32le": 2**-24, "pcm_f32le": 0.0}
"""Largest error of one trip through the wire, in full scale."""


@pytest.mark.parametrize(("encoding", "step"), STEPS.items())
def test_what_is_encoded_is_decoded(encoding: str, step: float) -> None:
    data = encode(WAVE, encoding)
    assert len(data) == len(WAVE) * WIDTHS[encoding]
    back = decode(data, encoding)
    assert back.dtype == np.float32
    assert np.abs(back - WAVE).max() <= step
    assert encode(back, encoding) == data


@pytest.mark.parametrize(
    ("encoding", "data", "value"),
    [
        ("pcm_s16le", b"\x00\x80", -1.0),
        ("pcm_s16le", b"\xff\x7f", 32767 / 32768),
        ("pcm_s24le", b"\x00\x00\x80", -1.0),
        ("pcm_s24le", b"\x01\x00\x00", 2.0**-23),
        ("pcm_s32le", b"\x00\x00\x00\x40", 0.5),
        ("pcm_u8", b"\x00", -1.0),
        ("pcm_u8", b"\x80", 0.0),
        ("pcm_f32le", b"\x00\x00\x80\x3f", 1.0),
        # ITU-T G.711, tables 1a to 2b: the largest value and the ones next to zero, scaled from 14 and 13 bits
        ("mulaw", b"\x80", 32124 / 32768),
        ("mulaw", b"\x00", -32124 / 32768),
        ("mulaw", b"\xff", 0.0),
        ("mulaw", b"\xfe", 8 / 32768),
        ("alaw", b"\xaa", 32256 / 32768),
        ("alaw", b"\x2a", -32256 / 32768),
        ("alaw", b"\xd5", 8 / 32768),
        ("alaw", b"\x55", -8 / 32768),
    ],
)
def test_known_bytes(encoding: str, data: bytes, value: float) -> None:
    assert decode(data, encoding).tolist() == [np.float32(value)]


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_telephone_codes_survive_decoding_and_encoding(law: str) -> None:
    values = decode(bytes(range(256)), law)
    np.testing.assert_array_equal(decode(encode(values, law), law), values)
    assert np.abs(decode(encode(WAVE, law), law) - WAVE).max() < 0.02


def test_encoding_clips_and_silences() -> None:
    odd = [2.0, -2.0, np.nan, np.inf, -np.inf]
    assert np.frombuffer(encode(odd, "pcm_s16le"), "<i2").tolist() == [32767, -32768, 0, 32767, -32768]
    assert np.frombuffer(encode(odd, "pcm_s32le"), "<i4").tolist()[:2] == [2**31 - 1, -(2**31)]
    assert encode(odd, "pcm_s24le")[:6] == b"\xff\xff\x7f\x00\x00\x80"


def test_unknown_encodings_and_cut_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="'opus' is not known; choose one of pcm_u8"):
        decode(b"", "opus")
    with pytest.raises(BadFormat, match="3 bytes are no whole number"):
        decode(b"abc", "pcm_s16le")
    with pytest.raises(ConfigError, match="channels is 0"):
        PcmDecoder("pcm_s16le", channels=0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("encoding", WIDTHS)
def test_bytes_may_be_cut_anywhere(encoding: str, channels: int) -> None:
    data = encode(WAVE[:300], encoding)
    whole = PcmDecoder(encoding, channels=channels).push(data)
    rng = np.random.default_rng(3)
    decoder, parts, at = PcmDecoder(encoding, channels=channels), [], 0
    while at < len(data):
        size = int(rng.integers(0, 9))
        parts.append(decoder.push(data[at : at + size]))
        at += size
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert whole.shape == ((300,) if channels == 1 else (100, 3))
    assert decoder.finish() == 0
    decoder.push(b"\x00")
    assert decoder.finish() == (0 if WIDTHS[encoding] * channels == 1 else 1)


def test_integers_are_scaled_and_floats_are_not() -> None:
    for kind, low, high in ((np.int8, -128, 127), (np.int16, -32768, 32767), (np.int32, -(2**31), 2**31 - 1)):
        values = scaled(np.array([low, 0, high], kind))
        assert values.dtype == np.float32 and values[0] == -1 and values[1] == 0 and 0.99 < values[2] <= 1
    assert scaled(np.array([0, 128, 255], np.uint8)).tolist() == [-1, 0, 127 / 128]
    assert scaled(np.array([3.0, 1e300])).tolist() == [3, np.inf]
    assert scaled(np.array([1], ">i2")).tolist() == [2.0**-15]
    for other in ("int64", "uint16", "uint32", "bool", "complex64", "object"):
        with pytest.raises(BadFormat, match="full scale is not known"):
            scaled(np.zeros(3, np.dtype(other)))


def test_layouts() -> None:
    assert from_array(np.zeros(5)).shape == (5, 1)
    assert from_array([0.0, 0.5]).shape == (2, 1)
    assert from_array(np.zeros((5, 2))).shape == (5, 2)
    assert from_array(np.zeros((2, 2))).shape == (2, 2)
    assert from_array(np.zeros((1, 2)), channels=2).shape == (1, 2)
    assert from_array(np.zeros((0, 2)), channels=2).shape == (0, 2)
    for shape in ((2, 16_000), (6, 7), (16_000, 100)):
        with pytest.raises(BadFormat, match=r"pass \(n, channels\), that is samples\.T"):
            from_array(np.zeros(shape))
    for samples in (np.zeros(()), np.zeros((2, 3, 4))):
        with pytest.raises(BadFormat, match="pass"):
            from_array(samples)
    with pytest.raises(BadFormat, match="no channel"):
        from_array(np.zeros((5, 0)))
    with pytest.raises(BadFormat, match=r"not \(n, 3\)"):
        from_array(np.zeros((5, 2)), channels=3)
    with pytest.raises(BadFormat, match="no array"):
        from_array([[1.0], [1.0, 2.0]])


def test_mono_is_the_mean_and_a_copy() -> None:
    stereo = np.array([[1, 0], [0.5, -0.5]], np.float32)
    assert to_mono(stereo).tolist() == [0.5, 0]
    mono = np.ones(3, np.float32)
    to_mono(mono)[0] = 5
    assert mono[0] == 1
    with pytest.raises(BadFormat):
        to_mono(np.zeros((2, 0)))


def broken() -> NDArray[np.float32]:
    """Noise with 3 not-numbers, 2 impossible and 5 clipped samples."""
    samples = (0.1 * np.random.default_rng(0).standard_normal(5_000)).astype(np.float32)
    samples[[10, 20, 4_999]] = np.nan, np.inf, -np.inf
    samples[[11, 12]] = 1e30, -9
    samples[[30, 31, 32, 33, 34]] = 1.0, -1.0, 0.999, 1.5, -7.9
    return samples


def test_the_gate_mends_and_counts() -> None:
    samples = broken()
    before = samples.copy()
    gate = Gate()
    mended = gate.push(samples)
    np.testing.assert_array_equal(samples, before)
    assert mended[[10, 20, 4_999]].tolist() == [0, 0, 0]
    assert mended[[11, 12]].tolist() == [1, -1]
    assert mended[33] == 1.5 and np.abs(mended).max() <= LARGEST
    report = gate.finish()
    assert (report.samples, report.non_finite, report.too_large) == (5_000, 3, 2)
    assert report.clipped == 5 + 2  # what was limited is at full scale now
    assert report.peak == np.float32(7.9)
    assert report.dc_offset == pytest.approx(float(mended.mean(dtype=np.float64)))


@pytest.mark.parametrize("size", [1, 7, 1_000, 10**6])
def test_the_gate_does_not_care_how_samples_are_cut(size: int) -> None:
    whole, samples = Gate(), broken()
    expected = whole.push(samples)
    gate = Gate()
    parts = []
    for start in range(0, len(samples), size):
        parts.append(gate.push(samples[start : start + size]))
        gate = Gate.restore(gate.state())
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    one, other = gate.finish(), whole.finish()
    assert one.dc_offset == pytest.approx(other.dc_offset, abs=1e-12)
    assert (one.clipped, one.peak, one.samples, one.non_finite) == (
        other.clipped,
        other.peak,
        other.samples,
        other.non_finite,
    )


def test_unscaled_integers_are_refused() -> None:
    speech = np.random.default_rng(1).integers(-9_000, 9_000, 16_000).astype(np.float32)
    gate = Gate()
    with pytest.raises(BadFormat, match="divide them by 32768"):
        for start in range(0, 16_000, 160):
            gate.push(speech[start : start + 160])
    short = Gate()
    short.push(speech[:50])
    with pytest.raises(BadFormat, match="integers stored as floats"):
        short.finish()
    with pytest.raises(BadFormat, match="not floats"):
        Gate().push(speech.astype(np.int16))


def test_states_that_cannot_be() -> None:
    state = Gate().state()
    for damaged in ({}, {**state, "peak": "high"}, {**state, "sum": float("nan")}):
        with pytest.raises(SnapshotMismatch):
            Gate.restore(damaged)  # type: ignore[arg-type]


def test_warnings_are_for_people() -> None:
    assert GateReport(samples=100, peak=0.5).warnings == ()
    assert GateReport().warnings == ()
    said = " ".join(
        GateReport(
            samples=1_000, non_finite=2, too_large=3, clipped=200, peak=1, dc_offset=-0.2, notes=("cut short",)
        ).warnings
    )
    for part in (
        "cut short",
        "2 samples were not numbers",
        "3 samples",
        "20.0% of the samples are clipped",
        "-0.20 off",
    ):
        assert part in said
    assert "silent" in GateReport(samples=5).warnings[0]
