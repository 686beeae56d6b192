"""The run's log: structured events as JSON lines in `log.jsonl` of the run directory. Single calls are logged at debug only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger

Level = Literal["debug", "info", "warning", "error"]


class Forgiving:
    """A text file whose failures are forgotten: a full disk ends a run through its journal, and never through its log."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()


@contextmanager
def to_file(path: Path, level: Level = "info") -> Iterator[FilteringBoundLogger]:
    """A logger that appends to `path`, one event a line, until the block ends."""
    with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
        yield structlog.wrap_logger(
            structlog.WriteLogger(cast("TextIO", Forgiving(file))),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(level),
            cache_logger_on_first_use=True,
        )
