"""One live stream: the offline session's windows, shown as turns while they arrive.

Audio goes in, questions for the networks come out, answers go in, events come out. Every event follows from the audio
position alone: neither the sizes of the pieces nor the order or time of the answers can change them. Before the first
whole window, the audio so far is looked at as a zero-padded window once a step (a preview), which is the whole
pipeline on a short recording; its results are shown and then forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speakrs_stream.core.aggregation import SpeakerCount
from speakrs_stream.core.arrays import F32, U8, Array, Tape, below
from speakrs_stream.core.config import PipelineConfig, SpeakerBounds
from speakrs_stream.core.events import Event, Watermark
from speakrs_stream.core.grid import WINDOW, frame_to_sample, sample_to_frame
from speakrs_stream.core.history import WindowResult
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.identity import Heard, Identity
from speakrs_stream.core.live.timeline import Placed, Shown, preview_counts, show, window_frames
from speakrs_stream.core.live.turns import TurnTracker
from speakrs_stream.core.powerset import LOCAL_SPEAKERS
from speakrs_stream.core.reducer import Reducer, StreamState
from speakrs_stream.core.session import Outcome, Session, SpeakerModel
from speakrs_stream.core.snapshot import pack, unpack
from speakrs_stream.errors import SessionError

MAIN = 0
"""Source number of the stream itself; previews are 1, 2, 3 … steps long."""


@dataclass(slots=True, eq=False)
class _Preview:
    """A look at the first seconds, padded with silence."""

    session: Session
    result: WindowResult | None = None


class LiveSession:
    """The pure state behind a live stream."""

    def __init__(
        self, config: PipelineConfig, live: LiveConfig, model: SpeakerModel, identity: Identity | None = None
    ) -> None:
        """identity: who is who; None for the one described in `identity`, another to compare with."""
        self.config = config
        self.live = live
        self.model = model
        self.main = Session(config, model)
        self.identity = identity or Identity(live, config.clustering, model.plda)
        self._reducer = Reducer()
        self._turns = TurnTracker()
        self._count = SpeakerCount(config.step)
        self._placed: list[Placed] = []
        self._shown = Shown.nothing()
        self._opening = Tape()  # the first window's audio, for previews
        self._previews: dict[int, _Preview] = {}
        self._previewed = 0  # previews shown
        self._next = 0  # windows shown
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
            preview = Session(self.config, self.model)
            preview.push(self._opening.get(0, length))
            preview.finish()
            self._previews[len(self._previews) + 1] = _Preview(preview)
        return []

    def finish(self) -> list[Event]:
        """No more audio comes; the last events follow once every job is answered."""
        self.main.finish()
        self._finished = True
        return self._pump()

    # -- questions and answers -------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """What must be inferred now and has not been handed out yet."""
        out = []
        sources = [(number, preview.session) for number, preview in self._previews.items() if preview.result is None]
        for number, session in [*sources, (MAIN, self.main)]:
            for job in session.jobs():
                self._jobs[self._next_job] = (number, job.id)
                out.append(Job(self._next_job, job.model, job.inputs, (number, *job.about[1:])))
                self._next_job += 1
        return out

    def ask_again(self) -> None:
        """Hand out every unanswered job once more, under new numbers: whoever had them will not answer."""
        self._jobs.clear()
        for session in (self.main, *(preview.session for preview in self._previews.values())):
            session.ask_again()

    @property
    def busy(self) -> bool:
        """Whether answers are awaited."""
        return self.main.busy or any(preview.session.busy for preview in self._previews.values())

    def resolve(self, job_id: int, output: Array) -> list[Event]:
        """Take a model's answer; return the events it leads to.

        Raises SessionError for an answer nobody waits for, or one of the wrong shape, which may be given again.
        """
        source = self._jobs.get(job_id)
        if source is None:
            raise SessionError(f"job {job_id} was never asked or is already answered")
        number, inner = source
        if number == MAIN:
            self.main.resolve(inner, output)
        else:
            preview = self._previews[number]
            settled = preview.session.resolve(inner, output)
            preview.result = settled[0] if settled else preview.result
        del self._jobs[job_id]
        return self._pump()

    def _pump(self) -> list[Event]:
        """Show everything whose turn has come: previews by length, then windows, then the end."""
        events: list[Event] = []
        while self._next == 0 and (preview := self._previews.get(self._previewed + 1)) is not None:
            if preview.result is None:
                return events
            self._previewed += 1
            events += self._preview(preview.result, self._previewed * self.config.step)
            preview.session = Session(self.config, self.model)  # lets go of its audio
        while self._next < len(self.main.history):
            index = self._next
            activations = self.main.history.activations(index, index + 1)[0]
            self._next += 1
            events += self._window(index, activations, self.main.history.embeddings[index])
        if self._finished and not self.main.busy and not self._closed:
            self._closed = True
            events += self._close()
        return events

    # -- showing ---------------------------------------------------------------------------------------------

    def _processed(self) -> int:
        reached = (self._next - 1) * self.config.step + WINDOW if self._next else self._previewed * self.config.step
        return min(reached, self.samples)

    def _preview(self, result: WindowResult, length: int) -> list[Event]:
        """Show the first `length` samples from a padded window."""
        heard_frames = sample_to_frame(length)
        activations = result.activations[:heard_frames]
        placed = Placed(-self._previewed, 0, activations)
        placed.numbers, events, _ = self.identity.push(self._heard(placed, result.embeddings, length))
        return self._update([placed], preview_counts(activations)[self._turns.frozen :], [*events])

    def _window(self, index: int, activations: U8, embeddings: Array) -> list[Event]:
        """Show one more whole window."""
        start, end = window_frames(index, self.config.step)
        self._count.push(activations)
        processed = min(index * self.config.step + WINDOW, self.samples)
        latest = Placed(index, start, activations)
        latest.numbers, events, changed = self.identity.push(self._heard(latest, embeddings, processed))
        frozen = self._turns.frozen
        self._placed = [p for p in self._placed if p.window >= 0 and p.start + len(p.activations) > frozen]
        if changed:
            rows = self.main.history.embeddings
            again = self.identity.assign([self._heard(one, rows[one.window], processed) for one in self._placed])
            for placed, numbers in zip(self._placed, again, strict=True):
                placed.numbers = numbers
        self._placed.append(latest)
        high = self.identity.bounds.high
        counts = self._count.counts(frozen, min(end, sample_to_frame(processed)))
        if high is not None:
            counts = np.minimum(counts, min(high, LOCAL_SPEAKERS)).astype(np.uint8)
        return self._update(self._placed, counts, [*events])

    def _heard(self, placed: Placed, embeddings: Array, processed: int) -> Heard:
        return Heard(placed.window, processed, embeddings, placed.active, placed.clean, self._shown.shares(placed))

    def _update(self, placed: list[Placed], counts: U8, events: list[Event]) -> list[Event]:
        """Recompute what is shown in front of the watermark, move the watermark, say what changed."""
        self._shown = show(placed, counts, self._turns.frozen, self._shown)
        processed = self._processed()
        frozen = max(self._turns.frozen, min(self._shown.end, sample_to_frame(processed - self.live.max_delay)))
        return self._tell(frozen, processed, events)

    def _close(self) -> list[Event]:
        """The stream is over: everything shown is final."""
        return self._tell(max(self._turns.frozen, self._shown.end), self.samples, [], until=self.samples)

    def _tell(self, frozen: int, processed: int, events: list[Event], until: int | None = None) -> list[Event]:
        last = self._closed
        tracker_frozen = frozen + 1 if last else frozen  # a turn that ends with the audio ends for good
        events += self._turns.push(self._shown, tracker_frozen, max(self.samples, 0) if last else processed)
        if until is None:
            until = frame_to_sample(frozen) if frozen else 0
        if until > self._reducer.watermark or processed > self._reducer.processed:
            events.append(Watermark(max(until, self._reducer.watermark), processed))
        self._cut(frozen)
        for event in events:
            self._reducer.push(event)
        return events

    def _cut(self, frozen: int) -> None:
        """Forget what lies behind the watermark."""
        self._count.forget(frozen)
        rows = frozen - self._shown.start
        if rows > 0:
            self._shown = Shown(frozen, self._shown.matrix[rows:], self._shown.numbers)

    # -- the result ------------------------------------------------------------------------------------------

    def outcome(self, bounds: SpeakerBounds | None = None) -> Outcome:
        """The offline result over everything heard; needs `finish` and every answer."""
        return self.main.outcome(bounds)

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
        count, rows_by_name = self._count.state()
        arrays |= {f"count.{name}": rows for name, rows in rows_by_name.items()}
        arrays["shown.matrix"], arrays["shown.numbers"] = self._shown.matrix, self._shown.numbers
        for index, placed in enumerate(self._placed):
            arrays[f"placed.{index}.activations"], arrays[f"placed.{index}.numbers"] = (
                placed.activations,
                placed.numbers,
            )
        if self._next == 0:
            arrays["opening"] = self._opening.all().copy()
        plain = {
            "main": main,
            "identity": identity,
            "count": count,
            "shown": self._shown.start,
            "placed": [[placed.window, placed.start] for placed in self._placed],
            "turns": self._turns.state(),
            "reducer": self._reducer.plain(),
            "previewed": self._previewed,
            "previews": len(self._previews),
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
        session._count.restore(plain["count"], below(arrays, "count."))
        session._shown = Shown(plain["shown"], arrays["shown.matrix"], arrays["shown.numbers"])
        session._placed = [
            Placed(window, start, arrays[f"placed.{i}.activations"], arrays[f"placed.{i}.numbers"].copy())
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
            inner = Session(config, model)
            if number > session._previewed and session._next == 0:
                inner.push(session._opening.get(0, number * config.step))
                inner.finish()
            session._previews[number] = _Preview(inner)
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
            activity = self.main.history.activations(window, window + 1)[0]
            inside = activity[max(start - low, 0) : max(end - low, 0)].sum(axis=0, dtype=np.int64)
            mostly = inside > 0.5 * np.maximum(activity.sum(axis=0, dtype=np.int64), 1)
            if not mostly.any():
                continue
            rows = self.main.history.embeddings[window]
            numbers = placed.get(window)
            if numbers is None:
                numbers = self.identity.assign([self._heard(Placed(window, low, activity), rows, self._processed())])[0]
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
