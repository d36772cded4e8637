"""Networks loaded once, used for many recordings and streams; inferences are answered inline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.audio.files import open_audio
from speakrs_stream.audio.source import AudioSource, open_array
from speakrs_stream.core.clustering.plda import Plda
from speakrs_stream.core.config import ClusteringConfig, PipelineConfig, SpeakerBounds
from speakrs_stream.core.embedding.extraction import EmbeddingLayout, FlowLayout
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.session import Outcome, Session, SpeakerModel
from speakrs_stream.diarization import Diarization, Speaker, Turn
from speakrs_stream.driver import answer
from speakrs_stream.errors import BadFormat, Cancelled, ConfigError, MissingExtra, ModelError, OutputError
from speakrs_stream.inference.auto import choose
from speakrs_stream.inference.base import Backend
from speakrs_stream.inference.networks import Networks
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.cut import cut
from speakrs_stream.models.resolve import resolve
from speakrs_stream.modes import mode_named
from speakrs_stream.stream import Stream, live_config

Audio = str | Path | NDArray[Any]
EmbeddingMode = Literal["exact", "fast", "refined"]
BLOCK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a recording is."""

    stage: str
    """"inference" while audio is read and the networks run, then "clustering"."""
    completed: int
    """Samples at 16 kHz done."""
    total: int | None
    """Samples at 16 kHz in all; None when the file does not say."""


def speaker_model(bundle: ModelBundle) -> SpeakerModel:
    """What the core must know of a bundle."""
    embedding = bundle.embedding
    trunk = embedding.trunk
    flow = trunk.flow if trunk else None
    layout = EmbeddingLayout(
        kind=embedding.kind,
        dimension=embedding.dimension,
        window_mean=embedding.fbank.normalization == "window_mean",
        stride=trunk.stride if trunk else 8,
        receptive_field=trunk.receptive_field if trunk and not trunk.padded else 0,
        flow=FlowLayout(flow.context, flow.delay, trunk.receptive_field) if trunk and flow else None,
    )
    tables = bundle.plda
    plda = Plda(tables.mean1, tables.lda, tables.mean2, tables.mu, tables.tr, tables.psi)
    return SpeakerModel(layout, plda)


def pipeline_config(
    bundle: ModelBundle,
    config: PipelineConfig | None,
    step: float | None,
    embedding: EmbeddingMode | None = None,
) -> PipelineConfig:
    """The configuration in force: the caller's, or the bundle's defaults.

    step: in seconds, and embedding override either; a trunk that windows share exactly needs no other way
    """
    chosen = config or PipelineConfig(
        step=bundle.default_step, clustering=ClusteringConfig.from_mapping(bundle.clustering)
    )
    trunk = bundle.embedding.trunk
    if trunk is not None and not trunk.padded:
        chosen = replace(chosen, embedding="exact")
    elif embedding is not None:
        chosen = replace(chosen, embedding=embedding)
    if step is None:
        return chosen
    samples = step * SAMPLE_RATE
    if not samples > 0 or samples != round(samples):
        raise ConfigError(f"step must be a whole number of samples above 0, got {step} s")
    return replace(chosen, step=round(samples))


def shareable(
    bundle: ModelBundle, embedding: EmbeddingMode | None, backend: Backend
) -> tuple[ModelBundle, EmbeddingMode]:
    """The bundle in the form that a way to compute embeddings needs, and that way.

    embedding: None for `refined` where that is possible, else `exact`; also `exact` on a GPU, which pools windows
        itself and has more to gain from that than from sharing
    Raises MissingExtra, ModelError, OutputError where the embedding network cannot be shared as wanted.
    """
    trunk = bundle.embedding.trunk
    if embedding is None and backend.full_batches:
        embedding = "exact"
    if embedding == "exact" or (trunk is not None and (not trunk.padded or trunk.flow is not None)):
        return bundle, embedding or "refined"
    try:
        return cut(bundle, backend), embedding or "refined"
    except (MissingExtra, ModelError, OutputError):
        if embedding is None:
            return bundle, "exact"
        raise


class Engine:
    """A bundle's networks in memory. Threads may share one: it keeps no state between recordings."""

    live_embedding: EmbeddingMode | None = None
    """How streams compute embeddings; None as recordings do."""

    def __init__(
        self,
        bundle: str | Path | ModelBundle | None = None,
        *,
        mode: str = "auto",
        backend: str | Backend = "auto",
        step: float | None = None,
        config: PipelineConfig | None = None,
        embedding: EmbeddingMode | None = None,
        threads: int = 1,
    ) -> None:
        """Load networks and check them.

        bundle: "embedded", "embedded-fast", "community-1", a directory or an opened bundle; None takes
            $SPEAKRS_MODELS_DIR, else "embedded"
        mode: "cpu", "cuda" or "coreml", or one of them with "-fast" behind: a window every 2 s, shared embeddings,
            short turns and pauses smoothed away, fewer iterations. "auto" takes the best backend there is
        backend: "auto", "cpu", "cuda" …, `speakrs-stream doctor` lists them; or an object that is one
        step: seconds between windows; None for the bundle's own
        config: every other setting; None for the bundle's defaults
        embedding: how windows share the embedding network where they cannot do so exactly (community-1): "exact" runs
            it for each; "fast" over new audio only, nearly exactly; "refined" is fast while a stream lasts and exact
            for recordings and for the result of a stream. None takes that of `config` where one is given, else
            "refined", or "exact" on a GPU and where onnx, which it takes, is not installed
        threads: of one inference

        Raises ModelError where the bundle or the backend cannot be used, ConfigError for impossible settings.
        """
        whole = bundle if isinstance(bundle, ModelBundle) else resolve(bundle)
        way = mode_named(mode)
        if way is not None and backend != "auto":
            raise ConfigError(f"mode {mode} says what runs the networks; leave out the backend")
        if way is not None:
            step = way.step if step is None else step
            embedding = "fast" if way.fast and embedding is None else embedding
        pipeline_config(whole, config, step)  # refuses what is impossible before anything is loaded
        chosen = choose(way.backend if way else backend)
        if embedding is None and config is not None:
            embedding = config.embedding
        self.bundle, wanted = shareable(whole, embedding, chosen)
        self.model = speaker_model(self.bundle)
        found = pipeline_config(self.bundle, config, step, wanted)
        if way is not None:
            found = way.applied(found)
        self.live_embedding = found.embedding
        self.config = replace(found, embedding="exact") if found.embedding == "refined" else found
        """Settings of recordings."""
        for one in (self.config, self.live_config):
            Session(one, self.model)  # refuses a step the bundle cannot do
        self.backend_name = chosen.name
        self.mode = way.name if way else chosen.name
        """What was chosen, as it can be asked for."""
        self.description = f"mode {self.mode}: {chosen.description}"
        """What was chosen and why, in one line."""
        self.networks = Networks(self.bundle, chosen, threads=threads)
        layout = replace(self.model.layout, pooled=self.networks.pools)
        self.model = replace(self.model, layout=layout, filters=self.networks.filters)
        if because := self.networks.whole_because:
            self.description += f"; filters run in every window: {because}"

    @property
    def live_config(self) -> PipelineConfig:
        """Settings of streams: those of recordings, but for how embeddings are computed."""
        return replace(self.config, embedding=self.live_embedding or self.config.embedding)

    def diarize(
        self,
        audio: Audio,
        *,
        sample_rate: int | None = None,
        uri: str | None = None,
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        hook: Callable[[Progress], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Diarization:
        """Who spoke when in a whole recording, read piece by piece.

        audio: a file, or samples (n,) or (n, channels) of any usual kind with their `sample_rate` in hertz
        uri: name of the recording; None takes the file's stem
        num_speakers, min_speakers, max_speakers: what is known of the number of speakers
        hook: called with a `Progress` after every piece; cancel: asked then too, `Cancelled` is raised if it says yes

        Raises AudioError where the sound cannot be used, ConfigError for impossible numbers.
        """
        bounds = SpeakerBounds.of(num_speakers, min_speakers, max_speakers)
        with open_source(audio, sample_rate) as source:
            session = Session(self.config, self.model)
            for block in source.blocks(BLOCK_SECONDS):
                _check(cancel)
                session.push(block)
                self._answer(session, cancel)
                if hook:
                    hook(Progress("inference", session.samples, source.samples))
            session.finish()
            self._answer(session, cancel)
            _check(cancel)
            if hook:
                hook(Progress("clustering", session.samples, session.samples))
            outcome = session.outcome(bounds)
            name = uri if uri is not None else name_of(audio)
            found = self.diarization(outcome, name)
            return replace(found, warnings=source.report.warnings)

    def stream(
        self,
        *,
        sample_rate: int = SAMPLE_RATE,
        step: float | None = None,
        max_delay: float | None = None,
        recluster: float | None = None,
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        voices: Mapping[str, NDArray[Any]] | None = None,
        uri: str = "stream",
        live: LiveConfig | None = None,
    ) -> Stream:
        """Open a live stream.

        sample_rate: hertz of what will be pushed
        step: seconds between windows; None for the engine's
        max_delay: seconds within which what was heard is final, 1 to 120; recluster: seconds between re-clusterings
        num_speakers, min_speakers, max_speakers: what is known of their number; `Stream.hint` changes it later
        voices: name -> embedding (D,) of people to recognise, as `Engine.voice` makes them
        live: every other live setting
        """
        stream = Stream(
            self,
            pipeline_config(self.bundle, self.live_config, step),
            live_config(live, max_delay=max_delay, recluster=recluster),
            sample_rate=sample_rate,
            uri=uri,
            bounds=SpeakerBounds.of(num_speakers, min_speakers, max_speakers),
        )
        for name, voice in (voices or {}).items():
            stream.enrol(name, voice)
        return stream

    def restore(
        self,
        snapshot: bytes,
        *,
        step: float | None = None,
        max_delay: float | None = None,
        recluster: float | None = None,
        live: LiveConfig | None = None,
    ) -> Stream:
        """The stream that `Stream.snapshot` saved, opened with the same settings; SnapshotMismatch otherwise."""
        config = pipeline_config(self.bundle, self.live_config, step)
        return Stream.restore(self, snapshot, config, live_config(live, max_delay=max_delay, recluster=recluster))

    def voice(self, audio: Audio, *, sample_rate: int | None = None) -> NDArray[np.float32]:
        """Embedding (D,) of the one person who speaks in a recording, to recognise them by.

        Raises BadFormat where there is not enough clean speech: two seconds at least.
        """
        found = self.diarize(audio, sample_rate=sample_rate, num_speakers=1)
        embedding = found.speakers[0].embedding if found.speakers else None
        if embedding is None:
            raise BadFormat("there is too little clear speech to know a voice by; give some ten seconds of one person")
        return embedding

    def _answer(self, session: Session, cancel: Callable[[], bool] | None) -> None:
        for _ in answer(session, self.networks):
            _check(cancel)

    def diarization(self, outcome: Outcome, uri: str) -> Diarization:
        """A core result with labels SPEAKER_00, SPEAKER_01 …"""
        labels = [f"SPEAKER_{number:02d}" for number in range(len(outcome.embeddings))]
        speakers = tuple(
            Speaker(label, embedding=None if np.isnan(row).any() else row.astype(np.float32))
            for label, row in zip(labels, outcome.embeddings, strict=True)
        )
        return Diarization(
            uri,
            outcome.samples,
            tuple(Turn(turn.span, labels[turn.speaker]) for turn in outcome.turns),
            tuple(Turn(turn.span, labels[turn.speaker]) for turn in outcome.exclusive),
            speakers,
            self.bundle.name,
        )


def _check(cancel: Callable[[], bool] | None) -> None:
    if cancel is not None and cancel():
        raise Cancelled("stopped as asked")


def open_source(audio: Audio, sample_rate: int | None) -> AudioSource:
    """A file or an array as blocks at 16 kHz."""
    if isinstance(audio, str | Path):
        if sample_rate is not None:
            raise ConfigError("a file has its own sample rate; give sample_rate with an array only")
        return open_audio(audio)
    if sample_rate is None:
        raise BadFormat("an array needs its sample_rate in hertz, such as diarize(samples, sample_rate=16000)")
    return open_array(audio, sample_rate)


def name_of(audio: Audio) -> str:
    """What to call a recording: a file's stem."""
    return Path(audio).stem if isinstance(audio, str | Path) else "recording"
