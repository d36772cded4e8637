"""Puts another segmentation into a bundle and leaves its other files as they are.

    python -m training.replace CHECKPOINT BUNDLE --note 'fine-tuned by …'

The manifest gets the new file, the card of this folder, and the version of `training.export`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from speakrs_stream.models.manifest import MANIFEST
from training.export import TEACHER_NOTE, VERSION, export_segmentation
from training.record import record
from training.restore import restored_segmentation

NETWORK, CARD = "segmentation.onnx", "MODEL_CARD.md"
MADE = "fine-tuned by training/segmentation.py and training/hush.py"


def replace(checkpoint: Path, bundle: Path, made: str) -> None:
    """Write the network and the card into the bundle, and what its manifest says of them."""
    note = f"{TEACHER_NOTE}; {made}"
    export_segmentation(restored_segmentation(checkpoint), bundle / NETWORK, note)
    shutil.copyfile(Path(__file__).with_name(CARD), bundle / CARD)
    data = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    data["version"] = VERSION
    data["files"][NETWORK] = record(bundle / NETWORK, "MIT", note)
    data["files"][CARD] = record(bundle / CARD, "Apache-2.0", "this project")
    (bundle / MANIFEST).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--note", default=MADE, help="how it was made")
    options = parser.parse_args()
    replace(options.checkpoint, options.bundle, options.note)


if __name__ == "__main__":
    main()
