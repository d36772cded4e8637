"""Compiled CoreML programs, run by coremltools on a Mac; what they are not made for runs on the processor.

A program is found by its name: `trunk.mlmodelc` beside `trunk.onnx`. speakrs-models has them, and `training.coreml`
makes them of the embedded bundle.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from speakrs_stream.errors import BundleCorrupt, MissingExtra, ModelError
from speakrs_stream.inference.base import Array, Network

SUFFIX = ".mlmodelc"


def compiled_beside(path: Path) -> Path | None:
    """The compiled program of an ONNX file; None where there is none."""
    folder = path.with_suffix(SUFFIX)
    return folder if folder.is_dir() else None


def tools() -> Any:
    """The coremltools module; MissingExtra where it is not installed."""
    try:
        import coremltools
    except ImportError as error:
        raise MissingExtra("coremltools", "coreml", "running compiled CoreML programs") from error
    return coremltools


def schema(folder: Path) -> tuple[dict[str, tuple[int, ...]], str]:
    """Shapes of a compiled program's inputs by name, and its output's name, from the `metadata.json` in it.

    Raises BundleCorrupt where that says something else.
    """
    try:
        described = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))[0]
        inputs = {
            entry["name"]: tuple(int(length) for length in re.findall(r"\d+", entry["shape"]))
            for entry in described["inputSchema"]
        }
        return inputs, str(described["outputSchema"][0]["name"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BundleCorrupt(f"{folder} is no compiled CoreML program ({error!r}); get it again") from error


class CompiledNetwork:
    """A compiled program of fixed shapes; batches are cut and filled up to fit it."""

    def __init__(self, folder: Path, plain: Network) -> None:
        """plain: the same network for every other shape; it also says what the network looks like"""
        self.inputs, self.outputs = plain.inputs, plain.outputs
        self._folder, self._plain = folder, plain
        self._shapes, self._output = schema(folder)
        names = {spec.name for spec in plain.inputs}
        if set(self._shapes) != names or self._output not in {spec.name for spec in plain.outputs}:
            raise BundleCorrupt(f"{folder} has other inputs or outputs than its ONNX file; get both again")
        units = tools().ComputeUnit.CPU_AND_GPU  # the neural engine computes in float16
        self._model = tools().models.CompiledMLModel(str(folder), units)

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One batch, blocking; ModelError where CoreML fails."""
        parts = self._parts({name: np.asarray(rows, np.float32) for name, rows in inputs.items()})
        if parts is None:
            return self._plain.run(inputs)
        try:
            found = [np.asarray(self._model.predict(part)[self._output], np.float32) for part in parts]
        except (RuntimeError, ValueError, LookupError) as error:
            raise ModelError(f"{self._folder.name} could not be run: {str(error)[:300]}") from error
        rows = np.concatenate(found)
        first = next(iter(self._shapes))
        return {self._output: rows[: len(inputs[first]) * len(found[0]) // self._shapes[first][0]]}

    def _parts(self, inputs: Mapping[str, Array]) -> list[dict[str, Array]] | None:
        """Batches of the program's size, the last one filled up with zeros; None for shapes it is not made for."""
        counts = set()
        for name, shape in self._shapes.items():
            if inputs[name].shape[1:] != shape[1:]:
                return None
            counts.add(-(-len(inputs[name]) // shape[0]))
        if len(counts) != 1:
            return None
        parts = []
        for number in range(counts.pop()):
            part = {}
            for name, shape in self._shapes.items():
                rows = inputs[name][number * shape[0] : (number + 1) * shape[0]]
                filling = np.zeros((shape[0] - len(rows), *shape[1:]), np.float32)
                part[name] = np.concatenate([rows, filling])
            parts.append(part)
        return parts or None
