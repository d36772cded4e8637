"""What is written beside a figure."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.machine import commit, cpu_name, setting


def test_setting_says_what_was_typed() -> None:
    here = setting(["der", "folder"])
    assert here.command == "python -m benchmarks der folder"
    assert here.cores >= 1
    assert here.cpu
    assert here.date.endswith("UTC")


def test_cpu_name_comes_from_the_system(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n")
    assert cpu_name(tmp_path / "cpuinfo") == "Some CPU @ 3 GHz"
    assert cpu_name(tmp_path / "nothing")


def test_commit_is_marked_where_files_differ(tmp_path: Path) -> None:
    assert commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "x").write_text("1")
    for arguments in (["init", "-q"], ["add", "x"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *arguments], check=True)
    clean = commit(tmp_path)
    assert clean is not None
    assert len(clean) >= 7
    (tmp_path / "x").write_text("2")
    assert commit(tmp_path) == clean + "+"
