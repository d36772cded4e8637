"""PocketSphinx, the real one where it is installed: words of the bundled meeting, at the right places."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from speakrs_server.captions.engines import Hypothesis, Options
from speakrs_server.captions.sphinx import LONGEST, QUIET, load
from speakrs_stream.errors import ConfigError

pytest.importorskip("pocketsphinx", reason="pip install 'speakrs-stream[captions-pocketsphinx]'")
DEMO = Path(__file__).resolve().parents[3] / "speakrs_stream" / "demo" / "meeting.flac"
RATE = 16_000


def meeting(start: float, end: float) -> NDArray[np.float32]:
    samples, _ = soundfile.read(DEMO, start=round(start * RATE), stop=round(end * RATE), dtype="float32")
    return samples  # type: ignore[no-any-return]


def listen(samples: NDArray[np.float32], size: int = 4000) -> list[Hypothesis]:
    recognizer = load(Options()).recognizer()
    found = [h for at in range(0, len(samples), size) for h in recognizer.feed(samples[at : at + size])]
    found += recognizer.finish()
    recognizer.close()
    return found


def test_words_of_speech() -> None:
    found = listen(meeting(11.4, 15.4))
    assert any(not hypothesis.final and hypothesis.words for hypothesis in found)
    words = [word for hypothesis in found if hypothesis.final for word in hypothesis.words]
    texts = [word.text for word in words]
    at = texts.index("forty")
    assert texts[at : at + 6] == ["forty", "people", "signed", "up", "to", "twelve"]
    assert abs(words[at].start - 0.78 * RATE) < 0.2 * RATE and abs(words[at + 5].end - 3.2 * RATE) < 0.3 * RATE
    assert all(before.end <= after.start for before, after in pairwise(words))
    assert found[-1].until == 4 * RATE


def test_quiet_has_no_words_and_is_settled_now_and_then() -> None:
    noise = np.random.default_rng(1).normal(0, 1e-3, 25 * RATE).astype(np.float32)
    found = listen(noise)
    assert not [word for hypothesis in found for word in hypothesis.words]
    untils = [hypothesis.until for hypothesis in found]
    assert untils == sorted(untils) and untils[-1] == 25 * RATE
    assert QUIET <= untils[0] < 12 * RATE


def test_long_speech_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speakrs_server.captions.sphinx.LONGEST", 2 * RATE)
    final = [hypothesis for hypothesis in listen(meeting(0, 5.4)) if hypothesis.final and hypothesis.words]
    assert len(final) >= 2 and all(before.until <= after.words[0].start for before, after in pairwise(final))
    assert LONGEST == 15 * RATE


@pytest.mark.parametrize("end", [5.65, 5.8, 6.0])
def test_it_may_end_anywhere_after_speech(end: float) -> None:
    found = listen(meeting(4.5, end))
    assert found[-1].final and found[-1].until == round((end - 4.5) * RATE)


def test_what_it_cannot_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="speaks en, not de"):
        load(Options(language="de"))
    with pytest.raises(ConfigError, match="is no PocketSphinx model"):
        load(Options(model=str(tmp_path)))


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_captions_of_the_bundled_meeting(tmp_path: Path) -> None:
    from speakrs_stream.audio.pcm import encode
    from speakrs_stream.engine import Engine
    from tests.server.rig import Client, rig

    async with (
        rig(tmp_path, of=lambda: Engine("embedded"), captions="pocketsphinx") as found,
        found.connect() as socket,
    ):
        client = Client(socket)
        started = await client.start(max_delay_ms=4000, mode="file")
        assert started["captions"] == "pocketsphinx"
        await client.audio(encode(meeting(0.0, 16.0), "pcm_s16le"))
        await client.say("session.end")
        await client.until("session.final", patience=100)
        session = started["session"]
        _, _, body = await found.get(f"/v1/sessions/{session}/result.json?pass=live")
        _, _, subtitles = await found.get(f"/v1/sessions/{session}/result.vtt")
    labelled = [m for m in client.heard if m["type"] == "words.labelled"]
    assert {m["status"] for m in labelled} == {"provisional", "final"}
    words = json.loads(body)["words"]
    assert len(words) > 20 and {word["speaker"] for word in words} >= {"S1", "S2"}
    assert "<v SPEAKER_0" in subtitles.decode() and "forty people signed" in subtitles.decode()
