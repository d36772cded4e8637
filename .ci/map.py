"""Bring the README's file map up to date: `python .ci/map.py` (part of `make fmt`).

Comments that are there stay; a new file gets the first line of its docstring, a new folder that of its `__init__.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOP = (
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "NOTICE", "Makefile", "pyproject.toml"),
    *(".ci", "speakrs_stream", "server", "clients", "tests", "benchmarks", "training", "docs"),
)
WHOLE = ("speakrs_stream", "server", "clients", ".ci")
"""Folders whose files are all listed; of the others only the folders in them are."""
FOLDERS_ONLY = ("benchmarks", "training", "docs")
WRITTEN = (".py", ".md")
"""Files that somebody wrote: a folder without any holds figures of benchmarks."""
COLUMN = 40
BLOCK = re.compile(r"(?<=```\n)speakrs-stream/\n.*?(?=```)", re.DOTALL)


def children(path: Path) -> list[Path]:
    """What the map shows of a folder, files before folders."""
    top = path.relative_to(ROOT).parts[0]
    if top not in (*WHOLE, *FOLDERS_ONLY):
        return []
    found = []
    for child in path.iterdir():
        if child.name.startswith((".", "__pycache__")) or child.name == "__init__.py":
            continue
        if child.is_dir():
            files = [inner for inner in child.rglob("*") if inner.is_file() and "__pycache__" not in inner.parts]
            if any(top in WHOLE or inner.suffix in WRITTEN for inner in files):
                found.append(child)
        elif top in WHOLE and (child.suffix == ".py" or child.name in ("py.typed", "run")):
            found.append(child)
    return sorted(found, key=lambda child: (child.is_dir(), child.name))


def rows(paths: list[Path], prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Lines of the tree, each with its path."""
    for path in paths:
        last = path == paths[-1]
        yield f"{prefix}{'└' if last else '├'}── {path.name}{'/' if path.is_dir() else ''}", path
        if path.is_dir():
            yield from rows(children(path), prefix + ("    " if last else "│   "))


def first_line(path: Path) -> str:
    """What a file or folder says it is."""
    source = path / "__init__.py" if path.is_dir() else path
    if source.suffix != ".py" or not source.is_file():
        return ""
    lines = (ast.get_docstring(ast.parse(source.read_bytes())) or "").splitlines()
    return re.split(r"[:;.] ", lines[0].rstrip("."))[0] if lines else ""


def comments(block: str) -> dict[str, str]:
    """Path -> comment, of a map that is there."""
    found: dict[str, str] = {}
    parents: list[str] = []
    for line in block.splitlines():
        if entry := re.match(r"((?:[│ ]   )*)[├└]── (\S+)\s*(.*)", line):
            parents[len(entry[1]) // 4 :] = [entry[2].rstrip("/")]
            found["/".join(parents)] = entry[3]
    return found


def updated(readme: str) -> str:
    """The README with its map as the tree is now."""
    block = BLOCK.search(readme)
    assert block is not None, "the README has a block that starts with speakrs-stream/"
    known = comments(block.group())
    lines = ["speakrs-stream/"]
    for line, path in rows([ROOT / name for name in TOP]):
        told = known.get(path.relative_to(ROOT).as_posix()) or first_line(path)
        lines.append(f"{line:{COLUMN}} {told}".rstrip())
    return readme[: block.start()] + "\n".join(lines) + "\n" + readme[block.end() :]


if __name__ == "__main__":
    target = ROOT / "README.md"
    target.write_text(updated(target.read_text(encoding="utf-8")), encoding="utf-8")
