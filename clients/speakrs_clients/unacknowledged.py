"""What was handed to a client and is not safe at the server yet: audio and, between it, commands. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """Audio to send next."""

    position: int
    """Of its first sample since the start."""
    payload: bytes
    """Its samples as the encoding writes them."""
    after_gap: bool
    """Whether audio is missing in front of it."""


@dataclass(frozen=True, slots=True)
class Order:
    """A command and its place in the audio."""

    position: int
    """Samples that come before it."""
    data: bytes
    """The message."""


class Unacknowledged:
    """A queue with three marks: what is forgotten, what was sent, what was handed over. Positions are samples."""

    def __init__(self, width: int) -> None:
        """width: bytes of one sample of all channels."""
        self.width = width
        self.start = 0
        """Everything before this is safe at the server."""
        self.sent = 0
        """Everything before this was sent over the present connection, or need not be."""
        self.highest = 0
        """Everything before this was sent at least once."""
        self.end = 0
        """Position after the last audio that was handed over."""
        self._runs: deque[tuple[int, bytearray]] = deque()  # gapless stretches: position, samples
        self._orders: deque[Order] = deque()
        self._given = 0  # orders that were sent over the present connection

    @property
    def held(self) -> int:
        """Bytes of audio that are kept."""
        return sum(len(data) for _, data in self._runs)

    @property
    def waiting(self) -> int:
        """Samples that were never sent."""
        return sum(
            max(position + len(data) // self.width - max(position, self.highest), 0) for position, data in self._runs
        )

    def push(self, payload: bytes, at: int | None = None) -> None:
        """Take audio over. at: its position; what lies before `end` is dropped. ValueError for parts of samples."""
        if len(payload) % self.width:
            raise ValueError(f"{len(payload)} bytes are no whole samples of {self.width} bytes")
        position = self.end if at is None else at
        payload = payload[max(self.end - position, 0) * self.width :]
        position = max(position, self.end)
        if not payload:
            return
        if position > self.end or not self._runs:
            self._runs.append((position, bytearray()))
        self._runs[-1][1].extend(payload)
        self.end = position + len(payload) // self.width

    def order(self, data: bytes) -> None:
        """Take a command over; it goes out after all audio before it."""
        self._orders.append(Order(self.end, data))

    def forget(self, durable: int) -> None:
        """Audio before this is safe, and so are the commands before that audio's end."""
        self.start = max(self.start, durable)
        while self._runs:
            position, data = self._runs[0]
            gone = min(max((self.start - position) * self.width, 0), len(data))
            if gone < len(data):
                if gone:
                    del data[:gone]
                    self._runs[0] = (position + gone // self.width, data)
                return self._forget_orders()
            if len(self._runs) == 1 and self._runs[0][0] + len(data) // self.width == self.end:
                data.clear()  # the next audio follows here
                self._runs[0] = (self.end, data)
                return self._forget_orders()
            self._runs.popleft()
        self._forget_orders()

    def _forget_orders(self) -> None:
        while self._orders and self._orders[0].position < self.start:
            self._orders.popleft()
            self._given = max(self._given - 1, 0)

    def rewind(self, position: int) -> None:
        """A new connection: the server has everything before `position`, and the commands before that.

        A command right at `position` may have arrived or not, so it is given again. ValueError where what the server
        wants is gone, or was never sent.
        """
        if position < self.start or position > self.highest:
            raise ValueError(f"the server goes on at sample {position}, known are {self.start} to {self.highest}")
        self.sent = position
        self._given = sum(order.position < position for order in self._orders)

    def next_order(self) -> bytes | None:
        """A command whose turn it is; None where there is none."""
        if self._given < len(self._orders) and self._orders[self._given].position <= self.sent:
            self._given += 1
            return self._orders[self._given - 1].data
        return None

    def next_audio(self, most: int) -> Piece | None:
        """At most `most` samples of audio whose turn it is; None where there is none."""
        limit = self._orders[self._given].position if self._given < len(self._orders) else self.end
        for position, data in self._runs:
            until = min(position + len(data) // self.width, limit)
            begin = max(position, self.sent)
            if begin >= until:
                continue
            count = min(most, until - begin)
            offset = (begin - position) * self.width
            piece = Piece(begin, bytes(data[offset : offset + count * self.width]), begin > self.sent)
            self.sent = begin + count
            self.highest = max(self.highest, self.sent)
            return piece
        return None

    @property
    def idle(self) -> bool:
        """Whether everything was sent over the present connection."""
        return self.sent >= self.end and self._given == len(self._orders)
