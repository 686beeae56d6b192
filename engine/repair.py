"""`seeddrill repair`: what can be saved of a damaged journal. Shows what would be dropped first, and throws nothing away.

Everything that can be read is folded again in a folder beside the journal; then the two change places, and the old one stays.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine import app, context, rundir
from engine.core.faults import DiskError, ForeignJournal, JournalError
from engine.core.types import Line, Settled
from engine.progress import told
from engine.refold import Folded, fold, replanned
from engine.runtime import segments
from engine.runtime.disk import Directory, replace
from engine.runtime.journal import Journal, Lock
from engine.runtime.segments import FOLDER, MANIFEST, Loss

NOTHING = "Nothing was changed."
MOST = 20
"""Losses that are told one by one."""


@dataclass(slots=True)
class Salvage:
    """What reading a damaged journal gave."""

    losses: list[Loss]
    answers: int = 0


def repair(directory: Path, agreed: Callable[[str], bool]) -> str:
    """Mend a run directory. `agreed` is shown what would be dropped and says whether to go on. Returns what to tell the user.

    Raises `JournalError` where the directory is in use, or where there is nothing to mend with.
    """
    if not (directory / rundir.REPAIR / rundir.READY).exists():
        rundir.read_plan(directory)  # before anything is touched: it may be no run at all
    try:
        with Lock(directory):
            if (directory / rundir.REPAIR / rundir.READY).exists():
                damaged = _change_places(directory)
                return f"An earlier repair was cut short, and is finished now. The damaged journal is in {damaged}."
            loaded = replanned(directory, [])
            if (why := _fault(directory, loaded)) is None:
                return f"{directory} is not damaged: every line is whole, and none contradicts another. Nothing was changed."
            return _mended(directory, loaded, why, agreed)
    except OSError as error:
        raise DiskError(
            f"{directory} cannot be mended: {error.strerror or error}. The journal was not changed; make room or mend the disk, "
            "then run the same command again"
        ) from error


def _fault(directory: Path, loaded: context.Loaded) -> str | None:
    """What a run would stumble over; `None` if nothing."""
    disk = Directory(directory)
    check = segments.Check(loaded.fingerprint)
    try:
        agenda = app.empty_agenda(loaded)
        for line in told(segments.checked(disk, str(directory), check), "lines read:"):
            app.apply(agenda, line, directory)
    except ForeignJournal:
        raise
    except JournalError as error:
        return str(error).partition(" Nothing was changed")[0]
    return None


def _mended(directory: Path, loaded: context.Loaded, why: str, agreed: Callable[[str], bool]) -> str:
    beside = directory / rundir.REPAIR
    if beside.exists():
        shutil.rmtree(beside)  # of a repair that was cut short before it was ready
    disk = Directory(beside)
    journal = Journal(disk, {**app.header(loaded), "repaired": True}, str(beside), compress=loaded.plan.compress)
    salvage = Salvage([])
    folded = fold(loaded, journal, _readable(directory, salvage), directory)
    if MANIFEST not in disk.names():
        replace(disk, MANIFEST, segments.write_manifest([]))
    disk.close()
    if not agreed(_shown(directory, why, salvage, folded)):
        shutil.rmtree(beside)
        return NOTHING
    replace(Directory(beside), rundir.READY, _free(directory).name.encode())
    damaged = _change_places(directory)
    return (
        f"{directory} is mended; the damaged journal is kept in {damaged} (delete it when you like). "
        f"'seeddrill verify {directory}' checks what is there; 'seeddrill run PLAN {directory}' asks what is missing."
    )


def _readable(directory: Path, salvage: Salvage) -> Iterator[Line]:
    for found in told(segments.salvage(Directory(directory)), "lines saved:"):
        if isinstance(found, Loss):
            salvage.losses.append(found)
        else:
            salvage.answers += isinstance(found, Settled)
            yield found


def _shown(directory: Path, why: str, salvage: Salvage, folded: Folded) -> str:
    stay = sum(step.settled for step in folded.agenda.tally.steps.values())
    rows = [f"What is wrong: {why}"]
    if salvage.losses:
        rows.append("Cannot be read, and would be dropped:")
        rows += [f"  {loss}" for loss in salvage.losses[:MOST]]
        rows += [f"  and {len(salvage.losses) - MOST:,} more" for _ in salvage.losses[MOST : MOST + 1]]
    rows += [
        f"{salvage.answers:,} answers can be read; {stay:,} of them stay.",
        f"{salvage.answers - stay:,} would be dropped, because what they are about is lost (their cost stays in the books).",
    ]
    if folded.lost:
        rows.append(f"{len(folded.lost):,} lost items were shown in prompts, which cannot be built again; their answers stay.")
    rows.append(f"The journal as it is now would be kept in {_free(directory)}.")
    return "\n".join(rows)


def _free(directory: Path) -> Path:
    """A name for what is moved out of the way."""
    number = 1
    while (directory / f"{rundir.DAMAGED}{number}").exists():
        number += 1
    return directory / f"{rundir.DAMAGED}{number}"


def _change_places(directory: Path) -> Path:
    """Put the mended journal in the place of the damaged one. Cut short at any point, it is finished by being called again: until
    the last step the mark `READY` stands, and no run begins beside it."""
    beside = directory / rundir.REPAIR
    damaged = directory / (beside / rundir.READY).read_text()
    damaged.mkdir(exist_ok=True)
    if (beside / FOLDER).exists():
        if (directory / FOLDER).exists():
            os.rename(directory / FOLDER, damaged / FOLDER)
        os.rename(beside / FOLDER, directory / FOLDER)
    if (beside / MANIFEST).exists():
        if (directory / MANIFEST).exists():
            os.rename(directory / MANIFEST, damaged / MANIFEST)
        os.rename(beside / MANIFEST, directory / MANIFEST)
    for folder in ("", damaged.name):
        Directory(directory).sync_names(folder)
    (beside / rundir.READY).unlink()
    shutil.rmtree(beside)
    return damaged
