"""The page's modules that touch no page, in Node: what goes over the socket, resuming, lines and times."""

from __future__ import annotations

import pytest

from tests.page.conftest import HERE, Node


@pytest.mark.parametrize("script", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_module(node: Node, script: str) -> None:
    assert "# fail 0" in node("--test", "--test-reporter=tap", script)
