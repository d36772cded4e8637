"""The bundle `embedded-fast`: a student's segmentation beside everything else of a bundle.

    python -m training.fast STUDENT.pt BUNDLE --silence -0.2 --overlap 0.9 --set threshold=0.7 --set Fb=2.4

writes `segmentation-fast.onnx` and the manifest `fast.json` into BUNDLE; its other files are shared.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from speakrs_stream.models.manifest import MANIFEST
from training.export import export_segmentation, record
from training.pyannet import POWERSET
from training.student import Student, load_student

NETWORK, WRITTEN, CARD = "segmentation-fast.onnx", "fast.json", "MODEL_CARD_FAST.md"
NOTE = "pyannote/segmentation (Bredin & Laurent 2021); a student of it, taught by training/distil.py"


def biased(student: Student, silence: float, overlap: float) -> Student:
    """The student, with something added to its logits of nobody and of two at once: it misses less."""
    heard = POWERSET.sum(dim=1)
    with torch.no_grad():
        student.classifier.bias.add_((silence * (heard == 0) + overlap * (heard > 1)).repeat(student.rate))
    return student


def manifest(folder: Path, settings: dict[str, float]) -> dict[str, Any]:
    """The manifest of the bundle in a folder, with the student's network and settings in place of its own."""
    data: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    files = {name: one for name, one in data["files"].items() if name not in ("segmentation.onnx", "MODEL_CARD.md")}
    for name, licence, source in ((NETWORK, "MIT", NOTE), (CARD, "Apache-2.0", "this project")):
        if (folder / name).exists():
            files[name] = record(folder / name, licence, source)
    return data | {
        "name": "embedded-fast",
        "description": "Shipped with the package: `embedded` with a quicker segmentation, for many streams.",
        "segmentation": data["segmentation"] | {"file": NETWORK},
        "clustering": data["clustering"] | settings,
        "files": dict(sorted(files.items())),
    }


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("student", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--silence", type=float, default=0.0, help="added to the logit of nobody")
    parser.add_argument("--overlap", type=float, default=0.0, help="added to the logits of two at once")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="clustering setting")
    options = parser.parse_args()
    student = biased(load_student(options.student), options.silence, options.overlap)
    export_segmentation(student, options.bundle / NETWORK, NOTE)
    settings = {name: float(value) for name, value in (one.split("=", 1) for one in options.set)}
    text = json.dumps(manifest(options.bundle, settings), indent=1) + "\n"
    (options.bundle / WRITTEN).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
