"""The run's clock: times as far apart as they really were, and no blame for time in which nobody could act."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from engine.runtime.clock import Clock


@dataclass
class Hands:
    """Two clocks to be moved by hand."""

    steady: float = 100.0
    wall: float = 1_767_225_600.0

    def run(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += seconds

    def clock(self) -> Clock:
        return Clock(lambda: self.steady, lambda: self.wall)


def test_utc_goes_on_steadily_when_the_wall_clock_is_set() -> None:
    """Set forward or back, the wall clock is told once, and followed from then on."""
    for step in (3600.0, -3600.0):
        hands = Hands()
        clock = hands.clock()
        hands.run(10)
        hands.wall += step
        assert clock.utc() == 1_767_225_610.0, "nobody has looked yet"
        assert clock.stepped() == step
        assert clock.stepped() == 0.0
        assert clock.utc() == hands.wall


def test_small_drift_is_no_step() -> None:
    """What a time service corrects by and by is nobody's news."""
    hands = Hands()
    clock = hands.clock()
    hands.wall += 1.5
    assert clock.stepped() == 0.0
    assert clock.utc() == 1_767_225_600.0


def test_time_in_which_the_process_was_stopped_does_not_count() -> None:
    """Ten minutes without a look are ten minutes in which nothing could run; looks once a second all count."""
    hands = Hands()
    clock = hands.clock()
    began = clock.awake()
    for _ in range(30):
        hands.run(1.0)
        clock.awake()
    assert clock.awake() - began == pytest.approx(30)
    hands.run(600)
    assert clock.awake() - began == pytest.approx(30)
    hands.run(2.0)
    assert clock.awake() - began == pytest.approx(32)
