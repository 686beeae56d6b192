"""A run of Self-Instruct to 52,000 instructions through storms, in virtual time, over the simulator's accounts. One JSON line.

    python bench/virtual.py [--instructions 52000] [--seed 0] [--quick]

Four providers for some hours of virtual time, all of them with errors, resets, cut and malformed bodies now and then: one has an
outage of ten minutes, one refuses nearly everything for five, one is overloaded half the time for ten, one says nothing of its
limits. The journal is kept in memory. `utilisation` is what the simulator accepted of what its limits refill from the start to
the last answer, outages counted in; `refused_share` is of quotas, not of weather; `lost` are items that settled with a fault,
`repeated` answers that were asked for again though they had come.
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.simulated import HOME, Simulation

WEATHER = """
first_byte = { lognormal = [0.8, 0.5] }
tokens_per_second = { uniform = [60, 140] }
errors = { 500 = 0.002, 503 = 0.002 }
rate_without_reason = 0.001
reset_before_headers = 0.001
reset_after_headers = 0.001
cut_body = 0.001
malformed_json = 0.001
"""
STORMS = {
    "a": "outages = [[1200, 1800]]",
    "b": "[[accounts.b.weather.spells]]\nfrom = 1500\nto = 1800\nrate_without_reason = 0.99",
    "c": "[[accounts.c.weather.spells]]\nfrom = 2400\nto = 3000\nerrors = { 529 = 0.5 }",
    "d": "headers_missing = 1.0",
}
LIMITS = {"a": ("sliding", 600), "b": ("bucket", 400), "c": ("fixed", 300), "d": ("sliding", 300)}
"""Requests a minute."""


def script() -> str:
    parts = ["[answers]\nnear_duplicates = 0.1\nrefused = 0.005\nmalformed = 0.01\ntruncated = 0.01\n"]
    for name, (kind, limit) in LIMITS.items():
        law = f'[[accounts.{name}.limits]]\nkind = "{kind}"\nlimit = {limit}\n'
        parts.append(f'[accounts.{name}]\nprefix = "/{name}"\n{law}[accounts.{name}.weather]\n{WEATHER}{STORMS[name]}\n')
    return "\n".join(parts)


def plan(instructions: int) -> dict[str, Any]:
    def lane(name: str) -> dict[str, Any]:
        quota = {"requests_per_minute": LIMITS[name][1]}
        return {"provider": "openai", "model": "m", "style": "completion", "base_url": f"{HOME}/{name}/v1", **quota}

    return {"recipe": "self_instruct", "goal": instructions, "lanes": {name: lane(name) for name in LIMITS}}


def measured(instructions: int, seed: int) -> dict[str, Any]:
    began = time.perf_counter()
    sim = Simulation(script(), plan(instructions), seed=seed)
    gc.disable()  # nothing here makes cycles that matter, and a collection would walk the whole pool
    lived = sim.live()
    end = max(seen.ended for seen in sim.seen)
    books = lived.books
    calls, refused = (sum(book["calls"] for book in books.values()), sum(_refused(book) for book in books.values()))
    could = {name: limit * end / 60 for name, (_, limit) in LIMITS.items()}
    used = {name: books[name]["limits"][0]["accepted"] for name in LIMITS}
    settled = sim.settled()
    return {
        "state": lived.pulse.state.value,
        "instructions": lived.pulse.kept,
        "records": lived.pulse.records,
        "calls": calls,
        "virtual_hours": round(end / 3600, 2),
        "seconds": round(time.perf_counter() - began, 1),
        "refused_share": round(refused / calls, 5),
        "refused": dict(sum((Counter(book["refused"]) for book in books.values()), Counter())),
        "utilisation": round(sum(used.values()) / sum(could.values()), 4),
        "by_account": {name: round(used[name] / could[name], 4) for name in LIMITS},
        "lost": len([line for line in settled if "fault" in line]),
        "faults": dict(Counter(f"{line['s']} {line['fault']['kind']}" for line in settled if "fault" in line)),
        "twice": len(settled) - len({(line["s"], line["i"]) for line in settled}),
        "repeated": sim.repeated(),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "seed": seed,
    }


def _refused(book: dict[str, Any]) -> int:
    """For want of quota; what the weather refuses is no fault of ours."""
    return int(sum(book["bound"].values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instructions", type=int, default=52_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="3,000 instructions")
    chosen = parser.parse_args()
    print(orjson.dumps(measured(3000 if chosen.quick else chosen.instructions, chosen.seed)).decode())


if __name__ == "__main__":
    main()
