"""How much of a quota a run uses, and how much of it is refused, by the simulator's own books. One JSON line a case.

    python bench/quota.py [--quick] [--limiter KIND] [--bound MEASURE] [--plan PLAN] [--minutes N] [--seed N]
    python bench/quota.py --sockets [--quick]      over real sockets, the simulator being another process

Each case is a limiter of the simulator, what it counts, and a plan: `right` says the quota as it is, `2x` twice as much, `none`
nothing at all. A run starts cold and goes on for `virtual` seconds. `utilisation` is what was accepted, over all that time and
the start included, of what the limiter refills in it (for `concurrent`: seconds that calls were inside). `refused_share` is of
all calls; `refused_late` of those in the last half, when whatever can be learnt has been. `ok` says whether the case is as it
should be: with a right plan at least 97% used and at most 0.1% refused (95% where one call weighs over 0.5% of a quota of
tokens; a quota below 60 a minute by whole requests), with twice the quota at most 1% refused in the last half. Where slices are
so short that whole calls do not fill them, `utilisation` is of what the limiter would have admitted of the same calls, each at
the very moment when it fits.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import anyio
import orjson

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from engine.runtime.scheduler import Scheduler
from providers.simulator.calls import SECOND
from providers.simulator.quota import Subwindow
from tests.simulated import HOME, Simulation, refused_share

KINDS = ("bucket", "fixed", "sliding", "subwindow")
PLANS = {"right": 1, "2x": 2, "none": 0}
LIMITS = {"requests": 600, "tokens": 200_000, "characters": 200_000, "concurrent": 40}
"""A minute; a call weighs about 0.2% of each. Calls at once, for the last."""
MINUTES = {"right": 5, "2x": 8, "none": 8}

SCRIPT = """
[accounts.a]
prefix = "/a"
dialect = "{dialect}"
[[accounts.a.limits]]
{limit}
[accounts.a.weather]
first_byte = {{ lognormal = [{median}, 0.4] }}
tokens_per_second = {{ uniform = [60, 140] }}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table."""

    limiter: str
    bound: str
    plan: str
    note: str = ""
    limit: int = 0
    """In place of the usual one."""
    counts: str = "reserved"
    burst: int = 0
    slice_: int = 1
    """Seconds, of a limiter with sub-windows."""
    said: int = 0
    """What the plan says of them, if anything."""
    weather: str = ""
    least: float = 0.97

    @property
    def most(self) -> int:
        return self.limit or LIMITS[self.bound]

    def script(self) -> str:
        lines = [f'kind = "{self.limiter}"', f"limit = {self.most}"]
        if self.bound != "concurrent":
            lines += [f'of = "{self.bound}"', f'counts = "{self.counts}"']
        if self.burst:
            lines.append(f"burst = {self.burst}")
        if self.limiter == "subwindow":
            lines.append(f"slice = {self.slice_}")
        dialect = "libretranslate" if self.bound == "characters" else "openai"
        median = 5.0 if self.bound == "concurrent" else 0.8
        return SCRIPT.format(dialect=dialect, limit="\n".join(lines), median=median) + self.weather

    def lane(self, home: str) -> dict[str, Any]:
        """The lane of the plan, at an address."""
        said = self.most * PLANS[self.plan]
        quota: dict[str, Any] = {}
        if said:
            quota = {"concurrent" if self.bound == "concurrent" else f"{self.bound}_per_minute": said}
        if self.bound == "tokens":
            quota["counts"] = self.counts
        if self.said:
            quota["slice"] = self.said
        if self.bound == "characters":
            return {"provider": "bench.translating", "base_url": f"{home}/a", **quota}
        return {"provider": "openai", "model": "m", "style": "completion", "base_url": f"{home}/a/v1", **quota}

    def run_plan(self, home: str = HOME) -> dict[str, Any]:
        return {"recipe": "bench.questions", "goal": 10**7, "grace": 0, "lanes": {"a": self.lane(home)}}

    def judged(self, used: float, refused: float, late: float) -> bool | None:
        """Whether it is as it should be; `None` where nothing is promised."""
        match self.plan:
            case "right":
                return used >= self.least and refused <= 0.001
            case "2x":
                return late <= 0.01
            case _:
                return None


def cases() -> Iterator[Case]:
    """All of them."""
    for plan in PLANS:
        for bound in ("requests", "tokens", "characters"):
            yield from (Case(kind, bound, plan) for kind in KINDS)
        yield from (Case(kind, "tokens", plan, "counts what was used", limit=100_000, counts="used") for kind in KINDS)
        yield Case("concurrent", "concurrent", plan)
    yield from ODD


DUMB = "headers_missing = 1.0"
ODD = (
    Case("bucket", "requests", "right", "holds one second of it", burst=10),
    Case("bucket", "requests", "2x", "holds one second of it", burst=10),
    Case("subwindow", "requests", "right", "slices are in the plan", said=1),
    Case("subwindow", "tokens", "right", "slices are in the plan", said=1),
    Case("subwindow", "characters", "right", "slices are in the plan", said=1),
    Case("subwindow", "tokens", "right", "slices of 10 s", slice_=10),
    Case("subwindow", "tokens", "right", "slices of 10 s, in the plan", slice_=10, said=10),
    Case("subwindow", "tokens", "2x", "slices of 10 s", slice_=10),
    Case("sliding", "tokens", "right", "a call weighs 1%", limit=40_000, least=0.95),
    Case("sliding", "requests", "right", "whole requests", limit=20, least=19 / 20),
    Case("fixed", "requests", "right", "whole requests", limit=20, least=19 / 20),
    Case("sliding", "requests", "right", "6,000 a minute", limit=6000),
    *(Case(kind, "requests", "2x", "no headers", weather=DUMB) for kind in ("bucket", "sliding")),
    *(Case(kind, "tokens", "2x", "no headers", weather=DUMB) for kind in ("bucket", "sliding")),
    Case("bucket", "requests", "2x", "no headers, no hints", weather=f"{DUMB}\nhint_missing = 1.0"),
    Case("concurrent", "concurrent", "2x", "no headers, no hints", weather=f"{DUMB}\nhint_missing = 1.0"),
    Case("sliding", "requests", "none", "no headers", weather=DUMB),
)
QUICK = (Case("sliding", "requests", "right"), Case("bucket", "tokens", "right"), Case("fixed", "requests", "2x"))


def measured(case: Case, minutes: float, seed: int) -> dict[str, Any]:
    """One case in virtual time."""
    began = time.perf_counter()
    start = Random(f"start {seed}").uniform(0, 60)  # nobody starts with the server's clock
    sim = Simulation(case.script(), case.run_plan(), seed=seed, began=start)
    books: list[dict[str, Any]] = []
    whole = 60.0 * minutes

    async def watch(sim: Simulation, scheduler: Scheduler) -> None:
        for moment in (whole / 2, whole):
            await anyio.sleep_until(moment)
            books.append({**sim.books()["a"], "busy": sim.wire.busy["a"]})
        scheduler.interrupt("the bench")

    pulse = sim.live(watch).pulse
    if len(books) < 2:
        return {**_named(case), "ok": False, "ended": pulse.reason, "virtual": round(sim.began), "seed": seed}
    half, end = books
    could = admissible(case, sim, start, whole)
    had = end["busy"] if case.bound == "concurrent" else end["limits"][0]["accepted"]
    return row(case, had / could, half, end) | {
        "virtual": round(whole),
        "seconds": round(time.perf_counter() - began, 2),
        "seed": seed,
    }


def admissible(case: Case, sim: Simulation, start: float, seconds: float) -> float:
    """What the limiter could have let through in that time, of its own clock."""
    steady = case.most * seconds / (1.0 if case.bound == "concurrent" else 60.0)
    if case.limiter != "subwindow" or case.counts != "reserved":
        return steady
    limiter, now, total = Subwindow(case.most, 60 * SECOND, case.slice_ * SECOND), round(start * SECOND), 0
    for weight in cycle(weights(case.bound, sim)):
        now += limiter.wait(weight, now) or 0
        if now >= (start + seconds) * SECOND:
            break
        limiter.take(weight, now)
        total += weight
    return min(steady, total)


def weights(bound: str, sim: Simulation) -> list[int]:
    """Of the calls that were admitted, in their order."""
    found = [seen.weight for seen in sim.seen if seen.weight is not None]
    if bound == "tokens":
        return [weight.tokens_in + weight.tokens_out for weight in found]
    return [getattr(weight, bound) for weight in found]


def row(case: Case, used: float, half: dict[str, Any] | None, end: dict[str, Any]) -> dict[str, Any]:
    """The figures of a case from the books at half time and at the end."""
    refused = refused_share(end)
    late = refused if half is None else _between(half, end)
    return {
        **_named(case),
        "utilisation": round(used, 4),
        "refused_share": round(refused, 5),
        "refused_late": round(late, 5),
        "ok": case.judged(used, refused, late),
        "calls": end["calls"],
        "peak_in_flight": end["peak_in_flight"],
    }


def _named(case: Case) -> dict[str, Any]:
    return {"limiter": case.limiter, "bound": case.bound, "plan": case.plan, "note": case.note}


def _between(half: dict[str, Any], end: dict[str, Any]) -> float:
    refused = sum(end["refused"].values()) - sum(half["refused"].values())
    return float(refused / max(1, end["calls"] - half["calls"]))


def table(rows: list[dict[str, Any]]) -> str:
    """For people."""
    lines = [f"{'limiter':11}{'bound':12}{'plan':7}{'used':>8}{'refused':>10}{'late':>9}   "]
    for row in rows:
        mark = {True: "", False: "FAILS", None: "-"}[row["ok"]]
        figures = (
            f"{row['utilisation']:8.1%}{row['refused_share']:10.2%}{row['refused_late']:9.2%}"
            if "utilisation" in row
            else f"ended after {row['virtual']} s: {row['ended']}"
        )
        lines.append(f"{row['limiter']:11}{row['bound']:12}{row['plan']:7}{figures}   {mark:6}{row['note']}")
    wrong = sum(row["ok"] is False for row in rows)
    return "\n".join([*lines, f"{len(rows)} cases, {wrong} not as they should be"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three cases; with --sockets: one, for twenty seconds")
    parser.add_argument("--sockets", action="store_true", help="two limiters over real sockets, a minute each")
    parser.add_argument("--limiter", choices=(*KINDS, "concurrent"))
    parser.add_argument("--bound", choices=tuple(LIMITS))
    parser.add_argument("--plan", choices=tuple(PLANS))
    parser.add_argument("--minutes", type=float, help="of virtual time; default 5, or 8 where there is something to learn")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    if chosen.sockets:
        from bench.sockets import CASES, by_sockets

        source = by_sockets(CASES[:1] if chosen.quick else CASES, 20.0 if chosen.quick else 65.0, chosen.seed)
    else:
        wanted = [
            case
            for case in (QUICK if chosen.quick else cases())
            if all(getattr(chosen, key) in (None, getattr(case, key)) for key in ("limiter", "bound", "plan"))
        ]
        source = (measured(case, chosen.minutes or MINUTES[case.plan], chosen.seed) for case in wanted)
    for found in source:
        rows.append(found)
        print(orjson.dumps(found).decode(), flush=True)
    print(table(rows), file=sys.stderr)


if __name__ == "__main__":
    main()
