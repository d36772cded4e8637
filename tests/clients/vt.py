"""A terminal small enough to read: cursor addressing, erasing, colours and modes, as far as our programs use them."""

from __future__ import annotations

import re

from rich.cells import cell_len

TOKEN = re.compile(r"\x1b\[(?P<args>[?\d;]*)(?P<final>[A-Za-z])|(?P<control>[\r\n])|(?P<text>[^\x1b\r\n]+)")


class Terminal:
    """What a person sees after everything that was written; anything it does not know is an error."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self._main = [[" "] * columns for _ in range(lines)]
        self._other: list[list[str]] | None = None
        self.row = self.column = 0
        self.wraps = True
        self.cursor = True
        self.cleared = 0
        """Times the whole screen was erased."""
        self.colours: set[str] = set()
        """Parameters of every colour that was used."""
        self._rest = ""
        self._place = (0, 0)

    @property
    def alternate(self) -> bool:
        """Whether a program has a screen of its own."""
        return self._other is not None

    @property
    def _cells(self) -> list[list[str]]:
        return self._main if self._other is None else self._other

    def rows(self) -> list[str]:
        """Lines without the blanks at their ends."""
        return ["".join(row).rstrip() for row in self._cells]

    def feed(self, text: str) -> None:
        """Take what was written; a sequence may be cut."""
        text = self._rest + text
        cut = text.rfind("\x1b")
        open_end = cut >= 0 and TOKEN.match(text, cut) is None
        self._rest, text = (text[cut:], text[:cut]) if open_end else ("", text)
        at = 0
        while at < len(text):
            token = TOKEN.match(text, at)
            assert token is not None, f"unknown sequence {text[at : at + 12]!r}"
            at = token.end()
            if token["text"] is not None:
                self._write(token["text"])
            elif token["control"] is not None:
                self._control(token["control"])
            else:
                self._sequence(token["args"], token["final"])

    def _control(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif self.row == self.lines - 1:
            self._cells.append([" "] * self.columns)
            del self._cells[0]
        else:
            self.row += 1

    def _write(self, text: str) -> None:
        for character in text:
            width = cell_len(character)
            if self.column + width > self.columns:
                if not self.wraps:
                    continue
                self._control("\r")
                self._control("\n")
            self._cells[self.row][self.column : self.column + width] = [character, *[""] * (width - 1)]
            self.column += width

    def _sequence(self, args: str, final: str) -> None:
        blank = [" "] * self.columns
        match args, final:
            case "?1049", "h":
                self._other = [blank.copy() for _ in range(self.lines)]
                self._place = (self.row, self.column)
            case "?1049", "l":
                self._other = None
                self.row, self.column = self._place
            case ("?25", "h") | ("?25", "l"):
                self.cursor = final == "h"
            case ("?7", "h") | ("?7", "l"):
                self.wraps = final == "h"
            case "?2026", _:
                pass
            case "2", "J":
                self._cells[:] = [blank.copy() for _ in range(self.lines)]
                self.cleared += 1
            case "", "J":
                self._cells[self.row][self.column :] = blank[self.column :]
                self._cells[self.row + 1 :] = [blank.copy() for _ in range(self.lines - self.row - 1)]
            case "2", "K":
                self._cells[self.row][:] = blank
            case _, "A":
                self.row = max(0, self.row - int(args or 1))
            case _, "H":
                row, _, column = args.partition(";")
                self.row, self.column = int(row or 1) - 1, int(column or 1) - 1
            case _, "m":
                if args not in ("0", "1", "2"):
                    self.colours.add(args)
            case _:
                raise AssertionError(f"unknown sequence {args!r} {final!r}")
