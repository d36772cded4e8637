"""Ctrl-C once asks for the end, at once where something is waited for; twice gives up."""

from __future__ import annotations

import os
import signal
import time

import pytest

from speakrs_clients.interrupts import EndAsked, Interrupts


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.001)  # the handler runs before this returns


def test_once_and_twice() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        assert not interrupts.asked
        press()
        assert interrupts.asked
        with pytest.raises(KeyboardInterrupt):
            press()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_wait_ends_at_once() -> None:
    with Interrupts() as interrupts:
        with pytest.raises(EndAsked), interrupts.waiting():
            press()
            pytest.fail("the wait went on")
        with pytest.raises(EndAsked), interrupts.waiting():
            pytest.fail("a wait began after the end was asked for")


def test_the_second_gives_up_a_wait_as_well() -> None:
    with Interrupts() as interrupts:
        press()
        with pytest.raises(KeyboardInterrupt):
            press()
        assert interrupts.asked
