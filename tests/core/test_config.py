"""Settings that cannot work are refused at once, with their name."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from speakrs_stream.core.config import ClusteringConfig, PipelineConfig, SpeakerBounds
from speakrs_stream.errors import ConfigError


def test_defaults_are_those_of_community_1() -> None:
    config = PipelineConfig()
    assert (config.step, config.min_on, config.min_off, config.parity) == (16_000, 0, 0, False)
    clustering = config.clustering
    assert (clustering.threshold, clustering.Fa, clustering.Fb) == (0.6, 0.07, 0.8)
    assert (clustering.max_iterations, clustering.epsilon, clustering.init_smoothing) == (20, 1e-4, 7.0)
    assert (clustering.keep_prior, clustering.min_clean_ratio) == (1e-7, 0.2)
    with pytest.raises(FrozenInstanceError):
        config.step = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 0),
        ("threshold", float("nan")),
        ("Fa", -1),
        ("Fb", 0),
        ("init_smoothing", -7),
        ("min_clean_ratio", 1.5),
        ("min_clean_ratio", -0.1),
        ("keep_prior", -0.1),
        ("keep_prior", 1.0),
        ("epsilon", -1e-4),
        ("epsilon", float("nan")),
        ("max_iterations", 0),
        ("exact_items", 1),
        ("block_items", 1),
        ("block_items", 5_000),
    ],
)
def test_impossible_clustering_settings(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        ClusteringConfig(**{name: value})


@pytest.mark.parametrize("step", [0, -160, 100, 16_001, 160_160])
def test_impossible_steps(step: int) -> None:
    with pytest.raises(ConfigError, match="multiple of 160"):
        PipelineConfig(step=step)


def test_impossible_durations() -> None:
    with pytest.raises(ConfigError, match="min_on"):
        PipelineConfig(min_on=-1)
    with pytest.raises(ConfigError, match="min_off"):
        PipelineConfig(min_off=-1)


def test_a_bundles_settings() -> None:
    config = ClusteringConfig.from_mapping({"threshold": 1, "max_iterations": 5.0, "exact_items": 2_000})
    assert (config.threshold, config.max_iterations, config.exact_items, config.Fa) == (1.0, 5, 2_000, 0.07)
    assert isinstance(config.max_iterations, int) and isinstance(config.threshold, float)
    assert ClusteringConfig.from_mapping({}) == ClusteringConfig()
    with pytest.raises(ConfigError, match=r"fa, tresh.*known: Fa"):
        ClusteringConfig.from_mapping({"tresh": 1, "fa": 1})
    with pytest.raises(ConfigError, match="threshold"):
        ClusteringConfig.from_mapping({"threshold": -1})


def test_speaker_bounds() -> None:
    assert SpeakerBounds.of() == SpeakerBounds(1, None)
    assert SpeakerBounds.of(3) == SpeakerBounds(3, 3)
    assert SpeakerBounds.of(min_speakers=2) == SpeakerBounds(2, None)
    assert SpeakerBounds.of(max_speakers=4) == SpeakerBounds(1, 4)
    assert [SpeakerBounds(2, 4).clamp(count) for count in range(1, 6)] == [2, 2, 3, 4, 4]
    assert [SpeakerBounds(2).clamp(count) for count in (1, 2, 99)] == [2, 2, 99]
    for wrong in ((0, None), (-1, 3), (3, 2)):
        with pytest.raises(ConfigError, match="number of speakers"):
            SpeakerBounds(*wrong)
    for both in ({"min_speakers": 1}, {"max_speakers": 3}):
        with pytest.raises(ConfigError, match="not both"):
            SpeakerBounds.of(2, **both)


@pytest.mark.parametrize("config", [ClusteringConfig, PipelineConfig, SpeakerBounds])
def test_every_setting_has_a_sentence(config: type) -> None:
    import inspect

    source = inspect.getsource(config)
    for entry in fields(config):
        after = source.split(f"    {entry.name}: ", 1)[1].split("\n", 1)[1]
        assert after.lstrip().startswith('"""'), f"{entry.name} has no sentence"
