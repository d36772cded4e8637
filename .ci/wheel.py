"""Check that a wheel holds what it must and nothing else: `python .ci/wheel.py WHEEL`."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

PACKAGES = {"speakrs_stream", "speakrs_server", "speakrs_clients"}
NEEDED = (
    "speakrs_stream/models/embedded/manifest.json",
    "speakrs_stream/models/embedded/segmentation.onnx",
    "speakrs_stream/models/embedded/fast.json",
    "speakrs_stream/models/embedded/segmentation-fast.onnx",
    "speakrs_stream/models/embedded/trunk-fast.onnx",
    "speakrs_stream/demo/meeting.flac",
    "speakrs_stream/demo/meeting.rttm",
    "speakrs_stream/formats/diarization.schema.json",
    "speakrs_server/page/index.html",
    "speakrs_server/page/app.js",
    "speakrs_server/page/style.css",
)
MARKER = "speakrs_stream/py.typed"
"""Says by being there that the package is typed; it is empty."""
LICENCES = ("LICENSE", "NOTICE")
MOST = 13_000_000
"""Bytes of the wheel; each bundle may have eight million of them."""
MOST_BUNDLE = 8_000_000
"""Bytes of a bundle."""
FOLDER = "speakrs_stream/models/embedded/"
BUNDLES = {
    "embedded": ("fast.json", "segmentation-fast.onnx", "trunk-fast.onnx", "MODEL_CARD_FAST.md"),
    "embedded-fast": ("manifest.json", "segmentation.onnx", "trunk.onnx", "MODEL_CARD.md"),
}
"""Bundle -> what of the folder they share belongs to the other alone."""


def problems(path: Path) -> list[str]:
    """What is wrong with the wheel, as sentences."""
    with zipfile.ZipFile(path) as wheel:
        sizes = {info.filename: info.file_size for info in wheel.infolist()}
    found = [f"{name} is missing or empty" for name in NEEDED if not sizes.get(name)]
    found += [f"{name} is missing" for name in (MARKER,) if name not in sizes]
    found += [
        f"{name} is missing from the licences"
        for name in LICENCES
        if not any(".dist-info/licenses/" in file and file.endswith(f"/{name}") for file in sizes)
    ]
    tops = {name.split("/")[0] for name in sizes if ".dist-info/" not in name}
    found += [f"{name} is missing" for name in sorted(PACKAGES - tops)]
    found += [f"{name} does not belong there" for name in sorted(tops - PACKAGES)]
    found += [f"{name} does not belong there" for name in sorted(sizes) if "__pycache__" in name or "/test" in name]
    shipped = {name.removeprefix(FOLDER): size for name, size in sizes.items() if name.startswith(FOLDER)}
    for bundle, others in BUNDLES.items():
        length = sum(size for name, size in shipped.items() if name not in others)
        print(f"bundle {bundle}: {length:,} bytes")
        if length > MOST_BUNDLE:
            found.append(f"the bundle {bundle} has {length:,} bytes, more than {MOST_BUNDLE:,}")
    if path.stat().st_size > MOST:
        found.append(f"the wheel has {path.stat().st_size:,} bytes, more than {MOST:,}")
    print(f"{path.name}: {len(sizes)} files, {path.stat().st_size:,} bytes")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(problems(Path(sys.argv[1]))) or 0)
