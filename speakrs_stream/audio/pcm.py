"""Samples in memory: bytes to floats and back, several channels to one, and a gate that mends what is broken."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speakrs_stream.errors import BadFormat, ConfigError, SnapshotMismatch

Samples = NDArray[np.float32]

CLIPPED = 0.999
"""Magnitude from which a sample counts as clipped; full scale is 1."""

LARGEST = 8.0
"""Magnitude beyond which a sample cannot be sound: 18 dB over full scale."""

MOST_TOO_LARGE = 8_000
"""Samples beyond `LARGEST` after which the signal is taken for unscaled integers."""


def _g711(law: str) -> Samples:
    """(256,) float32: what each byte of G.711 stands for."""
    code = np.arange(256)
    if law == "mulaw":
        code = ~code & 0xFF
        magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
        value = np.where(code & 0x80, -magnitude, magnitude)
    else:
        code = code ^ 0x55
        exponent, mantissa = (code & 0x70) >> 4, (code & 0x0F) << 4
        magnitude = np.where(exponent == 0, mantissa + 8, mantissa + 0x108 << np.maximum(exponent - 1, 0))
        value = np.where(code & 0x80, magnitude, -magnitude)
    return (value / 32768).astype(np.float32)


WIDTHS: Mapping[str, int] = {
    "pcm_u8": 1,
    "pcm_s16le": 2,
    "pcm_s24le": 3,
    "pcm_s32le": 4,
    "pcm_f32le": 4,
    "mulaw": 1,
    "alaw": 1,
}
"""Encoding -> bytes per sample."""

_TABLES = {"mulaw": _g711("mulaw"), "alaw": _g711("alaw")}


def decode(data: bytes | bytearray | memoryview, encoding: str) -> Samples:
    """Bytes as (n,) float32 within -1 … 1 (floats as they are); channels stay interleaved.

    encoding: a key of `WIDTHS`; raises ConfigError for another, BadFormat when the last sample is cut.
    """
    width = _width(encoding)
    if len(data) % width:
        raise BadFormat(f"{len(data)} bytes are no whole number of {encoding} samples ({width} bytes each)")
    match encoding:
        case "mulaw" | "alaw":
            return _TABLES[encoding][np.frombuffer(data, np.uint8)]
        case "pcm_f32le":
            return np.frombuffer(data, "<f4").astype(np.float32)
        case "pcm_u8":
            return scaled(np.frombuffer(data, np.uint8))
        case "pcm_s16le":
            return scaled(np.frombuffer(data, "<i2"))
        case "pcm_s32le":
            return scaled(np.frombuffer(data, "<i4"))
    wide = np.zeros((len(data) // 3, 4), np.uint8)  # 24 bits become the upper three bytes of 32
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return scaled(wide.view("<i4")[:, 0])


def encode(samples: ArrayLike, encoding: str) -> bytes:
    """The reverse of `decode`: values beyond full scale are clipped, not-numbers become 0."""
    _width(encoding)
    return bytes(_encoded(np.asarray(samples, np.float32).reshape(-1), encoding).tobytes())


def _encoded(values: Samples, encoding: str) -> NDArray[Any]:
    """(n,) of the wire's kind, or bytes, little endian."""
    if encoding == "pcm_f32le":
        return values.astype("<f4")
    values = np.clip(np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
    match encoding:
        case "mulaw" | "alaw":
            table = _TABLES[encoding]
            order = np.argsort(table, kind="stable")
            middles = (table[order][1:] + table[order][:-1]) / 2
            return np.asarray(order[np.searchsorted(middles, values)], np.uint8)
        case "pcm_u8":
            return np.asarray(np.clip(np.rint(values * 128.0) + 128, 0, 255), np.uint8)
        case "pcm_s16le":
            return np.asarray(np.clip(np.rint(values * 32768.0), -32768, 32767), "<i2")
    full = 2.0**23 if encoding == "pcm_s24le" else 2.0**31
    whole = np.clip(np.rint(values.astype(np.float64) * full), -full, full - 1).astype("<i4")
    return whole if encoding == "pcm_s32le" else whole.view(np.uint8).reshape(-1, 4)[:, :3]


class PcmDecoder:
    """Bytes as they come off a wire, cut anywhere, to whole samples."""

    def __init__(self, encoding: str, *, channels: int = 1) -> None:
        """encoding: a key of `WIDTHS`; channels: interleaved channels, 1 or more. Raises ConfigError."""
        if channels < 1:
            raise ConfigError(f"channels is {channels}; it must be 1 or more")
        self.encoding = encoding
        self.channels = channels
        self._size = _width(encoding) * channels
        self._rest = b""

    def push(self, data: bytes | bytearray | memoryview) -> Samples:
        """What became whole: (n,) float32 for one channel, else (n, channels)."""
        joined = self._rest + bytes(data)
        whole = len(joined) - len(joined) % self._size
        self._rest = joined[whole:]
        samples = decode(joined[:whole], self.encoding)
        return samples if self.channels == 1 else samples.reshape(-1, self.channels)

    def finish(self) -> int:
        """Bytes left over from a sample that was cut; 0 when nothing is missing."""
        return len(self._rest)


def scaled(values: NDArray[Any]) -> Samples:
    """Numbers of any usual kind as float32 of the same shape: integers are scaled to -1 … 1, floats are not.

    Raises BadFormat for kinds whose full scale cannot be known (64-bit and unsigned 16- or 32-bit integers,
    booleans, complex numbers, objects).
    """
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind == "f":
        with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which the gate counts
            return values.astype(np.float32)
    if kind == "u" and size == 1:
        return np.asarray((values.astype(np.float32) - 128) / 128, np.float32)
    if kind == "i" and size in (1, 2, 4):
        return np.asarray(values / 2.0 ** (8 * size - 1), np.float32)
    raise BadFormat(
        f"samples are {values.dtype}, whose full scale is not known; pass float32 within -1 … 1, int16 or int32"
    )


def from_array(samples: ArrayLike, *, channels: int | None = None) -> NDArray[Any]:
    """An array given by a user as (n, channels) floats: integers scaled to -1 … 1, floats as they are, not copied.

    samples: (n,) or (n, channels), float, int8, int16, int32 or uint8
    channels: how many there must be; None accepts any layout in which time is plainly the first axis
    Raises BadFormat for (channels, n), for more than two axes and for kinds that cannot be scaled.
    """
    values = in_columns(samples, channels=channels)
    return values if values.dtype.kind == "f" else scaled(values)


def in_columns(samples: ArrayLike, *, channels: int | None = None) -> NDArray[Any]:
    """As (n, channels) of the same kind, without copying; raises BadFormat as `from_array` does."""
    try:
        values = np.asarray(samples)
    except ValueError as error:  # a ragged list
        raise BadFormat(f"samples are no array: {error}; pass shape (n,) or (n, channels)") from error
    if values.ndim == 1:
        values = values[:, np.newaxis]
    if values.ndim != 2:
        raise BadFormat(f"samples have shape {values.shape}; pass (n,) or (n, channels)")
    if channels is not None and values.shape[1] != channels:
        raise BadFormat(f"samples have shape {values.shape}, which is not (n, {channels})")
    if channels is None and values.shape[1] > max(1, min(values.shape[0], 64)):
        raise BadFormat(
            f"samples have shape {values.shape}, which looks like (channels, n); pass (n, channels), that is samples.T"
        )
    if values.shape[1] == 0:
        raise BadFormat(f"samples have shape {values.shape}: there is no channel")
    return values


def to_mono(samples: NDArray[Any]) -> Samples:
    """(n,) or (n, channels) -> (n,) float32, the mean of the channels; the input is not changed."""
    if samples.ndim == 1:
        return samples.astype(np.float32)
    if samples.ndim != 2 or samples.shape[1] == 0:
        raise BadFormat(f"samples have shape {samples.shape}; pass (n,) or (n, channels)")
    if samples.shape[1] == 1:
        return np.asarray(np.add(samples[:, 0], 0.0, dtype=np.float32))  # as the mean of one: no zero stays negative
    return np.asarray(samples.mean(axis=1, dtype=np.float32), np.float32)


@dataclass(frozen=True, slots=True)
class GateReport:
    """What was found in a signal, and mended."""

    samples: int = 0
    """Samples seen, all channels together."""

    non_finite: int = 0
    """Samples that were not a number or infinite; they became 0."""

    too_large: int = 0
    """Samples beyond eight times full scale; they became full scale."""

    clipped: int = 0
    """Samples at or beyond full scale; they stay."""

    peak: float = 0.0
    """Largest magnitude after mending; full scale is 1."""

    dc_offset: float = 0.0
    """Mean of all samples after mending; full scale is 1. It stays in the signal."""

    notes: tuple[str, ...] = ()
    """What the source of the signal noticed, as sentences for people: a file that is cut short, for one."""

    @property
    def silent(self) -> bool:
        """Whether there were samples and none was louder than -100 dB of full scale."""
        return self.samples > 0 and self.peak < 1e-5

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know, as sentences; empty for a good recording."""
        found = list(self.notes)
        if self.silent:
            found.append("the recording is silent; check the microphone or the cable")
        if self.non_finite:
            found.append(f"{self.non_finite} samples were not numbers and were set to 0; the file may be damaged")
        if self.too_large:
            found.append(
                f"{self.too_large} samples were far beyond full scale and were limited; the file may be damaged"
            )
        if self.clipped > 0.001 * self.samples:
            share = self.clipped / self.samples
            found.append(f"{share:.1%} of the samples are clipped: recorded too loud, labels may suffer")
        if abs(self.dc_offset) > 0.05:
            found.append(f"the signal sits {self.dc_offset:+.2f} off zero: a faulty microphone or sound card")
        return tuple(found)


class Gate:
    """Lets samples through after setting not-numbers to 0, and counts what is wrong with them.

    It takes blocks of any size; what it lets through and counts does not depend on how they were cut.
    """

    latency = 0
    """Samples held back: none."""

    def __init__(self) -> None:
        self._seen = GateReport()
        self._sum = 0.0

    @property
    def report(self) -> GateReport:
        """What was found so far."""
        mean = self._sum / self._seen.samples if self._seen.samples else 0.0
        return replace(self._seen, dc_offset=mean)

    def push(self, samples: NDArray[Any]) -> Samples:
        """float32 copy of the same shape, mended; floats only, full scale is 1.

        Raises BadFormat as soon as it is plain that the samples are integers that nobody scaled.
        """
        if samples.dtype.kind != "f":
            raise BadFormat(f"samples are {samples.dtype}, not floats; scale them to -1 … 1 with pcm.scaled()")
        mended = scaled(samples)
        if mended.size == 0:
            return mended
        non_finite = too_large = 0
        # One test for the usual case: NaN compares false, so `not <=` catches it along with what is too large.
        if not (peak := _peak(mended)) <= LARGEST:
            broken = ~np.isfinite(mended)
            large = (np.abs(mended) > LARGEST) & ~broken
            non_finite, too_large = int(broken.sum()), int(large.sum())
            mended[broken] = 0.0
            mended[large] = np.sign(mended[large])
            peak = _peak(mended)
        seen = self._seen
        self._sum += float(mended.sum(dtype=np.float64))
        self._seen = GateReport(
            samples=seen.samples + mended.size,
            non_finite=seen.non_finite + non_finite,
            too_large=seen.too_large + too_large,
            clipped=seen.clipped + (_clipped(mended) if peak >= CLIPPED else 0),
            peak=max(seen.peak, peak),
        )
        if self._seen.too_large > MOST_TOO_LARGE:
            self._refuse()
        return mended

    def finish(self) -> GateReport:
        """What was found; raises BadFormat when a signal too short to tell before turns out to be unscaled."""
        if self._seen.too_large * 4 > self._seen.samples:
            self._refuse()
        return self.report

    def _refuse(self) -> None:
        raise BadFormat(
            f"{self._seen.too_large} of {self._seen.samples} samples lie beyond {LARGEST:g} times full scale: "
            "these are integers stored as floats; divide them by 32768 (16 bit), or pass them as int16"
        )

    def state(self) -> dict[str, int | float]:
        """Everything `restore` needs, as plain numbers."""
        seen = self._seen
        return {
            "samples": seen.samples,
            "non_finite": seen.non_finite,
            "too_large": seen.too_large,
            "clipped": seen.clipped,
            "peak": seen.peak,
            "sum": self._sum,
        }

    @classmethod
    def restore(cls, state: Mapping[str, int | float]) -> Gate:
        """A gate that goes on where `state()` was taken; raises SnapshotMismatch when a number is missing."""
        gate = cls()
        try:
            gate._seen = GateReport(
                samples=int(state["samples"]),
                non_finite=int(state["non_finite"]),
                too_large=int(state["too_large"]),
                clipped=int(state["clipped"]),
                peak=float(state["peak"]),
            )
            gate._sum = float(state["sum"])
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotMismatch(f"the saved state of the gate is incomplete: {error!r}") from error
        if not math.isfinite(gate._sum):
            raise SnapshotMismatch("the saved state of the gate holds a sum that is no number")
        return gate


def _peak(samples: Samples) -> float:
    """Largest magnitude of at least one sample; NaN where there is one."""
    return max(float(samples.max()), -float(samples.min()))


def _clipped(samples: Samples) -> int:
    """Samples at or beyond full scale."""
    return int((np.abs(samples) >= CLIPPED).sum())


def _width(encoding: str) -> int:
    """Bytes per sample; raises ConfigError that lists the encodings."""
    if encoding not in WIDTHS:
        raise ConfigError(f"encoding {encoding!r} is not known; choose one of {', '.join(WIDTHS)}")
    return WIDTHS[encoding]
