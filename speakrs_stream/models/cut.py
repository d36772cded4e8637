"""Cutting a fused embedding network in two, so that neighbouring windows can share its convolutions.

community-1's `wespeaker-multimask-tail` goes from a filter bank and masks straight to embeddings. Its convolutions see
1.12 s to either side and know nothing of masks, so they can run once over new audio. The cut finds them by what they
are, not by their names: the convolutions, sums and rectifiers that depend on the filter bank alone are the trunk, the
last matrix is the head, and what lies between them is the pooling that `core.embedding.pooling` computes. The two new
networks, with pooling in between, must give what the uncut one gives, or nothing is kept.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from speakrs_stream.core.arrays import F32
from speakrs_stream.core.embedding.fbank import FBANK_PER_WINDOW
from speakrs_stream.core.embedding.pooling import pool, resample_nearest
from speakrs_stream.core.grid import FRAME_FIELD, FRAME_STEP, FRAMES_PER_WINDOW, SAMPLE_RATE, WINDOW
from speakrs_stream.errors import BundleCorrupt, BundleNotFound, MissingExtra, OutputError, translate
from speakrs_stream.inference.base import Backend
from speakrs_stream.inference.networks import Networks
from speakrs_stream.models.bundle import ModelBundle, file_sha256, read_manifest
from speakrs_stream.models.external import external_files
from speakrs_stream.models.hub import cache_root
from speakrs_stream.models.manifest import FORMAT, LOCAL_SPEAKERS, MANIFEST, MAX_SIMULTANEOUS, MELS
from speakrs_stream.models.streaming import Flow, NotLocal, flow

TRUNK, FLOW, HEAD = "trunk.onnx", "flow.onnx", "head.onnx"
LOCAL_KINDS = ("Conv", "BatchNormalization", "Relu", "Add")
"""Operations of the trunk; each output frame depends on a fixed number of input frames."""

FORM = 3
"""Counts changes of what a cut bundle consists of, so that older ones in a cache are made again."""

TOLERANCE = 1e-3
"""Largest allowed deviation from the uncut network, as a share of the largest number in an embedding."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What of the input one frame of a tensor depends on."""

    stride: int
    """Input frames between two of its frames."""
    field: int
    """Input frames one of its frames sees."""
    offset: float
    """Input frame on which its first frame is centred."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A fused network, taken apart."""

    trunk: Any
    """ONNX model, `fbank` (B, T, 80) to `features` (B, T', C)."""
    flow: Flow
    """The trunk over new audio only."""
    head: Any
    """ONNX model, `statistics` (B, 2C) to `embedding` (B, D)."""
    channels: int
    """C."""
    reach: Reach
    """What of the filter bank one feature depends on."""


def cut(bundle: ModelBundle, backend: Backend) -> ModelBundle:
    """The same bundle with its embedding network cut in two: of kind `split`, with a trunk that pads.

    bundle: of kind `multimask`; one that is cut already, or shared by windows as it is, is returned as it is
    backend: runs both forms to compare them

    Done once; the result is kept in the cache beside the downloads, and belongs to the networks it was made from.

    Raises MissingExtra without onnx, BundleCorrupt where the network is not built as expected or the two forms differ.
    """
    if trunk := bundle.embedding.trunk:
        if trunk.padded and trunk.flow is None:
            raise BundleCorrupt(f"{bundle.name} has a trunk that pads and no flow for it; use the exact mode")
        return bundle
    directory = cache_root() / f"{bundle.name}-{bundle.sha256[:12]}-cut{FORM}"
    if (directory / MANIFEST).is_file():
        try:
            return _same(bundle, ModelBundle.open(directory))
        except (BundleCorrupt, BundleNotFound):
            shutil.rmtree(directory)
    parts = take_apart(bundle)
    # a name of its own for everybody who is at it; whoever is first wins, the results are the same
    partial = directory.with_name(f"{directory.name}.{uuid.uuid4().hex[:8]}.partial")
    with translate({OSError: OutputError}, f"keeping the cut network in {directory.parent}"):
        partial.mkdir(parents=True)
        try:
            _write(bundle, parts, partial)
            _compare(bundle, ModelBundle.open(partial), backend)
            try:
                os.rename(partial, directory)
            except OSError:
                if not (directory / MANIFEST).is_file():
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return _same(bundle, ModelBundle.open(directory))


def _same(whole: ModelBundle, parts: ModelBundle) -> ModelBundle:
    """The parts under the identity of the whole: what was tuned or saved for one is good for the other."""
    return replace(parts, sha256=whole.sha256)


def take_apart(bundle: ModelBundle) -> Parts:
    """Trunk and head of a bundle's fused embedding network.

    Raises MissingExtra without onnx, BundleCorrupt where the network is not built as expected.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("onnx", "hub", "sharing the embedding network between windows") from error
    spec = bundle.embedding.multimask
    assert spec is not None
    path = bundle.path(spec.file)
    with translate({OSError: BundleNotFound}, f"reading {path}"):
        graph = _Graph(onnx.load(str(path)), path)
    fbank, _ = spec.inputs
    nodes, source, sink = graph.trunk(fbank, spec.inputs[1])
    reach = graph.reach(nodes, source, sink)
    weight, bias = graph.last_matrix(spec.output)
    if weight.shape[0] != bundle.embedding.dimension or weight.shape[1] % 2:
        raise graph.wrong(f"its last matrix is {weight.shape[0]} x {weight.shape[1]}")
    return Parts(
        trunk=graph.trunk_model(nodes, source, sink),
        flow=graph.flow(nodes, source, sink),
        head=_head_model(weight, bias, graph.opset),
        channels=weight.shape[1] // 2,
        reach=reach,
    )


class _Graph:
    """Questions about an ONNX graph."""

    def __init__(self, model: Any, path: Path) -> None:
        from onnx import numpy_helper

        self._path = path
        self._graph = model.graph
        self.opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
        self._tensors = {entry.name: entry for entry in model.graph.initializer}
        self._producer = {name: node for node in model.graph.node for name in node.output if name}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self._tensors[node.output[0]] = node.attribute[0].t
        self._array = numpy_helper.to_array

    def wrong(self, what: str) -> BundleCorrupt:
        """The refusal of a network."""
        return BundleCorrupt(
            f"{self._path} is not built as community-1's embedding network: {what}; use it uncut, with the exact mode"
        )

    def _constant(self, name: str) -> bool:
        return name in self._tensors

    def _after(self, source: str) -> set[str]:
        """Tensors that depend on a tensor, itself included."""
        found = {source}
        for node in self._graph.node:
            if found.intersection(node.input):
                found.update(name for name in node.output if name)
        return found

    def trunk(self, fbank: str, masks: str) -> tuple[list[Any], str, str]:
        """Nodes of the trunk in order, the tensor its first convolution takes and the one its last node gives."""
        alone = self._after(fbank) - self._after(masks)
        nodes: list[Any] = []
        reached: set[str] = set()
        sources: set[str] = set()
        for node in self._graph.node:
            if node.op_type not in LOCAL_KINDS or not alone.intersection(node.input):
                continue
            moving = [name for name in node.input if name and not self._constant(name)]
            if not reached.intersection(moving) and node.op_type != "Conv":
                continue  # sums of shapes and the like
            sources.update(name for name in moving if name not in reached)
            nodes.append(node)
            reached.update(node.output)
        used = {name for node in nodes for name in node.input}
        sinks = [node.output[0] for node in nodes if node.output[0] not in used]
        if not nodes or len(sources) != 1 or len(sinks) != 1:
            raise self.wrong(f"its convolutions have {len(sources)} beginnings and {len(sinks)} ends")
        return nodes, sources.pop(), sinks[0]

    def reach(self, nodes: Sequence[Any], source: str, sink: str) -> Reach:
        """What of the filter bank one frame of the trunk's output depends on; time is the last axis."""
        known: dict[str, Reach] = {source: Reach(1, 1, 0.0)}
        for node in nodes:
            before = [known[name] for name in node.input if name in known]
            first = before[0]
            if node.op_type == "Conv":
                kernel = self._tensors[node.input[1]].dims[-1]
                given = {entry.name: list(entry.ints) for entry in node.attribute if entry.ints}
                step = given.get("strides", [1])[-1]
                spread = (kernel - 1) * given.get("dilations", [1])[-1]
                pads = given.get("pads", [0, 0])
                if pads[len(pads) // 2 - 1] != pads[-1]:
                    raise self.wrong("a convolution pads its two ends differently")
                known[node.output[0]] = Reach(
                    first.stride * step,
                    first.field + spread * first.stride,
                    first.offset + (spread / 2 - pads[-1]) * first.stride,
                )
            else:
                if len({(one.stride, one.offset) for one in before}) != 1:
                    raise self.wrong("branches that do not lie on one grid are added")
                known[node.output[0]] = Reach(first.stride, max(one.field for one in before), first.offset)
        if known[sink].offset != 0:
            raise self.wrong(f"its first feature is centred on frame {known[sink].offset}, not on the first")
        return known[sink]

    def last_matrix(self, output: str) -> tuple[F32, F32]:
        """Weight (D, 2C) and bias (D,) of the matrix that makes the embedding."""
        bias: F32 | None = None
        while True:
            node = self._producer.get(output)
            if node is None:
                raise self.wrong("it has no last matrix")
            if node.op_type in ("Identity", "Reshape", "Cast"):
                output = node.input[0]
                continue
            if node.op_type == "Add" and bias is None:
                constant = [name for name in node.input if self._constant(name)]
                moving = [name for name in node.input if not self._constant(name)]
                if len(constant) == 1:
                    bias = np.asarray(self._array(self._tensors[constant[0]]), np.float32).reshape(-1)
                    output = moving[0]
                    continue
            break
        if node.op_type not in ("Gemm", "MatMul") or not self._constant(node.input[1]):
            raise self.wrong(f"it ends with {node.op_type}, not with a matrix")
        weight = np.asarray(self._array(self._tensors[node.input[1]]), np.float32)
        settings = {entry.name: entry for entry in node.attribute}
        if not ("transB" in settings and settings["transB"].i):
            weight = weight.T
        if node.op_type == "Gemm":
            plain = all(settings[name].f == 1.0 for name in ("alpha", "beta") if name in settings)
            if not plain or ("transA" in settings and settings["transA"].i):
                raise self.wrong("its last matrix is scaled or transposed")
            if len(node.input) > 2:
                bias = np.asarray(self._array(self._tensors[node.input[2]]), np.float32).reshape(-1)
        if bias is None:
            bias = np.zeros(len(weight), np.float32)
        return weight, bias

    def trunk_model(self, nodes: Sequence[Any], source: str, sink: str) -> Any:
        """The trunk as a model of its own, with free batch and time axes."""
        from onnx import NodeProto, TensorProto, helper, numpy_helper

        if source in {entry.name for entry in self._graph.input}:
            raise self.wrong("its first convolution takes the filter bank as it is")

        def inner(name: str) -> str:
            return f"inner/{name}" if name else ""

        kept = []
        for node in nodes:
            copy = NodeProto()
            copy.CopyFrom(node)
            copy.input[:] = [inner(name) for name in node.input]
            copy.output[:] = [inner(name) for name in node.output]
            kept.append(copy)
        used = {name for node in nodes for name in node.input} & self._tensors.keys()
        weights = [numpy_helper.from_array(np.array(self._array(self._tensors[n])), inner(n)) for n in sorted(used)]
        weights.append(numpy_helper.from_array(np.array([1]), "axis"))
        weights.append(numpy_helper.from_array(np.array([0, 0, -1]), "shape"))
        before = [
            helper.make_node("Transpose", ["fbank"], ["turned"], perm=[0, 2, 1]),
            helper.make_node("Unsqueeze", ["turned", "axis"], [inner(source)]),
        ]
        after = [  # (B, channels, bands, T') to (B, T', channels * bands)
            helper.make_node("Transpose", [inner(sink)], ["last"], perm=[0, 3, 1, 2]),
            helper.make_node("Reshape", ["last", "shape"], ["features"]),
        ]
        graph = helper.make_graph(
            [*before, *kept, *after],
            "trunk",
            [helper.make_tensor_value_info("fbank", TensorProto.FLOAT, ["batch", "frames", MELS])],
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", "count", "channels"])],
            weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=9)

    def flow(self, nodes: Sequence[Any], source: str, sink: str) -> Flow:
        """The trunk as a network that carries on."""
        try:
            return flow(nodes, self._tensors, source, sink, self.opset)
        except NotLocal as error:
            raise self.wrong(str(error)) from error


def _head_model(weight: F32, bias: F32, opset: int) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Gemm", ["statistics", "weight", "bias"], ["embedding"], transB=1)],
        "head",
        [helper.make_tensor_value_info("statistics", TensorProto.FLOAT, ["batch", weight.shape[1]])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", weight.shape[0]])],
        [numpy_helper.from_array(np.ascontiguousarray(weight), "weight"), numpy_helper.from_array(bias, "bias")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def _write(bundle: ModelBundle, parts: Parts, directory: Path) -> None:
    """Write the cut bundle: new networks, and copies of everything else."""
    import onnx

    fused = bundle.embedding.multimask
    assert fused is not None
    origin = {TRUNK: fused.file, FLOW: fused.file, HEAD: fused.file}
    onnx.save(parts.trunk, directory / TRUNK)
    onnx.save(parts.flow.model, directory / FLOW)
    onnx.save(parts.head, directory / HEAD)
    tables = read_manifest(bundle.directory).plda
    segmentation = [network.file for network in (bundle.segmentation.main, *bundle.segmentation.variants)]
    beside = [name for network in segmentation for name in external_files(bundle.directory, network)]
    for name in [*segmentation, *beside, *tables.values()]:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path(name), directory / name)
        origin[name] = name
    files = {name: _record(bundle, directory, name, old) for name, old in origin.items()}
    (directory / MANIFEST).write_text(json.dumps(_manifest(bundle, parts, tables, files), indent=1), encoding="utf-8")


def _record(bundle: ModelBundle, directory: Path, name: str, old: str) -> dict[str, Any]:
    record, path = bundle.files[old], directory / name
    source = record.source if name == old else f"cut out of {record.source or old}"
    return {"sha256": file_sha256(path), "bytes": path.stat().st_size, "licence": record.licence, "source": source}


def _manifest(bundle: ModelBundle, parts: Parts, tables: Mapping[str, str], files: Mapping[str, Any]) -> dict[str, Any]:
    segmentation = bundle.segmentation
    return {
        "format": FORMAT,
        "name": bundle.name,
        "version": f"{bundle.version}-cut",
        "description": bundle.description,
        "sample_rate": SAMPLE_RATE,
        "window": WINDOW,
        "default_step": bundle.default_step,
        "segmentation": {
            "file": segmentation.file,
            "batch": segmentation.main.batch,
            "variants": [{"file": one.file, "batch": one.batch} for one in segmentation.variants],
            "input": segmentation.input,
            "output": segmentation.output,
            "frames": FRAMES_PER_WINDOW,
            "frame_step": FRAME_STEP,
            "receptive_field": FRAME_FIELD,
            "local_speakers": LOCAL_SPEAKERS,
            "max_simultaneous": MAX_SIMULTANEOUS,
        },
        "embedding": {
            "kind": "split",
            "dimension": bundle.embedding.dimension,
            "fbank": {"mels": MELS, "normalization": bundle.embedding.fbank.normalization},
            "trunk": {
                "file": TRUNK,
                "input": "fbank",
                "output": "features",
                "channels": parts.channels,
                "stride": parts.reach.stride,
                "offset": 0,
                "receptive_field": parts.reach.field,
                "padded": True,
                "flow": {"file": FLOW, "context": parts.flow.context, "delay": parts.flow.delay},
            },
            "head": {"file": HEAD, "input": "statistics", "output": "embedding"},
        },
        "plda": dict(tables),
        "clustering": dict(bundle.clustering),
        "files": files,
        "licences": list(bundle.licences),
    }


def _compare(whole: ModelBundle, parts: ModelBundle, backend: Backend) -> None:
    """Run both forms on one random window and refuse the cut one where they differ."""
    generator = np.random.default_rng(0)
    bank: F32 = generator.standard_normal((1, FBANK_PER_WINDOW, MELS)).astype(np.float32)
    masks: F32 = (generator.random((1, LOCAL_SPEAKERS, FRAMES_PER_WINDOW)) < 0.4).astype(np.float32)
    masks[0, 1, : FRAMES_PER_WINDOW // 2] = 0
    expected = Networks(whole, backend).multimask(bank, masks)[0]
    networks = Networks(parts, backend)
    found = embed(networks, bank[0], masks[0])
    apart = _apart(found, expected)
    if not apart <= TOLERANCE:
        raise BundleCorrupt(
            f"cut in two, {whole.embedding.multimask.file if whole.embedding.multimask else whole.name} differs from "
            f"what it was by {apart:.2g}, allowed is {TOLERANCE}; use it uncut, with the exact mode"
        )
    apart = _apart(*_flows(networks, bank))
    if not apart <= TOLERANCE:
        raise BundleCorrupt(
            f"carried on from second to second, the trunk of {whole.name} differs from a run over ten seconds by "
            f"{apart:.2g}, allowed is {TOLERANCE}; use it with the exact mode"
        )


def _apart(found: F32, expected: F32) -> float:
    """Largest deviation as a share of the largest number."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _flows(networks: Networks, bank: F32) -> tuple[F32, F32]:
    """Features of (1, 998, 80), from pieces of a second and from one run, as far as no padding is in them."""
    trunk = networks.bundle.embedding.trunk
    assert trunk is not None and trunk.flow is not None
    piece, width = 12 * trunk.stride, 12 * trunk.channels
    context: F32 = np.zeros((1, trunk.flow.context), np.float32)
    pieces = []
    for start in range(0, FBANK_PER_WINDOW - piece, piece):
        result = networks.flow(bank[:, start : start + piece], context)
        pieces.append(result[0, :width].reshape(12, -1))
        context = result[:, width:]
    flowing = np.concatenate(pieces)[2 * trunk.flow.delay :]  # the first ones know nothing of what was before
    return flowing, networks.trunk(bank)[0][trunk.flow.delay :][: len(flowing)]


def embed(networks: Networks, fbank: F32, masks: F32) -> F32:
    """Embeddings (3, D) of one window as a padded trunk, pooling and a head give them.

    fbank: (998, 80); masks: (3, 589)
    """
    features = networks.trunk(fbank[None])[0]
    return networks.head(pool(features, resample_nearest(masks, len(features))))
