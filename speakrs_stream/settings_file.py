"""Settings of the clustering in a file: what `speakrs-stream tune` writes and `--settings` reads."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from speakrs_stream.core.config import ClusteringConfig, PipelineConfig
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.errors import ConfigError
from speakrs_stream.formats.atomic import write_text_atomically
from speakrs_stream.models.bundle import ModelBundle

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "bundle": ("name", "sha256"),
    "clustering": tuple(ClusteringConfig.__dataclass_fields__),
    "turns": ("min_on", "min_off"),
}
"""Table -> what it may hold; `step` and `note` stand before them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSettings:
    """Settings that were found for one bundle."""

    bundle: str
    """Its name, for people."""
    sha256: str
    """Its hash: settings fit no other."""
    step: int
    """Samples between windows."""
    clustering: Mapping[str, float]
    """Settings of the clustering, by name."""
    turns: Mapping[str, int]
    """`min_on` and `min_off`, in frames."""
    source: str = "these settings"
    """The file, for messages."""

    def config(self, bundle: ModelBundle, config: PipelineConfig, *, step: float | None = None) -> PipelineConfig:
        """A configuration with these settings; step: seconds that were asked for.

        Raises ConfigError where they were made for another bundle or step.
        """
        if self.sha256 != bundle.sha256:
            raise ConfigError(
                f"{self.source} was made for the bundle {self.bundle} ({self.sha256[:12]}), not for {bundle.name} "
                f"({bundle.sha256[:12]}); run `speakrs-stream tune` with this bundle, or choose that one with --bundle"
            )
        if step is not None and round(step * SAMPLE_RATE) != self.step:
            raise ConfigError(
                f"{self.source} was made for windows every {self.step / SAMPLE_RATE:g} s, not every {step:g} s; "
                "leave out --step"
            )
        clustering = ClusteringConfig.from_mapping({**bundle.clustering, **self.clustering})
        return replace(config, step=self.step, clustering=clustering, **self.turns)  # type: ignore[arg-type]


def write_settings(path: str | os.PathLike[str], settings: PipelineSettings, note: str = "") -> Path:
    """Write a file, whole or not at all. note: what a person should know of where it comes from."""
    lines = [f"# {line}".rstrip() for line in note.splitlines()]
    lines += [f"step = {settings.step / SAMPLE_RATE!r}", "", "[bundle]"]
    lines += [f"name = {_quoted(settings.bundle)}", f"sha256 = {_quoted(settings.sha256)}", "", "[clustering]"]
    lines += [f"{name} = {float(value)!r}" for name, value in settings.clustering.items()]
    lines += ["", "[turns]", *(f"{name} = {value}" for name, value in settings.turns.items())]
    return write_text_atomically(path, "\n".join(lines) + "\n")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_settings(path: str | os.PathLike[str]) -> PipelineSettings:
    """Read a file; ConfigError that names what is wrong in it."""
    name = os.fspath(path)
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the settings in {name}: {error}") from error
    unknown = sorted(set(document) - {"step", *SECTIONS})
    for section, known in SECTIONS.items():
        table = document.get(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{name}: {section} must be a table")
        unknown += [f"{section}.{key}" for key in sorted(set(table) - set(known))]
    if unknown:
        raise ConfigError(f"{name} sets {', '.join(unknown)}, which is no setting; run `speakrs-stream tune` again")
    bundle = document.get("bundle", {})
    settings = PipelineSettings(
        bundle=_text(bundle, "name", name),
        sha256=_text(bundle, "sha256", name),
        step=round(_number(document.get("step", 1.0), "step", name) * SAMPLE_RATE),
        clustering={
            key: _number(value, f"clustering.{key}", name) for key, value in document.get("clustering", {}).items()
        },
        turns={key: _whole(value, f"turns.{key}", name) for key, value in document.get("turns", {}).items()},
        source=name,
    )
    try:  # ranges
        PipelineConfig(
            step=settings.step,
            clustering=ClusteringConfig.from_mapping(settings.clustering),
            **settings.turns,  # type: ignore[arg-type]
        )
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
    return settings


def _text(table: Mapping[str, Any], key: str, name: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{name}: bundle.{key} is missing: settings must say which bundle they are for")
    return value


def _number(value: Any, key: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{name}: {key} must be a number, got {value!r}")
    return float(value)


def _whole(value: Any, key: str, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name}: {key} must be a whole number of frames, got {value!r}")
    return value
