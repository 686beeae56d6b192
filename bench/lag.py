"""Event-loop lag of the real scheduler in real time: 200 answers a second with seven drafts each against 100,000 instructions."""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from random import Random

import anyio
import numpy as np
import orjson
import structlog

from bench import corpus
from engine import app, context
from engine.core.http import HttpRequest, HttpResponse
from engine.core.quota import Ledger
from engine.plan import from_data
from engine.runtime.account import Account
from engine.runtime.clock import Clock
from engine.runtime.disk import Directory
from engine.runtime.journal import Journal
from engine.runtime.pulse import Pulse, RunState
from engine.runtime.scheduler import Patience, Scheduler, World

POOL = 100_000
RATE = 200
CONCURRENT = 400
DRAFTS = 7
TASK = "{n}. Instruction: {text}\n{n}. Input: <noinput>\n{n}. Output: That is for the two of you to find out."


class Steady:
    """A network that answers each call after two seconds on average: with 400 in flight, 200 a second."""

    def __init__(self) -> None:
        self._texts = corpus.texts(seed=1)
        self._rng = Random(0)

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        await anyio.sleep(self._rng.uniform(0.0, 2 * CONCURRENT / RATE))
        tasks = "\n###\n".join(TASK.format(n=n, text=next(self._texts)) for n in range(1, DRAFTS + 1))
        usage = {"prompt_tokens": 300, "completion_tokens": 55 * DRAFTS}
        body = {"choices": [{"message": {"role": "assistant", "content": tasks}, "finish_reason": "stop"}], "usage": usage}
        return HttpResponse(200, {}, orjson.dumps(body))


def lag(seconds: float) -> dict[str, object]:
    """Runs the loop for `seconds` and tells how late a task came that wanted to run every 5 ms."""
    lane = {"provider": "openai", "model": "m", "base_url": "http://nowhere/v1", "concurrent": CONCURRENT, "price": 0}
    loaded = context.load(from_data({"recipe": "alpaca", "goal": 10**9, "lanes": {"main": lane}}))
    late: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        journal = Journal(Directory(Path(name)), {"plan": loaded.fingerprint}, name)
        agenda = app.replayed(loaded, journal, Path(name))
        source = corpus.texts()
        for n in range(POOL):
            agenda.index.add(f"generate/{n}.0", next(source))
        gc.collect()
        gc.freeze()  # as a run does once its journal is read
        made = app.lanes(loaded)
        accounts = [Account("main", made, Ledger(made[0].plan.quota), None)]

        async def main() -> Pulse:
            world = World(
                wire=Steady(),
                append=journal.append,
                clock=Clock(anyio.current_time, time.time),
                log=structlog.wrap_logger(structlog.ReturnLogger()),
            )
            scheduler = Scheduler(agenda, loaded.context, accounts, world, Patience(grace=0.1))

            async def watch() -> None:
                end = anyio.current_time() + seconds
                while anyio.current_time() < end:
                    due = anyio.current_time() + 0.005
                    await anyio.sleep_until(due)
                    late.append(anyio.current_time() - due)
                scheduler.interrupt("the bench")

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                return await scheduler.run()

        pulse = anyio.run(main)
        assert pulse.state is RunState.INTERRUPTED
    settled = pulse.tally["steps"]["generate"]["settled"]
    return {
        "pool": POOL,
        "answers_per_s": round(settled / seconds),
        "drafts_per_s": round(settled * DRAFTS / seconds),
        "lag_p50_ms": round(float(np.percentile(late, 50)) * 1e3, 2),
        "lag_p99_ms": round(float(np.percentile(late, 99)) * 1e3, 2),
        "lag_max_ms": round(max(late) * 1e3, 2),
    }
