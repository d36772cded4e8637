"""Scripted conversations: "A 0-5, B 4-9, A 12-15", the sound of them, and networks that understand nothing else.

Every voice hums on frequencies of its own, five times a second louder and softer, above a faint noise. `Ear` stands in
for the networks. Its segmentation finds the window it is shown in the recording and reads the script, with local
speakers in an order drawn anew for each window. Its embeddings really listen: they look at which bands hum under a
mask, so they work for any cut of the embedding network, and for any window of the filter bank.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from speakrs_stream.core.arrays import F32, F64, I64, U8, Array
from speakrs_stream.core.embedding.extraction import EmbeddingLayout, FlowLayout
from speakrs_stream.core.embedding.fbank import mel_filters
from speakrs_stream.core.embedding.pooling import pool, resample_nearest
from speakrs_stream.core.grid import FRAME_MIDDLE, FRAME_STEP, FRAMES_PER_WINDOW, SAMPLE_RATE, WINDOW, Span
from speakrs_stream.core.history import WindowResult
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.powerset import LOCAL_SPEAKERS, MAX_SIMULTANEOUS, mapping
from speakrs_stream.core.session import Outcome, Session, SpeakerModel
from tests.checks import pieces
from tests.core.voices import directions, toy_plda

DIMENSION = 32
MOST_VOICES = 8
TONES = 3
"""Hummed at once by one voice."""

SHARED = EmbeddingLayout(kind="split", dimension=DIMENSION, window_mean=False, stride=4, receptive_field=25)
PADDED = EmbeddingLayout(kind="split", dimension=DIMENSION, window_mean=True, stride=8)
FLOWING = EmbeddingLayout(
    kind="split", dimension=DIMENSION, window_mean=True, stride=8, flow=FlowLayout(20 * 80, 1, 25)
)
"""A padded trunk that can carry on: 20 rows are all that its filter of 25 needs from before."""
MULTIMASK = EmbeddingLayout(kind="multimask", dimension=DIMENSION, window_mean=True)
LAYOUTS = {"shared": SHARED, "padded": PADDED, "multimask": MULTIMASK}


def speaker_model(layout: EmbeddingLayout) -> SpeakerModel:
    """What a session must know of the networks that `Ear` stands in for."""
    return SpeakerModel(layout, toy_plda(DIMENSION))


@dataclass(frozen=True, slots=True)
class Utterance:
    """One voice, one stretch of speech."""

    voice: str
    """Name in the script."""
    span: Span
    """Where, in samples."""


class Conversation:
    """Who speaks when, and what that sounds like."""

    def __init__(self, utterances: Sequence[Utterance], samples: int, seed: int = 0) -> None:
        self.utterances = tuple(utterances)
        self.samples = samples
        self.seed = seed
        self.voices = sorted({utterance.voice for utterance in utterances})
        assert len(self.voices) <= MOST_VOICES

    @classmethod
    def of(cls, script: str, seconds: float | None = None, seed: int = 0) -> Conversation:
        """`"A 0-5, B 4-9.5"`, in seconds; the recording lasts `seconds`, or until the last word."""
        utterances = []
        for part in filter(None, (part.strip() for part in script.split(","))):
            found = re.fullmatch(r"(\w+) +([\d.]+)-([\d.]+)", part)
            assert found, f"{part!r} is not like 'A 0-5'"
            start, end = (round(float(text) * SAMPLE_RATE) for text in found.group(2, 3))
            utterances.append(Utterance(found.group(1), Span(start, end)))
        last = max((utterance.span.end for utterance in utterances), default=0)
        return cls(utterances, last if seconds is None else round(seconds * SAMPLE_RATE), seed)

    def activity(self, start: int, frames: int) -> U8:
        """Who speaks in `frames` frames from sample `start` on, (frames, voices): a frame counts by its middle."""
        middles = start + FRAME_MIDDLE + FRAME_STEP * np.arange(frames)
        out = np.zeros((frames, len(self.voices)), np.uint8)
        for utterance in self.utterances:
            inside = (middles >= utterance.span.start) & (middles < utterance.span.end)
            out[inside, self.voices.index(utterance.voice)] = 1
        return out

    def window(self, start: int, audible: int = WINDOW) -> tuple[U8, I64]:
        """Local speakers of the window at sample `start`, of which `audible` samples are not padding.

        Returns activity (589, 3) and the voice of each local speaker (3,), -1 for nobody. At most three voices and two
        at once: the ones that speak most in this window.
        """
        activity = self.activity(start, FRAMES_PER_WINDOW)
        activity[FRAME_MIDDLE + FRAME_STEP * np.arange(FRAMES_PER_WINDOW) >= audible] = 0
        order = np.argsort(-activity.sum(axis=0, dtype=np.int64), kind="stable")[:LOCAL_SPEAKERS]
        kept = activity[:, order]
        kept *= np.cumsum(kept, axis=1) <= MAX_SIMULTANEOUS
        out = np.zeros((FRAMES_PER_WINDOW, LOCAL_SPEAKERS), np.uint8)
        who = np.full(LOCAL_SPEAKERS, -1)
        places = np.random.default_rng((self.seed, start)).permutation(LOCAL_SPEAKERS)
        for column, voice in enumerate(order):
            if kept[:, column].any():
                out[:, places[column]] = kept[:, column]
                who[places[column]] = voice
        return out, who

    @cached_property
    def audio(self) -> F32:
        """The sound, (samples,) float32. No sample is exactly 0, so padding can be told from silence."""
        generator = np.random.default_rng((self.seed, 7))
        sound = 3e-3 * generator.standard_normal(self.samples)
        sound[sound == 0] = 1e-5
        time = np.arange(self.samples) / SAMPLE_RATE
        for utterance in self.utterances:
            here = slice(utterance.span.start, min(utterance.span.end, self.samples))
            loudness = 0.06 * (1 + 0.9 * np.sin(2 * np.pi * 5 * time[here]))
            for hertz in tones(self.voices.index(utterance.voice)):
                sound[here] += loudness * np.sin(2 * np.pi * hertz * time[here])
        return sound.astype(np.float32)

    def recorded(self, step: int = SAMPLE_RATE, spread: float = 0.15, dimension: int = DIMENSION) -> tuple[U8, F32]:
        """What perfect networks would say: activity (windows, 589, 3) and embeddings (windows, 3, dimension).

        For tests that need no session: embeddings are directions with noise, NaN for nobody.
        """
        windows = [self.window(start, self.samples - start) for start in range(0, self.samples, step)]
        # the first window that holds the end of the recording is the last
        windows = windows[: -(-max(self.samples - WINDOW, 0) // step) + 1]
        activity = np.stack([activity for activity, _ in windows])
        who = np.stack([voices for _, voices in windows])
        noise = np.random.default_rng((self.seed, 9)).standard_normal((*who.shape, dimension)) / np.sqrt(dimension)
        embeddings = 3.0 * (directions(MOST_VOICES, dimension)[who] + spread * noise)
        embeddings[who < 0] = np.nan
        return activity, embeddings.astype(np.float32)


def tones(voice: int) -> list[float]:
    """Frequencies in Hertz on which a voice hums, at least two filters away from everybody else's."""
    centres = mel_filters().argmax(axis=0) * (SAMPLE_RATE / 512)  # of the 80 filters
    return [float(centres[8 + 3 * (voice + MOST_VOICES * tone)]) for tone in range(TONES)]


def log_probabilities(activity: U8) -> F32:
    """Network output (589, 7) that decodes to `activity` (589, 3)."""
    wanted = (activity[:, None] == mapping()[None]).all(axis=2)
    assert wanted.any(axis=1).all(), "more than two speak at once"
    return np.asarray(np.log(np.where(wanted, 0.94, 0.01)), np.float32)


class Ear:
    """Answers the jobs of a session that hears `conversation`; one example at a time, like `Job.inputs`."""

    def __init__(self, conversation: Conversation, layout: EmbeddingLayout) -> None:
        self.conversation = conversation
        self.layout = layout
        generator = np.random.default_rng(11)
        taps = np.zeros(layout.receptive_field or 25)
        taps[len(taps) // 2] = 1.0
        self._taps: F64 = taps + generator.uniform(-0.01, 0.01, len(taps))  # every tap counts, the middle most
        self._colour: F64 = generator.standard_normal((160, DIMENSION)) / np.sqrt(160)

    def answer(self, job: Job) -> Array:
        """The answer to one job: (589, 7) · (T', 80) · (T' * 80 + S,) · (D,) · (3, D)."""
        match job.model:
            case "segmentation":
                return self.segmentation(job.inputs["samples"])
            case "trunk":
                return self.trunk(job.inputs["fbank"])
            case "flow":
                return self.flow(job.inputs["fbank"], job.inputs["context"])
            case "head":
                return self.head(job.inputs["statistics"])
            case "multimask":
                return self.multimask(job.inputs["fbank"], job.inputs["masks"])
            case "pooled":
                with np.errstate(invalid="ignore"):
                    statistics = pool(job.inputs["features"], job.inputs["weights"])
                return np.stack([self.head(row) for row in statistics])
            case "filters":
                raise AssertionError("this segmentation takes whole windows")

    def find(self, samples: F32) -> tuple[int, int]:
        """Where in the recording a window begins, and how many of its samples come before the padding at its end."""
        heard = np.flatnonzero(samples)
        audible = int(heard[-1]) + 1 if len(heard) else 0
        sound = self.conversation.audio
        for start in np.flatnonzero(sound == samples[0]).tolist():
            if np.array_equal(sound[start : start + audible], samples[:audible]):
                return start, audible
        raise AssertionError("this window is not part of the recording")

    def segmentation(self, samples: F32) -> F32:
        """(160000,) -> log-probabilities (589, 7)."""
        assert samples.shape == (WINDOW,) and samples.dtype == np.float32
        start, audible = self.find(samples)
        return log_probabilities(self.conversation.window(start, audible)[0])

    def trunk(self, fbank: F32) -> F32:
        """(T, 80) -> (T', 80): one filter over time, each output depends on exactly the frames the layout says."""
        stride, span = self.layout.stride, len(self._taps)
        rows = fbank if not self.layout.padded else np.pad(fbank, ((span // 2, span // 2), (0, 0)))
        count = self.layout.feature_count(len(fbank))
        out = np.zeros((count, fbank.shape[1]))
        for place, tap in enumerate(self._taps):
            out += tap * rows[place : place + (count - 1) * stride + 1 : stride]
        return out.astype(np.float32)

    def flow(self, fbank: F32, context: F32) -> F32:
        """(T, 80) and (1600,) -> (T / 8 * 80 + 1600,): the padded trunk over new rows, one feature late."""
        rows = np.concatenate([context.reshape(-1, 80), fbank])
        stride, count = self.layout.stride, len(fbank) // self.layout.stride
        out = np.zeros((count, 80))
        for place, tap in enumerate(self._taps):
            out += tap * rows[place : place + (count - 1) * stride + 1 : stride]
        return np.concatenate([out.astype(np.float32).ravel(), rows[len(fbank) :].ravel()])

    def head(self, statistics: F32) -> F32:
        """(160,) mean and deviation of 80 bands -> (D,): the directions of the voices whose bands hum."""
        deviation = statistics[80:].astype(np.float64)
        out = 0.02 * np.tanh(statistics.astype(np.float64)) @ self._colour  # nobody sounds quite the same twice
        for voice, direction in enumerate(directions(MOST_VOICES, DIMENSION)):
            bands = [8 + 3 * (voice + MOST_VOICES * tone) for tone in range(TONES)]
            out += 3.0 * max(float(deviation[bands].mean()) - 1.3, 0.0) * direction
        return np.asarray(out, np.float32)

    def multimask(self, fbank: F32, masks: F32) -> F32:
        """(998, 80) and (3, 589) -> (3, D)."""
        with np.errstate(invalid="ignore"):
            statistics = pool(fbank, resample_nearest(masks, len(fbank)))
        return np.stack([self.head(np.nan_to_num(row)) for row in statistics])


def answer_all(session: Session, ear: Ear, order: np.random.Generator | None = None) -> list[WindowResult]:
    """Answer until nothing is asked; in the order asked, or drawn from `order`, new questions among the old."""
    settled = []
    waiting = session.jobs()
    while waiting:
        job = waiting.pop(0 if order is None else int(order.integers(len(waiting))))
        settled += session.resolve(job.id, ear.answer(job))
        waiting += session.jobs()
    return settled


def converse(session: Session, ear: Ear, sizes: Sequence[int] = (SAMPLE_RATE,)) -> Outcome:
    """Push the whole recording in pieces of `sizes` samples, answer at once, and return the outcome."""
    for piece in pieces(ear.conversation.audio, sizes):
        session.push(piece)
        answer_all(session, ear)
    session.finish()
    answer_all(session, ear)
    return session.outcome()
