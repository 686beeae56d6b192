"""How many calls a second the engine makes with everything on, against bare aiohttp and the openai SDK, on one core.

    python -m bench.throughput [--quick] [--rounds N] [--only NAME]

Server: nginx on core 0, with canned replies of which no two have the same words. Client: one process on core 1; each mode in a
process of its own, the modes of a round one after the other, so that a drift of the machine meets all of them. Printed are
medians, and medians of the ratios inside a round. One JSON line a case:

- `one`: a draft a reply, concurrency 64 and 1,000. The engine: quota, budget, journal with fsync, parsing, filters, dedup.
- `seven`: seven drafts a reply against a pool of 52,000 instructions, concurrency 64.
- `flood`: 10,000 calls in flight against a server that answers after two seconds.

`aiohttp` sends bodies of the engine's own size and reads content and usage out of each reply, with the same loop and the same
settings of the garbage collector as the engine; `aiohttp_stock` is the same on asyncio's own loop with Python's defaults.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from bench import canned, delaying

ROUNDS = 5
CALLS = {64: 12_000, 1000: 12_000}
SDK_CALLS = {64: 1_000, 1000: 2_000}
FLOOD = 10_000
FLOOD_SECONDS = 2.0
PATIENCE = 600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of few calls: whether it works, not how fast it is")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", choices=("one", "seven", "flood"), help="one of the cases alone")
    asked = parser.parse_args()
    shrink = 20 if asked.quick else 1
    rounds = 1 if asked.quick else asked.rounds
    with tempfile.TemporaryDirectory() as name:
        for row in rows(Path(name), rounds, shrink, asked.only):
            print(orjson.dumps(row).decode(), flush=True)


def rows(folder: Path, rounds: int, shrink: int, only: str | None) -> Iterator[dict[str, Any]]:
    server, client = cores()
    if only in (None, "one", "seven"):
        with canned.nginx(folder, server) as home:
            if only != "seven":
                for concurrency in CALLS:
                    yield one(home, concurrency, rounds, shrink, client)
            if only != "one":
                yield seven(home, rounds, shrink, client)
    if only in (None, "flood"):
        with delaying.server(FLOOD_SECONDS, server) as home:
            yield flood(home, rounds, shrink, client)


def one(home: str, concurrency: int, rounds: int, shrink: int, core: int | None) -> dict[str, Any]:
    """All modes at one concurrency."""
    calls, few = CALLS[concurrency] // shrink, SDK_CALLS[concurrency] // shrink
    seen = [
        {
            "engine": child("engine", f"{home}/one", concurrency, calls, core),
            "aiohttp": child("aiohttp", f"{home}/one", concurrency, calls, core),
            "stock": child("aiohttp", f"{home}/one", concurrency, calls, core, "--stock"),
            "openai": child("openai", f"{home}/one", concurrency, few, core, "--stock"),
        }
        for _ in range(rounds)
    ]
    return {
        "case": "one",
        "concurrency": concurrency,
        **own(seen),
        "vs_aiohttp": ratio(seen, "aiohttp"),
        "vs_aiohttp_stock": ratio(seen, "stock"),
        "vs_openai": ratio(seen, "openai"),
        "cpu_vs_aiohttp": round(median(seen, "engine", "cpu_ms_per_call") / median(seen, "aiohttp", "cpu_ms_per_call"), 2),
        "others": {name: median(seen, name, "calls_per_s") for name in ("aiohttp", "stock", "openai")},
        "loop": seen[0]["engine"]["loop"],
        "rounds": rounds,
    }


def seven(home: str, rounds: int, shrink: int, core: int | None) -> dict[str, Any]:
    """Seven drafts a reply, each compared with a pool of 52,000."""
    calls = CALLS[64] // 4 // shrink
    pool = 52_000 // shrink
    seen = [
        {
            "engine": child("engine", f"{home}/seven", 64, calls, core, "--drafts", "7", "--pool", str(pool)),
            "aiohttp": child("aiohttp", f"{home}/seven", 64, calls, core),
        }
        for _ in range(rounds)
    ]
    return {
        "case": "seven",
        "concurrency": 64,
        "pool": pool,
        **own(seen),
        "drafts_per_s": round(7 * median(seen, "engine", "calls_per_s")),
        "vs_aiohttp": ratio(seen, "aiohttp"),
        "rounds": rounds,
    }


def flood(home: str, rounds: int, shrink: int, core: int | None) -> dict[str, Any]:
    """As many calls in flight as there are calls, each held for two seconds."""
    calls = FLOOD // shrink
    seen = [
        {
            "engine": child("engine", home, calls, calls, core),
            "aiohttp": child("aiohttp", home, calls, calls, core),
        }
        for _ in range(rounds)
    ]
    wall = [run["engine"]["wall_s"] / run["aiohttp"]["wall_s"] for run in seen]
    return {
        "case": "flood",
        "concurrency": calls,
        **own(seen),
        "wall_s": median(seen, "engine", "wall_s"),
        "wall_vs_aiohttp": round(statistics.median(wall), 2),
        "answered": min(run["engine"]["answered"] for run in seen),
        "rounds": rounds,
    }


def own(seen: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("calls_per_s", "cpu_ms_per_call", "rss_mb", "loop_lag_p99_ms")
    return {name: median(seen, "engine", name) for name in names}


def median(seen: list[dict[str, Any]], mode: str, name: str) -> float:
    return round(statistics.median(run[mode][name] for run in seen), 3)


def ratio(seen: list[dict[str, Any]], other: str) -> float:
    """The engine's calls a second in the other's, the median of the rounds."""
    return round(statistics.median(run["engine"]["calls_per_s"] / run[other]["calls_per_s"] for run in seen), 2)


def child(mode: str, home: str, concurrency: int, calls: int, core: int | None, *more: str) -> dict[str, Any]:
    """One mode in a process of its own; what it printed."""
    command = [sys.executable, "-m", "bench.clients", mode, home, str(concurrency), str(calls), *more]
    result = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        preexec_fn=canned.pinned(core),
        cwd=Path(__file__).resolve().parent.parent,
    )
    if result.returncode:
        sys.exit(f"{' '.join(command)} ended with {result.returncode}")
    return dict(orjson.loads(result.stdout.splitlines()[-1]))


def cores() -> tuple[int | None, int | None]:
    """A core for the server and one for the client; none where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


if __name__ == "__main__":
    main()
