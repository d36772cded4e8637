"""Manifests are read strictly: every refusal names the place."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.errors import BundleCorrupt
from speakrs_stream.models.manifest import Manifest, NetworkFile, TrunkSpec, inside, parse
from tests.models import small

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A manifest without fault."""
    return small.manifest(small.write(tmp_path_factory.mktemp("sound")))


def multimask(data: dict[str, Any], inputs: Sequence[str] = ("fbank", "masks")) -> None:
    """Make the embedding one of kind `multimask`."""
    embedding = data["embedding"]
    del embedding["trunk"], embedding["head"]
    embedding |= {"kind": "multimask", "multimask": {"file": "trunk.onnx", "inputs": list(inputs), "batch": 1}}


def test_reads_every_field(sound: dict[str, Any]) -> None:
    manifest = parse(sound)
    assert (manifest.name, manifest.version, manifest.default_step) == ("small", "1", 16000)
    assert manifest.segmentation.file == "segmentation.onnx"
    assert manifest.embedding.kind == "split"
    assert manifest.embedding.fbank.normalization == "none"
    trunk, head = manifest.embedding.trunk, manifest.embedding.head
    assert trunk and head and manifest.embedding.multimask is None
    assert (trunk.stride, trunk.offset, trunk.receptive_field, trunk.padded) == (4, 4, 9, False)
    assert [network.file for network in manifest.networks] == ["segmentation.onnx", "trunk.onnx", "head.onnx"]
    assert manifest.clustering["Fa"] == 0.07
    assert manifest.files["trunk.onnx"].licence == "Apache-2.0"
    assert manifest.licences == ("Apache-2.0",)


def test_reads_multimask_and_variants(sound: dict[str, Any]) -> None:
    data = copy.deepcopy(sound)
    multimask(data)
    data["segmentation"]["variants"] = [{"file": "head.onnx", "batch": 32}]
    manifest = parse(data)
    assert manifest.embedding.multimask and manifest.embedding.multimask.main.batch == 1
    assert manifest.segmentation.variants[0].batch == 32
    assert len(manifest.networks) == 3


def test_counts_features() -> None:
    main = NetworkFile("trunk.onnx")
    padded = TrunkSpec(main=main, channels=4, stride=8, offset=0, receptive_field=225, padded=True)
    valid = TrunkSpec(main=main, channels=4, stride=8, offset=112, receptive_field=225)
    assert padded.feature_count(998) == 125
    assert valid.feature_count(998) == (998 - 225) // 8 + 1
    assert valid.feature_count(224) == 0


WRONG: dict[str, tuple[Change, str]] = {
    "format of the future": (lambda d: d.update(format=2), "format 2.*update speakrs-stream"),
    "format of the past": (lambda d: d.update(format=0), "format 0.*newer bundle"),
    "format missing": (lambda d: d.pop("format"), "'format' is missing"),
    "format a text": (lambda d: d.update(format="1"), "'format' is '1'"),
    "format true": (lambda d: d.update(format=True), "'format' is True"),
    "rate": (lambda d: d.update(sample_rate=8000), "'sample_rate' is 8000, expected 16000"),
    "window": (lambda d: d.update(window=1), "'window' is 1, expected 160000"),
    "name missing": (lambda d: d.pop("name"), "'name' is missing"),
    "name empty": (lambda d: d.update(name=""), "'name'"),
    "name a number": (lambda d: d.update(name=3), "'name' is 3, expected a text"),
    "step zero": (lambda d: d.update(default_step=0), "'default_step' is 0"),
    "step broken": (lambda d: d.update(default_step=1.5), "'default_step' is 1.5"),
    "segmentation missing": (lambda d: d.pop("segmentation"), "'segmentation' is missing"),
    "segmentation a list": (lambda d: d.update(segmentation=[]), "'segmentation' is a list, expected an object"),
    "frames": (lambda d: d["segmentation"].update(frames=590), "segmentation: 'frames' is 590, expected 589"),
    "typo": (lambda d: d["segmentation"].update(bach=1), "segmentation: unknown field 'bach'"),
    "batch zero": (lambda d: d["segmentation"].update(batch=0), "segmentation: 'batch' is 0"),
    "variant without batch": (
        lambda d: d["segmentation"].update(variants=[{"file": "head.onnx"}]),
        r"segmentation: variants\[0\]: 'batch' is missing",
    ),
    "kind": (lambda d: d["embedding"].update(kind="both"), "embedding: 'kind' is 'both', expected one of split, multi"),
    "mels": (lambda d: d["embedding"]["fbank"].update(mels=64), "fbank: 'mels' is 64, expected 80"),
    "normalization": (lambda d: d["embedding"]["fbank"].update(normalization="x"), "fbank: 'normalization' is 'x'"),
    "window mean of a shared trunk": (
        lambda d: d["embedding"]["fbank"].update(normalization="window_mean"),
        "cannot use a window's mean",
    ),
    "head missing": (lambda d: d["embedding"].pop("head"), "embedding: 'head' is missing"),
    "stride": (lambda d: d["embedding"]["trunk"].update(stride=8), "trunk: 'stride' is 8, expected a divisor of 100"),
    "offset": (lambda d: d["embedding"]["trunk"].update(offset=3), "trunk: 'offset' is 3"),
    "padded with offset": (lambda d: d["embedding"]["trunk"].update(padded=True), "trunk: 'offset' is 4, expected 0"),
    "padded a number": (lambda d: d["embedding"]["trunk"].update(padded=1), "trunk: 'padded' is 1"),
    "dimension": (lambda d: d["embedding"].update(dimension="8"), "embedding: 'dimension' is '8'"),
    "one input": (
        lambda d: multimask(d, ["fbank"]),
        "'inputs' is a list, expected the names of two inputs",
    ),
    "table missing": (lambda d: d["plda"].pop("psi"), "plda: 'psi' is missing"),
    "table unknown": (lambda d: d["plda"].update(phi="x.npy"), "plda: unknown field 'phi'"),
    "clustering unknown": (lambda d: d["clustering"].update(fa=1), "clustering: unknown clustering settings fa"),
    "clustering a text": (lambda d: d["clustering"].update(Fa="much"), "clustering: 'Fa' is 'much'"),
    "clustering impossible": (lambda d: d["clustering"].update(Fa=-1), "clustering: Fa must be above 0"),
    "not listed": (lambda d: d["files"].pop("trunk.onnx"), "'trunk.onnx' is used, but not listed"),
    "hash short": (lambda d: d["files"]["trunk.onnx"].update(sha256="ab"), "trunk.onnx: 'sha256' is 'ab'"),
    "bytes negative": (lambda d: d["files"]["trunk.onnx"].update(bytes=-1), "trunk.onnx: 'bytes' is -1"),
    "lists itself": (lambda d: d["files"].update({"manifest.json": {}}), "'manifest.json'"),
    "licences a text": (lambda d: d.update(licences="MIT"), "'licences' is 'MIT', expected a list"),
    "licences numbers": (lambda d: d.update(licences=[1]), "'licences' is a list, expected a list of texts"),
}


@pytest.mark.parametrize("case", WRONG)
def test_refuses(sound: dict[str, Any], case: str) -> None:
    change, message = WRONG[case]
    data = copy.deepcopy(sound)
    change(data)
    with pytest.raises(BundleCorrupt, match=message) as caught:
        parse(data, "somewhere/manifest.json")
    assert str(caught.value).startswith("somewhere/manifest.json")


@pytest.mark.parametrize("value", [None, [], "x", 3, True])
def test_refuses_what_is_no_object(value: object) -> None:
    with pytest.raises(BundleCorrupt, match="expected an object"):
        parse(value)


@pytest.mark.parametrize(
    "name",
    [
        "../x.onnx",
        "/etc/passwd",
        "a/../../x",
        "..",
        ".",
        "",
        "a\\..\\x",
        "C:x",
        "C:/x",
        "~/x",
        "a//b",
        "./a",
        "a/",
        "\0",
    ],
)
def test_names_cannot_leave_the_bundle(sound: dict[str, Any], name: str) -> None:
    assert not inside(name)
    for place in ("segmentation", "files"):
        data = copy.deepcopy(sound)
        if place == "files":
            data["files"][name] = data["files"]["trunk.onnx"]
        else:
            data["segmentation"]["file"] = name
        with pytest.raises(BundleCorrupt):
            parse(data)


@pytest.mark.parametrize("name", ["a.onnx", "sub/a.onnx", "a..b", "..a", "Ä.npy"])
def test_names_inside_are_fine(name: str) -> None:
    assert inside(name)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_change_is_read_or_refused(sound: dict[str, Any], data: st.DataObject) -> None:
    changed = copy.deepcopy(sound)
    place: Any = changed
    while isinstance(place, dict) and place:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or data.draw(st.booleans()):
            values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
            place[key] = data.draw(values | st.lists(values, max_size=2) | st.dictionaries(st.text(max_size=3), values))
            break
        place = place[key]
    try:
        assert isinstance(parse(changed), Manifest)
    except BundleCorrupt as error:
        assert str(error)


def test_directory_fixture_is_whole(sound: dict[str, Any], tmp_path: Path) -> None:
    assert set(sound["files"]) == {path.name for path in small.write(tmp_path / "b").iterdir()} - {"manifest.json"}
