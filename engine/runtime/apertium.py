"""Apertium's server on this machine: started as a child on loopback, asked for its pairs, ended with us.

Used by the quickstart; in a plan, a lane with `provider = "apertium"` names the address of a server that somebody else started.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
from anyio.abc import Process

from engine.core.faults import Fault, LaneError
from engine.core.http import HttpResponse
from engine.core.language import Languages
from engine.core.types import LanePlan
from providers.apertium import PROVIDER

PROGRAM = "apertium-apy"
INSTALL = "sudo apt-get install apertium-apy apertium-eng-spa"
START = 60.0
"""Seconds that it may take until it answers."""
ASK = aiohttp.ClientTimeout(total=10)


def installed() -> bool:
    return shutil.which(PROGRAM) is not None


@asynccontextmanager
async def serve(log: Path) -> AsyncIterator[str]:
    """A server with the pairs that are installed, on a free port of loopback, until the block ends, this process ends, or both:
    its address. Its own words are appended to `log`. Raises `LaneError` if it is not installed, or does not come up."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise LaneError(f"{PROGRAM} is not installed; to get it on Debian or Ubuntu: {INSTALL}")
    pairs = await anyio.to_thread.run_sync(_pairs, program)
    port = _free_port()
    script = Path(__file__).with_name("leash.py")
    with open(log, "ab") as words:
        process = await anyio.open_process(
            # -P: the script's folder, with our module names in it, stays off the child's path
            [sys.executable, "-P", str(script), program, "-p", str(port), "-j", "1", str(pairs)],
            stdin=subprocess.PIPE,
            stdout=words,
            stderr=words,
            start_new_session=True,  # a Ctrl-C at the terminal is for us: calls in flight still need their translator
        )
    address = f"http://127.0.0.1:{port}"
    try:
        await _up(process, address, log)
        yield address
    finally:
        with anyio.CancelScope(shield=True):
            assert process.stdin is not None
            await process.stdin.aclose()
            await process.wait()
            await process.aclose()


async def check(address: str, *pairs: tuple[str, str]) -> None:
    """Raises `LaneError` where no server of Apertium's is at `address`, or it lacks one of the pairs."""
    try:
        languages = await _languages(address)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise LaneError(f"no server of Apertium's answers at {address}: {error or type(error).__name__}") from error
    except Fault as fault:
        raise LaneError(f"what answers at {address} is no server of Apertium's ({fault.detail})") from fault
    for source, target in pairs:
        if languages.pair(source, target) is None:
            raise LaneError(
                f"Apertium's server at {address} does not translate from {source} into {target}, only {languages}; the packages "
                f"with English and Spanish on Debian or Ubuntu: {INSTALL}"
            )


async def _languages(address: str) -> Languages:
    inquiry = PROVIDER.languages
    asked = inquiry.request(LanePlan(provider="apertium", base_url=address))
    async with aiohttp.ClientSession(timeout=ASK) as session, session.request(asked.method, asked.url) as answer:
        return inquiry.read(HttpResponse(answer.status, dict(answer.headers), await answer.read()))


async def _up(process: Process, address: str, log: Path) -> None:
    """Returns when the server answers."""
    with anyio.move_on_after(START):
        while process.returncode is None:
            try:
                await _languages(address)
                return
            except (aiohttp.ClientError, TimeoutError, Fault):
                await anyio.sleep(0.1)
        raise LaneError(f"{PROGRAM} ended at its start (exit code {process.returncode}); its last words are at the end of {log}")
    raise LaneError(f"{PROGRAM} did not answer within {START:g} s; its last words are at the end of {log}")


def _pairs(program: str) -> Path:
    """Where the packages put the pairs, beside the program."""
    return Path(program).resolve().parent.parent / "share" / "apertium"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
