"""What is known of pyannote's community-1 pipeline as published in the speakrs-models layout.

The layout is a directory of loose files without a manifest; this module supplies the manifest. Sources: the model
repository avencera/speakrs-models (ONNX exports) of pyannote/speaker-diarization-community-1 (CC-BY-4.0).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from speakrs_stream.core.grid import FRAME_FIELD, FRAME_STEP, FRAMES_PER_WINDOW, SAMPLE_RATE, WINDOW
from speakrs_stream.errors import BundleCorrupt
from speakrs_stream.models.external import external_files
from speakrs_stream.models.manifest import FORMAT, LOCAL_SPEAKERS, MAX_SIMULTANEOUS, MELS, PLDA_TABLES

SEGMENTATION = "segmentation-3.0"
MULTIMASK = "wespeaker-multimask-tail"
MIN_SAMPLES = "wespeaker-voxceleb-resnet34.min_num_samples.txt"
MIN_NUM_SAMPLES = 400
"""Shortest input of the embedding network; it sets how many clean frames a mask needs (two)."""

PLDA_FILES = {name: f"plda_{name}.npy" for name in PLDA_TABLES}
DIMENSION = 256
BATCHES = (32, 64)
"""Fixed batch sizes the exports exist in, besides 1."""

LICENCE = "CC-BY-4.0"
CREDIT = (
    "CC-BY-4.0: pyannote/speaker-diarization-community-1 by pyannote; ONNX export by avencera/speakrs-models; "
    "speaker embedding from WeSpeaker (VoxCeleb ResNet34)"
)
CLUSTERING = {"threshold": 0.6, "Fa": 0.07, "Fb": 0.8, "max_iterations": 20, "min_clean_ratio": 0.2}


def is_layout(directory: Path) -> bool:
    """Whether a directory looks as if it were in the speakrs-models layout, complete or not."""
    names = [f"{stem}{suffix}.onnx" for stem in (SEGMENTATION, MULTIMASK) for suffix in ("", "-b32", "-b64")]
    return any((directory / name).is_file() for name in [*names, *PLDA_FILES.values()])


def missing(directory: Path) -> list[str]:
    """Files without which the layout is incomplete."""
    needed = [f"{stem}.onnx" for stem in (SEGMENTATION, MULTIMASK) if _exports(directory, stem) == []]
    return needed + [name for name in PLDA_FILES.values() if not (directory / name).is_file()]


def manifest_data(directory: Path, name: str, *, version: str = "1", source: str = "") -> dict[str, Any]:
    """The manifest of a directory in the speakrs-models layout, made from the files that are there.

    Raises BundleCorrupt where a file contradicts what is known of community-1.
    """
    _check_min_samples(directory)
    segmentation, multimask = _exports(directory, SEGMENTATION), _exports(directory, MULTIMASK)
    names = [entry["file"] for entry in segmentation + multimask]
    for network in tuple(names):
        names += external_files(directory, network)
    names += PLDA_FILES.values()
    if (directory / MIN_SAMPLES).is_file():
        names.append(MIN_SAMPLES)
    return {
        "format": FORMAT,
        "name": name,
        "version": version,
        "description": "pyannote community-1: PyanNet segmentation, ResNet34 embeddings, PLDA and VBx",
        "sample_rate": SAMPLE_RATE,
        "window": WINDOW,
        "default_step": SAMPLE_RATE,
        "segmentation": {
            **segmentation[0],
            "variants": segmentation[1:],
            "input": "input",
            "output": "output",
            "frames": FRAMES_PER_WINDOW,
            "frame_step": FRAME_STEP,
            "receptive_field": FRAME_FIELD,
            "local_speakers": LOCAL_SPEAKERS,
            "max_simultaneous": MAX_SIMULTANEOUS,
        },
        "embedding": {
            "kind": "multimask",
            "dimension": DIMENSION,
            "fbank": {"mels": MELS, "normalization": "window_mean"},
            "multimask": {
                **multimask[0],
                "variants": multimask[1:],
                "inputs": ["fbank", "masks"],
                "output": "output",
            },
        },
        "plda": dict(PLDA_FILES),
        "clustering": dict(CLUSTERING),
        "files": {name: _record(directory, name, source) for name in dict.fromkeys(names)},
        "licences": [CREDIT],
    }


def _exports(directory: Path, stem: str) -> list[dict[str, Any]]:
    names: list[tuple[str, int | None]] = [(f"{stem}.onnx", None)]
    names += [(f"{stem}-b{batch}.onnx", batch) for batch in BATCHES]
    return [{"file": name, "batch": batch} for name, batch in names if (directory / name).is_file()]


def _record(directory: Path, name: str, source: str) -> dict[str, Any]:
    path = directory / name
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "sha256": digest,
        "bytes": path.stat().st_size,
        "licence": LICENCE,
        "source": f"{source}/{name}" if source else "",
    }


def _check_min_samples(directory: Path) -> None:
    path = directory / MIN_SAMPLES
    if not path.is_file():
        return
    text = path.read_text("ascii", errors="replace").strip()[:20]
    if text != str(MIN_NUM_SAMPLES):
        raise BundleCorrupt(f"{path} says {text!r}, but community-1 has {MIN_NUM_SAMPLES}; get the file again")
