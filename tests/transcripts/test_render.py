from __future__ import annotations

from speakrs_stream.core.grid import Span
from speakrs_stream.transcripts.render import LONGEST_CUE, MOST_CHARACTERS, passages, to_ctm, to_script, to_srt, to_vtt
from speakrs_stream.words import LabelledWord, Word

S = 16_000


def said(speaker: str, *words: str, start: float = 0, each: float = 0.5) -> list[LabelledWord]:
    """Words one after the other."""
    return [
        LabelledWord(Word(text, Span(round((start + i * each) * S), round((start + (i + 1) * each) * S))), speaker)
        for i, text in enumerate(words)
    ]


def test_a_script_has_a_paragraph_each_time_the_speaker_changes() -> None:
    words = [*said("Ann", "hello", "there"), *said("Bob", "hi", start=1), *said("Ann", "so", start=3723)]
    assert to_script(words, " ", False, {"Ann": "Anna"}) == (
        "[00:00:00] Anna: hello there\n\n[00:00:01] Bob: hi\n\n[01:02:03] Anna: so\n"
    )
    assert to_script([LabelledWord(Word("x", None), "Ann")], " ", False, {}) == "Ann: x\n"


def test_subtitles_change_with_the_speaker_and_stay_readable() -> None:
    words = said("Ann", *(["word"] * 100), each=0.3)
    cues = list(passages(words, " ", limited=True, names={}))
    assert len(cues) > 3
    for cue in cues:
        assert cue.span and cue.span.samples <= LONGEST_CUE and len(cue.text) <= MOST_CHARACTERS
    assert " ".join(cue.text for cue in cues) == " ".join(["word"] * 100)


def test_subtitles_end_at_pauses_and_sentences() -> None:
    words = [*said("Ann", "one", "two"), *said("Ann", "three", start=3)]
    assert [cue.text for cue in passages(words, " ", limited=True, names={})] == ["one two", "three"]
    words = said("Ann", "a", "b", "c", "d", "e", "end.", "Next", "one", each=0.6)
    assert [cue.text for cue in passages(words, " ", limited=True, names={})] == ["a b c d e end.", "Next one"]


def test_subtitles_that_were_subtitles_stay_as_they_are() -> None:
    words = said("Ann", "one sentence", "another")
    assert [cue.text for cue in passages(words, " ", limited=True, whole=True, names={})] == ["one sentence", "another"]


def test_formats() -> None:
    words = [*said("A <b>", "1 < 2", "ok"), LabelledWord(Word("lost", None), "Bob")]
    assert to_srt(words, " ", False, {}) == "1\n00:00:00,000 --> 00:00:01,000\nA ‹b›: 1 ‹ 2 ok\n\n"
    assert to_vtt(words, " ", False, {}) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<v A &lt;b&gt;>1 &lt; 2 ok</v>\n\n"
    )
    assert to_ctm(words, " ", False, {}).splitlines() == [
        "recording 1 0.000 0.167 1 NA lex A_<b>",
        "recording 1 0.167 0.166 < NA lex A_<b>",
        "recording 1 0.333 0.167 2 NA lex A_<b>",
        "recording 1 0.500 0.500 ok NA lex A_<b>",
    ]


def test_words_that_bring_their_blanks_are_joined_as_they_are() -> None:
    (cue,) = passages(said("A", " don", "'t", " go"), "", limited=True, names={})
    assert cue.text == "don't go"
