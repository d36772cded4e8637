"""Simulated rooms decay as asked and keep the direct sound in place."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.rooms import Room, impulse_response, random_room, seats


def decay(response: np.ndarray, sample_rate: int = 16_000) -> float:
    """Reverberation time by backward integration (Schroeder 1965), fitted between -5 and -25 dB."""
    energy = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0])
    part = np.flatnonzero((level < -5) & (level > -25))
    slope = np.polyfit(part / sample_rate, level[part], 1)[0]
    return float(-60 / slope)


@pytest.mark.parametrize("t60", [0.2, 0.5])
def test_decays_about_as_fast_as_asked(t60: float) -> None:
    room = Room((6.0, 4.5, 2.8), t60)
    response = impulse_response(room, (2.0, 1.5, 1.2), (3.5, 2.6, 0.8), np.random.default_rng(1))
    assert decay(response) == pytest.approx(t60, rel=0.35)
    assert len(response) <= round(t60 * 16_000)
    assert response.dtype == np.float32
    assert np.sum(response.astype(np.float64) ** 2) == pytest.approx(1.0, abs=1e-5)


def test_direct_sound_comes_first_at_any_distance() -> None:
    room = Room((8.0, 6.0, 3.0), 0.15)
    for distance in (0.5, 2.5):
        response = impulse_response(room, (1.0 + distance, 3.0, 1.2), (1.0, 3.0, 1.2), np.random.default_rng(0))
        assert np.argmax(np.abs(response[:200])) <= 1


def test_first_reflection_arrives_when_geometry_says() -> None:
    """Source and microphone 1 m apart, 1 m over the floor, all else far away: floor image after sqrt(5) m."""
    room = Room((40.0, 40.0, 40.0), 2.0)
    response = impulse_response(room, (20.0, 20.0, 1.0), (21.0, 20.0, 1.0), np.random.default_rng(0), seconds=0.02)
    echo = 10 + int(np.argmax(np.abs(response[10:200])))
    assert echo / 16_000 == pytest.approx((5**0.5 - 1) / 343, abs=0.05 / 343 + 1 / 16_000)


def test_same_seed_same_room() -> None:
    one, other = (random_room(np.random.default_rng(5)) for _ in range(2))
    assert one == other
    assert random_room(np.random.default_rng(6)) != one


def test_seats_are_inside_and_apart() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        room = random_room(rng)
        microphone, mouths = seats(room, 6, rng)
        for point in [microphone, *mouths]:
            assert all(0.2 < value < size - 0.2 for value, size in zip(point, room.size, strict=True))
        assert all(np.linalg.norm(np.subtract(mouth, microphone)) > 0.3 for mouth in mouths)
        assert len(set(mouths)) == 6
