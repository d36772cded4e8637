"""Figures: the names stay, and they count."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from speakrs_server import messages
from speakrs_server.metrics import Metrics

NAMES = """sessions session_capacity_estimate connections audio_seconds turns turn_latency_seconds relabels
ingest_lag_seconds rtf batch_size inference_seconds journal_fsync_seconds journal_bytes resumes closes
slow_consumer_aborts queue_depth worker_restarts audio_anomalies event_loop_lag_seconds build_info"""


def test_the_names() -> None:
    families = {family.name for family in text_string_to_metric_families(Metrics("1").text().decode())}
    assert {f"speakrs_{name}" for name in NAMES.split()} <= families


def test_messages_are_counted() -> None:
    metrics = Metrics("1")
    turn = {"turn": "t_0001", "rev": 1, "speaker": "S1", "start_ms": 0, "end_ms": 1}
    metrics.told(messages.TurnProvisional(**turn, was="S2"), 300)  # type: ignore[arg-type]
    metrics.told(messages.TurnFinal(seq=1, **turn), 700)  # type: ignore[arg-type]
    metrics.told(messages.TurnRetracted(seq=2, turn="t_0002", rev=1))
    metrics.told(messages.SpeakerMerged(seq=3, speaker="S2", into="S1"))
    metrics.told(messages.SpeakerSplit(seq=4, speaker="S1", into=("S1", "S3")))
    metrics.told(messages.Pong(id=1))
    metrics.inferred("head", 4, 0.01)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    assert [value("speakrs_turns_total", kind=kind) for kind in ("provisional", "final", "retracted")] == [1, 1, 1]
    assert [value("speakrs_relabels_total", cause=cause) for cause in ("turn", "merge", "split")] == [1, 1, 1]
    assert value("speakrs_turn_latency_seconds_bucket", kind="final", le="0.5") == 0
    assert value("speakrs_turn_latency_seconds_bucket", kind="final", le="1.0") == 1
    assert value("speakrs_turn_latency_seconds_bucket", kind="provisional", le="0.5") == 1
    assert value("speakrs_batch_size_sum") == 4 and value("speakrs_inference_seconds_count", model="head") == 1
