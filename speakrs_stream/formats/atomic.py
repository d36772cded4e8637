"""A file appears whole or not at all: write beside it, flush to the disk, rename over it."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from speakrs_stream.errors import OutputError


def write_text_atomically(path: str | os.PathLike[str], text: str) -> Path:
    """Write `text` as UTF-8, line ends as they are; see `write_bytes_atomically`."""
    # A file name that was not UTF-8 reaches us with lone surrogates: they are written as \udcXX.
    return write_bytes_atomically(path, text.encode("utf-8", errors="backslashreplace"))


def write_bytes_atomically(
    path: str | os.PathLike[str], data: bytes, *, private: bool = False, flush: bool = True
) -> Path:
    """Write a file whole or not at all, and return its path.

    private: only its owner may read it, from the first byte on and whatever it was before; else it keeps its rights
    flush: wait until it survives a power cut; without, such a cut may leave it empty or torn

    What was there before stays until the new content is whole. A link is followed; a pipe or a
    device (`/dev/stdout`) is written to directly. Raises OutputError that says why and leaves nothing behind.
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise OutputError(f"cannot write {target}: it is a directory; give the name of a file")
        if target.exists() and not target.is_file():
            with open(target, "wb") as stream:
                stream.write(data)
            return target
        _replace(Path(os.path.realpath(target)), data, private, flush)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"cannot write {target}: {reason}; {_way_out(error, target)}") from error
    return target


def _replace(target: Path, data: bytes, private: bool, flush: bool) -> None:
    """The three steps; the file beside is removed when one of them fails."""
    beside = target.with_name(f".{target.name[:100]}.{os.getpid()}-{os.urandom(4).hex()}.partial")
    mode = 0o600 if private else 0o666
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            if flush:
                stream.flush()
                os.fsync(stream.fileno())
        if not private:
            with contextlib.suppress(FileNotFoundError):
                os.chmod(beside, stat.S_IMODE(target.stat().st_mode))
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    if flush:
        _flush_directory(target.parent)


def _flush_directory(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system can."""
    with contextlib.suppress(OSError):  # Windows opens no directories; some network disks refuse the flush
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _way_out(error: Exception, target: Path) -> str:
    """What to do about it."""
    if isinstance(error, FileNotFoundError):
        return f"create the folder {target.parent} first or write elsewhere"
    if isinstance(error, PermissionError):
        return "choose a place you may write to"
    return "choose another place or make room; nothing was left half written"
