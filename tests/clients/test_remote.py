"""A stream on a server behind the handle of one in this process: the same turns, names and result."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from speakrs_clients.losses import Unreachable
from speakrs_clients.meters import Link
from speakrs_clients.remote import inline, remote, rounded, sentence
from speakrs_clients.stream_events import ConnectionLost, ConnectionResumed
from speakrs_server import messages
from speakrs_stream.core.events import Event, TurnFinal, TurnRetracted, TurnStarted
from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Turn
from tests.clients.served import served
from tests.server.rig import FakeEngine, talk

SOUND = np.frombuffer(talk(), "<i2")


def test_it_is_like_a_stream_of_this_process(tmp_path: Path) -> None:
    local = FakeEngine().stream(uri="talk", max_delay=2)
    ours = [event for start in range(0, len(SOUND), 8_000) for event in local.push(SOUND[start : start + 8_000])]
    expected = local.finish()
    events: list[Event] = []
    with served(tmp_path) as found, remote(found.address(""), uri="talk", max_delay=2, mode="file") as stream:
        for start in range(0, len(SOUND), 8_000):
            events += stream.push(SOUND[start : start + 8_000])
        events += stream.rename(1, "Ann")
        result = stream.finish()
        events += stream.final_events
        assert stream.link == Link() and stream.where == f"127.0.0.1:{found.port}" and len(stream.session) == 26
        assert stream.samples == len(SOUND) >= stream.processed
    assert result.turns == expected.turns and result.uri == "talk" and result.bundle == expected.bundle
    assert [speaker.name for speaker in result.speakers] == ["Ann", None]
    assert stream.comparison is not None and stream.comparison.mapping == {"S1": "SPEAKER_00", "S2": "SPEAKER_01"}
    assert local.comparison is not None
    assert len(stream.comparison.differences) == len(local.comparison.differences)
    settled = [e.span for e in events if isinstance(e, TurnFinal)]
    assert settled == [
        Span(round(e.span.start / 16) * 16, round(e.span.end / 16) * 16)
        for e in (*ours, *local.final_events)
        if isinstance(e, TurnFinal)
    ]
    started = {e.turn for e in events if isinstance(e, TurnStarted)}
    over = [e.turn for e in events if isinstance(e, TurnFinal | TurnRetracted)]
    assert started <= set(over) and len(over) == len(set(over))
    assert stream.live().speakers[0].name == "Ann"


def test_merging_and_other_rates(tmp_path: Path) -> None:
    sound = np.repeat(SOUND[: 12 * 16_000], 3).astype(np.float32) / 32_768
    with served(tmp_path) as found:
        with remote(found.address(""), sample_rate=48_000, mode="file") as stream:
            stream.push(np.stack([sound[:240_000]] * 2, axis=1))
            stream.push(sound[288_000:], at=288_000)
            assert stream.finish().samples == stream.samples == 12 * 16_000
        with remote(found.address(""), mode="file") as stream:
            stream.push(SOUND[: 12 * 16_000])
            stream.same(2, 1)
            stream.finish()
    assert {turn.speaker for turn in stream.live().turns} == {"S1"}


def test_what_is_said_about_the_connection(tmp_path: Path) -> None:
    told: list[str] = []
    with ExitStack() as stack:
        with served(tmp_path) as found:
            stream = stack.enter_context(remote(found.address(""), max_delay=2, mode="file"))
            stream.told = told.append
            stream.push(SOUND[:160_000])
        until = time.monotonic() + 20
        while not stream.link.lost and time.monotonic() < until:
            time.sleep(0.01)
        assert stream.link.lost
        with served(tmp_path, port=found.port):
            stream.push(SOUND[160_000:])
            result = stream.finish()
            assert stream.link == Link(resumes=1)
    assert result.turns == FakeEngine().diarize(SOUND, sample_rate=16_000).turns
    assert told[0].startswith("connection lost (draining") and told[-1].startswith("connected again after ")


def test_a_failure_reaches_whoever_uses_it(tmp_path: Path) -> None:
    with served(tmp_path) as found, remote(found.address(""), mode="file") as stream:
        stream.push(SOUND[:16_000])
        stream._failure = Unreachable("gone")
        stream._over.set()
        with pytest.raises(Unreachable):
            for _ in range(3):
                stream.take()


def test_sentences() -> None:
    assert sentence(ConnectionLost("x", 0.1, 1)) and not sentence(ConnectionLost("x", 0.1, 2))
    assert sentence(ConnectionResumed(2, 1.26)) == "connected again after 1.3 s, nothing was lost"
    assert not sentence(messages.Warn(code="idle", message="")) and sentence(messages.Warn(code="audio", message="m"))
    refused = messages.Error(code="bad_message", message="no such speaker", fatal=False, retryable=False)
    assert sentence(refused) == "the server refused: no such speaker"
    assert not sentence(messages.Error(code="draining", message="", fatal=True, retryable=True))


def test_the_result_of_a_token_that_may_only_send(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("bob ingest bob-token-0123456789\n", encoding="utf-8")
    with served(tmp_path, tokens_file=str(tokens)) as found:
        with remote(found.address(""), token="bob-token-0123456789", mode="file", uri="x") as stream:
            stream.push(SOUND)
            stream.rename(2, "Bob")
            result = stream.finish()
    expected = FakeEngine().diarize(SOUND, sample_rate=16_000, uri="x")
    assert result.to_rttm().replace("Bob", "SPEAKER_01") == expected.to_rttm() and result.samples == len(SOUND)
    assert [speaker.shown for speaker in result.speakers] == ["SPEAKER_00", "Bob"]


def test_rounding_and_inline_results() -> None:
    turns = (Turn(Span(5, 16_009), "A"),)
    assert rounded(Diarization.from_turns(turns)).turns == (Turn(Span(0, 16_016), "A"),)
    final = messages.SessionFinal(
        seq=1,
        samples=16_000,
        audio_ms=1_000,
        speakers=(messages.Airtime(id="S1", speech_ms=1_000, name="Ann"),),
        live_to_final={"S1": "A"},
        results=messages.Results(live="", final=""),
        sha256=messages.Digests(audio="", live_rttm="", final_rttm=""),
        rttm="SPEAKER s 1 0.000 1.000 <NA> <NA> A <NA> <NA>\n",
    )
    assert inline(final, "s").speakers[0].shown == "Ann" and inline(final, "s").samples == 16_000
