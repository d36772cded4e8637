"""What keys mean: pause, save, quit, and the short questions behind renaming and merging. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

LONGEST_NAME = 40
"""Characters of a name that is typed in."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop listening, or go on."""


@dataclass(frozen=True, slots=True)
class Rename:
    """Give a speaker a name."""

    speaker: int
    """Number."""
    name: str
    """New name."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Two numbers are one person."""

    speaker: int
    """Number that is given up."""
    into: int
    """Number that stays."""


@dataclass(frozen=True, slots=True)
class Save:
    """Write what is known so far."""


@dataclass(frozen=True, slots=True)
class Quit:
    """Finish and write the result."""


Action: TypeAlias = Pause | Rename | Merge | Save | Quit


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A question that is being answered, or none."""

    topic: Literal["", "rename", "merge"] = ""
    """What it is about."""

    picked: tuple[int, ...] = ()
    """Speakers chosen so far."""

    text: str = ""
    """What is typed at the moment."""

    @property
    def asks_for_name(self) -> bool:
        """Whether a name is typed; otherwise a number, if anything."""
        return self.topic == "rename" and len(self.picked) == 1

    @property
    def question(self) -> str:
        """What is asked; empty when nothing is."""
        if self.topic == "rename":
            return f"name of S{self.picked[0]}:" if self.picked else "who gets a name?"
        if self.topic == "merge":
            return f"S{self.picked[0]} is the same person as?" if self.picked else "which two are one person?"
        return ""


NOTHING = Dialogue()


def press(dialogue: Dialogue, key: str, speakers: Sequence[int]) -> tuple[Dialogue, Action | None]:
    """The dialogue after a key, and what is to be done now.

    key: a character, or "enter", "escape", "backspace"; speakers: numbers that can be chosen
    """
    if not dialogue.topic:
        return _command(key, speakers)
    if key == "escape":
        return NOTHING, None
    if key == "backspace":
        if not dialogue.text and dialogue.picked:
            return replace(dialogue, picked=dialogue.picked[:-1]), None
        return replace(dialogue, text=dialogue.text[:-1]), None
    if dialogue.asks_for_name:
        return _name(dialogue, key)
    return _number(dialogue, key, [number for number in speakers if number not in dialogue.picked])


def _command(key: str, speakers: Sequence[int]) -> tuple[Dialogue, Action | None]:
    match key.lower():
        case " ":
            return NOTHING, Pause()
        case "s":
            return NOTHING, Save()
        case "q":
            return NOTHING, Quit()
        case "n" if speakers:
            return Dialogue("rename", tuple(speakers) if len(speakers) == 1 else ()), None
        case "m" if len(speakers) > 1:
            return Dialogue("merge"), None
    return NOTHING, None


def _name(dialogue: Dialogue, key: str) -> tuple[Dialogue, Action | None]:
    if key == "enter":
        name = dialogue.text.strip()
        return NOTHING, Rename(dialogue.picked[0], name) if name else None
    if len(key) == 1 and key.isprintable() and len(dialogue.text) < LONGEST_NAME:
        return replace(dialogue, text=dialogue.text + key), None
    return dialogue, None


def _number(dialogue: Dialogue, key: str, choices: Sequence[int]) -> tuple[Dialogue, Action | None]:
    """A number is taken as soon as no other begins with what is typed; Enter takes it before that."""
    text = dialogue.text
    if key.isascii() and key.isdigit():
        text += key
        fitting = [number for number in choices if str(number).startswith(text)]
        if not fitting:
            return dialogue, None
        if len(fitting) > 1 or str(fitting[0]) != text:
            return replace(dialogue, text=text), None
    elif key != "enter" or not text or int(text) not in choices:
        return dialogue, None
    picked = (*dialogue.picked, int(text))
    if dialogue.topic == "merge" and len(picked) == 2:
        return NOTHING, Merge(picked[0], picked[1])
    return replace(dialogue, picked=picked, text=""), None
