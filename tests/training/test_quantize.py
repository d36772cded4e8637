"""A trunk in int8: still a bundle, half the size, and features that point the same way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from speakrs_stream.core.embedding.fbank import fbank
from speakrs_stream.inference.networks import Networks
from speakrs_stream.inference.onnx import OnnxBackend
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.resolve import EMBEDDED_DIRECTORY
from training.quantize import write

MEETING = EMBEDDED_DIRECTORY.parent.parent / "demo" / "meeting.flac"


@pytest.mark.filterwarnings("ignore")
def test_an_int8_trunk(tmp_path: Path) -> None:
    speech, rate = soundfile.read(MEETING, dtype="float32", frames=16_000 * 12)
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / "speech.flac", speech[: 8 * rate], rate)
    plain = ModelBundle.open(EMBEDDED_DIRECTORY)
    write(plain, tmp_path / "audio", tmp_path / "int8")
    small = ModelBundle.open(tmp_path / "int8")
    assert plain.embedding.trunk is not None
    file = plain.embedding.trunk.file
    assert small.files[file].bytes < 0.6 * plain.files[file].bytes
    assert small.sha256 != plain.sha256
    unseen = fbank(speech[8 * rate :])[None, :291]
    expected, found = (Networks(bundle, OnnxBackend()).trunk(unseen)[0] for bundle in (plain, small))
    likeness = (expected * found).sum(axis=1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)
    assert not np.array_equal(expected, found) and np.median(likeness) > 0.99
