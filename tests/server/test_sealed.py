"""Tokens the server makes: genuine or worth nothing, and never good for anything else."""

from __future__ import annotations

import pytest

from speakrs_server.codes import RemoteProtocolError
from speakrs_server.sealed import VIEW_S, ResumeTokens, ViewTokens

NOW = 1_800_000_000.0
SESSION = "0123456789ABCDEFGHJKMNPQRS"


def test_resume_tokens() -> None:
    tokens = ResumeTokens(b"k" * 32)
    token = tokens.seal(SESSION, 3, NOW + 10)
    assert tokens.open(token, SESSION, NOW) == 3
    with pytest.raises(RemoteProtocolError) as caught:
        tokens.open(token, SESSION, NOW + 11)
    assert caught.value.code.name == "expired"
    with pytest.raises(RemoteProtocolError):
        tokens.open(token, "X" * 26, NOW)
    with pytest.raises(RemoteProtocolError):
        ResumeTokens(b"l" * 32).open(token, SESSION, NOW)
    for at in range(len(token)):
        for letter in ("A", "B", "."):
            changed = token[:at] + letter + token[at + 1 :]
            if changed != token:
                with pytest.raises(RemoteProtocolError):
                    tokens.open(changed, SESSION, NOW)
    for changed in ("", "r1..", "r1.a", token + "=", token + "A", "r2" + token[2:], "é.é.é", "r1.e30.e30"):
        with pytest.raises(RemoteProtocolError):
            tokens.open(changed, SESSION, NOW)


def test_view_tokens_let_in_to_one_session_for_a_day() -> None:
    tokens = ViewTokens(b"k" * 32)
    token = tokens.seal(SESSION, NOW)
    grant = tokens.grant(token, NOW + VIEW_S)
    assert grant is not None
    assert grant.may("view", "somebody", SESSION)
    assert not grant.may("view", "somebody", "X" * 26) and not grant.may("view")
    assert not grant.may("ingest", session=SESSION) and not grant.may("admin", session=SESSION)
    assert tokens.grant(token, NOW + VIEW_S + 1) is None
    for at in range(len(token)):
        assert tokens.grant(token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :], NOW) is None
    assert all(tokens.grant(other, NOW) is None for other in (None, "", "v1..", "a-static-token-0123456789"))


def test_one_kind_never_passes_for_another() -> None:
    resume, view = ResumeTokens(b"k" * 32), ViewTokens(b"k" * 32)
    came_back = resume.seal(SESSION, 0, NOW + VIEW_S)
    assert view.grant(came_back, NOW) is None and view.grant("v1" + came_back[2:], NOW) is None
    for token in (view.seal(SESSION, NOW), "r1" + view.seal(SESSION, NOW)[2:]):
        with pytest.raises(RemoteProtocolError):
            resume.open(token, SESSION, NOW)
