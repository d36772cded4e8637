"""How much is sent at once: never more than a server takes."""

from __future__ import annotations

import pytest

from speakrs_clients.pacing import Allowance, Pacing
from speakrs_server.frames import pack
from speakrs_server.messages import Limits
from speakrs_server.protocol import Conversation, ConversationLimits


def limits(**changes: float) -> Limits:
    base = {"max_frame_bytes": 65_536, "max_frame_ms": 1_000, "max_unacked_ms": 10_000, "max_rate": 2.0}
    return Limits(**{**base, "max_session_s": 43_200, "idle_s": 60.0, **changes})  # type: ignore[arg-type]


def test_an_allowance_comes_back_with_time() -> None:
    allowance = Allowance(2.0, 4.0, 0.0)
    assert allowance.ready(0.0) == 0.0
    allowance.take(5.0)
    assert allowance.ready(0.0) == pytest.approx(0.5, abs=0.01)
    assert allowance.ready(0.6) == 0.6
    assert allowance.ready(1e6) == 1e6


@pytest.mark.parametrize(
    ("rate", "width", "frame_ms", "changes", "frame"),
    [
        (16_000, 2, 100, {}, 1_600),
        (48_000, 32, 400, {}, 2_047),  # eight channels of floats: bytes are what counts
        (16_000, 2, 5_000, {}, 16_000),
        (8_000, 1, 100, {"max_frame_bytes": 116}, 100),
    ],
)
def test_frames_are_as_long_as_the_server_allows(
    rate: int, width: int, frame_ms: int, changes: dict[str, float], frame: int
) -> None:
    pacing = Pacing(limits(**changes), live=True, sample_rate=rate, width=width, frame_ms=frame_ms, now=0.0)
    assert pacing.frame == frame


def test_files_are_bound_by_the_work_and_live_sound_by_time() -> None:
    file = Pacing(limits(), live=False, sample_rate=16_000, width=2, frame_ms=100, now=0.0)
    live = Pacing(limits(), live=True, sample_rate=16_000, width=2, frame_ms=100, now=0.0)
    assert file.fits(174_400, 0) and not file.fits(174_401, 0) and file.fits(174_401, 1)
    assert live.fits(334_400, 0) and not live.fits(334_401, 0)
    for _ in range(1_000):
        file.sound(1_600)
        live.sound(1_600)
    assert file.sound_ready(0.0) == 0.0 and live.sound_ready(0.0) > 40.0


def test_a_server_never_finds_live_sound_too_fast() -> None:
    checks = Conversation(ConversationLimits(), "ingest", 0.0)
    checks.opened(checks.audio, live=True, position=0, now=0.0)
    pacing = Pacing(limits(), live=True, sample_rate=16_000, width=2, frame_ms=100, now=0.0)
    now, at = 0.0, 0
    while at < 600 * 16_000:  # ten minutes that waited for a connection
        now = pacing.sound_ready(now)
        assert checks.binary(pack(b"\0\0" * 1_600, at), now)
        pacing.sound(1_600)
        at += 1_600
    assert now == pytest.approx(600 / 1.9 - 5.0, abs=1.0)


def test_a_server_never_finds_too_many_commands() -> None:
    checks = Conversation(ConversationLimits(), "ingest", 0.0)
    pacing = Pacing(limits(), live=True, sample_rate=16_000, width=2, frame_ms=100, now=0.0)
    now = 0.0
    for _ in range(500):
        now = pacing.control_ready(now)
        assert checks.text('{"type":"ping"}', now)
        pacing.control()
