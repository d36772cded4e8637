"""ONNX Runtime on the processor or on an NVIDIA GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from speakrs_stream.errors import BackendUnavailable, BundleCorrupt, MissingExtra, ModelError
from speakrs_stream.inference.base import Array, LoadOptions, Network, Role, TensorSpec

CPU, CUDA, COREML = "CPUExecutionProvider", "CUDAExecutionProvider", "CoreMLExecutionProvider"
DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}
ERRORS_ONLY = 3
"""ONNX Runtime's log severity: errors, which are raised anyway, and nothing below."""

TF32_ROLES: tuple[Role, ...] = ("trunk", "flow", "multimask")
"""Networks whose convolutions may use TF32 on a GPU. It worsened a file by 4.5 DER points in the segmentation, whose
argmax it can flip, and the pooling and head want full precision."""

# An ONNX model with one Identity node (IR 8, opset 13; x -> y, float32 [1]), to find out whether a provider works
PROBE = (
    b'\x08\x08:;\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x05probeZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)


def runtime() -> Any:
    """The onnxruntime module.

    Raises MissingExtra where it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", "cpu", "running networks") from error
    return onnxruntime


def runtime_errors() -> tuple[type[Exception], ...]:
    """Every exception ONNX Runtime raises on its own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = (getattr(state, name) for name in dir(state))
    own = tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception))
    return (*own, RuntimeError, ValueError)


def session_options(options: LoadOptions) -> Any:
    """ONNX Runtime's options for one network."""
    chosen = runtime().SessionOptions()
    chosen.intra_op_num_threads = options.threads
    chosen.inter_op_num_threads = 1
    chosen.execution_mode = runtime().ExecutionMode.ORT_SEQUENTIAL
    chosen.graph_optimization_level = runtime().GraphOptimizationLevel.ORT_ENABLE_ALL
    chosen.log_severity_level = ERRORS_ONLY
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "1" if options.spin else "0")
    chosen.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return chosen


def open_session(model: str | bytes, options: LoadOptions, providers: Sequence[Any]) -> Any:
    """A session on exactly these providers, without ONNX Runtime's printed fallback to others."""
    return runtime().InferenceSession(
        model, sess_options=session_options(options), providers=list(providers), enable_fallback=0
    )


class OnnxNetwork:
    """A session of ONNX Runtime."""

    def __init__(self, session: Any, path: Path) -> None:
        self._session = session
        self._path = path
        self._errors: tuple[type[Exception], ...] = runtime_errors()
        self.inputs = tuple(_tensor(entry) for entry in session.get_inputs())
        self.outputs = tuple(_tensor(entry) for entry in session.get_outputs())
        self._names = [spec.name for spec in self.outputs]

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One batch, blocking; ModelError where the runtime fails."""
        try:
            outputs: list[Array] = self._session.run(self._names, dict(inputs))
        except self._errors as error:
            raise ModelError(f"{self._path.name} could not be run: {first_line(error)}") from error
        return dict(zip(self._names, outputs, strict=True))


class OnnxBackend:
    """ONNX Runtime with one list of providers."""

    full_batches = False
    carries = True

    def __init__(self, name: str = "cpu", description: str | None = None) -> None:
        self.name = name
        self.description = description or f"ONNX Runtime {runtime().__version__} on the processor"

    def providers(self, role: Role) -> Sequence[Any]:
        """Execution providers for a network, in order of preference."""
        del role
        return [CPU]

    def network(self, session: Any, path: Path) -> OnnxNetwork:
        """A session as a network."""
        return OnnxNetwork(session, path)

    def load(self, path: Path, role: Role, options: LoadOptions, made: bytes | None = None) -> Network:
        """Load an ONNX file, or what was made of it; BundleCorrupt where the runtime refuses it."""
        model = str(path) if made is None else made
        try:
            return self.network(open_session(model, options, self.providers(role)), path)
        except runtime_errors() as error:
            raise BundleCorrupt(
                f"{path} cannot be loaded by ONNX Runtime {runtime().__version__} ({first_line(error)}); "
                "get the bundle again, or update onnxruntime"
            ) from error


class CudaBackend(OnnxBackend):
    """ONNX Runtime on an NVIDIA GPU; made only where one works."""

    full_batches = True
    carries = False  # a window's samples are sooner there than what its filters give, and the GPU has those at once

    def __init__(self) -> None:
        problem = cuda_problem()
        if problem:
            raise BackendUnavailable(f"cuda: {problem}")
        super().__init__("cuda", f"ONNX Runtime {runtime().__version__} on the NVIDIA GPU")

    def providers(self, role: Role) -> Sequence[Any]:
        """CUDA with fixed choices, then the processor for what CUDA cannot do."""
        return [(CUDA, cuda_options(role)), CPU]

    def network(self, session: Any, path: Path) -> OnnxNetwork:
        """A session whose memory on the GPU is kept from call to call."""
        from speakrs_stream.inference.binding import BoundNetwork

        return BoundNetwork(session, path)


class CoreMlBackend(OnnxBackend):
    """CoreML on a Mac, in float32: compiled programs where a bundle has them, else ONNX Runtime's provider."""

    carries = False  # programs are compiled for whole windows

    def __init__(self) -> None:
        problem = coreml_problem()
        if problem:
            raise BackendUnavailable(f"coreml: {problem}")
        super().__init__("coreml", f"ONNX Runtime {runtime().__version__} through CoreML")

    def providers(self, role: Role) -> Sequence[Any]:
        """CoreML without its neural engine, which would compute in float16, then the processor."""
        return [(COREML, coreml_options()), CPU]

    def load(self, path: Path, role: Role, options: LoadOptions, made: bytes | None = None) -> Network:
        """The compiled program beside an ONNX file where there is one, for the shapes it is made for; else the file.

        Raises BundleCorrupt where the runtime refuses either, MissingExtra without coremltools.
        """
        from speakrs_stream.inference.coreml import CompiledNetwork, compiled_beside

        plain = super().load(path, role, options, made)
        folder = compiled_beside(path)
        return plain if folder is None else CompiledNetwork(folder, plain)


def coreml_options() -> dict[str, str]:
    """Options of the CoreML provider: float32 only, since float16 embeddings do not tell speakers apart."""
    return {"ModelFormat": "MLProgram", "MLComputeUnits": "CPUAndGPU", "AllowLowPrecisionAccumulationOnGPU": "0"}


def coreml_problem() -> str | None:
    """Why CoreML cannot be used, with what to do; None where the runtime has it."""
    install = "on a Mac run: pip install 'speakrs-stream[coreml]'; elsewhere use --backend cpu"
    try:
        ort = runtime()
    except MissingExtra:
        return f"ONNX Runtime is not installed; {install}"
    if COREML not in ort.get_available_providers():
        return f"the installed onnxruntime {ort.__version__} has no CoreML; {install}"
    return None


def cuda_options(role: Role) -> dict[str, str]:
    """Options of the CUDA provider for a network."""
    return {
        "device_id": "0",
        "use_tf32": "1" if role in TF32_ROLES else "0",
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "cudnn_conv_use_max_workspace": "1",
        "arena_extend_strategy": "kSameAsRequested",
    }


def cuda_problem() -> str | None:
    """Why CUDA cannot be used, with what to do; None where it works."""
    install = "run: pip install 'speakrs-stream[gpu]' (and uninstall onnxruntime first)"
    try:
        ort = runtime()
    except MissingExtra:
        return f"ONNX Runtime is not installed; {install}"
    if CUDA not in ort.get_available_providers():
        return f"the installed onnxruntime {ort.__version__} has no CUDA; {install}"
    if hasattr(ort, "preload_dlls"):  # finds CUDA and cuDNN where pip packages put them; prints what it misses
        with redirect_stdout(StringIO()):
            ort.preload_dlls()
    try:
        session = open_session(PROBE, LoadOptions(), [(CUDA, cuda_options("segmentation"))])
    except runtime_errors() as error:
        return f"no GPU that works ({first_line(error)}); check `nvidia-smi`, or use --backend cpu"
    if CUDA not in session.get_providers():
        return "no GPU that works, or CUDA and cuDNN libraries are missing; check `nvidia-smi`, or use --backend cpu"
    return None


def _tensor(entry: Any) -> TensorSpec:
    shape = tuple(length if isinstance(length, int) else None for length in entry.shape)
    return TensorSpec(entry.name, shape, DTYPES.get(entry.type, entry.type))


def first_line(error: Exception) -> str:
    """The beginning of a runtime's message."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
