from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from speakrs_stream.core.jobs import Job
from speakrs_stream.core.session import Session
from speakrs_stream.driver import BATCH, answer, batches, run
from tests.live_conversations import coded, coded_engine, talks


def job(number: int, model: str, **shapes: tuple[int, ...]) -> Job:
    return Job(number, model, {name: np.full(shape, float(number), np.float32) for name, shape in shapes.items()})  # type: ignore[arg-type]


def test_jobs_of_one_network_and_shape_are_run_together_in_the_order_asked() -> None:
    generator = np.random.default_rng(0)
    jobs = []
    for number in range(100):
        match int(generator.integers(4)):
            case 0:
                jobs.append(job(number, "segmentation", samples=(160_000,)))
            case 1:
                jobs.append(job(number, "trunk", fbank=(int(generator.choice([100, 198])), 80)))
            case 2:
                jobs.append(job(number, "head", statistics=(16,)))
            case _:
                jobs.append(job(number, "multimask", fbank=(998, 80), masks=(3, 589)))
    done = []
    for batch in batches(jobs):
        assert 1 <= len(batch) <= BATCH
        assert len({(one.model, *[rows.shape for rows in one.inputs.values()]) for one in batch}) == 1
        ids = [one.id for one in batch]
        assert ids == sorted(ids)
        done += ids
    assert sorted(done) == list(range(100))
    kinds = Counter((one.model, next(iter(one.inputs.values())).shape) for one in jobs)
    assert len(list(batches(jobs))) == sum(-(-count // BATCH) for count in kinds.values()), "no more than needed"


def test_no_jobs_are_no_batches() -> None:
    assert list(batches([])) == []


@pytest.mark.parametrize("kind", ["split", "padded", "multimask"])
def test_every_network_is_asked_by_its_own_name(kind: str) -> None:
    """A batch gives each job what it gets alone."""
    engine = coded_engine(kind)
    sound = coded(talks("A 0-9, B 3-14"), 16_000, 16_000 * 16)
    session = Session(engine.config, engine.model)
    session.push(sound)
    session.finish()
    models = set()
    while jobs := session.jobs():
        for batch in batches(jobs):
            models.add(batch[0].model)
            outputs = run(batch, engine.networks)
            assert len(outputs) == len(batch)
            for one, output in zip(batch, outputs, strict=True):
                np.testing.assert_allclose(run([one], engine.networks)[0], output, atol=1e-5)
                session.resolve(one.id, output)
    assert models == ({"segmentation", "multimask"} if kind == "multimask" else {"segmentation", "trunk", "head"})
    assert session.outcome().turns


class Chain:
    """Asks three questions, each answer leading to the next."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self._next = 0

    def jobs(self) -> list[Job]:
        if self._next == 3 or self._next < len(self.asked):
            return []
        self.asked.append(self._next)
        return [Job(self._next, "segmentation", {"samples": np.zeros(160_000, np.float32)})]

    def resolve(self, job_id: int, output: NDArray[np.float32]) -> list[str]:
        assert job_id == self._next and output.shape == (589, 7)
        self._next += 1
        return [f"settled {job_id}", "more"] if job_id != 1 else []


def test_answers_that_raise_questions_are_followed_to_the_end() -> None:
    settled: Iterator[str] = answer(Chain(), coded_engine().networks)
    assert list(settled) == ["settled 0", "more", "settled 2", "more"]
