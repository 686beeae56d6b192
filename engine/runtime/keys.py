"""Keys as they are found: in the environment, or in files that somebody renews while a run goes on.

The only place where a key is read. What is found here is sent and never told.
"""

from __future__ import annotations

import math
import os
import re
from base64 import b64encode
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from engine.core.faults import LaneError
from engine.core.keys import Source, sources

HIDDEN = "[key]"
HEAD = 8
"""Characters of a key that are not told either, where a text was cut inside it; at its very end not even four."""
LOOK = 5.0
"""Seconds between two looks at the files of a key."""


@dataclass(slots=True)
class Key:
    """A lane's key, from the places that its plan names: "" where none is needed, of several places the parts, each on a line.

    Tokens that expire (Entra, Google, STS) are put into a file by whoever renews them; it is read again when it has changed.
    """

    source: str | None
    value: str = field(default="", repr=False)
    renewals: int = 0
    """How many times it became another one: tells an attempt with an old key from one with this one."""
    _seen: tuple[tuple[int, int], ...] = ()
    _next: float = -math.inf

    def read(self) -> bool:
        """Look it up anew; whether it is another one than before. Raises `LaneError`, which names the place only."""
        seen, value = self._state(), secret(self.source)
        changed = value != self.value
        self._seen, self.value = seen, value
        self.renewals += changed
        return changed

    def look(self, now: float) -> None:
        """Read it again if one of its files has changed. One that is just being written stays as it was until the next look."""
        if now < self._next or self.source is None:
            return
        self._next = now + LOOK
        if self._state() != self._seen:
            self.renew()

    def renew(self) -> bool:
        """Read it again; False where that gives nothing new, or nothing."""
        try:
            return self.source is not None and self.read()
        except LaneError:
            return False

    def _state(self) -> tuple[tuple[int, int], ...]:
        """When each file was written, and how long it is."""
        states = []
        for source in sources(self.source or ""):
            if source.kind != "file":
                continue
            try:
                status = Path(source.place).expanduser().stat()
                states.append((status.st_mtime_ns, status.st_size))
            except (OSError, ValueError, RuntimeError):
                states.append((0, 0))
        return tuple(states)


def secret(source: str | None) -> str:
    """The key that `env:NAME` or `file:PATH` leads to, "" where none is needed; of several places the parts, each on a line.
    Raises `LaneError` that names the place only."""
    parts = [_part(place) for place in sources(source or "")]
    return "\n".join(parts) if any(parts) else ""


def found(text: str) -> str:
    """What `text` leads to where it names a place, else itself. Raises `LaneError`."""
    return secret(text) if text.startswith(("env:", "file:")) else text


def forms(secret: str) -> tuple[str, ...]:
    """A secret as a server may repeat it: as it is, as in an address, in JSON that escapes its slashes, in HTML."""
    spelt = (secret, quote(secret), quote(secret, safe=""), secret.replace("/", "\\/"), escape(secret))
    return tuple(dict.fromkeys(spelt))


def of_address(address: str) -> list[str]:
    """The secrets of an address with a name and a password in it: the password, and both as they are sent (RFC 7617)."""
    parts = urlsplit(address)
    if not parts.password:
        return []
    password = unquote(parts.password)
    return [parts.password, password, b64encode(f"{unquote(parts.username or '')}:{password}".encode()).decode()]


def without(text: str, key: str) -> str:
    """The text without any part of the key, one a line. Where only the beginning of one is there, as the text was cut inside or
    escapes it in another way, all goes up to the next blank, quotation mark or comma."""
    parts = sorted(filter(None, key.split("\n")), key=len, reverse=True)
    for part in parts:
        text = text.replace(part, HIDDEN)
    heads = {re.escape(part[:HEAD]) for part in parts if len(part) > HEAD}
    if heads:
        text = re.sub(rf"(?:{'|'.join(sorted(heads))})[^\s\"'<>,]*", HIDDEN, text)
    for part in parts:
        cut = next((n for n in range(min(HEAD, len(part)) - 1, 3, -1) if text.endswith(part[:n])), 0)
        text = f"{text[:-cut]}{HIDDEN}" if cut else text
    return text


def _part(source: Source) -> str:
    """What is found at one place; "" where nothing is, and need not be."""
    place = source.place
    if source.kind == "env":
        value = os.environ.get(place, "").strip()
        missing = f"the environment variable {place} is not set: put the provider's key in it"
    else:
        missing = f"the key file {place} is empty"
        try:
            path = Path(place).expanduser()
            value = "" if source.optional and not path.exists() else path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError, RuntimeError) as error:
            raise LaneError(f"the key file {place} cannot be read: {type(error).__name__}") from None
    if not value and not source.optional:
        raise LaneError(missing)
    if value and not value.isprintable():
        raise LaneError(f"what {source} leads to is no key: it has several lines, or characters that no header can carry")
    return value
