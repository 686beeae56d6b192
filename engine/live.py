"""A run on a terminal: what it shows while it goes on, and how it ends. Without a terminal, one plain line now and then.

Everything is written by a thread of its own that only ever shows the newest pulse: an output that is closed or blocked neither
ends nor slows a run.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from io import TextIOBase
from pathlib import Path
from typing import NoReturn

import orjson
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from engine import app, metrics, rundir
from engine.core.money import brief
from engine.core.tally import LaneTally
from engine.plan import Plan
from engine.runtime.log import Talk
from engine.runtime.pulse import LanePulse, Pulse, RunState

PLAIN_EVERY = 5.0
"""Seconds between two lines where there is no terminal."""
LAST_WORDS = 3.0
"""Seconds that a blocked output gets to take what is still to be said."""

ADVICE = {
    RunState.INTERRUPTED: "Everything that was answered is kept; run the same command again to go on.",
    RunState.NO_LANE: "Everything that was answered is kept; mend the lane, then run the same command again to go on.",
    RunState.BUDGET: "Everything that was answered is kept; raise the budget, then run the same command again to go on.",
    RunState.STALLED: "The model repeats itself, or everything it says is dropped ('seeddrill status' tells why). Raise the "
    "temperature, take a stronger model, set options.topic, or add seeds; then run the same command again.",
}


class Progress(Enum):
    SHOWN = "shown"
    HIDDEN = "hidden"
    JSON = "json"
    """Each pulse as a line of JSON, on stdout."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a run shows of itself while it goes on. `metrics_port`: where Prometheus may ask, or on the next free port."""

    progress: Progress
    metrics_port: int | None = None
    talk: Talk = Talk.NOTHING


class Raw(TextIOBase):
    """A text stream that writes to a file descriptor at once, so that nothing waits in a buffer when the process ends."""

    def __init__(self, file: int) -> None:
        self._file = file

    def write(self, text: str, /) -> int:
        view = memoryview(text.encode("utf-8", "replace"))
        while view:
            view = view[os.write(self._file, view) :]
        return len(text)

    def isatty(self) -> bool:
        try:
            return os.isatty(self._file)
        except OSError:
            return False

    def fileno(self) -> int:
        return self._file


class Pace:
    """How fast a run goes, by its pulses of the last minute."""

    def __init__(self) -> None:
        self._pulses: deque[Pulse] = deque()

    def add(self, pulse: Pulse) -> None:
        self._pulses.append(pulse)
        while self._pulses[-1].seconds - self._pulses[0].seconds > 60:
            self._pulses.popleft()

    def calls(self, lane: str) -> float | None:
        """Answered calls a minute; `None` while there is nothing to tell it by."""
        return self._rate(lambda pulse: pulse.tally["lanes"].get(lane, {}).get("calls", 0), 60.0)

    def left(self, pulse: Pulse) -> float | None:
        """Seconds until the goal at this rate; `None` where there is no goal, or no rate."""
        grows = pulse.documents is None
        rate = self._rate(lambda one: one.kept if grows else one.records, 1.0)
        if pulse.goal is None or not rate:
            return None
        return max(0, pulse.goal - (pulse.kept if grows else pulse.records)) / rate

    def _rate(self, measure: Callable[[Pulse], int], period: float) -> float | None:
        if not self._pulses or (seconds := self._pulses[-1].seconds - self._pulses[0].seconds) < 1:
            return None
        return (measure(self._pulses[-1]) - measure(self._pulses[0])) / seconds * period


class Teller:
    """Shows the newest pulse on stderr and at the end some last words on stdout, from a thread of its own."""

    def __init__(self, progress: Progress) -> None:
        self._console = Console(file=Raw(2), highlight=False, soft_wrap=True)  # type: ignore[arg-type]
        self._progress = progress
        self._pulse: Pulse | None = None
        self._pace = Pace()
        self._words: list[str] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="teller", daemon=True)
        self._thread.start()

    def tell(self, pulse: Pulse) -> None:
        """Show this pulse next; never blocks."""
        with self._changed:
            self._pulse = pulse
            self._pace.add(pulse)
            self._changed.notify()

    def say(self, words: str) -> None:
        """Print a paragraph after the progress has ended; never blocks."""
        with self._changed:
            self._words.append(words)

    def close(self) -> bool:
        """Print what is left; False if the output did not take it in time, so that the process must not wait for it either."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(LAST_WORDS)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            if self._progress is Progress.JSON:
                self._json()
            elif self._progress is Progress.SHOWN:
                self._live() if self._console.is_terminal else self._plain()
        except (OSError, ValueError):
            pass  # nobody looks any more; the run goes on
        with self._changed:
            self._changed.wait_for(lambda: self._closed)
        try:
            Raw(1).write("".join(f"{words}\n" for words in self._words))
        except (OSError, ValueError):
            pass  # nor listens

    def _live(self) -> None:
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while pulse := self._next():
                live.update(panel(pulse, self._pace), refresh=True)

    def _json(self) -> None:
        while pulse := self._next():
            Raw(1).write(orjson.dumps(pulse.as_json()).decode() + "\n")

    def _plain(self) -> None:
        due = 0.0
        while pulse := self._next():
            if time.monotonic() >= due:
                self._console.print(line(pulse, self._pace), markup=False)
                due = time.monotonic() + PLAIN_EVERY

    def _next(self) -> Pulse | None:
        """The next pulse, `None` at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._pulse is not None)
            pulse, self._pulse = self._pulse, None
            return pulse if self._progress is Progress.JSON or not self._closed else None


def run(plan: Plan, directory: Path, shown: Shown, failures: app.Failures) -> NoReturn:
    """Run a plan with progress on the terminal, say how it ended, and leave with the exit code."""
    exposed = metrics.Exposed(shown.metrics_port) if shown.metrics_port is not None else None
    if exposed is not None:
        print(f"seeddrill: metrics at http://127.0.0.1:{exposed.port}/metrics", file=sys.stderr)
    for notice in rundir.notices(directory):
        print(f"seeddrill: {notice}", file=sys.stderr)
    teller = Teller(shown.progress)

    def tell(pulse: Pulse) -> None:
        teller.tell(pulse)
        if exposed is not None:
            exposed.tell(pulse)

    try:
        outcome = app.run(plan, directory, on_pulse=tell, failures=failures, talk=shown.talk)
        if shown.progress is not Progress.JSON:
            teller.say(ending(outcome))
    finally:
        told = teller.close()
    leave(outcome.exit_code, told)


def leave(code: int, told: bool) -> NoReturn:
    """End the process, without waiting for an output that takes nothing (`told` is false)."""
    if not told:
        os._exit(code)
    sys.exit(code)


def ending(outcome: app.Outcome) -> str:
    """How a run ended and what to do next."""
    pulse = outcome.pulse
    counts = f"{counted(pulse)} in {outcome.directory}"
    if pulse.state is RunState.DONE:
        return f"Done: {counts}.\nExport them: seeddrill export {outcome.directory} --format alpaca --out data.json"
    named = pulse.state.value.replace("_", " ")
    return f"{named.capitalize()}: {pulse.reason}.\n{counts}. {ADVICE.get(pulse.state, '')}"


def line(pulse: Pulse, pace: Pace | None = None) -> str:
    """A pulse in one plain line."""
    parts = [
        f"{duration(pulse.seconds)} {pulse.state.value}",
        progress(pulse),
        f"dropped {dropped(pulse)}",
        f"in flight {pulse.in_flight}",
    ]
    parts += [f"{duration(left)} to go"] if pace is not None and (left := pace.left(pulse)) is not None else []
    parts += [f"spent {spent}"] if (spent := spending(pulse)) else []
    parts += [f"{lane.name} {standing(lane)}" for lane in pulse.lanes if lane.state != "open"]
    return ", ".join(parts)


def panel(pulse: Pulse, pace: Pace | None = None) -> Group:
    """A pulse as the live view shows it: the goal, the steps, the lanes."""
    head = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=pulse.goal, completed=min(pulse.kept, pulse.goal or 0), width=30)
    head.add_row(
        Text(f"{pulse.state.value:<9}", style="bold"),
        bar,
        ", ".join([progress(pulse), duration(pulse.seconds), *([spent] if (spent := spending(pulse)) else [])]),
    )
    steps = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("step", "answers", "kept", "dropped"):
        steps.add_column(title, justify="left" if title in ("step", "dropped") else "right")
    for name, step in pulse.tally["steps"].items():
        steps.add_row(name, str(step["settled"]), str(step["kept"]), reasons(step))
    return Group(head, Text(health(pulse, pace), style="dim"), steps, lane_table(pulse, pace))


def lane_table(pulse: Pulse, pace: Pace | None) -> Table:
    """The lanes: how they stand, how fast they go of how much, what they used, how often they failed."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    titles = ["lane", "state", "in flight", "calls", "a minute", "tokens", "faults"]
    for title in [*titles, *([f"spent {pulse.currency}"] if pulse.currency else [])]:
        table.add_column(title, justify="left" if title in ("lane", "state") else "right")
    for lane in pulse.lanes:
        used = pulse.tally["lanes"].get(lane.name) or dict.fromkeys(LaneTally.__dataclass_fields__, 0)
        told, heard = used["tokens_in"] + used["tokens_cached"], used["tokens_out"] + used["tokens_reasoning"]
        numbers = (lane.in_flight, used["calls"], rate(lane, pace), f"{told} + {heard}", sum(lane.faults.values()))
        cost = [brief(used["cost"], "").rstrip()] if pulse.currency else []
        table.add_row(lane.name, lane.closed or standing(lane), *map(str, numbers), *cost)
    return table


def rate(lane: LanePulse, pace: Pace | None) -> str:
    """Calls in the last minute, of how many: "57/60"."""
    now = None if pace is None else pace.calls(lane.name)
    told = "" if now is None else f"{now:.0f}"
    return told if lane.limit is None else f"{told}/{lane.limit:g}"


def health(pulse: Pulse, pace: Pace | None) -> str:
    """What is left to do, how much of what comes is kept, and whether the loop keeps up."""
    steps = pulse.tally["steps"].values()
    kept, lost = sum(step["kept"] for step in steps), dropped(pulse)
    copies = sum(step["dropped"].get("duplicate", 0) for step in steps)
    left = None if pace is None else pace.left(pulse)
    parts = [] if left is None else [f"about {duration(left)} to go"]
    parts += [f"{kept / (kept + lost):.0%} of drafts kept, {copies / (kept + lost):.0%} duplicates"] if kept + lost else []
    return ", ".join([*parts, f"loop lag {pulse.lag * 1000:.0f} ms"])


def dropped(pulse: Pulse) -> int:
    return sum(sum(step["dropped"].values()) for step in pulse.tally["steps"].values())


def progress(pulse: Pulse) -> str:
    """How far a run is, of how much."""
    if pulse.documents is None:
        return f"{pulse.kept}/{pulse.goal} instructions, {pulse.records} records"
    return f"{pulse.records}{'' if pulse.goal is None else f'/{pulse.goal}'} records of {pulse.documents} documents"


def counted(pulse: Pulse) -> str:
    """What a run has made."""
    if pulse.documents is None:
        return f"{pulse.kept} instructions, {pulse.records} records"
    return f"{pulse.records} records of {pulse.documents} documents"


def standing(lane: LanePulse) -> str:
    """A lane's state, and why it is paused where somebody wants it so."""
    if lane.closed is None and lane.held:
        return f"{lane.state} {lane.held}"
    return lane.state if lane.paused is None else f"{lane.state} for {duration(lane.paused + 1)}"


def spending(pulse: Pulse) -> str:
    """What the run has spent, of how much: "1.2345 of 20.0000 usd"; "" where nothing has a price."""
    if not pulse.currency:
        return ""
    for run in pulse.budget[:1]:
        return f"{brief(run.spent, '').rstrip()} of {brief(run.limit, pulse.currency)}"
    return brief(sum(lane["cost"] for lane in pulse.tally["lanes"].values()), pulse.currency)


def limited(measure: str) -> str:
    """What a limit of the budget is for, in words: "role answer"."""
    return measure.partition(":")[2].replace("/", " ", 1) or "run"


def reasons(step: dict[str, dict[str, int]], most: int = 4) -> str:
    """Why a step's items were lost, most frequent first: "duplicate 12, too_short 3"."""
    counts = {**step["dropped"], **{f"{kind} fault": count for kind, count in step["faults"].items()}}
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    rest = sum(count for _, count in ordered[most:])
    shown = [f"{reason} {count}" for reason, count in ordered[:most]]
    return ", ".join([*shown, f"other {rest}"] if rest else shown)


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
