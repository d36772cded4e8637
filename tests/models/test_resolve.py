"""Names and directories become bundles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from speakrs_stream.errors import BundleCorrupt, BundleNotFound, ModelError
from speakrs_stream.models.hub import COMMUNITY, DownloadProgress
from speakrs_stream.models.resolve import EMBEDDED_DIRECTORY, download, list_bundles, path, resolve, verify
from tests.models import small
from tests.models.hub_standin import Standin, serving
from training import community_shapes


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No bundle chosen by the environment, an empty cache, and no hub."""
    monkeypatch.delenv("SPEAKRS_MODELS_DIR", raising=False)
    monkeypatch.setenv("SPEAKRS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle in a directory."""
    return small.write(tmp_path_factory.mktemp("bundles") / "mine")


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    """A hub, chosen by the environment."""
    directory = community_shapes.write(tmp_path / "repository", width=2)
    with serving(directory, COMMUNITY.repository) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


def test_the_embedded_bundle_is_the_default() -> None:
    found = resolve()
    assert found.directory == EMBEDDED_DIRECTORY
    assert found.sha256 == resolve("embedded").sha256
    assert found.bytes <= 8_000_000
    assert found.licences
    assert len(verify()) == len(found.files)
    assert path() == EMBEDDED_DIRECTORY


def test_the_fast_bundle_shares_head_and_tables() -> None:
    plain, fast = resolve(), resolve("embedded-fast")
    assert fast.name == "embedded-fast" and fast.directory == plain.directory and fast.sha256 != plain.sha256
    assert fast.bytes <= 8_000_000 and len(verify("embedded-fast")) == len(fast.files)
    own = set(fast.files) - set(plain.files)
    assert own == {"segmentation-fast.onnx", "trunk-fast.onnx", "MODEL_CARD_FAST.md"}
    assert fast.segmentation.file == "segmentation-fast.onnx"
    assert fast.embedding.trunk is not None and plain.embedding.trunk is not None
    assert fast.embedding.trunk == replace(plain.embedding.trunk, main=fast.embedding.trunk.main)
    assert fast.embedding.trunk.file == "trunk-fast.onnx"
    assert fast.embedding.head == plain.embedding.head and fast.embedding.dimension == plain.embedding.dimension
    assert path("embedded-fast") == EMBEDDED_DIRECTORY
    assert resolve(EMBEDDED_DIRECTORY / "fast.json").sha256 == fast.sha256


def test_a_directory(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(bundle).name == "small"
    assert resolve(str(bundle)).directory == bundle
    monkeypatch.chdir(bundle.parent)
    assert resolve("mine").name == "small"
    assert resolve("./mine").name == "small"
    monkeypatch.setenv("HOME", str(bundle.parent))
    assert resolve("~/mine").name == "small"


def test_the_environment_chooses(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEAKRS_MODELS_DIR", str(bundle))
    assert resolve().name == "small"
    assert resolve("embedded").directory == EMBEDDED_DIRECTORY
    monkeypatch.setenv("SPEAKRS_MODELS_DIR", "")
    assert resolve().directory == EMBEDDED_DIRECTORY
    monkeypatch.setenv("SPEAKRS_MODELS_DIR", str(bundle / "nothing"))
    with pytest.raises(BundleNotFound, match="nothing, it does not exist"):
        resolve()


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(
        BundleNotFound, match="unknown model bundle 'comunity'; there are embedded, embedded-fast, community-1, or the"
    ):
        resolve("comunity")
    with pytest.raises(BundleNotFound, match="no model bundle at no/such"):
        resolve("no/such")


def test_a_damaged_bundle(bundle: Path, tmp_path: Path) -> None:
    small.write(tmp_path / "b")
    (tmp_path / "b" / "head.onnx").write_bytes(b"x")
    with pytest.raises(BundleCorrupt, match=r"head\.onnx"):
        verify(tmp_path / "b")


def test_community_is_downloaded_once(standin: Standin) -> None:
    with pytest.raises(BundleNotFound, match="run: speakrs-stream models download community-1"):
        resolve("community-1", download=False)
    for look in (verify, path):
        with pytest.raises(BundleNotFound):
            look("community-1")
    assert not standin.requests
    seen: list[DownloadProgress] = []
    found = resolve("community-1", progress=seen.append)
    assert found.name == "community-1" and seen[-1].completed == found.bytes
    standin.requests.clear()
    assert resolve("community-1", download=False).sha256 == found.sha256
    assert path("community-1") == found.directory
    assert len(verify("community-1")) == 9
    assert not standin.requests


def test_downloading_repairs(standin: Standin) -> None:
    found = download("community-1")
    (found.directory / "plda_mu.npy").write_bytes(b"x")
    with pytest.raises(ModelError, match="models download community-1"):
        resolve("community-1")
    assert download("community-1").sha256 == found.sha256


def test_downloading_what_is_here(bundle: Path) -> None:
    assert download("embedded").directory == EMBEDDED_DIRECTORY
    assert download(str(bundle)).name == "small"


def test_listing(bundle: Path, monkeypatch: pytest.MonkeyPatch, standin: Standin) -> None:
    embedded, fast, community = list_bundles()
    assert (fast.name, fast.present, fast.default) == ("embedded-fast", True, False)
    assert (embedded.name, embedded.present, embedded.default) == ("embedded", True, True)
    assert embedded.bytes == resolve().bytes and embedded.licences == resolve().licences
    assert (community.name, community.present, community.default) == ("community-1", False, False)
    assert community.bytes > 30_000_000 and "CC-BY-4.0" in community.licences[0]
    assert community.description.endswith("not downloaded")
    assert not standin.requests
    found = download("community-1")
    (*_, community) = list_bundles()
    assert (community.present, community.where, community.bytes) == (True, found.directory, found.bytes)
    monkeypatch.setenv("SPEAKRS_MODELS_DIR", str(bundle))
    embedded, _, community, mine = list_bundles()
    assert (mine.name, mine.present, mine.default, embedded.default) == (str(bundle), True, True, False)


def test_listing_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEAKRS_MODELS_DIR", str(tmp_path / "nothing"))
    broken = list_bundles()[-1]
    assert not broken.present and "does not exist" in broken.description
    (tmp_path / "nothing").mkdir()
    assert "expected manifest.json" in list_bundles()[-1].description
