"""Who gets in: the few who should, and none of more than two hundred who should not."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from speakrs_server.auth import (
    ANYBODY,
    Authenticator,
    Grant,
    bearer,
    choose_subprotocol,
    host_allowed,
    of_subprotocols,
    origin_allowed,
    read_tokens,
)
from speakrs_server.codes import RemoteProtocolError
from speakrs_stream.errors import ConfigError

NOW = 1_800_000_000.0
SECRET = b"0123456789abcdef0123456789abcdef-secret"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
PEM = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
STATIC = "correct-horse-battery"
SESSION = "0123456789ABCDEFGHJKMNPQRS"
CLAIMS: dict[str, Any] = {"aud": "speakrs", "sub": "ann", "exp": NOW + 60, "scope": "ingest view"}


def guard(tmp_path: Path, text: str = f"ops view,admin {STATIC}\n") -> Authenticator:
    path = tmp_path / "tokens"
    path.write_text(text, encoding="utf-8")
    return Authenticator(read_tokens(path), SECRET, PUBLIC)


def signed(claims: dict[str, Any], key: bytes | str = SECRET, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(claims, key, algorithm, headers=header or None)


def handmade(header: dict[str, Any], claims: dict[str, Any], mark: bytes = b"") -> str:
    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    return ".".join([part(json.dumps(header).encode()), part(json.dumps(claims).encode()), part(mark)])


def refused(authenticator: Authenticator, token: str | None) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        authenticator.check(token, NOW)
    assert caught.value.code.name == "unauthorized"
    assert not token or token not in str(caught.value)


def test_who_gets_in(tmp_path: Path) -> None:
    authenticator = guard(tmp_path)
    assert authenticator.check(STATIC, NOW) == Grant("ops", frozenset({"view", "admin"}))
    for token in (signed(CLAIMS), signed(CLAIMS, PEM, "EdDSA")):
        assert authenticator.check(token, NOW) == Grant("jwt:ann", frozenset({"ingest", "view"}), expires=NOW + 60)
    whole = CLAIMS | {"sid": SESSION, "jti": "1", "max_sessions": 2, "nbf": NOW - 5}
    grant = authenticator.check(signed(whole), NOW)
    assert (grant.session, grant.once, grant.max_sessions) == (SESSION, "1", 2)
    assert Authenticator(guarded=False).check(None, NOW) == ANYBODY


def test_a_token_for_one_session_is_spent_once(tmp_path: Path) -> None:
    authenticator = guard(tmp_path)
    grant = authenticator.check(signed(CLAIMS | {"jti": "only"}), NOW)
    authenticator.use(grant, NOW)
    with pytest.raises(RemoteProtocolError):
        authenticator.use(grant, NOW + 1)
    authenticator.use(Grant("ops", frozenset()), NOW)
    authenticator.use(authenticator.check(signed(CLAIMS | {"jti": "another"}), NOW), NOW + 100)


BAD_CLAIMS: list[dict[str, Any]] = [
    {name: value for name, value in CLAIMS.items() if name != absent} for absent in ("aud", "sub", "exp", "scope")
]
BAD_CLAIMS += [
    CLAIMS | {name: value}
    for name, values in {
        "exp": [0, -1, NOW - 60, NOW + 10**6, "tomorrow", None, True, [NOW], 1e308],
        "nbf": [NOW + 60, "now", True, [1]],
        "aud": ["other", "", ["a", "b"], 7, {"speakrs": 1}, "SPEAKRS", "speakrs "],
        "sub": ["", "x" * 201, 7, [], {}],
        "scope": ["", "root", "ingest root", "INGEST", ["ingest"], 7, {"ingest": True}, "ingest,view"],
        "sid": [7, ["x"], {}],
        "jti": [7, ["x"], {}],
        "max_sessions": [-1, "many", 1.5, True, [1]],
    }.items()
    for value in values
]


@pytest.mark.parametrize("claims", BAD_CLAIMS, ids=range(len(BAD_CLAIMS)))
def test_claims_that_are_not_accepted(claims: dict[str, Any], tmp_path: Path) -> None:
    refused(guard(tmp_path), handmade_signed(claims))
    assert guard(tmp_path).check(handmade_signed(CLAIMS), NOW)


def handmade_signed(claims: dict[str, Any]) -> str:
    """Signed whatever the claims are: the library that signs would refuse some of them."""
    import hashlib
    import hmac

    head, body, _ = handmade({"alg": "HS256", "typ": "JWT"}, claims).split(".")
    mark = hmac.new(SECRET, f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{base64.urlsafe_b64encode(mark).decode().rstrip('=')}"


def forgeries() -> list[str]:
    good = handmade_signed(CLAIMS)
    head, body, mark = good.split(".")
    out = [handmade({"alg": name}, CLAIMS, sign) for name in NONE for sign in (b"", b"x")]
    out += [signed(CLAIMS, key) for key in (b"wrong" * 8, SECRET[:-1] + b"x", SECRET + b"\1", b"\0" * 32)]
    # the public key taken for an HS256 secret
    import hashlib
    import hmac

    confused = handmade({"alg": "HS256"}, CLAIMS).rsplit(".", 1)[0]
    for key in (PUBLIC.encode(), PUBLIC.strip().encode()):
        sign = hmac.new(key, confused.encode(), hashlib.sha256).digest()
        out.append(f"{confused}.{base64.urlsafe_b64encode(sign).decode().rstrip('=')}")
    out += [f"{head}.{body}.", f"{head}.{body}", f".{body}.{mark}", f"{head}..{mark}", f"{head}.{body}.{mark}.x"]
    out += [f" {good}", f"{good} ", f"{good}\n", good.upper(), good[:-1], good + "A", good.replace(".", "..")]
    wider = handmade({"alg": "HS256"}, CLAIMS | {"scope": "admin"}).split(".")[1]
    out += [f"{head}.{wider}.{mark}", f"{head}.{body}.{mark[::-1]}"]
    kids = ["../../../../dev/null", "/etc/passwd", "' OR 1=1 --", "http://evil.example/jwks", "\0"]
    out += [handmade({"alg": "HS256", "kid": kid}, CLAIMS, b"x" * 32) for kid in kids]
    out += [handmade({"alg": "HS256", "jku": "http://evil.example", "x5u": "http://evil.example"}, CLAIMS, b"x" * 32)]
    out += [handmade({"alg": "HS256", "crit": ["b64"], "b64": False}, CLAIMS, b"x" * 32)]
    out += [STATIC[:-1], STATIC + "x", STATIC.upper(), " " + STATIC, STATIC + "\0", "ops", "*", "null", "undefined"]
    out += ["a" * 8_193, "a." * 4_000, "..", "...", "\ud800\ud800", "é" * 20, "e30.e30.e30", "bearer", "Bearer x"]
    out += [
        STATIC[:at] + chr((ord(letter) + 1) % 128) + STATIC[at + 1 :] for at, letter in enumerate(STATIC)
    ]  # one letter off, everywhere
    out += [good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :] for at in range(0, len(good) - 1, 2)]
    return out


NONE = ["none", "None", "NONE", "nOnE", "", "HS512", "RS256", "ES256", "PS256", "HS256 ", "hs256", None, 7, ["HS256"]]
FORGED = forgeries()


def test_forgeries_are_refused(tmp_path: Path) -> None:
    authenticator = guard(tmp_path)
    assert len(FORGED) + len(BAD_CLAIMS) >= 200
    for token in [*FORGED, None, ""]:
        refused(authenticator, token)


def test_without_jwt_keys_no_jwt_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"ops view {STATIC}", encoding="utf-8")
    only_static = Authenticator(read_tokens(path))
    refused(only_static, signed(CLAIMS))
    refused(Authenticator((), SECRET, None), signed(CLAIMS, PEM, "EdDSA"))
    refused(Authenticator((), None, PUBLIC), signed(CLAIMS))


def test_what_a_grant_allows() -> None:
    ingest = Grant("ann", frozenset({"ingest"}))
    assert ingest.may("ingest") and ingest.may("view", "ann", SESSION)
    assert not ingest.may("view", "bob", SESSION) and not ingest.may("admin")
    view = Grant("ann", frozenset({"view"}), session=SESSION)
    assert view.may("view", "bob", SESSION)
    assert not view.may("ingest", "ann", SESSION) and not view.may("view", "ann", "OTHER") and not view.may("view")
    assert Grant("root", frozenset({"admin"})).may("view", "bob", SESSION)
    assert not Grant("root", frozenset({"admin"}), session="X").may("view", "bob", SESSION)


@pytest.mark.parametrize(
    "line",
    [
        "ops view short",
        "ops root " + STATIC,
        "ops " + STATIC,
        "ops view,, " + STATIC,
        "a b c d",
        f"o view {'x' * 9000}",
    ],
)
def test_bad_lines_in_the_file_of_tokens(line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2") as caught:
        guard(tmp_path, "# a comment\n" + line)
    assert STATIC not in str(caught.value)


def test_other_faults_of_that_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="twice"):
        guard(tmp_path, f"a view {STATIC}\nb view {STATIC}")
    with pytest.raises(ConfigError, match="cannot read"):
        read_tokens(tmp_path / "absent")


def test_headers() -> None:
    assert bearer(None) is None
    assert bearer("Bearer abc") == bearer("bearer  abc ") == "abc"
    for header in ("Basic abc", "Bearer", "Bearer ", "abc", "", "Bearer a b"):
        with pytest.raises(RemoteProtocolError):
            bearer(header)
    name = "speakrs.auth." + base64.urlsafe_b64encode(b"secret/token?").decode().rstrip("=")
    assert of_subprotocols(["speakrs.v1", name]) == "secret/token?"
    assert of_subprotocols(["speakrs.v1"]) is None
    for offered in (["speakrs.auth.%%"], ["speakrs.auth.a"], ["speakrs.auth._w"], [name, name]):
        with pytest.raises(RemoteProtocolError):
            of_subprotocols(offered)


def test_subprotocols() -> None:
    assert choose_subprotocol([]) is None
    assert choose_subprotocol(["speakrs.auth.x"]) is None
    assert choose_subprotocol(["other", "speakrs.v1"]) == "speakrs.v1"
    with pytest.raises(RemoteProtocolError) as caught:
        choose_subprotocol(["speakrs.v2"])
    assert caught.value.code.close == 4406


def test_hosts() -> None:
    for good in ("localhost", "LOCALHOST:80", "127.0.0.1:8765", "[::1]:8765", "[::1]"):
        assert host_allowed(good, allowed=(), loopback=True)
    for bad in (None, "", "evil.example", "evil.example:8765", "localhost.evil.example", "127.0.0.1.nip.example"):
        assert not host_allowed(bad, allowed=(), loopback=True)
    assert host_allowed("captions.example:443", allowed=("captions.example",), loopback=False)
    assert not host_allowed("evil.example", allowed=("captions.example",), loopback=False)
    assert host_allowed("anything", allowed=(), loopback=False)


def test_origins() -> None:
    host = "captions.example:8765"
    good = [None, f"https://{host}", f"http://{host}", "https://listed.example"]
    assert all(origin_allowed(origin, host, ["https://listed.example"]) for origin in good)
    evil = ["null", "", "https://evil.example", f"https://{host}.evil.example", f"https://evil.example/{host}"]
    evil += [f"https://x@{host}", f"ftp://{host}", f"https://{host}/path", host, "https://listed.example.evil.example"]
    evil += ["https://[", "https://listed.example:444", f"file://{host}"]
    assert not any(origin_allowed(origin, host, ["https://listed.example"]) for origin in evil)
    assert not origin_allowed(f"https://{host}", None, [])
