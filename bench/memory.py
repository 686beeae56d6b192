"""What a long run keeps in memory: a million settled requests through the real loop, with its journal on the disk. One JSON line.

    python bench/memory.py [--requests 1000000] [--quick]

Answers come at once from this process. Of the first fifth of the requests every answer is kept; of the rest one in twenty-five,
the others are too short. So two slopes tell two things apart: `bytes_per_item`, for what is kept in pool and index, and
`bytes_per_request_else`, what every other settled request leaves behind, which should be nothing. `rss_mb` is at the start, after
the first fifth, and at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import orjson
import structlog

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from engine import app, context
from engine.core.http import HttpRequest, HttpResponse
from engine.core.quota import Ledger
from engine.plan import from_data
from engine.runtime import loop
from engine.runtime.account import Account
from engine.runtime.clock import Clock
from engine.runtime.disk import Directory
from engine.runtime.journal import Journal
from engine.runtime.pulse import Pulse
from engine.runtime.scheduler import Patience, Scheduler, World
from engine.runtime.wire import Ear, Timeouts

CONCURRENT = 64
KEPT_OF = 25
SAMPLES = 50
"""Readings of the memory in each phase, evenly over its requests."""
USAGE = {"prompt_tokens": 300, "completion_tokens": 60}


@dataclass
class Network:
    """Answers at once, with words that nobody has used before; after the first `all_kept` mostly with too few of them."""

    all_kept: int
    numbers: count[int] = field(default_factory=count)

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        await anyio.lowlevel.checkpoint()
        n = next(self.numbers)
        digits = os.urandom(16).hex()
        words = " ".join(digits[k : k + 4] for k in range(0, 32, 4))
        kept = n < self.all_kept or n % KEPT_OF == 0
        told = f"Explain to a friend what {words} means." if kept else "Explain."
        text = f"1. Instruction: {told}\n1. Input: <noinput>\n1. Output: Whatever the two of you agree on, {digits}."
        body = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}], "usage": USAGE}
        return HttpResponse(200, {}, orjson.dumps(body))

    async def listen(self, request: HttpRequest, timeouts: Timeouts, ear: Ear) -> HttpResponse:
        raise NotImplementedError("no lane streams here")


def resident() -> float:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measured(requests: int) -> dict[str, Any]:
    lane = {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", "concurrent": CONCURRENT}
    options = {"new": 1, "min_length": 4}
    loaded = context.load(from_data({"recipe": "alpaca", "goal": 10**9, "lanes": {"main": lane}, "options": options}))
    first, began = requests // 5, time.perf_counter()
    seen: list[tuple[int, int, float]] = []
    with tempfile.TemporaryDirectory() as name, loop.few_collections():
        journal = Journal(Directory(Path(name)), {"plan": loaded.fingerprint}, name, compress=True)
        agenda = app.replayed(loaded, journal, Path(name))
        made = app.lanes(loaded)
        accounts = [Account("main", made, Ledger(made[0].plan.quota), None)]

        async def main() -> Pulse:
            world = World(
                wire=Network(first),
                append=journal.append,
                clock=Clock(anyio.current_time, time.time),
                log=structlog.wrap_logger(structlog.ReturnLogger()),
            )
            scheduler = Scheduler(agenda, loaded.context, accounts, world, Patience(grace=1.0))
            step = agenda.tally.steps["generate"]
            settle = agenda.tally.add

            def add(settled: Any) -> None:
                settle(settled)
                if step.settled % max(1, first // SAMPLES) == 0:
                    seen.append((step.settled, step.kept, resident()))
                if step.settled == requests:
                    scheduler.interrupt("the bench")

            agenda.tally.add = add  # type: ignore[method-assign]
            return await scheduler.run()

        anyio.run(main, backend_options=loop.options())
        size = sum(path.stat().st_size for path in Path(name).rglob("*") if path.is_file())
    return {**slopes(seen, first), "journal_mb": round(size / 1e6), "seconds": round(time.perf_counter() - began, 1)}


def slopes(seen: list[tuple[int, int, float]], first: int) -> dict[str, Any]:
    """Lines through the readings of each phase, the first tenth of it left out: that is where pools of memory fill."""
    early = [one for one in seen if 0.1 * first < one[0] <= first]
    late = [one for one in seen if one[0] > 1.4 * first]
    item = float(np.polyfit([kept for _, kept, _ in early], [bytes_ for _, _, bytes_ in early], 1)[0])
    else_ = float(np.polyfit([settled for settled, _, _ in late], [bytes_ - item * kept for _, kept, bytes_ in late], 1)[0])
    ends = (seen[0], next(one for one in reversed(seen) if one[0] <= first), seen[-1])
    return {
        "requests": seen[-1][0],
        "kept": seen[-1][1],
        "bytes_per_item": round(item),
        "bytes_per_request_else": round(else_, 1),
        "rss_mb": [round(bytes_ / 2**20) for _, _, bytes_ in ends],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="20,000 requests")
    chosen = parser.parse_args()
    print(orjson.dumps(measured(20_000 if chosen.quick else chosen.requests)).decode())


if __name__ == "__main__":
    main()
