"""The command line, `speakrs-stream`. Commands are imported when they are used, so that `--help` is quick."""

from __future__ import annotations


def main() -> None:
    """Run the command line on the process's arguments and exit with its status."""
    from speakrs_stream.threads import one_thread

    one_thread()
    from speakrs_stream.cli.main import main as run_and_exit

    run_and_exit()
