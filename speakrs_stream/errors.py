"""Everything this package raises on purpose, as one tree.

SpeakrsError
├── ConfigError                   a setting is impossible
├── MissingExtra                  an optional package is not installed
├── AudioError                    the sound cannot be used
│   ├── WrongRate                 sample rate differs from what was announced
│   ├── BadFormat                 not audio, damaged, or a layout we refuse to guess
│   └── DeviceLost                the microphone went away
├── ModelError                    the networks cannot be used
│   ├── BundleNotFound            no such bundle, directory or file
│   ├── BundleCorrupt             a hash, shape or manifest field is wrong
│   ├── DownloadFailed            the hub could not be reached or sent something else
│   ├── BackendUnavailable        the runtime or device asked for is not there
│   └── OutOfMemory               the device has no room for a batch; smaller ones are tried first
├── SessionError                  a stream is used in a way that cannot work
│   ├── SessionFinished           push after finish
│   └── SnapshotMismatch          saved by another bundle, configuration or version, or damaged
├── FormatError                   a transcript, RTTM or archive that cannot be read
├── OutputError                   a result cannot be written
├── QueueError                    a background queue cannot take a job or finish it
│   ├── QueueFull                 no room, and the caller did not want to wait
│   ├── QueueClosed               a job was handed to a queue that is closed
│   └── WorkerDied                the thread that worked on a job is gone
└── Cancelled                     the caller asked to stop

Each message says what is wrong and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class SpeakrsError(Exception):
    """Base of everything raised on purpose."""


class ConfigError(SpeakrsError, ValueError):
    """A setting is impossible; the message names it and its allowed range."""


class MissingExtra(SpeakrsError, ImportError):
    """An optional package is needed and absent."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}; run: pip install 'speakrs-stream[{extra}]'")
        self.package = package
        self.extra = extra


class AudioError(SpeakrsError):
    """The sound cannot be used."""


class WrongRate(AudioError):
    """Samples came at another rate than announced."""

    def __init__(self, *, got: int, want: int) -> None:
        super().__init__(f"audio is {got} Hz, this stream was opened at {want} Hz; resample it or open a new stream")
        self.got = got
        self.want = want


class BadFormat(AudioError):
    """Not audio, damaged, or in a layout that is not accepted."""


class DeviceLost(AudioError):
    """The microphone went away."""


class ModelError(SpeakrsError):
    """The networks cannot be used."""


class BundleNotFound(ModelError):
    """No such bundle, directory or file."""


class BundleCorrupt(ModelError):
    """A hash, a shape or a manifest field is wrong."""


class DownloadFailed(ModelError):
    """The hub could not be reached, or what it sent is not what was asked for."""


class BackendUnavailable(ModelError):
    """The runtime or the device asked for is not there."""


class OutOfMemory(ModelError):
    """The device has no room for a batch."""


class SessionError(SpeakrsError):
    """A stream is used in a way that cannot work."""


class SessionFinished(SessionError):
    """Audio was pushed after `finish()`."""


class SnapshotMismatch(SessionError):
    """A snapshot was made by another bundle, configuration or version, or is damaged."""


class FormatError(SpeakrsError):
    """A transcript, RTTM or archive that cannot be read."""


class OutputError(SpeakrsError):
    """A result cannot be written."""


class QueueError(SpeakrsError):
    """A background queue cannot take a job or finish it."""


class QueueFull(QueueError):
    """As many jobs wait as the queue holds; wait, or submit with `block=True`."""


class QueueClosed(QueueError):
    """A job was handed to a queue that is closed."""


class WorkerDied(QueueError):
    """The thread that worked on a job is gone; the job was not finished."""


class Cancelled(SpeakrsError):
    """The caller asked to stop."""


@contextmanager
def translate(table: Mapping[type[BaseException], type[SpeakrsError]], doing: str) -> Iterator[None]:
    """Turn foreign exceptions into ours at a border: `with translate({OSError: AudioError}, "reading x.wav")`."""
    try:
        yield
    except SpeakrsError:
        raise
    except tuple(table) as error:
        for theirs, ours in table.items():
            if isinstance(error, theirs):
                raise ours(f"{doing}: {error}") from error
        raise
