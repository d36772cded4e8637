"""What a lost connection means. What close codes lead to: test_conversation.py."""

from __future__ import annotations

import pytest

from speakrs_clients import losses
from speakrs_clients.losses import (
    Loss,
    SessionGone,
    StreamFailed,
    Unauthorized,
    Unspoken,
    Untrusted,
    described,
    verdict,
)
from speakrs_server.codes import CODES
from speakrs_server.messages import Error


def test_everything_belongs_to_one_tree_and_is_named_in_it() -> None:
    ours = [c for c in vars(losses).values() if isinstance(c, type) and issubclass(c, StreamFailed)]
    assert len(ours) == 7
    assert all(kind.__name__ in (losses.__doc__ or "") for kind in ours)


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.name)
def test_what_the_server_says_decides(code: object) -> None:
    entry = CODES[code.name]  # type: ignore[attr-defined]
    error = Error(code=entry.name, message="so it is", fatal=True, retryable=entry.retryable)
    found = verdict(Loss("closed", entry.close, entry.name), error, before=True)
    assert (found is None) == entry.retryable
    assert found is None or "so it is" in str(found)
    torn = verdict(Loss("closed", 1006), error, before=True)
    assert (torn is None) == entry.retryable, "also where the close itself was lost"


@pytest.mark.parametrize(
    ("status", "first", "later"),
    [
        (401, Unauthorized, Unauthorized),
        (403, Unauthorized, Unauthorized),
        (404, Unspoken, SessionGone),
        (429, None, None),
        (503, None, None),
        (502, None, None),
        (200, Unspoken, Unspoken),
        (426, Unspoken, Unspoken),
    ],
)
def test_statuses(status: int, first: type | None, later: type | None) -> None:
    loss = Loss("status", status, "told")
    for kind, before in ((first, False), (later, True)):
        found = verdict(loss, None, before=before)
        assert (None if found is None else type(found)) is kind
        assert found is None or "told" in str(found)


def test_what_is_not_http_and_not_secure() -> None:
    assert isinstance(verdict(Loss("status", 0, "gibberish"), None, before=False), Unspoken)
    assert verdict(Loss("status", 0), None, before=True) is None
    for before in (False, True):
        assert isinstance(verdict(Loss("certificate", reason="self-signed"), None, before=before), Untrusted)
    assert isinstance(verdict(Loss("tls"), None, before=False), Untrusted)
    assert verdict(Loss("tls"), None, before=True) is None
    assert verdict(Loss("network"), None, before=False) is None is verdict(Loss("silence"), None, before=True)


def test_losses_in_words() -> None:
    assert described(Loss("closed")) == "the connection broke"
    assert described(Loss("closed", 4508, "slow_consumer")) == "slow_consumer (4508)"
    assert described(Loss("silence")) == "the server went quiet"
    assert described(Loss("network", reason="no route")) == "no route"
    assert described(Loss("network")) == "the network failed"
    assert described(Loss("tls", reason="x")) == "no secure connection: x"
