"""The work by which hours and machines are compared."""

from __future__ import annotations

from pathlib import Path

from benchmarks.speed.yardstick import trunk
from tests.benchmarks.speed.small import small_shapes


def test_it_says_how_long_it_took(tmp_path: Path) -> None:
    timed = trunk(small_shapes(tmp_path))
    assert all(0 < timed() < 60 for _ in range(2))
