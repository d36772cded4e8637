"""Who is speaking now, and who spoke when: speaker diarization, live and of whole recordings.

    from speakrs_stream import diarize
    for turn in diarize("meeting.wav").turns:
        print(turn.start, turn.end, turn.speaker)

Names are loaded when first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speakrs_stream.core.config import ClusteringConfig, PipelineConfig
    from speakrs_stream.diarization import Diarization, Speaker, Turn
    from speakrs_stream.engine import Engine, Progress
    from speakrs_stream.errors import SpeakrsError
    from speakrs_stream.models.bundle import ModelBundle
    from speakrs_stream.offline import diarize
    from speakrs_stream.queue import DiarizationQueue

__version__ = "0.1.0"

_HOME = {
    "ClusteringConfig": "core.config",
    "Diarization": "diarization",
    "DiarizationQueue": "queue",
    "Engine": "engine",
    "ModelBundle": "models.bundle",
    "PipelineConfig": "core.config",
    "Progress": "engine",
    "Speaker": "diarization",
    "SpeakrsError": "errors",
    "Turn": "diarization",
    "diarize": "offline",
}

__all__ = [
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
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
