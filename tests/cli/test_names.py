"""Which file a result goes to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakrs_stream.cli.names import plan
from speakrs_stream.errors import ConfigError

RTTM = {"rttm": ".rttm"}


def names(*inputs: str) -> list[str]:
    return [recording.name for recording in plan([Path(name) for name in inputs], RTTM, Path("out"))]


def test_results_are_named_after_the_stem() -> None:
    (recording,) = plan([Path("in/meeting.flac")], {"rttm": ".rttm", "textgrid": ".TextGrid"}, Path("out"))
    assert recording.outputs == {"rttm": Path("out/meeting.rttm"), "textgrid": Path("out/meeting.TextGrid")}
    assert not recording.renamed


def test_two_inputs_of_one_name_do_not_share_a_result() -> None:
    assert names("a/x.wav", "b/x.wav", "x.mp3") == ["x", "x-2", "x-3"]
    assert names("a/x.wav", "b/x.wav", "x-2.wav") == ["x", "x-3", "x-2"]
    assert names("X.wav", "x.flac") == ["X", "x-2"]  # one file on systems that ignore case


def test_one_file_given_twice_is_taken_once() -> None:
    assert names("x.wav", "y.wav", "x.wav") == ["x", "y"]


def test_standard_output_and_a_single_file() -> None:
    (recording,) = plan([Path("x.wav")], RTTM, None, "-")
    assert recording.outputs == {}
    (recording,) = plan([Path("x.wav")], RTTM, None, "some.where")
    assert recording.outputs == {"rttm": Path("some.where")}


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="overwritten"):
        plan([tmp_path / "x.wav"], RTTM, None, str(tmp_path / "sub" / ".." / "x.wav"))
    with pytest.raises(ConfigError, match="overwritten"):
        plan([tmp_path / "x.wav", tmp_path / "x.rttm"], RTTM, tmp_path)


@given(st.lists(st.builds("{}/{}.{}".format, *[st.sampled_from(["a", "b", "A", "a-2", "a-3"])] * 3), max_size=12))
def test_no_two_results_share_a_file(inputs: list[str]) -> None:
    recordings = plan([Path(name) for name in inputs], RTTM, Path("out"))
    files = [str(path).casefold() for recording in recordings for path in recording.outputs.values()]
    assert len(files) == len(set(files)) == len(set(inputs))
