"""Opening bundles: what is damaged is refused at once, with the file's name and what to do."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.errors import BundleCorrupt, BundleNotFound, ModelError
from speakrs_stream.models import community
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.external import external_files
from tests.models import small
from training import community_shapes


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound bundle that no test changes."""
    return small.write(tmp_path_factory.mktemp("bundles") / "original")


@pytest.fixture
def directory(original: Path, tmp_path: Path) -> Path:
    """A sound bundle of one's own."""
    return Path(shutil.copytree(original, tmp_path / "bundle"))


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in the speakrs-models layout that no test changes."""
    return community_shapes.write(tmp_path_factory.mktemp("layouts") / "plain", width=2)


def edit(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a bundle's manifest."""
    data = json.loads((directory / "manifest.json").read_text())
    change(data)
    small.write_manifest(directory, data)


def test_opens(original: Path) -> None:
    bundle = ModelBundle.open(str(original))
    assert bundle.name == "small"
    assert bundle.path("trunk.onnx") == original / "trunk.onnx"
    assert bundle.bytes == sum(p.stat().st_size for p in original.iterdir() if p.name != "manifest.json")
    assert bundle.embedding.dimension == small.DIMENSION
    for name, values in small.tables().items():
        table = getattr(bundle.plda, name)
        assert table.dtype == np.float64 and not table.flags.writeable
        np.testing.assert_array_equal(table, values)
    assert {record.name for record in bundle.verify()} == set(bundle.files)


def test_identity_is_of_the_content(original: Path, directory: Path) -> None:
    same = ModelBundle.open(original).sha256
    assert len(same) == 64
    edit(directory, lambda d: d.update(name="other", description="", licences=["MIT"], version="9"))
    (directory / "trunk.onnx").rename(directory / "t.onnx")
    edit(directory, lambda d: d["files"].update({"t.onnx": d["files"].pop("trunk.onnx")}))
    edit(directory, lambda d: d["embedding"]["trunk"].update(file="t.onnx"))
    assert ModelBundle.open(directory).sha256 == same
    edit(directory, lambda d: d["clustering"].update(Fa=0.08))
    changed = ModelBundle.open(directory).sha256
    assert changed != same
    np.save(directory / "plda_mu.npy", np.ones(small.COMPONENTS))
    fresh = small.manifest(directory)["files"]["plda_mu.npy"]
    edit(directory, lambda d: d["files"].update({"plda_mu.npy": fresh}))
    assert ModelBundle.open(directory).sha256 not in (same, changed)


def test_identity_stays_what_it_was(tmp_path: Path) -> None:
    """Snapshots carry it: another value here means that old snapshots are refused."""
    directory = tmp_path / "fixed"
    directory.mkdir()
    for name in ("segmentation.onnx", "trunk.onnx", "head.onnx"):
        (directory / name).write_bytes(name.encode())
    for name, values in small.tables().items():
        np.save(directory / f"plda_{name}.npy", np.ones_like(values, np.float64))
    small.write_manifest(directory)
    expected = "837ec69544b6"
    assert ModelBundle.open(directory).sha256[:12] == expected


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match=r"nothing, it does not exist; .*models list"):
        ModelBundle.open(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(BundleNotFound, match="is a file, not a directory"):
        ModelBundle.open(tmp_path / "file")
    with pytest.raises(BundleNotFound, match=r"expected manifest\.json"):
        ModelBundle.open(tmp_path)


def test_missing_file(directory: Path) -> None:
    bundle = ModelBundle.open(directory)
    (directory / "head.onnx").unlink()
    with pytest.raises(BundleNotFound, match=r"head\.onnx is missing; get the bundle again"):
        ModelBundle.open(directory)
    with pytest.raises(BundleNotFound, match=r"head\.onnx is missing"):
        bundle.verify()


def test_changed_file(directory: Path) -> None:
    bundle = ModelBundle.open(directory)
    content = bytearray((directory / "head.onnx").read_bytes())
    content[-1] ^= 1
    (directory / "head.onnx").write_bytes(content)
    with pytest.raises(BundleCorrupt, match=r"head\.onnx has SHA-256 .* damaged or was changed, get the bundle again"):
        ModelBundle.open(directory)
    with pytest.raises(BundleCorrupt, match=r"head\.onnx"):
        bundle.verify()


def test_shortened_file(directory: Path) -> None:
    os.truncate(directory / "trunk.onnx", 10)
    with pytest.raises(BundleCorrupt, match=r"trunk\.onnx has 10 bytes, its manifest says"):
        ModelBundle.open(directory)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"format": NaN}', b"[" * 100_000, b"null"])
def test_manifest_that_is_no_json(directory: Path, content: bytes) -> None:
    (directory / "manifest.json").write_bytes(content)
    with pytest.raises(BundleCorrupt, match=r"manifest\.json"):
        ModelBundle.open(directory)


def test_endless_manifest(directory: Path) -> None:
    os.truncate(directory / "manifest.json", 1 << 30)
    with pytest.raises(BundleCorrupt, match="larger than any manifest"):
        ModelBundle.open(directory)


def replace_table(directory: Path, name: str, write: Callable[[Path], object]) -> None:
    """Put another file in a table's place, with the hash that fits it."""
    write(directory / f"plda_{name}.npy")
    small.write_manifest(directory)


def test_tables_are_checked(directory: Path) -> None:
    cases: list[tuple[str, Callable[[Path], object], str]] = [
        ("lda", lambda p: np.save(p, np.zeros((8, 5))), r"plda_lda\.npy has shape \(8, 5\), expected \(8, 4\)"),
        ("mean1", lambda p: np.save(p, np.zeros(9)), r"plda_mean1\.npy has shape \(9,\), expected \(8,\)"),
        ("psi", lambda p: np.save(p, np.zeros((2, 2))), r"plda_mean1|plda_lda"),
        ("psi", lambda p: np.save(p, np.array([1.0, 1, 1, 0])), r"plda_psi\.npy has a variance that is not above 0"),
        ("mu", lambda p: np.save(p, np.full(4, np.nan)), r"plda_mu\.npy holds values that are not finite"),
        ("mu", lambda p: np.save(p, np.zeros(4, np.int64)), r"plda_mu\.npy holds int64, expected float32 or float64"),
        ("mu", lambda p: np.save(p, np.zeros(4, np.float16)), r"holds float16"),
        ("mu", lambda p: np.save(p, np.array([{}] * 4), allow_pickle=True), r"plda_mu\.npy is not a NumPy array"),
        ("mu", lambda p: p.write_bytes(b""), r"plda_mu\.npy is not a NumPy array"),
        ("mu", lambda p: p.write_bytes(b"RIFF" * 50), r"plda_mu\.npy is not a NumPy array"),
        ("mu", lambda p: p.write_bytes(npy_promising(10**13)), r"plda_mu\.npy is not a NumPy array"),
    ]
    for name, write, message in cases:
        keep = (directory / f"plda_{name}.npy").read_bytes()
        replace_table(directory, name, write)
        with pytest.raises(BundleCorrupt, match=message):
            ModelBundle.open(directory)
        (directory / f"plda_{name}.npy").write_bytes(keep)
    small.write_manifest(directory)
    assert ModelBundle.open(directory).name == "small"


def npy_promising(count: int) -> bytes:
    """The head of an array file that announces far more values than follow."""
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({count},), }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + bytes(32)


def test_fortran_and_big_endian_tables(directory: Path) -> None:
    replace_table(directory, "lda", lambda p: np.save(p, np.asfortranarray(small.tables()["lda"].astype(">f4"))))
    lda = ModelBundle.open(directory).plda.lda
    assert lda.flags.c_contiguous
    np.testing.assert_array_equal(lda, small.tables()["lda"])


def test_weights_kept_beside_must_be_listed(directory: Path) -> None:
    onnx.save(small.trunk(), directory / "trunk.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    assert external_files(directory, "trunk.onnx") == ["w.bin"]
    data = small.manifest(directory)
    small.write_manifest(directory, data)
    first = ModelBundle.open(directory).sha256
    del data["files"]["w.bin"]
    small.write_manifest(directory, data)
    with pytest.raises(BundleCorrupt, match=r"trunk\.onnx keeps weights in 'w\.bin', which the manifest does not list"):
        ModelBundle.open(directory)
    content = bytearray((directory / "w.bin").read_bytes())
    content[0] ^= 1
    (directory / "w.bin").write_bytes(content)
    small.write_manifest(directory)
    assert ModelBundle.open(directory).sha256 != first


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "x" * 200])
def test_weights_kept_outside_are_refused(directory: Path, location: str) -> None:
    model = small.trunk()
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], location)
    model.graph.initializer[0].ClearField("raw_data")
    (directory / "trunk.onnx").write_bytes(model.SerializeToString())
    small.write_manifest(directory)
    with pytest.raises(BundleCorrupt, match=r"trunk\.onnx keeps its weights"):
        ModelBundle.open(directory)


def test_empty_network(directory: Path) -> None:
    (directory / "trunk.onnx").write_bytes(b"")
    small.write_manifest(directory)
    with pytest.raises(BundleCorrupt, match=r"trunk\.onnx is empty"):
        ModelBundle.open(directory)


# -- directories in the speakrs-models layout -----------------------------------------------------------------


def test_plain_directory(layout: Path) -> None:
    bundle = ModelBundle.open(layout)
    assert bundle.name == "plain"
    assert bundle.embedding.kind == "multimask" and bundle.embedding.dimension == 256
    assert bundle.embedding.fbank.normalization == "window_mean"
    assert dict(bundle.clustering) == community.CLUSTERING
    assert bundle.plda.lda.shape == (256, 128) and bundle.plda.lda.dtype == np.float64
    assert len(bundle.files) == 9
    assert any("CC-BY-4.0" in licence for licence in bundle.licences)


def test_plain_directory_with_weights_beside_and_larger_batches(tmp_path: Path, layout: Path) -> None:
    directory = community_shapes.write(tmp_path / "models", width=2, external=True, batches=(32,))
    bundle = ModelBundle.open(directory)
    assert "wespeaker-multimask-tail.onnx.data" in bundle.files
    assert [variant.batch for variant in bundle.segmentation.variants] == [32]
    (directory / "segmentation-3.0.onnx").unlink()
    only = ModelBundle.open(directory)
    assert only.segmentation.main.batch == 32 and not only.segmentation.variants
    (directory / "wespeaker-multimask-tail.onnx.data").unlink()
    with pytest.raises(BundleNotFound, match=r"wespeaker-multimask-tail\.onnx\.data"):
        ModelBundle.open(directory)


def test_plain_directory_of_links(layout: Path, tmp_path: Path) -> None:
    """A snapshot in the cache of huggingface_hub is one."""
    for path in layout.iterdir():
        (tmp_path / path.name).symlink_to(path)
    assert ModelBundle.open(tmp_path).sha256 == ModelBundle.open(layout).sha256


def test_incomplete_plain_directory(layout: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(layout, tmp_path / "models"))
    (directory / "plda_tr.npy").unlink()
    (directory / "wespeaker-multimask-tail.onnx").unlink()
    with pytest.raises(BundleNotFound, match=r"lacks wespeaker-multimask-tail\.onnx, plda_tr\.npy"):
        ModelBundle.open(directory)


def test_plain_directory_of_another_network(layout: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(layout, tmp_path / "models"))
    (directory / community.MIN_SAMPLES).write_text("640")
    with pytest.raises(BundleCorrupt, match="says '640', but community-1 has 400"):
        ModelBundle.open(directory)
    (directory / community.MIN_SAMPLES).unlink()
    assert len(ModelBundle.open(directory).files) == 8


def test_real_tables_are_read(shared: Path, layout: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(layout, tmp_path / "models"))
    for name in community.PLDA_FILES.values():
        shutil.copyfile(shared / "models" / "community-1" / name, directory / name)
    plda = ModelBundle.open(directory).plda
    assert np.linalg.norm(plda.mean1) == pytest.approx(1.42060, abs=1e-5)
    assert np.linalg.norm(plda.mean2) == pytest.approx(1.22896, abs=1e-5)
    assert np.linalg.norm(plda.mu) == pytest.approx(0.82400, abs=1e-5)
    assert plda.psi[0] == pytest.approx(25.8824, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_is_always_found(original: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    directory = Path(shutil.copytree(original, tmp_path_factory.mktemp("damaged") / "bundle"))
    victim = directory / data.draw(st.sampled_from(sorted(p.name for p in directory.iterdir())))
    content = bytearray(victim.read_bytes())
    kind = data.draw(st.sampled_from(["flip", "cut", "grow", "remove"]))
    if kind == "flip":
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    elif kind == "grow":
        content += data.draw(st.binary(min_size=1, max_size=9))
    victim.unlink()
    if kind != "remove":
        victim.write_bytes(content)
    if victim.name == "manifest.json":
        try:
            ModelBundle.open(directory)  # a letter of a description may change, nothing else
        except ModelError as error:
            assert "manifest.json" in str(error) or victim.parent.name in str(error)
    else:
        with pytest.raises((BundleCorrupt, BundleNotFound), match=victim.name.replace(".", r"\.")):
            ModelBundle.open(directory)
