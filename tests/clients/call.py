"""The command line on a made-up engine, as a process: `python -m tests.clients.call DELAY arguments…`."""

from __future__ import annotations

import sys

from speakrs_stream.cli.main import run
from speakrs_stream.cli.shell import Shell
from tests.clients.stand_ins import FakeEngine

if __name__ == "__main__":
    delay = float(sys.argv[1])
    sys.exit(run(sys.argv[2:], Shell(open_live=lambda choice: FakeEngine(delay=delay))))
