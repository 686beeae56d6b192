"""Does a load test find an account's quota? Seeded accounts of the simulator, in virtual time; one JSON line a case, a summary.

    python bench/probe.py [--seed 7] [--only NAME] [--part 1/3] [--quick]
    python bench/probe.py --table a.jsonl b.jsonl    # a table in Markdown of what such runs have printed

What each account really allows is drawn from the seed, and the test is given none of it: not the quota, not the kind of limiter,
not whether headers tell the truth, not whether others use the account. `right` says whether the limit that it found is within 5%
of the true one (calls at once: within one of 5%, rounded), `covered` whether its interval holds the true one, `kind` whether the
law of the limiter was named rightly or called undetermined, `over` whether any cap was passed, by the simulator's own books.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import anyio
import orjson

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import providers
from engine.core.caps import Caps, Purse
from engine.core.estimates import Estimate, Measure
from engine.core.money import Prices
from engine.core.prober import Prober
from engine.core.probing import Probing, What
from engine.core.shapes import Speaker
from engine.core.types import Chat, LanePlan, Quota
from engine.runtime.clock import Clock
from engine.runtime.keys import Key
from engine.runtime.lane import Lane
from engine.runtime.prober import Shooter
from engine.runtime.wire import Timeouts
from providers.simulator import script
from providers.simulator.world import Call, World
from tests import virtual
from tests.simulated import BEGAN, HOME, SimulatedWire

SPEND = 0.5
PRICE = {"tokens_in": 0.15, "tokens_out": 0.6}
"""Per million."""
HEADERS = {"true": "", "none": "headers_missing = 1.0\n", "wrong": "headers_wrong = 1.0\n"}
SCRIPT = """
[accounts.a]
prefix = "/a"
keys = ["sk-ours", "sk-others"]
prices."*" = {{ tokens_in = 0.15, tokens_out = 0.6 }}
{limits}
[accounts.a.weather]
first_byte = {{ lognormal = [{median:.3f}, 0.4] }}
tokens_per_second = {{ uniform = [60, 140] }}
{headers}
"""


@dataclass(frozen=True, slots=True)
class Truth:
    """What an account allows: `limit` a minute, or at once."""

    kind: str
    of: str
    limit: int
    headers: str
    burst: int = 0
    slice_: int = 0
    counts: str = "reserved"
    others: float = 0.0
    """Share of the limit that others ask for."""
    beside: int = 0
    """Another limit, of requests a minute, which does not bind."""
    median: float = 0.4
    phase: float = 0.0
    """Seconds by which the simulator is older than the test."""

    @property
    def name(self) -> str:
        kind = f"{self.kind}/{self.slice_}s" if self.slice_ else self.kind
        others = f"+{self.others:.0%} others" if self.others else ""
        return f"{kind} {self.of} headers={self.headers}{others}"

    def script(self) -> str:
        lines = ["[[accounts.a.limits]]", f'kind = "{self.kind}"', f"limit = {self.limit}"]
        if self.kind != "concurrent":
            lines += [f'of = "{self.of}"', f'counts = "{self.counts}"']
        if self.burst:
            lines.append(f"burst = {self.burst}")
        if self.slice_:
            lines.append(f"slice = {self.slice_}")
        if self.beside:
            lines += ["[[accounts.a.limits]]", 'kind = "bucket"', f"limit = {self.beside}"]
        return SCRIPT.format(limits="\n".join(lines), median=self.median, headers=HEADERS[self.headers])


def truths(seed: int) -> Iterator[Truth]:
    """All accounts, each kind of limiter with each measure and each kind of headers; then slices and others."""
    rng = Random(seed)

    def drawn(kind: str, of: str, headers: str, **more: Any) -> Truth:
        if kind == "concurrent":
            limit = round(3 * 20 ** rng.random())
        elif of == "tokens":
            limit = round(20_000 * 20 ** rng.random())
        else:
            limit = round(40 * 25 ** rng.random())
        if "slice_" in more:
            limit = max(2, limit // 60) * 60
        if kind == "bucket":
            more["burst"] = max(1, round(limit * rng.uniform(0.05, 1.0)))
        if of == "tokens" and kind != "concurrent":
            more["burst"] = max(more.get("burst", 0), limit // 5) if kind == "bucket" else 0
            more["counts"] = "used" if rng.random() < 0.25 else "reserved"
        if kind == "concurrent" and headers != "none":
            more["beside"] = 3000
        more["median"] = 0.2 * 5 ** rng.random()
        return Truth(kind, of, limit, headers, phase=rng.uniform(0, 60), **more)

    for headers in HEADERS:
        for kind in ("bucket", "fixed", "sliding"):
            for of in ("requests", "tokens"):
                yield drawn(kind, of, headers)
        yield drawn("concurrent", "requests", headers)
    for slice_ in (1, 10):
        yield drawn("subwindow", "requests", "none", slice_=slice_)
    for headers in ("true", "none"):
        for kind in ("bucket", "fixed", "sliding"):
            for of in ("requests", "tokens"):
                yield drawn(kind, of, headers, others=rng.uniform(0.05, 0.2))


@dataclass(slots=True)
class Probed:
    """How a test went."""

    reason: str
    probing: Probing
    prober: Prober
    books: dict[str, Any]
    seconds: float
    """Virtual."""
    lines: list[Any] = field(default_factory=list)


def probed(truth: Truth, seed: int, caps: Caps, what: frozenset[What] = frozenset(What)) -> Probed:
    """A test of the account in virtual time; others, if any, have used it for two minutes before."""
    world = World(script.read(truth.script()), seed)
    wire = SimulatedWire(world, truth.phase, {}, seed)
    plan = LanePlan(provider="openai", model="m", base_url=f"{HOME}/a/v1", quota=Quota())
    lane = Lane("a", plan, providers.find("openai"), frozenset(), "chat", key=Key(None, "sk-ours"))
    prices = Prices(currency="usd", **{name: round(price * 1e9) for name, price in PRICE.items()})
    purse = Purse(caps, prices)
    probing = Probing(what, plan.quota, purse)
    prober = Prober(Speaker(Chat, f"t{seed}"), lane.provider.weigh, purse, probing.program)
    lines: list[Any] = []

    async def main() -> tuple[str, float]:
        async with anyio.create_task_group() as tasks:
            if truth.others:
                tasks.start_soon(_others, truth, world, wire, Random(seed + 1))
                await anyio.sleep(120)
            began = anyio.current_time()
            clock = Clock(anyio.current_time, lambda: BEGAN + anyio.current_time())
            ended = await Shooter(prober, lane, wire, clock, Timeouts(60.0, 60.0, 60.0)).run(lines.append)
            tasks.cancel_scope.cancel()
        return ended.reason, anyio.current_time() - began

    reason, seconds = virtual.run(main)
    books: Any = world.books()["accounts"]
    return Probed(reason, probing, prober, books["a"], seconds, lines)


async def _others(truth: Truth, world: World, wire: SimulatedWire, rng: Random) -> None:
    """Others' calls come as they like: a call of tokens is 1/150 of the limit."""
    heavy = max(20, truth.limit // 150) if truth.of == "tokens" else 1
    rate = truth.others * truth.limit / 60 / heavy
    async with anyio.create_task_group() as tasks:
        while True:
            await anyio.sleep(rng.expovariate(rate))
            tasks.start_soon(_other, world, wire, heavy)


async def _other(world: World, wire: SimulatedWire, heavy: int) -> None:
    body = {"model": "m", "max_tokens": max(1, heavy - 12), "stop": [" "], "messages": [{"role": "user", "content": "Hello."}]}
    headers = {"Authorization": "Bearer sk-others"}
    arrival = world.arrive(Call("POST", "/a/v1/chat/completions", headers, orjson.dumps(body)), wire.now())
    await anyio.sleep(arrival.seconds)
    world.depart(arrival, wire.now())


def judged(truth: Truth, done: Probed, caps: Caps) -> dict[str, Any]:
    """One line of the table."""
    measure = Measure.CONCURRENT if truth.kind == "concurrent" else Measure(truth.of)
    found = done.probing.findings.estimates.get(measure)
    within = max(1.0, 0.05 * truth.limit) if measure is Measure.CONCURRENT else 0.05 * truth.limit
    ours = done.books["keys"]["sk-ours"]
    used = {"money": ours["money_nano"], "requests": ours["calls"], "minutes": done.seconds / 60}
    return {
        "case": truth.name,
        "true": truth.limit,
        "found": round(found.limit, 1) if found else None,
        "low": round(found.low, 1) if found else None,
        "high": round(found.high, 1) if found and found.high < 1e12 else None,
        "right": found is not None and abs(found.limit - truth.limit) <= within,
        "covered": found is not None and found.low - 1e-6 <= truth.limit <= found.high + 1e-6,
        "law": (found.law.value if found.law else "undetermined") if found else None,
        "kind": found is not None and _named(found, truth),
        "burst": [truth.burst, round(found.burst) if found and found.burst else None] if truth.burst else None,
        "basis": found.basis.value if found else None,
        "irregular": found.irregular if found else None,
        "others": [round(truth.others * truth.limit), round(found.others)] if found else None,
        "over": _over(used, caps, ours),
        "spent": round(ours["money_nano"] / 1e9, 4),
        "calls": ours["calls"],
        "refused": sum(ours["refused"].values()),
        "minutes": round(done.seconds / 60, 1),
        "reason": done.reason,
    }


def _named(found: Estimate, truth: Truth) -> bool:
    """The right law, or none. What is counted slice by slice is counted in fixed windows."""
    return found.law is None or found.law.value == {"subwindow": "fixed"}.get(truth.kind, truth.kind)


def _over(used: dict[str, float], caps: Caps, ours: dict[str, Any]) -> bool:
    return (
        used["money"] > (caps.spend or 0)
        or used["requests"] > (caps.requests or 0)
        or used["minutes"] * 60 > (caps.seconds or 0) + 61
    )


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The truth beside the estimate, in Markdown, with what it comes to."""
    lines = [
        "| account | seed | true | found | 95% interval | law | within 5% | calls | money |",
        "|---|--:|--:|--:|--:|---|---|--:|--:|",
    ]
    for row in rows:
        high = "" if row["high"] is None else f"{row['high']:,.0f}"
        span = f"{row['low'] or 0:,.0f} to {high}"
        cells = [row["case"], row["seed"], f"{row['true']:,}", f"{row['found'] or 0:,.0f}", span, row["law"] or "none"]
        cells += ["yes" if row["right"] else "**no**", f"{row['calls']:,}", f"{row['spent']:.3f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    right, covered, kind, over = (sum(bool(row[name]) for row in rows) for name in ("right", "covered", "kind", "over"))
    unsure = sum(row["law"] == "undetermined" for row in rows)
    lines += [
        "",
        f"{len(rows)} accounts: {right} limits within 5% ({right / len(rows):.0%}), {covered} inside their intervals; "
        f"{kind - unsure} laws named rightly, {unsure} called undetermined, {len(rows) - kind} wrong; {over} caps passed.",
    ]
    return "\n".join(lines)


def read(paths: Sequence[Path]) -> list[dict[str, Any]]:
    rows = [orjson.loads(line) for path in paths for line in path.read_bytes().splitlines()]
    return [row for row in rows if "case" in row]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--part", default="1/1", help="2/3: every third case, from the second on")
    parser.add_argument("--quick", action="store_true", help="every fifth case")
    parser.add_argument("--table", nargs="+", type=Path, metavar="FILE", help="make no test: tell of those in the files")
    chosen = parser.parse_args()
    if chosen.table:
        print(table(read(chosen.table)))
        return
    caps = Caps(spend=round(SPEND * 1e9), requests=10_000, seconds=20 * 60)
    part, parts = (1, 5) if chosen.quick else map(int, chosen.part.split("/"))
    rows = []
    for n, truth in enumerate(truths(chosen.seed)):
        if chosen.only not in truth.name or n % parts != part - 1:
            continue
        began = time.perf_counter()
        row = {**judged(truth, probed(truth, chosen.seed * 1000 + n, caps), caps), "seed": chosen.seed}
        rows.append(row)
        print(orjson.dumps({**row, "wall": round(time.perf_counter() - began, 1)}).decode(), flush=True)
    summary = {name: sum(bool(row[name]) for row in rows) for name in ("right", "covered", "kind", "over")}
    print(orjson.dumps({"cases": len(rows), **summary, "seed": chosen.seed}).decode())


if __name__ == "__main__":
    main()
