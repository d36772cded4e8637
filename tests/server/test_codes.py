"""The table of codes, and that retrying is never advised after 44xx."""

from __future__ import annotations

from speakrs_server.codes import CODES, RemoteProtocolError
from speakrs_stream.errors import SpeakrsError


def test_close_codes_are_unique_and_in_range() -> None:
    closes = [code.close for code in CODES.values()]
    assert len(set(closes)) == len(closes)
    assert all(close in (1011, 1012) or 4400 <= close < 4600 for close in closes)


def test_44xx_is_never_retried_and_the_rest_is() -> None:
    assert not CODES["unauthorized"].retryable
    assert CODES["slow_consumer"].retryable and CODES["internal"].retryable and CODES["draining"].retryable


def test_errors_carry_their_code() -> None:
    error = RemoteProtocolError("idle", "too quiet", fatal=False, ref="ping")
    assert isinstance(error, SpeakrsError)
    assert (error.code.close, error.fatal, error.ref, str(error)) == (4440, False, "ping", "too quiet")
