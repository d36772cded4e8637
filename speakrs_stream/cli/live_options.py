"""What `live` and `mic` share: the options about people, the voices behind them, and what happens at the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speakrs_stream.cli.options import Decorated, existing_or_not, stacked
from speakrs_stream.cli.shell import complain, say, shown
from speakrs_stream.errors import AudioError, OutputError, SpeakrsError

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    from speakrs_stream.diarization import Diarization
    from speakrs_stream.engine import Engine
    from speakrs_stream.models.bundle import ModelBundle
    from speakrs_stream.voices import VoiceStore

DEFAULT_STORE = "@default"
"""What `--voices` without a folder stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveChoice:
    """How a stream was asked for."""

    max_delay: float | None
    """Seconds within which a turn is final; None takes the library's own."""

    voices: tuple[tuple[str, Path], ...]
    """Names, and recordings of their voices."""

    store: Path | None
    """Folder of the voice store; None for the default one."""

    use_store: bool
    """Whether there is a voice store at all."""

    keep_unnamed: bool
    """Whether people without a name are kept under lasting ids."""


def name_and_file(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[tuple[str, Path], ...]:
    """`Alice=alice.wav` as a pair."""
    pairs = []
    for value in values:
        name, separator, path = value.partition("=")
        if not (name.strip() and separator and path):
            raise click.BadParameter(f"{value!r} is not like NAME=FILE")
        pairs.append((name.strip(), Path(path)))
    return tuple(pairs)


def live_options(function: Decorated) -> Decorated:
    """--max-delay, --voice, --voices and --keep-unnamed; read them with `live_choice`."""
    return stacked(
        function,
        click.option(
            "--max-delay",
            type=click.FloatRange(1, 120),
            metavar="S",
            help="Seconds within which what was heard is final, 1 to 120; more is more exact.",
        ),
        click.option(
            "--voice",
            "voices",
            multiple=True,
            metavar="NAME=FILE",
            callback=name_and_file,
            help="Recognise the one person who speaks in FILE. May be given several times.",
        ),
        click.option(
            "--voices",
            "store",
            is_flag=False,
            flag_value=DEFAULT_STORE,
            metavar="[FOLDER]",
            help="Recognise voices kept earlier and keep those that get a name (voice prints, on this machine).",
        ),
        click.option(
            "--keep-unnamed",
            is_flag=True,
            help="With --voices: keep people without a name too, under ids such as V0001.",
        ),
    )


def live_choice(values: dict[str, Any]) -> LiveChoice:
    """Take the values of `live_options` out of a command's keyword arguments; impossible ones are wrong usage."""
    store, keep = values.pop("store"), values.pop("keep_unnamed")
    if keep and store is None:
        raise click.UsageError("--keep-unnamed keeps voice prints, which needs --voices")
    if store not in (None, DEFAULT_STORE) and Path(store).is_file():
        raise click.UsageError(
            f"--voices takes a folder, and {shown(store)} is a file; put --voices last for the default folder"
        )
    return LiveChoice(
        max_delay=values.pop("max_delay"),
        voices=values.pop("voices"),
        store=None if store in (None, DEFAULT_STORE) else Path(store),
        use_store=store is not None,
        keep_unnamed=keep,
    )


# -- voices ----------------------------------------------------------------------------------------------------------


def open_store(choice: LiveChoice) -> VoiceStore | None:
    """The voice store that was asked for."""
    from speakrs_stream.voices import VoiceStore

    return VoiceStore(choice.store) if choice.use_store else None


def known_voices(engine: Engine, choice: LiveChoice, store: VoiceStore | None) -> Mapping[str, NDArray[float32]]:
    """Name -> embedding (D,) of everybody who can be recognised; what cannot be used is said on standard error.

    Raises AudioError, which names the file, where a recording holds no usable voice.
    """
    voices: dict[str, NDArray[float32]] = {}
    if store is not None:
        voices |= store.voices(engine.bundle)
        for sentence in store.strangers(engine.bundle):
            complain(sentence)
    for name, path in choice.voices:
        voices[name] = voice_of(engine, path)
    return voices


def voice_of(engine: Engine, path: Path) -> NDArray[float32]:
    """Embedding (D,) of the one person in a recording; AudioError that names the file."""
    try:
        return engine.voice(path)
    except AudioError as error:
        if str(path) in str(error):
            raise
        raise AudioError(f"{shown(path)}: {error}") from error


def learned(
    result: Diarization,
    bundle: ModelBundle,
    choice: LiveChoice,
    store: VoiceStore | None,
    *,
    confirmed: Collection[str] = (),
) -> Diarization:
    """Let the voice store learn from a result; the result with the names that this led to.

    confirmed: names that a person typed in during the recording
    """
    if store is None:
        return result
    try:
        lesson = store.learn(result, bundle, numbered=choice.keep_unnamed, confirmed=confirmed)
    except SpeakrsError as error:  # the recording must not be lost because a voice cannot be kept
        complain(f"voices were not kept: {error}")
        return result
    if lesson.added:
        say(f"Kept in {shown(store.directory)}: {', '.join(lesson.added)}", quiet=False)
    speakers = tuple(replace(s, name=s.name or lesson.names.get(s.label)) for s in result.speakers)
    return replace(result, speakers=speakers)


# -- files -----------------------------------------------------------------------------------------------------------


def output_options(default: str) -> Callable[[Decorated], Decorated]:
    """--format and --output-dir. default: what --format is without being given, for the help."""
    from speakrs_stream.cli.diarize import format_list

    def both(function: Decorated) -> Decorated:
        return stacked(
            function,
            click.option(
                "-f",
                "--format",
                "formats",
                multiple=True,
                callback=format_list,
                metavar="NAME[,NAME…]",
                help=f"Write the final result as rttm, json, srt, vtt and others.  [default: {default}]",
            ),
            click.option(
                "-d",
                "--output-dir",
                type=existing_or_not(file_okay=False),
                metavar="FOLDER",
                help="Where to write. [default: .]",
            ),
        )

    return both


def make_room(folder: Path) -> None:
    """Create the folder, so that a bad one is noticed before the call and not after."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the folder {shown(folder)}: {error.strerror}") from error


def outputs(folder: Path, name: str, formats: Iterable[str]) -> dict[str, Path]:
    """Format -> file."""
    from speakrs_stream.formats import FORMATS

    return {form: folder / f"{name}{FORMATS[form].suffix}" for form in formats}


def free_name(folder: Path, name: str, formats: Sequence[str]) -> str:
    """`name`, or `name-2`, `name-3` … where a file of that name exists already: no call overwrites another."""
    number, candidate = 1, name
    while any(path.exists() for path in outputs(folder, candidate, formats).values()):
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def write(result: Diarization, files: Mapping[str, Path]) -> str:
    """Write all formats; `call.rttm and call.json`. Raises OutputError."""
    for form, path in files.items():
        result.write(path, form)
    names = [shown(path) for path in files.values()]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
