"""Going on after a restart in which the audio was heard otherwise than before: what was told counts.

Networks may answer differently in the last bits (another batch, another machine), and a sample rate other than 16 kHz
is resampled anew from a snapshot. Where that leads to other messages than were told, the log wins: nothing that is
final is taken back, turns that nobody can speak about any more are retracted, and what is heard from then on is told
under numbers of its own, with speakers taken for those who spoke at the same time in what was told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec.structs import replace

from speakrs_server import messages
from speakrs_server.board import PER_MS, Board
from speakrs_server.channels import Numbering, Survey
from speakrs_server.identifiers import speaker_id, speaker_number, turn_id, turn_number
from speakrs_server.messages import ServerMessage
from speakrs_server.translation import UNNUMBERED, message_of
from speakrs_stream.core.events import SpeakerCreated, TurnFinal, TurnStarted
from speakrs_stream.core.grid import Span
from speakrs_stream.core.live.comparison import match

T = TypeVar("T", messages.TurnProvisional, messages.TurnFinal)
N = TypeVar(
    "N",
    messages.SpeakerCreated,
    messages.SpeakerMerged,
    messages.SpeakerSplit,
    messages.SpeakerNamed,
    messages.SpeakerIdentified,
)
BEYOND = 1_000_000
"""Revision of a turn that is retracted although nobody knows its last one."""


@dataclass(slots=True)
class Reseeded:
    """How messages about what is heard become messages that follow what was told."""

    after_ms: int
    """What lies before this was told for good."""
    processed_ms: int
    """What was said to be heard."""
    turns: int
    """Added to the numbers of turns."""
    speakers: int
    """Added to the numbers of speakers that nobody was told of."""
    known: Mapping[int, int]
    """Number of a speaker as heard -> as told."""
    told_until: Mapping[str, int]
    """Speaker as told -> end of the last final turn, in milliseconds."""
    shown: set[str] = field(default_factory=set)
    """Turns that were shown since and have not ended."""

    def message(self, message: ServerMessage) -> ServerMessage | None:
        """What to tell instead; None for nothing."""
        match message:
            case messages.TurnProvisional():
                return self._turn(replace(message, was=self._speaker(message.was) if message.was else None))
            case messages.TurnFinal():
                told = self._turn(message)
                self.shown.discard(told.turn if told is not None else "")
                return told
            case messages.TurnRetracted():
                turn = self._number(message.turn)
                return self._ended(turn, message.rev)
            case messages.WatermarkMoved():
                until = max(message.final_until_ms, self.after_ms)
                processed = max(message.processed_until_ms, self.processed_ms)
                if until <= self.after_ms and processed <= self.processed_ms:
                    return None
                self.after_ms, self.processed_ms = until, processed
                return replace(message, final_until_ms=until, processed_until_ms=processed)
            case messages.SpeakerCreated():
                return None if speaker_number(message.speaker) in self.known else self._named(message)
            case messages.SpeakerMerged():
                merged = replace(self._named(message), into=self._speaker(message.into))
                return merged if merged.speaker != merged.into else None
            case messages.SpeakerSplit():
                into = tuple(dict.fromkeys(self._speaker(speaker) for speaker in message.into))
                return replace(self._named(message), into=into)
            case messages.SpeakerNamed():
                return self._named(message)
            case messages.SpeakerIdentified():
                return self._named(message)
            case _:
                return message

    def _turn(self, message: T) -> T | messages.TurnRetracted | None:
        speaker, turn = self._speaker(message.speaker), self._number(message.turn)
        start = max(message.start_ms, min(self.after_ms, self.told_until.get(speaker, 0)))
        if message.end_ms <= self.after_ms and message.start_ms < self.after_ms and turn not in self.shown:
            start = message.end_ms  # it lies in what was told for good
        if start >= message.end_ms:
            return self._ended(turn, message.rev)
        self.shown.add(turn)
        return replace(message, turn=turn, speaker=speaker, start_ms=start)

    def _ended(self, turn: str, rev: int) -> messages.TurnRetracted | None:
        if turn not in self.shown:
            return None
        self.shown.discard(turn)
        return messages.TurnRetracted(seq=UNNUMBERED, turn=turn, rev=rev)

    def _number(self, turn: str) -> str:
        return turn_id(turn_number(turn) + self.turns)

    def _speaker(self, speaker: str) -> str:
        number = speaker_number(speaker)
        return speaker_id(self.known.get(number, number + self.speakers))

    def _named(self, message: N) -> N:
        return replace(message, speaker=self._speaker(message.speaker))

    def plain(self) -> dict[str, Any]:
        """Plain values for a snapshot."""
        return {
            "after_ms": self.after_ms,
            "processed_ms": self.processed_ms,
            "turns": self.turns,
            "speakers": self.speakers,
            "known": [list(pair) for pair in self.known.items()],
            "told_until": dict(self.told_until),
            "shown": sorted(self.shown),
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Reseeded:
        """What `plain` made."""
        return cls(**{**plain, "known": dict(plain["known"]), "shown": set(plain["shown"])})


def reseed(board: Board, survey: Survey, numbering: Numbering) -> tuple[Reseeded, list[ServerMessage]]:
    """How to go on from what was told (board) with what is heard now (survey), and what to tell at once."""
    channels = numbering.channels
    told = board.told_turns()
    last_turn = max([survey.last_turn, *(turn_number(name) for name in board.ended_turns)])
    last_speaker = max([survey.last_speaker, *(speaker_number(one.speaker) for one in board.speakers)])
    reseeded = Reseeded(
        board.final_until_ms,
        board.processed_until_ms,
        _multiple(last_turn, channels),
        _multiple(last_speaker, channels),
        _known(told, board, survey, numbering),
        {speaker: max(end for _, end, who in told if who == speaker) for speaker in {who for _, _, who in told}},
    )
    out: list[ServerMessage] = [
        messages.TurnRetracted(seq=UNNUMBERED, turn=turn_id(number), rev=BEYOND)
        for number in range(1, last_turn + 1)
        if turn_id(number) not in board.ended_turns
    ]
    out += _again(reseeded, survey, numbering)
    return reseeded, out


def _again(reseeded: Reseeded, survey: Survey, numbering: Numbering) -> list[ServerMessage]:
    """Speakers, turns and the watermark that were heard and not told."""
    strangers = {number for number in survey.speakers if number not in reseeded.known}
    heard: list[ServerMessage] = [
        message_of(SpeakerCreated(number, survey.processed), numbering=numbering) for number in sorted(strangers)
    ]
    for turn in survey.turns:
        shown = message_of(TurnStarted(turn.turn, turn.revision, turn.speaker, turn.span), numbering=numbering)
        heard.append(shown)
        if turn.final:
            ended = TurnFinal(turn.turn, turn.revision + 1, turn.speaker, turn.span)
            heard.append(message_of(ended, numbering=numbering))
    heard.append(
        messages.WatermarkMoved(
            seq=UNNUMBERED,
            final_until_ms=survey.until // PER_MS,
            processed_until_ms=survey.processed // PER_MS,
        )
    )
    return [told for message in heard if (told := reseeded.message(message)) is not None]


def _known(told: list[tuple[int, int, str]], board: Board, survey: Survey, numbering: Numbering) -> dict[int, int]:
    """Speakers as heard -> as told, within their channel, by the time they have in common; those who have no final turn
    yet by their order."""
    found: dict[int, int] = {}
    for channel in range(numbering.channels):
        heard = [
            (turn.span, speaker_id(turn.speaker))
            for turn in survey.turns
            if numbering.inner(turn.speaker)[1] == channel
        ]
        before = [
            (Span(start * PER_MS, end * PER_MS), who)
            for start, end, who in told
            if numbering.inner(speaker_number(who))[1] == channel
        ]
        pairs = match(heard, before)
        found |= {speaker_number(ours): speaker_number(theirs) for ours, theirs in pairs.items()}
        silent = {speaker_number(one.speaker) for one in board.speakers if one.merged_into is None}
        silent -= {speaker_number(who) for _, _, who in told}
        left = sorted(number for number in silent if numbering.inner(number)[1] == channel)
        new = [number for number in survey.speakers if number not in found and numbering.inner(number)[1] == channel]
        found |= dict(zip(sorted(new), left, strict=False))
    return found


def _multiple(number: int, of: int) -> int:
    return -(-number // of) * of
