"""Everything after the networks, compared cell for cell with a recorded pyannote pipeline.

A recording is an .npz with the binary segmentation and the embeddings of every window, and what the pipeline made of
them. The windows are pushed one by one through the core with `PipelineConfig(parity=True)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from scipy.optimize import linear_sum_assignment

from speakrs_stream.core.arrays import I64, Array
from speakrs_stream.core.clustering.offline import Clustering, cluster
from speakrs_stream.core.clustering.plda import Plda
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.session import frame_matrices, scripted_history
from speakrs_stream.errors import FormatError

TABLES = ("mean1", "lda", "mean2", "mu", "tr", "psi")
BESIDE = Path(__file__).resolve().parent.parent.parent / "shared" / "models" / "community-1"


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the core is from the recording."""

    windows: int
    """Windows pushed."""

    frames: int
    """Frames of the result."""

    speakers: int
    """Clusters found."""

    cells_differing: Mapping[str, int | None]
    """Stage -> cells that differ from the recording; None where the file does not have the stage."""

    permuted: bool
    """Whether the speakers' columns had to be reordered for the count in `cells_differing`."""

    largest_error: Mapping[str, float | None]
    """Intermediate stage -> largest absolute difference, or number of items in another cluster for `ahc_clusters`;
    None where the shapes differ. Only stages the file has."""

    @property
    def equal(self) -> bool | None:
        """Whether no cell differs; None where the file has nothing to compare with."""
        compared = [cells for cells in self.cells_differing.values() if cells is not None]
        return not any(compared) if compared else None


def load_recording(path: Path) -> dict[str, Array]:
    """Arrays of an .npz; raises FormatError when it cannot be read or lacks segmentation or embeddings."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            recording = {name: file[name] for name in file.files}
    except (OSError, ValueError, BadZipFile, AttributeError) as error:
        raise FormatError(f"{path} cannot be read as .npz: {error}") from error
    for name, shape in (("segmentation_data", "(windows, 589, 3)"), ("embeddings_data", "(windows, 3, D)")):
        if name not in recording:
            raise FormatError(f"{path} has no {name} {shape}; it has {', '.join(sorted(recording)) or 'nothing'}")
        if recording[name].ndim != 3:
            raise FormatError(f"{path}: {name} is {recording[name].shape}, expected {shape}")
    return recording


def load_plda(folder: Path | None = None) -> Plda:
    """Tables plda_mean1.npy … from `folder`, or from shared/models/community-1 beside the repository."""
    where = folder or BESIDE
    paths = {name: where / f"plda_{name}.npy" for name in TABLES}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        hint = "" if folder else "; give their folder with --plda"
        raise FormatError(f"PLDA tables {', '.join(missing)} are not in {where}{hint}")
    return Plda(**{name: np.load(path).astype(np.float64) for name, path in paths.items()})


def compare(recording: Mapping[str, Array], plda: Plda, *, step: int = SAMPLE_RATE) -> Parity:
    """Push `recording` window by window and compare every stage it has; `step` is in samples."""
    config = PipelineConfig(step=step, parity=True)
    history, count = scripted_history(recording["segmentation_data"], recording["embeddings_data"], step)
    clustering = cluster(history, plda, config.clustering)
    matrix, _ = frame_matrices(history, count, clustering, config)
    counts = np.asarray(count.finish()).reshape(-1, 1)
    cells: dict[str, int | None] = {"speaker_counting_data": None, "discrete_diarization_data": None}
    permuted = False
    if (theirs := recording.get("speaker_counting_data")) is not None:
        cells["speaker_counting_data"] = _differing(counts, theirs.reshape(len(theirs), -1))
    if (theirs := recording.get("discrete_diarization_data")) is not None:
        differing, permuted = _differing_permuted(matrix, theirs)
        cells["discrete_diarization_data"] = differing
    errors = _stage_errors(recording, clustering, plda, history.embeddings)
    return Parity(len(history), len(matrix), len(clustering.centroids), cells, permuted, errors)


def _stage_errors(
    recording: Mapping[str, Array], clustering: Clustering, plda: Plda, embeddings: Array
) -> dict[str, float | None]:
    """Largest error of every intermediate stage the recording has."""
    training = embeddings[clustering.windows, clustering.locals]
    empty = np.zeros((len(training), 0))
    start = clustering.start if clustering.start is not None else np.zeros(len(training), np.int64)
    features = clustering.features if clustering.features is not None else empty
    gamma = clustering.vbx.gamma if clustering.vbx is not None else empty
    pi = clustering.vbx.pi if clustering.vbx is not None else np.zeros(0)

    errors: dict[str, float | None] = {}

    def note(name: str, ours: Array) -> None:
        if name in recording:
            errors[name] = largest_difference(ours, recording[name])

    note("train_embeddings", training)
    note("train_chunk_idx", clustering.windows)
    note("train_speaker_idx", clustering.locals)
    if "ahc_clusters" in recording:
        errors["ahc_clusters"] = float(relabelled_differences(start, recording["ahc_clusters"]))
    if "plda_features" in recording:
        note("plda_features", _with_signs_of(recording["plda_features"], features))
    note("plda_phi", plda.phi)
    columns = _columns_of(recording, gamma)
    note("vbx_gamma", gamma[:, columns])
    note("vbx_pi", pi[columns])
    note("hard_clusters", clustering.labels)
    return errors


def largest_difference(ours: Array, theirs: Array) -> float | None:
    """Largest absolute difference; None where the shapes differ or only one side is a number."""
    if ours.shape != theirs.shape:
        return None
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return None
    return float(np.max(np.abs(np.nan_to_num(a) - np.nan_to_num(b)), initial=0.0))


def relabelled_differences(ours: I64, theirs: Array) -> int:
    """Items whose cluster differs when clusters may be renumbered one-to-one; all when the lengths differ."""
    if ours.shape != theirs.shape:
        return max(ours.size, theirs.size)
    _, a = np.unique(ours, return_inverse=True)
    _, b = np.unique(theirs, return_inverse=True)
    if not a.size:
        return 0
    together = np.zeros((a.max() + 1, b.max() + 1), np.int64)
    np.add.at(together, (a, b), 1)
    return int(a.size - together[linear_sum_assignment(together, maximize=True)].sum())


def _differing(ours: Array, theirs: Array) -> int:
    """Cells that differ: of columns only one of the two has those that are not 0, of rows only one has all."""
    shape = tuple(max(pair) for pair in zip(ours.shape, theirs.shape, strict=True))
    padded = []
    for matrix in (ours, theirs):
        whole = np.zeros(shape)
        whole[: matrix.shape[0], : matrix.shape[1]] = matrix
        padded.append(whole)
    extra_rows = abs(ours.shape[0] - theirs.shape[0])
    common = min(ours.shape[0], theirs.shape[0])
    return int(np.sum(padded[0][:common] != padded[1][:common]) + extra_rows * shape[1])


def _differing_permuted(ours: Array, theirs: Array) -> tuple[int, bool]:
    """Cells that differ with the columns as they are, or in the order that fits best; and whether that was needed."""
    as_it_is: int = _differing(ours, theirs)
    if as_it_is == 0 or ours.shape != theirs.shape:
        return as_it_is, False
    cost = np.sum(ours[:, :, None] != theirs[:, None, :], axis=0)
    rows, columns = linear_sum_assignment(cost)
    best = int(cost[rows, columns].sum())
    return (best, True) if best < as_it_is else (as_it_is, False)


def _with_signs_of(theirs: Array, ours: Array) -> Array:
    """`ours` with every column's sign flipped where that brings it nearer to `theirs`."""
    if ours.shape != theirs.shape:
        return ours
    return ours * np.where(np.sum(ours * theirs, axis=0) < 0, -1.0, 1.0)


def _columns_of(recording: Mapping[str, Array], gamma: Array) -> I64:
    """Order of our VBx columns that fits the recording's best."""
    theirs = recording.get("vbx_gamma")
    if theirs is None or theirs.shape != gamma.shape:
        return np.arange(gamma.shape[1])
    rows, columns = linear_sum_assignment(np.abs(gamma[:, :, None] - theirs[:, None, :]).sum(axis=0))
    return np.asarray(rows[np.argsort(columns)], np.int64)
