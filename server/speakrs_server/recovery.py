"""A session after a restart: fold what was told, and gather what has to be heard again."""

from __future__ import annotations

import msgspec

from speakrs_server import messages
from speakrs_server.hosted import Hosted
from speakrs_server.journal import AUDIO, CAPTION, COMMAND, END, Caption, Saved
from speakrs_server.messages import WordsAdd, decode_client
from speakrs_server.records import Cursor
from speakrs_server.reseeding import Reseeded
from speakrs_server.translation import message_of
from speakrs_server.unit import Unit
from speakrs_server.worker import Ask, Finish, Item, Order, Sound
from speakrs_stream.audio.pcm import WIDTHS


def recover(hosted: Hosted, saved: Saved | None, unit: Unit) -> list[Item]:
    """Bring a session up to what its journal says; returns what its unit has to hear again, in order.

    saved: the snapshot that `unit` was restored from; None for a new unit
    """
    over_at = _fold(hosted, saved.told if saved else 0)
    if saved is not None and saved.reseeded is not None:
        hosted.reseeded = Reseeded.of(saved.reseeded)
    _show_open(hosted, unit)
    hosted.over = hosted.board.ended
    hosted.teller.epoch, hosted.confirmed = (saved.epoch, saved.confirmed) if saved else (1, 1)
    hosted.received = hosted.processed = hosted.saved = saved.position if saved else 0
    items = _again(hosted, saved.cursor if saved else None)
    if over_at is not None:  # the audio may be gone by now
        hosted.received = hosted.processed = over_at
    hosted.durable = hosted.received
    last = [Finish()] if hosted.ending else []
    items = [*(item for item in items if not isinstance(item, Finish)), Ask(), *last]
    _words(hosted)
    return items


def _fold(hosted: Hosted, after: int) -> int | None:
    """Take what was told; where the session is over, how much audio it had."""
    engine, over_at = 0, None
    for message, from_engine in hosted.journal.messages():
        hosted.teller.remember(message)
        if hosted.words is not None:
            hosted.words.recover(message)
        if isinstance(message, messages.SessionFinalizing):
            hosted.ending = True
        if isinstance(message, messages.SessionFinal):
            over_at = message.samples
        if from_engine:
            engine += 1
            if engine > after:
                hosted.expected.append(message)
    hosted.told, hosted.logged = after, engine
    return over_at


def _show_open(hosted: Hosted, unit: Unit) -> None:
    """Turns that the snapshot shows and that did not end in what was told since."""
    over = {getattr(message, "turn", "") for message in hosted.expected}
    for turn in unit.open_turns():
        heard = message_of(turn, numbering=unit.heard.numbering)
        message = hosted.reseeded.message(heard) if hosted.reseeded else heard
        if isinstance(message, messages.TurnProvisional) and message.turn not in over:
            hosted.board.push(message)


def _again(hosted: Hosted, cursor: Cursor | None) -> list[Item]:
    """Everything the client sent since a place in the journal."""
    width = WIDTHS[hosted.audio.encoding] * hosted.audio.channels
    items: list[Item] = []
    for record, _ in hosted.journal.input.records(cursor):
        hosted.teller.epoch = max(hosted.epoch, record.epoch)
        if record.kind in (AUDIO, COMMAND):  # an attach may be one whose answer never arrived
            hosted.confirmed = max(hosted.confirmed, record.epoch)
        match record.kind:
            case _ if record.kind == AUDIO:
                items.append(Sound(record.payload, record.position))
                hosted.received = record.position + len(record.payload) // width
            case _ if record.kind == COMMAND:
                command = decode_client(record.payload)
                if not isinstance(command, WordsAdd):
                    items.append(Order(command))  # type: ignore[arg-type]
            case _ if record.kind == END:
                hosted.ending = True
                items.append(Finish())
    return items


def _words(hosted: Hosted) -> None:
    """Words that came at any time and are not settled, and how far the server's own recognizer is."""
    if hosted.words is None or hosted.over:
        return
    for record, _ in hosted.journal.input.records():
        found = None
        if record.kind == COMMAND:
            found = decode_client(record.payload)
        elif record.kind == CAPTION:
            hosted.caption = msgspec.json.decode(record.payload, type=Caption)
            found = hosted.caption.words
        if isinstance(found, WordsAdd):
            hosted.words.book.add(found, hosted.outside.now())
