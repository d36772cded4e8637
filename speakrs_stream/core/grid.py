"""Samples, frames and seconds; the only place that converts between them.

A position is an integer count of samples at 16 kHz. Segmentation frames start every 270 samples and see 991
(three poolings by 3 after a stride of 10; pipeline of Bredin 2023). Seconds are for people and files.
"""

from __future__ import annotations

from dataclasses import dataclass

SAMPLE_RATE = 16_000
"""Hertz."""

WINDOW = 10 * SAMPLE_RATE
"""Samples the segmentation network sees at once."""

FRAME_STEP = 10 * 3 * 3 * 3
"""Samples between the starts of two segmentation frames (270)."""

# kernel and stride of each layer in front of the recurrent part, in order
LAYERS = ((251, 10), (3, 3), (5, 1), (3, 3), (5, 1), (3, 3))

FRAME_MIDDLE = 495
"""Samples from a frame's start to its middle. The exact middle of 991 samples is 495.5; the half sample is
dropped, which never changes a time printed in milliseconds."""


def frame_count(samples: int) -> int:
    """Segmentation frames that `samples` samples give; 0 when there are too few for one."""
    for kernel, stride in LAYERS:
        samples = (samples - kernel) // stride + 1
        if samples <= 0:
            return 0
    return samples


def receptive_field() -> int:
    """Samples one segmentation frame sees (991)."""
    field, jump = 1, 1
    for kernel, stride in LAYERS:
        field += (kernel - 1) * jump
        jump *= stride
    return field


FRAME_FIELD = receptive_field()
FRAMES_PER_WINDOW = frame_count(WINDOW)  # 589


def nearest_frame(sample: int) -> int:
    """Global frame that a window starting at `sample` puts its first frame on.

    Ties go to even, as NumPy's rint; no tie exists for steps of 0.96, 1 and 2 s.
    """
    frame, rest = divmod(sample, FRAME_STEP)
    return frame + (2 * rest > FRAME_STEP or (2 * rest == FRAME_STEP and frame % 2 == 1))


def total_frames(windows: int, step: int) -> int:
    """Frames of the global grid that `windows` windows `step` samples apart span, as pyannote counts them."""
    if windows <= 0:
        return 0
    return nearest_frame(WINDOW + (windows - 1) * step) + 1


def frame_to_sample(frame: int) -> int:
    """Sample at the middle of a global frame: where a turn that begins with this frame starts."""
    return frame * FRAME_STEP + FRAME_MIDDLE


def sample_to_frame(sample: int) -> int:
    """First global frame whose middle is at or after `sample`; never negative."""
    return max(0, -((FRAME_MIDDLE - sample) // FRAME_STEP))


def seconds(samples: int) -> float:
    """Samples at 16 kHz as seconds."""
    return samples / SAMPLE_RATE


def samples(seconds: float) -> int:
    """Seconds as the nearest sample at 16 kHz."""
    return round(seconds * SAMPLE_RATE)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of the stream, in samples at 16 kHz; `end` is exclusive."""

    start: int
    """First sample."""

    end: int
    """One past the last sample."""

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"span ends ({self.end}) before it starts ({self.start})")

    @property
    def samples(self) -> int:
        """Length in samples."""
        return self.end - self.start

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples / SAMPLE_RATE
