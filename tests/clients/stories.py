"""Random messages as a server could tell them, for tests of everything that folds them."""

from __future__ import annotations

import random

from speakrs_server import messages
from speakrs_server.board import Board
from speakrs_server.identifiers import turn_id
from speakrs_server.messages import LabelledWord, RelabelledWord, ServerMessage

SESSION = "8NB76N0M5YTDF48MTM5VPTVFC9"


class Teller:
    """A session whose turns, speakers and words are made up; every message follows from those before it."""

    def __init__(self, chance: random.Random) -> None:
        self.told: list[ServerMessage] = []
        self._chance = chance
        self._seq = 0
        self._now = 0
        self._turns: dict[str, messages.TurnProvisional] = {}
        self._last_turn = 0
        self._alive: list[str] = []
        self._speakers = 0
        self._waiting: list[str] = []
        self._settled: list[str] = []
        self._words = 0
        self._marks = (0, 0)

    def run(self, steps: int, *, end: bool = True) -> list[ServerMessage]:
        """Some messages; to the end of the session unless `end` says otherwise."""
        self._tell(
            messages.SessionStarted(
                seq=self._next(),
                protocol="1.0",
                session=SESSION,
                server="test",
                models=messages.Models(bundle="made-up", sha256="00"),
                audio=messages.AudioFormat(),
                max_delay_ms=4000,
                durability="synced",
                resume=messages.Resume(token="r1", window_s=300),
                limits=messages.Limits(
                    max_frame_bytes=65_536,
                    max_frame_ms=1000,
                    max_unacked_ms=10_000,
                    max_rate=2.0,
                    max_session_s=43_200,
                    idle_s=60.0,
                ),
                heartbeat_s=10.0,
            )
        )
        moves = [self._created, self._shown, self._shown, self._shown, self._moved, self._moved, self._settle]
        moves += [self._settle, self._retract, self._merged, self._named, self._split, self._mark, self._label]
        moves += [self._relabel, self._passing]
        for _ in range(steps):
            self._chance.choice(moves)()
        if end:
            while self._turns:
                self._settle()
            self._label_all()
            self._mark()
            self._tell(messages.SessionFinalizing(seq=self._next(), left_ms=0))
            self._tell(
                messages.SessionFinal(
                    seq=self._next(),
                    samples=self._now * 16,
                    audio_ms=self._now,
                    speakers=(),
                    live_to_final={},
                    results=messages.Results(live="/live", final="/final"),
                    sha256=messages.Digests(audio="", live_rttm="", final_rttm=""),
                )
            )
        return self.told

    def _tell(self, message: ServerMessage) -> None:
        self.told.append(message)

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _created(self) -> None:
        self._speakers += 1
        self._alive.append(f"S{self._speakers}")
        self._tell(messages.SpeakerCreated(seq=self._next(), speaker=self._alive[-1], at_ms=self._now))

    def _anybody(self) -> str:
        if not self._speakers:
            self._created()
        return f"S{self._chance.randint(1, self._speakers)}"

    def _shown(self) -> None:
        speaker = self._anybody()
        self._last_turn += 1
        start = self._now + self._chance.randint(0, 500)
        self._now = start + self._chance.randint(100, 3000)
        turn = messages.TurnProvisional(
            turn=turn_id(self._last_turn), rev=1, speaker=speaker, start_ms=start, end_ms=self._now
        )
        self._turns[turn.turn] = turn
        self._tell(turn)

    def _moved(self) -> None:
        if self._turns:
            old = self._chance.choice(list(self._turns.values()))
            speaker = self._anybody() if self._chance.random() < 0.3 else old.speaker
            turn = messages.TurnProvisional(
                turn=old.turn,
                rev=old.rev + self._chance.randint(1, 3),
                speaker=speaker,
                start_ms=old.start_ms,
                end_ms=old.end_ms + self._chance.randint(0, 900),
                was=old.speaker if speaker != old.speaker else None,
            )
            self._turns[turn.turn] = turn
            self._tell(turn)

    def _settle(self) -> None:
        if self._turns:
            turn = self._turns.pop(self._chance.choice(list(self._turns)))
            self._tell(
                messages.TurnFinal(
                    seq=self._next(),
                    turn=turn.turn,
                    rev=turn.rev + 1,
                    speaker=turn.speaker,
                    start_ms=turn.start_ms,
                    end_ms=turn.end_ms,
                )
            )

    def _retract(self) -> None:
        if self._turns:
            turn = self._turns.pop(self._chance.choice(list(self._turns)))
            self._tell(messages.TurnRetracted(seq=self._next(), turn=turn.turn, rev=turn.rev + 1))

    def _merged(self) -> None:
        if len(self._alive) > 1:
            gone, into = self._chance.sample(self._alive, 2)
            self._alive.remove(gone)
            self._tell(messages.SpeakerMerged(seq=self._next(), speaker=gone, into=into))

    def _named(self) -> None:
        name, speaker = self._chance.choice(["Ann", "Bob", "Łucja", "李"]), self._anybody()
        self._tell(messages.SpeakerNamed(seq=self._next(), speaker=speaker, name=name))

    def _split(self) -> None:
        speaker = self._anybody()
        self._created()
        self._tell(messages.SpeakerSplit(seq=self._next(), speaker=speaker, into=(speaker, self._alive[-1])))

    def _mark(self) -> None:
        final = self._chance.randint(self._marks[0], max(self._now, self._marks[0]))
        self._marks = final, max(self._now, self._marks[1])
        self._tell(messages.WatermarkMoved(seq=self._next(), final_until_ms=final, processed_until_ms=self._marks[1]))

    def _label(self) -> None:
        self._words += 1
        self._waiting.append(f"w{self._words}")
        word = self._chance.choice(self._waiting)
        if self._chance.random() < 0.5:
            self._waiting.remove(word)
            self._settled.append(word)
            labels = self._labels(word)
            batch = self._chance.choice([None, "b1", "b2"])
            self._tell(messages.WordsLabelled(status="final", batch=batch, words=labels, seq=self._next()))
        elif self._chance.random() < 0.5:
            self._tell(messages.WordsLabelled(status="provisional", words=self._labels(word)))
        else:
            some = [name for name in self._waiting if self._chance.random() < 0.5]
            self._waiting = [name for name in self._waiting if name in some or self._chance.random() < 0.9]
            batch = f"b{self._chance.randint(1, 3)}"
            self._tell(messages.WordsLabelled(status="provisional", batch=batch, words=self._labels(*some)))

    def _label_all(self) -> None:
        labels = self._labels(*self._waiting)
        self._tell(messages.WordsLabelled(status="final", words=labels, seq=self._next()))
        self._waiting.clear()

    def _labels(self, *words: str) -> tuple[LabelledWord, ...]:
        return tuple(LabelledWord(id=word, speaker=self._anybody(), share=0.5) for word in words)

    def _relabel(self) -> None:
        if self._settled:
            words = (RelabelledWord(id=self._chance.choice(self._settled), speaker=self._anybody()),)
            cause = max(self._seq, 1)
            self._tell(messages.WordsRelabelled(seq=self._next(), words=words, cause=cause))

    def _passing(self) -> None:
        at = self._now * 16
        choices: list[ServerMessage] = [
            messages.AudioAck(received=at, durable=at, processed=at),
            messages.Pong(id=1),
            messages.Heartbeat(t=0, received_ms=0, processed_ms=0, lag_ms=0),
            messages.Flow(state="slow", lag_ms=7),
            messages.Warn(code="audio", message="clipped"),
        ]
        self._tell(self._chance.choice(choices))


def story(seed: int, steps: int = 60, *, end: bool = True) -> list[ServerMessage]:
    """The messages of one made-up session."""
    return Teller(random.Random(seed)).run(steps, end=end)


def durable(message: object) -> int | None:
    """Number of a message; None for what has none."""
    return getattr(message, "seq", None)


def interrupted(told: list[ServerMessage], chance: random.Random) -> list[ServerMessage]:
    """What somebody is told who loses the connection at one message, comes back at a later one and is served slowly."""
    left, back, late = sorted(chance.randint(0, len(told)) for _ in range(3))
    board = Board()
    for message in told[:back]:
        board.push(message)
    after = max((durable(message) or 0 for message in told[:left]), default=0)
    missed = [message for message in told[:late] if (durable(message) or 0) > after]
    newest: dict[str, ServerMessage] = {}
    for message in told[back:late]:  # what is passing comes after the snapshot, the latest of each turn
        if isinstance(message, messages.TurnProvisional):
            newest.pop(message.turn, None)
            newest[message.turn] = message
        elif isinstance(message, messages.TurnFinal | messages.TurnRetracted):
            newest.pop(message.turn, None)
    return [*told[:left], *missed, board.snapshot(), *newest.values(), *told[late:]]
