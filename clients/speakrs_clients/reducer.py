"""Folding messages of `speakrs.v1` into what is shown: whoever applies the same messages sees the same turns.

The rules, which the captions page keeps in JavaScript too:

1. A message with `seq` is applied once: one that is not above `seq` of the state changes nothing, one that leaves out
   a number is refused. Nothing else moves `seq`.
2. `turn.provisional` shows a turn, unless the turn is final or retracted already, or shown with this `rev` or a later.
3. `turn.final` settles a turn, `turn.retracted` takes it away for good; both whatever was shown before.
4. `speaker.created` makes a speaker known, `speaker.named` names it, `speaker.merged` points it to another; the latter
   two make it known if need be. Turns and words keep the speaker they were told with; `who` follows merges.
5. `snapshot` replaces what is open: open turns that it does not hold vanish, of those it holds the later `rev` stays,
   and those that are final or retracted already are left alone. It makes speakers known that are not, and replaces
   what is known of the others unless it is behind the state (`as_of` below `seq`).
6. `words.labelled` with status `final` settles words; with `provisional` it labels those that are not settled, and
   words of its batch that are neither settled nor in it vanish. `words.relabelled` changes the speaker of a word and
   settles it.
7. `final_until_ms` and `processed_until_ms` are the largest told. `session.started` and `session.resumed` name the
   session, `session.final` ends it, and words that are not settled vanish.
8. Everything else changes nothing.

So whoever was away from message p to message q, and then hears the durable messages after p and a snapshot made at q or
later, is where everybody else is. Only provisional labels of words are passing: they are not told again.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from msgspec.structs import replace

from speakrs_server import messages
from speakrs_server.messages import KnownSpeaker, OpenTurn, ServerMessage
from speakrs_stream.errors import SessionError

Turn: TypeAlias = OpenTurn
"""Shown or settled: its speaker as it was told."""


@dataclass(frozen=True, slots=True)
class ShownWord:
    """A word and who said it."""

    speaker: str
    """As it was told."""
    final: bool
    """Whether it is settled."""
    text: str | None = None
    """What it is, where that was told."""
    start_ms: int | None = None
    """Its first millisecond, where that was told."""
    end_ms: int | None = None
    """One past its last."""


@dataclass(slots=True)
class Reducer:
    """The state after the messages so far; constant time per message."""

    seq: int = 0
    """Of the last durable message."""
    session: str = ""
    """Name of the session; empty before it was told."""
    open: dict[str, Turn] = field(default_factory=dict)
    """Turns that may still change, by name."""
    final: dict[str, Turn] = field(default_factory=dict)
    """Turns that are settled, by name."""
    retracted: set[str] = field(default_factory=set)
    """Names of turns that did not happen."""
    speakers: dict[str, KnownSpeaker] = field(default_factory=dict)
    """By name."""
    words: dict[str, ShownWord] = field(default_factory=dict)
    """By the client's name for it."""
    batches: dict[str, set[str]] = field(default_factory=dict)
    """Names of words that are not settled, by batch."""
    final_until_ms: int = 0
    """Nothing before this changes."""
    processed_until_ms: int = 0
    """What was heard."""
    ended: bool = False
    """Whether the session is over."""

    def push(self, message: ServerMessage) -> bool:
        """Apply a message; whether it was news. SessionError where a durable message is missing in front of it."""
        seq = getattr(message, "seq", None)
        if seq is not None:
            if seq <= self.seq:
                return False
            if seq != self.seq + 1:
                raise SessionError(f"message {seq} follows message {self.seq}: what is between them is missing")
            self.seq = seq
        match message:
            case messages.TurnProvisional():
                return self._show(message)
            case messages.TurnFinal():
                self.open.pop(message.turn, None)
                self.final[message.turn] = _turn(message)
            case messages.TurnRetracted():
                self.open.pop(message.turn, None)
                self.retracted.add(message.turn)
            case messages.SpeakerCreated():
                self._speaker(message.speaker)
            case messages.SpeakerMerged():
                known = self._speaker(message.speaker)
                self.speakers[message.speaker] = replace(known, merged_into=message.into)
            case messages.SpeakerNamed():
                self.speakers[message.speaker] = replace(self._speaker(message.speaker), name=message.name)
            case messages.WatermarkMoved():
                self._mark(message)
            case messages.WordsLabelled():
                self._label(message)
            case messages.WordsRelabelled():
                for word in message.words:
                    known_word = self.words.get(word.id, ShownWord(word.speaker, True))
                    self.words[word.id] = dataclasses.replace(known_word, speaker=word.speaker, final=True)
            case messages.Snapshot():
                self._replace(message)
            case messages.SessionStarted() | messages.SessionResumed():
                self.session = message.session
            case messages.SessionFinal():
                self.ended = True
                self.words = {name: word for name, word in self.words.items() if word.final}
                self.batches.clear()
            case _:
                return seq is not None
        return True

    def who(self, speaker: str) -> str:
        """The speaker that stands for `speaker` after all merges."""
        for _ in self.speakers:  # no longer than this, whatever a server says
            known = self.speakers.get(speaker)
            if known is None or known.merged_into is None:
                break
            speaker = known.merged_into
        return speaker

    def label(self, speaker: str) -> str:
        """What to show: the name where there is one."""
        speaker = self.who(speaker)
        known = self.speakers.get(speaker)
        return known.name if known is not None and known.name else speaker

    def plain(self) -> dict[str, Any]:
        """The state as JSON can hold it, to compare two states with each other."""
        every = [(turn, False) for turn in self.open.values()] + [(turn, True) for turn in self.final.values()]
        return {
            "seq": self.seq,
            "session": self.session,
            "turns": {
                turn.turn: {
                    "rev": turn.rev,
                    "speaker": turn.speaker,
                    "start_ms": turn.start_ms,
                    "end_ms": turn.end_ms,
                    "final": final,
                }
                for turn, final in every
            },
            "retracted": sorted(self.retracted),
            "speakers": {
                known.speaker: {"name": known.name, "merged_into": known.merged_into}
                for known in self.speakers.values()
            },
            "words": {name: {"speaker": word.speaker, "final": word.final} for name, word in self.words.items()},
            "final_until_ms": self.final_until_ms,
            "processed_until_ms": self.processed_until_ms,
            "ended": self.ended,
        }

    def _show(self, turn: messages.TurnProvisional | OpenTurn) -> bool:
        known = self.open.get(turn.turn)
        if turn.turn in self.final or turn.turn in self.retracted or (known is not None and turn.rev <= known.rev):
            return False
        self.open[turn.turn] = _turn(turn)
        return True

    def _speaker(self, speaker: str) -> KnownSpeaker:
        return self.speakers.setdefault(speaker, KnownSpeaker(speaker=speaker))

    def _mark(self, message: messages.WatermarkMoved | messages.Snapshot) -> None:
        self.final_until_ms = max(self.final_until_ms, message.final_until_ms)
        self.processed_until_ms = max(self.processed_until_ms, message.processed_until_ms)

    def _label(self, message: messages.WordsLabelled) -> None:
        final = message.status == "final"
        for word in message.words:
            known = self.words.get(word.id)
            if final or known is None or not known.final:
                self.words[word.id] = ShownWord(word.speaker, final, word.text, word.start_ms, word.end_ms)
        if message.batch is not None:
            self._batch(message.batch, {word.id for word in message.words}, final)

    def _batch(self, batch: str, told: set[str], final: bool) -> None:
        """Which words of a batch are not settled, after a message about it; those it took back vanish."""
        before = self.batches.pop(batch, set())
        left = before - told if final else {name for name in told if not self.words[name].final}
        for name in set() if final else before - told:
            if (known := self.words.get(name)) is not None and not known.final:
                del self.words[name]
        if left:
            self.batches[batch] = left

    def _replace(self, snapshot: messages.Snapshot) -> None:
        kept = {turn.turn for turn in snapshot.open_turns}
        self.open = {name: turn for name, turn in self.open.items() if name in kept}
        for turn in snapshot.open_turns:
            self._show(turn)
        for known in snapshot.speakers:
            if known.speaker not in self.speakers or snapshot.as_of >= self.seq:
                self.speakers[known.speaker] = known
        self._mark(snapshot)


def _turn(turn: messages.TurnProvisional | messages.TurnFinal | OpenTurn) -> Turn:
    return Turn(turn=turn.turn, rev=turn.rev, speaker=turn.speaker, start_ms=turn.start_ms, end_ms=turn.end_ms)
