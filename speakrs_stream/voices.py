"""Voices kept over recordings: names (or lasting ids) of people, with what it takes to know them again.

A voice print is biometric data. Nothing is kept unless a store is opened and told to; nothing here prints or logs a
print; files are readable by their owner alone, and `forget` and `export` are there for the people concerned.

    store = VoiceStore()
    store.remember("Alice", engine.voice("alice.wav"), engine.bundle)
    stream = engine.stream(voices=store.voices(engine.bundle))
    ...
    store.learn(stream.finish(), engine.bundle)
"""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speakrs_stream.diarization import Diarization
from speakrs_stream.errors import ConfigError, FormatError, OutputError
from speakrs_stream.formats.atomic import write_bytes_atomically
from speakrs_stream.voiceprints import (
    Prints,
    Prototype,
    Voice,
    checked_name,
    id_number,
    plain,
    share_a_print,
    together,
    unit,
    usable,
    voice_of,
)

F32 = NDArray[np.float32]

KIND, ARCHIVE, VERSION = "speakrs-voice", "speakrs-voices", 1
SUFFIX = ".voice.json"
COUNTER = "last-number.json"
LARGEST_FILE = 64 << 20
"""Bytes of a voice file or an export at most."""

SIMILAR = 0.5
"""Cosine similarity from which a voice counts as known, as `LiveConfig.voice_similarity`."""

SHORTEST = 3.0
"""Seconds of speech below which a recording teaches nothing about a known voice."""

ENOUGH = 10.0
"""Seconds of speech from which a voice that was not known is kept."""


class Bundled(Protocol):
    """What is needed of a model bundle: prints of different bundles cannot be compared."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def sha256(self) -> str:
        """Identity."""
        ...


@dataclass(frozen=True, slots=True)
class Learned:
    """What a recording taught a store."""

    names: Mapping[str, str]
    """Label in the recording -> name of the voice it went to."""

    added: tuple[str, ...]
    """Names that are new in the store."""

    updated: tuple[str, ...]
    """Names that were known and are better known now."""


class VoiceStore:
    """A directory with one file a voice."""

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        """directory: None takes the user's own data folder. It is made when the first voice is kept."""
        self.directory = Path(directory) if directory is not None else default_directory()

    # -- looking ---------------------------------------------------------------------------------------------

    def all(self) -> list[Voice]:
        """Every voice by name, named ones first; FormatError that names the file where one is damaged."""
        if not self.directory.is_dir():
            if self.directory.exists():
                raise ConfigError(f"{self.directory} is no folder; voices are kept in a folder")
            return []
        try:
            paths = sorted(self.directory.glob(f"*{SUFFIX}"))
        except OSError as error:
            raise FormatError(f"cannot read the folder of voices {self.directory}: {error.strerror}") from error
        return sorted((read_voice(path) for path in paths), key=lambda voice: (voice.numbered, voice.name))

    def names(self) -> list[str]:
        """Names and ids, as `all` orders them."""
        return [voice.name for voice in self.all()]

    def voices(self, bundle: Bundled) -> dict[str, F32]:
        """Name -> embedding (D,) of everybody this bundle can recognise, for `Engine.stream(voices=…)`."""
        return {v.name: v.prints[bundle.sha256].mean for v in self.all() if bundle.sha256 in v.prints}

    def strangers(self, bundle: Bundled) -> list[str]:
        """One sentence for each voice that cannot be used with this bundle, because only others have heard it."""
        found = []
        for voice in self.all():
            if bundle.sha256 not in voice.prints:
                heard = " and ".join(sorted({known.bundle for known in voice.prints.values()}))
                found.append(
                    f"{voice.name} was kept with another model bundle ({heard}) and cannot be recognised with "
                    f"{bundle.name}; add the voice again from a recording"
                )
        return found

    # -- keeping ---------------------------------------------------------------------------------------------

    def remember(self, name: str, embedding: ArrayLike, bundle: Bundled, *, seconds: float = ENOUGH) -> None:
        """Keep a print under a name; a voice of that name gets one more.

        embedding: (D,), as `Engine.voice` gives it; seconds: speech it was made from
        Raises ConfigError for a name that cannot be one and an embedding that fits no other of this bundle.
        """
        name = checked_name(name)
        self._add(self._find(name) or Voice(name, False, {}), embedding, bundle, seconds)

    def recognise(self, diarization: Diarization, bundle: Bundled) -> Diarization:
        """The result with names for speakers that have none and sound like a voice of the store, best fits first."""
        known = {v.name: v.prints[bundle.sha256] for v in self.all() if bundle.sha256 in v.prints}
        taken = {speaker.name for speaker in diarization.speakers if speaker.name}
        pairs = [
            (prints.similarity(unit(speaker.embedding)), speaker.label, name)
            for speaker in diarization.speakers
            if speaker.name is None and usable(speaker.embedding)
            for name, prints in known.items()
            if name not in taken and prints.prototypes[0].embedding.shape == np.asarray(speaker.embedding).shape
        ]
        found: dict[str, str] = {}
        for score, label, name in sorted(pairs, reverse=True):
            if score >= SIMILAR and label not in found and name not in found.values():
                found[label] = name
        speakers = tuple(replace(s, name=found.get(s.label, s.name)) for s in diarization.speakers)
        return replace(diarization, speakers=speakers)

    def learn(
        self, diarization: Diarization, bundle: Bundled, *, numbered: bool = False, confirmed: Collection[str] = ()
    ) -> Learned:
        """Take in a recording: better prints of people who are known, first prints of people who were named.

        numbered: also keep people without a name, under lasting ids V0001, V0002 …
        confirmed: names a person gave in this recording; their prints are taken even if they sound like nobody known
        Only speech counts: a known voice needs 3 s of it, a new one 10 s.
        """
        named = self.recognise(diarization, bundle)
        airtime = named.airtime(exclusive=True)
        names: dict[str, str] = {}
        added, updated = [], []
        for speaker in named.speakers:
            spoken = airtime[speaker.label][0]
            if spoken < SHORTEST or not usable(speaker.embedding):
                continue
            voice = self._find(speaker.name) if speaker.name else None
            if voice is not None:
                prints = voice.prints.get(bundle.sha256)
                like = spoken >= ENOUGH if prints is None else prints.similarity(unit(speaker.embedding)) >= SIMILAR
                if not like and voice.name not in confirmed:
                    continue  # shown under this name by mistake: such a print would spoil the voice
                updated.append(voice.name)
            elif spoken < ENOUGH or not (speaker.name or numbered):
                continue
            else:
                name = checked_name(speaker.name) if speaker.name else self._number()
                voice = Voice(name, id_number(name) > 0, {})
                added.append(voice.name)
            self._add(voice, speaker.embedding, bundle, spoken)
            names[speaker.label] = voice.name
        return Learned(names, tuple(added), tuple(updated))

    # -- the people's rights ---------------------------------------------------------------------------------

    def rename(self, name: str, new: str, *, merge: bool = False) -> None:
        """Call a voice something else. merge: where that name exists both become one voice; else ConfigError."""
        voice, new = self._known(name), checked_name(new)
        other = self._find(new) if new != voice.name else None
        if other is not None and not merge:
            raise ConfigError(f"there is a voice called {new!r} already; merge the two, or choose another name")
        renamed = replace(voice, name=new, numbered=False)
        self._write(renamed if other is None else together(replace(other, numbered=False), renamed))
        if new != voice.name:
            self._remove(voice.name)

    def forget(self, name: str) -> None:
        """Delete a voice. Copies in exports and backups are not touched."""
        self._remove(self._known(name).name)

    def export(self, path: str | os.PathLike[str], names: Iterable[str] | None = None) -> list[str]:
        """Write voices, all without `names`, to one JSON file that its owner alone can read; the names written."""
        chosen = self.all() if names is None else [self._known(name) for name in names]
        document = {"format": ARCHIVE, "version": VERSION, "voices": [plain(voice) for voice in chosen]}
        write_bytes_atomically(path, (json.dumps(document, indent=1) + "\n").encode(), private=True)
        return [voice.name for voice in chosen]

    def import_(self, path: str | os.PathLike[str]) -> dict[str, str]:
        """Take over what `export` wrote: name there -> name here.

        A name that exists here gets the prints as well; an id that exists here gets another number, unless it is
        the same voice. Raises FormatError for anything that is no export.
        """
        document = read_json(Path(path))
        listed = document.get("voices") if document.get("format") == ARCHIVE else None
        if not isinstance(listed, list) or document.get("version") != VERSION:
            raise FormatError(f"{path} holds no exported voices; give a file written by `voices export`")
        given: dict[str, str] = {}
        for voice in [voice_of(item, str(path)) for item in listed]:
            here = self._find(voice.name)
            if voice.numbered and here is not None and not share_a_print(here, voice):
                here, name = None, self._number()
            else:
                name = voice.name
            if voice.numbered:
                self._count(name)
            self._write(together(here, voice) if here is not None else replace(voice, name=name))
            given[voice.name] = name
        return given

    # -- files -----------------------------------------------------------------------------------------------

    def _path(self, name: str) -> Path:
        """Names hold anything; files are called by a hash."""
        return self.directory / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}{SUFFIX}"

    def _find(self, name: str) -> Voice | None:
        path = self._path(unicodedata.normalize("NFC", name).strip())
        return read_voice(path) if path.exists() else None

    def _known(self, name: str) -> Voice:
        voice = self._find(name)
        if voice is None:
            raise ConfigError(f"no voice is called {name!r}; there are: {', '.join(self.names()) or 'none'}")
        return voice

    def _add(self, voice: Voice, embedding: ArrayLike | None, bundle: Bundled, seconds: float) -> None:
        if not usable(embedding):
            raise ConfigError("a voice print is a list of finite numbers, not all 0")
        new = Prototype(unit(embedding), float(seconds))
        prints = voice.prints.get(bundle.sha256)
        if prints is None:
            prints = Prints(bundle.name, (new,))
        elif prints.prototypes[0].embedding.shape != new.embedding.shape:
            raise ConfigError(f"a voice print of {bundle.name} has {len(prints.prototypes[0].embedding)} numbers")
        else:
            prints = prints.with_print(new)
        self._write(replace(voice, prints={**voice.prints, bundle.sha256: prints}))

    def _write(self, voice: Voice) -> None:
        self._make_room()
        document = {"format": KIND, "version": VERSION, **plain(voice)}
        write_bytes_atomically(self._path(voice.name), (json.dumps(document) + "\n").encode(), private=True)

    def _make_room(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder of voices {self.directory}: {error.strerror}") from error

    def _remove(self, name: str) -> None:
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot delete the voice {name!r}: {error.strerror}") from error

    def _number(self) -> str:
        """A lasting id that was never given before, even to a voice that was forgotten."""
        last = max([self._last(), *(id_number(voice.name) for voice in self.all())])
        name = f"V{last + 1:04d}"
        self._count(name)
        return name

    def _last(self) -> int:
        path = self.directory / COUNTER
        last = read_json(path).get("last") if path.exists() else 0
        return last if isinstance(last, int) else 0

    def _count(self, name: str) -> None:
        self._make_room()
        last = max(self._last(), id_number(name))
        write_bytes_atomically(self.directory / COUNTER, json.dumps({"last": last}).encode(), private=True)


def default_directory() -> Path:
    """Where voices are kept when nothing else is asked: the user's own data folder."""
    from platformdirs import user_data_path

    return user_data_path("speakrs-stream", appauthor=False) / "voices"


def read_voice(path: Path) -> Voice:
    """One file of a store; FormatError that names it where it is damaged."""
    document = read_json(path)
    if document.get("format") != KIND or document.get("version") != VERSION:
        raise FormatError(f"{path} is no voice that this version reads; delete it or import it again")
    return voice_of(document, str(path))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file; FormatError where there is none."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise FormatError(f"{path} is larger than any file of voices")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}; check the name and its permissions") from error
    except (ValueError, RecursionError):
        raise FormatError(f"{path} is damaged: not JSON; delete it or import it again") from None
    if not isinstance(document, dict):
        raise FormatError(f"{path} is damaged: not a JSON object; delete it or import it again")
    return document
