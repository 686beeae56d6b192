"""Listening: one streamed answer from its first byte to its last, or to where it is cut off.

Part of the loop; made anew for each attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import anyio
from msgspec import structs

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse
from engine.core.loops import Watch
from engine.core.types import Reply, Stop, Usage
from engine.runtime.wire import Heed, Late, Sender, Timeouts
from providers import Reader

BEGUN = 4
"""Characters of a line that has begun: then the item before it has ended, as "12. " tells, and is worth looking at."""


class Streamed(NamedTuple):
    """What listening brought: the head of the answer, none where the connection never stood, and the outcome, none where the
    answer came whole and has to be decoded. `used` is what a failed call used, where its stream told as much."""

    response: HttpResponse | None
    outcome: Reply | Fault | None
    used: Usage | None = None


@dataclass(slots=True)
class Listener:
    """Hears a stream as its dialect reads it. A loop is cut off at once: the rest would be waste."""

    reader: Reader
    on_text: OnText
    cut: bool = False
    """Set by anybody who has heard enough."""
    _text: list[str] = field(default_factory=list)
    _watch: Watch = field(default_factory=Watch)
    _started: float = field(default_factory=anyio.current_time)
    _first: float = 0.0
    _line: int | None = None
    """Characters of the line that begins; `None` once it has begun, or there is but one."""

    @property
    def text(self) -> str:
        """All that has come."""
        return "".join(self._text)

    @property
    def began(self) -> bool:
        return self.reader.began

    def hear(self, chunk: bytes) -> Heed:
        text = self.reader.feed(chunk)
        if not self._first and self.reader.began:
            self._first = anyio.current_time() - self._started
        if text:
            self._text.append(text)
            begun = self._begins(text)
            self.cut = self.cut or self._watch.heard(text)
            if not self.cut:
                self.on_text(self, begun)
        if self.reader.ended:
            return Heed.ENDED
        return Heed.CUT if self.cut or self.reader.stopped else Heed.MORE

    def _begins(self, text: str) -> bool:
        """Whether a line begins with this text, a first piece of it or a second one."""
        _, newline, after = text.rpartition("\n")
        if newline:
            self._line = len(after)
        elif self._line is not None:
            self._line += len(text)
        begun = self._line is not None and self._line >= BEGUN
        self._line = None if begun else self._line
        return begun

    def reply(self) -> Reply:
        """What was heard."""
        reply = self.reader.close()
        stop = Stop.CUT if self.cut and reply.stop is Stop.BROKEN else reply.stop
        return structs.replace(reply, stop=stop, seconds=anyio.current_time() - self._started, first_byte=self._first)

    async def listen(self, wire: Sender, request: HttpRequest, timeouts: Timeouts, worst: Usage) -> Streamed:
        """The answer to `request`. One that breaks keeps what it had; of one that took too long nobody knows how far it went on
        after we left, so it is charged at its `worst`."""
        try:
            response = await wire.listen(request, timeouts, self)
        except Late as late:
            reply = self.reply()
            return Streamed(None, structs.replace(reply, usage=worst) if reply.text else late)
        except Fault as fault:
            if not fault.billed and not self.began:
                return Streamed(None, fault)
            reply = self.reply()
            if fault.kind is FaultKind.NETWORK:
                return Streamed(None, reply if reply.text else fault)
            return Streamed(None, Fault(fault.kind, fault.detail, fault.retry_after, billed=True), reply.usage)
        if response.body or response.status != 200:
            return Streamed(response, None)
        reply = self.reply()
        if reply.stop is Stop.BROKEN and not reply.text:
            return Streamed(
                response, Fault(FaultKind.NETWORK, "the stream ended before it said anything", billed=True), reply.usage
            )
        return Streamed(response, reply)


OnText: TypeAlias = Callable[[Listener, bool], None]
"""Told of an answer each time more of it has come, and whether a line begins with that."""


def nothing(listener: Listener, begun: bool) -> None:
    """For those who do not want to know."""
