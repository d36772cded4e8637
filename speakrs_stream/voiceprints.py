"""What is known of one person's voice: prints, how alike they are, their means, and all of it as JSON. Pure.

A print is biometric data: nothing here shows one in a message or a representation.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speakrs_stream.errors import ConfigError, FormatError
from speakrs_stream.formats.text import one_line

F32 = NDArray[np.float32]

MOST_PROTOTYPES = 8
"""Prints kept of one voice for one bundle; beyond, the two most alike become one."""

ALIKE = 0.8
"""Cosine similarity from which a new print goes into the mean of an old one instead of standing beside it."""

EQUAL = 1 - 1e-5
"""Cosine similarity from which two prints are one."""

MOST_SECONDS = 600.0
"""Seconds a print's mean weighs at most, so that it follows a voice that changes."""

LONGEST_NAME = 100
"""Characters."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Prototype:
    """One way a voice sounds."""

    embedding: F32
    """(D,) of length 1, read-only; biometric data."""

    seconds: float
    """Speech it is the mean of."""


@dataclass(frozen=True, slots=True, repr=False)
class Prints:
    """A voice as one bundle hears it."""

    bundle: str
    """The bundle's name, for messages."""

    prototypes: tuple[Prototype, ...]
    """One or more."""

    @property
    def mean(self) -> F32:
        """(D,) of length 1: all prototypes, by seconds."""
        rows = np.stack([p.embedding * min(p.seconds, MOST_SECONDS) for p in self.prototypes])
        return unit(rows.sum(axis=0))

    def similarity(self, embedding: F32) -> float:
        """Largest cosine similarity of an embedding (D,) of length 1 to a prototype."""
        return max(float(p.embedding @ embedding) for p in self.prototypes)

    def with_print(self, new: Prototype) -> Prints:
        """With one more print: taken into the mean of the prototype it is alike, or beside them."""
        score = [float(p.embedding @ new.embedding) for p in self.prototypes]
        nearest = int(np.argmax(score))
        if score[nearest] < ALIKE and len(self.prototypes) < MOST_PROTOTYPES:
            return replace(self, prototypes=(*self.prototypes, new))
        everybody = [*self.prototypes, new]
        first, second = nearest, len(everybody) - 1
        if score[nearest] < ALIKE:
            rows = np.stack([p.embedding for p in everybody])
            pairs = np.triu(rows @ rows.T, 1) - 2 * np.tri(len(rows))
            first, second = (int(i) for i in np.unravel_index(int(pairs.argmax()), pairs.shape))
        one = merged(everybody[first], everybody[second])
        kept = [p for index, p in enumerate(everybody) if index not in (first, second)]
        return replace(self, prototypes=(*kept, one))


@dataclass(frozen=True, slots=True, repr=False)
class Voice:
    """A person in the store."""

    name: str
    """Name given by people, or a lasting id such as V0001."""

    numbered: bool
    """Whether the name is an id that the store gave."""

    prints: Mapping[str, Prints]
    """Identity of a bundle -> the voice as that bundle hears it."""

    @property
    def seconds(self) -> float:
        """Speech that is known of the voice."""
        return max((sum(p.seconds for p in known.prototypes) for known in self.prints.values()), default=0.0)


def checked_name(name: str) -> str:
    """A name in its normal form; ConfigError for one that is empty, too long or not a line of text."""
    normal = unicodedata.normalize("NFC", name).strip()
    if not normal or len(normal) > LONGEST_NAME or one_line(normal) != normal:
        raise ConfigError(f"a voice's name is one line of 1 to {LONGEST_NAME} characters")
    return normal


def id_number(name: str) -> int:
    """12 for V0012; 0 for a name that is no id."""
    found = re.fullmatch(r"V(\d{4,9})", name)
    return int(found.group(1)) if found else 0


def usable(embedding: ArrayLike | None) -> bool:
    """Whether an embedding can be compared: (D,), finite, not all 0."""
    values = np.asarray(embedding if embedding is not None else (), np.float64)
    return values.ndim == 1 and len(values) > 0 and bool(np.isfinite(values).all()) and bool(values.any())


def unit(embedding: ArrayLike | None) -> F32:
    """(D,) float32 of length 1, read-only."""
    values = np.asarray(embedding, np.float64)
    out = np.asarray(values / np.linalg.norm(values), np.float32)
    out.setflags(write=False)
    return out


def merged(first: Prototype, second: Prototype) -> Prototype:
    """The mean of two prints by seconds, the older ones counted up to a limit."""
    one, two = min(first.seconds, MOST_SECONDS), min(second.seconds, MOST_SECONDS)
    mixed = first.embedding * np.float32(max(one, 1e-3)) + second.embedding * np.float32(max(two, 1e-3))
    return Prototype(unit(mixed if mixed.any() else first.embedding), first.seconds + second.seconds)


def together(first: Voice, second: Voice) -> Voice:
    """`first` with the prints of `second`; equal ones are taken once."""
    prints = dict(first.prints)
    for identity, theirs in second.prints.items():
        ours = prints.get(identity)
        if ours is None:
            prints[identity] = theirs
            continue
        for prototype in theirs.prototypes:
            if (
                prototype.embedding.shape == ours.prototypes[0].embedding.shape
                and ours.similarity(prototype.embedding) < EQUAL
            ):
                ours = ours.with_print(prototype)
        prints[identity] = ours
    return replace(first, prints=prints)


def share_a_print(first: Voice, second: Voice) -> bool:
    """Whether two voices were the same once: some print of one is a print of the other."""
    return any(
        prints.similarity(prototype.embedding) >= EQUAL
        for identity, prints in first.prints.items()
        if identity in second.prints
        for prototype in second.prints[identity].prototypes
        if prototype.embedding.shape == prints.prototypes[0].embedding.shape
    )


def plain(voice: Voice) -> dict[str, Any]:
    """A voice as JSON values; prints as base64 of little-endian float32."""
    return {
        "name": voice.name,
        "numbered": voice.numbered,
        "bundles": {
            identity: {
                "bundle": prints.bundle,
                "prototypes": [
                    {
                        "seconds": round(p.seconds, 3),
                        "embedding": base64.b64encode(p.embedding.astype("<f4").tobytes()).decode("ascii"),
                    }
                    for p in prints.prototypes
                ],
            }
            for identity, prints in voice.prints.items()
        },
    }


def voice_of(value: Any, where: str) -> Voice:
    """The voice that `plain` wrote; FormatError, which names the file and never shows a print."""
    try:
        prints = {}
        for identity, known in value["bundles"].items():
            prototypes = tuple(_prototype(item) for item in known["prototypes"])
            if len({p.embedding.shape for p in prototypes}) != 1:
                raise ValueError
            prints[str(identity)] = Prints(str(known["bundle"]), prototypes)
        return Voice(checked_name(value["name"]), bool(value["numbered"]), prints)
    except (KeyError, TypeError, ValueError, AttributeError):  # ConfigError is a ValueError
        message = f"{where} is damaged: it holds no voice as this program writes it; delete it or import it again"
        raise FormatError(message) from None


def _prototype(item: Any) -> Prototype:
    embedding = np.frombuffer(base64.b64decode(item["embedding"], validate=True), "<f4")
    seconds = float(item["seconds"])
    if not usable(embedding) or not 0 <= seconds < 1e9:
        raise ValueError
    return Prototype(unit(embedding), seconds)
