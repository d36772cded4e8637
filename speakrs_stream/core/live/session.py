"""One live stream: the offline session's windows, shown as turns while they arrive.

Audio goes in, questions for the networks come out, answers go in, events come out. Every event follows from the audio
position alone: neither the sizes of the pieces nor the order or time of the answers can change them. Before the first
whole window, the audio so far is looked at as a zero-padded window once a step (a preview), which is the whole
pipeline on a short recording; its results are shown and then forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speakrs_stream.core.activity import Activity
from speakrs_stream.core.arrays import F32, Array, Tape, below
from speakrs_stream.core.clustering.offline import Clustering
from speakrs_stream.core.config import PipelineConfig, SpeakerBounds
from speakrs_stream.core.events import Event, Watermark
from speakrs_stream.core.grid import WINDOW, frame_to_sample, nearest_frame, sample_to_frame
from speakrs_stream.core.history import WindowResult
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.live.conclusion import as_told
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.identity import Heard, Identity, Shares
from speakrs_stream.core.live.looks import Flush, Look
from speakrs_stream.core.live.timeline import Placed, Shown, Votes, show, smoothed, window_frames
from speakrs_stream.core.live.turns import TurnTracker
from speakrs_stream.core.powerset import LOCAL_SPEAKERS
from speakrs_stream.core.reducer import Reducer, StreamState
from speakrs_stream.core.session import Outcome, Session, SpeakerModel
from speakrs_stream.core.snapshot import pack, unpack
from speakrs_stream.errors import SessionError, SessionFinished

MAIN = 0
"""Source number of the stream itself; previews are 1, 2, 3 … steps long; -n looks at the end of the first n samples."""

PADDED = -1
"""Window number of a preview or of a look for a flush: its embeddings are not remembered."""


class LiveSession:
    """The pure state behind a live stream."""

    def __init__(
        self, config: PipelineConfig, live: LiveConfig, model: SpeakerModel, identity: Identity | None = None
    ) -> None:
        """identity: who is who; None for the one described in `identity`, another to compare with."""
        self.config = config
        self.live = live
        self._lookback = live.lookback(config.step)
        self.model = model
        self.main = Session(config, model)
        self.identity = identity or Identity(live, config.clustering, model.plda)
        self._reducer = Reducer()
        self._turns = TurnTracker()
        self._placed: list[Placed] = []
        self._shown = Shown.nothing()
        self._votes: Votes | None = None  # of the windows in `_placed`, while they are taken for the same people
        self._opening = Tape()  # the first window's audio, for previews
        self._previews: dict[int, Look] = {}  # of the first so many steps
        self._previewed = 0  # previews shown
        self._flushes: list[Flush] = []  # that are not shown yet, by position
        self._flushed = 0  # sample up to which everything was made final by the last one shown
        self._next = 0  # windows shown
        self._settled: dict[int, WindowResult] = {}  # that are not shown yet, but for those of a restored session
        self._jobs: dict[int, tuple[int, int]] = {}  # our job -> source and its job
        self._next_job = 0
        self._finished = False
        self._closed = False

    # -- audio in --------------------------------------------------------------------------------------------

    @property
    def samples(self) -> int:
        """Samples heard so far."""
        return self.main.samples

    @property
    def finished(self) -> bool:
        """Whether `finish` was called."""
        return self._finished

    @property
    def processed(self) -> int:
        """Sample up to which the stream has been shown."""
        return self._processed()

    @property
    def state(self) -> StreamState:
        """What is shown now: the fold of every event so far."""
        return self._reducer.state

    def push(self, samples: F32) -> list[Event]:
        """Add mono samples (n,) float32 at 16 kHz in ±1; events come from `resolve`."""
        self.main.push(samples)
        if self._opening.end < WINDOW:
            self._opening.append(np.asarray(samples[: WINDOW - self._opening.end], np.float32))
        step = self.config.step
        while (length := (len(self._previews) + 1) * step) < WINDOW and length <= self._opening.end and not self._next:
            look = Look.into(self._opening.get(0, length), self.config, self.model)
            self._previews[len(self._previews) + 1] = look
        return []

    def flush(self) -> list[Event]:
        """Everything heard so far is to be final, and the stream goes on.

        The last events follow once the jobs that were asked for by then are answered; the watermark then stands at
        the last sample heard. Where that is not the end of a window, one more window is asked for, padded with silence.

        Raises SessionFinished after `finish`, which makes everything final.
        """
        if self._finished:
            raise SessionFinished("this stream has been finished; everything in it is final")
        at, step = self.samples, self.config.step
        if at > max([self._flushed, *(flush.at for flush in self._flushes)]):
            reached = at % step == 0 if at < WINDOW else (at - WINDOW) % step == 0
            audio = np.zeros(0, np.float32) if reached else self.main.rest()
            self._flushes.append(Flush.of(at, audio, self.config, self.model))
        return self._pump()

    def finish(self) -> list[Event]:
        """No more audio comes; the last events follow once every job is answered."""
        self.main.finish()
        self._finished = True
        return self._pump()

    # -- questions and answers -------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """What must be inferred now and has not been handed out yet."""
        out = []
        looks = [(number, look.session) for number, look in self._looks().items() if look.result is None]
        for number, session in [*looks, (MAIN, self.main)]:
            for inner, question, inputs in session.asked():
                self._jobs[self._next_job] = (number, inner)
                out.append(Job(self._next_job, question.model, inputs, (number, *question.about)))
                self._next_job += 1
        return out

    def ask_again(self) -> None:
        """Hand out every unanswered job once more, under new numbers: whoever had them will not answer."""
        self._jobs.clear()
        for session in (self.main, *(look.session for look in self._looks().values())):
            session.ask_again()

    def _looks(self) -> dict[int, Look]:
        """Previews that are not shown yet, and looks for a flush, by source number."""
        if not self._flushes and (self._next or self._previewed == len(self._previews)):
            return {}
        waiting = {number: look for number, look in self._previews.items() if number > self._previewed}
        return waiting | {-flush.at: flush.look for flush in self._flushes if flush.look}

    @property
    def busy(self) -> bool:
        """Whether answers are awaited."""
        return self.main.busy or any(look.session.busy for look in self._looks().values())

    def resolve(self, job_id: int, output: Array) -> list[Event]:
        """Take a model's answer; return the events it leads to.

        Raises SessionError for an answer nobody waits for, or one of the wrong shape, which may be given again.
        """
        source = self._jobs.get(job_id)
        if source is None:
            raise SessionError(f"job {job_id} was never asked or is already answered")
        number, inner = source
        settled = self.main.resolve(inner, output) if number == MAIN else self._looks()[number].resolve(inner, output)
        del self._jobs[job_id]
        if number == MAIN:
            self._settled |= {one.index: one for one in settled}
        return self._pump() if settled or self._finished else []

    def _pump(self) -> list[Event]:
        """Show everything whose turn has come: previews by length, then windows, each flush in its place, the end."""
        events: list[Event] = []
        while (more := self._show_next()) is not None:
            events += more
        return events

    def _show_next(self) -> list[Event] | None:
        """Show what comes next by position; None where that is not known yet."""
        step, index = self.config.step, self._next
        flush = self._flushes[0] if self._flushes else None
        preview = self._previews.get(self._previewed + 1) if index == 0 else None
        if preview is not None and (flush is None or (self._previewed + 1) * step <= flush.at):
            if preview.result is None:
                return None
            self._previewed += 1
            preview.session = Session(self.config, self.model)  # lets go of its audio
            return self._preview(preview.result, self._previewed * step)
        if flush is not None and flush.at < index * step + WINDOW:
            if flush.waits:
                return None
            del self._flushes[0]
            return self._flush(flush)
        if index < len(self.main.history):
            self._next += 1
            return self._window(self._result(index))
        if self._finished and not self.main.busy and not self._closed:
            self._closed = True
            return self._end(self.samples, [])
        return None

    # -- showing ---------------------------------------------------------------------------------------------

    def _processed(self) -> int:
        reached = (self._next - 1) * self.config.step + WINDOW if self._next else self._previewed * self.config.step
        return min(max(reached, self._flushed), self.samples)

    def _preview(self, result: WindowResult, length: int) -> list[Event]:
        """Show the first `length` samples from a padded window."""
        activity = Activity(result.activity.bits[: sample_to_frame(length)])
        placed = Placed(PADDED, 0, activity)
        placed.numbers, events, _ = self.identity.push(*self._heard([placed], [result.embeddings], length))
        self._show([placed], placed.end, ahead=activity)
        return self._tell([*events])

    def _result(self, window: int) -> WindowResult:
        """What the networks said about a settled window that is not shown yet."""
        return self._settled.get(window) or self.main.history.result(window)

    def _flush(self, flush: Flush) -> list[Event]:
        """Show what was heard up to a flush, as things are known now, and let it be final."""
        self._flushed = flush.at
        events: list[Event] = []
        windows, cut, ahead = [*self._placed], sample_to_frame(flush.at), None
        if flush.look is not None and flush.look.result is not None:
            start = nearest_frame(self._next * self.config.step)
            ahead = Activity(flush.look.result.activity.bits[: max(cut - start, 0)])
            latest = Placed(PADDED, start, ahead)
            heard = self._heard([latest], [flush.look.result.embeddings], flush.at)
            latest.numbers, found, _ = self.identity.push(*heard)
            events += found
            windows.append(latest)
        self._ask_who(flush.at)
        if windows:
            self._show(windows, min(cut, max(one.end for one in windows)), ahead)
        self._shown = self._shown.lasting(cut)
        return self._end(flush.at, events)

    def _window(self, result: WindowResult) -> list[Event]:
        """Show one more whole window."""
        start, end = window_frames(result.index, self.config.step)
        processed = min(result.index * self.config.step + WINDOW, self.samples)
        self._settled.pop(result.index, None)
        latest = Placed(result.index, start, result.activity)
        latest.numbers, events, changed = self.identity.push(*self._heard([latest], [result.embeddings], processed))
        frozen = self._turns.frozen
        self._placed = [placed for placed in self._placed if placed.end > frozen]
        if changed:
            self._ask_who(processed)
        self._placed.append(latest)
        self._votes = self._show(self._placed, min(end, sample_to_frame(processed)), known=self._votes)
        return self._tell([*events])

    def _ask_who(self, processed: int) -> None:
        """Who the local speakers of older windows are, as things are known now."""
        rows = self.main.history.embeddings
        heard = self._heard(self._placed, [rows[placed.window] for placed in self._placed], processed)
        again = self.identity.assign(heard, self.live.stay_again)
        for placed, numbers in zip(self._placed, again, strict=True):
            placed.numbers = numbers
        self._votes = None

    def _heard(self, windows: Sequence[Placed], embeddings: Sequence[Array], processed: int) -> list[Heard]:
        numbers, shares = self._shown.numbers.tolist(), self._shown.shares(windows)
        return [
            Heard(one.window, processed, rows, one.activity.active, one.activity.clean, Shares(numbers, share))
            for one, rows, share in zip(windows, embeddings, shares, strict=True)
        ]

    def _show(
        self, windows: list[Placed], end: int, ahead: Activity | None = None, known: Votes | None = None
    ) -> Votes:
        """Recompute what is shown from the watermark up to frame `end`.

        ahead: activity of a window that is padded; known: votes of all windows but the last; returns those of all
        """
        start, high = self._turns.frozen, self.identity.bounds.high
        later = [self._result(window).activity for window in range(self._next, len(self.main.history))]
        counts, covers = self.main.count.counted(start, max(start, end), ahead, later)
        most = min(high or LOCAL_SPEAKERS, LOCAL_SPEAKERS if self.live.overlap else 1)
        if most < LOCAL_SPEAKERS:
            counts = np.minimum(counts, most).astype(np.uint8)
        hold, share = self.live.hold, self.live.hold_share
        votes = Votes.of(windows, start, len(counts), known)
        self._shown = show(votes, counts, covers, self._shown, hold=hold, share=share)
        return votes

    def _tell(self, events: list[Event]) -> list[Event]:
        """Move the watermark and say what changed."""
        processed = self._processed()
        frozen = max(self._turns.frozen, min(self._shown.end, sample_to_frame(processed - self._lookback)))
        events += self._turns.push(self._smoothed(), frozen, processed)
        return self._mark(processed, events)

    def _end(self, at: int, events: list[Event]) -> list[Event]:
        """Everything shown is final, up to sample `at`."""
        return self._mark(at, [*events, *self._turns.push(self._smoothed(), self._shown.end, at, ends=True)])

    def _smoothed(self) -> Shown:
        return smoothed(self._shown, self._turns.carried, self.config.min_on, self.config.min_off)

    def _mark(self, processed: int, events: list[Event]) -> list[Event]:
        until = self._turns.until
        if until > self._reducer.watermark or processed > self._reducer.processed:
            events.append(Watermark(until, processed))
        self._cut(self._turns.frozen)
        for event in events:
            self._reducer.push(event)
        return events

    def _cut(self, frozen: int) -> None:
        """Forget what lies behind the watermark."""
        rows = frozen - self._shown.start
        if rows > 0:
            self._shown = Shown(frozen, self._shown.matrix[rows:], self._shown.numbers)

    # -- the result ------------------------------------------------------------------------------------------

    def outcome(self, bounds: SpeakerBounds | None = None) -> Outcome:
        """The offline result over everything heard; needs `finish` and every answer.

        What the user said of speakers (same, different, not this one) holds in it too.
        """
        return self.main.outcome(bounds, self._as_told)

    def _as_told(self, clustering: Clustering) -> Clustering:
        who, turns = self.identity, self._reducer.state.turns.values()
        return as_told(clustering, self.main.history, self.config.step, who.people, who.told, turns)

    # -- state -----------------------------------------------------------------------------------------------

    def snapshot(self, fingerprint: str) -> bytes:
        """Everything as bytes, at any moment; questions in flight are asked again by the restored stream.

        fingerprint: what must be equal where the bytes are restored, such as the bundle's hash. The bytes hold
        voice prints: treat them as biometric data.
        """
        main, arrays = self.main.state()
        arrays = {f"main.{name}": rows for name, rows in arrays.items()}
        identity, rows_by_name = self.identity.state()
        arrays |= {f"identity.{name}": rows for name, rows in rows_by_name.items()}
        arrays["shown.matrix"], arrays["shown.numbers"] = self._shown.matrix, self._shown.numbers
        for index, placed in enumerate(self._placed):
            arrays[f"placed.{index}.activations"], arrays[f"placed.{index}.numbers"] = (
                placed.activity.bits,
                placed.numbers,
            )
        if self._next == 0:
            arrays["opening"] = self._opening.all().copy()
        for index, flush in enumerate(self._flushes):
            arrays[f"flush.{index}"] = flush.audio
        plain = {
            "main": main,
            "identity": identity,
            "shown": self._shown.start,
            "placed": [[placed.window, placed.start] for placed in self._placed],
            "turns": self._turns.state(),
            "reducer": self._reducer.plain(),
            "previewed": self._previewed,
            "previews": len(self._previews),
            "flushes": [flush.at for flush in self._flushes],
            "flushed": self._flushed,
            "next": self._next,
            "next_job": self._next_job,
            "finished": self._finished,
            "closed": self._closed,
        }
        return pack(plain, arrays, self._fingerprint(fingerprint))

    @classmethod
    def restore(
        cls, data: bytes, config: PipelineConfig, live: LiveConfig, model: SpeakerModel, fingerprint: str
    ) -> LiveSession:
        """The session `snapshot` saved; it goes on to the same events.

        Raises SnapshotMismatch where the bytes are damaged or another bundle, configuration or version made them.
        """
        session = cls(config, live, model)
        plain, arrays = unpack(data, session._fingerprint(fingerprint))
        session.main.restore(plain["main"], below(arrays, "main."))
        session.identity.restore(plain["identity"], below(arrays, "identity."))
        session._shown = Shown(plain["shown"], arrays["shown.matrix"], arrays["shown.numbers"])
        session._placed = [
            Placed(window, start, Activity(arrays[f"placed.{i}.activations"]), arrays[f"placed.{i}.numbers"].copy())
            for i, (window, start) in enumerate(plain["placed"])
        ]
        session._turns.restore(plain["turns"])
        session._reducer = Reducer.of(plain["reducer"])
        session._previewed, session._next = plain["previewed"], plain["next"]
        session._next_job = plain["next_job"]  # a late answer to the saved session must not pass for one to this
        session._finished, session._closed = plain["finished"], plain["closed"]
        opening = arrays.get("opening")
        session._opening = Tape.of(opening, 0) if opening is not None else Tape((), np.float32, WINDOW)
        for number in range(1, plain["previews"] + 1):
            waits = number > session._previewed and session._next == 0
            opened = Look.into(session._opening.get(0, number * config.step), config, model) if waits else None
            session._previews[number] = opened or Look(Session(config, model))
        session._flushed = plain["flushed"]
        session._flushes = [
            Flush.of(at, arrays[f"flush.{index}"], config, model) for index, at in enumerate(plain["flushes"])
        ]
        return session

    def _fingerprint(self, bundle: str) -> str:
        return f"{bundle} {self.config!r} {self.live!r}"

    # -- commands --------------------------------------------------------------------------------------------

    def hint(self, bounds: SpeakerBounds) -> list[Event]:
        """From now on there are so many speakers; takes effect with the next window."""
        self.identity.hint(bounds)
        return []

    def enrol(self, name: str, embedding: Array) -> list[Event]:
        """Know a voice by name, (D,) raw embedding of this bundle."""
        return self._say([*self.identity.enrol(name, embedding)])

    def rename(self, speaker: int, name: str) -> list[Event]:
        """Give a speaker a name."""
        self._known(speaker)
        return self._say([*self.identity.rename(speaker, name)])

    def same(self, speaker: int, into: int) -> list[Event]:
        """Two numbers are one person: `speaker` is given up."""
        self._known(speaker)
        self._known(into)
        return self._say([*self.identity.same(speaker, into)])

    def different(self, first: int, second: int) -> list[Event]:
        """Two numbers are two people, whatever the voices seem to say."""
        if self._known(first) == self._known(second):
            raise SessionError(f"{first} and {second} are one speaker; reject a turn instead")
        self.identity.different(first, second)
        return []

    def reject(self, turn: int) -> list[Event]:
        """This turn is not who it is shown as: its voice becomes a new number, relabelled where still possible.

        Raises SessionError for a turn that is not shown, and for one whose voice is not known: none of the windows so
        far holds mostly this speech of its speaker.
        """
        shown = self._reducer.turn(turn)
        if shown is None:
            raise SessionError(f"turn {turn} was never shown or was retracted")
        heard = self._voice_of(shown.speaker, sample_to_frame(shown.span.start), sample_to_frame(shown.span.end))
        if not heard:
            raise SessionError(f"too little is known of the voice in turn {turn}; try again in some seconds")
        return self._say([*self.identity.reject(shown.speaker, self._processed(), heard)])

    def _voice_of(self, speaker: int, start: int, end: int) -> dict[int, Array]:
        """Embeddings (D,) taken for `speaker` and made of speech mostly within frames start..end, by item key."""
        heard = {}
        number = self.identity.people.who(speaker)
        placed = {one.window: one.numbers for one in self._placed}
        step = self.config.step
        first = max(0, (frame_to_sample(start) - WINDOW) // step)
        for window in range(first, self._next):
            low, high = window_frames(window, step)
            if low >= end:
                break
            if high <= start:
                continue
            activity = self.main.history.activity(window)
            inside = activity.rows[:, max(start - low, 0) : max(end - low, 0)].sum(axis=1)
            mostly = inside > 0.5 * np.maximum(activity.active, 1)
            if not mostly.any():
                continue
            rows = self.main.history.embeddings[window]
            numbers = placed.get(window)
            if numbers is None:
                heard_then = self._heard([Placed(window, low, activity)], [rows], self._processed())
                numbers = self.identity.assign(heard_then)[0]
            own = [one > 0 and self.identity.people.who(one) == number for one in numbers.tolist()]
            for local in np.flatnonzero(mostly & own & np.isfinite(rows).all(axis=1)):
                heard[LOCAL_SPEAKERS * window + int(local)] = rows[local]
        return heard

    def _known(self, speaker: int) -> int:
        if speaker not in self.identity.people:
            raise SessionError(f"there is no speaker {speaker} in this stream")
        return self.identity.people.who(speaker)

    def _say(self, events: list[Event]) -> list[Event]:
        for event in events:
            self._reducer.push(event)
        return events
