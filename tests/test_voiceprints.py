"""Prints: means that follow a voice, a bounded number of them, JSON there and back, nothing shown."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speakrs_stream.errors import ConfigError, FormatError
from speakrs_stream.voiceprints import (
    MOST_PROTOTYPES,
    MOST_SECONDS,
    Prints,
    Prototype,
    Voice,
    checked_name,
    id_number,
    merged,
    plain,
    share_a_print,
    together,
    unit,
    usable,
    voice_of,
)


def towards(*parts: float) -> NDArray[np.float32]:
    """A direction in 12 dimensions, its first coordinates given."""
    return unit([*parts, *[0.0] * (12 - len(parts))])


def voice(name: str = "Alice", **prints: Prints) -> Voice:
    return Voice(name, False, prints)


def test_a_print_that_is_alike_moves_the_mean() -> None:
    before = Prints("b", (Prototype(towards(1), 30.0),))
    after = before.with_print(Prototype(towards(1, 0.5), 10.0))
    assert len(after.prototypes) == 1
    assert after.prototypes[0].seconds == 40.0
    expected = unit(0.75 * towards(1) + 0.25 * towards(1, 0.5))
    np.testing.assert_allclose(after.prototypes[0].embedding, expected, atol=1e-6)


def test_a_print_that_is_not_alike_stands_beside() -> None:
    both = Prints("b", (Prototype(towards(1), 30.0),)).with_print(Prototype(towards(0, 1), 10.0))
    assert [p.seconds for p in both.prototypes] == [30.0, 10.0]
    assert both.similarity(towards(0, 1)) == pytest.approx(1.0)
    np.testing.assert_allclose(both.mean, unit(3 * towards(1) + towards(0, 1)), atol=1e-6)


def test_prints_are_bounded_and_the_most_alike_become_one() -> None:
    prints = Prints("b", (Prototype(np.eye(12, dtype=np.float32)[0], 1.0),))
    for axis in range(1, MOST_PROTOTYPES):
        prints = prints.with_print(Prototype(np.eye(12, dtype=np.float32)[axis], 1.0))
    assert len(prints.prototypes) == MOST_PROTOTYPES
    close = unit(np.eye(12)[2] + 0.9 * np.eye(12)[11])  # 0.74 to axis 2, nothing to the others
    prints = prints.with_print(Prototype(close, 1.0))
    assert len(prints.prototypes) == MOST_PROTOTYPES
    assert prints.similarity(close) > 0.9
    assert sum(p.seconds for p in prints.prototypes) == MOST_PROTOTYPES + 1
    assert all(prints.similarity(np.eye(12, dtype=np.float32)[axis]) > 0.9 for axis in range(MOST_PROTOTYPES))


def test_an_old_mean_still_follows() -> None:
    one = merged(Prototype(towards(1), 1e6), Prototype(towards(0, 1), MOST_SECONDS))
    np.testing.assert_allclose(one.embedding, unit([1, 1, *[0] * 10]), atol=1e-6)


def test_merging_opposite_prints_stays_finite() -> None:
    assert np.isfinite(merged(Prototype(towards(1), 5.0), Prototype(towards(-1), 5.0)).embedding).all()


def test_json_there_and_back_is_exact() -> None:
    generator = np.random.default_rng(5)
    prints = Prints("embedded", tuple(Prototype(unit(generator.normal(size=12)), 3.25) for _ in range(3)))
    before = Voice("Zoë 🎤", False, {"ab" * 32: prints})
    after = voice_of(json.loads(json.dumps(plain(before))), "x")
    assert (after.name, after.numbered, list(after.prints)) == (before.name, False, ["ab" * 32])
    for ours, theirs in zip(after.prints["ab" * 32].prototypes, prints.prototypes, strict=True):
        np.testing.assert_allclose(ours.embedding, theirs.embedding, atol=1e-7)
        assert ours.seconds == theirs.seconds


def damaged(**changes: Any) -> dict[str, Any]:
    good = plain(voice(one=Prints("b", (Prototype(towards(1), 2.0),))))
    return {**good, **changes}


def with_prototype(**changes: Any) -> dict[str, Any]:
    value = damaged()
    value["bundles"]["one"]["prototypes"][0] |= changes
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        damaged(name=7),
        damaged(name="two\nlines"),
        damaged(bundles=[]),
        damaged(bundles={"one": {"bundle": "b", "prototypes": []}}),
        with_prototype(seconds="many"),
        with_prototype(seconds=-1),
        with_prototype(seconds=float("nan")),
        with_prototype(embedding="????"),
        with_prototype(embedding="AAAA"),
        with_prototype(embedding="AADAfw=="),  # not a number
        with_prototype(embedding=""),
    ],
)
def test_what_is_damaged_is_refused(value: Any) -> None:
    with pytest.raises(FormatError, match=r"^here is damaged"):
        voice_of(value, "here")


def test_voices_are_put_together_without_doubles() -> None:
    first = voice(one=Prints("b", (Prototype(towards(1), 2.0),)))
    second = voice("V0001", one=Prints("b", (Prototype(towards(1), 2.0), Prototype(towards(0, 1), 3.0))))
    second = Voice("V0001", True, {**second.prints, "two": Prints("c", (Prototype(towards(0, 0, 1), 4.0),))})
    both = together(first, second)
    assert (both.name, both.numbered) == ("Alice", False)
    assert [p.seconds for p in both.prints["one"].prototypes] == [2.0, 3.0]
    assert both.seconds == 5.0
    assert list(both.prints) == ["one", "two"]
    assert share_a_print(first, second) and not share_a_print(first, voice("X", two=second.prints["two"]))


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, "\x1b[31mred", "a\u202eb"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(ConfigError, match="name is one line"):
        checked_name(name)


def test_names_have_one_form() -> None:
    assert checked_name("  Zoe\u0308 ") == "Zo\u00eb"


def test_ids() -> None:
    assert [id_number(name) for name in ("V0001", "V12345", "V1", "Vera", "v0001")] == [1, 12345, 0, 0, 0]


@pytest.mark.parametrize("values", [None, [], [0.0, 0.0], [1.0, float("nan")], [[1.0, 2.0]]])
def test_embeddings_that_say_nothing(values: Any) -> None:
    assert not usable(values)


def test_prints_do_not_show() -> None:
    known = voice(one=Prints("b", (Prototype(towards(0.123456), 2.0),)))
    shown = f"{known!r} {known.prints['one']!r} {known.prints['one'].prototypes[0]!r}"
    assert "array" not in shown and "1.0" not in shown
