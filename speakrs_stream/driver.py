"""Answering a session's questions inline: jobs of one network and shape are run together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.core.filters import LEVEL
from speakrs_stream.core.jobs import Job
from speakrs_stream.inference.networks import Networks

BATCH = 16
"""Inferences of one network that are run together at most."""

T = TypeVar("T")


class Asker(Protocol[T]):
    """A session of either kind: it asks, and is answered."""

    def jobs(self) -> list[Job]:
        """What must be inferred now."""
        ...

    def resolve(self, job_id: int, output: NDArray[Any]) -> list[T]:
        """Take one answer."""
        ...


def answer(session: Asker[T], networks: Networks) -> Iterator[T]:
    """Run what `session` asks for until it asks nothing more; yields what the answers settle."""
    while jobs := session.jobs():
        for batch in batches(jobs):
            for job, output in zip(batch, run(batch, networks), strict=True):
                yield from session.resolve(job.id, output)


def batches(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Jobs of one network and shape together, at most `BATCH`, in the order asked."""

    def alike(job: Job) -> tuple[str, tuple[int, ...]]:
        return job.model, next(iter(job.inputs.values())).shape

    for _, group in groupby(sorted(jobs, key=alike), key=alike):
        members = list(group)
        for start in range(0, len(members), BATCH):
            yield members[start : start + BATCH]


def run(batch: Sequence[Job], networks: Networks) -> NDArray[Any]:
    """Answers to a batch of jobs of one network and shape, first axis as the batch."""
    if LEVEL in batch[0].inputs:
        return networks.segment_filtered([job.inputs for job in batch])
    stacked = {name: np.stack([job.inputs[name] for job in batch]) for name in batch[0].inputs}
    match batch[0].model:
        case "segmentation":
            return networks.segment(stacked["samples"])
        case "filters":
            return networks.filter(stacked["samples"])
        case "trunk":
            return networks.trunk(stacked["fbank"])
        case "flow":
            return networks.flow(stacked["fbank"], stacked["context"])
        case "head":
            return networks.head(stacked["statistics"])
        case "pooled":
            return networks.pooled(stacked["features"], stacked["weights"])
        case "multimask":
            return networks.multimask(stacked["fbank"], stacked["masks"])
