"""Streams of events as they come in, in pieces of any size: server-sent events and lines of JSON.

Pure. Both decoders are fed with bytes in order and give what is whole; how the bytes were cut makes no difference. Format: the
WHATWG HTML standard, "Server-sent events", 9.2.5 and 9.2.6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.core.faults import Fault, FaultKind

LONGEST = 8 << 20
"""Bytes that one line, and one event, may have. A server that sends more without an end would fill the memory."""
_BREAK = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """A server-sent event. `name` is "message" where the server gave none."""

    name: str
    data: str


@dataclass(slots=True)
class Lines:
    """Bytes cut into lines at CR, LF or CRLF. A CR ends its line at once; an LF that comes right after it belongs to it."""

    _parts: list[bytes] = field(default_factory=list)
    _size: int = 0
    _after_cr: bool = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that are whole now, without their ends. Raises `Fault` for one longer than `LONGEST`."""
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return []
        first, *more = _BREAK.split(chunk)
        self._keep(first)
        if not more:
            return []
        self._after_cr = chunk.endswith(b"\r")
        *whole, rest = more
        lines = [b"".join(self._parts), *whole]
        self._parts, self._size = [], 0
        self._keep(rest)
        return lines

    def rest(self) -> bytes:
        """What came after the last line's end; nothing is left then."""
        rest = b"".join(self._parts)
        self._parts, self._size = [], 0
        return rest

    def _keep(self, part: bytes) -> None:
        self._size = grown(self._size, len(part))
        if part:
            self._parts.append(part)


def grown(size: int, more: int) -> int:
    """The sum; a `Fault` where it passes `LONGEST`."""
    if size + more > LONGEST:
        raise Fault(FaultKind.MALFORMED, f"the stream has a line or an event of more than {LONGEST >> 20} MiB", billed=True)
    return size + more


@dataclass(slots=True)
class Events:
    """Server-sent events. Comments, ids and reconnection times are passed over, and so is an event without data."""

    _lines: Lines = field(default_factory=Lines)
    _name: str = ""
    _data: list[str] = field(default_factory=list)
    _size: int = 0
    _begun: bool = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that are whole now. Raises `Fault` where one is too long to be kept."""
        return [event for line in self._lines.feed(chunk) if (event := self._take(line)) is not None]

    def close(self) -> list[Event]:
        """The last event, where the stream ended without the empty line that should follow it: some servers' last one does."""
        line = self._lines.rest()
        if line:
            self._take(line)
        event = self._take(b"")
        return [event] if event is not None else []

    def _take(self, line: bytes) -> Event | None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatched()
        name, _, value = line.partition(b":")
        if name not in (b"data", b"event"):
            return None
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if name == b"event":
            self._name = text
        else:
            self._size = grown(self._size, len(line))
            self._data.append(text)
        return None

    def _dispatched(self) -> Event | None:
        name, data = self._name, self._data
        self._name, self._data, self._size = "", [], 0
        return Event(name or "message", "\n".join(data)) if data else None


@dataclass(slots=True)
class Documents:
    """Lines of JSON (NDJSON): each line that is not blank is one document, still as bytes."""

    _lines: Lines = field(default_factory=Lines)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The documents that are whole now. Raises `Fault` where one is too long to be kept."""
        return [line for line in self._lines.feed(chunk) if line.strip()]

    def close(self) -> list[bytes]:
        """The last one, where the stream ended without a line's end."""
        rest = self._lines.rest()
        return [rest] if rest.strip() else []
