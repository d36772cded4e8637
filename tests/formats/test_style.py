from __future__ import annotations

import re

import pytest

from speakrs_stream.formats.style import FRAGMENT_STYLE, PAGE_STYLE


@pytest.mark.parametrize("style", [PAGE_STYLE, FRAGMENT_STYLE])
def test_braces_match_and_nothing_is_fetched(style: str) -> None:
    assert style.count("{") == style.count("}")
    assert "url(" not in style and "@import" not in style and "<" not in style


def luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(c * 2 for c in colour)
    parts = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_is_readable_in_both_schemes() -> None:
    light, dark = re.findall(r":root\{(.*?)\}", PAGE_STYLE, re.S)
    for scheme in (light, dark):
        colour = dict(re.findall(r"--([a-z-]+):#([0-9a-f]{3,6})", scheme))
        for ink in ("ink", "soft"):
            for ground in ("paper", "card"):
                bright, dim = sorted((luminance(colour[ink]), luminance(colour[ground])), reverse=True)
                assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ink, ground)  # WCAG 2.2, level AA
        bright, dim = sorted((luminance(colour["ink"]), luminance(colour["hint"])), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5
