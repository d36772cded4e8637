from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Turn
from speakrs_stream.formats.html import MOST_ROWS, SHORT_LIST, fragment, render, speech_and_overlap

VOID = {"meta", "input", "br", "hr", "img", "link"}


class Page(HTMLParser):
    """Tags in order, text, and whether every tag is closed where it must be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def test_the_page_is_well_formed_and_complete(meeting: Diarization) -> None:
    page = Page(render(meeting))
    assert page.count("svg") == 1 and page.count("h1") == 1
    text = " ".join(page.words)
    for expected in ("weekly meeting", "1:00", "Alice", "SPEAKER_02", "cut short", "embedded 1", "0:50.0"):
        assert expected in text


def test_nothing_is_loaded_and_no_script_runs(meeting: Diarization, hostile: Diarization) -> None:
    for text in (render(meeting), render(hostile), fragment(meeting), fragment(hostile)):
        page = Page(text)
        assert not {"script", "link", "img", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
        for tag, attributes in page.tags:
            assert not {"src", "href", "onclick", "onload", "action"} & set(attributes), tag
        assert "@import" not in text and "url(" not in text
        assert text.count("http") == text.count("http://www.w3.org/2000/svg") + text.count("http-equiv")
    assert "default-src 'none'" in render(meeting)


def test_labels_are_shown_as_text(hostile: Diarization) -> None:
    page = Page(render(hostile))
    assert "<script>alert(1)</script>" in page.words
    assert not any("onerror" in attributes for _, attributes in page.tags)


def test_ids_are_unique_and_labels_lead_somewhere(meeting: Diarization) -> None:
    page = Page(render(meeting))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a} <= set(ids)


def test_a_box_for_each_speaker_hides_its_rows(meeting: Diarization) -> None:
    text = render(meeting)
    boxes = [a["id"] for tag, a in Page(text).tags if tag == "input"]
    assert boxes == ["s0", "s1", "s2"]
    assert "main:has(#s2:not(:checked)) .r2{display:none}" in text
    assert text.count('<tr class="r0">') == 2


def test_long_recordings_get_a_close_up() -> None:
    for length in (61, 600, 3_600, 43_200):
        turns = [Turn(Span(s * 16_000, (s + 5) * 16_000), "A") for s in range(0, length - 5, max(7, length // 50))]
        pictures = Page(render(Diarization.from_turns(turns, samples=length * 16_000))).count("svg")
        assert 3 <= pictures <= MOST_ROWS + 1


def test_a_result_without_turns(nobody: Diarization) -> None:
    page = Page(render(nobody))
    assert page.count("table") == 0 and "Nobody speaks" in " ".join(page.words)
    assert "Nobody speaks" in fragment(nobody)


def test_the_notebook_view_is_short(meeting: Diarization) -> None:
    many = replace(meeting, turns=tuple(Turn(Span(i * 100, i * 100 + 50), "SPEAKER_00") for i in range(1_000)))
    page = Page(fragment(many))
    assert page.count("tr") == SHORT_LIST + 1
    assert "and 988 more turns" in page.words


def test_speech_and_overlap(meeting: Diarization) -> None:
    assert speech_and_overlap(meeting) == (80_000 + 64_006 + 160_000, 8_000)
