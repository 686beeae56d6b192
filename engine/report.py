"""`seeddrill report`: one run, or several side by side, as an HTML file that needs no network, or as JSON or CSV. Reads only."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

import orjson

from engine import page, rundir, status
from engine.core.faults import DiskError, PlanError
from engine.core.figures import TEXTS, Figures, flat
from engine.core.types import Line
from engine.progress import told
from engine.sections import Run


class Form(Enum):
    HTML = "html"
    JSON = "json"
    CSV = "csv"


class Reading:
    """The figures of a run directory as far as its journal has been read."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._loaded = rundir.reopen(directory)
        self.figures = Figures(self._loaded.recipe, self._loaded.context)

    def run(self, name: str) -> Run:
        """What a page shows of it."""
        plan = self._loaded.plan
        state, reason, _ = status.state(self._directory)
        return Run(
            name=name,
            state=state,
            reason=reason,
            recipe=self._loaded.recipe.name,
            goal=plan.goal,
            currency=rundir.read_plan(self._directory).get("currency"),
            quotas={lane: told.quota for lane, told in plan.lanes.items()},
            figures=self.figures.as_json(),
        )


def read(directory: Path, name: str) -> Run:
    """Read a run's whole journal; also while it goes on."""
    reading = Reading(directory)
    lines: Iterator[Line] = told(rundir.journal(directory), f"{directory}: lines read:")
    for line in lines:
        reading.figures.line(line)
    return reading.run(name)


def report(directories: Sequence[Path], form: Form, out: Path | None) -> str:
    """Write the report and say where, or return what is to be printed: JSON and CSV without `out`."""
    runs = [read(directory, name) for directory, name in zip(directories, _names(directories), strict=True)]
    text = {Form.HTML: page.whole, Form.JSON: as_json, Form.CSV: as_csv}[form](runs)
    if out is None and form is not Form.HTML:
        return text.rstrip("\n")
    place = out if out is not None else directories[-1] / rundir.REPORT
    _write(place, text)
    return f"{place} written: open it in a browser; it needs no network"


def as_json(runs: Sequence[Run]) -> str:
    """Every figure and bin, by run; texts of records are left out."""
    return orjson.dumps({run.name: _told(run) for run in runs}, option=orjson.OPT_INDENT_2).decode() + "\n"


def as_csv(runs: Sequence[Run]) -> str:
    """One figure a row, under the same names: run, figure, value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "figure", "value"])
    for run in runs:
        writer.writerows([run.name, name, "" if value is None else value] for name, value in flat(_told(run)))
    return text.getvalue()


def _told(run: Run) -> dict[str, Any]:
    about = {"state": run.state, "reason": run.reason, "recipe": run.recipe, "goal": run.goal, "currency": run.currency}
    return {**about, **{name: value for name, value in run.figures.items() if name not in TEXTS}}


def _names(directories: Sequence[Path]) -> list[str]:
    """What the runs are called on a page: their directories' names, whole paths where these are the same."""
    short = [directory.resolve().name for directory in directories]
    chosen = short if len(set(short)) == len(short) else [str(directory) for directory in directories]
    if len(set(chosen)) < len(chosen):
        raise PlanError("a run is compared with another one: give each directory once")
    return chosen


def _write(place: Path, text: str) -> None:
    """Whole or not at all; a report that was there before is replaced."""
    aside = place.with_name(f".{place.name}.part")
    try:
        aside.write_text(text, encoding="utf-8", errors="backslashreplace")
        aside.replace(place)
    except OSError as error:
        raise DiskError(f"{place} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
