"""The client's core without a network: whatever breaks, all audio arrives once and every message is told once."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_clients.conversation import PING_S, QUIET_S, Attempt, Conversation, Opening
from speakrs_clients.losses import Loss, Refused, SessionGone, Unauthorized, Unreachable, Unspoken
from speakrs_clients.stream_events import ConnectionLost, ConnectionResumed
from speakrs_server import frames, messages
from speakrs_server.messages import AudioFormat, SessionStart, decode_client, encode
from tests.clients.model_server import ModelServer, World
from tests.clients.stories import SESSION, durable

near: Any = pytest.approx


def begun(**options: object) -> Conversation:
    return Conversation(Opening(start=SessionStart(**options)), 0.0, lambda: 0.5)  # type: ignore[arg-type]


def world(seed: int, mode: str, breaks: float) -> tuple[World, bytes]:
    chance = random.Random(seed)
    start = SessionStart(mode=mode)  # type: ignore[arg-type]
    talk = Conversation(Opening(start=start, buffer_s=2.0), 0.0, chance.random)
    return World(talk, ModelServer(chance), chance, breaks), chance.randbytes(2 * 16_000 * chance.randint(1, 12))


def talked(seed: int, mode: str, breaks: float) -> None:
    """A session from start to end over a bad network."""
    around, sound = world(seed, mode, breaks)
    talk, server, chance = around.talk, around.server, around.chance
    at, names = 0, 0
    for _ in range(20_000):
        if talk.phase == "over":
            break
        if at < len(sound) and talk.room():
            size = 2 * chance.randint(1, 8_000)
            talk.push(sound[at : at + size])
            at = min(at + size, len(sound))
            if chance.random() < 0.2:
                names += 1
                talk.command(messages.SpeakerRename(speaker="S1", name=f"{names}"))
        elif at == len(sound) and not talk.ending:
            talk.end()
        unsafe = talk.audio.highest - talk.audio.start
        assert talk.audio.held <= 2 * (unsafe + (2 + 0.5) * 16_000), "two seconds beyond what is unacknowledged"
        around.step()
    assert talk.phase == "over" and talk.failure is None, (talk.phase, talk.failure)
    assert bytes(server.audio) == sound
    assert [durable(m) for m in around.heard if durable(m)] == list(range(1, len(server.told) + 1))
    assert [name for _, name in server.commands] == [str(n) for n in range(1, names + 1)]
    resumed = [event for event in around.heard if isinstance(event, ConnectionResumed)]
    assert talk.resumes == len(resumed)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["live", "file"]), st.sampled_from([0.0, 0.02, 0.1, 0.3]))
def test_nothing_is_lost_or_told_twice_over_a_bad_network(seed: int, mode: str, breaks: float) -> None:
    talked(seed, mode, breaks)


def test_it_waits_between_attempts_and_longer_each_time() -> None:
    talk = Conversation(Opening(start=SessionStart(), wait_s=1e6), 0.0, lambda: 0.999)
    waits = []
    now = 0.0
    for _ in range(8):
        attempt = talk.attempt()
        assert attempt is not None and attempt.target == "/v1/stream"
        now = attempt.at
        (told,) = talk.lost(Loss("network", reason="refused"), now)
        assert isinstance(told, ConnectionLost)
        waits.append(round(told.retry_in_s, 1))
    assert waits == [0.3, 0.6, 1.2, 2.4, 4.8, 9.6, 10.0, 10.0]


def open_session(talk: Conversation, now: float = 0.0, **limits: int) -> None:
    server = ModelServer(random.Random(1))
    server.connect(now)
    talk.connected(now)
    hello = talk.outgoing(now)
    assert hello is not None
    server.take(hello, now)
    assert server.started is not None
    talk.received(encode(server.started).decode(), now)


def test_a_session_is_resumed_with_its_newest_token() -> None:
    talk = begun()
    assert talk.attempt() == Attempt(0.0, "/v1/stream")
    open_session(talk)
    assert talk.phase == "open" and talk.session == SESSION
    talk.push(b"\0\0" * 3_200)
    frame = talk.outgoing(0.0)
    assert isinstance(frame, bytes) and len(frame) == 16 + 3_200
    (lost,) = talk.lost(Loss("closed", 1012, "draining"), 1.0)
    assert lost == ConnectionLost("draining (1012)", near(0.15), 1)
    assert talk.attempt() == Attempt(near(1.15), f"/v1/stream?resume={SESSION}")
    talk.connected(2.0)
    hello = talk.outgoing(2.0)
    assert isinstance(hello, str)
    assert decode_client(hello) == messages.SessionResume(session=SESSION, token="r1", last_seq=1)
    resumed = messages.SessionResumed(
        session=SESSION,
        epoch=2,
        next_sample=1_600,
        replay_from=2,
        resume=messages.Resume(token="r2", window_s=300),
    )
    assert talk.received(encode(resumed).decode(), 2.5) == [ConnectionResumed(2, 1.5)]
    assert talk.outgoing(2.5) is None, "what was missed is heard first"
    snapshot = messages.Snapshot(as_of=1, open_turns=(), speakers=(), final_until_ms=0, processed_until_ms=0)
    assert talk.received(encode(snapshot).decode(), 2.5) == [snapshot]
    again = talk.outgoing(2.5)
    assert isinstance(again, bytes)
    assert frames.unpack(again, AudioFormat(), 1_600, 1_000, 65_536).offset == 1_600
    talk.lost(Loss("closed"), 3.0)
    talk.connected(4.0)
    hello = talk.outgoing(4.0)
    assert isinstance(hello, str) and '"r2"' in hello


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        (4401, "unauthorized", Unauthorized),
        (4403, "forbidden", Unauthorized),
        (4404, "unknown_session", SessionGone),
        (4406, "version", Unspoken),
        (4409, "superseded", Refused),
        (4410, "expired", SessionGone),
        (4429, "too_fast", Refused),
        (4499, None, Refused),
    ],
)
def test_44xx_is_never_tried_again(code: int, said: str | None, kind: type[Exception]) -> None:
    for told in (True, False):
        talk = begun()
        open_session(talk)
        if told and said is not None:
            error = messages.Error(code=said, message="because", fatal=True, retryable=False)
            talk.received(encode(error).decode(), 1.0)
        assert talk.lost(Loss("closed", code, said or ""), 1.0) == []
        assert type(talk.failure) is kind and talk.attempt() is None
        with pytest.raises(kind):
            talk.push(b"\0\0")


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 1012, 4500, 4503, 4507, 4508, 4509])
def test_everything_else_is_resumed(code: int) -> None:
    talk = begun()
    open_session(talk)
    error = messages.Error(code="x", message="y", fatal=True, retryable=True, retry_after_ms=700)
    assert talk.received(encode(error).decode(), 1.0) == [error]
    (lost,) = talk.lost(Loss("closed", code), 1.0)
    assert isinstance(lost, ConnectionLost) and lost.retry_in_s == pytest.approx(0.7 + 0.15)


def test_it_gives_up_when_the_session_is_gone_by_itself() -> None:
    talk = begun()
    open_session(talk)
    assert talk.lost(Loss("closed"), 1_000.0), "a long call without trouble has all its patience left"
    assert talk.lost(Loss("network"), 1_299.0)
    assert talk.lost(Loss("network", reason="no route"), 1_301.0) == []
    assert isinstance(talk.failure, Unreachable) and "300 s: no route" in str(talk.failure)


def test_who_is_not_there_at_the_start_is_told_at_once_unless_one_wants_to_wait() -> None:
    talk = begun()
    assert talk.lost(Loss("network", reason="refused"), 0.1) == [] and isinstance(talk.failure, Unreachable)
    talk = begun()
    talk.connected(0.1)
    assert talk.lost(Loss("closed"), 0.2), "somebody is there"


def test_a_server_that_lost_something_is_not_believed() -> None:
    talk = begun()
    open_session(talk)
    late = messages.WatermarkMoved(seq=3, final_until_ms=0, processed_until_ms=0)
    assert talk.received(encode(late).decode(), 0.0) == []
    assert isinstance(talk.failure, SessionGone) and talk.phase == "over"


def test_silence_ends_a_connection_and_pings_keep_one() -> None:
    talk = begun()
    open_session(talk)
    assert talk.deadline(0.0) == QUIET_S and talk.quiet(QUIET_S - 0.1) is None
    assert talk.quiet(QUIET_S) == Loss("silence")
    ack = messages.AudioAck(received=0, durable=0, processed=0)
    for second in range(int(PING_S)):
        assert talk.outgoing(float(second)) is None
        talk.received(encode(ack).decode(), float(second))
    ping = talk.outgoing(PING_S)
    assert isinstance(ping, str) and isinstance(decode_client(ping), messages.Ping)


def test_a_session_that_the_server_ended_takes_no_more() -> None:
    talk = begun()
    open_session(talk)
    talk.push(b"\0\0" * 100)
    talk.received(encode(messages.SessionFinalizing(seq=2, left_ms=0)).decode(), 0.0)
    assert talk.outgoing(0.0) is None
    with pytest.raises(SessionGone, match="by itself"):
        talk.push(b"\0\0")
    final = messages.SessionFinal(
        seq=3,
        samples=0,
        audio_ms=0,
        speakers=(),
        live_to_final={},
        results=messages.Results(live="", final=""),
        sha256=messages.Digests(audio="", live_rttm="", final_rttm=""),
    )
    assert talk.received(encode(final).decode(), 0.0) == [final]
    assert isinstance(talk.failure, SessionGone) and "100 samples" in str(talk.failure)


def test_a_viewer_looks_and_comes_back() -> None:
    talk = Conversation(Opening(session=SESSION, after=4), 0.0, lambda: 0.5)
    assert talk.attempt() == Attempt(0.0, f"/v1/sessions/{SESSION}/events?after=4")
    talk.connected(0.0)
    hello = talk.outgoing(0.0)
    assert isinstance(hello, str) and decode_client(hello) == messages.SessionView()
    news = messages.WatermarkMoved(seq=5, final_until_ms=0, processed_until_ms=0)
    assert talk.received(encode(news).decode(), 0.0) == [news]
    assert talk.lost(Loss("closed"), 1.0) and talk.attempt() == Attempt(1.15, f"/v1/sessions/{SESSION}/events?after=5")
    talk.connected(2.0)
    snapshot = messages.Snapshot(as_of=5, open_turns=(), speakers=(), final_until_ms=0, processed_until_ms=0)
    assert talk.received(encode(snapshot).decode(), 2.0) == [ConnectionResumed(0, 1.0), snapshot]
    with pytest.raises(Refused, match="viewer"):
        talk.command(messages.SpeakerRename(speaker="S1", name="x"))


def test_messages_of_newer_servers_are_passed_over_and_nonsense_is_not() -> None:
    talk = begun()
    open_session(talk)
    assert talk.received('{"type":"weather","sun":true}', 0.0) == [] and talk.failure is None
    assert talk.received('{"type":"turn.final"}', 0.0) == [] and isinstance(talk.failure, Unspoken)


def test_a_server_of_another_version() -> None:
    talk = begun()
    server = ModelServer(random.Random(1))
    server.connect(0.0)
    talk.connected(0.0)
    server.take(talk.outgoing(0.0) or b"", 0.0)
    data = encode(server.started).decode().replace('"protocol":"1.0"', '"protocol":"2.0"')  # type: ignore[arg-type]
    assert talk.received(data, 0.0) == [] and isinstance(talk.failure, Unspoken)


def test_a_token_for_viewers_is_asked_for_until_it_is_there() -> None:
    talk = begun()
    open_session(talk)
    talk.share()
    assert talk.outgoing(0.0) == '{"type":"session.share"}' and talk.outgoing(0.0) is None
    talk.lost(Loss("closed"), 1.0)
    talk.connected(2.0)
    talk.outgoing(2.0)
    snapshot = messages.Snapshot(as_of=1, open_turns=(), speakers=(), final_until_ms=0, processed_until_ms=0)
    talk.received(encode(snapshot).decode(), 2.0)
    assert talk.outgoing(2.0) == '{"type":"session.share"}'
    shared = messages.SessionShared(token="v1", expires_s=60)
    assert talk.received(encode(shared).decode(), 2.0) == [] and talk.shared == shared


def test_tokens_are_not_told() -> None:
    talk = begun()
    server = ModelServer(random.Random(1))
    server.connect(0.0)
    talk.connected(0.0)
    server.take(talk.outgoing(0.0) or b"", 0.0)
    assert server.started is not None
    (told,) = talk.received(encode(server.started).decode(), 0.0)
    assert isinstance(told, messages.SessionStarted) and told.resume == messages.Resume(token="", window_s=300)
