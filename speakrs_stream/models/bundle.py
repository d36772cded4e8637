"""A bundle: a directory with networks, PLDA tables and a manifest, opened and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speakrs_stream.core.arrays import F64, frozen
from speakrs_stream.errors import BundleCorrupt, BundleNotFound, translate
from speakrs_stream.models import community
from speakrs_stream.models.external import external_files
from speakrs_stream.models.manifest import (
    MANIFEST,
    EmbeddingSpec,
    FileRecord,
    Manifest,
    NetworkFile,
    SegmentationSpec,
    parse,
)

NO_FLOW = ("flow", None)
"""A field of later versions that does not change the identity of bundles without it."""

MANIFEST_LIMIT = 1 << 22
"""Bytes a manifest has at most."""


@dataclass(frozen=True, slots=True, eq=False)
class PldaTables:
    """The whitening and PLDA tables of a bundle, float64, read-only. D: embedding, d: after the discriminants."""

    mean1: F64
    """(D,) subtracted from raw embeddings."""
    lda: F64
    """(D, d) linear discriminants."""
    mean2: F64
    """(d,) subtracted after them."""
    mu: F64
    """(d,) mean of the PLDA model."""
    tr: F64
    """(d, d) rows diagonalise both covariances."""
    psi: F64
    """(d,) between-class variances."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ModelBundle:
    """Networks, tables and defaults that belong together; every file was checked against its hash."""

    name: str
    """Short name."""
    version: str
    """Version of the bundle, for people."""
    description: str
    """One sentence, for people."""
    directory: Path
    """Where its files are."""
    default_step: int
    """Samples between windows when nothing else is asked."""
    segmentation: SegmentationSpec
    """The segmentation network."""
    embedding: EmbeddingSpec
    """The embedding network."""
    plda: PldaTables
    """The PLDA tables."""
    clustering: Mapping[str, float]
    """Settings of `ClusteringConfig` that go with these networks."""
    files: Mapping[str, FileRecord]
    """Every file but the manifest, by name."""
    licences: tuple[str, ...]
    """What it may be used under, and by whom it was made."""
    sha256: str
    """Identity: hash over what decides results (networks, tables, settings); the same on every machine."""

    @classmethod
    def open(cls, directory: str | Path) -> ModelBundle:
        """Open a directory that holds a manifest, or files in the speakrs-models layout; or one manifest of several.

        directory: a folder, or a `.json` file in one whose files are shared with other bundles

        Every file is read once and compared with its size and SHA-256.

        Raises BundleNotFound where there is no bundle or a file is missing, BundleCorrupt where something is wrong.
        """
        directory, name = place(Path(directory))
        with translate({OSError: BundleNotFound}, f"reading the model bundle in {directory}"):
            manifest = read_manifest(directory, name)
            for record in manifest.files.values():
                check_file(directory, record)
            externals = {network.file: _externals(directory, network, manifest) for network in manifest.networks}
        return cls(
            name=manifest.name,
            version=manifest.version,
            description=manifest.description,
            directory=directory,
            default_step=manifest.default_step,
            segmentation=manifest.segmentation,
            embedding=manifest.embedding,
            plda=load_plda(directory, manifest.plda, manifest.embedding.dimension),
            clustering=manifest.clustering,
            files=manifest.files,
            licences=manifest.licences,
            sha256=identity(manifest, externals),
        )

    @property
    def bytes(self) -> int:
        """Length of all files together, without the manifest."""
        return sum(record.bytes for record in self.files.values())

    def path(self, name: str) -> Path:
        """Where a file of the bundle is."""
        return self.directory / self.files[name].name

    def verify(self) -> list[FileRecord]:
        """Read every file again and compare it with its hash; the files that were checked.

        Raises BundleNotFound for a missing file, BundleCorrupt for a changed one.
        """
        with translate({OSError: BundleNotFound}, f"reading the model bundle in {self.directory}"):
            for record in self.files.values():
                check_file(self.directory, record)
        return list(self.files.values())


def place(path: Path) -> tuple[Path, str]:
    """Folder and name of a manifest."""
    return (path.parent, path.name) if path.suffix == ".json" and path.is_file() else (path, MANIFEST)


def read_manifest(directory: Path, name: str = MANIFEST) -> Manifest:
    """The manifest of a directory, or the one that a directory in the speakrs-models layout would have.

    Raises BundleNotFound or BundleCorrupt.
    """
    if not directory.is_dir():
        what = "is a file, not a directory" if directory.is_file() else "does not exist"
        raise BundleNotFound(f"no model bundle at {directory}, it {what}; `speakrs-stream models list` shows others")
    path = directory / name
    if path.is_file():
        return parse(_read_json(path), str(path))
    if not community.is_layout(directory):
        raise BundleNotFound(
            f"no model bundle in {directory}: expected {MANIFEST}, or the files of speakrs-models "
            f"({community.SEGMENTATION}.onnx, {community.MULTIMASK}.onnx, plda_*.npy)"
        )
    if absent := community.missing(directory):
        raise BundleNotFound(f"{directory} lacks {', '.join(absent)}; get the missing files of speakrs-models")
    called = directory.resolve().name or "models"
    return parse(community.manifest_data(directory, called), str(directory))


def _read_json(path: Path) -> object:
    def refuse(constant: str) -> object:
        raise ValueError(f"{constant} is not a JSON number")

    try:
        if path.stat().st_size > MANIFEST_LIMIT:
            raise BundleCorrupt(f"{path} is larger than any manifest; get the bundle again")
        return json.loads(path.read_bytes(), parse_constant=refuse)
    except (ValueError, RecursionError) as error:  # also wrong UTF-8
        raise BundleCorrupt(f"{path} is not JSON ({error}); get the bundle again") from error


def check_file(directory: Path, record: FileRecord) -> None:
    """Compare a file with its record.

    Raises BundleNotFound where it is missing, OSError where it cannot be read, BundleCorrupt where size or hash differ.
    """
    path = directory / record.name
    if not path.is_file():
        raise BundleNotFound(f"{path} is missing; get the bundle again")
    size = path.stat().st_size
    if size != record.bytes:
        raise BundleCorrupt(
            f"{path} has {size} bytes, its manifest says {record.bytes}; it is damaged, get the bundle again"
        )
    digest = file_sha256(path)
    if digest != record.sha256:
        raise BundleCorrupt(
            f"{path} has SHA-256 {digest[:16]}…, its manifest says {record.sha256[:16]}…; "
            "it is damaged or was changed, get the bundle again"
        )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _externals(directory: Path, network: NetworkFile, manifest: Manifest) -> list[str]:
    names = external_files(directory, network.file)
    for name in names:
        if name not in manifest.files:
            raise BundleCorrupt(
                f"{directory / network.file} keeps weights in {name!r}, which the manifest does not list; "
                "get the bundle again"
            )
    return names


def load_plda(directory: Path, names: Mapping[str, str], dimension: int) -> PldaTables:
    """Read the six tables, float32 or float64, as float64.

    dimension: numbers in one embedding, D
    Raises BundleCorrupt for a file that is no such array, has another shape or holds values that are not finite.
    """
    tables = {table: _load_array(directory / name) for table, name in names.items()}
    components = tables["psi"].shape[0] if tables["psi"].ndim == 1 else 0
    shapes = {
        "mean1": (dimension,),
        "lda": (dimension, components),
        "mean2": (components,),
        "mu": (components,),
        "tr": (components, components),
        "psi": (components,),
    }
    for table, shape in shapes.items():
        if tables[table].shape != shape or not components:
            raise BundleCorrupt(
                f"{directory / names[table]} has shape {tables[table].shape}, expected {shape}, because embeddings "
                f"have {dimension} numbers and psi has {components}; get the bundle again"
            )
    if not (tables["psi"] > 0).all():
        raise BundleCorrupt(f"{directory / names['psi']} has a variance that is not above 0; get the bundle again")
    return PldaTables(**tables)


def _load_array(path: Path) -> F64:
    try:
        # mapped, so that a header that promises terabytes allocates nothing
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, OverflowError) as error:
        raise BundleCorrupt(f"{path} is not a NumPy array ({error}); get the bundle again") from error
    if not isinstance(stored, np.ndarray) or stored.dtype.kind != "f" or stored.dtype.itemsize < 4:
        kind = stored.dtype if isinstance(stored, np.ndarray) else "an archive"
        raise BundleCorrupt(f"{path} holds {kind}, expected float32 or float64; get the bundle again")
    table: F64 = np.array(stored, np.float64, order="C")
    if not np.isfinite(table).all():
        raise BundleCorrupt(f"{path} holds values that are not finite; get the bundle again")
    return frozen(table)


def identity(manifest: Manifest, externals: Mapping[str, list[str]]) -> str:
    """SHA-256 over what decides a bundle's results, in a canonical form.

    Files count by content, not by name; names, descriptions, licences and further batch sizes do not count.
    externals: network file -> files it keeps weights in
    """

    def content(name: str) -> list[str]:
        return [manifest.files[one].sha256 for one in [name, *externals.get(name, [])]]

    def plain(spec: SegmentationSpec | EmbeddingSpec) -> dict[str, Any]:
        return {key: known(value) for key, value in asdict(spec).items() if key != "variants"}

    def known(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if set(value) == {"file", "batch"}:
            return content(value["file"])
        return {key: known(entry) for key, entry in value.items() if key != "variants" and (key, entry) != NO_FLOW}

    decisive = {
        "default_step": manifest.default_step,
        "segmentation": plain(manifest.segmentation),
        "embedding": plain(manifest.embedding),
        "plda": {table: content(name) for table, name in manifest.plda.items()},
        "clustering": dict(manifest.clustering),
    }
    text = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
