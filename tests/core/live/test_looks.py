from __future__ import annotations

import numpy as np

from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, WINDOW
from speakrs_stream.core.live.looks import Flush, Look
from tests.live_conversations import DIMENSION, log_probabilities, model


def test_a_look_hears_its_sound_and_then_silence() -> None:
    look = Look.into(np.full(5_000, 0.5, np.float32), PipelineConfig(), model())
    (job,) = look.session.jobs()
    assert job.inputs["samples"].shape == (WINDOW,)
    assert (job.inputs["samples"][:5_000] == 0.5).all() and not job.inputs["samples"][5_000:].any()
    activity = np.zeros((FRAMES_PER_WINDOW, 3), np.uint8)
    activity[:18, 1] = 1
    look.resolve(job.id, log_probabilities(activity))
    assert look.result is None, "its embeddings are missing"
    (job,) = look.session.jobs()
    look.resolve(job.id, np.ones((3, DIMENSION), np.float32))
    assert look.result is not None and look.result.activity.bits.tolist() == activity.tolist()


def test_a_flush_waits_for_its_look_if_it_has_one() -> None:
    config = PipelineConfig()
    flush = Flush.of(170_000, np.zeros(154_000, np.float32), config, model())
    assert flush.waits and flush.look is not None
    for job in flush.look.session.jobs():
        flush.look.resolve(job.id, log_probabilities(np.zeros((FRAMES_PER_WINDOW, 3), np.uint8)))
    assert not flush.waits, "nobody spoke: no embedding is asked for"
    assert not Flush.of(160_000, np.zeros(0, np.float32), config, model()).waits
