"""Quotas over real sockets: a run here against the simulator in another process, in real time. For `quota.py --sockets`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import anyio
import orjson

from bench.quota import Case, row
from engine import app

CASES = (
    Case("sliding", "requests", "right", "sockets", limit=6000),
    Case("bucket", "tokens", "right", "sockets", limit=2_000_000),
    Case("fixed", "requests", "right", "sockets", limit=6000),
)


def by_sockets(chosen: tuple[Case, ...], seconds: float, seed: int) -> Iterator[dict[str, Any]]:
    """Each case for so many seconds from a cold start."""
    for case in chosen:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as name, simulator(case.script(), Path(name), seed) as home:
            anyio.run(_run, case.run_plan(home), Path(name) / "run", seconds)
            with urlopen(f"{home}/_books") as answer:
                end = orjson.loads(answer.read())["accounts"]["a"]
        (limit,) = end["limits"]
        # over the time from the first call to the last: before it, nothing but the start of this process
        yield row(case, limit["accepted"] / limit["steady"], None, end) | {
            "virtual": 0,
            "measured": round(limit["seconds"], 1),
            "seconds": round(time.perf_counter() - began, 1),
            "seed": seed,
        }


async def _run(plan: dict[str, Any], folder: Path, seconds: float) -> None:
    with anyio.move_on_after(seconds):
        await app.arun(plan, folder)


@contextmanager
def simulator(text: str, folder: Path, seed: int) -> Iterator[str]:
    """A simulator as a process of its own; gives its address."""
    script = folder / "world.toml"
    script.write_text(text)
    command = [sys.executable, "-m", "providers.simulator", str(script), "--port", "0", "--seed", str(seed)]
    top = Path(__file__).resolve().parent.parent
    # it has a lot to say about calls that are given up when the time is over
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=top)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split(" at ")[1].split(";")[0]
    finally:
        process.terminate()
        process.communicate(timeout=10)
