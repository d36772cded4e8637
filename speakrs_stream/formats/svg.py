"""The timeline as a picture: one lane per speaker, a time axis, a hint on every turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from unicodedata import combining, east_asian_width

from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.diarization import Diarization, spans_by_speaker
from speakrs_stream.formats.palette import colours
from speakrs_stream.formats.text import one_line

NICE_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
"""Seconds between two ticks that people can read."""

MANY = 3000
"""Turns past which a speaker's turns become one shape without hints, so that the picture stays light."""

FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Sizes of a drawing, in units of its view box (pixels at full size)."""

    width: int = 1000
    """Whole width."""

    lane: int = 24
    """Height of a speaker's lane."""

    gap: int = 8
    """Distance between lanes."""

    gutter: int | None = None
    """Room left of the lanes for names; 0 draws none, None makes it fit."""

    margin: int = 16
    """Empty border."""

    ticks: int = 9
    """Most ticks on the axis."""


def render(diarization: Diarization, *, exclusive: bool = False) -> str:
    """A picture of its own, light or dark as the viewer prefers."""
    style = (
        f".ink{{fill:#1c2430}}.line{{stroke:#1c2430}}.paper{{fill:#fff}}text{{font-family:{FONT}}}"
        "@media(prefers-color-scheme:dark){.ink{fill:#e8ebf0}.line{stroke:#e8ebf0}.paper{fill:#14181f}}"
    )
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + timeline(
        diarization, exclusive=exclusive, style=style, paper=True
    )


def timeline(
    diarization: Diarization,
    *,
    exclusive: bool = False,
    within: Span | None = None,
    layout: Layout | None = None,
    style: str = "",
    paper: bool = False,
) -> str:
    """The `<svg>` element. Without `style` and `paper` it takes its text colour from the page around it.

    within: the part to draw, in samples; None draws all
    """
    layout = layout or Layout()
    span = within or Span(0, max(1, diarization.samples, *(turn.span.end for turn in diarization.turns)))
    lanes = {s.label: one_line(s.shown) for s in diarization.speakers}
    gutter = layout.gutter
    if gutter is None:
        gutter = min(220, 14 + round(max((_text_width(name) for name in lanes.values()), default=0)))
    left, right = layout.margin + gutter, layout.width - layout.margin
    lane_step = layout.lane + layout.gap
    bottom = layout.margin + max(1, len(lanes)) * lane_step - layout.gap
    height = bottom + 26 + layout.margin // 2
    spans = spans_by_speaker(diarization.view(exclusive))
    hue = colours(diarization.labels)
    drawing = _Lanes(left, right, span, layout)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {layout.width} {height}" role="img" '
        f'aria-label="{escape(_spoken(diarization, lanes))}" width="100%" style="max-width:{layout.width}px">',
        f"<style>{style}</style>" if style else "",
        f"<title>{escape(_spoken(diarization, lanes))}</title>",
        f'<rect class="paper" width="{layout.width}" height="{height}" rx="10"/>' if paper else "",
        drawing.axis(bottom),
    ]
    many = sum(map(len, spans.values())) > MANY
    for index, (label, name) in enumerate(lanes.items()):
        top = layout.margin + index * lane_step
        if gutter:
            parts.append(
                f'<text class="ink" fill="currentColor" x="{left - 12}" y="{top + layout.lane / 2 + 4.5:g}" '
                f'text-anchor="end" font-size="13" font-weight="600">{escape(_shortened(name, gutter - 14))}</text>'
            )
        parts.append(drawing.track(top))
        own = _clipped(spans.get(label, []), span)
        parts.append(drawing.shape(own, top, hue[label]) if many else drawing.bars(own, top, hue[label], name))
    if not lanes:
        middle = layout.margin + layout.lane / 2 + 4.5
        parts.append(drawing.track(layout.margin))
        parts.append(
            f'<text class="ink" fill="currentColor" x="{(left + right) / 2:g}" y="{middle:g}" text-anchor="middle" '
            'font-size="13" opacity=".7">nobody speaks</text>'
        )
    return "\n".join(part for part in (*parts, "</svg>") if part) + "\n"


@dataclass(frozen=True, slots=True)
class _Lanes:
    """Draws pieces of a timeline that shows `span` between x positions `left` and `right`."""

    left: int
    right: int
    span: Span
    layout: Layout

    def x(self, sample: int) -> float:
        """Horizontal position of a sample."""
        share = (sample - self.span.start) / max(1, self.span.samples)
        return self.left + share * (self.right - self.left)

    def track(self, top: int) -> str:
        """The empty lane."""
        return (
            f'<rect class="ink" fill="currentColor" opacity=".07" x="{self.left}" y="{top}" '
            f'width="{self.right - self.left}" height="{self.layout.lane}" rx="5"/>'
        )

    def bars(self, spans: Sequence[Span], top: int, colour: str, name: str) -> str:
        """Turns with hints."""
        bars = []
        for span in spans:
            x, width = self.x(span.start), max(0.8, self.x(span.end) - self.x(span.start))
            hint = f"{escape(name)} · {moment(span.start)} to {moment(span.end)} ({span.seconds:.1f} s)"
            bars.append(
                f'<rect x="{x:.2f}" y="{top}" width="{width:.2f}" height="{self.layout.lane}" '
                f'rx="{min(3.0, width / 2):.3g}"><title>{hint}</title></rect>'
            )
        return f'<g fill="{colour}">' + "".join(bars) + "</g>" if bars else ""

    def shape(self, spans: Sequence[Span], top: int, colour: str) -> str:
        """All turns of a speaker as one path."""
        steps = []
        for span in spans:
            x, width = self.x(span.start), max(0.4, self.x(span.end) - self.x(span.start))
            steps.append(f"M{x:.1f} {top}h{width:.1f}v{self.layout.lane}h-{width:.1f}z")
        return f'<path fill="{colour}" d="{"".join(steps)}"/>' if steps else ""

    def axis(self, bottom: int) -> str:
        """Ticks with their times, and faint lines through the lanes."""
        step = tick_step(self.span.seconds, self.layout.ticks)
        first = -(-self.span.start // round(step * SAMPLE_RATE))
        last = self.span.end // round(step * SAMPLE_RATE)
        parts = []
        for number in range(first, last + 1):
            sample = number * round(step * SAMPLE_RATE)
            x = self.x(sample)
            label = moment(sample, tenths=step < 1)
            anchor = "start" if x < self.left + 12 else "end" if x > self.right - 18 else "middle"
            parts.append(
                f'<line class="line" stroke="currentColor" opacity=".16" x1="{x:.1f}" x2="{x:.1f}" '
                f'y1="{self.layout.margin}" y2="{bottom + 6}"/><text class="ink" fill="currentColor" opacity=".75" '
                f'x="{x:.1f}" y="{bottom + 21}" text-anchor="{anchor}" font-size="11.5">{label}</text>'
            )
        return "".join(parts)


def tick_step(seconds: float, most: int) -> float:
    """Seconds between ticks so that there are at most `most` of them."""
    return next((step for step in NICE_STEPS if seconds / step <= most), max(1.0, seconds))


def moment(samples: int, *, tenths: bool = False) -> str:
    """Samples at 16 kHz as people say a time: `2:03`, `1:02:03`, with `tenths` `0:03.5`."""
    whole, rest = divmod(samples * 10 // SAMPLE_RATE, 10)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
    return f"{text}.{rest}" if tenths else text


def _clipped(spans: Sequence[Span], within: Span) -> list[Span]:
    """The parts of `spans` inside `within`."""
    touched = (s for s in spans if s.start < within.end and s.end > within.start)
    return [Span(max(s.start, within.start), min(s.end, within.end)) for s in touched]


def _spoken(diarization: Diarization, lanes: Mapping[str, str]) -> str:
    """What the picture shows, for people who hear it described."""
    airtime = diarization.airtime()
    who = ", ".join(f"{lanes[label]} {spoken:.0f} s" for label, (spoken, _) in airtime.items()) or "nobody speaks"
    return f"Who spoke when in {one_line(diarization.uri)}, {diarization.duration:.0f} s: {who}"


def _text_width(text: str) -> float:
    """About how wide a text of size 13 in half bold is."""
    return sum(0.0 if combining(c) else 13.5 if east_asian_width(c) in "WF" else 8.0 for c in text)


def _shortened(text: str, width: float) -> str:
    """`text`, or its start and an ellipsis, so that it fits."""
    if _text_width(text) <= width:
        return text
    while text and _text_width(text) + 10 > width:
        text = text[:-1]
    return text.rstrip() + "…"
