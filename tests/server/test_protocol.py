"""One conversation, by a clock moved by hand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_server import messages
from speakrs_server.codes import RemoteProtocolError
from speakrs_server.frames import AudioFrame, pack
from speakrs_server.messages import AudioFormat, encode
from speakrs_server.protocol import Conversation, ConversationLimits, Role

LIMITS = ConversationLimits()
SECOND = b"\0\0" * 16_000


def opened(*, live: bool = True, position: int = 0, limits: ConversationLimits = LIMITS) -> Conversation:
    talk = Conversation(limits, "ingest", 0.0)
    talk.text(encode(messages.SessionStart()), 0.0)
    talk.opened(AudioFormat(), live=live, position=position, now=0.0)
    return talk


def refused(code: str) -> pytest.RaisesExc[RemoteProtocolError]:
    return pytest.raises(RemoteProtocolError, check=lambda error: error.code.name == code)


def test_the_usual_course() -> None:
    talk = opened()
    assert talk.binary(pack(b"\0\0" * 1600, 0), 0.1) == AudioFrame(0, 1600, b"\0\0" * 1600)
    assert isinstance(talk.text(b'{"type":"speaker.rename","speaker":"S1","name":"Ann"}', 0.2), messages.SpeakerRename)
    assert talk.text(b'{"type":"session.end","last_sample":1600}', 0.3) == messages.SessionEnd(last_sample=1600)
    assert talk.text(b'{"type":"ping"}', 0.4) == messages.Ping()
    assert talk.text(b'{"type":"session.end","last_sample":1600}', 0.5), "a client that came back says it again"
    with refused("bad_message") as late:
        talk.text(b'{"type":"speaker.rename","speaker":"S1","name":"Ann"}', 0.5)
    assert not late.value.fatal
    with refused("bad_message"):
        talk.binary(pack(b"\0\0", 1600), 0.5)
    assert talk.deadline() is None
    assert talk.tick(1e9) == []


@pytest.mark.parametrize(
    "text", ['{"type":"session.end"}', '{"type":"session.view"}', '{"type":"turn.reject","turn":"t_0001"}']
)
def test_what_cannot_come_first(text: str) -> None:
    talk = Conversation(LIMITS, "ingest", 0.0)
    with refused("bad_message"):
        talk.binary(b"", 0.0)
    with refused("bad_message"):
        talk.text(text, 0.0)


def test_what_can_only_come_first() -> None:
    for first in (messages.SessionStart(), messages.SessionView()):
        with refused("bad_message"):
            opened().text(encode(first), 0.0)


def test_viewers_only_look() -> None:
    talk = Conversation(LIMITS, "view", 0.0)
    assert talk.text(b'{"type":"session.view"}', 0.0) == messages.SessionView()
    talk.opened(AudioFormat(), live=True, position=0, now=0.0)
    assert talk.text(b'{"type":"ping","id":5}', 0.0) == messages.Ping(id=5)
    for text in (
        '{"type":"session.end"}',
        '{"type":"speaker.rename","speaker":"S1","name":"x"}',
        '{"type":"session.start"}',
    ):
        with refused("forbidden"):
            talk.text(text, 0.0)
    with refused("forbidden"):
        talk.binary(pack(b"\0\0", 0), 0.0)


def test_audio_that_came_before_is_cut_off() -> None:
    talk = opened(position=1000)
    assert talk.binary(pack(b"\1\1" * 500, 500), 0.0) is None
    cut = talk.binary(pack(b"\1\1" * 500 + b"\2\2" * 10, 500), 0.0)
    assert cut == AudioFrame(1000, 10, b"\2\2" * 10)
    assert (talk.position, talk.repeated) == (1010, 1000)


def test_gaps_must_be_declared() -> None:
    talk = opened()
    with refused("audio_gap"):
        talk.binary(pack(b"\0\0", 5), 0.0)
    assert talk.binary(pack(b"\0\0", 5, discontinuity=True), 0.0) == AudioFrame(5, 1, b"\0\0", True)
    assert (talk.position, talk.missing) == (6, 5)
    with refused("audio_gap"):
        talk.binary(pack(b"\0\0", 7 + 3600 * 16_000, discontinuity=True), 0.0)


def test_a_live_client_sends_at_its_rate() -> None:
    talk = opened()
    at = 0
    with refused("too_fast"):
        for _ in range(100):
            talk.binary(pack(SECOND, at), 0.0)
            at += 16_000
    assert at == 30 * 16_000  # ten seconds at twice the rate, and what may lie unacknowledged
    file = opened(live=False)
    for second in range(100):
        assert file.binary(pack(SECOND, 16_000 * second), 0.0)


def test_control_messages_have_a_rate() -> None:
    talk = opened()
    with refused("too_fast"):
        for _ in range(100):
            talk.text(b'{"type":"ping"}', 0.0)
    assert talk.text(b'{"type":"ping"}', 1.0)


def test_the_longest_session() -> None:
    talk = opened(limits=ConversationLimits(max_session_s=2))
    assert talk.binary(pack(SECOND, 0), 0.0) and talk.binary(pack(SECOND, 16_000), 0.0)
    with refused("max_duration"):
        talk.binary(pack(b"\0\0", 32_000), 0.0)


def test_time_alone() -> None:
    talk = Conversation(LIMITS, "ingest", 10.0)
    assert talk.deadline() == 15.0
    assert talk.tick(14.9) == []
    with refused("hello_timeout"):
        talk.tick(15.0)
    talk = opened()
    assert talk.deadline() == 30.0
    assert [warning.code for warning in talk.tick(30.0)] == ["idle"]
    assert talk.tick(31.0) == []
    assert talk.deadline() == 48.0
    assert talk.tick(48.0) and talk.deadline() == 60.0
    talk.text(b'{"type":"ping"}', 50.0)
    assert talk.deadline() == 80.0
    with refused("idle"):
        talk.tick(110.0)


def test_words_must_not_end_before_they_start() -> None:
    words = messages.WordsAdd(batch="b", words=(messages.Word(id="w", start_ms=5, end_ms=4),))
    with pytest.raises(RemoteProtocolError) as caught:
        opened().text(encode(words), 0.0)
    assert not caught.value.fatal


def test_the_end_must_agree() -> None:
    with refused("audio_gap"):
        opened(position=5).text(b'{"type":"session.end","last_sample":4}', 0.0)


TEXT = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"{", b"null", b'{"type":"nix"}', b'{"type":"ping"}', b'{"type":"session.end"}']),
    st.builds(
        lambda name, value: json.dumps({"type": name, "audio": value}).encode(),
        st.text(max_size=15),
        st.text(max_size=5),
    ),
)
FRAME = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda at, n, gap: pack(b"\1\1" * n, at, discontinuity=gap),
        st.integers(0, 400),
        st.integers(0, 200),
        st.booleans(),
    ),
)
STEP = st.tuples(st.sampled_from(["text", "frame", "wait", "open"]), TEXT, FRAME, st.floats(0, 20))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["ingest", "view"]), st.lists(STEP, max_size=30))
def test_any_bytes_are_valid_or_refused(role: Role, steps: list[tuple[str, bytes, bytes, float]]) -> None:
    talk, now, taken = Conversation(LIMITS, role, 0.0), 0.0, 0
    for what, text, frame, wait in steps:
        try:
            match what:
                case "text":
                    talk.text(text, now)
                case "frame":
                    found = talk.binary(frame, now)
                    if found is not None:
                        assert found.offset >= taken and len(found.payload) == 2 * found.samples
                        taken = found.offset + found.samples
                        assert talk.position == taken
                case "wait":
                    now += wait
                    talk.tick(now)
                case _:
                    if talk.phase == "hello":
                        talk.opened(AudioFormat(), live=True, position=0, now=now)
        except RemoteProtocolError as error:
            if error.fatal:
                return


def test_there_is_a_warning_before_every_limit() -> None:
    limits = ConversationLimits(
        max_session_s=700, idle_s=1e9, max_frame_ms=60_000, max_frame_bytes=2**22, control_rate=8
    )
    talking = Conversation(limits, "ingest", 0.0)
    talking.opened(AudioFormat(framing="raw"), live=False, position=0, now=0.0)
    said = []
    for minute in range(11):
        talking.binary(bytes(2 * 60 * 16_000), 0.0)
        said += [(minute, warning.code) for warning in talking.tick(0.0)]
        assert not talking.tick(0.0), "once each"
    assert said == [(1, "max_duration"), (6, "max_duration"), (10, "max_duration")]
    for _ in range(13):
        talking.text('{"type":"ping"}', 1.0)
    assert [warning.code for warning in talking.tick(1.0)] == ["too_fast"]
    assert not talking.tick(2.0), "not all the time"
    fast = Conversation(ConversationLimits(max_rate=1.0), "ingest", 0.0)
    fast.opened(AudioFormat(framing="raw"), live=True, position=0, now=0.0)
    for _ in range(16):
        fast.binary(bytes(32_000), 0.0)
    assert [warning.code for warning in fast.tick(0.0)] == ["too_fast"]
