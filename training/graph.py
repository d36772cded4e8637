"""A small ONNX graph builder: weights stored as float16, cast to float32, everything computed in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Graph:
    """Nodes and weights in the order they are added; every method returns the name of what it made."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._count = 0

    def node(self, kind: str, *inputs: str, output: str | None = None, outputs: int = 1, **attributes: Any) -> str:
        """Add a node; the first output's name is returned."""
        self._count += 1
        first = output or f"{kind.lower()}_{self._count}"
        names = [first] + [f"{first}_{i}" for i in range(1, outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return first

    def weight(self, values: NDArray[np.float32], half: bool = True) -> str:
        """A constant; large arrays are stored as float16 and cast to float32 in the graph."""
        self._count += 1
        name = f"weight_{self._count}"
        if not half:
            self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
            return name
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float16), name))
        return self.node("Cast", name, to=TensorProto.FLOAT)

    def integers(self, *values: int) -> str:
        """An int64 vector."""
        self._count += 1
        name = f"integers_{self._count}"
        self._weights.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def save(
        self, path: Path, inputs: dict[str, list[int | str]], outputs: dict[str, list[int | str]], note: str
    ) -> None:
        """Check the graph and write it; shapes may hold names for free axes."""

        def described(values: dict[str, list[int | str]]) -> list[onnx.ValueInfoProto]:
            return [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in values.items()]

        graph = helper.make_graph(self._nodes, self._name, described(inputs), described(outputs), self._weights)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="speakrs-stream training"
        )
        model.ir_version = 8
        model.doc_string = note
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(path))
