"""Ways to run: what each name means, and what `auto` takes where which runtime is there."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from speakrs_stream import engine as engine_module
from speakrs_stream.core.config import ClusteringConfig, PipelineConfig
from speakrs_stream.engine import Engine
from speakrs_stream.errors import BackendUnavailable, ConfigError, MissingExtra
from speakrs_stream.inference import auto
from speakrs_stream.inference.auto import Maker
from speakrs_stream.inference.base import Backend
from speakrs_stream.inference.fake import FakeBackend, fake_bundle
from speakrs_stream.modes import MODES, Mode, mode_named


class StandIn(FakeBackend):
    """A runtime by name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.description = f"{name} stands in"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes this a machine with some runtimes: name -> why it cannot be used, None where it can."""

    def made(**problems: str | None) -> None:
        def maker(name: str, problem: str | None) -> Maker:
            def make() -> Backend:
                return StandIn(name)

            return Maker(lambda: problem, make)

        makers = {name: maker(name, problem) for name, problem in problems.items()}
        monkeypatch.setattr(engine_module, "choose", lambda prefer: auto.choose(prefer, makers))

    return made


def test_the_names() -> None:
    assert list(MODES) == ["cpu", "cpu-fast", "cuda", "cuda-fast", "coreml", "coreml-fast"]
    assert mode_named("auto") is None and mode_named("cuda-fast") == Mode("cuda-fast", "cuda", True)
    with pytest.raises(ConfigError, match="unknown mode 'fast'; there are auto, cpu, cpu-fast, cuda"):
        mode_named("fast")
    assert MODES["cpu"].description == "cpu, a window every second"
    assert "every 2 s" in MODES["cpu-fast"].description


def test_fast_modes_change_what_they_say_and_nothing_else() -> None:
    config = PipelineConfig(clustering=ClusteringConfig(threshold=0.7), parity=True)
    assert MODES["cuda"].applied(config) == config
    fast = MODES["cuda-fast"].applied(config)
    assert (fast.min_on, fast.min_off, fast.clustering.max_iterations) == (3, 3, 3)
    assert fast.parity and fast.clustering.threshold == 0.7 and fast.step == config.step
    few = PipelineConfig(clustering=ClusteringConfig(max_iterations=2))
    assert MODES["cpu-fast"].applied(few).clustering.max_iterations == 2


@pytest.mark.parametrize("name", MODES)
def test_an_engine_in_each_mode(name: str, machine: Callable[..., None]) -> None:
    machine(cuda=None, cpu=None, coreml=None)
    engine = Engine(fake_bundle("flowing"), mode=name)
    mode = MODES[name]
    assert (engine.mode, engine.backend_name) == (name, mode.backend)
    assert engine.description == f"mode {name}: {mode.backend} stands in"
    assert engine.config.step == engine.live_config.step == (32_000 if mode.fast else 16_000)
    embeddings = (engine.config.embedding, engine.live_config.embedding)
    assert embeddings == (("fast", "fast") if mode.fast else ("exact", "refined"))
    assert engine.config.min_on == engine.live_config.min_on == (3 if mode.fast else 0)


def test_what_is_given_goes_before_the_mode(machine: Callable[..., None]) -> None:
    machine(cpu=None)
    engine = Engine(fake_bundle("flowing"), mode="cpu-fast", step=1.0, embedding="exact")
    assert (engine.config.step, engine.config.embedding, engine.config.min_off) == (16_000, "exact", 3)
    with pytest.raises(ConfigError, match="leave out the backend"):
        Engine(fake_bundle(), mode="cpu", backend="cuda")


@pytest.mark.parametrize(
    ("problems", "mode", "said"),
    [
        ({"cuda": None, "cpu": None, "coreml": "not a Mac"}, "cuda", "cuda stands in, chosen automatically"),
        ({"cuda": "no GPU", "cpu": None, "coreml": None}, "cpu", "cpu stands in, .*; cuda is not used: no GPU"),
        ({"cuda": "no GPU", "coreml": None}, "coreml", "coreml stands in, .*; cuda is not used: no GPU"),
    ],
)
def test_auto_takes_the_best_there_is_and_says_why(
    machine: Callable[..., None], problems: dict[str, str | None], mode: str, said: str
) -> None:
    machine(**problems)
    engine = Engine(fake_bundle())
    assert engine.mode == mode
    assert re.fullmatch(f"mode {mode}: {said}", engine.description)


def test_without_the_runtime_of_a_mode(machine: Callable[..., None]) -> None:
    machine(cuda="no GPU; use --backend cpu", cpu=None)
    with pytest.raises(BackendUnavailable, match="cuda: no GPU; use --backend cpu"):
        Engine(fake_bundle(), mode="cuda-fast")
    machine(cuda="no GPU", cpu="missing")
    with pytest.raises(MissingExtra, match="cpu"):
        Engine(fake_bundle())
