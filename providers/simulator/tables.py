"""A script is read key by key; whatever is wrong is told with its line, the keys that are known there and the nearest of them.

Pure: the script comes as text. Each file reads the tables that are its own, with `Table`, and nobody else's.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


class ScriptError(Exception):
    """What the author of a script can mend: one sentence, with the line."""


class Table:
    """One table of a script. Every key that is asked for becomes a known one; `close` refuses those that nobody asked for."""

    def __init__(self, values: Mapping[str, object], text: str, path: Path = ()) -> None:
        self._values = values
        self._text = text
        self._path = path
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def name(self) -> str:
        """The last part of its path: what a table under `[accounts.NAME]` is called."""
        return str(self._path[-1])

    def names(self) -> tuple[str, ...]:
        return tuple(self._values)

    def wrong(self, key: str, why: str) -> ScriptError:
        """An error about the value of `key`; with an empty `key`, about the table itself."""
        path = (*self._path, key) if key else self._path
        return ScriptError(f"line {line_of(self._text, path)}: {_spelled(path)} {why}")

    def missing(self, key: str) -> ScriptError:
        """An error about a key that has to be there; it names the one that may have been meant."""
        near = get_close_matches(key, self.names(), n=1)
        return self.wrong(key, f"is missing ({near[0]!r} is there)" if near else "is missing")

    def value(self, key: str) -> object:
        self._known.append(key)
        return self._values.get(key)

    def number(self, key: str, default: float | None = None, *, least: float = 0.0, most: float = math.inf) -> float:
        """A finite number from `least` to `most`; without a default it has to be there."""
        value = self.value(key)
        if value is None:
            if default is None:
                raise self.missing(key)
            return default
        return self.measured(key, value, least, most)

    def measured(self, key: str, value: object, least: float = 0.0, most: float = math.inf) -> float:
        """`value`, found under `key`, as a finite number."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.wrong(key, f"must be a number, not {value!r}")
        if not least <= value <= most:
            raise self.wrong(key, f"must be {_range(least, most)}, not {value}")
        return float(value)

    def share(self, key: str, default: float = 0.0) -> float:
        return self.number(key, default, most=1.0)

    def whole(self, key: str, default: int | None = None, *, least: int = 0) -> int:
        value = self.value(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise (
                self.missing(key)
                if value is None
                else self.wrong(key, f"must be a whole number of at least {least}, not {value!r}")
            )
        return value

    def flag(self, key: str) -> bool:
        """False where it is not set."""
        value = self.value(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(key, f"must be true or false, not {value!r}")
        return bool(value)

    def word(self, key: str, default: str | None = None, choices: Sequence[str] = ()) -> str:
        """A text; one of `choices` where there are any."""
        value = self.value(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.missing(key) if value is None else self.wrong(key, f"must be a text, not {value!r}")
        if choices and value not in choices:
            raise self.wrong(key, f"must be one of {', '.join(choices)}, not {value!r}{_nearest(value, choices)}")
        return value

    def words(self, key: str) -> tuple[str, ...]:
        """A list of texts, empty where it is not set."""
        return tuple(self._text_in(key, value) for value in self.listed(key))

    def listed(self, key: str) -> list[object]:
        value = self.value(key)
        if value is not None and not isinstance(value, list):
            raise self.wrong(key, f"must be a list, not {value!r}")
        return value or []

    def _text_in(self, key: str, value: object) -> str:
        if not isinstance(value, str):
            raise self.wrong(key, f"must be a list of texts, but has {value!r}")
        return value

    def table(self, key: str) -> Table:
        """The table under `key`, an empty one where there is none."""
        value = self.value(key)
        if value is not None and not isinstance(value, dict):
            raise self.wrong(key, f"must be a table, not {value!r}")
        return Table(value or {}, self._text, (*self._path, key))

    def tables(self, key: str) -> tuple[Table, ...]:
        """The tables of the list under `key`."""
        found = []
        for n, value in enumerate(self.listed(key)):
            if not isinstance(value, dict):
                raise self.wrong(key, f"must be a list of tables, but has {value!r}")
            found.append(Table(value, self._text, (*self._path, key, n)))
        return tuple(found)

    def close(self) -> None:
        """Every key has been asked for, or it is refused."""
        for key in self._values:
            if key not in self._known:
                known = ", ".join(sorted(self._known))
                raise self.wrong(key, f"is not a key{_nearest(key, self._known)}; the keys here are {known}")


def parsed(text: str) -> Table:
    """The outermost table of a script."""
    try:
        return Table(tomllib.loads(text), text)
    except tomllib.TOMLDecodeError as error:
        raise ScriptError(f"the script is not TOML: {error}") from error


def line_of(text: str, path: Path) -> int:
    """The line on which `path` is set, from 1; where that is inside a table written on one line, or missing, the nearest one."""
    counts: dict[Path, int] = {}
    current: Path = ()
    found: Path = ()
    best, depth = 1, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            current = _parts(header.group(2))
            if header.group(1) == "[[":
                counts[current] = counts.get(current, -1) + 1
            found = current = _counted(current, counts)
        elif key := _KEY.match(line):
            found = (*current, *_parts(key.group(1)))
        shared = next((n for n, (a, b) in enumerate(zip(found, path, strict=False)) if a != b), min(len(found), len(path)))
        if shared == len(found) and shared > depth:
            best, depth = number, shared
        if shared == depth == len(found) < len(path) and re.search(rf"[{{,\s\"']{re.escape(str(path[-1]))}[\"']?\s*=", line):
            return number
    return best


def _parts(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _counted(names: Path, counts: Mapping[Path, int]) -> Path:
    """A header's path with the place of each list of tables in it."""
    path: Path = ()
    for end in range(1, len(names) + 1):
        path += (names[end - 1],)
        if names[:end] in counts:
            path += (counts[names[:end]],)
    return path


def _spelled(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the script"


def _range(least: float, most: float) -> str:
    return f"at least {least:g}" if most == math.inf else f"between {least:g} and {most:g}"


def _nearest(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
