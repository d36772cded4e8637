"""Networks without weights that understand a made-up conversation: for tests, demonstrations and load tests.

A made-up voice is a tone that flickers seventeen times a second, in faint noise. `speak` writes a conversation as
sound, `FakeBackend` recognises the tones in it, `fake_bundle` describes its networks. They listen to nothing but the
arrays they are given, so any window, batch or stream gets answers that agree, at once and to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.core.arrays import F32, F64, I64, frozen
from speakrs_stream.core.embedding.fbank import FBANK_PER_WINDOW, mel_filters
from speakrs_stream.core.embedding.pooling import pool, resample_nearest
from speakrs_stream.core.grid import FRAME_FIELD, FRAME_STEP, FRAMES_PER_WINDOW, SAMPLE_RATE, Span, samples
from speakrs_stream.core.powerset import LOCAL_SPEAKERS, MAX_SIMULTANEOUS, mapping
from speakrs_stream.errors import ConfigError
from speakrs_stream.inference.base import Array, LoadOptions, Role, TensorSpec
from speakrs_stream.models.bundle import ModelBundle, PldaTables
from speakrs_stream.models.manifest import (
    MELS,
    EmbeddingSpec,
    FbankSpec,
    FileRecord,
    FlowSpec,
    HeadSpec,
    MultimaskSpec,
    NetworkFile,
    SegmentationSpec,
    TrunkSpec,
)

VOICES = 8
"""Voices that can be told apart."""

DIMENSION = 16
LOUDNESS = 0.1
NOISE = 0.01
FLICKER = 960
"""Samples of one flicker: half loud, half soft."""
SOFT = 0.03
"""Loudness of the soft half, as a share of the loud one."""
HEARD = LOUDNESS * (1 + SOFT) / 4
"""Amplitude over one frame above which a voice is taken to be there: half of its mean."""
SURE = 1.5
"""Deviation of a band's log energy, in nats, above which it flickers; noise stays below 1.3."""

BANDS = tuple(12 + 8 * voice for voice in range(VOICES))
"""Mel band of each voice."""

LAYOUTS: Mapping[str, tuple[int, int, bool]] = {"split": (4, 3, False), "padded": (8, 3, True), "flowing": (8, 3, True)}
"""Kind of trunk -> stride, receptive field, whether it pads."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One voice speaks for a while."""

    voice: int
    """Which, from 0 to 7."""
    span: Span
    """When."""


def script(text: str) -> list[Utterance]:
    """A conversation as people write it, in seconds: `"A 0-5, B 4-9.5, A 12-15"`; voices A to H.

    Raises ConfigError for anything else.
    """
    found = []
    for part in text.split(","):
        name, _, times = part.strip().partition(" ")
        begin, _, end = times.partition("-")
        voice = ord(name) - ord("A") if len(name) == 1 else -1
        try:
            span = Span(samples(float(begin)), samples(float(end)))
        except ValueError as error:
            raise ConfigError(f"{part.strip()!r} is not like 'A 0-5'") from error
        if not 0 <= voice < VOICES:
            raise ConfigError(f"{part.strip()!r} has no voice from A to {chr(ord('A') + VOICES - 1)}")
        found.append(Utterance(voice, span))
    return found


def speak(conversation: Sequence[Utterance], length: int | None = None, seed: int = 0) -> F32:
    """A conversation as sound, (length,) float32 at 16 kHz; by default as long as the last word.

    length: samples
    seed: of the noise
    """
    if length is None:
        length = max((utterance.span.end for utterance in conversation), default=0)
    sound: F64 = NOISE * np.random.default_rng(seed).standard_normal(length)
    time = np.arange(length)
    flicker = np.where(time % FLICKER < FLICKER // 2, LOUDNESS, SOFT * LOUDNESS)
    for utterance in conversation:
        here = slice(utterance.span.start, min(utterance.span.end, length))
        sound[here] += flicker[here] * np.sin(2 * np.pi * tones()[utterance.voice] * time[here])
    return sound.astype(np.float32)


@cache
def tones() -> F64:
    """Cycles per sample of each voice, the middle of its mel band: (8,)."""
    middles = mel_filters()[:, list(BANDS)].argmax(axis=0) / 512
    return frozen(np.asarray(middles, np.float64))


@cache
def directions() -> F32:
    """Where in the space of embeddings each voice lies: (8, 16), at right angles."""
    basis = np.linalg.qr(np.random.default_rng(5).standard_normal((DIMENSION, DIMENSION)))[0]
    return frozen(np.asarray(2.0 * basis[:VOICES], np.float32))


# -- what the networks compute --------------------------------------------------------------------------------


def heard(windows: F32) -> NDArray[np.bool_]:
    """Which voice is in which frame: windows (B, samples) -> (B, frames, 8)."""
    time = np.arange(windows.shape[1])
    starts = np.arange((windows.shape[1] - FRAME_FIELD) // FRAME_STEP + 1) * FRAME_STEP
    found = np.empty((len(windows), len(starts), VOICES), np.bool_)
    for voice, tone in enumerate(tones()):
        turned = np.cumsum(windows * np.exp(-2j * np.pi * tone * time), axis=1)
        total = turned[:, starts + FRAME_FIELD - 1] - turned[:, starts] + windows[:, starts]
        found[:, :, voice] = np.abs(total) * 2 / FRAME_FIELD > HEARD
    return found


def segment(windows: F32) -> F32:
    """Log-probabilities (B, frames, 7) of windows (B, samples): the three voices heard most, two at once at most.

    Local speakers are numbered by who is heard first in the window.
    """
    output = np.empty((len(windows), (windows.shape[1] - FRAME_FIELD) // FRAME_STEP + 1, len(mapping())), np.float32)
    for number, active in enumerate(heard(windows)):
        most = np.argsort(-active.sum(axis=0, dtype=np.int64), kind="stable")[:LOCAL_SPEAKERS]
        order: I64 = most[np.argsort(active[:, most].argmax(axis=0), kind="stable")]
        local = active[:, order]
        local &= np.cumsum(local, axis=1) <= MAX_SIMULTANEOUS
        wanted = (local[:, None, :] == mapping().astype(np.bool_)).all(axis=2)
        output[number] = np.log(np.where(wanted, 0.94, 0.01))
    return output


def features(fbank: F32, stride: int, field: int, padded: bool) -> F32:
    """The voices' bands of a filter bank (B, T, 80), every `stride` frames: (B, T', 8)."""
    offset = 0 if padded else field // 2
    count = -(-fbank.shape[1] // stride) if padded else max(0, (fbank.shape[1] - field) // stride + 1)
    return np.ascontiguousarray(fbank[:, offset::stride, list(BANDS)][:, :count], np.float32)


def carry_on(fbank: F32, context: F32) -> F32:
    """The padded features of new frames (B, T, 80), one feature late, and the last one, which is handed on."""
    stride, field, padded = LAYOUTS["flowing"]
    new = features(fbank, stride, field, padded)
    known = np.concatenate([context[:, None], new], axis=1)
    return known.reshape(len(fbank), -1)


def embed(statistics: F32) -> F32:
    """Embeddings (B, 16) of pooled features (B, 16): the directions of the bands that flicker."""
    flickering = np.maximum(statistics[:, VOICES:] - SURE, 0)
    return np.asarray(flickering @ directions(), np.float32)


def embed_masks(fbank: F32, masks: F32) -> F32:
    """Embeddings (3B, 16) of a filter bank (B, 998, 80) under masks (3B, 589)."""
    stride, field, padded = LAYOUTS["padded"]
    seen = features(fbank, stride, field, padded)
    weights = resample_nearest(masks, seen.shape[1]).reshape(len(fbank), LOCAL_SPEAKERS, -1)
    return embed(np.concatenate([pool(one, mask) for one, mask in zip(seen, weights, strict=True)]))


# -- as a backend and a bundle --------------------------------------------------------------------------------


class FakeNetwork:
    """A function with the face of a loaded network."""

    def __init__(
        self, inputs: Sequence[TensorSpec], output: TensorSpec, function: Callable[[Mapping[str, Array]], Array]
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs: tuple[TensorSpec, ...] = (output,)
        self._function = function

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One batch."""
        return {self.outputs[0].name: self._function(inputs)}


class FakeBackend:
    """Makes the networks of a `fake_bundle`; nothing is read from disk."""

    name = "fake"
    description = "made-up networks that recognise made-up voices"
    full_batches = False
    carries = False

    def load(self, path: Path, role: Role, options: LoadOptions, made: bytes | None = None) -> FakeNetwork:
        """The network for a role; the file's stem says which kind of trunk."""
        del options, made
        stride, field, padded = LAYOUTS[path.stem if path.stem in LAYOUTS else "split"]

        def tensor(name: str, *shape: int | None) -> TensorSpec:
            return TensorSpec(name, shape, "float32")

        match role:
            case "segmentation":
                inputs, output = [tensor("input", None, 1, None)], tensor("output", None, None, len(mapping()))
                return FakeNetwork(inputs, output, lambda feeds: segment(feeds["input"][:, 0]))
            case "trunk":
                inputs, output = [tensor("fbank", None, None, MELS)], tensor("features", None, None, VOICES)
                return FakeNetwork(inputs, output, lambda feeds: features(feeds["fbank"], stride, field, padded))
            case "flow":
                inputs, output = (
                    [tensor("fbank", None, None, MELS), tensor("context", None, VOICES)],
                    tensor("result", None, None),
                )
                return FakeNetwork(inputs, output, lambda feeds: carry_on(feeds["fbank"], feeds["context"]))
            case "head":
                inputs, output = [tensor("statistics", None, 2 * VOICES)], tensor("embedding", None, DIMENSION)
                return FakeNetwork(inputs, output, lambda feeds: embed(feeds["statistics"]))
            case "filters":
                raise ConfigError("made-up networks have no filters")
            case "multimask":
                inputs = [tensor("fbank", None, FBANK_PER_WINDOW, MELS), tensor("masks", None, FRAMES_PER_WINDOW)]
                output = tensor("output", None, DIMENSION)
                return FakeNetwork(inputs, output, lambda feeds: embed_masks(feeds["fbank"], feeds["masks"]))


def fake_bundle(kind: str = "split", *, default_step: int = SAMPLE_RATE) -> ModelBundle:
    """A bundle without files for `FakeBackend`.

    kind: "split" (a trunk that windows share), "padded" (one that they cannot), "flowing" (one that they can nearly
        exactly) or "multimask"
    default_step: samples between windows
    """
    if kind not in (*LAYOUTS, "multimask"):
        raise ConfigError(f"unknown kind of bundle {kind!r}; there are {', '.join([*LAYOUTS, 'multimask'])}")
    if kind == "multimask":
        embedding = EmbeddingSpec(
            kind="multimask",
            dimension=DIMENSION,
            fbank=FbankSpec(normalization="window_mean"),
            multimask=MultimaskSpec(main=NetworkFile("multimask.onnx")),
        )
    else:
        stride, field, padded = LAYOUTS[kind]
        trunk = TrunkSpec(
            main=NetworkFile(f"{kind}.onnx"),
            channels=VOICES,
            stride=stride,
            offset=0 if padded else field // 2,
            receptive_field=field,
            padded=padded,
            flow=FlowSpec(main=NetworkFile("flowing.onnx"), context=VOICES, delay=1) if kind == "flowing" else None,
        )
        embedding = EmbeddingSpec(
            kind="split",
            dimension=DIMENSION,
            fbank=FbankSpec(normalization="window_mean" if padded else "none"),
            trunk=trunk,
            head=HeadSpec(main=NetworkFile("head.onnx")),
        )
    names = ["segmentation.onnx", "head.onnx", "multimask.onnx", *(f"{name}.onnx" for name in LAYOUTS)]
    return ModelBundle(
        name=f"fake-{kind}",
        version="1",
        description="made-up networks that recognise made-up voices",
        directory=Path("fake"),
        default_step=default_step,
        segmentation=SegmentationSpec(main=NetworkFile("segmentation.onnx")),
        embedding=embedding,
        plda=_plda(),
        clustering=MappingProxyType({}),
        files=MappingProxyType({name: FileRecord(name, "0" * 64, 0) for name in names}),
        licences=("Apache-2.0",),
        sha256=f"fake-{kind}-{default_step}".encode().hex().ljust(64, "0")[:64],
    )


def _plda() -> PldaTables:
    """A PLDA in which every voice is an axis, as far from the others as real ones are."""
    return PldaTables(
        mean1=frozen(np.zeros(DIMENSION)),
        lda=frozen(np.asarray(directions().T / 2, np.float64)),
        mean2=frozen(np.zeros(VOICES)),
        mu=frozen(np.zeros(VOICES)),
        tr=frozen(6.0 * np.eye(VOICES)),
        psi=frozen(np.geomspace(40.0, 30.0, VOICES)),
    )
