"""The timeline as a PNG picture, through matplotlib (extra `plot`)."""

from __future__ import annotations

import io

from speakrs_stream.diarization import Diarization, spans_by_speaker
from speakrs_stream.errors import MissingExtra
from speakrs_stream.formats.palette import colours
from speakrs_stream.formats.svg import moment, tick_step
from speakrs_stream.formats.text import one_line


def render(diarization: Diarization, *, exclusive: bool = False, dpi: int = 150) -> bytes:
    """PNG bytes on white, 10 inches wide at `dpi` dots per inch; raises MissingExtra without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "plot", "a PNG timeline") from error
    # Figure without pyplot: no window system, no state that outlives this call.
    labels = diarization.labels
    lanes = max(1, len(labels))
    figure = Figure(figsize=(10, min(40.0, 0.9 + 0.36 * lanes)), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    spans, hue = spans_by_speaker(diarization.view(exclusive)), colours(labels)
    end = max([1, diarization.samples, *(own[-1].end for own in spans.values())])
    for lane, label in enumerate(labels):
        bars = [(span.start, span.samples) for span in spans.get(label, [])]
        axes.axhspan(lane - 0.38, lane + 0.38, color="#1c2430", alpha=0.05, linewidth=0)
        axes.broken_barh(bars, (lane - 0.38, 0.76), facecolors=hue[label])
    axes.set_xlim(0, end)
    axes.set_ylim(lanes - 0.5, -0.5)
    # A dollar sign would start a formula.
    names = [one_line(diarization.shown(label)).replace("$", r"\$") for label in labels]
    axes.set_yticks(range(len(labels)), names)
    step = tick_step(end / 16_000, 9)
    ticks = range(0, end + 1, round(step * 16_000))
    axes.set_xticks(list(ticks), [moment(tick, tenths=step < 1) for tick in ticks])
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
