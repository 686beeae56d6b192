"""A server that answers every chat after the same time, with thousands in flight: asyncio's bare protocol.

`python -m bench.delaying SECONDS` prints its address and serves until it is terminated.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import orjson

from bench import canned


class Slow(asyncio.Protocol):
    """One connection, on which requests come one after the other, each with its length."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, found, body = self._heard.partition(b"\r\n\r\n")
        if not found:
            return
        (length,) = (int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:")
        if len(body) >= length:
            self._heard = body[length:]
            asyncio.get_running_loop().call_later(self._seconds, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer())


def answer() -> bytes:
    """A reply with one task, whose words nobody has used before."""
    digits = os.urandom(16).hex()
    words = " ".join(f"w{digits[k : k + 4]}" for k in range(0, 32, 4))
    text = f"1. Instruction: Explain to a friend what {words} means.\n1. Input: <noinput>\n1. Output: Whatever you two agree on."
    usage = {"prompt_tokens": 320, "completion_tokens": 55, "total_tokens": 375}
    message = {"role": "assistant", "content": text}
    body = orjson.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage})
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@contextmanager
def server(seconds: float, core: int | None) -> Iterator[str]:
    """It as a process of its own; gives its address."""
    command = [sys.executable, "-m", "bench.delaying", str(seconds)]
    top = Path(__file__).resolve().parent.parent
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=top, preexec_fn=canned.pinned(core))
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)


def many_files() -> None:
    """As many open sockets as this machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(seconds: float) -> None:
    listening = await asyncio.get_running_loop().create_server(lambda: Slow(seconds), "127.0.0.1", 0, backlog=16384)
    print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    many_files()
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve(float(sys.argv[1])))
    else:
        uvloop.run(_serve(float(sys.argv[1])))
