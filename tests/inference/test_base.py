"""Values that a backend's networks are described with."""

from __future__ import annotations

from speakrs_stream.inference.base import LoadOptions, TensorSpec


def test_a_tensor_describes_itself() -> None:
    assert TensorSpec("input", (None, 1, 160000), "float32").describe() == "input float32 [?, 1, 160000]"
    assert TensorSpec("x", (), "float16").describe() == "x float16 []"


def test_one_quiet_thread_unless_asked() -> None:
    assert LoadOptions() == LoadOptions(threads=1, spin=False)
