"""A call on this machine and one on a server look the same to whoever listens."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from speakrs_stream.cli.calls import Call, local_call, remote_call
from speakrs_stream.cli.live_options import LiveChoice
from speakrs_stream.cli.options import SpeakerCount
from speakrs_stream.cli.server_options import ServerChoice
from tests.clients.served import served
from tests.clients.stand_ins import FakeEngine, sound

PEOPLE = LiveChoice(max_delay=2.0, voices=(), store=None, use_store=False, keep_unnamed=False)


def first_line(call: Call, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    call.as_json()
    found: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_here_and_on_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = local_call(FakeEngine(), 16_000, "x", SpeakerCount(), PEOPLE)
    assert here.model == "fake-split on fake" and here.link is None
    with served(tmp_path) as found, ExitStack() as stack:
        where = ServerChoice(url=found.address(""), token_file=None, token_env=None, ca_file=None, wait=0.0)
        there = remote_call(where, 16_000, "x", SpeakerCount(num_speakers=2), PEOPLE, stack)
        assert there.model == f"fake-split at 127.0.0.1:{found.port}"
        assert there.link is not None and not there.link().lost
        told: list[str] = []
        there.told(told.append)
        results = []
        for call in (here, there):
            begun = first_line(call, capsys)
            assert (begun["uri"], begun["max_delay"]) == ("x", 2.0)
            samples = np.rint(sound() * 32_767).astype(np.int16)
            call.stream.push(samples)
            results.append(call.learned(call.stream.finish(), set()))
    assert results[0].turns == results[1].turns and told == []
