"""The bundle `embedded-fast`: a student's segmentation and the trunk in int8, beside everything else of a bundle.

    python -m training.fast STUDENT.pt BUNDLE --silence -0.6 --overlap 1.2 --set threshold=0.69 --set Fb=2.4 \\
        --int8 MEETINGS…

writes `segmentation-fast.onnx`, `trunk-fast.onnx` and the manifest `fast.json` into BUNDLE; its other files are shared.
Convolutions are in int8 with ranges seen on MEETINGS, folders of recordings (`training/quantize.py`); without `--int8`
the segmentation is in float32 and the trunk the bundle's own.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.manifest import MANIFEST
from training.export import DATA_NOTE, export_segmentation
from training.pyannet import shifted
from training.quantize import segmentation, trunk
from training.record import record
from training.student import load_student

NETWORK, TRUNK, WRITTEN, CARD = "segmentation-fast.onnx", "trunk-fast.onnx", "fast.json", "MODEL_CARD_FAST.md"
VERSION = "0.3.0"
NOTE = "pyannote/segmentation (Bredin & Laurent 2021); a student of it, taught by training/distil.py"


def manifest(folder: Path, settings: dict[str, float]) -> dict[str, Any]:
    """The manifest of the bundle in a folder, with the student's network and settings in place of its own."""
    data: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    small = (folder / TRUNK).exists()
    others = {"segmentation.onnx", "MODEL_CARD.md"} | ({"trunk.onnx"} if small else set())
    files = {name: one for name, one in data["files"].items() if name not in others}
    for name, licence, source in (
        (NETWORK, "MIT", NOTE),
        (TRUNK, "Apache-2.0", f"{DATA_NOTE}; in int8"),
        (CARD, "Apache-2.0", "this project"),
    ):
        if (folder / name).exists():
            files[name] = record(folder / name, licence, source)
    embedding = data["embedding"]
    if small:
        embedding = embedding | {"trunk": embedding["trunk"] | {"file": TRUNK}}
    return data | {
        "name": "embedded-fast",
        "version": VERSION,
        "description": "Shipped with the package: `embedded` with quicker networks, for many streams.",
        "segmentation": data["segmentation"] | {"file": NETWORK},
        "embedding": embedding,
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
    parser.add_argument(
        "--int8", type=Path, nargs="+", metavar="FOLDER", help="convolutions in int8, ranges from these"
    )
    options = parser.parse_args()
    student = shifted(load_student(options.student), options.silence, options.overlap)
    network, small = options.bundle / NETWORK, options.bundle / TRUNK
    export_segmentation(student, network, NOTE)
    small.unlink(missing_ok=True)
    if options.int8:
        segmentation(network, options.int8, network)
        trunk(ModelBundle.open(options.bundle), options.int8, small)
    settings = {name: float(value) for name, value in (one.split("=", 1) for one in options.set)}
    text = json.dumps(manifest(options.bundle, settings), indent=1) + "\n"
    (options.bundle / WRITTEN).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
