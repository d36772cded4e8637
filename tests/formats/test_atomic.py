from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from speakrs_stream.errors import OutputError
from speakrs_stream.formats.atomic import write_bytes_atomically, write_text_atomically


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    assert write_text_atomically(target, "first\r\n") == target
    assert target.read_bytes() == b"first\r\n"
    write_text_atomically(str(target), "zweite Fassung ü\n")
    assert target.read_text(encoding="utf-8") == "zweite Fassung ü\n"
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_rights_stay_and_links_are_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "x.txt", tmp_path / "link.txt"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_text_atomically(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_new_file_has_the_rights_that_files_usually_get(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    ours = write_text_atomically(tmp_path / "ours", "")
    assert stat.S_IMODE(ours.stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="create the folder"):
        write_text_atomically(tmp_path / "missing" / "x.txt", "")
    with pytest.raises(OutputError, match="it is a directory"):
        write_text_atomically(tmp_path, "")
    with pytest.raises(OutputError, match="null byte"):
        write_text_atomically("a\0b", "")
    with pytest.raises(OutputError, match="cannot write"):
        write_text_atomically(tmp_path / ("x" * 300), "")
    assert not list(tmp_path.iterdir())


def test_a_pipe_is_written_to_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write_bytes_atomically(pipe, b"through")
    reader.join(10)
    assert found == [b"through"] and stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_says_so() -> None:
    with pytest.raises(OutputError, match="No space left"):
        write_text_atomically("/dev/full", "x" * 100_000)


FULL_DISK = """
import resource, sys
from speakrs_stream.errors import OutputError
from speakrs_stream.formats.atomic import write_text_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_text_atomically(sys.argv[1], "x" * 10_000)
except OutputError as error:
    print(error)
"""


def test_when_the_disk_is_full_the_old_file_stays_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    target = tmp_path / "x.rttm"
    target.write_text("what was there before")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(target)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cannot write {target}: ") and "half written" in done.stdout
    assert target.read_text() == "what was there before"
    assert list(tmp_path.iterdir()) == [target]


NO_RIGHTS = """
import os, sys
from speakrs_stream.errors import OutputError
from speakrs_stream.formats.atomic import write_text_atomically
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
try:
    write_text_atomically("x.rttm", "text")
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs Unix rights")
def test_a_folder_without_write_permission_says_so(tmp_path: Path) -> None:
    # The folder is the working directory, so that nothing above it needs to be readable for a user without rights.
    tmp_path.chmod(0o555)
    try:
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{NO_RIGHTS}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        tmp_path.chmod(0o755)
    assert "Permission denied; choose a place you may write to" in done.stdout
    assert not list(tmp_path.iterdir())
