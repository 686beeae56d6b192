"""Fakes for the narrow doors of the runtime: a network that answers as it is told, a disk that forgets what was not synced."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import anyio
import orjson

from engine.core.faults import Fault
from engine.core.types import HttpRequest, HttpResponse

Answer = Callable[[dict[str, Any], int], HttpResponse | Fault]
"""Given the body that was sent and how many requests came before: what comes back."""


class FakeWire:
    """A network of one server. `delay(rng)` seconds pass before each answer; `sent` is every body, `peak` the most at once."""

    def __init__(self, answer: Answer, delay: Callable[[Random], float]) -> None:
        self._answer = answer
        self._delay = delay
        self._rng = Random(0)
        self.sent: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.answered = 0
        self.in_flight = 0
        self.peak = 0

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        body = orjson.loads(request.body)
        count = len(self.sent)
        self.sent.append(body)
        self.times.append(anyio.current_time())
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await anyio.sleep(self._delay(self._rng))
        finally:
            self.in_flight -= 1
        outcome = self._answer(body, count)
        if isinstance(outcome, Fault):
            raise outcome
        self.answered += 1
        return outcome


def answered(text: str, *, finish: str = "stop", tokens: tuple[int, int] = (100, 50)) -> HttpResponse:
    """OpenAI's answer to a chat and to a completion, in one body."""
    choice = {"text": text, "message": {"content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    body = {"model": "fake", "choices": [choice], "usage": usage}
    return HttpResponse(200, {}, orjson.dumps(body), seconds=1.0, first_byte=0.5)


def refused(status: int, code: str | None = None, **headers: str) -> HttpResponse:
    """OpenAI's error answer."""
    body = {"error": {"message": "no", "type": "error", "code": code}}
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, orjson.dumps(body))


class Crash(BaseException):
    """The machine stops at this operation."""


class FakeDisk:
    """A disk of files in memory, as `Store`. What was appended lasts once it is synced.

    `crash_at` stops the machine at that operation, counted from 0: an append is torn at a place that `rng` draws, a sync does
    not happen. `room` is how many bytes fit before ENOSPC.
    """

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = dict(files or {})
        self.synced = {name: len(data) for name, data in self.files.items()}
        self.operations: Counter[str] = Counter()
        self.crash_at: int | None = None
        self.room: int | None = None
        self.rng = Random(0)

    def survivors(self) -> dict[str, bytes]:
        """What is there after a crash: what was synced, and any part of what was not."""
        return {name: data[: self.rng.randint(self.synced.get(name, 0), len(data))] for name, data in self.files.items()}

    def names(self) -> list[str]:
        return sorted(self.files)

    def read(self, name: str) -> Iterator[bytes]:
        data = self.files[name]
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    def append(self, name: str, data: bytes) -> None:
        crash = self._count("append")
        written = data[: self.rng.randint(0, len(data))] if crash else data
        if self.room is not None and len(written) > self.room:
            self.files[name] = self.files.get(name, b"") + written[: self.room]
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.room is not None:
            self.room -= len(written)
        self.files[name] = self.files.get(name, b"") + written
        if crash:
            raise Crash

    def sync(self, name: str) -> None:
        if self._count("sync"):
            raise Crash
        self.synced[name] = len(self.files[name])

    def truncate(self, name: str, size: int) -> None:
        if self._count("truncate"):
            raise Crash
        self.files[name] = self.files[name][:size]
        self.synced[name] = size

    def _count(self, operation: str) -> bool:
        """Whether the machine stops in the middle of this operation; once it has, no later one happens at all."""
        if self.crash_at is not None and self.operations.total() > self.crash_at:
            raise Crash
        crash = self.crash_at == self.operations.total()
        self.operations[operation] += 1
        return crash


def lines(disk: FakeDisk) -> list[dict[str, Any]]:
    """Every whole line on the disk, as plain data."""
    whole: Sequence[bytes] = b"".join(disk.files[name] for name in disk.names()).splitlines()
    return [orjson.loads(line) for line in whole]
