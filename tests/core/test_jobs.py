"""A question is a value."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import get_args

import numpy as np
import pytest

from speakrs_stream.core.jobs import Job, Model


def test_a_job_cannot_be_changed() -> None:
    job = Job(3, "head", {"statistics": np.zeros(4, np.float32)})
    with pytest.raises(FrozenInstanceError):
        job.id = 4  # type: ignore[misc]
    assert job.about == (0, 0, 0)
    assert job != Job(3, "head", job.inputs), "arrays have no truth value: jobs are compared by identity"


def test_the_networks() -> None:
    assert get_args(Model) == ("segmentation", "filters", "trunk", "flow", "head", "pooled", "multimask")
