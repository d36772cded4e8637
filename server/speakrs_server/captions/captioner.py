"""The words of one session by a recognizer of the server's own: each of them once, whatever is killed.

What a recognizer is done with goes into the journal together with how far it is, as one record. A recognizer that
starts again, here or after a crash of the whole server, is fed the sound from there on: what was written is not
recognized again, and what was not written was told to nobody.
"""

from __future__ import annotations

from functools import partial

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from speakrs_server.captions import wire
from speakrs_server.captions.engines import Hypothesis
from speakrs_server.captions.process import Gone, RecognizerProcess, Stream
from speakrs_server.captions.tail import Tail
from speakrs_server.captions.wire import Packet
from speakrs_server.hosted import Hosted
from speakrs_server.journal import Caption, caption_record
from speakrs_server.message_parts import Word
from speakrs_server.messages import Warn, WordsAdd
from speakrs_server.word_desk import WordDesk
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.errors import AudioError, ConfigError

PIECE = SAMPLE_RATE // 2
"""Samples that are handed over at once."""
AHEAD = SAMPLE_RATE
"""Samples that a recognizer may have waiting; the rest waits in the journal."""
POLL = 0.1
"""Seconds between looks for new sound."""
STALL = 30.0
"""Seconds after which a recognizer that does nothing counts as hung."""
TRIES = 4
"""Times that a recognizer is started without getting any further."""
SLOW, CAUGHT_UP = 5 * SAMPLE_RATE, 2 * SAMPLE_RATE
"""Samples behind the session from which on clients are told, and at which it is over."""
AGAIN = 2 * SAMPLE_RATE
"""Samples before the newest at which a recognizer that was too slow goes on."""
MOST_WORDS, MOST_CHARACTERS = 500, 200
"""Of one utterance, and of one word: what a message may hold."""


class _Behind(Exception):
    """The recognizer is so far behind that its words would be no captions."""

    def __init__(self, again: int) -> None:
        """again: samples before the newest at which it may go on."""
        self.again = again


class Captioner:
    """One session's recognizer. Everything but reading runs in the event loop's thread."""

    def __init__(self, hosted: Hosted, desk: WordDesk, process: RecognizerProcess, max_lag_s: float) -> None:
        """process: runs the recognizer; max_lag_s: seconds behind the session after which sound is left out."""
        self.lag = 0
        """Samples at 16 kHz that were received and not recognized."""
        self._hosted, self._desk, self._process = hosted, desk, process
        self._max_lag = max_lag_s * SAMPLE_RATE if hosted.description.request.mode == "live" else float("inf")
        self._caption = hosted.caption
        self._interim = False
        self._slow = False
        self._ended: float | None = None  # when no more sound came, in seconds

    # -- listening -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Recognize the session to its end; then it may be concluded."""
        tries, reached = 0, -1
        while True:
            try:
                await self._listen()
                break
            except _Behind as behind:
                self._leave_out(behind.again)
            except (Gone, ConfigError, AudioError) as error:
                tries, reached = (0, self._caption.until) if self._caption.until > reached else (tries, reached)
                tries += 1
                if tries >= TRIES:
                    self._warn("captions_failed", f"there are no more captions in this session: {error}")
                    break
                self._warn("captions_restart", f"captions start again: {error}")
                await anyio.sleep(0.1 * 3**tries)
        self._take_back()
        self.lag = 0
        self._hosted.recognized()

    async def _listen(self) -> None:
        """One recognizer, from what is settled to the end."""
        base = self._caption.until
        tail = Tail(self._hosted.journal.input, self._hosted.audio, base)
        stream = await self._process.open(partial(self._said, base))
        try:
            fed = await self._feed(stream, tail, base)
            rest = await anyio.to_thread.run_sync(tail.finish)
            await self._send(stream, rest)
            await self._process.send(Packet(wire.FINISH, stream.number))
            while not stream.finished:
                await self._progress(stream)
            self._settle(base + fed + len(rest), None)
        finally:
            with anyio.CancelScope(shield=True):
                await self._process.close(stream)

    async def _feed(self, stream: Stream, tail: Tail, base: int) -> int:
        """Hand over all sound of the session as it comes; how much it was."""
        hosted, fed, seen = self._hosted, 0, -1
        while True:
            self._look(base + stream.done)
            if fed - stream.done >= AHEAD:
                await self._progress(stream)
                continue
            before = hosted.durable
            samples = await anyio.to_thread.run_sync(tail.read, PIECE) if before != seen else np.zeros(0, np.float32)
            if len(samples):
                fed += len(samples)
                await self._send(stream, samples)
            elif hosted.ending and tail.position >= hosted.received:
                return fed
            else:
                seen = before
                await stream.news(POLL)

    async def _progress(self, stream: Stream) -> None:
        """Wait until the recognizer has done something; Gone where it hangs."""
        if not await stream.news(STALL):
            self._process.kill()
            raise Gone("the recognizer hangs")

    async def _send(self, stream: Stream, samples: NDArray[np.float32]) -> None:
        if len(samples):
            whole = (np.clip(samples, -1.0, 32767 / 32768) * 32768).astype("<i2").tobytes()
            await self._process.send(Packet(wire.AUDIO, stream.number, whole))

    # -- what it says ----------------------------------------------------------------------------------------

    def _said(self, base: int, hypothesis: Hypothesis) -> None:
        """base: sample of the session that is the recognizer's first."""
        batch = f"u{self._caption.utterances}"
        words = tuple(
            Word(
                id=f"{batch}.{number}",
                start_ms=(base + word.start) * 1000 // SAMPLE_RATE,
                end_ms=(base + max(word.end, word.start)) * 1000 // SAMPLE_RATE,
                text=word.text[:MOST_CHARACTERS],
            )
            for number, word in enumerate(hypothesis.words[:MOST_WORDS])
        )
        message = WordsAdd(batch=batch, words=words, final=hypothesis.final)
        if not hypothesis.final:
            self._interim = bool(words)
            self._desk.came(message)
        elif words:
            self._interim = False
            self._settle(base + hypothesis.until, message)
        else:
            self._take_back()
            self._settle(base + hypothesis.until, None)

    def _settle(self, until: int, message: WordsAdd | None) -> None:
        """Write down how far it is, together with the words."""
        if message is None and until <= self._caption.until:
            return
        done = self._caption.utterances + (message is not None)
        self._caption = Caption(until=max(until, self._caption.until), utterances=done, words=message)
        self._desk.write(caption_record(self._caption, self._hosted.received, self._hosted.epoch), message)

    def _take_back(self) -> None:
        """Words that are shown and will not come."""
        if self._interim:
            self._interim = False
            self._desk.came(WordsAdd(batch=f"u{self._caption.utterances}", words=(), final=False))

    # -- too slow --------------------------------------------------------------------------------------------

    def _received(self) -> int:
        return self._hosted.received * SAMPLE_RATE // self._hosted.audio.sample_rate

    def _look(self, done: int) -> None:
        """Say that it falls behind; _Behind where it is too far, or where the session's end waits too long for it."""
        self.lag = max(self._received() - done, 0)
        now = self._hosted.outside.now()
        if self._hosted.ending and self._ended is None:
            self._ended = now
        waited = (now - self._ended) * SAMPLE_RATE if self._ended is not None else 0.0
        if waited > self._max_lag:
            raise _Behind(0)
        if self.lag > self._max_lag:
            raise _Behind(AGAIN)
        if self.lag > SLOW and not self._slow and self._max_lag < float("inf"):
            self._slow = True
            self._warn("captions_lag", f"captions are {self.lag // SAMPLE_RATE} s behind: the recognizer is too slow")
        elif self.lag < CAUGHT_UP:
            self._slow = False

    def _leave_out(self, again: int) -> None:
        """Go on with what is new. again: samples before the newest at which that begins."""
        self._ended = None
        before, until = self._caption.until, max(self._received() - again, self._caption.until)
        self._take_back()
        self._settle(until, None)
        start, end = (at * 1000 // SAMPLE_RATE for at in (before, until))
        self._warn("captions_gap", f"there are no captions from {start} to {end} ms: the recognizer is too slow")

    def _warn(self, code: str, message: str) -> None:
        self._hosted.teller.pass_on(Warn(code=code, message=message))
