"""Simulated shoebox rooms: exact early images, an exponentially decaying diffuse tail, several talkers a room."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Maker = Callable[[np.random.Generator, int], NDArray[np.float32]]
"""(generator, talkers) to the responses of one room."""
RATE = 16000
SPEED_OF_SOUND = 343.0
LENGTH = 8000
IMAGE_ORDER = 5
FURTHEST, HIGHEST_ORDER = 4.0, 60
"""With pyroomacoustics: metres between mouth and microphone, and reflections followed, at most."""


def image_impulses(
    size: NDArray[np.float64], source: NDArray[np.float64], microphone: NDArray[np.float64], reflection: float
) -> NDArray[np.float64]:
    """Impulse response [LENGTH] of the images up to IMAGE_ORDER in each axis; the direct sound is at sample 0."""
    n = np.arange(-IMAGE_ORDER, IMAGE_ORDER + 1)
    axes = []
    for axis in range(3):
        even = 2 * n * size[axis] + source[axis] - microphone[axis]
        odd = 2 * n * size[axis] - source[axis] - microphone[axis]
        distance = np.concatenate([even, odd])
        bounces = np.concatenate([np.abs(2 * n), np.abs(2 * n - 1)])
        axes.append((distance, bounces))
    dx, dy, dz = np.meshgrid(axes[0][0], axes[1][0], axes[2][0], indexing="ij")
    bx, by, bz = np.meshgrid(axes[0][1], axes[1][1], axes[2][1], indexing="ij")
    distance = np.sqrt(dx**2 + dy**2 + dz**2).ravel()
    gain = (reflection ** (bx + by + bz)).ravel() / np.maximum(distance, 0.1)
    sample = np.rint((distance - distance.min()) / SPEED_OF_SOUND * RATE).astype(int)
    keep = sample < LENGTH
    response = np.zeros(LENGTH)
    np.add.at(response, sample[keep], gain[keep])
    return response


def room(rng: np.random.Generator, talkers: int) -> NDArray[np.float32]:
    """Responses [talkers, LENGTH] of one random room, the loudest direct sound scaled to 1."""
    size = rng.uniform([2.5, 2.5, 2.3], [9.0, 7.0, 3.8])
    decay = float(np.exp(rng.uniform(np.log(0.12), np.log(0.8))))
    surface = 2 * (size[0] * size[1] + size[0] * size[2] + size[1] * size[2])
    absorption = min(0.95, 0.161 * float(size.prod()) / (surface * decay))
    reflection = float(np.sqrt(1 - absorption))
    microphone = rng.uniform(0.15 * size, 0.85 * size)
    times = np.arange(LENGTH) / RATE
    responses = np.zeros((talkers, LENGTH))
    far = rng.random() < 0.7
    for talker in range(talkers):
        if far:
            source = rng.uniform(0.1 * size, 0.9 * size)
        else:
            source = np.clip(microphone + rng.uniform(-0.5, 0.5, 3), 0.05 * size, 0.95 * size)
        early = image_impulses(size, source, microphone, reflection)
        mixing = int(rng.uniform(0.02, 0.05) * RATE)
        tail = rng.standard_normal(LENGTH) * 10 ** (-3 * times / decay)
        level = np.sqrt(np.mean(early[mixing // 2 : 2 * mixing] ** 2))
        tail[:mixing] *= np.linspace(0, 1, mixing) ** 2
        # the walls take more of the high frequencies: the tail is softened by a one-pole filter
        tail *= level / 10 ** (-3 * mixing / RATE / decay)
        spectrum = np.fft.rfft(tail)
        cut = rng.uniform(2000, 8000)
        spectrum /= np.sqrt(1 + (np.fft.rfftfreq(LENGTH, 1 / RATE) / cut) ** 2)
        early[2 * mixing :] *= 0.3
        responses[talker] = early + np.fft.irfft(spectrum, LENGTH)
    scale = np.abs(responses[:, :40]).max()
    return np.asarray(responses / scale, dtype=np.float32)


def seat(size: NDArray[np.float64], microphone: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A mouth in the room, 0.2 m to FURTHEST from the microphone."""
    while True:
        source = rng.uniform(0.05 * size, 0.95 * size)
        if 0.2 <= float(np.linalg.norm(source - microphone)) <= FURTHEST:
            return np.asarray(source)


def image_source_room(rng: np.random.Generator, talkers: int) -> NDArray[np.float32]:
    """What `room` gives, by pyroomacoustics: all images (moved by some centimetres), RT60 by Sabine 0.15 to 0.8 s.

    The direct sound is at sample 40, behind half of the filter by which a fraction of a sample is waited for.
    """
    import pyroomacoustics

    size = rng.uniform([2.5, 2.5, 2.3], [9.0, 7.0, 3.8])
    surface = 2 * (size[0] * size[1] + size[0] * size[2] + size[1] * size[2])
    shortest = 0.161 * float(size.prod()) / (0.95 * surface)
    absorption, order = pyroomacoustics.inverse_sabine(max(rng.uniform(0.15, 0.8), shortest), size)
    pyroomacoustics.random.seed(int(rng.integers(2**31)))
    walls = pyroomacoustics.Material(absorption)
    space = pyroomacoustics.ShoeBox(
        size, fs=RATE, materials=walls, max_order=min(order, HIGHEST_ORDER), use_rand_ism=True
    )
    microphone = rng.uniform(0.15 * size, 0.85 * size)
    sources = [seat(size, microphone, rng) for _ in range(talkers)]
    space.add_microphone(microphone)
    for source in sources:
        space.add_source(source)
    space.compute_rir()
    responses = np.zeros((talkers, LENGTH))
    for row, source, found in zip(responses, sources, space.rir[0], strict=True):
        heard = found[round(float(np.linalg.norm(source - microphone)) / SPEED_OF_SOUND * RATE) :][:LENGTH]
        row[: len(heard)] = heard
    return np.asarray(responses / np.abs(responses[:, :80]).max(), dtype=np.float32)


def build(count: int, talkers: int, seed: int, make: Maker = room) -> NDArray[np.float32]:
    """`count` rooms: [count, talkers, LENGTH]."""
    rng = np.random.default_rng(seed)
    return np.stack([make(rng, talkers) for _ in range(count)])


def main() -> None:
    """`python -m training.rooms WORK` writes WORK/rooms.npy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--talkers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pyroomacoustics", action="store_true", help="all images and no made-up tail")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    make = image_source_room if options.pyroomacoustics else room
    np.save(options.work / "rooms.npy", build(options.count, options.talkers, options.seed, make))


if __name__ == "__main__":
    main()
