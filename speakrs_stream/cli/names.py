"""Which file a recording's result goes to. Pure decisions about names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from speakrs_stream.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Recording:
    """One input, what to call it, and where its results go."""

    path: Path
    """The audio file, as it was given."""

    name: str
    """The input's stem; with `-2`, `-3`, … behind it where another input has the same."""

    outputs: Mapping[str, Path]
    """Format -> file to write; empty when the result goes to standard output."""

    @property
    def renamed(self) -> bool:
        """Whether the name differs from the input's stem."""
        return self.name != self.path.stem


def plan(inputs: Sequence[Path], suffixes: Mapping[str, str], folder: Path | None, file: str = "") -> list[Recording]:
    """Give every input a name and its output files; no two inputs share one.

    inputs: files in the order given; one given twice is taken once
    suffixes: format -> what its files end in, with the dot
    folder: where results go; None when `file` is one file for one input and format, or `-`, standard output
    Raises ConfigError when a result would overwrite an input.
    """
    unique = list(dict.fromkeys(inputs))
    taken = {fold(path.stem) for path in unique}
    used: set[str] = set()
    recordings = []
    for path in unique:
        name, number = path.stem, 2
        while fold(name) in used or (number > 2 and fold(name) in taken):
            name, number = f"{path.stem}-{number}", number + 1
        used.add(fold(name))
        if folder is not None:
            outputs = {form: folder / f"{name}{end}" for form, end in suffixes.items()}
        else:
            outputs = {} if file == "-" else dict.fromkeys(suffixes, Path(file))
        recordings.append(Recording(path, name, outputs))
    sources = {path.resolve() for path in unique}
    for recording in recordings:
        for output in recording.outputs.values():
            if output.resolve() in sources:
                raise ConfigError(f"{output} would be overwritten by its own result; choose another place for it")
    return recordings


def fold(name: str) -> str:
    """The name as file systems that ignore case compare it."""
    return name.casefold()
