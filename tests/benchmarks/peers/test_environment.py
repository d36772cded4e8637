from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.peers.environment import PeerUnavailable, environment


def test_what_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PeerUnavailable, match=r"peer-1 cannot be installed"):
        environment("peer-1", [], tmp_path / "file" / "below")


def test_a_failed_installation_tells_its_last_line_and_is_tried_again(tmp_path: Path) -> None:
    home = tmp_path / "peer"
    wrong = [["--no-index", "--no-deps", "there-is-no-such-package-of-ours"]]
    with pytest.raises(PeerUnavailable, match="there-is-no-such-package-of-ours"):
        environment("peer-1", wrong, home)
    assert not (home / "complete").exists()
    python = environment("peer-1", [], home)
    assert python.exists() and (home / "complete").exists()
    assert environment("peer-1", wrong, home) == python
