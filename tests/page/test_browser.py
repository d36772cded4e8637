"""The page in a real browser: speak, be killed, come back, view, read, download. Skips where a browser is missing."""

from __future__ import annotations

import statistics
import sys
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.page.browser import ROOT, Served, Watched, axe, browser, chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("playwright") is None, reason="needs playwright: pip install -e '.[browser]'"),
    pytest.mark.skipif(chromium() is None, reason="needs a Chromium: apt install chromium-headless-shell"),
    pytest.mark.skipif(axe() is None, reason="needs axe: npm install --prefix .venv axe-core"),
    pytest.mark.timeout(480),
]
TALK_S = 15.6
"""Seconds of the bundled meeting in which only two people speak."""
DELAY_MS = 2_000


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two speakers, and silence at the end: the made-up microphone repeats its last buffer for ever."""
    sound, rate = soundfile.read(ROOT / "speakrs_stream" / "demo" / "meeting.flac", dtype="float32")
    path = tmp_path_factory.mktemp("sound") / "two.wav"
    soundfile.write(path, np.concatenate([sound[: int(TALK_S * rate)], np.zeros(rate * 3 // 2, np.float32)]), rate)
    return path


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers and stops them."""
    started: list[Served] = []

    def one(*settings: str) -> Served:
        started.append(Served(tmp_path, *settings))
        return started[-1]

    yield one
    for server in started:
        server.stop()


def get(address: str) -> bytes:
    with urllib.request.urlopen(address) as answer:
        return bytes(answer.read())


def rename_by_keyboard(page: Any, name: str) -> None:
    page.focus("#tracks .who >> nth=0")
    page.keyboard.press("Enter")
    page.keyboard.type(name)
    page.keyboard.press("Enter")


def test_from_the_microphone_to_the_result_through_a_kill(serve: Serve, recording: Path) -> None:
    server = serve("snapshot_interval_s=5")
    with browser(recording) as chrome:
        context = chrome.new_context()
        main = Watched(context)
        page = main.page
        page.goto(server.address())
        main.state("idle")
        assert not main.barriers()
        page.click("#options summary")
        page.select_option("#settle", str(DELAY_MS))
        page.click("#options summary")
        page.click("text=Start the microphone")
        main.state("live")
        page.wait_for_selector("#tracks .person >> nth=1")
        rename_by_keyboard(page, "Alice")
        page.wait_for_selector("#log .line b:has-text('Alice')")
        session = main.of("session.started")[0]["session"]

        viewer = Watched(context)
        viewer.page.goto(server.address(f"/v?session={session}"))
        viewer.page.wait_for_selector("#tracks .who:has-text('Alice')")
        assert viewer.page.is_disabled("#tracks .who >> nth=0") and not viewer.page.is_visible("#deck")
        overlay = Watched(context)
        overlay.page.goto(server.address(f"/v?session={session}&overlay=1"))
        overlay.page.wait_for_selector("#now .line, #log .line", state="attached")
        for element in ("documentElement", "body"):
            look = f"getComputedStyle(document.{element}).backgroundColor"
            assert overlay.page.evaluate(look) == "rgba(0, 0, 0, 0)"
        assert not overlay.page.is_visible(".top")
        assert not main.barriers() and not viewer.barriers()

        server.kill()
        main.state("away")
        main.until("document.getElementById('state').innerText.includes('No connection')")
        main.until("/\\d+ s kept/.test(document.getElementById('delay').textContent)")
        server.start()
        main.state("live")
        main.until("document.getElementById('hint').innerText.includes('Nothing was lost')")
        viewer.state("live")
        main.until(f"document.getElementById('clock').textContent >= '0:{round(TALK_S) + 2}'")
        page.click("#stop")
        main.state("over")
        viewer.state("over")
        assert not main.barriers()

        final = main.of("session.final")[0]
        assert final["sha256"]["audio"] == main.sound_sha256(), "what the microphone gave is what the server has"
        for which in ("final", "live"):
            asked = get(server.address(f"/v1/sessions/{session}/result.rttm?pass={which}"))
            assert main.download("rttm", which) == asked
            assert b"Alice" not in asked and len({line.split()[7] for line in asked.splitlines()}) >= 2
        assert b"Alice" in main.download("vtt", "final")
        waits = [m["latency_ms"] for m in main.of("turn.final") if m.get("latency_ms") is not None]
        sys.stdout.write(f"{len(waits)} turns settled after {statistics.median(waits):.0f} ms of {DELAY_MS}\n")
        assert statistics.median(waits) <= DELAY_MS + 5_000
        for one in (main, viewer):
            one.until("document.querySelectorAll('#now .line').length === 0")
            one.until("document.querySelectorAll('#log .line').length >= 3")
        lines = page.locator("#log .line").count()
        viewer.until(f"document.querySelectorAll('#log .line').length === {lines}")
        assert not main.faults(away=True) and not viewer.faults(away=True) and not overlay.faults(away=True)


DROP = """async ([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "audio/wav" }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def test_a_dropped_recording_with_a_token(serve: Serve, recording: Path, tmp_path: Path) -> None:
    import base64

    (tmp_path / "tokens").write_text("ann ingest,view a-token-0123456789ab\n", encoding="utf-8")
    server = serve(f"tokens_file={tmp_path / 'tokens'}")
    with browser() as chrome:
        context = chrome.new_context()
        main = Watched(context)
        page = main.page
        page.goto(server.address())
        page.evaluate(DROP, ["two.wav", base64.b64encode(recording.read_bytes()).decode()])
        page.fill("#token", "a-wrong-token-0123456789")
        page.press("#token", "Enter")
        page.wait_for_selector("#token-error:has-text('not accepted')")
        page.fill("#token", "a-token-0123456789ab")
        page.click("#token-ok")
        page.wait_for_selector("#state:has-text('Name the speakers')")
        page.wait_for_selector("#tracks .person >> nth=1")
        rename_by_keyboard(page, "Bruce")
        page.wait_for_selector("#now .line b:has-text('Bruce'), #log .line b:has-text('Bruce')")
        page.click("#share")
        link = page.input_value("#share-link")
        assert "#token=v1." in link and "a-token" not in link
        page.click("#share-dialog [data-close]")
        viewer = Watched(context)
        viewer.page.goto(link)
        viewer.page.wait_for_selector("#tracks .who:has-text('Bruce')")
        page.click("#tracks .merge >> nth=1")
        assert not main.barriers()
        page.click("#merge-ok")
        main.until("document.querySelectorAll('#tracks .person').length === 1")
        page.click("#stop")
        main.state("over")
        viewer.state("over")
        late = Watched(context)  # after the end: the result itself
        late.page.goto(link)
        late.state("over")
        late.until("document.querySelectorAll('#log .line').length >= 3")  # it draws after it has changed its state
        assert b"Bruce" in main.download("srt", "live")
        final = main.of("session.final")[0]
        sound, _ = soundfile.read(recording, dtype="int16")
        assert final["samples"] == len(sound)
        assert not main.faults() and not viewer.faults()
        assert "a-token" not in str(context.storage_state()) + page.evaluate("JSON.stringify(sessionStorage)")


def test_words_states_and_reload(serve: Serve) -> None:
    server = serve()
    with browser() as chrome:
        context = chrome.new_context(reduced_motion="reduce", color_scheme="dark")
        main = Watched(context)
        page = main.page
        page.route_web_socket("**/v1/sessions/**", scripted)
        page.goto(server.address("/v?session=" + "0" * 26))
        page.wait_for_selector("#now .line:has-text('And how')")
        assert page.locator("#log .said").all_inner_texts() == ["Good morning everybody.", "שלום לכולם"]
        assert page.locator("#log b").all_inner_texts() == ["Ann", "Speaker 2"]
        assert [page.get_attribute(id, "aria-live") for id in ("#settled", "#now")] == ["polite", "off"]
        assert page.evaluate("getComputedStyle(document.querySelectorAll('#log .said')[1]).direction") == "rtl"
        assert not main.barriers()
        page.emulate_media(color_scheme="light")
        assert not main.barriers()
        page.select_option("#theme", "dark")
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"

        blocked = Watched(context)
        blocked.page.add_init_script(
            "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'))"
        )
        blocked.page.goto(server.address())
        blocked.page.click("text=Start the microphone")
        blocked.page.wait_for_selector("h2:has-text('The microphone is blocked')")
        assert not blocked.barriers() and not blocked.faults()

        talker = Watched(context)
        talker.page.goto(server.address())
        talker.page.click("text=Start the microphone")
        talker.state("live")
        talker.page.wait_for_selector("#share:not([hidden])")
        talker.page.on("dialog", lambda dialog: dialog.accept())
        talker.page.reload()
        talker.page.wait_for_selector("h2:has-text('still open')")
        talker.page.click("button:has-text('Go on')")
        talker.state("live")
        talker.page.wait_for_timeout(500)
        talker.page.click("#stop")
        talker.state("over")
        assert talker.of("session.final")[0]["samples"] > talker.of("session.resumed")[0]["next_sample"] > 0
        assert not talker.faults()


def scripted(socket: Any) -> None:
    """A session with words, told to a viewer."""
    import json

    def word(name: str, speaker: str, start: int, text: str) -> dict[str, Any]:
        return {"id": name, "speaker": speaker, "start_ms": start, "end_ms": start + 400, "text": text}

    told: list[dict[str, Any]] = [
        {"type": "speaker.created", "seq": 1, "speaker": "S1", "at_ms": 0},
        {"type": "speaker.created", "seq": 2, "speaker": "S2", "at_ms": 3000},
        {"type": "speaker.named", "seq": 3, "speaker": "S1", "name": "Ann"},
        {
            "type": "words.labelled",
            "seq": 4,
            "status": "final",
            "words": [
                word("a", "S1", 0, "Good"),
                word("b", "S1", 500, "morning"),
                word("c", "S1", 1000, "everybody."),
                word("d", "S2", 3000, "שלום"),
                word("e", "S2", 3500, "לכולם"),
            ],
        },
        {
            "type": "words.labelled",
            "status": "provisional",
            "words": [word("f", "S1", 5000, "And"), word("g", "S1", 5500, "how")],
        },
        {"type": "turn.provisional", "turn": "t_0001", "rev": 1, "speaker": "S1", "start_ms": 5000, "end_ms": 6100},
    ]

    def answer(message: str | bytes) -> None:
        for one in told:
            socket.send(json.dumps(one))

    socket.on_message(answer)
