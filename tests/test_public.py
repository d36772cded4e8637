"""The public names: what a user may rely on, and that each says what it does."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import speakrs_stream

PUBLIC = {
    "ClusteringConfig",
    "Diarization",
    "DiarizationQueue",
    "Engine",
    "ModelBundle",
    "PipelineConfig",
    "Progress",
    "Speaker",
    "SpeakrsError",
    "Turn",
    "__version__",
    "diarize",
}

CALLS = {
    "diarize": (
        "audio, *, bundle, mode, backend, step, config, embedding, sample_rate, uri, num_speakers, min_speakers, "
        "max_speakers, hook, cancel"
    ),
    "Engine": "bundle, *, mode, backend, step, config, embedding, threads",
    "Engine.diarize": "audio, *, sample_rate, uri, num_speakers, min_speakers, max_speakers, hook, cancel",
    "DiarizationQueue": "engine, *, workers, capacity",
    "DiarizationQueue.submit": (
        "audio, *, block, timeout, sample_rate, uri, num_speakers, min_speakers, max_speakers, hook"
    ),
    "Diarization.write": "path, format, *, exclusive",
    "Diarization.airtime": "*, exclusive",
    "Diarization.rename": "mapping",
    "Diarization.to_pyannote": "*, exclusive",
    "Diarization.to_rttm": "*, exclusive",
    "ModelBundle.open": "directory",
}

ATTRIBUTES = {
    "Turn": {"span", "speaker", "start", "end", "duration"},
    "Speaker": {"label", "name", "embedding"},
    "Progress": {"stage", "completed", "total"},
    "Diarization": {
        *("uri", "samples", "turns", "exclusive", "speakers", "bundle", "warnings", "duration", "labels"),
        *("airtime", "rename", "to_rttm", "to_json", "from_json", "from_turns", "write", "to_pyannote", "_repr_html_"),
    },
    "Engine": {"diarize"},
    "DiarizationQueue": {"submit", "take", "cancel", "close", "join", "statistics"},
    "ModelBundle": {"open", "name", "version", "directory", "licences", "sha256", "clustering", "verify"},
    "PipelineConfig": {"step", "clustering", "min_on", "min_off", "embedding", "parity"},
}


def signature(name: str) -> str:
    """Parameters of a public call, `self` left out."""
    found: object = speakrs_stream
    for part in name.split("."):
        found = getattr(found, part)
    assert callable(found)
    names, starred = [], False
    for parameter in inspect.signature(found).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            names.append("*")
            starred = True
        names.append(parameter.name)
    return ", ".join(names)


def test_the_public_names_are_these() -> None:
    assert set(speakrs_stream.__all__) == PUBLIC
    assert dir(speakrs_stream) == sorted(PUBLIC)
    assert all(hasattr(speakrs_stream, name) for name in PUBLIC)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Nonsense"):
        speakrs_stream.Nonsense  # noqa: B018


@pytest.mark.parametrize("name", CALLS)
def test_calls_keep_their_parameters(name: str) -> None:
    assert signature(name) == CALLS[name]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_values_keep_their_attributes(name: str) -> None:
    kind = getattr(speakrs_stream, name)
    fields = set(getattr(kind, "__dataclass_fields__", ()))
    assert ATTRIBUTES[name] <= fields | set(dir(kind))


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_everything_public_says_what_it_does(name: str) -> None:
    thing = getattr(speakrs_stream, name)
    assert inspect.getdoc(thing)
    if not inspect.isclass(thing):
        return
    silent = [
        member
        for member, value in vars(thing).items()
        if not member.startswith("_")
        and (inspect.isroutine(value) or isinstance(value, property | classmethod | staticmethod))
        and not inspect.getdoc(value)
    ]
    assert not silent


def test_every_error_is_ours_and_can_be_imported_alone() -> None:
    from speakrs_stream import errors

    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and kind.__module__ == errors.__name__]
    assert len(kinds) > 10
    assert all(issubclass(kind, speakrs_stream.SpeakrsError) for kind in kinds)
    tree = inspect.getdoc(errors) or ""
    assert not [kind.__name__ for kind in kinds if kind.__name__ not in tree], "missing in the tree of errors.py"


def test_star_import_gives_exactly_these() -> None:
    script = "from speakrs_stream import *; print(sorted(n for n in globals() if not n.startswith('_')))"
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sorted(name for name in PUBLIC if not name.startswith("_")))
