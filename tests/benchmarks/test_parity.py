"""The core against the recorded pipeline, and what the comparison says when they are not equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.parity import compare, largest_difference, load_plda, load_recording, relabelled_differences
from speakrs_stream.errors import FormatError


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Any]:
    return load_recording(shared / "golden" / "two_speakers.npz")


def run(path: Path, *extra: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(main, ["parity", str(path), *extra], catch_exceptions=False)
    return result.exit_code, json.loads(result.stdout)


def test_no_cell_differs(shared: Path) -> None:
    code, said = run(shared / "golden" / "two_speakers.npz", "--plda", str(shared / "models" / "community-1"))
    assert code == 0
    assert said["cells_differing"] == {"speaker_counting_data": 0, "discrete_diarization_data": 0}
    assert (said["windows"], said["frames"], said["speakers"], said["permuted"]) == (18, 1601, 2, False)
    errors = said["largest_error"]
    assert len(errors) == 9
    assert errors["plda_features"] < 1e-11
    assert max(errors["vbx_gamma"], errors["vbx_pi"], errors["plda_phi"]) < 1e-12
    assert {name for name, error in errors.items() if error == 0.0} >= {
        "train_embeddings", "train_chunk_idx", "train_speaker_idx", "ahc_clusters", "hard_clusters"
    }  # fmt: skip


def test_missing_stages_are_fine(shared: Path, golden: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "bare.npz"
    np.savez(path, **{name: golden[name] for name in ("segmentation_data", "embeddings_data")})
    code, said = run(path, "--plda", str(shared / "models" / "community-1"))
    assert code == 0
    assert said["cells_differing"] == {"speaker_counting_data": None, "discrete_diarization_data": None}
    assert said["largest_error"] == {}
    assert said["equal"] is None


def test_differences_are_counted(shared: Path, golden: dict[str, Any], tmp_path: Path) -> None:
    changed = dict(golden)
    changed["discrete_diarization_data"] = golden["discrete_diarization_data"].copy()
    changed["discrete_diarization_data"][100:103, 0] = 1 - changed["discrete_diarization_data"][100:103, 0]
    changed["speaker_counting_data"] = golden["speaker_counting_data"] + np.uint8(1)
    changed["ahc_clusters"] = golden["ahc_clusters"].copy()
    changed["ahc_clusters"][0] = 7
    changed["hard_clusters"] = golden["hard_clusters"][:-1]
    path = tmp_path / "changed.npz"
    np.savez(path, **changed)
    code, said = run(path, "--plda", str(shared / "models" / "community-1"))
    assert code == 1
    assert said["cells_differing"] == {"speaker_counting_data": 1601, "discrete_diarization_data": 3}
    assert said["largest_error"]["ahc_clusters"] == 1
    assert said["largest_error"]["hard_clusters"] is None
    assert said["equal"] is False


def test_other_sizes_differ_by_what_is_missing(shared: Path, golden: dict[str, Any]) -> None:
    plda = load_plda(shared / "models" / "community-1")
    shorter = golden | {"discrete_diarization_data": golden["discrete_diarization_data"][:-5]}
    assert compare(shorter, plda).cells_differing["discrete_diarization_data"] == 10
    wider = golden | {"discrete_diarization_data": np.pad(golden["discrete_diarization_data"], ((0, 0), (0, 1)))}
    assert compare(wider, plda).cells_differing["discrete_diarization_data"] == 0


def test_swapped_speakers_are_said(shared: Path, golden: dict[str, Any]) -> None:
    swapped = golden | {name: golden[name][:, ::-1] for name in ("discrete_diarization_data", "vbx_gamma")}
    swapped["plda_features"] = -golden["plda_features"]
    result = compare(swapped, load_plda(shared / "models" / "community-1"))
    assert result.permuted
    assert result.equal
    assert result.largest_error["vbx_gamma"] == pytest.approx(0, abs=1e-12)
    assert result.largest_error["plda_features"] == pytest.approx(0, abs=1e-11)


def test_one_window_and_silence(shared: Path, golden: dict[str, Any]) -> None:
    plda = load_plda(shared / "models" / "community-1")
    one = {name: golden[name][:1] for name in ("segmentation_data", "embeddings_data")}
    result = compare(one, plda)
    assert (result.windows, result.frames, result.speakers) == (1, 594, 1)
    silent = one | {
        "segmentation_data": np.zeros_like(one["segmentation_data"]),
        "speaker_counting_data": np.zeros((594, 1), np.uint8),
        "discrete_diarization_data": np.zeros((594, 0), np.float32),
    }
    assert compare(silent, plda).equal


def test_unusable_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_text("not a zip")
    with pytest.raises(FormatError, match="cannot be read"):
        load_recording(path)
    np.savez(path, segmentation_data=np.zeros((1, 589, 3)))
    with pytest.raises(FormatError, match="no embeddings_data"):
        load_recording(path)
    np.savez(path, segmentation_data=np.zeros((589, 3)), embeddings_data=np.zeros((1, 3, 256)))
    with pytest.raises(FormatError, match=r"\(589, 3\), expected"):
        load_recording(path)
    with pytest.raises(FormatError, match=r"plda_mean1\.npy, plda_lda\.npy"):
        load_plda(tmp_path)


def test_measures() -> None:
    assert relabelled_differences(np.array([0, 0, 1, 1]), np.array([5, 5, 2, 2])) == 0
    assert relabelled_differences(np.array([0, 0, 1, 1]), np.array([5, 2, 2, 2])) == 1
    assert relabelled_differences(np.array([0]), np.array([5, 2])) == 2
    nan = np.array([1.0, np.nan])
    assert largest_difference(nan, np.array([1.5, np.nan])) == 0.5
    assert largest_difference(nan, np.array([1.0, 2.0])) is None
