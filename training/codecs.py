"""The sound of lossy codecs: Opus, MP3 and Vorbis, and the telephone's µ-law, A-law and GSM, by libsndfile."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from training.data import RATE, Audio

TELEPHONE = 8000
MP3_DELAY = 1105
"""Samples by which MP3 answers late where libsndfile says nothing about it."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One format of libsndfile, and the range from which its compression is drawn; 1 is the lowest bit rate."""

    container: str
    subtype: str
    compression: tuple[float, float] | None = None
    rate: int = RATE


CODECS = {
    "opus": Codec("OGG", "OPUS", (0.93, 1.0)),
    "opus telephone": Codec("OGG", "OPUS", (0.97, 1.0), TELEPHONE),
    "mp3": Codec("MP3", "MPEG_LAYER_III", (0.8, 0.97)),
    "vorbis": Codec("OGG", "VORBIS", (0.7, 1.0)),
    "mu-law": Codec("WAV", "ULAW", rate=TELEPHONE),
    "a-law": Codec("WAV", "ALAW", rate=TELEPHONE),
    "gsm": Codec("WAV", "GSM610", rate=TELEPHONE),
}
"""At 16 kHz Opus gets 6 to 23 kb/s, MP3 8 to 40, Vorbis about 28 to 42."""


def coded(samples: Audio, codec: Codec, compression: float) -> Audio:
    """Mono audio at 16 kHz after a round trip, as long as before and in time with it."""
    options: dict[str, float | str] = {}
    if codec.compression is not None:
        options = {"compression_level": compression}
        if codec.container == "MP3":
            options["bitrate_mode"] = "CONSTANT"
    sent = samples if codec.rate == RATE else soxr.resample(samples, RATE, codec.rate)
    held = io.BytesIO()
    soundfile.write(held, sent, codec.rate, format=codec.container, subtype=codec.subtype, **options)
    held.seek(0)
    heard, rate = soundfile.read(held, dtype="float32")
    if codec.container == "MP3" and len(heard) > len(sent):
        heard = heard[MP3_DELAY:]
    if rate != RATE:
        heard = soxr.resample(heard, rate, RATE)
    heard = heard[: len(samples)]
    return np.asarray(np.pad(heard, (0, len(samples) - len(heard))), dtype=np.float32)


def through_codec(samples: Audio, rng: np.random.Generator) -> Audio:
    """A round trip through a random codec at a random low bit rate."""
    codec = list(CODECS.values())[int(rng.integers(len(CODECS)))]
    compression = float(rng.uniform(*codec.compression)) if codec.compression else 0.0
    return coded(samples, codec, compression)
