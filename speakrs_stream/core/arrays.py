"""Names for the array types used in the core, and a growing array with absolute indices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


def frozen(array: Array) -> Array:
    """The same array, made read-only."""
    array.setflags(write=False)
    return array


def below(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    """Entries whose name starts with `prefix`, without it."""
    return {name.removeprefix(prefix): rows for name, rows in arrays.items() if name.startswith(prefix)}


class Tape:
    """Rows appended at the end and forgotten at the start; indices stay absolute as if nothing was forgotten.

    rows: any shape `row`, one dtype. Appending is amortised constant time. What was read stays as it is: rows that were
    forgotten are never written over.
    """

    def __init__(self, row: tuple[int, ...] = (), dtype: DTypeLike = np.float32, start: int = 0) -> None:
        self._data: Array = np.empty((64, *row), dtype)
        self._offset = 0
        self._length = 0
        self.start = start
        """Absolute index of the first row still held."""

    @property
    def end(self) -> int:
        """Absolute index one past the last row."""
        return self.start + self._length

    def append(self, rows: Array) -> None:
        """Add rows (n, *row) at the end."""
        count = len(rows)
        at = self._offset + self._length
        if at + count > len(self._data):
            fits = self._length + count <= len(self._data) // 2
            room = len(self._data) if fits else max(2 * len(self._data), self._length + count)
            moved = np.empty((room, *self._data.shape[1:]), self._data.dtype)
            moved[: self._length] = self.all()
            self._data, self._offset, at = moved, 0, self._length
        self._data[at : at + count] = rows
        self._length += count

    def forget(self, before: int) -> None:
        """Drop rows with absolute index below `before`."""
        count = min(max(before - self.start, 0), self._length)
        self._offset += count
        self._length -= count
        self.start += count

    def get(self, start: int, end: int) -> Array:
        """View of rows start..end by absolute index; IndexError when some are not held."""
        if not self.start <= start <= end <= self.start + self._length:
            raise IndexError(f"rows {start}..{end} are not held, only {self.start}..{self.end}")
        at = self._offset + start - self.start
        return self._data[at : at + end - start]

    def all(self) -> Array:
        """View of every row held."""
        return self.get(self.start, self.end)

    @classmethod
    def of(cls, rows: Array, start: int) -> Tape:
        """A tape that holds `rows` from absolute index `start` on, as a snapshot gives them back."""
        tape = cls(rows.shape[1:], rows.dtype, start)
        tape.append(rows)
        return tape
