"""`speakrs-stream doctor`: what is installed, what would be used, what is missing."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import click

from speakrs_stream.cli.options import debug_option
from speakrs_stream.cli.shell import FAILED, OK, ascii_only, console
from speakrs_stream.errors import SpeakrsError
from speakrs_stream.formats.text import one_line

OPTIONAL: Mapping[str, tuple[str, str]] = {
    "onnx": ("cpu", "to run the segmentation's first filters once over a stream, a quarter less work; same results"),
    "huggingface_hub": ("hub", "to download the bundle community-1"),
    "matplotlib": ("plot", "to draw PNG pictures"),
    "sounddevice": ("mic", "to listen to the microphone"),
    "pyannote.core": ("pyannote", "for Diarization.to_pyannote()"),
}
"""Distribution -> the extra that brings it, and what it is for."""

VARIABLES = (
    *("SPEAKRS_MODELS_DIR", "SPEAKRS_CACHE_DIR", "HF_ENDPOINT", "HF_HUB_OFFLINE"),
    *("HTTPS_PROXY", "CUDA_VISIBLE_DEVICES"),
)
"""Environment variables that change what happens."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    topic: str
    """What it is about."""

    name: str
    """What was looked at."""

    found: str
    """What is there, or what is wrong and how to mend it."""

    state: str
    """"ok"; "absent" for something optional that is not there; "broken" when diarizing cannot work."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per check and line.")
@debug_option
def doctor(as_json: bool) -> int:
    """Say what is installed, which runtime, device and models would be used, and what is missing.

    Exit status 1 when diarizing cannot work as things are.
    """
    checks = [*system(), *packages(), *runtimes(), *bundles(), *environment(os.environ)]
    broken = [check for check in checks if check.state == "broken"]
    if as_json:
        for check in checks:
            click.echo(json.dumps(asdict(check)))
    else:
        show(checks)
        click.echo("\nDiarizing does not work: see above what to do." if broken else "\nReady to diarize.")
    return FAILED if broken else OK


def show(checks: Iterable[Check]) -> None:
    """The checks as a list for people, on standard output."""
    from rich.text import Text

    screen = console()
    marks = {"ok": ("ok", "green"), "absent": ("--", "yellow"), "broken": ("!!", "bold red")}
    if not ascii_only():
        marks = {"ok": ("✓", "green"), "absent": ("–", "yellow"), "broken": ("✗", "bold red")}
    topic = ""
    for check in checks:
        if check.topic != topic:
            topic = check.topic
            screen.print(Text(f"\n{topic}", style="bold"))
        screen.print(Text.assemble("  ", marks[check.state], f" {check.name}: {check.found}"), soft_wrap=True)


def system() -> Iterator[Check]:
    """The machine and the interpreter."""
    from speakrs_stream.inference.auto import processor

    yield Check("machine", "system", f"{platform.platform(terse=True)}, {processor()}", "ok")
    yield Check("machine", "Python", f"{platform.python_version()} ({platform.python_implementation()})", "ok")


def packages() -> Iterator[Check]:
    """This package, what it needs, and what it can use."""
    from speakrs_stream import __version__

    try:
        requirements = metadata.requires("speakrs-stream") or []
        yield Check("packages", "speakrs-stream", __version__, "ok")
    except metadata.PackageNotFoundError:
        requirements = []
        yield Check("packages", "speakrs-stream", f"{__version__}, run from its source and not installed", "ok")
    for name in required(requirements):
        yield installed(name, Check("packages", name, "missing; reinstall speakrs-stream", "broken"))
    for name, (extra, purpose) in OPTIONAL.items():
        line = f"not installed; needed {purpose}: pip install 'speakrs-stream[{extra}]'"
        yield installed(name, Check("packages", name, line, "absent"))


def required(requirements: Iterable[str]) -> list[str]:
    """Names of the requirements that belong to no extra: `numpy>=1.26` gives `numpy`."""
    plain = [line for line in requirements if "extra ==" not in line]
    return [found.group() for line in plain if (found := re.match(r"[\w.-]+", line))]


def installed(name: str, otherwise: Check) -> Check:
    """The version of a distribution, or `otherwise`."""
    try:
        return Check("packages", name, metadata.version(name), "ok")
    except metadata.PackageNotFoundError:
        return otherwise


def runtimes() -> Iterator[Check]:
    """What can run the networks, and what `auto` would take."""
    from speakrs_stream.inference.auto import choose, survey

    for finding in survey():
        yield Check("runtime", finding.name, finding.description, "ok" if finding.available else "absent")
    try:
        chosen = choose()
        yield Check("runtime", "would be used", f"mode {chosen.name}: {chosen.description}", "ok")
    except SpeakrsError as error:
        yield Check("runtime", "would be used", str(error), "broken")


def bundles() -> Iterator[Check]:
    """Which model bundles are here; the one used by default is read and checked as a whole."""
    from speakrs_stream.models.resolve import NAMES, list_bundles, verify

    for entry in list_bundles():
        name = one_line(entry.name)
        if not entry.default:
            yield Check("models", name, one_line(entry.description), "ok" if entry.present else "absent")
            continue
        try:
            files = verify(entry.name if entry.name in NAMES else Path(entry.name))
            yield Check("models", f"{name} (default)", f"{len(files)} files, all whole", "ok")
        except SpeakrsError as error:
            yield Check("models", f"{name} (default)", one_line(str(error)), "broken")


def environment(variables: Mapping[str, str]) -> Iterator[Check]:
    """Environment variables that are set and change something."""
    for name in VARIABLES:
        if variables.get(name):
            shown = "set" if "PROXY" in name else one_line(variables[name])  # a proxy's address may hold a password
            yield Check("environment", name, shown, "ok")
