from __future__ import annotations

import numpy as np
import pytest

from speakrs_stream.core.arrays import F64
from speakrs_stream.core.clustering.plda import unit
from speakrs_stream.core.live.memory import GROUP_DISTANCE, Items, Memory

DIMENSION, LATENT = 6, 3


def embeddings(count: int, voices: int, seed: int = 0, spread: float = 0.05) -> tuple[F64, list[int]]:
    """(count, D) embeddings of voices 1… at random, and whose they are."""
    generator = np.random.default_rng(seed)
    centres = unit(generator.standard_normal((voices, DIMENSION)))
    who = generator.integers(voices, size=count)
    rows = 3 * (centres[who] + spread * generator.standard_normal((count, DIMENSION)))
    return rows, (who + 1).tolist()


def filled(count: int, voices: int = 3, recent: int = 20, groups: int = 16, spread: float = 0.05) -> Memory:
    memory = Memory(DIMENSION, LATENT, recent, groups)
    rows, who = embeddings(count, voices, spread=spread)
    for key, (row, speaker) in enumerate(zip(rows, who, strict=True)):
        memory.push(row.astype(np.float32), row[:LATENT], speaker, key)
    return memory


def test_recent_items_are_kept_one_by_one() -> None:
    memory = filled(20)
    rows, who = embeddings(20, 3)
    items = memory.items()
    assert len(memory) == len(items) == 20
    np.testing.assert_array_equal(items.raw, rows.astype(np.float32))
    np.testing.assert_array_equal(items.features, rows[:, :LATENT])
    assert items.speaker.tolist() == who and items.key.tolist() == list(range(20))
    assert items.weight.tolist() == [1.0] * 20


def test_a_mean_weighs_groups_by_what_they_hold() -> None:
    memory = filled(60, voices=1)
    rows, _ = embeddings(60, 1)
    assert len(memory) < 60
    raw, features = memory.items().mean()
    np.testing.assert_allclose(raw, rows.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(features, rows[:, :LATENT].mean(axis=0), atol=1e-6)


@pytest.mark.parametrize(("voices", "spread"), [(1, 0.05), (3, 0.05), (3, 1.0), (8, 0.5), (60, 0.3)])
def test_memory_is_bounded_and_weighs_everything_ever_heard(voices: int, spread: float) -> None:
    memory = Memory(DIMENSION, LATENT, 20, 16)
    rows, who = embeddings(1_500, voices, spread=spread)
    for key, (row, speaker) in enumerate(zip(rows, who, strict=True)):
        memory.push(row, row[:LATENT], speaker, key)
        assert len(memory) <= 20 + 16
    items = memory.items()
    assert items.key.max() == 1_499
    if voices <= 8:
        assert items.weight.sum() == pytest.approx(1_500)
        for speaker in range(1, voices + 1):
            own, said = items.speaker == speaker, np.array(who) == speaker
            assert items.weight[own].sum() == pytest.approx(said.sum())
            np.testing.assert_allclose(items.weight[own] @ items.raw[own], rows[said].sum(axis=0), atol=1e-8)
            np.testing.assert_allclose(
                items.weight[own] @ items.features[own], rows[said, :LATENT].sum(axis=0), atol=1e-8
            )


def test_a_rare_voice_is_not_absorbed_by_a_loud_one() -> None:
    memory = Memory(DIMENSION, LATENT, 20, 16)
    rows, _ = embeddings(3_000, 1, spread=0.6)
    rare = -rows[:3]
    for key, row in enumerate(rare):
        memory.push(row, row[:LATENT], 2, key)
    for key, row in enumerate(rows):
        memory.push(row, row[:LATENT], 1, 3 + key)
    items = memory.items()
    own = items.speaker == 2
    assert items.weight[own].sum() == pytest.approx(3)
    np.testing.assert_allclose(items.weight[own] @ items.raw[own] / 3, rare.mean(axis=0))


def test_near_items_become_one_group_and_far_ones_do_not() -> None:
    memory = filled(21, voices=2, spread=0.01)
    old = memory.items().take(slice(0, len(memory) - 11))
    assert old.speaker.tolist() == [1, 2] and old.weight.sum() == 10
    wide = filled(40, voices=1, spread=2.0, groups=64)
    assert len(wide.items()) > 20 + 5
    apart = unit(wide.items().raw[: len(wide) - 20])
    assert np.linalg.norm(apart[:, None] - apart[None], axis=2)[np.triu_indices(len(apart), 1)].max() > GROUP_DISTANCE


def test_labels_can_be_changed_and_what_was_handed_out_stays() -> None:
    memory = filled(45)
    items = memory.items()
    before = items.speaker.copy()
    memory.relabel(np.where(items.speaker == 1, 7, items.speaker))
    memory.rename(2, 3)
    assert items.speaker.tolist() == before.tolist()
    assert memory.items().speaker.tolist() == [{1: 7, 2: 3}.get(who, who) for who in before.tolist()]
    row = np.ones(DIMENSION)
    memory.push(row, row[:LATENT], 9, 99)
    assert memory.items().speaker.tolist()[-1] == 9 and memory.items().key.tolist()[-1] == 99


def test_a_restored_memory_goes_on_alike() -> None:
    rows, who = embeddings(300, 4, seed=5, spread=0.4)
    for cut in (0, 1, 19, 20, 21, 55, 120):
        memory, other = filled(cut), Memory(DIMENSION, LATENT, 20, 16)
        other.restore({name: array.copy() for name, array in memory.state().items()})
        for key, (row, speaker) in enumerate(zip(rows, who, strict=True)):
            for one in (memory, other):
                one.push(row, row[:LATENT], speaker, 1_000 + key)
            assert len(memory) == len(other)
        for name, array in memory.state().items():
            np.testing.assert_array_equal(other.state()[name], array)


def test_nothing_is_nothing() -> None:
    assert len(Memory(DIMENSION, LATENT, 20, 16).items()) == 0
    assert len(Items.empty(DIMENSION, LATENT).grouped(np.zeros(0, np.int64))) == 0
