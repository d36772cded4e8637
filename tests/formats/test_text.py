from __future__ import annotations

from pathlib import Path

import pytest

from speakrs_stream.core.grid import Span
from speakrs_stream.errors import FormatError
from speakrs_stream.formats.text import clock, cue_times, decode, milliseconds, one_line, one_word, read_text, unique


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("Alice", "Alice", "Alice"),
        (" Alice  B. ", "Alice  B.", "Alice_B."),
        ("a\nb\tc\x00d", "a b c d", "a_b_c_d"),
        ("\u202eabc\u2028", "abc", "abc"),
        ("", "_", "_"),
        (" \n ", "_", "_"),
        ("a\u00a0b\u3000c", "a\u00a0b\u3000c", "a_b_c"),
    ],
)
def test_names_become_one_line_and_one_word(text: str, line: str, word: str) -> None:
    assert (one_line(text), one_word(text)) == (line, word)


def test_names_that_fall_together_are_told_apart() -> None:
    assert unique(["a b", "a_b", "a\tb", "a_b_2"], one_word) == {
        "a b": "a_b",
        "a_b": "a_b_2",
        "a\tb": "a_b_3",
        "a_b_2": "a_b_2_2",
    }


def test_times() -> None:
    assert [milliseconds(n) for n in (0, 7, 8, 16, 23, 24)] == [0, 0, 1, 1, 1, 2]
    assert clock(16_000 * 3723 + 4_000) == "01:02:03.250"
    assert clock(16_000 * 360_000, ",") == "100:00:00,000"
    assert cue_times(Span(16_000, 16_003)) == (1000, 1001)


def test_text_files_of_several_encodings(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        path = tmp_path / encoding
        path.write_bytes("Zoë: “hi”\n".encode(encoding))
        assert read_text(path) == "Zoë: “hi”\n"


def test_what_is_no_text_says_so(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not a text file"):
        decode(b"RIFF\x00\x00", "x.wav")
    with pytest.raises(FormatError, match=r"nothing\.srt: No such file"):
        read_text(tmp_path / "nothing.srt")
    with pytest.raises(FormatError, match="Is a directory"):
        read_text(tmp_path)
