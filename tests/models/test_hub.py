"""Downloads from a stand-in for the hub: whole or not at all, continued after breaks, never the wrong bytes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from speakrs_stream.errors import BundleCorrupt, BundleNotFound, DownloadFailed, MissingExtra
from speakrs_stream.inference.networks import Networks
from speakrs_stream.inference.onnx import OnnxBackend
from speakrs_stream.models import hub
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.cut import cut
from speakrs_stream.models.hub import COMMUNITY, DownloadProgress, HubBundle, Patience, cache_directory, open_cached
from speakrs_stream.models.manifest import FileRecord
from tests.models.hub_standin import Standin, serving
from training import community_shapes

SEGMENTATION, MULTIMASK = "segmentation-3.0.onnx", "wespeaker-multimask-tail.onnx"
QUICK = Patience(retries=2, pause=0.0)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the hub's repository, with few channels; more than a download needs."""
    directory = community_shapes.write(tmp_path_factory.mktemp("repository"), width=4)
    shutil.copyfile(directory / MULTIMASK, directory / "wespeaker-voxceleb-resnet34.onnx")
    (directory / "README.md").write_text("not needed")
    return directory


@pytest.fixture
def standin(repository: Path) -> Iterator[Standin]:
    """The stand-in, without faults."""
    with serving(repository, COMMUNITY.repository) as running:
        yield running


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no hub, token or proxy of this machine."""
    monkeypatch.setenv("SPEAKRS_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("HF_ENDPOINT", "HF_TOKEN", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def fetch(standin: Standin, source: HubBundle = COMMUNITY, *, repair: bool = False) -> ModelBundle:
    """Fetch without long pauses."""
    return hub.fetch(source, endpoint=standin.endpoint, patience=QUICK, repair=repair)


def test_first_use_downloads_and_later_ones_do_not(standin: Standin, repository: Path, cache: Path) -> None:
    seen: list[DownloadProgress] = []
    bundle = hub.fetch(endpoint=standin.endpoint, progress=seen.append)
    assert bundle.name == "community-1"
    assert bundle.directory == cache / "models" / "community-1-67f963b6a1d9"
    assert bundle.sha256 == ModelBundle.open(repository).sha256
    needed = {SEGMENTATION, MULTIMASK, *COMMUNITY.optional, *(f"plda_{t}.npy" for t in community_shapes.plda())}
    assert set(bundle.files) == needed
    assert {path.name for path in bundle.directory.iterdir()} == {*needed, "manifest.json"}
    assert {one.file for one in standin.requests} == needed
    total = sum((repository / name).stat().st_size for name in needed)
    assert seen[-1].completed == seen[-1].total == total
    assert [one.completed for one in seen] == sorted(one.completed for one in seen)
    assert {one.total for one in seen} == {total}
    asked = len(standin.requests)
    again = hub.fetch(endpoint=standin.endpoint)
    assert again.sha256 == bundle.sha256 and len(standin.requests) == asked
    assert Networks(again, OnnxBackend()).batches == {"segmentation": 1, "filters": None, "multimask": 1}


def test_afterwards_no_network_is_needed(standin: Standin) -> None:
    first = fetch(standin)
    gone = hub.fetch(endpoint="http://127.0.0.1:9", patience=QUICK)
    assert gone.sha256 == first.sha256 == open_cached(COMMUNITY).sha256


def test_the_manifest_says_where_things_come_from(standin: Standin) -> None:
    directory = fetch(standin).directory
    data = json.loads((directory / "manifest.json").read_text())
    record = data["files"][SEGMENTATION]
    assert record["licence"] == "CC-BY-4.0"
    origin = "https://huggingface.co/avencera/speakrs-models/resolve/67f963b6a1d94fcd4678948237b3cc8bd69bf1d8"
    assert record["source"] == f"{origin}/{SEGMENTATION}"
    assert data["version"] == "67f963b6a1d9"
    assert "pyannote" in data["licences"][0]


def test_networks_with_weights_beside(tmp_path: Path) -> None:
    directory = community_shapes.write(tmp_path / "repository", width=4, external=True)
    with serving(directory, COMMUNITY.repository) as standin:
        bundle = fetch(standin)
    assert f"{MULTIMASK}.data" in bundle.files
    Networks(bundle, OnnxBackend())


def test_a_broken_connection_is_taken_up_again(standin: Standin) -> None:
    standin.faults.cuts = {MULTIMASK: [200_000, 100_000, 0]}
    bundle = fetch(standin)
    assert standin.transfers(MULTIMASK) == [0, 200_000, 300_000, 300_000]
    assert len(bundle.verify()) == 9


def test_a_download_goes_on_in_another_process(standin: Standin) -> None:
    standin.faults.cuts = {MULTIMASK: [150_000, 0, 0, 0]}
    with pytest.raises(DownloadFailed, match=r"in the middle of wespeaker-.*|cannot be reached.*") as caught:
        fetch(standin)
    assert "will be continued" in str(caught.value)
    with pytest.raises(BundleNotFound, match="models download community-1"):
        open_cached(COMMUNITY)
    script = (
        "import sys\n"
        "from speakrs_stream.models import hub\n"
        "seen = []\n"
        "print(hub.fetch(endpoint=sys.argv[1], progress=seen.append).name, seen[0].file, seen[-1].completed)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, standin.endpoint], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"community-1 {SEGMENTATION}")
    assert standin.transfers(MULTIMASK)[-1] == 150_000
    assert standin.transfers(SEGMENTATION) == [0]  # it was whole
    assert not list(cache_directory(COMMUNITY).parent.glob("*.partial"))


def test_a_server_that_cannot_continue(standin: Standin) -> None:
    standin.faults.no_ranges = True
    standin.faults.cuts = {MULTIMASK: [150_000]}
    seen: list[DownloadProgress] = []
    bundle = hub.fetch(endpoint=standin.endpoint, progress=seen.append, patience=QUICK)
    assert standin.transfers(MULTIMASK) == [0, 150_000]
    assert seen[-1].completed == bundle.bytes


def test_what_was_continued_is_of_the_same_file(standin: Standin, tmp_path: Path) -> None:
    standin.faults.cuts = {MULTIMASK: [150_000, 0, 0, 0]}
    with pytest.raises(DownloadFailed):
        fetch(standin)
    other = community_shapes.write(tmp_path / "other", seed=7, width=4)
    with serving(other, COMMUNITY.repository) as changed:
        bundle = fetch(changed)
        assert changed.transfers(MULTIMASK) == [0]
    assert bundle.sha256 == ModelBundle.open(other).sha256


def test_a_part_longer_than_the_file(standin: Standin) -> None:
    standin.faults.cuts = {MULTIMASK: [150_000, 0, 0, 0]}
    with pytest.raises(DownloadFailed):
        fetch(standin)
    (part,) = cache_directory(COMMUNITY).parent.rglob("*.part")
    with part.open("ab") as file:
        file.write(bytes(5_000_000))
    assert len(fetch(standin).verify()) == 9


@pytest.mark.parametrize("name", [SEGMENTATION, "plda_mu.npy"])
def test_a_wrong_hash_is_refused(standin: Standin, name: str) -> None:
    true = standin.etag(name)
    standin.faults.announce = {name: true[::-1]}
    with pytest.raises(DownloadFailed, match=f"{name} from .* is not what the hub announced.*thrown away, try again"):
        fetch(standin)
    with pytest.raises(BundleNotFound):
        open_cached(COMMUNITY)
    standin.faults.announce = {}
    assert len(fetch(standin).verify()) == 9


def test_a_wrong_size_is_refused(standin: Standin) -> None:
    standin.faults.sizes = {SEGMENTATION: 100_001}
    with pytest.raises(DownloadFailed, match=r"segmentation-3\.0\.onnx from .* is not what the hub announced"):
        fetch(standin)


def test_no_etag(standin: Standin) -> None:
    standin.faults.no_etag = True
    with pytest.raises(DownloadFailed, match="sends no ETag"):
        fetch(standin)


def test_another_commit(standin: Standin) -> None:
    standin.faults.commit = "0" * 40
    with pytest.raises(DownloadFailed, match=r"at commit 0000.*not at 67f963b6"):
        fetch(standin)


def test_pins_count_at_the_real_hub(standin: Standin) -> None:
    real = replace(COMMUNITY, pinned_hosts=("127.0.0.1",))
    with pytest.raises(DownloadFailed, match=r"segmentation-3\.0\.onnx .* was made for 038b9717…8ad9"):
        fetch(standin, real)
    digest = standin.etag(SEGMENTATION)
    pins = {SEGMENTATION: (digest[:8], digest[-4:])}
    assert fetch(standin, replace(real, pins=pins)).name == "community-1"
    assert COMMUNITY.pinned_hosts == ("huggingface.co", "hf.co")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, rf"{MULTIMASK} is not in avencera/speakrs-models on .*HTTP 404.*HF_ENDPOINT"),
        (401, r"no access to .*HTTP 401.*HF_TOKEN"),
        (403, r"no access to .*HTTP 403.*HF_TOKEN"),
        (400, r"answered HTTP 400"),
        (503, r"busy or broken \(HTTP 503"),
        (429, r"busy or broken \(HTTP 429"),
    ],
)
def test_refusals(standin: Standin, status: int, message: str) -> None:
    standin.faults.statuses = {MULTIMASK: [status] * 9}
    with pytest.raises(DownloadFailed, match=message):
        fetch(standin)


def test_a_busy_hub_is_waited_for(standin: Standin) -> None:
    standin.faults.statuses = {MULTIMASK: [0, 503, 429]}
    assert len(fetch(standin).verify()) == 9
    assert standin.transfers(MULTIMASK) == [0]


def test_a_repository_that_is_not_there(standin: Standin) -> None:
    with pytest.raises(DownloadFailed, match=r"HTTP 404"):
        fetch(standin, replace(COMMUNITY, repository="nobody/nothing"))


def test_optional_files_may_be_missing(repository: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(repository, tmp_path / "less"))
    (directory / COMMUNITY.optional[0]).unlink()
    with serving(directory, COMMUNITY.repository) as standin:
        assert len(fetch(standin).files) == 8


def test_no_network() -> None:
    with pytest.raises(DownloadFailed, match=r"http://127\.0\.0\.1:9 cannot be reached .*HTTPS_PROXY.*HF_ENDPOINT"):
        hub.fetch(endpoint="http://127.0.0.1:9", patience=QUICK)


def test_a_token_is_sent_to_the_hub_only(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch(standin)
    for one in standin.requests:
        assert bool(one.token) == ("/cdn/" not in one.path)


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with an environment: huggingface_hub reads its own once, when it is imported."""
    command = [sys.executable, "-c", "from speakrs_stream.models import hub\n" + script]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_endpoint_from_the_environment(standin: Standin) -> None:
    done = run("print(hub.fetch().name)", HF_ENDPOINT=standin.endpoint + "/")
    assert (done.stdout, done.stderr) == ("community-1\n", "")
    assert standin.transfers(MULTIMASK) == [0]


def test_proxy_from_the_environment(standin: Standin) -> None:
    """The hub's address leads nowhere; the stand-in answers as a proxy would."""
    done = run("print(hub.fetch().name)", HF_ENDPOINT="http://hub.invalid", HTTP_PROXY=standin.endpoint)
    assert done.stdout == "community-1\n"
    assert standin.requests[0].method == "HEAD"


def test_offline_mode(standin: Standin) -> None:
    offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": standin.endpoint}
    done = run("hub.fetch()", **offline)
    assert "community-1 is not downloaded and HF_HUB_OFFLINE is set" in done.stderr
    assert not standin.requests
    fetch(standin)
    assert run("print(hub.fetch().name)", **offline).stdout == "community-1\n"


def test_without_huggingface_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"pip install 'speakrs-stream\[hub\]'"):
        hub.fetch()


def test_first_uses_at_the_same_time(standin: Standin) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(fetch(standin).sha256)) for _ in range(4)]
    for thread in threads:
        thread.start()
    other = run("print(hub.fetch().sha256)", HF_ENDPOINT=standin.endpoint)
    for thread in threads:
        thread.join()
    assert len({*found, other.stdout.strip()}) == 1 and len(found) == 4
    assert standin.transfers(MULTIMASK) == [0]


def test_a_process_that_dies_leaves_nothing_that_loads(standin: Standin) -> None:
    die = "import os\ndef seen(p):\n    if p.completed > 150_000: os._exit(9)\nhub.fetch(progress=seen)"
    assert run(die, HF_ENDPOINT=standin.endpoint).returncode == 9
    with pytest.raises(BundleNotFound):
        open_cached(COMMUNITY)
    assert len(fetch(standin).verify()) == 9


def test_stopping(standin: Standin) -> None:
    def stop(progress: DownloadProgress) -> None:
        if progress.completed > 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hub.fetch(endpoint=standin.endpoint, progress=stop)
    assert len(fetch(standin).verify()) == 9


def test_damage_is_refused_and_repaired(standin: Standin) -> None:
    directory = fetch(standin).directory
    content = bytearray((directory / MULTIMASK).read_bytes())
    content[1000] ^= 1
    (directory / MULTIMASK).write_bytes(content)
    (directory / "plda_tr.npy").unlink()
    with pytest.raises((BundleCorrupt, BundleNotFound), match="run: speakrs-stream models download community-1"):
        fetch(standin)
    standin.requests.clear()
    repaired: list[FileRecord] = fetch(standin, repair=True).verify()
    assert len(repaired) == 9
    assert standin.transfers(MULTIMASK) == [0] and not standin.transfers(SEGMENTATION)


def test_repairing_what_is_whole_asks_nothing(standin: Standin) -> None:
    fetch(standin)
    standin.requests.clear()
    fetch(standin, repair=True)
    assert not standin.requests


def test_not_enough_room(standin: Standin) -> None:
    standin.faults.sizes = {MULTIMASK: 10**18}
    with pytest.raises(DownloadFailed, match=r"needs 1000000000\d\d\d MB more, .* free; make room.*SPEAKRS_CACHE_DIR"):
        fetch(standin)
    assert not standin.transfers(SEGMENTATION)


def test_a_disk_that_fills_up(standin: Standin) -> None:
    def full(progress: DownloadProgress) -> None:
        if progress.completed > 300_000:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DownloadFailed, match=r"no space left in .*; make room, or set SPEAKRS_CACHE_DIR"):
        hub.fetch(endpoint=standin.endpoint, progress=full)
    with pytest.raises(BundleNotFound):
        open_cached(COMMUNITY)


def test_a_cache_that_cannot_be_written(standin: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPEAKRS_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(DownloadFailed, match=r"cannot be written to .*SPEAKRS_CACHE_DIR"):
        fetch(standin)


def test_the_usual_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SPEAKRS_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    directory = cache_directory(COMMUNITY)
    assert directory.parts[-3:] == ("speakrs-stream", "models", "community-1-67f963b6a1d9") or sys.platform != "linux"


@pytest.mark.network
def test_the_real_hub() -> None:
    """33 MB from huggingface.co: the pinned files exist, run, and can be cut."""
    bundle = hub.fetch()
    assert bundle.plda.psi[0] == pytest.approx(25.8824, abs=1e-4)
    assert Networks(bundle, OnnxBackend()).batches["multimask"] == 1
    assert cut(bundle, OnnxBackend()).embedding.kind == "split"
