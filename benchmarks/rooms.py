"""Rooms made of arithmetic: impulse responses of boxes by the image-source method.

Every wall mirrors the source; the response is the sum of all mirror images heard at the microphone, each later and
weaker by its distance and by the walls it met (Allen & Berkley 1979). Images are moved by a few centimetres at random,
which removes the ringing that perfect boxes have (De Sena et al. 2015). Absorption does not depend on frequency.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray
from scipy import signal

SPEED_OF_SOUND = 343.0
"""Metres per second, at 20 °C."""

OVERSAMPLING = 4
"""Images are laid on a grid this much finer than the sample rate, then the response is low-passed."""

Position = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Room:
    """A box with one reverberation time."""

    size: Position
    """Width, depth, height in metres."""

    t60: float
    """Seconds in which sound decays by 60 dB."""

    @property
    def reflection(self) -> float:
        """Pressure reflection coefficient of every wall that gives `t60`, by Eyring's formula."""
        width, depth, height = self.size
        volume = width * depth * height
        surface = 2.0 * (width * depth + width * height + depth * height)
        absorption = 1.0 - np.exp(-24.0 * log(10.0) * volume / (SPEED_OF_SOUND * surface * self.t60))
        return float(np.sqrt(1.0 - absorption))


def random_room(rng: np.random.Generator) -> Room:
    """An office or meeting room: 3–9 m by 3–6 m, 2.4–3.5 m high, 0.15–0.6 s of reverberation."""
    size = (float(rng.uniform(3, 9)), float(rng.uniform(3, 6)), float(rng.uniform(2.4, 3.5)))
    return Room(size, float(rng.uniform(0.15, 0.6)))


def seats(room: Room, people: int, rng: np.random.Generator) -> tuple[Position, list[Position]]:
    """A microphone on a table somewhere in the room, and mouths of `people` sitting around it.

    Everybody is 0.5–2 m from the microphone where the room allows it, and 0.3 m from every wall at least.
    """
    low, high = np.full(3, 0.3), np.array(room.size) - 0.3
    table = np.array([room.size[0] / 2, room.size[1] / 2, 0.75]) + np.append(rng.uniform(-0.4, 0.4, 2), 0.0)
    first = rng.uniform(0, 2 * np.pi)
    mouths = []
    for person in range(people):
        angle = first + 2 * np.pi * (person + rng.uniform(-0.3, 0.3)) / max(people, 1)
        away = rng.uniform(0.5, 2.0)
        offset = np.array([away * np.cos(angle), away * np.sin(angle), rng.uniform(0.3, 0.6)])
        mouths.append(_position(np.clip(table + offset, low, high)))
    return _position(table), mouths


def impulse_response(
    room: Room,
    source: Position,
    microphone: Position,
    rng: np.random.Generator,
    *,
    sample_rate: int = 16_000,
    seconds: float | None = None,
) -> NDArray[np.float32]:
    """Response at the microphone to a click at the source: (samples,) with unit energy.

    The direct sound sits at sample 0, whatever the distance, so that speech keeps its place in time. `seconds` is the
    length, by default the time in which the room decays by 60 dB.
    """
    length = room.t60 if seconds is None else seconds
    delays, gains = _images(room, source, microphone, rng, length)
    delays -= delays.min()
    rate = sample_rate * OVERSAMPLING
    fine = np.bincount(np.rint(delays * rate).astype(np.intp), weights=gains, minlength=OVERSAMPLING)
    taps = signal.firwin(8 * OVERSAMPLING + 1, 0.9 / OVERSAMPLING) * OVERSAMPLING
    middle = len(taps) // 2
    response = signal.oaconvolve(fine, taps)[middle::OVERSAMPLING]
    blocker = signal.butter(2, 60.0, "highpass", fs=sample_rate, output="sos")  # boxes boom below their modes
    response = signal.sosfilt(blocker, response[: max(1, round(length * sample_rate))])
    return np.asarray(response / np.sqrt(np.sum(response**2)), dtype=np.float32)


def _images(
    room: Room, source: Position, microphone: Position, rng: np.random.Generator, seconds: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Delays in seconds and gains of all images heard within `seconds` after the direct sound."""
    direct = float(np.linalg.norm(np.subtract(source, microphone)))
    reach = direct + seconds * SPEED_OF_SOUND
    axes = []
    for length, there, here in zip(room.size, source, microphone, strict=True):
        n = np.arange(-int(reach / (2 * length)) - 1, int(reach / (2 * length)) + 2)
        where = np.concatenate([2 * n * length + there, 2 * n * length - there]) - here
        bounces = np.concatenate([np.abs(2 * n), np.abs(2 * n - 1)])
        near = np.abs(where) <= reach
        axes.append((where[near], bounces[near]))
    (x, bx), (y, by), (z, bz) = axes
    squared = x[:, None, None] ** 2 + y[None, :, None] ** 2 + z[None, None, :] ** 2
    heard = squared <= reach**2
    bounces = (bx[:, None, None] + by[None, :, None] + bz[None, None, :])[heard]
    distance = np.sqrt(squared[heard])
    moved = distance + np.where(bounces > 0, rng.uniform(-0.05, 0.05, len(distance)), 0.0)
    moved = np.maximum(moved, direct)
    return moved / SPEED_OF_SOUND, room.reflection**bounces / np.maximum(distance, 0.1)


def _position(point: NDArray[np.float64]) -> Position:
    x, y, z = (float(value) for value in point)
    return x, y, z
