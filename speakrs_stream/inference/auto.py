"""Which runtime and device to use: one place that decides, and says why."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from speakrs_stream.errors import BackendUnavailable, ConfigError, MissingExtra
from speakrs_stream.inference.base import Backend
from speakrs_stream.inference.onnx import CoreMlBackend, CudaBackend, OnnxBackend, coreml_problem, cuda_problem, runtime

AUTO = "auto"
NAMES = ("cpu", "cuda", "coreml")
"""Backends by the name people choose them with."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one backend can be used here."""

    name: str
    """Name to choose it with."""
    available: bool
    """Whether it works."""
    description: str
    """What it is, or why it does not work and what to do."""


@dataclass(frozen=True, slots=True)
class Maker:
    """How to find out about a backend and how to make it."""

    problem: Callable[[], str | None]
    """Why it cannot be used, with what to do; None where it can."""
    make: Callable[[], Backend]
    """Makes it."""


def cpu_problem() -> str | None:
    """Why ONNX Runtime cannot be used on the processor; None where it can."""
    try:
        runtime()
    except MissingExtra as error:
        return str(error)
    return None


MAKERS: Mapping[str, Maker] = {
    "cuda": Maker(cuda_problem, CudaBackend),
    "cpu": Maker(cpu_problem, OnnxBackend),
    "coreml": Maker(coreml_problem, CoreMlBackend),
}
"""Backends, those that `auto` prefers first. CoreML comes after the processor: it has not been measured on a Mac."""


def choose(prefer: str | Backend = AUTO, makers: Mapping[str, Maker] = MAKERS) -> Backend:
    """The backend to use; its `description` says what was chosen and why.

    prefer: "auto", "cpu", "cuda", or a backend, which is taken as it is
    makers: what there is to choose from, best first

    Raises ConfigError for an unknown name, BackendUnavailable or MissingExtra where it cannot be used, with the line
    to install it.
    """
    if not isinstance(prefer, str):
        return prefer
    if prefer != AUTO:
        if prefer not in makers:
            raise ConfigError(f"unknown backend {prefer!r}; there are {', '.join([AUTO, *sorted(makers)])}")
        return _made(prefer, makers[prefer])
    problems: dict[str, str] = {}
    for name, maker in makers.items():
        problem = maker.problem()
        if problem is None:
            backend = maker.make()
            because = "".join(f"; {other} is not used: {why}" for other, why in problems.items())
            backend.description += f", chosen automatically{because}"
            return backend
        problems[name] = problem
    if "cpu" in makers:
        return _made("cpu", makers["cpu"])  # raises, and says what to install
    raise BackendUnavailable("no backend can be used; " + "; ".join(f"{n}: {why}" for n, why in problems.items()))


def _made(name: str, maker: Maker) -> Backend:
    problem = maker.problem()
    if problem is not None and name == "cpu":
        raise MissingExtra("onnxruntime", "cpu", "running networks")
    if problem is not None:
        raise BackendUnavailable(f"{name}: {problem}")
    return maker.make()


def survey(makers: Mapping[str, Maker] = MAKERS) -> list[Finding]:
    """Every backend, and whether it can be used here; the first that can is what `auto` takes."""
    findings = []
    for name, maker in makers.items():
        problem = maker.problem()
        findings.append(Finding(name, problem is None, problem or f"{maker.make().description}, {processor()}"))
    return findings


def usable_cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The machine's processor and how many cores this process may use."""
    cores = usable_cores()
    return f"{platform.machine()} with {cores} core{'' if cores == 1 else 's'}"
