"""What a recognizer of words must offer, and which there are.

An engine is a function that takes `Options` and gives an `Engine`; other packages add theirs under the entry point
group `speakrs_stream.captions`, and `module:function` names one without. It is loaded in a process of its own: it may
be slow, hold the interpreter, print, or crash.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.errors import ConfigError, MissingExtra

GROUP = "speakrs_stream.captions"
"""Entry points of engines."""


@dataclass(frozen=True, slots=True)
class Options:
    """What an engine is asked for; each makes of it what it can."""

    model: str = ""
    """Name or folder of a model; empty for the engine's own choice."""
    language: str = ""
    """Code of the language, such as `en`; empty for the engine's own choice, or any."""
    threads: int = 1
    """Threads to compute with."""


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word in sound."""

    text: str
    """What it is, without blanks around it."""
    start: int
    """Its first sample, counted at 16 kHz from the first that the recognizer was fed."""
    end: int
    """One past its last."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a recognizer thinks was said since it last said something final."""

    words: tuple[HeardWord, ...]
    """In order."""
    until: int
    """Sample up to which it knows; where final, nothing that comes later lies before it, and a new recognizer that is
    fed from there on goes on as this one would."""
    final: bool
    """Whether it is done with these words; otherwise the next hypothesis takes their place."""


class Recognizer(Protocol):
    """One stream of sound."""

    def feed(self, samples: NDArray[np.float32]) -> Sequence[Hypothesis]:
        """Take (n,) float32 mono samples at 16 kHz, within ±1; what became known, in order. Blocks while it works."""
        ...

    def finish(self) -> Sequence[Hypothesis]:
        """No more sound comes: the rest, all of it final."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Engine(Protocol):
    """A recognizer of words, loaded."""

    def recognizer(self) -> Recognizer:
        """Start a stream."""
        ...


Load = Callable[[Options], Engine]
"""Loads an engine. Raises SpeakrsError with what to do where it cannot: a missing package, no model, an option."""


@dataclass(frozen=True, slots=True)
class Known:
    """An engine that comes with this package."""

    target: str
    """`module:function`."""
    package: str
    """What it needs."""
    extra: str
    """The extra that brings it."""
    description: str
    """For people."""


BUILT_IN = {
    "pocketsphinx": Known(
        "speakrs_server.captions.sphinx:load",
        "pocketsphinx",
        "captions-pocketsphinx",
        "English, model in its wheel, no download; light, and weak at free speech",
    ),
    "faster-whisper": Known(
        "speakrs_server.captions.whisper:load",
        "faster_whisper",
        "captions-whisper",
        "many languages, good; its model is downloaded once (captions_model: a name or a folder)",
    ),
}


def others() -> dict[str, str]:
    """Engines that other packages bring: name -> `module:function`."""
    return {entry.name: entry.value for entry in entry_points(group=GROUP) if entry.name not in BUILT_IN}


def listed() -> list[str]:
    """Lines for people: every engine, and how to get it where it is not installed."""
    lines = []
    for name, known in BUILT_IN.items():
        missing = find_spec(known.package) is None
        how = f"not installed: pip install 'speakrs-stream[{known.extra}]'" if missing else "installed"
        lines.append(f"{name}: {known.description}; {how}")
    return lines + [f"{name}: {target}" for name, target in sorted(others().items())]


def find(name: str) -> Load:
    """The function that loads an engine; ConfigError where there is none, MissingExtra without its package."""
    target = name
    if (known := BUILT_IN.get(name)) is not None:
        if find_spec(known.package) is None:
            raise MissingExtra(known.package, known.extra, f"captions by {name}")
        target = known.target
    elif ":" not in name:
        found = others()
        if name not in found:
            raise ConfigError(
                f"there is no captions engine {name!r}; there are {', '.join([*BUILT_IN, *sorted(found)])}"
            )
        target = found[name]
    module, _, function = target.partition(":")
    try:
        load = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"the captions engine {name!r} cannot be loaded: {error}") from error
    return load  # type: ignore[no-any-return]
