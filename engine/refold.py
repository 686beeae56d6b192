"""`seeddrill refold`: a new run directory from the recorded replies of another one, judged anew; not one call is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine import app, context, rundir, status
from engine.core.agenda import Agenda
from engine.core.faults import JournalError, PlanError
from engine.core.refold import Different, Refold
from engine.core.types import Line
from engine.plan import Plan, changed
from engine.progress import told
from engine.runtime import segments
from engine.runtime.disk import Directory
from engine.runtime.journal import Journal, Lock

GROUP = 1000
"""Lines written and synced together: the old journal is still there, nothing is paid twice."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What came of it: the new run's agenda, and the items that prompts have shown and that no line has made."""

    agenda: Agenda
    lost: frozenset[str]


def refold(directory: Path, new: Path, changes: list[str]) -> str:
    """Fold the run in `directory` again under its plan with `changes`, into `new`; returns what to tell the user.

    Raises `PlanError` where `new` is in use, or where a change would alter what is asked.
    """
    loaded = replanned(directory, changes)
    if new.exists() and (not new.is_dir() or any(new.iterdir())):
        raise PlanError(f"{new} is in use, and was left alone: a refold makes a new directory; choose another name")
    old = {name: step["kept"] for name, step in status.fold(directory)["steps"].items()}
    with ExitStack() as closing:
        closing.enter_context(_writable(new))
        new.mkdir(parents=True, exist_ok=True)
        closing.enter_context(Lock(new))
        disk = Directory(new)
        closing.callback(disk.close)
        journal = Journal(disk, app.header(loaded), str(new), compress=loaded.plan.compress)
        folded = fold(loaded, journal, told(rundir.journal(directory), "lines folded:"), directory)
        # last: before, it is no run, and cannot be taken for one
        rundir.prepare(loaded, disk, str(new), rundir.read_plan(directory).get("currency"))
    return _report(directory, new, old, folded.agenda)


@contextmanager
def _writable(new: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PlanError(
            f"{new} cannot be written: {error.strerror or error}; choose another place, or make it writable"
        ) from error


def replanned(directory: Path, changes: list[str]) -> context.Loaded:
    """The plan of a run with changes, on the run's own copies of its texts, with the user's own filters."""
    plan = msgspec.convert({**rundir.read_plan(directory)["plan"], "seeds": None}, Plan)
    kept = {key: value for key, value in plan.options.items() if key not in ("templates", "avoid")}
    new = changed(msgspec.structs.replace(plan, options=kept), changes)
    if new.input != plan.input:
        raise PlanError("a refold judges again what was answered: [input] cannot change; start another run for other documents")
    return context.reload(new, directory)


def fold(loaded: context.Loaded, journal: Journal, lines: Iterable[Line], where: Path) -> Folded:
    """Write the new journal. `where` is the old one's directory, for errors."""
    agenda = app.empty_agenda(loaded)
    again = Refold(agenda, loaded.context)
    for _ in journal.replay():
        raise JournalError("the new journal is not empty")
    try:
        for group in _groups(line for old in lines for line in again.fold(old)):
            journal.append(group)
    except Different as different:
        raise PlanError(
            f"this changes what is asked ({different} would have another prompt), and a refold only judges again what was "
            "answered: change thresholds, filters, word lists, lengths or files to avoid; for another question start another run"
        ) from different
    except (KeyError, ValueError) as error:
        raise JournalError(f"the journal in {where} contradicts itself: {error}. {segments.advice(str(where))}") from error
    return Folded(agenda, frozenset(again.lost))


def _groups(lines: Iterable[bytes]) -> Iterator[bytes]:
    group: list[bytes] = []
    for line in lines:
        group.append(line)
        if len(group) == GROUP:
            yield b"".join(group)
            group.clear()
    if group:
        yield b"".join(group)


def _report(directory: Path, new: Path, old: dict[str, int], agenda: Agenda) -> str:
    rows = [f"{directory} folded again into {new}, without a call:", f"  {'step':<12}{'kept before':>13}{'now':>9}"]
    rows += [f"  {name:<12}{old[name]:>13,}{step.kept:>9,}" for name, step in agenda.tally.steps.items()]
    rows += [
        f"'seeddrill diff {directory} {new}' says what came and went, and why. 'seeddrill run PLAN {new}', with the same changes "
        "(--set, or in the plan), asks only what is missing now.",
    ]
    return "\n".join(rows)
