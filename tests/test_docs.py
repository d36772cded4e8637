"""The documents: everything public is described, every link leads somewhere, every example runs.

A fenced block is run when it is `sh` or `python`, in a folder with `meeting.wav`, `call.mp3`, `meeting.rttm` and
`transcript.json`; one that talks to `localhost:8765` finds a server there. The comment `<!-- not run: why -->` on the
line before a block says why one is not.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import click
import pytest
import soundfile

from speakrs_stream.cli.main import cli
from speakrs_stream.cli.shell import Shell
from speakrs_stream.core.config import ClusteringConfig, PipelineConfig
from speakrs_stream.formats import FORMATS
from speakrs_stream.transcripts import INPUTS, OUTPUTS
from tests.clients.served import served

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SHARED = {"--help", "--debug"}
"""Options that are described once for all commands."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


# -- the command line ------------------------------------------------------------------------------------------


def commands() -> dict[str, click.Command]:
    """`diarize`, `words assign`, … -> command, groups left out."""
    context = click.Context(cli, obj=Shell())
    found: dict[str, click.Command] = {}
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": sub for inner, sub in command.commands.items()}
        else:
            assert command is not None
            found[name] = command
    return found


def section(command: str) -> str:
    """The part of docs/cli.md about a command: its own, or its group's."""
    parts = re.split(r"^## speakrs-stream ", text_of("docs/cli.md"), flags=re.MULTILINE)
    titles = {part.split("\n", 1)[0].strip(): part for part in parts[1:]}
    assert command in titles or command.split()[0] in titles, f"docs/cli.md has no section for {command}"
    return titles.get(command) or titles[command.split()[0]]


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_and_option_is_described(name: str) -> None:
    described = section(name)
    assert f"`{name}" in described or f"speakrs-stream {name}" in described
    for option in commands()[name].params:
        if isinstance(option, click.Option):
            for flag in option.opts:
                assert flag in SHARED or f"`{flag}`" in described, f"{name} {flag} is not described"


def test_no_option_is_described_that_does_not_exist() -> None:
    known = {flag for command in commands().values() for option in command.params for flag in option.opts}
    known |= {flag for option in cli.params for flag in option.opts} | {"--help"}
    told = set(re.findall(r"`(--?[a-z][a-z-]*)`", text_of("docs/cli.md")))
    assert told <= known


def test_options_of_the_whole_are_described() -> None:
    assert all(f"`{flag}`" in text_of("docs/cli.md") for flag in ("--help", "--debug", "--version"))


# -- what else is public ---------------------------------------------------------------------------------------


def test_every_format_is_described() -> None:
    described = text_of("docs/cli.md")
    assert not [name for name, w in FORMATS.items() if f"| `{name}` | `{w.suffix}` |" not in described]
    assert not [name for name in (*INPUTS, *OUTPUTS) if f"`{name}`" not in described]


def test_every_setting_is_described() -> None:
    described = text_of("docs/library.md")
    names = [field.name for config in (PipelineConfig, ClusteringConfig) for field in fields(config)]
    assert not [name for name in names if f"`{name}`" not in described]


def test_every_extra_is_described() -> None:
    extras = tomllib.loads(text_of("pyproject.toml"))["project"]["optional-dependencies"]
    assert not [name for name in extras if f"`{name}`" not in text_of("README.md")]


def test_every_dependency_is_in_the_notice() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    lines = [*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)]
    names = {re.split(r"[<>=\[]", line)[0] for line in lines} - {"speakrs-stream"}
    notice = text_of("NOTICE")
    assert not [name for name in sorted(names) if name not in notice]


def test_every_make_target_is_told_by_make_help() -> None:
    text = text_of("Makefile")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    targets = set(phony.group(1).split())
    assert targets - {"help", "lint"} <= set(re.findall(r"@echo 'make (\w+)", text))
    told = {target for document in DOCUMENTS for target in re.findall(r"`make ([a-z]+)", text_of(str(document)))}
    assert told <= targets


# -- links and examples ----------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """Anchors that a document's headings make, as code hosts derive them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (document.parent / target).resolve() if target else document
        assert path.exists(), f"{document.name} links to {link}"
        if anchor:
            assert anchor in anchors(path), f"{document.name} links to {link}"


@dataclass(frozen=True, slots=True)
class Example:
    """A fenced block of a document."""

    where: str
    """Document and line."""
    language: str
    """`sh` or `python`."""
    text: str
    """What is in it."""
    why_not: str | None
    """Why it is not run; None where it is."""


def examples() -> list[Example]:
    """Every `sh` and `python` block of README.md and docs/."""
    found = []
    block = re.compile(r"(?:<!-- not run: (?P<why>.*?) -->\n)?```(?P<language>sh|python)\n(?P<text>.*?)```", re.DOTALL)
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = document.read_text(encoding="utf-8")
        for match in block.finditer(text):
            line = text.count("\n", 0, match.start("language")) + 1
            where = f"{document.name}:{line}"
            found.append(Example(where, match["language"], match["text"], match["why"]))
    return found


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that examples name."""
    folder = tmp_path_factory.mktemp("examples")
    demo = ROOT / "speakrs_stream" / "demo"
    samples, rate = soundfile.read(demo / "meeting.flac", frames=15 * 16_000, dtype="float32")
    soundfile.write(folder / "meeting.wav", samples, rate)
    soundfile.write(folder / "call.mp3", samples[: 11 * rate], rate)
    shutil.copy(demo / "meeting.rttm", folder / "meeting.rttm")
    words = [
        {"word": word, "start": i * 2.0, "end": i * 2.0 + 0.5} for i, word in enumerate("one two three four".split())
    ]
    transcript = {"segments": [{"start": 0.0, "end": 8.0, "text": "one two three four", "words": words}]}
    (folder / "transcript.json").write_text(json.dumps(transcript), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a server, with made-up networks, for examples that talk to `localhost:8765`."""
    with served(tmp_path_factory.mktemp("served")) as found:
        yield f"localhost:{found.port}"


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.where)
def test_examples_run(example: Example, playground: Path, request: pytest.FixtureRequest) -> None:
    if example.why_not is not None:
        pytest.skip(example.why_not)
    scripts = str(Path(sys.executable).parent)
    environment = {
        **{name: value for name, value in os.environ.items() if name != "SPEAKRS_MODELS_DIR"},
        "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONWARNINGS": "error",
    }
    text = example.text
    if "localhost:8765" in text:
        text = text.replace("localhost:8765", request.getfixturevalue("server"))
    start = [sys.executable, "-c"] if example.language == "python" else ["/bin/sh", "-eu", "-c"]
    done = subprocess.run([*start, text], cwd=playground, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_there_are_examples_and_most_run() -> None:
    every = examples()
    assert len([example for example in every if example.why_not is None]) >= 10
    assert all(example.why_not != "" for example in every)
