"""The choice of a backend, and what is said about it."""

from __future__ import annotations

import pytest

from speakrs_stream.errors import BackendUnavailable, ConfigError, MissingExtra
from speakrs_stream.inference.auto import MAKERS, Maker, choose, processor, survey
from speakrs_stream.inference.base import Backend
from speakrs_stream.inference.fake import FakeBackend


class Named(FakeBackend):
    """A fake that goes by another name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.description = f"a made-up {name}"


def makers(**problems: str | None) -> dict[str, Maker]:
    """Backends with what is wrong with them."""

    def maker(name: str, problem: str | None) -> Maker:
        def make() -> Backend:
            assert problem is None, "an unusable backend was made"
            return Named(name)

        return Maker(lambda: problem, make)

    return {name: maker(name, problem) for name, problem in problems.items()}


def test_auto_takes_the_first_that_works() -> None:
    chosen = choose("auto", makers(cuda=None, cpu=None))
    assert (chosen.name, chosen.description) == ("cuda", "a made-up cuda, chosen automatically")


def test_auto_says_why_the_others_are_not_used() -> None:
    chosen = choose(makers=makers(cuda="no GPU", cpu=None))
    assert chosen.name == "cpu"
    assert chosen.description == "a made-up cpu, chosen automatically; cuda is not used: no GPU"


def test_auto_without_any_runtime() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'speakrs-stream\[cpu\]'"):
        choose("auto", makers(cuda="no GPU", cpu="not installed"))
    with pytest.raises(BackendUnavailable, match="no backend can be used; cuda: no GPU"):
        choose("auto", makers(cuda="no GPU"))


def test_a_named_backend_is_taken_or_refused() -> None:
    assert choose("cpu", makers(cuda=None, cpu=None)).description == "a made-up cpu"
    with pytest.raises(BackendUnavailable, match="cuda: no GPU"):
        choose("cuda", makers(cuda="no GPU", cpu=None))
    with pytest.raises(MissingExtra, match=r"pip install 'speakrs-stream\[cpu\]'"):
        choose("cpu", makers(cpu="not installed"))


@pytest.mark.parametrize("name", ["gpu", "", "CPU", "coreml-fast"])
def test_an_unknown_name_lists_those_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown backend '{name}'; there are auto, coreml, cpu, cuda"):
        choose(name)


def test_a_backend_is_taken_as_it_is() -> None:
    mine = FakeBackend()
    assert choose(mine) is mine


def test_survey() -> None:
    found = survey(makers(cuda="no GPU", cpu=None))
    assert [(entry.name, entry.available) for entry in found] == [("cuda", False), ("cpu", True)]
    assert found[0].description == "no GPU"
    assert found[1].description == f"a made-up cpu, {processor()}"


def test_here() -> None:
    """Whatever is installed: `auto` takes the first of the survey that works."""
    usable = [entry.name for entry in survey() if entry.available]
    assert choose().name == usable[0]
    assert set(MAKERS) == {"cpu", "cuda", "coreml"}
    assert "core" in processor()
