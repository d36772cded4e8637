"""Teaching what is not speech: sounds to teach with, losses that stop, and a network that is put back into a bundle."""

from __future__ import annotations

import argparse
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from speakrs_stream.core.grid import WINDOW
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.resolve import EMBEDDED_DIRECTORY
from training.sounds import SOUNDS, Draw, heard
from training.tunes import bells, song, tones

STUDENT = EMBEDDED_DIRECTORY / "segmentation-fast.onnx"
PYANNET = EMBEDDED_DIRECTORY / "segmentation.onnx"


@pytest.mark.parametrize("draw", [song, tones, bells])
def test_a_window_of_it(draw: Draw) -> None:
    first, again, other = (heard(draw, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (WINDOW,) and np.isfinite(first).all() and 0 < np.abs(first).max() <= 1
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_what_is_sure_enough_pulls_no_further() -> None:
    torch = pytest.importorskip("torch")
    from training.hush import decided_loss, heard_loss, kept_loss

    sure, unsure = (torch.tensor([[[p] + [(1 - p) / 6] * 6]]).log() for p in (0.8, 0.5))
    assert float(heard_loss(sure, 0.75)) == 0
    assert float(heard_loss(unsure, 0.75)) == pytest.approx(math.log(1.5))
    assert (
        float(kept_loss(unsure, unsure, 3)) == pytest.approx(0, abs=1e-6) and float(kept_loss(sure, unsure, 3)) > 0.01
    )
    assert float(decided_loss(unsure, unsure)) == 0 and float(decided_loss(sure, unsure)) > 1


def options(**more: object) -> argparse.Namespace:
    """Of a few small steps."""
    values = {
        "seed": 1, "steps": 6, "measure": 3, "sounds": 3, "kept": [1], "away": [1], "sure": 0.75, "hush": 1.0,
        "keep": 1.0, "near": 3.0, "decided": 0.1, "inside": 0.1, "learning_rate": 1e-3, "bfloat16": False,
    }  # fmt: skip
    return argparse.Namespace(**(values | more))


def test_somebody_is_heard_less_in_music_after_a_few_steps() -> None:
    torch = pytest.importorskip("torch")
    from training.hush import claims, heard_loss, teach
    from training.pools import Pool
    from training.pyannet import shifted
    from training.restore import restored_segmentation

    shipped = restored_segmentation(STUDENT)
    # hears somebody everywhere, so that there is something to unlearn whatever the bundle has learned
    eager = shifted(shipped, -8.0, 0.0).eval()
    rng = np.random.default_rng(3)
    music = Pool.of(eager, (heard(SOUNDS["music"], rng) for _ in range(3)))
    quiet = [heard(SOUNDS["breath"], rng) for _ in range(2)]
    rooms = np.zeros((1, 1, 400), np.float32)
    rooms[..., 0] = 1
    pools = [music, Pool.answered(shipped, iter(quiet)), Pool.away(shipped, quiet, rooms, rng)]
    steps: list[dict[str, float]] = []
    taught = teach(eager, shipped, pools, options(), lambda net: steps.append(claims(net, {"music": music})))
    assert len(steps) == 2 and steps[-1] == claims(taught, {"music": music})
    with torch.no_grad():
        before, after = (heard_loss(net.decode(music.features.float()), 0.75) for net in (eager, taught))
    assert float(after) < 0.9 * float(before)
    kept = [name for name in eager.state_dict() if name.startswith(("convolutions", "norms", "filters", "wave_norm"))]
    assert all(torch.equal(eager.state_dict()[name], taught.state_dict()[name]) for name in kept)
    assert not torch.equal(eager.lstm.weight_hh_l0, taught.lstm.weight_hh_l0)


@pytest.mark.filterwarnings("ignore")
def test_a_segmentation_goes_back_into_its_bundle(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from training.pyannet import shifted
    from training.replace import replace
    from training.restore import restored_segmentation

    shutil.copytree(EMBEDDED_DIRECTORY, tmp_path / "bundle")
    before = json.loads((tmp_path / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    torch.save(shifted(restored_segmentation(PYANNET), -0.5, 0.25).state_dict(), tmp_path / "net.pt")
    replace(tmp_path / "net.pt", tmp_path / "bundle", "for a test")
    bundle = ModelBundle.open(tmp_path / "bundle")
    bundle.verify()
    after = json.loads((tmp_path / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    changed = {name for name, one in after["files"].items() if one != before["files"][name]}
    assert changed - {"MODEL_CARD.md"} == {"segmentation.onnx"}
    assert after["clustering"] == before["clustering"]
    ours, theirs = (
        restored_segmentation(path).classifier.bias for path in (tmp_path / "bundle" / PYANNET.name, PYANNET)
    )
    expected = torch.tensor([-0.5, 0, 0, 0, 0.25, 0.25, 0.25])
    assert torch.allclose(ours - theirs, expected, atol=1e-5)
