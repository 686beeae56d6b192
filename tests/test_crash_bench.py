"""The bench of kills, a few of them: a real process, a counting server, and a real journal."""

from __future__ import annotations

from pathlib import Path

from bench.crash import crash


def test_killed_run_loses_repeats_and_asks_needlessly_nothing(tmp_path: Path) -> None:
    """Killed six times while it starts, asks, is answered and seals, a run keeps every line, and only what was in flight is asked
    again."""
    told = crash(6, 21, tmp_path, goal=12)
    assert told["broken"] == []
    assert (told["kills"], told["lost"], told["duplicates"], told["asked_needlessly"], told["verified"]) == (6, 0, 0, 0, True)
    assert told["asked_again_max"] <= told["in_flight_max"]
