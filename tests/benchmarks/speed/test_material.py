from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from benchmarks.speed.material import SEGMENTATION, community_shapes, sound, talk
from tests.benchmarks.speed.small import small_shapes


def test_sound_starts_again_where_the_recording_ends() -> None:
    long = sound(80.0)
    assert long.shape == (80 * 16_000,) and long.dtype == np.float32
    length = len(sound(77.0))
    assert np.array_equal(long[:16_000], sound(1.0)) and length == 77 * 16_000


def test_every_stream_hears_another_part() -> None:
    audio = np.arange(12, dtype=np.float32)
    first, second, third = talk(audio, 3)
    assert first.tolist() == audio.tolist()
    assert second.tolist() == [*range(4, 12), *range(4)]
    assert third.tolist() == [*range(8, 12), *range(8)]


def test_shapes_are_made_once(tmp_path: Path) -> None:
    bundle = small_shapes(tmp_path)
    made = (bundle.directory / SEGMENTATION).stat().st_mtime_ns
    again = small_shapes(tmp_path)
    assert again.sha256 == bundle.sha256
    assert (again.directory / SEGMENTATION).stat().st_mtime_ns == made


def test_an_unfinished_directory_is_made_again(tmp_path: Path) -> None:
    bundle = small_shapes(tmp_path)
    (bundle.directory / "complete").unlink()
    (bundle.directory / SEGMENTATION).write_bytes(b"half")
    onnx.load(small_shapes(tmp_path).directory / SEGMENTATION)


def test_a_segmentation_of_ones_own_takes_the_random_one_s_place(tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes((small_shapes(tmp_path).directory / SEGMENTATION).read_bytes())
    bundle = community_shapes(other, tmp_path / "b", width=4)
    assert (bundle.directory / SEGMENTATION).read_bytes() == other.read_bytes()
