"""The run's log: structured events as JSON lines in `log.jsonl` of the run directory, and on stderr for who asks for them.

Single calls are logged at debug only. `docs/logs.md` lists the events. What is secret is taken out of every value here, at the
only place that all of them pass.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Literal, TextIO, TypeAlias, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from engine.runtime.keys import without

Level = Literal["debug", "info", "warning", "error"]
LARGEST = 10_000_000
"""Bytes of one log file. When it is full, it becomes `log.jsonl.1`, that one `log.jsonl.2`, and so on."""
KEPT = 3
"""Full files that are kept."""

Read: TypeAlias = Callable[[], Iterable[str]]


class Talk(Enum):
    """What of the log goes to stderr, too. `DEBUG` also writes single calls that failed to the file."""

    NOTHING = "nothing"
    EVENTS = "events"
    DEBUG = "debug"


def talk(verbose: int) -> Talk:
    """For `-v` given so many times."""
    return (Talk.NOTHING, Talk.EVENTS, Talk.DEBUG)[min(verbose, 2)]


class Secrets:
    """The secret values of a run, asked for anew at each event: keys are renewed while a run goes on."""

    def __init__(self) -> None:
        self._sources: list[Read] = []

    def of(self, sources: Iterable[Read]) -> None:
        """From now on, what these return is secret."""
        self._sources += sources

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """A processor of structlog's: the event with every secret taken out."""
        secret = "\n".join(value for read in self._sources for value in read() if value)
        return cast("EventDict", _clean(event, secret)) if secret else event


def _clean(value: object, secret: str) -> object:
    match value:
        case str():
            return without(value, secret)
        case dict():
            return {name: _clean(part, secret) for name, part in value.items()}
        case list() | tuple():
            return [_clean(part, secret) for part in value]
        case None | bool() | int() | float():
            return value
        case _:
            return without(str(value), secret)


class Rotating:
    """A text file that begins anew when it is full. Its failures are forgotten: a full disk ends a run through its journal, and
    never through its log."""

    def __init__(self, path: Path, echo: TextIO | None = None) -> None:
        self._path = path
        self._echo = echo
        self._file = self._opened()

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            if self._file.tell() > LARGEST:
                self._rotate()
            self._file.write(text)
        if self._echo is not None:
            with suppress(OSError, ValueError):
                self._echo.write(text)

    def flush(self) -> None:
        for file in (self._file, self._echo):
            with suppress(OSError, ValueError):
                if file is not None:
                    file.flush()

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        try:
            for n in range(KEPT, 0, -1):
                older = self._path if n == 1 else numbered(self._path, n - 1)
                with suppress(FileNotFoundError):
                    older.replace(numbered(self._path, n))
        finally:
            self._file = self._opened()

    def _opened(self) -> TextIO:
        return open(self._path, "a", encoding="utf-8", errors="backslashreplace")


def numbered(path: Path, n: int) -> Path:
    """The name of the n-th newest full file."""
    return path.with_name(f"{path.name}.{n}")


@contextmanager
def to_file(path: Path, talk: Talk = Talk.NOTHING, secrets: Secrets | None = None) -> Iterator[FilteringBoundLogger]:
    """A logger that appends to `path`, one event a line, until the block ends."""
    file = Rotating(path, None if talk is Talk.NOTHING else sys.stderr)
    level: Level = "debug" if talk is Talk.DEBUG else "info"
    try:
        yield structlog.wrap_logger(
            structlog.WriteLogger(cast("TextIO", file)),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                secrets or Secrets(),
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(level),
            cache_logger_on_first_use=True,
        )
    finally:
        file.close()
