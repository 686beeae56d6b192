"""One client of `throughput.py` as a process of its own: the engine, bare aiohttp, or the openai SDK, which ask the same.

`python -m bench.clients MODE ADDRESS CONCURRENCY CALLS [--stock] [--drafts N] [--pool N]` prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import anyio
import orjson

from bench import corpus
from bench.delaying import many_files
from engine.runtime import loop

BODY = 2950
"""Bytes of the engine's requests in this bench, the mean of 300 of them: three seeds are shown."""
TICK = 0.01
"""Seconds after which a task wants to run that measures how late it does."""


def body(n: int, size: int) -> dict[str, Any]:
    """The request number `n`, distinct, of about that size."""
    question = f"{n} " + "Write one more task that is not like these. " * 100
    return {
        "model": "canned",
        "messages": [{"role": "system", "content": "You write tasks."}, {"role": "user", "content": question[: size - 160]}],
        "max_tokens": 3072,
        "temperature": 1.0,
        "stop": ["\n21."],
    }


async def lag(late: list[float]) -> None:
    """How late a task comes that wants to run again and again."""
    while True:
        due = time.perf_counter() + TICK
        await asyncio.sleep(TICK)
        late.append(time.perf_counter() - due)


async def by_aiohttp(home: str, concurrency: int, calls: int, size: int) -> int:
    """Bare aiohttp: so many tasks, each of which asks, reads and takes content and usage out of the reply."""
    import aiohttp

    url = f"{home}/v1/chat/completions"
    headers = {"Authorization": "Bearer none", "Content-Type": "application/json"}
    numbers = iter(range(calls))
    answered = 0

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal answered
        for n in numbers:
            async with session.post(url, data=orjson.dumps(body(n, size)), headers=headers) as answer:
                reply = orjson.loads(await answer.read())
            assert reply["choices"][0]["message"]["content"]
            assert reply["usage"]["completion_tokens"]
            answered += 1

    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        await asyncio.gather(*(work(session) for _ in range(concurrency)))
    return answered


async def by_sdk(home: str, concurrency: int, calls: int, size: int) -> int:
    """The official SDK as it comes."""
    try:
        from openai import AsyncOpenAI
    except ImportError:
        sys.exit("this bench compares with the openai SDK: pip install openai")
    numbers = iter(range(calls))
    answered = 0

    async def work(client: AsyncOpenAI) -> None:
        nonlocal answered
        for n in numbers:
            reply = await client.chat.completions.create(**body(n, size))
            assert reply.choices[0].message.content
            assert reply.usage.completion_tokens
            answered += 1

    async with AsyncOpenAI(api_key="none", base_url=f"{home}/v1", max_retries=0, timeout=600) as client:
        await asyncio.gather(*(work(client) for _ in range(concurrency)))
    return answered


def plan(home: str, concurrency: int, goal: int, drafts: int) -> dict[str, Any]:
    """Quotas and a budget that count and do not bind."""
    lane = {
        "provider": "openai",
        "model": "canned",
        "base_url": f"{home}/v1",
        "key": "env:BENCH_KEY",
        "concurrent": concurrency,
        "requests_per_minute": 6_000_000,
        "tokens_per_minute": 60_000_000_000,
        "price": {"tokens_in": 1.0, "tokens_out": 4.0},
    }
    options = {"new": drafts, "examples": 3}
    return {"recipe": "alpaca", "goal": goal, "lanes": {"main": lane}, "budget": {"usd": 1_000_000}, "options": options}


async def by_engine(home: str, concurrency: int, calls: int, drafts: int, pool: int, ready: Callable[[], None]) -> int:
    """The whole engine, journal and all; `ready` when it begins to ask."""
    from engine import app

    with tempfile.TemporaryDirectory() as name:
        made = plan(home, concurrency, calls * drafts, drafts)
        if concurrency == calls:  # all at once: no call more, because the first answers come before the last questions
            texts = Path(name) / "texts.jsonl"
            texts.write_bytes(b"".join(b'{"text":"%d"}\n' % n for n in range(calls)))
            made |= {"recipe": "bench.once", "input": {"path": str(texts)}}
        if pool:
            texts = Path(name) / "pool.txt"
            texts.write_text("\n".join(islice(corpus.texts(), pool)))
            made["options"]["avoid"] = [str(texts)]
        outcome = await app.arun(made, Path(name) / "run", on_pulse=lambda pulse: ready())
    pulse = outcome.pulse
    answered = int(pulse.tally["lanes"]["main"]["calls"])
    assert calls <= answered <= calls + concurrency, pulse
    assert pulse.records == pulse.kept >= calls * drafts, pulse
    return answered


class Stopwatch:
    """Seconds and processor seconds since it was started; only the first start counts."""

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None

    def start(self) -> None:
        if self._began is None:
            self._began = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        assert self._began is not None
        return time.perf_counter() - self._began[0], time.process_time() - self._began[1]


async def measured(asked: argparse.Namespace) -> dict[str, Any]:
    late: list[float] = []
    watch = Stopwatch()
    watching = asyncio.create_task(lag(late))
    if asked.mode == "engine":
        answered = await by_engine(asked.home, asked.concurrency, asked.calls, asked.drafts, asked.pool, watch.start)
    else:
        client = by_aiohttp if asked.mode == "aiohttp" else by_sdk
        watch.start()
        answered = await client(asked.home, asked.concurrency, asked.calls, BODY)
    wall, cpu = watch.read()
    watching.cancel()
    late.sort()
    return {
        "answered": answered,
        "wall_s": round(wall, 3),
        "calls_per_s": round(answered / wall, 1),
        "cpu_ms_per_call": round(1000 * cpu / answered, 4),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "loop_lag_p99_ms": round(1000 * late[int(len(late) * 0.99)], 1) if late else 0.0,
        "loop": type(asyncio.get_running_loop()).__module__.split(".")[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("engine", "aiohttp", "openai"))
    parser.add_argument("home")
    parser.add_argument("concurrency", type=int)
    parser.add_argument("calls", type=int)
    parser.add_argument("--stock", action="store_true", help="asyncio's own loop, the garbage collector as Python sets it")
    parser.add_argument("--drafts", type=int, default=1)
    parser.add_argument("--pool", type=int, default=0)
    asked = parser.parse_args()
    many_files()
    os.environ["BENCH_KEY"] = "sk-bench"
    if asked.stock:
        made = asyncio.run(measured(asked))
    else:
        with loop.few_collections():
            made = anyio.run(measured, asked, backend_options=loop.options())
    print(orjson.dumps(made).decode())


if __name__ == "__main__":
    main()
