from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from speakrs_stream.diarization import Diarization
from speakrs_stream.errors import MissingExtra
from speakrs_stream.formats import png


def test_a_picture(meeting: Diarization, nobody: Diarization, tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    path = meeting.write(tmp_path / "x.png")
    pixels = image.imread(path)
    assert pixels.shape[1] == 1500
    found = {tuple(round(255 * v) for v in pixel[:3]) for pixel in pixels.reshape(-1, pixels.shape[2])[::7].tolist()}
    assert {(0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00), (0x00, 0x9E, 0x73)} <= found
    assert png.render(nobody).startswith(b"\x89PNG")


@pytest.mark.filterwarnings("ignore:Glyph")  # whether a font has all of these is not ours to say
def test_labels_are_no_formulas(hostile: Diarization) -> None:
    pytest.importorskip("matplotlib")
    renamed = hostile.rename({hostile.labels[0]: "$\\frac{1}{$"})
    assert png.render(renamed).startswith(b"\x89PNG")


WITHOUT = """
import sys
sys.modules["matplotlib"] = None
from speakrs_stream.diarization import Diarization
from speakrs_stream.errors import MissingExtra
try:
    Diarization("x", 0, (), (), ()).write("x.png")
except MissingExtra as error:
    print(error)
"""


def test_without_matplotlib_the_extra_is_named(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    code = f"import sys; sys.path.insert(0, {str(root)!r})\n{WITHOUT}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "pip install 'speakrs-stream[plot]'" in done.stdout
    assert not list(tmp_path.iterdir()) and issubclass(MissingExtra, ImportError)
