"""A bundle whose trunk computes its convolutions in int8: little more than half the time, half the size. Judge by DER.

    python -m training.quantize BUNDLE AUDIO FOLDER

Weights get a scale per channel, activations one each from the range they have on `AUDIO` (a folder of FLAC or WAV),
seen a step at a time. Everything else is copied; FOLDER is a bundle like the other:

    python -m benchmarks der ../shared/speech/ami --bundle FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import soundfile
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from speakrs_stream.core.embedding.fbank import fbank
from speakrs_stream.models.bundle import ModelBundle

STEP = 100
"""Filter-bank frames of a step."""
PIECES = 240
"""Steps to see."""


def without_casts(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with its float16 weights kept as float32: the quantizer looks for constants."""
    graph = model.graph
    stored = {entry.name: entry for entry in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in stored:
            values = numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        else:
            kept.append(node)
    used = {name for node in kept for name in node.input}
    weights = [entry for entry in graph.initializer if entry.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(weights)
    return model


def pieces(audio: Path, frames: int) -> Iterator[NDArray[np.float32]]:
    """Filter banks (1, frames, 80) spread over the recordings of a folder, at most `PIECES`."""
    files = sorted(path for path in audio.rglob("*") if path.suffix in (".flac", ".wav"))
    for path in files[:PIECES]:
        samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
        rows = fbank(np.ascontiguousarray(samples.mean(axis=1)))
        places = range(0, len(rows) - frames + 1, STEP)
        every = max(1, len(places) * len(files) // PIECES)
        for start in places[::every]:
            yield rows[None, start : start + frames]


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """What the quantizer sees."""

    def __init__(self, name: str, audio: Path, frames: int) -> None:
        self._pieces = ({name: piece} for piece in pieces(audio, frames))

    def get_next(self) -> Any:
        """The next piece; None after the last."""
        return next(self._pieces, None)


def write(bundle: ModelBundle, audio: Path, folder: Path) -> None:
    """Write the bundle with an int8 trunk."""
    trunk = bundle.embedding.trunk
    assert trunk is not None and not trunk.padded
    shutil.copytree(bundle.directory, folder, ignore=shutil.ignore_patterns("__pycache__"))
    frames = (STEP // trunk.stride - 1) * trunk.stride + trunk.receptive_field
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "trunk.onnx"
        onnx.save(without_casts(onnx.load(str(bundle.path(trunk.file)))), plain)
        quantize_static(
            plain,
            folder / trunk.file,
            Reader(trunk.input, audio, frames),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
            per_channel=True,
        )
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    data = (folder / trunk.file).read_bytes()
    manifest["files"][trunk.file] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    ModelBundle.open(folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("audio", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    write(ModelBundle.open(given.bundle), given.audio, given.folder)


if __name__ == "__main__":
    main()
