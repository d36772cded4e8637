"""A Chromium with a made-up microphone, and a server that can be killed: what tests of the page in a browser need."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
)
PATIENCE_S = 45
"""Seconds that a page gets to become what it should."""
WATCH = """
window.seen = { sound: [], violations: [] };
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  seen.violations.push(`${violatedDirective} ${blockedURI}`));
const Node_ = AudioWorkletNode;
window.AudioWorkletNode = class extends Node_ {
  constructor(...all) {
    super(...all);
    this.port.addEventListener("message", ({ data }) => data && seen.sound.push(data.samples.slice()));
  }
};
"""
"""Remembers what the microphone gave, apart from what the page does with it."""
DIGEST = """new Blob(seen.sound).arrayBuffer()
  .then((data) => crypto.subtle.digest("SHA-256", data))
  .then((digest) => Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join(""))"""
SERVE = "import sys; from speakrs_stream.cli.main import main; sys.exit(main())"


def chromium() -> str | None:
    """The browser's program; None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def axe() -> Path | None:
    """The accessibility checker; None where it is not installed."""
    places = [Path(os.environ.get("AXE_CORE", "/absent")), ROOT / ".venv/node_modules/axe-core/axe.min.js"]
    return next((place for place in places if place.is_file()), None)


class Served:
    """A server as a process of its own, with the networks of the wheel, on the same port after every start."""

    def __init__(self, folder: Path, *settings: str) -> None:
        """settings: NAME=VALUE"""
        self.folder, self.port = folder, 0
        self.settings = [part for setting in settings for part in ("--set", setting)]
        self.start()

    def start(self) -> None:
        """Start, and wait until it listens."""
        command = [sys.executable, "-c", SERVE, "serve", "--port", str(self.port), "--data", str(self.folder / "data")]
        command += ["--set", "admin_port=-1", "--set", "disk_reserve_mb=0", *self.settings]
        with (self.folder / "server.log").open("ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=log)
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            told = (self.folder / "server.log").read_bytes()[begin:].decode()
            if found := re.search(r"listening on wss?://127\.0\.0\.1:(\d+)/", told):
                self.port = int(found[1])
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "server.log").read_text())

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> None:
        """SIGTERM."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def address(self, path: str = "/") -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def browser(sound: Path | None = None) -> Iterator[Any]:
    """A browser; sound: what its microphone hears, once."""
    from playwright.sync_api import sync_playwright

    flags = [*FLAGS, *([f"--use-file-for-fake-audio-capture={sound}%noloop"] if sound else [])]
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium(), args=flags)
        try:
            yield found
        finally:
            found.close()


class Watched:
    """A page, and everything that was said about it or over its sockets."""

    def __init__(self, context: Any) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE_S)
        self.page.add_init_script(WATCH)
        self.complaints: list[str] = []
        self.told: list[dict[str, Any]] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.page.on("websocket", lambda socket: socket.on("framereceived", self._heard))

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _heard(self, data: str | bytes) -> None:
        if isinstance(data, str):
            self.told.append(json.loads(data))

    def state(self, name: str) -> None:
        """Wait for a state of the page."""
        self.page.wait_for_selector(f"body[data-state={name}]", state="attached")

    def until(self, expression: str) -> None:
        """Wait until something is so; the browser's own waiting would need `eval`, which the page forbids."""
        end = time.monotonic() + PATIENCE_S
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, expression
            self.page.wait_for_timeout(50)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Messages of a type."""
        return [message for message in self.told if message["type"] == kind]

    def faults(self, *, away: bool = False) -> list[str]:
        """Complaints, broken rules of the content policy included. away: the server was gone for a while."""
        gone = re.compile(r"ERR_CONNECTION|WebSocket connection")
        found = self.complaints + list(self.page.evaluate("seen.violations"))
        return [line for line in found if not (away and gone.search(line))]

    def sound_sha256(self) -> str:
        """Of what the microphone gave."""
        return str(self.page.evaluate(DIGEST))

    def barriers(self) -> list[str]:
        """What keeps people out, as far as axe finds it: serious and worse."""
        source = axe()
        assert source is not None
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(source.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
        bad = [one for one in found if one["impact"] in ("serious", "critical")]
        return [f"{one['id']}: {node['html']} {node['failureSummary']}" for one in bad for node in one["nodes"]]

    def download(self, suffix: str, which: str) -> bytes:
        """A result, through the dialog."""
        self.page.click("#save")
        self.page.check(f"[name=pass][value={which}]")
        with self.page.expect_download() as caught:
            self.page.click(f"#formats [data-suffix='{suffix}']")
        self.page.click("#save-dialog [data-close]")
        return Path(caught.value.path()).read_bytes()
