"""A bundle whose networks compute their convolutions in int8 where nothing is lost by it. Judge by DER.

    python -m training.quantize BUNDLE FOLDER AUDIO…

The trunk's convolutions get a scale per channel for weights and one for each activation, from the range they have on
`AUDIO` (folders of FLAC or WAV, meetings best), seen a step at a time; the segmentation's are treated as
`training/int8.py` says. Everything else is copied; FOLDER is a bundle like the other:

    python -m benchmarks der ../shared/speech/ami --bundle FOLDER

`training.fast --int8 AUDIO…` does the same to `embedded-fast`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import soundfile
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from speakrs_stream.core.embedding.fbank import fbank
from speakrs_stream.core.grid import WINDOW
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.manifest import MANIFEST
from training.int8 import quantized
from training.plain import without_casts
from training.record import record

F32 = NDArray[np.float32]

STEP = 100
"""Filter-bank frames of a step."""
PIECES, WINDOWS = 240, 120
"""Steps for the trunk and windows for the segmentation to see, at most about so many."""


def recordings(folder: Path, most: int) -> tuple[int, Iterator[F32]]:
    """How many recordings of a folder are used, at most `most`, and their samples."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".flac", ".wav"))
    if not files:
        raise SystemExit(f"{folder}: no FLAC or WAV file to see ranges on")
    chosen = files[:: -(-len(files) // most)]
    return len(chosen), (
        soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1, dtype=np.float32) for path in chosen
    )


def pieces(audio: Sequence[Path], frames: int) -> Iterator[F32]:
    """Filter banks (1, frames, 80) spread over the recordings of some folders, as many of each."""
    most = PIECES // len(audio)
    for folder in audio:
        count, found = recordings(folder, most)
        for samples in found:
            rows = fbank(np.ascontiguousarray(samples))
            for start in _spread(range(0, len(rows) - frames + 1, STEP), count, most):
                yield rows[None, start : start + frames]


def windows(audio: Sequence[Path]) -> Iterator[F32]:
    """Windows (160000,) spread over the recordings of some folders, as many of each."""
    most, given = WINDOWS // len(audio), 0
    for folder in audio:
        count, found = recordings(folder, most)
        for samples in found:
            for start in _spread(range(0, len(samples) - WINDOW + 1, WINDOW // 2), count, most):
                given += 1
                yield samples[start : start + WINDOW]
    if not given:
        raise SystemExit(f"{', '.join(map(str, audio))}: no recording of ten seconds and more to see ranges on")


def _spread(places: range, recordings: int, most: int) -> range:
    return places[:: max(1, -(-len(places) * recordings // most))]


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """What the quantizer sees."""

    def __init__(self, name: str, audio: Sequence[Path], frames: int) -> None:
        self._pieces = ({name: piece} for piece in pieces(audio, frames))

    def get_next(self) -> Any:
        """The next piece; None after the last."""
        return next(self._pieces, None)


def trunk(bundle: ModelBundle, audio: Sequence[Path], out: Path) -> None:
    """Write a bundle's trunk in int8."""
    spec = bundle.embedding.trunk
    assert spec is not None and not spec.padded
    frames = (STEP // spec.stride - 1) * spec.stride + spec.receptive_field
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "trunk.onnx"
        onnx.save(without_casts(onnx.load(str(bundle.path(spec.file)))), plain)
        quantize_static(
            plain,
            out,
            Reader(spec.input, audio, frames),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            reduce_range=True,  # as training/int8.py says: the same sums on every processor
        )


def segmentation(path: Path, audio: Sequence[Path], out: Path) -> None:
    """Write a segmentation with its convolutions after the first filters in int8."""
    model = quantized(onnx.load(str(path)), windows(audio))
    out.write_bytes(model.SerializeToString())


def write(bundle: ModelBundle, audio: Sequence[Path], folder: Path) -> None:
    """Write the bundle with int8 convolutions."""
    assert bundle.embedding.trunk is not None
    shutil.copytree(bundle.directory, folder, ignore=shutil.ignore_patterns("__pycache__"))
    trunk(bundle, audio, folder / bundle.embedding.trunk.file)
    segmentation(bundle.path(bundle.segmentation.file), audio, folder / bundle.segmentation.file)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for file in (bundle.embedding.trunk.file, bundle.segmentation.file):
        known = manifest["files"][file]
        manifest["files"][file] = record(folder / file, known["licence"], known["source"])
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    ModelBundle.open(folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("audio", type=Path, nargs="+")
    given = parser.parse_args()
    write(ModelBundle.open(given.bundle), given.audio, given.folder)


if __name__ == "__main__":
    main()
