"""Settings are tried on what the networks said, and give what the engine would."""

from __future__ import annotations

from pathlib import Path

from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.scoring import Labelled
from speakrs_stream.tuning.trying import RANGES, configured, values_of
from tests.server.rig import engine
from tests.tuning.rooms import cases


def test_from_a_configuration_and_back() -> None:
    values = values_of(PipelineConfig()) | {"threshold": 0.9, "min_on": 3}
    config = configured(PipelineConfig(), values)
    assert values.keys() == RANGES.keys() and values_of(config) == values
    assert (config.clustering.threshold, config.min_on, config.clustering.Fa) == (0.9, 3, 0.07)


def test_the_scores_are_the_engines(tmp_path: Path) -> None:
    for case in cases(tmp_path):
        found = engine().diarize(case.recording.audio)
        alone = case.recording.score([Labelled(t.start, t.end, t.speaker) for t in found.turns])
        assert case.score(values_of(engine().config)) == alone
        assert alone.der < 0.1 and alone.count_error == 0
        merged = case.score(values_of(engine().config) | {"threshold": 2.0, "Fb": 20.0, "Fa": 0.01})
        assert merged.der > alone.der and merged.count_error == 1
