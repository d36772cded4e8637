"""Small rules shared by formats: safe words, clock times, and text from files of unknown encoding."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.errors import FormatError

# C0 and C1 controls (line breaks among them), line and paragraph separators, and the marks that turn the
# direction of writing around: none of them belongs in a name, and each breaks some format or its reader.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]+")


def one_line(text: str) -> str:
    """`text` without line breaks and control characters; never empty."""
    return _CONTROL.sub(" ", text).strip() or "_"


def one_word(text: str) -> str:
    """`text` with every run of blanks as one `_`, for formats whose fields are separated by blanks."""
    return "_".join(one_line(text).split()) or "_"


def unique(labels: Iterable[str], clean: Callable[[str], str]) -> dict[str, str]:
    """Label -> cleaned label, with `_2`, `_3`, … behind those that would otherwise fall together."""
    given: dict[str, str] = {}
    for label in labels:
        if label not in given:
            name, number = clean(label), 2
            while name in given.values():
                name, number = f"{clean(label)}_{number}", number + 1
            given[label] = name
    return given


def milliseconds(samples: int) -> int:
    """Samples at 16 kHz as the nearest millisecond."""
    return (samples * 1000 + SAMPLE_RATE // 2) // SAMPLE_RATE


def clock(samples: int, separator: str = ".") -> str:
    """Samples at 16 kHz as `01:02:03.450`."""
    return clock_ms(milliseconds(samples), separator)


def clock_ms(ms: int, separator: str = ".") -> str:
    """Milliseconds as `01:02:03.450`."""
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, ms = divmod(ms, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{separator}{ms:03}"


def cue_times(span: Span) -> tuple[int, int]:
    """First and last millisecond of a subtitle for a span; at least one apart, as cues of no length are invalid."""
    start = milliseconds(span.start)
    return start, max(start + 1, milliseconds(span.end))


def read_text(path: str | os.PathLike[str]) -> str:
    """A text file: UTF-8, UTF-16 with a byte order mark, or else Windows-1252; raises FormatError."""
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FormatError(f"cannot read {os.fspath(path)}: {reason}; check the name and its permissions") from error
    return decode(data, os.fspath(path))


def decode(data: bytes, name: str) -> str:
    """Bytes of a text file as text; raises FormatError, which calls the file `name`, when it is not text."""
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    if "\x00" in text:
        raise FormatError(f"{name} is not a text file; give a text file in UTF-8")
    return text
