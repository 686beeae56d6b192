"""The whole method in real time: Self-Instruct to 52,000 instructions, with classification and instances, against the simulator
in another process, killed with -9 once in the middle and resumed. One JSON line.

    python bench/run_52k.py [--instructions 52000] [--seed 0] [--concurrency 64] [--quick]

`calls` are those that the simulator answered, `cpu_ms_per_call` the processor time of all lives of the engine, `dedup_cpu_share`
what of that was spent in the index, timed around it; `rss_mb_max` the most memory that a life had; `verified`: `seeddrill verify`
finds no difference.
"""

from __future__ import annotations

import argparse
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench.sockets import simulator
from engine import app
from engine.core.dedup import Index
from engine.runtime.pulse import Pulse
from engine.verify import Extent, verify

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = """
[answers]
near_duplicates = 0.1
refused = 0.002
malformed = 0.005
[accounts.a]
prefix = "/a"
[[accounts.a.limits]]
kind = "concurrent"
limit = {concurrency}
[accounts.a.weather]
first_byte = 0
tokens_per_second = 1e9
"""
STATS = "bench.json"


def plan(home: str, instructions: int, concurrency: int) -> dict[str, Any]:
    lane = {
        "provider": "openai",
        "model": "m",
        "style": "completion",
        "base_url": f"{home}/a/v1",
        "concurrent": concurrency,
        "requests_per_minute": 600_000,
        "price": {"tokens_in": 0.15, "tokens_out": 0.6},
    }
    return {"recipe": "self_instruct", "goal": instructions, "lanes": {"main": lane}, "budget": {"usd": 1000}}


def live(given: dict[str, Any], folder: Path) -> None:
    """One life, in a process of its own. Once a second it notes what it has used, for the case that it is killed."""
    spent = [0.0]
    for name in ("near", "add"):
        setattr(Index, name, timed(getattr(Index, name), spent))

    def note(pulse: Pulse) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        stats = {"cpu": used.ru_utime + used.ru_stime, "dedup": spent[0], "rss": used.ru_maxrss / 1024, "kept": pulse.kept}
        (folder.parent / STATS).write_bytes(orjson.dumps(stats))

    outcome = app.run(given, folder, on_pulse=note)
    note(outcome.pulse)
    sys.exit(outcome.exit_code)


def timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """The function, its thread's processor time counted."""

    def counted(*args: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return function(*args, **named)
        finally:
            spent[0] += time.thread_time() - began

    return counted


def measured(instructions: int, concurrency: int, seed: int) -> dict[str, Any]:
    began = time.perf_counter()
    lives: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        with simulator(SCRIPT.format(concurrency=concurrency), Path(name), seed) as home:
            given = Path(name) / "plan.json"
            given.write_bytes(orjson.dumps(plan(home, instructions, concurrency)))
            command = [sys.executable, __file__, "--life", str(given), str(run)]
            first = subprocess.Popen(command, cwd=ROOT)
            while (stats := noted(Path(name))).get("kept", 0) < instructions / 2:
                if first.poll() is not None:
                    sys.exit(f"the first life ended by itself, with {first.returncode}")
                time.sleep(0.05)
            first.send_signal(signal.SIGKILL)
            first.wait()
            lives.append(stats)
            result = subprocess.run(command, cwd=ROOT)
            if result.returncode:
                sys.exit(f"the second life ended with {result.returncode}")
            lives.append(noted(Path(name)))
            with urlopen(f"{home}/_books") as answer:
                books = orjson.loads(answer.read())["accounts"]["a"]
        wall = time.perf_counter() - began
        records = sum(1 for _ in app.records(run))
        verified = not verify(run, Extent.SAMPLE).differences
    cpu = sum(life["cpu"] for life in lives)
    return {
        "instructions": int(lives[-1]["kept"]),
        "records": records,
        "calls": books["calls"],
        "wall_s": round(wall, 1),
        "calls_per_s": round(books["calls"] / wall, 1),
        "cpu_ms_per_call": round(1000 * cpu / books["calls"], 3),
        "dedup_cpu_share": round(sum(life["dedup"] for life in lives) / cpu, 3),
        "rss_mb_max": round(max(life["rss"] for life in lives)),
        "kills": 1,
        "verified": verified,
        "concurrency": concurrency,
        "seed": seed,
    }


def noted(folder: Path) -> dict[str, float]:
    try:
        return dict(orjson.loads((folder / STATS).read_bytes()))
    except (OSError, orjson.JSONDecodeError):
        return {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instructions", type=int, default=52_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="600 instructions")
    parser.add_argument("--life", nargs=2, type=Path, metavar=("PLAN", "DIR"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.life is not None:
        live(orjson.loads(chosen.life[0].read_bytes()), chosen.life[1])
    print(orjson.dumps(measured(600 if chosen.quick else chosen.instructions, chosen.concurrency, chosen.seed)).decode())


if __name__ == "__main__":
    main()
