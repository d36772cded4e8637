"""Rules about the tree: who may import what, where tests are, what an import costs, and that the map is true."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "speakrs_stream": ROOT / "speakrs_stream",
    "speakrs_server": ROOT / "server" / "speakrs_server",
    "speakrs_clients": ROOT / "clients" / "speakrs_clients",
    "benchmarks": ROOT / "benchmarks",
    "training": ROOT / "training",
}

CORE_MAY_IMPORT = (
    *("__future__", "abc", "bisect", "collections", "copy", "dataclasses", "enum", "fractions", "functools", "hashlib"),
    *("itertools", "json", "math", "operator", "struct", "types", "typing", "zlib"),
    *("numpy", "scipy", "speakrs_stream.core", "speakrs_stream.errors"),
)
"""Values and arithmetic: no clock, thread, file, socket or model."""

ONLY_IN = {
    "a runtime": (("onnxruntime", "coremltools"), ("speakrs_stream/inference/", "training/")),
    "the microphone": (("sounddevice",), ("speakrs_stream/audio/microphone.py",)),
    "the network": (
        ("huggingface_hub", "urllib.request", "http", "socket", "requests", "httpx", "ssl"),
        ("speakrs_stream/models/hub.py", "server/", "clients/", "benchmarks/server_"),
    ),
    "sockets and event loops": (
        ("websockets", "anyio", "asyncio"),
        ("server/", "clients/", "benchmarks/server_", "benchmarks/feeder.py"),
    ),
    "torch": (("torch",), ("training/",)),
    "the command line": (("click", "rich"), ("speakrs_stream/cli/", "benchmarks/", "training/", "server/", "clients/")),
    "threads": (
        ("threading", "concurrent.futures", "multiprocessing"),
        (
            *("speakrs_stream/queue.py", "speakrs_stream/engine.py", "speakrs_stream/inference/"),
            *("speakrs_stream/audio/capture.py", "speakrs_stream/models/hub.py"),
            *("benchmarks/", "training/", "server/", "clients/"),
        ),
    ),
}
"""What -> the modules that are it, and the only places that may import them."""

WITHOUT_TEST_FILE: dict[str, str] = {
    "speakrs_stream/__main__.py": "run as a process by tests/cli/test_main.py",
}
"""Module -> where it is tested instead."""

VAGUE = {"utils", "util", "common", "helpers", "helper", "misc", "shared", "tools"}


def sources(*packages: str) -> list[Path]:
    """Python files of packages, all of them when none is named."""
    folders = [PACKAGES[name] for name in packages or PACKAGES]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def named(path: Path) -> str:
    """A file as people write it."""
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Modules that a file imports anywhere, with how relative the import is."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level
            yield from ((f"{node.module}.{alias.name}", node.level) for alias in node.names)


def within(name: str, modules: tuple[str, ...]) -> bool:
    """Whether a module is one of `modules` or inside one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def test_core_is_pure() -> None:
    bad = [
        (named(path), name)
        for path in (ROOT / "speakrs_stream" / "core").rglob("*.py")
        for name, _ in imports(path)
        if not within(name, CORE_MAY_IMPORT)
    ]
    assert not bad


@pytest.mark.parametrize("what", ONLY_IN)
def test_only_one_place_imports(what: str) -> None:
    modules, places = ONLY_IN[what]
    bad = [
        (named(path), name)
        for path in sources()
        for name, _ in imports(path)
        if within(name, modules) and not named(path).startswith(places)
    ]
    assert not bad


def test_imports_are_absolute() -> None:
    assert not [(named(path), name) for path in sources() for name, level in imports(path) if level]


def test_the_library_does_not_know_its_users() -> None:
    users = ("speakrs_stream.cli", "speakrs_server", "speakrs_clients", "benchmarks", "training", "tests")
    allowed = ("speakrs_stream/cli/", "speakrs_stream/__main__.py")
    bad = [
        (named(path), name)
        for path in sources("speakrs_stream")
        for name, _ in imports(path)
        if within(name, users) and not named(path).startswith(allowed)
    ]
    assert not bad


def test_clients_know_of_the_server_only_what_goes_over_the_wire() -> None:
    parts = ("message_parts", "client_messages", "server_messages")
    wire = tuple(f"speakrs_server.{name}" for name in ("codes", "frames", "identifiers", "messages", *parts))
    found = {path: [name for name, _ in imports(path)] for path in sources("speakrs_clients", "speakrs_server")}
    bad = [
        (named(path), name)
        for path, names in found.items()
        for name in names
        if within(name, ("speakrs_server",)) and not (name == "speakrs_server" or within(name, wire))
        if path.is_relative_to(PACKAGES["speakrs_clients"]) or f"speakrs_server.{path.stem}" in wire
    ]
    assert not bad


def test_the_library_is_quiet() -> None:
    loud = re.compile(r"\b(logging\.(basicConfig|getLogger\(\)\.|disable)|warnings\.(simplefilter|filterwarnings))")
    assert not [named(path) for path in sources("speakrs_stream") if loud.search(path.read_text(encoding="utf-8"))]


def test_no_folder_hides_things() -> None:
    names = {part for path in sources() for part in Path(named(path)).with_suffix("").parts}
    assert not names & VAGUE


def test_every_module_has_its_test_file() -> None:
    tests = {
        "speakrs_stream": ROOT / "tests",
        "speakrs_server": ROOT / "tests" / "server",
        "speakrs_clients": ROOT / "tests" / "clients",
        "benchmarks": ROOT / "tests" / "benchmarks",
    }
    missing = []
    for package, folder in tests.items():
        for path in sources(package):
            inner = path.relative_to(PACKAGES[package])
            if path.name == "__init__.py" or named(path) in WITHOUT_TEST_FILE:
                continue
            area = folder / inner.parts[0] if len(inner.parts) > 1 else folder
            if not any(area.rglob(f"test_{path.stem}.py")):
                missing.append(named(path))
    assert not missing


def test_what_needs_no_test_file_exists() -> None:
    assert not [name for name in WITHOUT_TEST_FILE if not (ROOT / name).is_file()]


def test_every_module_says_what_it_is() -> None:
    silent = [named(p) for p in sources() if p.stat().st_size and not ast.get_docstring(ast.parse(p.read_bytes()))]
    assert not silent


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = (
        "import sys, time\n"
        "start = time.perf_counter()\n"
        "import speakrs_stream\n"
        "took = time.perf_counter() - start\n"
        "heavy = {'numpy', 'scipy', 'onnxruntime', 'soundfile', 'soxr', 'rich', 'click', 'huggingface_hub',\n"
        "         'matplotlib', 'torch'} & set(sys.modules)\n"
        "print(f'{took:.3f} {sorted(heavy)}')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    took, heavy = done.stdout.split(maxsplit=1)
    sys.stdout.write(f"import speakrs_stream took {took} s\n")
    assert heavy.strip() == "[]"
    assert float(took) < 3.0  # 0.3 s is the aim; a busy machine must not fail a test that is about modules


def readme_map() -> set[str]:
    """Paths in the README's file map: folders end in `/`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```\nspeakrs-stream/\n(.*?)```", text, re.DOTALL)
    assert block, "the README has a block that starts with speakrs-stream/"
    paths: set[str] = set()
    parents: list[str] = []
    for line in block.group(1).splitlines():
        entry = re.match(r"((?:[│ ]   )*)[├└]── (\S+)", line)
        if entry is None:
            assert not line.strip(" │"), f"not a line of a map: {line}"
            continue
        depth, name = len(entry.group(1)) // 4, entry.group(2)
        parents[depth:] = [name.rstrip("/")]
        paths.add("/".join(parents) + ("/" if name.endswith("/") else ""))
    return paths


def test_the_readme_map_is_the_tree() -> None:
    listed = readme_map()
    absent = [name for name in listed if not (ROOT / name).exists() or name.endswith("/") != (ROOT / name).is_dir()]
    assert not absent, "in the map and not in the tree"
    packages = ("speakrs_stream", "speakrs_server", "speakrs_clients")
    modules = {named(path) for path in sources(*packages) if path.name != "__init__.py"}
    assert not sorted(modules - listed), "in the tree and not in the map: run `make fmt`"
    folders = {f"{named(path.parent)}/" for path in sources()}
    folders |= {"tests/", "docs/", "docs/adr/", ".ci/", "speakrs_stream/demo/", "speakrs_stream/models/embedded/"}
    assert not sorted(folders - listed), "folders that the map does not show: run `make fmt`"
