"""Networks hear a recording once; what is kept has no sound and is nobody else's to read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from speakrs_stream.errors import OutputError
from speakrs_stream.inference.fake import script, speak
from speakrs_stream.tuning.outputs import infer, inferred, key_of
from tests.server.rig import engine


def test_kept_and_found_again_by_content(tmp_path: Path) -> None:
    audio, cache, told = tmp_path / "a.wav", tmp_path / "cache", list[int]()
    soundfile.write(audio, speak(script("A 0.5-4, B 4.5-8")), 16_000)
    first = inferred(engine(), audio, cache, lambda progress: told.append(progress.completed))
    assert told and first.samples == told[-1] == 8 * 16_000
    moved = audio.rename(tmp_path / "b.wav")
    told.clear()
    again = inferred(engine(), moved, cache, lambda progress: told.append(progress.completed))
    assert not told and again.samples == first.samples
    assert all(np.array_equal(again.state[name], first.state[name], equal_nan=True) for name in first.state)
    (kept,) = cache.iterdir()
    assert kept.stat().st_mode & 0o077 == 0 and cache.stat().st_mode & 0o077 == 0
    assert set(np.load(kept).files) == {"samples", "packed", "embeddings"}
    kept.write_bytes(kept.read_bytes()[:-40])
    assert inferred(engine(), moved, cache).samples == first.samples, "what is damaged is made again"
    assert infer(engine(), moved, 2.0).samples == 2 * 16_000


def test_where_nothing_can_be_kept(tmp_path: Path) -> None:
    audio = tmp_path / "a.wav"
    soundfile.write(audio, speak(script("A 0.5-1")), 16_000)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="name another --cache"):
        inferred(engine(), audio, tmp_path / "file")
    with pytest.raises(OutputError, match="cannot be read"):
        key_of(engine(), tmp_path / "absent.wav")
