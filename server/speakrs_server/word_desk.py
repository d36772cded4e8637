"""Words of one session on their way: from the client or a recognizer into the journal, and with speakers to listeners.

Words count once they are written down, so that nobody is told of a word that a killed process would forget; words that
may still change are not worth it. Everything here runs in the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from speakrs_server import messages
from speakrs_server.journal import Journal, command_record
from speakrs_server.messages import ServerMessage, WordsAdd, WordsOption
from speakrs_server.records import Record
from speakrs_server.teller import Teller
from speakrs_server.words import WordBook


class WordDesk:
    """The words of one session."""

    def __init__(self, option: WordsOption, teller: Teller, journal: Journal, now: Callable[[], float]) -> None:
        """now: seconds of a clock that only goes forward."""
        self.book = WordBook(option.max_wait_ms)
        """Words that wait for a speaker, and what was settled."""
        self.source: Literal["client", "server"] = option.source
        """Whose recognizer the words come from."""
        self._teller, self._journal, self._now = teller, journal, now
        self._merged = 0  # number of a merge after which words were not corrected yet
        self._over = False

    # -- words come ------------------------------------------------------------------------------------------

    def take(self, message: WordsAdd, position: int) -> str | None:
        """Words of the client; why they are refused. position: sample at the client's rate before which they came."""
        if self.source == "server":
            return "this session's words are the server's own"
        if not self.book.room(message):
            return f"the {len(message.words)} words are refused: too many wait for their speakers"
        if message.final:
            self.write(command_record(message, position, self._teller.epoch), message)
        else:
            self.came(message)
        return None

    def write(self, record: Record, message: WordsAdd | None) -> None:
        """Keep a record, and take the words that it holds once it is safe."""

        def written() -> None:
            if message is not None:
                self.came(message)

        self._teller.write([(self._journal.input, record)], written)

    def came(self, message: WordsAdd) -> None:
        """Words that need not be kept, or are."""
        if not self._over:
            self.book.add(message, self._now())
            self.settle()
            self.tick()

    # -- words are told --------------------------------------------------------------------------------------

    def heard(self, told: Sequence[ServerMessage]) -> None:
        """Listeners were told something: words may be settled by it, or have to be corrected."""
        for message in told:
            if isinstance(message, messages.SpeakerMerged):
                self._merged = message.seq
        self._correct()
        if any(isinstance(message, messages.WatermarkMoved) for message in told):
            self.settle()

    def settle(self) -> None:
        """Tell the words around which nothing changes any more."""
        self._teller.tell([(told, False) for told in self.book.settle(self._teller.board)])

    def _correct(self) -> None:
        if self._merged:
            cause, self._merged = self._merged, 0
            self._teller.tell([(told, False) for told in self.book.relabel(self._teller.board, cause)])

    def tick(self) -> None:
        """Show words whose speakers were heard by now, or that have waited long enough."""
        if not self._over:
            self._correct()
            for told in self.book.show(self._teller.board, self._now()):
                self._teller.pass_on(told)

    def conclude(self) -> None:
        """Everything was heard: settle all the words there are."""
        self._over = True
        self._teller.tell([(told, False) for told in self.book.settle(self._teller.board, ended=True)])

    # -- after a restart -------------------------------------------------------------------------------------

    def recover(self, message: ServerMessage) -> None:
        """Something that was told before."""
        match message:
            case messages.WordsLabelled():
                self.book.remember(message.words)
            case messages.WordsRelabelled():
                self.book.corrected(message.words)
            case messages.SpeakerMerged():
                self._merged = message.seq
            case _:
                return
