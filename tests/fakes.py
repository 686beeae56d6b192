"""Fakes for the narrow doors of the runtime: a network that answers as it is told, a disk that forgets what was not synced."""

from __future__ import annotations

import errno
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import anyio
import orjson

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse
from engine.runtime.segments import on_disk, pieces, split
from engine.runtime.wire import Ear, Heed, Late, Timeouts

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
        self.streamed = 0
        """Pieces of streams that were heard."""

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

    async def listen(self, request: HttpRequest, timeouts: Timeouts, ear: Ear) -> HttpResponse:
        """The same answer as it would be streamed: a word every tenth of a second. `broken` in its headers is a number of words
        after which the connection breaks, and `silent` one after which nothing more comes."""
        response = await self.send(request, timeouts.whole)
        if response.status != 200:
            return response
        breaks, silent = (int(response.headers.get(name, 1_000_000)) for name in ("broken", "silent"))
        for n, piece in enumerate(streamed(response.body)):
            if n == breaks:
                raise Fault(FaultKind.NETWORK, "the connection broke", billed=True)
            if n == silent:
                await anyio.sleep(timeouts.idle)
                raise Late(FaultKind.NETWORK, "nothing more", billed=True)
            await anyio.sleep(0.1)
            self.streamed += 1
            if ear.hear(piece) is not Heed.MORE:
                break
        return HttpResponse(200, response.headers, b"", response.seconds, response.first_byte)


def streamed(body: bytes) -> list[bytes]:
    """OpenAI's answer as its server would stream it: one word or blank a chunk, then why it ended, the usage, and the end."""
    whole = orjson.loads(body)
    (choice,) = whole["choices"]
    words = re.findall(r"\s+|\S+", choice["text"])
    chunks = [{"choices": [{"text": word, "delta": {"content": word}, "finish_reason": None}]} for word in words]
    chunks.append({"choices": [{"text": "", "delta": {}, "finish_reason": choice["finish_reason"]}]})
    chunks.append({"choices": [], "usage": whole["usage"], "model": whole["model"]})
    return [b"data: %b\n\n" % orjson.dumps(chunk) for chunk in chunks] + [b"data: [DONE]\n\n"]


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


@dataclass
class Contents:
    """A file's bytes, and what of them lasts: `synced` is what it had at its last sync."""

    data: bytes = b""
    synced: bytes = b""


class FakeDisk:
    """A disk of files in memory, as `Disk`, with the least that POSIX promises.

    What is in a file lasts once the file is synced, names once their folder is. `crash_at` stops the machine at that operation,
    counted from 0: it happens in part, or not at all, as `rng` draws. `room` is how many bytes fit before ENOSPC; `fail_at` is an
    operation that fails with EIO.
    """

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.rng = Random(0)
        self.operations: Counter[str] = Counter()
        self.crash_at: int | None = None
        self.fail_at: int | None = None
        self.room: int | None = None
        self._names = {name: Contents(data, data) for name, data in (files or {}).items()}
        self._lasting = dict(self._names)
        self._pending: list[tuple[str, dict[str, Contents | None]]] = []
        """Changes of names that may or may not last, each as a whole: in which folder, and what each name stands for after it."""

    @property
    def files(self) -> dict[str, bytes]:
        return {name: contents.data for name, contents in self._names.items()}

    @property
    def synced(self) -> dict[str, bytes]:
        """What is certain to be there after a crash."""
        return {name: contents.synced for name, contents in self._lasting.items()}

    def survivors(self) -> dict[str, bytes]:
        """What is there after a crash: all that was synced, and any part of what was not. Names change in order, a prefix of the
        changes of each folder; a file that was not synced has lost its end, or has zeros there."""
        names = dict(self._lasting)
        for folder in {folder for folder, _ in self._pending}:
            changes = [change for here, change in self._pending if here == folder]
            for change in changes[: self.rng.randint(0, len(changes))]:
                names = _changed(names, change)
        return {name: self._torn(contents) for name, contents in names.items()}

    def _torn(self, contents: Contents) -> bytes:
        data, synced = contents.data, contents.synced
        if not data.startswith(synced):  # it was made shorter, and that was not synced
            return data if self.rng.random() < 0.5 else synced
        kept = self.rng.randint(len(synced), len(data))
        zeros = b"\0" * (self.rng.randint(0, len(data) - kept) if self.rng.random() < 0.3 else 0)
        return data[:kept] + zeros

    def names(self, folder: str = "") -> list[str]:
        return sorted(base for base in (_base(name, folder) for name in self._names) if base)

    def size(self, name: str) -> int:
        return len(self._names[name].data)

    def read(self, name: str) -> Iterator[bytes]:
        if name not in self._names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        data = self._names[name].data
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    def append(self, name: str, data: bytes) -> None:
        crash = self._count("append")
        if name not in self._names:
            self._change({name: Contents()})
        written = data[: self.rng.randint(0, len(data))] if crash else data
        if self.room is not None and len(written) > self.room:
            self._names[name].data += written[: self.room]
            self.room = 0
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.room is not None:
            self.room -= len(written)
        self._names[name].data += written
        if crash:
            raise Crash

    def truncate(self, name: str, size: int) -> None:
        if self._count("truncate"):
            raise Crash
        self._names[name].data = self._names[name].data[:size]

    def sync(self, name: str) -> None:
        if self._count("sync"):
            raise Crash
        self._names[name].synced = self._names[name].data

    def rename(self, old: str, new: str) -> None:
        crash = self._count("rename")
        if crash and self.rng.random() < 0.5:
            raise Crash
        self._change({new: self._names[old], old: None})
        if crash:
            raise Crash

    def remove(self, name: str) -> None:
        crash = self._count("remove")
        self._change({name: None})
        if crash:
            raise Crash

    def sync_names(self, folder: str = "") -> None:
        if self._count("sync_names"):
            raise Crash
        for change in (change for here, change in self._pending if here == folder):
            self._lasting = _changed(self._lasting, change)
        self._pending = [pending for pending in self._pending if pending[0] != folder]

    def _change(self, change: dict[str, Contents | None]) -> None:
        self._names = _changed(self._names, change)
        self._pending.append((next(iter(change)).rpartition("/")[0], change))

    def _count(self, operation: str) -> bool:
        """Whether the machine stops in the middle of this operation; once it has, no later one happens at all."""
        if self.crash_at is not None and self.operations.total() > self.crash_at:
            raise Crash
        number = self.operations.total()
        self.operations[operation] += 1
        if number == self.fail_at:
            raise OSError(errno.EIO, "Input/output error")
        return self.crash_at == number


def _changed(names: dict[str, Contents], change: dict[str, Contents | None]) -> dict[str, Contents]:
    return {name: contents for name, contents in {**names, **change}.items() if contents is not None}


def _base(name: str, folder: str) -> str:
    """The name within the folder, "" for a file of another one."""
    where, _, base = name.rpartition("/")
    return base if where == folder else ""


def lines(disk: FakeDisk) -> list[dict[str, Any]]:
    """Every whole line of the journal on the disk, as plain data; headers too."""
    found: list[dict[str, Any]] = []
    for file in on_disk(disk).values():
        found += [orjson.loads(line) for line, whole in split(pieces(disk, file)) if whole]
    return found
