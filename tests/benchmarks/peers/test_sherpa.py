"""sherpa-onnx where it can be installed; what it is given, everywhere."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from benchmarks.peers import sherpa
from benchmarks.peers.environment import PeerUnavailable
from benchmarks.speed.material import SEGMENTATION, sound
from tests.benchmarks.speed.small import small_shapes
from training.community_shapes import FBANK, FRAMES, MELS, multimask


def test_networks_carry_what_it_reads(tmp_path: Path) -> None:
    source = small_shapes(tmp_path).directory / SEGMENTATION
    segmentation, embedding = sherpa.prepare(source, 1, tmp_path / "given", width=4)
    facts = {entry.key: entry.value for entry in onnx.load(segmentation).metadata_props}
    assert facts == sherpa.SEGMENTATION and facts["receptive_field_shift"] == "270"
    assert {entry.key: entry.value for entry in onnx.load(embedding).metadata_props}["output_dim"] == "256"


def test_the_embedding_network_has_the_bundle_s_weights(tmp_path: Path) -> None:
    _, path = sherpa.prepare(small_shapes(tmp_path).directory / SEGMENTATION, 1, tmp_path / "given", width=4)
    bank = np.random.default_rng(0).standard_normal((1, FBANK, MELS)).astype(np.float32)
    (theirs,) = onnxruntime.InferenceSession(path).run(None, {"feats": bank})
    fused = onnxruntime.InferenceSession(multimask(1, 1, 4).SerializeToString())
    (ours,) = fused.run(None, {"fbank": bank, "masks": np.ones((3, FRAMES), np.float32)})
    cosine = theirs[0] @ ours[0] / np.linalg.norm(theirs[0]) / np.linalg.norm(ours[0])
    assert cosine > 0.999


def test_a_process_that_cannot_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(PeerUnavailable, match="sherpa-onnx stopped with status"):
        sherpa.Sherpa(Path(sys.executable), tmp_path / "no.onnx", tmp_path / "no.onnx")


@pytest.mark.network
def test_it_diarizes_with_our_networks(tmp_path: Path) -> None:
    try:
        python = sherpa.environment(tmp_path / "sherpa")
    except PeerUnavailable as error:
        pytest.skip(str(error))
    given = sherpa.prepare(small_shapes(tmp_path).directory / SEGMENTATION, 1, tmp_path / "given", width=4)
    running = sherpa.Sherpa(python, *given)
    seconds, turns = running.seconds(sherpa.keep(sound(20), tmp_path / "audio.npy"))
    running.close()
    assert seconds > 0 and turns > 0
