"""A session of ONNX Runtime on a device whose memory is kept from call to call."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speakrs_stream.errors import ModelError, OutOfMemory
from speakrs_stream.inference.base import Array
from speakrs_stream.inference.onnx import OnnxNetwork, first_line, runtime

KEPT = 12
"""Shapes whose memory is kept; the one unused for longest goes."""

FULL = ("allocate memory", "out of memory", "outofmemory", "bad allocation", "std::bad_alloc")
"""What messages about too little memory contain, in lower case."""


@dataclass(frozen=True, slots=True)
class _Bound:
    """Memory on the device for one set of shapes."""

    io: Any
    """ONNX Runtime's binding."""
    inputs: Mapping[str, Any]
    """OrtValue of each input."""
    outputs: list[Any]
    """OrtValue of each output."""


class BoundNetwork(OnnxNetwork):
    """Copies inputs into memory of the device that stays, and results out of it.

    The first call with new shapes makes room; on a GPU this is also when convolutions try their algorithms, so callers
    do well to use few shapes.
    """

    def __init__(self, session: Any, path: Path, device: str = "cuda") -> None:
        """device: name of the device that ONNX Runtime knows it by"""
        super().__init__(session, path)
        self._errors = (*self._errors, KeyError)  # inputs of another name
        self._device = device
        self._bound: OrderedDict[tuple[tuple[int, ...], ...], _Bound] = OrderedDict()
        self._lock = threading.Lock()  # threads may call, but the memory is one

    @property
    def shapes(self) -> int:
        """Sets of shapes for which memory is kept."""
        return len(self._bound)

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One batch, blocking; OutOfMemory where the device has no room, ModelError where the runtime fails."""
        arrays = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        key = tuple(array.shape for array in arrays.values())
        with self._lock:
            try:
                bound = self._bound.get(key) or self._bind(arrays)
                for name, value in bound.inputs.items():
                    value.update_inplace(arrays[name])
                self._session.run_with_iobinding(bound.io)
                outputs = [np.array(value.numpy()) for value in bound.outputs]  # a copy: the memory is used again
            except self._errors as error:
                self._bound.clear()  # whatever it was, a fresh start needs no memory of before
                line = first_line(error)
                if any(sign in str(error).lower() for sign in FULL):
                    raise OutOfMemory(f"{self._path.name} has no room on the {self._device} device: {line}") from error
                raise ModelError(f"{self._path.name} could not be run: {line}") from error
            self._bound[key] = bound
            self._bound.move_to_end(key)
            while len(self._bound) > KEPT:
                self._bound.popitem(last=False)
        return dict(zip(self._names, outputs, strict=True))

    def _bind(self, arrays: Mapping[str, Array]) -> _Bound:
        """Make room for inputs and results; a first run shows how large the results are."""
        io = self._session.io_binding()
        inputs = {name: self._room(array.shape, array.dtype) for name, array in arrays.items()}
        for name, value in inputs.items():
            value.update_inplace(arrays[name])
            io.bind_ortvalue_input(name, value)
        for name in self._names:
            io.bind_output(name, self._device, 0)
        self._session.run_with_iobinding(io)
        outputs = [self._room(value.shape(), np.dtype(np.float32)) for value in io.get_outputs()]
        io.clear_binding_outputs()
        for name, value in zip(self._names, outputs, strict=True):
            io.bind_ortvalue_output(name, value)
        return _Bound(io, inputs, outputs)

    def _room(self, shape: Any, dtype: Any) -> Any:
        return runtime().OrtValue.ortvalue_from_shape_and_type(list(shape), dtype.type, self._device, 0)
