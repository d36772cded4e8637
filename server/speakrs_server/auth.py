"""Who may do what: static tokens, JSON Web Tokens, resume tokens, and which pages and host names may ask at all."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from speakrs_server.codes import RemoteProtocolError
from speakrs_server.messages import SUBPROTOCOL, TOKEN_SUBPROTOCOL
from speakrs_stream.errors import ConfigError, MissingExtra

SCOPES = frozenset({"ingest", "view", "admin"})
LONGEST_TOKEN = 8_192
LONGEST_JWT_S = 24 * 3600
"""Seconds that a JSON Web Token may still be valid for."""
LEEWAY_S = 10
UNTIMED: Final = {
    "require": ["exp", "aud", "sub"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}
"""Times are checked here, against the clock that is handed in."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows."""

    key: str
    """Whose it is; sessions belong to it."""
    scopes: frozenset[str]
    """`ingest`, `view`, `admin`."""
    session: str | None = None
    """The only session it is for."""
    max_sessions: int | None = None
    """Sessions it may have open; None: as the settings say."""
    once: str | None = None
    """Identity of a token that may open one session only."""
    expires: float | None = None
    """Seconds since 1970 after which it is worth nothing."""

    def may(self, scope: str, owner: str | None = None, session: str | None = None) -> bool:
        """Whether it allows something, on a session of `owner` where one is named."""
        if self.session is not None and session != self.session:
            return False
        if "admin" in self.scopes:
            return True
        allowed = scope in self.scopes or (scope == "view" and "ingest" in self.scopes)
        return allowed and (owner is None or owner == self.key or self.session == session)


ANYBODY: Final = Grant("local", SCOPES)
"""What a server without tokens gives to everybody on its machine."""


@dataclass(frozen=True, slots=True)
class StaticToken:
    """A token that is known in advance; only its hash is kept."""

    key: str
    """Whose it is."""
    digest: bytes
    """SHA-256 of it."""
    scopes: frozenset[str]
    """What it allows."""


def read_tokens(path: Path) -> tuple[StaticToken, ...]:
    """Tokens of a file: `name scope,scope token` on each line, `#` starts a comment. ConfigError names the line."""
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the tokens in {path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        parts = line.split("#")[0].split()
        if not parts:
            continue
        scopes = frozenset(parts[1].split(",")) if len(parts) == 3 else frozenset()
        if not scopes or not scopes <= SCOPES:
            raise ConfigError(f"{path}, line {number}: write a name, scopes out of ingest,view,admin and a token")
        if not 16 <= len(parts[2]) <= LONGEST_TOKEN:
            raise ConfigError(f"{path}, line {number}: a token has 16 to {LONGEST_TOKEN} characters")
        found.append(StaticToken(parts[0], hashlib.sha256(parts[2].encode()).digest(), scopes))
    if len({token.digest for token in found}) != len(found):
        raise ConfigError(f"{path}: the same token stands there twice")
    return tuple(found)


@dataclass(slots=True)
class Authenticator:
    """Says what a token allows."""

    tokens: tuple[StaticToken, ...] = ()
    """Those known in advance."""
    secret: bytes | None = field(default=None, repr=False)
    """HS256 secret of JSON Web Tokens."""
    public_key: str | None = None
    """Ed25519 public key of JSON Web Tokens, PEM."""
    audience: str = "speakrs"
    """What their `aud` must be."""
    guarded: bool = True
    """Whether a token is needed at all."""
    _used: dict[str, float] = field(default_factory=dict)

    def check(self, token: str | None, now: float) -> Grant:
        """What a token allows; RemoteProtocolError `unauthorized` where nothing. now: seconds since 1970."""
        if not self.guarded:
            return ANYBODY
        if not token or len(token) > LONGEST_TOKEN:
            raise _unauthorized("a token is needed")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = None
        for known in self.tokens:  # all of them, whichever it is: time must tell nothing
            if hmac.compare_digest(known.digest, digest):
                found = known
        if found is not None:
            return Grant(found.key, found.scopes)
        if token.count(".") == 2 and (self.secret or self.public_key):
            return self._jwt(token, now)
        raise _unauthorized("the token is not known")

    def use(self, grant: Grant, now: float) -> None:
        """Spend a token that may open one session; RemoteProtocolError where it was spent before."""
        if grant.once is None:
            return
        self._used = {one: until for one, until in self._used.items() if until > now}
        if grant.once in self._used:
            raise _unauthorized("this token was used before")
        self._used[grant.once] = grant.expires or now + LONGEST_JWT_S

    def _jwt(self, token: str, now: float) -> Grant:
        jwt = _pyjwt()
        try:
            algorithm = jwt.get_unverified_header(token).get("alg")
            key = (
                {"HS256": self.secret, "EdDSA": self.public_key}.get(algorithm) if isinstance(algorithm, str) else None
            )
            if not key:
                raise _unauthorized("the token is not accepted")
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],  # the one this key is for: an EdDSA key is never taken for a secret
                audience=self.audience,
                options={
                    "require": ["exp", "aud", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise _unauthorized("the token is not accepted") from error
        return _grant_of(claims, now)


def _grant_of(claims: Mapping[str, Any], now: float) -> Grant:
    expires, not_before = claims["exp"], claims.get("nbf", 0)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (expires, not_before))
    if not numbers or not now - LEEWAY_S < expires <= now + LONGEST_JWT_S or not_before > now + LEEWAY_S:
        raise _unauthorized("the token is expired, not valid yet, or valid for too long")
    scope = claims.get("scope", "")
    scopes = frozenset(scope.split() if isinstance(scope, str) else ())
    subject, session, once = claims["sub"], claims.get("sid"), claims.get("jti")
    most = claims.get("max_sessions")
    fits = isinstance(subject, str) and 0 < len(subject) <= 200 and bool(scopes) and scopes <= SCOPES
    fits = fits and all(value is None or isinstance(value, str) for value in (session, once))
    if not fits or not (most is None or (isinstance(most, int) and most >= 0 and not isinstance(most, bool))):
        raise _unauthorized("the token's claims are not accepted")
    return Grant(f"jwt:{subject}", scopes, session, most, once, float(expires))


def _pyjwt() -> Any:
    try:
        import jwt
    except ImportError as error:
        raise MissingExtra("PyJWT", "server", "checking JSON Web Tokens") from error
    return jwt


def _unauthorized(why: str) -> RemoteProtocolError:
    return RemoteProtocolError("unauthorized", why)


def bearer(header: str | None) -> str | None:
    """The token of an Authorization header; None where there is none, RemoteProtocolError for other schemes."""
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip() or " " in token.strip():
        raise _unauthorized("Authorization must be: Bearer TOKEN")
    return token.strip()


def of_subprotocols(offered: Sequence[str]) -> str | None:
    """The token a browser puts beside `speakrs.v1` as `speakrs.auth.<base64url>`; None where there is none."""
    found = [name.removeprefix(TOKEN_SUBPROTOCOL) for name in offered if name.startswith(TOKEN_SUBPROTOCOL)]
    if not found:
        return None
    try:
        if len(found) > 1:
            raise ValueError
        return _bytes(found[0]).decode()
    except (ValueError, binascii.Error) as error:
        raise _unauthorized(f"{TOKEN_SUBPROTOCOL} takes one token in base64url") from error


def choose_subprotocol(offered: Sequence[str]) -> str | None:
    """What to answer: ours where offered, None where nothing was; RemoteProtocolError `version` for others only."""
    names = [name for name in offered if not name.startswith(TOKEN_SUBPROTOCOL)]
    if SUBPROTOCOL in names:
        return SUBPROTOCOL
    if names:
        raise RemoteProtocolError("version", f"this server speaks {SUBPROTOCOL}")
    return None


def host_allowed(host: str | None, *, allowed: Sequence[str], loopback: bool) -> bool:
    """Whether the Host header names us; against pages that point a name of theirs at this machine."""
    names = tuple(allowed) or (LOOPBACK_NAMES if loopback else ())
    if host is None:
        return False
    if not names:
        return True
    name = host.lower().rsplit(":", 1)[0] if not host.endswith("]") else host.lower()
    return name in names


def origin_allowed(origin: str | None, host: str | None, allowed: Sequence[str]) -> bool:
    """Whether a page of `origin` may connect: none (no browser), the server's own pages, and those listed."""
    if origin is None or origin in allowed:
        return True
    if host is None:
        return False
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    own = parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()
    return own and not parts.path and not parts.query and not parts.fragment


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
