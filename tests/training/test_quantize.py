"""Networks in int8: still a bundle, a smaller one, with features and answers like before."""

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
from training.quantize import windows, write

MEETING = EMBEDDED_DIRECTORY.parent.parent / "demo" / "meeting.flac"


@pytest.mark.filterwarnings("ignore")
def test_a_bundle_in_int8(tmp_path: Path) -> None:
    speech, rate = soundfile.read(MEETING, dtype="float32", frames=16_000 * 24)
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / "speech.flac", speech[: 12 * rate], rate)
    plain = ModelBundle.open(EMBEDDED_DIRECTORY)
    write(plain, [tmp_path / "audio"], tmp_path / "int8")
    small = ModelBundle.open(tmp_path / "int8")
    assert plain.embedding.trunk is not None and small.sha256 != plain.sha256
    file = plain.embedding.trunk.file
    assert small.files[file].bytes < 0.6 * plain.files[file].bytes
    unseen = np.asarray(speech[12 * rate :], np.float32)
    before, after = (Networks(bundle, OnnxBackend()) for bundle in (plain, small))
    rows = fbank(unseen)[None, :291]
    expected, found = before.trunk(rows)[0], after.trunk(rows)[0]
    likeness = (expected * found).sum(axis=1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)
    assert not np.array_equal(expected, found) and np.median(likeness) > 0.99
    heard = [networks.segment(unseen[None, :160_000]) for networks in (before, after)]
    assert 0 < np.abs(np.exp(heard[0]) - np.exp(heard[1])).mean() < 0.02
    # its first filters are run once over a stream all the same
    assert after.filters is not None


def test_ranges_need_recordings_of_a_window(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no FLAC or WAV"):
        next(windows([tmp_path]))
    soundfile.write(tmp_path / "short.wav", np.zeros(16_000, np.float32), 16_000)
    with pytest.raises(SystemExit, match="ten seconds"):
        next(windows([tmp_path]))
