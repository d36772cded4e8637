"""ONNX Runtime: what it refuses becomes our errors, and it keeps to its threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from speakrs_stream.errors import BackendUnavailable, BundleCorrupt, ModelError
from speakrs_stream.inference.base import LoadOptions, TensorSpec
from speakrs_stream.inference.onnx import (
    PROBE,
    CoreMlBackend,
    CudaBackend,
    OnnxBackend,
    coreml_options,
    coreml_problem,
    cuda_options,
    cuda_problem,
    open_session,
    session_options,
)
from tests.models import small

OPTIONS = LoadOptions()


def test_runs_a_network(tmp_path: Path) -> None:
    onnx.save(small.head(), tmp_path / "head.onnx")
    network = OnnxBackend().load(tmp_path / "head.onnx", "head", OPTIONS)
    assert network.inputs == (TensorSpec("statistics", (None, 12), "float32"),)
    assert network.outputs == (TensorSpec("embedding", (None, 8), "float32"),)
    found = network.run({"statistics": np.ones((3, 12), np.float32)})
    assert found["embedding"].shape == (3, 8)


def test_says_what_it_is() -> None:
    backend = OnnxBackend()
    assert (backend.name, backend.full_batches) == ("cpu", False)
    assert backend.description == f"ONNX Runtime {onnxruntime.__version__} on the processor"


@pytest.mark.parametrize("content", [b"", b"not a network", bytes(1000), PROBE[:40]])
def test_refuses_what_is_no_network(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(BundleCorrupt, match=r"x\.onnx cannot be loaded by ONNX Runtime .*get the bundle again"):
        OnnxBackend().load(tmp_path / "x.onnx", "head", OPTIONS)


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BundleCorrupt, match=r"x\.onnx cannot be loaded"):
        OnnxBackend().load(tmp_path / "x.onnx", "head", OPTIONS)


def test_failures_become_model_errors(tmp_path: Path) -> None:
    onnx.save(small.head(), tmp_path / "head.onnx")
    network = OnnxBackend().load(tmp_path / "head.onnx", "head", OPTIONS)
    with pytest.raises(ModelError, match=r"head\.onnx could not be run"):
        network.run({"statistics": np.ones((3, 13), np.float32)})
    with pytest.raises(ModelError, match=r"head\.onnx could not be run"):
        network.run({"other": np.ones((3, 12), np.float32)})


def test_external_weights_are_found_beside_links(tmp_path: Path) -> None:
    """As in the cache of huggingface_hub, whose files are links to elsewhere."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    onnx.save(small.head(), tmp_path / "snapshot" / "head.onnx")
    plain = OnnxBackend().load(tmp_path / "snapshot" / "head.onnx", "head", OPTIONS)
    feeds = {"statistics": np.random.default_rng(0).standard_normal((2, 12)).astype(np.float32)}
    expected = plain.run(feeds)["embedding"]
    outside = tmp_path / "blobs" / "head.onnx"
    onnx.save(small.head(), outside, save_as_external_data=True, location="head.onnx.data", size_threshold=0)
    (tmp_path / "snapshot" / "head.onnx").unlink()
    for name in ("head.onnx", "head.onnx.data"):
        (tmp_path / "snapshot" / name).symlink_to(tmp_path / "blobs" / name)
    linked = OnnxBackend().load(tmp_path / "snapshot" / "head.onnx", "head", OPTIONS)
    np.testing.assert_array_equal(linked.run(feeds)["embedding"], expected)


def test_session_options() -> None:
    quiet, busy = session_options(LoadOptions(threads=3)), session_options(LoadOptions(spin=True))
    assert (quiet.intra_op_num_threads, quiet.inter_op_num_threads) == (3, 1)
    assert quiet.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert busy.get_session_config_entry("session.intra_op.allow_spinning") == "1"
    assert quiet.log_severity_level == 3


def test_one_thread_means_no_pool(tmp_path: Path) -> None:
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        pytest.skip("counts threads in /proc")
    onnx.save(small.segmentation(), tmp_path / "s.onnx")
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from speakrs_stream.inference.base import LoadOptions\n"
        "from speakrs_stream.inference.onnx import OnnxBackend, runtime\n"
        "runtime()\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "for threads in (1, 4):\n"
        "    network = OnnxBackend().load(Path(sys.argv[1]), 'segmentation', LoadOptions(threads=threads))\n"
        "    print(len(os.listdir('/proc/self/task')) - before, end=' ')\n"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script, str(tmp_path / "s.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["0", "3"]


def test_probe_is_a_network() -> None:
    session = open_session(PROBE, OPTIONS, ["CPUExecutionProvider"])
    assert session.run(None, {"x": np.array([2.0], np.float32)})[0].tolist() == [2.0]
    assert onnx.load_from_string(PROBE).graph.node[0].op_type == "Identity"


def test_cuda_keeps_the_segmentation_exact() -> None:
    assert cuda_options("segmentation")["use_tf32"] == "0"
    assert cuda_options("head")["use_tf32"] == "0"
    assert cuda_options("trunk")["use_tf32"] == "1"
    assert cuda_options("multimask")["use_tf32"] == "1"


def test_cuda_says_what_is_missing(capfd: pytest.CaptureFixture[str]) -> None:
    problem = cuda_problem()
    if problem is None:
        pytest.skip("CUDA works here")
    assert "pip install 'speakrs-stream[gpu]'" in problem or "nvidia-smi" in problem
    with pytest.raises(BackendUnavailable, match="cuda: "):
        CudaBackend()
    assert capfd.readouterr() == ("", "")


@pytest.mark.gpu
def test_cuda_agrees_with_the_processor(tmp_path: Path) -> None:
    onnx.save(small.segmentation(), tmp_path / "s.onnx")
    feeds = {"input": np.random.default_rng(0).standard_normal((2, 1, 160000)).astype(np.float32)}
    here = OnnxBackend().load(tmp_path / "s.onnx", "segmentation", OPTIONS).run(feeds)["output"]
    there = CudaBackend().load(tmp_path / "s.onnx", "segmentation", OPTIONS).run(feeds)["output"]
    np.testing.assert_allclose(there, here, atol=1e-3)


def test_coreml_computes_in_float32() -> None:
    options = coreml_options()
    assert options["MLComputeUnits"] == "CPUAndGPU"
    assert options["AllowLowPrecisionAccumulationOnGPU"] == "0"


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has CoreML")
def test_coreml_says_what_is_missing() -> None:
    problem = coreml_problem()
    assert problem is not None and "has no CoreML; on a Mac run: pip install" in problem
    with pytest.raises(BackendUnavailable, match=r"coreml: .*--backend cpu"):
        CoreMlBackend()


@pytest.mark.coreml
def test_coreml_agrees_with_the_processor(tmp_path: Path) -> None:
    onnx.save(small.head(), tmp_path / "head.onnx")
    inputs = {"statistics": np.ones((3, 12), np.float32)}
    ours = CoreMlBackend().load(tmp_path / "head.onnx", "head", OPTIONS).run(inputs)["embedding"]
    theirs = OnnxBackend().load(tmp_path / "head.onnx", "head", OPTIONS).run(inputs)["embedding"]
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
