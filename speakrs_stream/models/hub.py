"""Bundles downloaded from a Hugging Face hub once, checked, and used from the cache ever after.

The only file of this package that reaches the network. What huggingface_hub knows is left to it: addresses, tokens,
proxies, redirects, offline mode, file metadata. The bytes are streamed here, because its own downloads begin at zero
again when the program is started anew.

A download grows in a directory `….partial`, which nothing loads from. When every file has been compared with the
hub's hash, a manifest is written beside them and the directory renamed, so a bundle is there whole or not at all.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from speakrs_stream import __version__
from speakrs_stream.errors import BundleCorrupt, BundleNotFound, DownloadFailed, MissingExtra, ModelError
from speakrs_stream.models import community
from speakrs_stream.models.bundle import ModelBundle, file_sha256
from speakrs_stream.models.external import external_files
from speakrs_stream.models.manifest import MANIFEST

CACHE_VARIABLE = "SPEAKRS_CACHE_DIR"
"""Environment variable that names the directory downloads are kept in."""

ENDPOINT_VARIABLE = "HF_ENDPOINT"


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far a download is."""

    file: str
    """File at work."""
    completed: int
    """Bytes of the whole bundle that are here."""
    total: int
    """Bytes of the whole bundle, as far as is known yet."""


OnProgress = Callable[[DownloadProgress], None]
"""Told how far a download is; may raise to stop it, what is here is kept."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on when a connection breaks."""

    retries: int = 5
    """Attempts in a row that may bring nothing before giving up."""
    pause: float = 1.0
    """Seconds before the first new attempt; doubles with each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubBundle:
    """A bundle on a hub."""

    name: str
    """Name to ask for it with."""
    repository: str
    """Owner and name of the model repository."""
    revision: str
    """Commit, so that everybody gets the same files."""
    files: tuple[str, ...]
    """Files it takes; files that networks keep weights in are found out."""
    optional: tuple[str, ...] = ()
    """Files that are taken where they exist."""
    pins: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """File -> begin and end of its SHA-256, compared when it comes from one of `pinned_hosts`."""
    pinned_hosts: tuple[str, ...] = ("huggingface.co", "hf.co")
    """Hosts that must have the very files this version was made for; a mirror may hold another export."""
    bytes: int
    """About how much a download takes."""
    description: str
    """One sentence."""
    licences: tuple[str, ...]
    """What it may be used under, and by whom it was made."""


COMMUNITY = HubBundle(
    name="community-1",
    repository="avencera/speakrs-models",
    revision="67f963b6a1d94fcd4678948237b3cc8bd69bf1d8",
    files=(
        f"{community.SEGMENTATION}.onnx",
        f"{community.MULTIMASK}.onnx",
        *community.PLDA_FILES.values(),
    ),
    optional=(community.MIN_SAMPLES,),
    pins={f"{community.SEGMENTATION}.onnx": ("038b9717", "8ad9")},
    bytes=33_000_000,
    description="pyannote community-1: PyanNet segmentation, ResNet34 embeddings, PLDA and VBx",
    licences=(community.CREDIT,),
)


def cache_root() -> Path:
    """Where bundles are kept: in $SPEAKRS_CACHE_DIR or the user's cache directory."""
    root = os.environ.get(CACHE_VARIABLE)
    if root:
        return Path(root).expanduser() / "models"
    from platformdirs import user_cache_path

    return user_cache_path("speakrs-stream", appauthor=False) / "models"


def cache_directory(source: HubBundle) -> Path:
    """Where a bundle is, or will be, once downloaded."""
    return cache_root() / f"{source.name}-{source.revision[:12]}"


def open_cached(source: HubBundle) -> ModelBundle:
    """A bundle that was downloaded earlier; nothing is fetched.

    Raises BundleNotFound where it was not, BundleCorrupt where it is damaged.
    """
    directory = cache_directory(source)
    again = f"run: speakrs-stream models download {source.name}"
    if not (directory / MANIFEST).is_file():
        raise BundleNotFound(f"{source.name} is not downloaded (looked in {directory}); {again}")
    try:
        return ModelBundle.open(directory)
    except BundleNotFound as error:
        raise BundleNotFound(f"{error}; {again}") from error
    except BundleCorrupt as error:
        raise BundleCorrupt(f"{error}; {again}") from error


def fetch(
    source: HubBundle = COMMUNITY,
    *,
    endpoint: str | None = None,
    progress: OnProgress | None = None,
    repair: bool = False,
    patience: Patience | None = None,
) -> ModelBundle:
    """The bundle from the cache, downloaded first where it is not there.

    endpoint: address of the hub; None for $HF_ENDPOINT or the public one
    progress: told how far the download is
    repair: fetch what is missing or damaged of an earlier download, instead of refusing it

    Raises MissingExtra without huggingface_hub, DownloadFailed where the hub does not deliver, BundleCorrupt for an
    earlier download that is damaged.
    """
    directory = cache_directory(source)
    if directory.is_dir():
        try:
            return open_cached(source)
        except ModelError:
            if not repair:
                raise
    hub = _Hub(source, endpoint, progress or (lambda _: None), patience or Patience())
    with _writing(directory), _locked(directory.with_name(directory.name + ".lock")):
        try:
            return open_cached(source)  # somebody else was faster
        except ModelError:
            return _download(hub, directory)


def _download(hub: _Hub, directory: Path) -> ModelBundle:
    source = hub.source
    partial = directory.with_name(directory.name + ".partial")
    if directory.is_dir():  # damaged: what is good of it is used again
        if partial.is_dir():
            shutil.rmtree(partial)
        directory.rename(partial)
    partial.mkdir(parents=True, exist_ok=True)
    (partial / MANIFEST).unlink(missing_ok=True)
    hub.collect([*source.files, *source.optional], partial)
    for network in [name for name in source.files if name.endswith(".onnx")]:
        beside = [name for name in external_files(partial, network) if name not in source.files]
        hub.collect(beside, partial)
    origin = f"https://huggingface.co/{source.repository}/resolve/{source.revision}"
    data = community.manifest_data(partial, source.name, version=source.revision[:12], source=origin)
    for leftover in partial.rglob("*.part"):
        leftover.unlink()
    with (partial / MANIFEST).open("w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    ModelBundle.open(partial)
    partial.rename(directory)
    return ModelBundle.open(directory)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one process and thread at a time; the others wait."""
    from filelock import FileLock  # comes with huggingface_hub

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DownloadFailed(
                f"no space left in {directory.parent}; make room, or set {CACHE_VARIABLE} to a directory that has some "
                "(what is here already is kept)"
            ) from error
        raise DownloadFailed(
            f"{directory.parent} cannot be written to ({error}); set {CACHE_VARIABLE} to a directory that can"
        ) from error


@dataclass(frozen=True, slots=True)
class _Remote:
    """A file as the hub describes it."""

    name: str
    url: str
    etag: str
    size: int | None

    def matches(self, path: Path) -> bool:
        """Whether a file here has the size and hash the hub says."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return False
        if re.fullmatch(r"[0-9a-f]{64}", self.etag):  # large files
            return file_sha256(path) == self.etag
        if re.fullmatch(r"[0-9a-f]{40}", self.etag):  # small ones: Git's object name; some mirrors send plain SHA-1
            content = path.read_bytes()
            bodies = (b"blob %d\0" % size + content, content)
            return self.etag in [hashlib.sha1(body, usedforsecurity=False).hexdigest() for body in bodies]
        return True  # a mirror with names of its own


class _Broken(Exception):
    """A connection broke, or the hub was busy; worth another attempt."""


class _Hub:
    """One download from one hub."""

    def __init__(self, source: HubBundle, endpoint: str | None, progress: OnProgress, patience: Patience) -> None:
        try:
            import huggingface_hub
        except ImportError as error:
            raise MissingExtra("huggingface_hub", "hub", f"downloading {source.name}") from error
        self.source = source
        chosen = endpoint or os.environ.get(ENDPOINT_VARIABLE) or huggingface_hub.constants.ENDPOINT
        self.endpoint = chosen.rstrip("/")
        self._progress = progress
        self._patience = patience
        self._completed = 0
        self._total = 0

    # -- files -----------------------------------------------------------------------------------------------

    def collect(self, names: list[str], directory: Path) -> None:
        """Fetch files into a directory; those that are there and as the hub has them are kept."""
        remotes = [remote for name in names if (remote := self._describe(name))]
        self._total += sum(remote.size or 0 for remote in remotes)
        here = sum(path.stat().st_size for path in directory.iterdir())
        _check_room(directory, self._total - here)
        for remote in remotes:
            self._one(remote, directory)

    def _one(self, remote: _Remote, directory: Path) -> None:
        path = directory / remote.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and remote.matches(path):
            self._advance(remote, path.stat().st_size)
            return
        path.unlink(missing_ok=True)
        # the hash is part of the name, so that another revision's bytes are never continued
        mark = hashlib.sha256(remote.etag.encode()).hexdigest()[:12]
        part = directory / f"{remote.name}.{mark}.part"
        self._fill(remote, part)
        if not remote.matches(part):
            size = part.stat().st_size
            part.unlink()
            raise DownloadFailed(
                f"{remote.name} from {self.endpoint} is not what the hub announced "
                f"({size} bytes of {remote.size}, hash differs from {remote.etag[:16]}…); it was thrown away, try again"
            )
        self._check_pin(remote, part)
        part.replace(path)

    def _check_pin(self, remote: _Remote, part: Path) -> None:
        if remote.name not in self.source.pins or urlsplit(self.endpoint).hostname not in self.source.pinned_hosts:
            return
        begin, end = self.source.pins[remote.name]
        digest = file_sha256(part)
        if not (digest.startswith(begin) and digest.endswith(end)):
            part.unlink()
            raise DownloadFailed(
                f"{remote.name} from {self.endpoint} has SHA-256 {digest[:8]}…{digest[-4:]}, this version of "
                f"speakrs-stream was made for {begin}…{end}; it was thrown away, update speakrs-stream"
            )

    def _advance(self, remote: _Remote, count: int) -> None:
        self._completed += count
        self._progress(DownloadProgress(remote.name, self._completed, max(self._total, self._completed)))

    # -- requests --------------------------------------------------------------------------------------------

    def _describe(self, name: str) -> _Remote | None:
        """Ask for a file's hash and size; None for an optional file that does not exist."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(self.source.repository, name, revision=self.source.revision, endpoint=self.endpoint)
        try:
            with self._errors(name):
                found = get_hf_file_metadata(
                    url, endpoint=self.endpoint, library_name="speakrs-stream", library_version=__version__
                )
        except _Absent as error:
            if name in self.source.optional:
                return None
            raise DownloadFailed(str(error)) from error
        except _Broken as error:
            raise DownloadFailed(str(error)) from error
        if not found.etag:
            raise DownloadFailed(
                f"{self.endpoint} sends no ETag for {name}, so it could not be checked; is it a Hugging Face hub?"
            )
        if found.commit_hash not in (None, self.source.revision):
            raise DownloadFailed(
                f"{self.endpoint} has {name} at commit {found.commit_hash}, not at {self.source.revision}; check "
                f"{ENDPOINT_VARIABLE}"
            )
        return _Remote(name, url, found.etag, found.size)

    def _fill(self, remote: _Remote, part: Path) -> None:
        """Stream a file, from where an earlier attempt ended; a broken connection is taken up again."""
        if part.is_file():
            self._advance(remote, part.stat().st_size)
        failures = 0
        while True:
            before = part.stat().st_size if part.is_file() else 0
            if remote.size is not None and before == remote.size and part.is_file():
                return
            try:
                self._stream(remote, part, before)
                return
            except _Absent as error:
                raise DownloadFailed(str(error)) from error
            except _Broken as error:
                arrived = part.is_file() and part.stat().st_size > before
                failures = 0 if arrived else failures + 1
                if failures > self._patience.retries:
                    raise DownloadFailed(f"{error} (what is here already is kept and will be continued)") from error
                time.sleep(self._patience.pause * 2 ** max(0, failures - 1))

    def _stream(self, remote: _Remote, part: Path, offset: int) -> None:
        from huggingface_hub import get_session
        from huggingface_hub.constants import HF_HUB_DOWNLOAD_TIMEOUT
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        headers = build_hf_headers(library_name="speakrs-stream", library_version=__version__)
        headers["Accept-Encoding"] = "identity"
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with (
            self._errors(remote.name),
            get_session().stream("GET", remote.url, headers=headers, timeout=HF_HUB_DOWNLOAD_TIMEOUT) as response,
        ):
            self._check_status(response.status_code, remote.name)
            resumed = response.status_code == 206 and _begins_at(response.headers.get("Content-Range", ""), offset)
            if offset and not resumed:  # the server starts over, or has nothing from there on
                self._advance(remote, -offset)
                part.unlink()
                if response.status_code != 200:
                    raise _Broken(f"{self.endpoint} cannot continue {remote.name}")
            with part.open("ab") as file:
                for chunk in response.iter_bytes():  # as they come: chunks of one size would be lost when it breaks
                    file.write(chunk)
                    self._advance(remote, len(chunk))
                file.flush()
                os.fsync(file.fileno())
        if remote.size is not None and part.stat().st_size < remote.size:
            raise _Broken(f"the connection to {self.endpoint} ended in the middle of {remote.name}")

    def _check_status(self, status: int, name: str) -> None:
        """Refuse an answer that is not the file."""
        if status in (200, 206, 416):
            return
        where = f"{self.source.repository} on {self.endpoint}"
        if status in (401, 403):
            raise DownloadFailed(
                f"no access to {name} of {where} (HTTP {status}); if it is private or gated, accept its terms there "
                "and set HF_TOKEN to your token"
            )
        if status == 404:
            raise _Absent(
                f"{name} is not in {where} at revision {self.source.revision[:12]} (HTTP 404); check "
                f"{ENDPOINT_VARIABLE}"
            )
        if status in (408, 429) or status >= 500:
            raise _Broken(f"{where} is busy or broken (HTTP {status} for {name}); try again later")
        raise DownloadFailed(f"{where} answered HTTP {status} for {name}; check {ENDPOINT_VARIABLE}")

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Errors of huggingface_hub and its HTTP library as ours."""
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        # the base of its HTTP library's errors, whichever that is: httpx up to 1.x, httpx2 from 2.0 on
        transport: Any = HfHubHTTPError.__bases__[0]
        try:
            yield
        except (DownloadFailed, _Absent, _Broken):
            raise
        except OfflineModeIsEnabled as error:
            raise DownloadFailed(
                f"{self.source.name} is not downloaded and HF_HUB_OFFLINE is set; unset it, or copy "
                f"{cache_directory(self.source)} from a machine that has it"
            ) from error
        except HfHubHTTPError as error:
            self._check_status(_status(error), name)
            raise DownloadFailed(f"{self.endpoint} gave an answer for {name} that makes no sense: {error}") from error
        except (transport, ConnectionError, TimeoutError) as error:
            raise _Broken(
                f"{self.endpoint} cannot be reached ({type(error).__name__}: {error}); check the network and the proxy "
                f"(HTTPS_PROXY), or set {ENDPOINT_VARIABLE} to a mirror"
            ) from error


class _Absent(Exception):
    """The hub does not have the file."""


def _status(error: Any) -> int:
    response = getattr(error, "response", None)
    return int(response.status_code) if response is not None else 0


def _begins_at(content_range: str, offset: int) -> bool:
    return content_range.startswith(f"bytes {offset}-")


def _check_room(directory: Path, needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise DownloadFailed(
            f"the download needs {needed / 1e6:.0f} MB more, {directory.parent} has {free / 1e6:.0f} MB free; make "
            f"room, or set {CACHE_VARIABLE} to a directory that has some"
        )
