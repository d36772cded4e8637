"""`manifest.json`: what is in a bundle, as typed values.

A manifest states every file with its SHA-256, every network with its inputs, outputs and shapes, the filter bank the
embedding network wants, the PLDA tables and the clustering defaults. Reading is strict: whatever is missing, unknown
or of another type is refused with the place it stands at. `docs/models.md` describes each field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any, Literal

from speakrs_stream.core.config import ClusteringConfig
from speakrs_stream.core.grid import FRAME_FIELD, FRAME_STEP, FRAMES_PER_WINDOW, SAMPLE_RATE, WINDOW
from speakrs_stream.errors import BundleCorrupt, ConfigError

FORMAT = 1
"""Number of the manifest format this version reads and writes."""

MANIFEST = "manifest.json"
LOCAL_SPEAKERS = 3
MAX_SIMULTANEOUS = 2
MELS = 80
FBANK_PER_SECOND = 100
PLDA_TABLES = ("mean1", "lda", "mean2", "mu", "tr", "psi")

Kind = Literal["split", "multimask"]
Normalization = Literal["none", "window_mean"]


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a bundle."""

    name: str
    """Path relative to the manifest, with forward slashes."""
    sha256: str
    """Hash of its content, 64 hexadecimal digits."""
    bytes: int
    """Length of its content."""
    licence: str = ""
    """SPDX name of what it may be used under."""
    source: str = ""
    """Where it came from."""


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """An ONNX file and the batch size it was exported with."""

    file: str
    """Path relative to the manifest."""
    batch: int | None = None
    """Items of one inference; None where any number is possible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationSpec:
    """The network that says who of three local speakers is active in each frame of a window."""

    main: NetworkFile
    """The network."""
    variants: tuple[NetworkFile, ...] = ()
    """The same network with other fixed batch sizes."""
    input: str = "input"
    """Name of the input, float32 (B, 1, samples)."""
    output: str = "output"
    """Name of the output, float32 (B, frames, 7), log-probabilities."""

    @property
    def file(self) -> str:
        """Path of the network relative to the manifest."""
        return self.main.file


@dataclass(frozen=True, slots=True, kw_only=True)
class FbankSpec:
    """Filter-bank features the embedding network takes."""

    mels: int = MELS
    """Mel bands."""
    normalization: Normalization = "none"
    """What is done to them before the network: nothing, or the window's mean subtracted per band."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSpec:
    """A padded trunk as a network that carries on from where it stopped, so that it takes new audio only."""

    main: NetworkFile
    """The network: `fbank` (B, T, 80) and `context` (B, S) to `result` (B, T / stride * C + S), float32."""
    context: int
    """Numbers it hands on, S."""
    delay: int
    """Features by which it is late: the first is the one `delay` before the input's first frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkSpec:
    """The convolutional part of a split embedding network."""

    main: NetworkFile
    """The network."""
    channels: int
    """Numbers in one feature, C."""
    stride: int
    """Filter-bank frames between two features."""
    offset: int
    """Filter-bank frame on which the first feature is centred."""
    receptive_field: int
    """Filter-bank frames one feature sees."""
    padded: bool = False
    """Whether zeros are put around its input, so that T frames give ceil(T / stride) features."""
    input: str = "fbank"
    """Name of the input, float32 (B, T, 80)."""
    output: str = "features"
    """Name of the output, float32 (B, T', C)."""
    flow: FlowSpec | None = None
    """The same convolutions over new audio only; only of a padded trunk."""

    @property
    def file(self) -> str:
        """Path of the network relative to the manifest."""
        return self.main.file

    def feature_count(self, fbank_frames: int) -> int:
        """Features that `fbank_frames` filter-bank frames give."""
        if self.padded:
            return -(-fbank_frames // self.stride)
        return max(0, (fbank_frames - self.receptive_field) // self.stride + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSpec:
    """The last layer of a split embedding network."""

    main: NetworkFile
    """The network."""
    input: str = "statistics"
    """Name of the input, float32 (B, 2C): weighted mean, then weighted deviation."""
    output: str = "embedding"
    """Name of the output, float32 (B, D)."""

    @property
    def file(self) -> str:
        """Path of the network relative to the manifest."""
        return self.main.file


@dataclass(frozen=True, slots=True, kw_only=True)
class MultimaskSpec:
    """A whole embedding network that pools one trunk pass under three masks."""

    main: NetworkFile
    """The network."""
    variants: tuple[NetworkFile, ...] = ()
    """The same network with other fixed batch sizes."""
    inputs: tuple[str, str] = ("fbank", "masks")
    """Names of the inputs, float32 (B, 998, 80) and (3B, 589)."""
    output: str = "output"
    """Name of the output, float32 (3B, D), window by window."""

    @property
    def file(self) -> str:
        """Path of the network relative to the manifest."""
        return self.main.file


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingSpec:
    """The network that makes a vector of each local speaker's voice."""

    kind: Kind
    """`split`: trunk and head, pooled in between by the caller; `multimask`: one network."""
    dimension: int
    """Numbers in one embedding, D."""
    fbank: FbankSpec
    """Features it takes."""
    trunk: TrunkSpec | None = None
    """Only of kind `split`."""
    head: HeadSpec | None = None
    """Only of kind `split`."""
    multimask: MultimaskSpec | None = None
    """Only of kind `multimask`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that has been read and found sound in itself; the files are checked by `ModelBundle`."""

    name: str
    """Short name of the bundle."""
    version: str
    """Version of the bundle, for people."""
    description: str
    """One sentence, for people."""
    default_step: int
    """Samples between windows when nothing else is asked."""
    segmentation: SegmentationSpec
    """The segmentation network."""
    embedding: EmbeddingSpec
    """The embedding network."""
    plda: Mapping[str, str]
    """Table -> file, for mean1, lda, mean2, mu, tr, psi."""
    clustering: Mapping[str, float]
    """Settings of `ClusteringConfig` that go with these networks."""
    files: Mapping[str, FileRecord]
    """Every file of the bundle but the manifest, by name."""
    licences: tuple[str, ...]
    """What the bundle may be used under, and by whom it was made."""

    @property
    def networks(self) -> tuple[NetworkFile, ...]:
        """Every network file named."""
        embedding = self.embedding
        found = [self.segmentation.main, *self.segmentation.variants]
        if embedding.trunk and embedding.head:
            found += [embedding.trunk.main, embedding.head.main]
            found += [embedding.trunk.flow.main] if embedding.trunk.flow else []
        if embedding.multimask:
            found += [embedding.multimask.main, *embedding.multimask.variants]
        return tuple(found)


class Fields:
    """Typed access to one JSON object; every refusal names the place and what was expected there.

    Close with `done()`, which refuses fields nobody asked for.
    """

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, dict):
            raise BundleCorrupt(f"{where}: expected an object, found {_kind(data)}; {_REMEDY}")
        self._data: dict[str, Any] = data
        self._seen: set[str] = set()
        self.where = where

    def _get(self, name: str, expected: str, types: type | tuple[type, ...], *default: Any) -> Any:
        self._seen.add(name)
        if name not in self._data:
            if default:
                return default[0]
            raise BundleCorrupt(f"{self.where}: {name!r} is missing, expected {expected}; {_REMEDY}")
        value = self._data[name]
        if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
            raise self.wrong(name, expected)
        return value

    def wrong(self, name: str, expected: str) -> BundleCorrupt:
        """The refusal of a field."""
        return BundleCorrupt(f"{self.where}: {name!r} is {_kind(self._data[name])}, expected {expected}; {_REMEDY}")

    def text(self, name: str, *default: str) -> str:
        """A string; not empty unless `default` is."""
        value: str = self._get(name, "a text", str, *default)
        if not value and "" not in default:
            raise self.wrong(name, "a text that is not empty")
        return value

    def choice(self, name: str, options: tuple[str, ...]) -> str:
        """One of a few strings."""
        expected = "one of " + ", ".join(options)
        value: str = self._get(name, expected, str)
        if value not in options:
            raise self.wrong(name, expected)
        return value

    def whole(self, name: str, low: int = 1) -> int:
        """An integer of at least `low`."""
        value: int = self._get(name, f"a whole number of at least {low}", int)
        if value < low:
            raise self.wrong(name, f"a whole number of at least {low}")
        return value

    def exactly(self, name: str, value: int) -> None:
        """The one integer this version works with."""
        if self._get(name, str(value), int) != value:
            raise self.wrong(name, str(value))

    def flag(self, name: str, default: bool) -> bool:
        """True or false; `default` where it is not given."""
        return bool(self._get(name, "true or false", bool, default))

    def batch(self) -> int | None:
        """`batch`: a size, or null (or absent) for any."""
        value = self._get("batch", "a batch size or null", (int, type(None)), None)
        if value is not None and value < 1:
            raise self.wrong("batch", "a batch size or null")
        return None if value is None else int(value)

    def path(self, name: str) -> str:
        """A file name inside the bundle."""
        value = self.text(name)
        if not inside(value):
            raise self.wrong(name, "the name of a file inside the bundle")
        return value

    def nested(self, name: str) -> Fields:
        """An object."""
        return Fields(self._get(name, "an object", dict), f"{self.where}: {name}")

    def every(self, name: str, *default: list[Any]) -> list[Any]:
        """A list of anything."""
        return list(self._get(name, "a list", list, *default))

    def names(self) -> list[str]:
        """Names of all fields."""
        return list(self._data)

    def number(self, name: str) -> float:
        """A number."""
        return float(self._get(name, "a number", (int, float)))

    def done(self) -> None:
        """Refuse fields that were not asked for: a mistyped one would change results without a word."""
        unknown = sorted(set(self._data) - self._seen)
        if unknown:
            raise BundleCorrupt(f"{self.where}: unknown field {', '.join(map(repr, unknown))}; {_REMEDY}")


_REMEDY = "get the bundle again, or mend its manifest.json"


def _kind(value: object) -> str:
    shown = {dict: "an object", list: "a list", type(None): "null"}.get(type(value))
    return shown or repr(value)[:80]


def inside(name: str) -> bool:
    """Whether a file name stays inside the directory it is relative to, on every system."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    return (
        bool(posix.parts)
        and "\\" not in name
        and not name.startswith("~")
        and "\0" not in name
        and not posix.is_absolute()
        and not windows.drive
        and not windows.root
        and ".." not in posix.parts
        and str(posix) == name
    )


def parse(data: object, where: str = MANIFEST) -> Manifest:
    """Read a manifest's JSON value.

    where: what to call it in messages
    Raises BundleCorrupt for anything that is not as format 1 has it.
    """
    fields = Fields(data, where)
    number = fields._get("format", f"the format number {FORMAT}", int)
    if number != FORMAT:
        raise BundleCorrupt(
            f"{where}: the bundle is of format {number}, this version reads format {FORMAT}; "
            f"{'update speakrs-stream' if number > FORMAT else 'get a newer bundle'}"
        )
    fields.exactly("sample_rate", SAMPLE_RATE)
    fields.exactly("window", WINDOW)
    manifest = Manifest(
        name=fields.text("name"),
        version=fields.text("version"),
        description=fields.text("description", ""),
        default_step=fields.whole("default_step"),
        segmentation=_segmentation(fields.nested("segmentation")),
        embedding=_embedding(fields.nested("embedding")),
        plda=_plda(fields.nested("plda")),
        clustering=_clustering(fields.nested("clustering")),
        files=_files(fields.nested("files")),
        licences=tuple(_texts(fields, "licences")),
    )
    _check_listed(manifest, where)
    return manifest


def _check_listed(manifest: Manifest, where: str) -> None:
    named = [network.file for network in manifest.networks] + list(manifest.plda.values())
    for name in named:
        if name not in manifest.files:
            raise BundleCorrupt(f"{where}: {name!r} is used, but not listed under 'files' with its hash; {_REMEDY}")


def _texts(fields: Fields, name: str) -> list[str]:
    entries = fields.every(name)
    if not all(isinstance(entry, str) for entry in entries):
        raise fields.wrong(name, "a list of texts")
    return entries


def _network(fields: Fields) -> NetworkFile:
    return NetworkFile(fields.path("file"), fields.batch())


def _variants(fields: Fields) -> tuple[NetworkFile, ...]:
    found = []
    for number, entry in enumerate(fields.every("variants", [])):
        one = Fields(entry, f"{fields.where}: variants[{number}]")
        found.append(NetworkFile(one.path("file"), one.whole("batch")))
        one.done()
    return tuple(found)


def _segmentation(fields: Fields) -> SegmentationSpec:
    fields.exactly("frames", FRAMES_PER_WINDOW)
    fields.exactly("frame_step", FRAME_STEP)
    fields.exactly("receptive_field", FRAME_FIELD)
    fields.exactly("local_speakers", LOCAL_SPEAKERS)
    fields.exactly("max_simultaneous", MAX_SIMULTANEOUS)
    spec = SegmentationSpec(
        main=_network(fields),
        variants=_variants(fields),
        input=fields.text("input", "input"),
        output=fields.text("output", "output"),
    )
    fields.done()
    return spec


def _embedding(fields: Fields) -> EmbeddingSpec:
    kind = fields.choice("kind", ("split", "multimask"))
    bank = fields.nested("fbank")
    bank.exactly("mels", MELS)
    normalization = bank.choice("normalization", ("none", "window_mean"))
    bank.done()
    split = kind == "split"
    spec = EmbeddingSpec(
        kind="split" if split else "multimask",
        dimension=fields.whole("dimension", 2),
        fbank=FbankSpec(normalization="window_mean" if normalization == "window_mean" else "none"),
        trunk=_trunk(fields.nested("trunk")) if split else None,
        head=_head(fields.nested("head")) if split else None,
        multimask=None if split else _multimask(fields.nested("multimask")),
    )
    fields.done()
    trunk = spec.trunk
    if trunk and not trunk.padded and normalization == "window_mean":
        raise BundleCorrupt(
            f"{fields.where}: an unpadded trunk is shared by windows and cannot use a window's mean; {_REMEDY}"
        )
    return spec


def _trunk(fields: Fields) -> TrunkSpec:
    spec = TrunkSpec(
        main=_network(fields),
        channels=fields.whole("channels"),
        stride=fields.whole("stride"),
        offset=fields.whole("offset", 0),
        receptive_field=fields.whole("receptive_field"),
        padded=fields.flag("padded", False),
        input=fields.text("input", "fbank"),
        output=fields.text("output", "features"),
        flow=_flow(fields.nested("flow")) if "flow" in fields.names() else None,
    )
    fields.done()
    if spec.flow and not spec.padded:
        raise fields.wrong("flow", "nothing, because a trunk that does not pad is shared by windows as it is")
    if spec.padded:
        if spec.offset != 0:
            raise fields.wrong("offset", "0, because the trunk pads")
    elif FBANK_PER_SECOND % spec.stride:
        raise fields.wrong("stride", f"a divisor of {FBANK_PER_SECOND}, because the trunk does not pad")
    elif 2 * spec.offset + 1 != spec.receptive_field:
        raise fields.wrong("offset", "half of receptive_field less one, because the trunk does not pad")
    return spec


def _flow(fields: Fields) -> FlowSpec:
    spec = FlowSpec(main=_network(fields), context=fields.whole("context"), delay=fields.whole("delay", 0))
    fields.done()
    return spec


def _head(fields: Fields) -> HeadSpec:
    spec = HeadSpec(
        main=_network(fields), input=fields.text("input", "statistics"), output=fields.text("output", "embedding")
    )
    fields.done()
    return spec


def _multimask(fields: Fields) -> MultimaskSpec:
    names = fields.every("inputs", ["fbank", "masks"])
    if len(names) != 2 or not all(isinstance(name, str) and name for name in names):
        raise fields.wrong("inputs", "the names of two inputs, filter bank and masks")
    spec = MultimaskSpec(
        main=_network(fields),
        variants=_variants(fields),
        inputs=(names[0], names[1]),
        output=fields.text("output", "output"),
    )
    fields.done()
    return spec


def _plda(fields: Fields) -> Mapping[str, str]:
    tables = {name: fields.path(name) for name in PLDA_TABLES}
    fields.done()
    return MappingProxyType(tables)


def _clustering(fields: Fields) -> Mapping[str, float]:
    settings = {name: fields.number(name) for name in fields.names()}
    try:
        ClusteringConfig.from_mapping(settings)
    except ConfigError as error:
        raise BundleCorrupt(f"{fields.where}: {error}; {_REMEDY}") from error
    return MappingProxyType(settings)


def _files(fields: Fields) -> Mapping[str, FileRecord]:
    records = {}
    for name in fields.names():
        if not inside(name) or name == MANIFEST:
            raise fields.wrong(name, "under a name that stays inside the bundle")
        one = fields.nested(name)
        sha256 = one.text("sha256").lower()
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise one.wrong("sha256", "64 hexadecimal digits")
        records[name] = FileRecord(name, sha256, one.whole("bytes", 0), one.text("licence", ""), one.text("source", ""))
        one.done()
    return MappingProxyType(records)
