"""Figures for operators, in Prometheus' text format; few names, no label per session."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from speakrs_server import messages
from speakrs_server.messages import ServerMessage

LATENCY = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 12.0, 15.0, 20.0, 30.0, 60.0)
FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Metrics:
    """All figures of one server."""

    def __init__(self, version: str) -> None:
        self.registry = registry = CollectorRegistry()
        self.sessions = Gauge("speakrs_sessions", "Sessions by state", ["state"], registry=registry)
        self.capacity = Gauge(
            "speakrs_session_capacity_estimate", "Sessions that can be carried in real time", registry=registry
        )
        self.connections = Gauge("speakrs_connections", "Connections by role", ["role"], registry=registry)
        self.audio = Counter("speakrs_audio_seconds", "Audio by what became of it", ["outcome"], registry=registry)
        self.received, self.processed = self.audio.labels("received"), self.audio.labels("processed")
        self.turns = Counter("speakrs_turns", "Messages about turns", ["kind"], registry=registry)
        self.latency = Histogram(
            "speakrs_turn_latency_seconds",
            "From the end of a turn being received to its first and its final message",
            ["kind"],
            buckets=LATENCY,
            registry=registry,
        )
        self.relabels = Counter("speakrs_relabels", "Changes of who somebody is", ["cause"], registry=registry)
        self.lag = Gauge("speakrs_ingest_lag_seconds", "Largest amount of audio not worked on", registry=registry)
        self.words = Counter("speakrs_words", "Words by what was told of them", ["status"], registry=registry)
        self.captions_lag = Gauge(
            "speakrs_captions_lag_seconds", "Largest amount of audio not recognized", registry=registry
        )
        self.rtf = Gauge("speakrs_rtf", "Seconds of work per second of audio", registry=registry)
        self.batch = Histogram(
            "speakrs_batch_size", "Inferences run together", buckets=(1, 2, 4, 8, 16, 32, 64), registry=registry
        )
        self.inference = Histogram(
            "speakrs_inference_seconds", "Time of one batch", ["model"], buckets=FAST, registry=registry
        )
        self.depth = Gauge("speakrs_queue_depth", "Inferences that wait for the networks", registry=registry)
        self.restarts = Counter(
            "speakrs_worker_restarts",
            "Times that the networks did not answer and the worker was replaced",
            registry=registry,
        )
        self.anomalies = Counter("speakrs_audio_anomalies", "What was odd about the sound", ["kind"], registry=registry)
        self.fsync = Histogram("speakrs_journal_fsync_seconds", "Time of one flush", buckets=FAST, registry=registry)
        self.journal = Gauge("speakrs_journal_bytes", "Journal of all open sessions", registry=registry)
        self.resumes = Counter("speakrs_resumes", "Attempts to resume", ["result"], registry=registry)
        self.closes = Counter("speakrs_closes", "Connections by close code", ["code"], registry=registry)
        self.aborts = Counter(
            "speakrs_slow_consumer_aborts", "Connections aborted because they took no data", registry=registry
        )
        self.loop_lag = Gauge("speakrs_event_loop_lag_seconds", "How late the event loop is", registry=registry)
        self.build = Gauge("speakrs_build_info", "1; the version is a label", ["version"], registry=registry)
        self.build.labels(version).set(1)

    def told(self, message: ServerMessage, latency_ms: int | None = None) -> None:
        """Count a message that was shown; latency_ms: since the end of a new turn, or one that is final."""
        match message:
            case messages.TurnProvisional():
                self.turns.labels("provisional").inc()
                if message.was is not None:
                    self.relabels.labels("turn").inc()
            case messages.TurnFinal():
                self.turns.labels("final").inc()
            case messages.TurnRetracted():
                self.turns.labels("retracted").inc()
            case messages.SpeakerMerged():
                self.relabels.labels("merge").inc()
            case messages.SpeakerSplit():
                self.relabels.labels("split").inc()
            case messages.WordsLabelled():
                self.words.labels(message.status).inc(len(message.words))
            case messages.WordsRelabelled():
                self.words.labels("relabelled").inc(len(message.words))
        if latency_ms is not None:
            kind = "final" if isinstance(message, messages.TurnFinal) else "provisional"
            self.latency.labels(kind).observe(latency_ms / 1000)

    def inferred(self, model: str, size: int, seconds: float) -> None:
        """Count a batch."""
        self.batch.observe(size)
        self.inference.labels(model).observe(seconds)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)
