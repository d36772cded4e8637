"""Open anything that holds sound, read it in pieces, and say what is wrong with it (soundfile, libsndfile)."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from speakrs_stream.audio.container import Container, describe, inspect
from speakrs_stream.audio.source import AudioSource
from speakrs_stream.errors import BadFormat

UNKNOWN: Final = 2**62
"""Frame counts from here on mean that the file does not say how long it is."""

PIECE = 2**18
"""Values decoded at once, all channels together."""

SKIPS: Final = (4_608, 16_384, 65_536)
"""Frames of a FLAC file left out behind a damaged place, tried in turn: more than one usual block, and more."""

MOST_REPAIRS: Final = 100
"""Damaged places that are skipped in one file; a file with more is read up to there."""

READ_ERRORS = (soundfile.SoundFileError, OSError, RuntimeError, ValueError, TypeError, AssertionError)
"""What soundfile raises for a damaged file, depending on where the damage lies."""


class AudioFile(AudioSource):
    """A sound file; made by `open_audio`."""

    def __init__(
        self, name: str, file: BinaryIO, opener: Callable[[], soundfile.SoundFile], kind: Container, channel: int | None
    ) -> None:
        """opener: opens `file` for decoding, again after damage; kind: what the header says."""
        self._opener = opener
        self._sound = opener()
        self._file = file
        self._container = kind
        frames = int(self._sound.frames)
        known = frames if 0 <= frames < UNKNOWN else None
        super().__init__(name, int(self._sound.samplerate), int(self._sound.channels), known, channel)

    def close(self) -> None:
        """Close the file; harmless when it is closed already."""
        self._sound.close()
        self._file.close()

    def __enter__(self) -> AudioFile:
        return self

    def _read(self) -> Iterator[NDArray[np.float32]]:
        if self._file.closed:
            raise BadFormat(f"{self.name} was closed; open it again to read it")
        if self._container.missing:
            there = self._file.seek(0, os.SEEK_END)
            lost = self._container.missing / there * (self.duration or 0.0)
            self._notes.append(f"the file is cut short: about {lost:.1f} s that its header promises are not there")
        try:
            self._sound.seek(0)
        except READ_ERRORS as error:
            raise self._unreadable(error) from error
        buffer = np.empty((max(1, PIECE // self.channels), self.channels), np.float32)
        at = lost = repairs = 0
        while True:
            count, stopped = self._decode(buffer)
            if count:
                at += count
                yield buffer[:count].copy()
            elif at == 0 and stopped:
                raise self._unreadable(stopped) from stopped
            elif at == 0:
                raise BadFormat(f"{self.name} holds no sound: there is a header and nothing behind it; record it again")
            if count and not stopped:
                continue
            gap = self._skip_damage(at, buffer) if repairs < MOST_REPAIRS else 0
            if not gap:
                break
            repairs, lost, at = repairs + 1, lost + gap, at + gap
            yield np.zeros((gap, self.channels), np.float32)
        self._judge(at, lost)

    def _decode(self, buffer: NDArray[np.float32]) -> tuple[int, BaseException | None]:
        """Fill `buffer` from where the file stands; returns how far, and what stopped it."""
        # Decoding stops with an error where a file is damaged, and what came before it in the same piece is
        # already in the buffer: the not-numbers that are left of the filling tell how much that was.
        buffer.fill(np.nan)
        try:
            return len(self._sound.read(dtype="float32", always_2d=True, out=buffer)), None
        except READ_ERRORS as error:
            written = np.flatnonzero(~np.isnan(buffer).all(axis=1))
            return int(written[-1]) + 1 if len(written) else 0, error

    def _skip_damage(self, at: int, buffer: NDArray[np.float32]) -> int:
        """Stand behind the damage that stopped decoding at frame `at`; frames left out, 0 when there is no way on."""
        if self.frames is None or self._container.kind != "FLAC":  # in a damaged MP3 positions are guesses
            return 0
        for gap in SKIPS:
            if at + gap >= self.frames:
                break
            try:
                self._sound.close()
                self._sound = self._opener()
                self._sound.seek(at + gap)
            except (BadFormat, *READ_ERRORS):
                continue
            if self._decode(buffer[:1024])[0]:
                self._sound.seek(at + gap)
                return gap
        return 0

    def _judge(self, decoded: int, lost: int) -> None:
        """Note when there was less than the file promised."""
        if lost:
            self._notes.append(f"the file is damaged: {lost / self.sample_rate:.1f} s of it count as silence")
        if self.frames is None:
            return  # a stream written without a length ends where decoding ends, sometimes with an error
        missing = (self.frames - decoded) / self.sample_rate
        # The length of an MP3 is an estimate unless its encoder left a table.
        tolerance = 0.5 + 0.02 * self.frames / self.sample_rate if self._container.kind == "MP3" else 0.0
        if missing > tolerance:
            self._notes.append(
                f"the file is damaged or cut short: {decoded / self.sample_rate:.1f} of "
                f"{self.frames / self.sample_rate:.1f} s could be decoded"
            )

    def _unreadable(self, error: BaseException) -> BadFormat:
        return BadFormat(f"{self.name} cannot be decoded: {_reason(error)}; the file is damaged, get it again")


def open_audio(source: str | os.PathLike[str] | BinaryIO, *, channel: int | None = None) -> AudioFile:
    """Open a recording: WAV, FLAC, OGG, MP3, AIFF and what else libsndfile reads, of any rate from 4 to 384 kHz.

    source: a path, or a binary file object that can be rewound (it is closed along with the result)
    channel: the one channel to use, counted from 0; None averages all
    Raises BadFormat, with what to do, for everything that is no usable sound file; ConfigError for a channel
    that does not exist. WAV files whose writer could not go back to fill in the length are read to their end.
    """
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        file = cast(BinaryIO, _open(name))
    else:
        name, file = str(getattr(source, "name", "the stream")), source
    try:
        view, container = _viewed(file, name)
        return AudioFile(name, file, lambda: _sound(view, file, name, container), container, channel)
    except BaseException:
        file.close()
        raise


def _open(name: str) -> io.FileIO:
    """The file itself, refusing what is no regular file before reading could block."""
    try:
        found = os.stat(name)
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise BadFormat(f"{name}: there is no such file; check the name and the folder") from error
        reason = getattr(error, "strerror", None) or str(error)
        raise BadFormat(f"{name} cannot be opened: {reason}") from error
    if stat.S_ISDIR(found.st_mode):
        raise BadFormat(f"{name} is a directory; name the sound files in it")
    if not stat.S_ISREG(found.st_mode):
        raise BadFormat(f"{name} is a pipe or a device, not a file; save the sound to a file first")
    try:
        return Path(name).open("rb", buffering=0)
    except PermissionError as error:
        raise BadFormat(f"{name} cannot be opened: you have no permission to read it") from error
    except OSError as error:
        raise BadFormat(f"{name} cannot be opened: {error.strerror or error}") from error


def _viewed(file: BinaryIO, name: str) -> tuple[View, Container]:
    """The file with its header repaired where needed, and what the header says."""
    view = View(file)
    try:
        size = file.seek(0, os.SEEK_END)
        container = inspect(view, size)
    except (OSError, ValueError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadFormat(f"{name} cannot be read: {reason}") from error
    if size == 0:
        raise BadFormat(f"{name} is empty (0 bytes); the recording or the download did not finish")
    view.replace_header(container.header, container.body)
    return view, container


def _sound(view: View, file: BinaryIO, name: str, container: Container) -> soundfile.SoundFile:
    """Open for decoding; raises BadFormat that says what the file seems to be."""
    try:
        if container.header or os.name == "nt" or not isinstance(file, io.FileIO):
            view.seek(0)
            return soundfile.SoundFile(view)
        # A descriptor rather than a name: libsndfile guesses raw formats from suffixes, and would take any
        # text that is called `.vox` for sound.
        file.seek(0)
        return soundfile.SoundFile(file.fileno(), closefd=False)
    except READ_ERRORS as error:
        raise BadFormat(f"{name} {describe(view, container)} ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    """What libsndfile says, without its full stop."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return str(text).strip().rstrip(".") or type(error).__name__


class View(io.RawIOBase):
    """A file as the decoder sees it: with another header where needed, and read errors turned into its end."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._at = 0
        self._header = b""
        self._body = 0

    def replace_header(self, header: bytes, body: int) -> None:
        """From now on show `header` instead of the first `body` bytes; start over."""
        self._header, self._body, self._at = header, body, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence)
        if base is None:
            base = self._file.seek(0, os.SEEK_END) - self._body + len(self._header)
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes from here; none at the end, and none where the disk or network fails."""
        data = self._header[self._at :][: size if size >= 0 else None]
        try:
            if len(data) != size:
                self._file.seek(self._at + len(data) - len(self._header) + self._body)
                data += self._file.read(size - len(data) if size >= 0 else -1)
        except (OSError, OverflowError):
            pass
        self._at += len(data)
        return data

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` as far as there is anything, and return how far."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
