"""Tokens that the server makes itself: to come back to a session, and to let somebody view one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json

from speakrs_server.auth import Grant
from speakrs_server.codes import RemoteProtocolError

VIEW_S = 24 * 3600
"""Seconds that a token to view a session is good for."""


class _Sealed:
    """Session, number and expiry under a secret that never leaves the server."""

    version: str
    """What a token starts with."""
    purpose: bytes
    """Keeps tokens of one kind from passing for another."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def _seal(self, session: str, number: int, expires: float) -> str:
        body = json.dumps([session, number, int(expires)], separators=(",", ":")).encode()
        return f"{self.version}.{_text(body)}.{_text(self._mark(body))}"

    def _read(self, token: str) -> tuple[str, int, int] | None:
        """Session, number and expiry of a genuine token; None for anything else."""
        try:
            version, body_text, mark = token.split(".")
            body = _bytes(body_text)
            genuine = version == self.version and hmac.compare_digest(self._mark(body), _bytes(mark))
            canonical = token == f"{self.version}.{_text(body)}.{_text(_bytes(mark))}"
        except (ValueError, binascii.Error):
            return None
        if not genuine or not canonical:
            return None
        session, number, expires = json.loads(body)
        return str(session), int(number), int(expires)

    def _mark(self, body: bytes) -> bytes:
        return hmac.new(self._secret, self.purpose + b" " + body, hashlib.sha256).digest()


class ResumeTokens(_Sealed):
    """Tokens that let a client come back to its session; the number is the epoch."""

    version, purpose = "r1", b"resume"

    def seal(self, session: str, epoch: int, expires: float) -> str:
        """A token. expires: seconds since 1970."""
        return self._seal(session, epoch, expires)

    def open(self, token: str, session: str, now: float) -> int:
        """The epoch of a genuine token for this session.

        RemoteProtocolError: `unauthorized` where it is not genuine or for another, `expired` where too old.
        """
        found = self._read(token)
        if found is None:
            raise RemoteProtocolError("unauthorized", "the resume token is not ours")
        for_session, epoch, expires = found
        if for_session != session:
            raise RemoteProtocolError("unauthorized", "the resume token is for another session")
        if now > expires:
            raise RemoteProtocolError("expired", "the resume token is too old")
        return epoch


class ViewTokens(_Sealed):
    """Tokens that let anybody who has one view one session, for a day; they allow nothing else."""

    version, purpose = "v1", b"view"

    def seal(self, session: str, now: float) -> str:
        """A token. now: seconds since 1970."""
        return self._seal(session, 0, now + VIEW_S)

    def grant(self, token: str | None, now: float) -> Grant | None:
        """What a token allows; None where it is none of ours, or too old."""
        found = self._read(token) if token else None
        if found is None or now > found[2]:
            return None
        session, _, expires = found
        return Grant(f"view:{session}", frozenset({"view"}), session, expires=float(expires))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
