"""`speakrs-stream sessions`: what a server has kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Turn
from tests.server.test_journal import made

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome

    Run = Callable[..., Outcome]

RESULT = Diarization.from_turns([Turn(Span(0, 16_000), "S1")], uri="rec")


def test_from_list_to_delete(speakrs: Run, tmp_path: Path) -> None:
    _, journal = made(tmp_path)
    session, data = journal.folder.name, ["--data", str(tmp_path)]
    assert session in speakrs("sessions", "list", *data).out
    assert "not finished" in speakrs("sessions", "export", session, *data).err
    assert "held by another" in speakrs("sessions", "delete", session, *data).err
    journal.keep({"live": RESULT.to_json(), "final": RESULT.to_json()})
    journal.close()
    found = json.loads(speakrs("sessions", "list", "--json", *data).out)
    assert found["finished"] and found["owner"] == "ann"
    assert json.loads(speakrs("sessions", "show", session, *data).out) == found
    assert speakrs("sessions", "export", session, *data).out == RESULT.to_rttm()
    target = tmp_path / "out.csv"
    speakrs("sessions", "export", session, "--live", "--format", "csv", "-o", str(target), *data)
    assert "S1" in target.read_text()
    assert speakrs("sessions", "delete", session, *data).status == 0
    assert speakrs("sessions", "list", *data).out == ""
    assert speakrs("sessions", "show", session, *data).status == 1


def test_where_no_server_ran(speakrs: Run, tmp_path: Path) -> None:
    done = speakrs("sessions", "list", "--data", str(tmp_path / "absent"))
    assert (done.status, done.out) == (0, "")
