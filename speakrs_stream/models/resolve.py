"""From what people write to an opened bundle: a name, a directory, or nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from speakrs_stream.errors import BundleNotFound, ModelError
from speakrs_stream.models import hub
from speakrs_stream.models.bundle import ModelBundle, place, read_manifest
from speakrs_stream.models.hub import COMMUNITY, OnProgress
from speakrs_stream.models.manifest import FileRecord

EMBEDDED, EMBEDDED_FAST = "embedded", "embedded-fast"
VARIABLE = "SPEAKRS_MODELS_DIR"
"""Environment variable that names the bundle to use when nothing else is asked: a directory."""

EMBEDDED_DIRECTORY = Path(__file__).parent / "embedded"
SHIPPED = {EMBEDDED: EMBEDDED_DIRECTORY, EMBEDDED_FAST: EMBEDDED_DIRECTORY / "fast.json"}
"""Name of a bundle in the wheel -> its folder, or its manifest in one."""
NAMES = (*SHIPPED, COMMUNITY.name)
"""Every bundle that has a name."""


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """One bundle that can be named, whether it is here or not."""

    name: str
    """Name to ask for it with."""
    where: Path
    """Where its files are, or will be."""
    present: bool
    """Whether its files are here."""
    bytes: int
    """Length of its files; what a download takes where it is not here."""
    licences: tuple[str, ...]
    """What it may be used under, and by whom it was made."""
    description: str
    """One sentence; what is wrong where it is here but cannot be used."""
    default: bool
    """Whether it is used when nothing else is asked."""


def resolve(
    name: str | Path | None = None, *, download: bool = True, progress: OnProgress | None = None
) -> ModelBundle:
    """The bundle of a name or a directory, opened and checked.

    name: "embedded", "embedded-fast", "community-1", a directory or a manifest in one, or None for
        $SPEAKRS_MODELS_DIR, or else "embedded"
    download: whether "community-1" may be downloaded when it is not here
    progress: told how far the download is

    Raises BundleNotFound for an unknown name (it lists those there are), BundleCorrupt for a damaged bundle,
    DownloadFailed where the hub does not deliver.
    """
    if name is None:
        name = os.environ.get(VARIABLE) or EMBEDDED
    if isinstance(name, str) and name in SHIPPED:
        return ModelBundle.open(SHIPPED[name])
    if isinstance(name, str) and name == COMMUNITY.name:
        return hub.fetch(COMMUNITY, progress=progress) if download else hub.open_cached(COMMUNITY)
    directory = Path(name).expanduser()
    if not directory.exists() and isinstance(name, str) and os.sep not in name and "/" not in name:
        raise BundleNotFound(f"unknown model bundle {name!r}; there are {', '.join(NAMES)}, or the path of a directory")
    return ModelBundle.open(directory)


def download(name: str, *, progress: OnProgress | None = None) -> ModelBundle:
    """Make sure that a bundle is here and whole; what is damaged or missing of a downloaded one is fetched again."""
    if name == COMMUNITY.name:
        return hub.fetch(COMMUNITY, progress=progress, repair=True)
    return resolve(name)


def verify(name: str | Path | None = None) -> list[FileRecord]:
    """Compare every file of a bundle with its hash; the files checked. Never downloads. Raises as `resolve`."""
    return list(resolve(name, download=False).files.values())


def path(name: str | Path | None = None) -> Path:
    """Directory of a bundle, which must be here. Never downloads. Raises as `resolve`."""
    return resolve(name, download=False).directory


def list_bundles() -> list[BundleEntry]:
    """Every bundle that has a name here: those of the wheel, community-1, that of $SPEAKRS_MODELS_DIR if it is set."""
    chosen = os.environ.get(VARIABLE)
    entries = [_entry(name, where, default=name == (chosen or EMBEDDED)) for name, where in SHIPPED.items()]
    cached = hub.cache_directory(COMMUNITY)
    if cached.is_dir():
        entries.append(_entry(COMMUNITY.name, cached, default=chosen == COMMUNITY.name))
    else:
        entries.append(
            BundleEntry(
                COMMUNITY.name,
                cached,
                False,
                COMMUNITY.bytes,
                COMMUNITY.licences,
                f"{COMMUNITY.description}; not downloaded",
                chosen == COMMUNITY.name,
            )
        )
    if chosen and chosen not in NAMES:
        entries.append(_entry(chosen, Path(chosen).expanduser(), default=True))
    return entries


def _entry(name: str, directory: Path, *, default: bool) -> BundleEntry:
    try:
        manifest = read_manifest(*place(directory))
    except (ModelError, OSError) as error:
        return BundleEntry(name, directory, False, 0, (), str(error), default)
    size = sum(record.bytes for record in manifest.files.values())
    return BundleEntry(name, directory, True, size, manifest.licences, manifest.description, default)
