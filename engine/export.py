"""Exports: a run's records as files that a trainer, a person or a spreadsheet can read. Reads the journal, holds no lock.

The stages of the way stand in `engine.exports`, one a file.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine import rundir
from engine.context import Loaded
from engine.core.faults import DiskError, PlanError
from engine.exports import card as cards
from engine.exports import formats
from engine.exports.card import File, Story
from engine.exports.choose import Selection, clause
from engine.exports.formats import Format
from engine.exports.gather import TRAIN, VALIDATION, Gathered, gather
from engine.exports.rows import Row, Setting
from engine.exports.settings import Settings, settings
from engine.exports.write import FILES, SUMS, Target, sums, write
from engine.exports.write import Existing as Existing
from engine.progress import told

FOLDER = "exports"
"""In a run directory: where exports go that nobody gave a place."""
COMPARED = ("nearest", "mean")
"""Scores that are not in the journal, and take a while to find."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What an export takes of a run, in the words of the command line."""

    where: tuple[str, ...] = ()
    """Conditions that every record has to fit: `lane=main`, `language=zh`, `nearest<=0.5`."""
    sample: int | None = None
    """Of so many instructions, chosen at random, one record each."""
    validation: float = 0.0
    """About this share of the records goes to a file of its own, with all instances of an instruction on one side."""
    settings: tuple[str, ...] = ()
    """`KEY=VALUE`, each."""

    def check(self) -> None:
        if not 0 <= self.validation < 1:
            raise PlanError(f"--validation is a share of the records, from 0 to below 1, not {self.validation:g}")
        if self.sample is not None and self.sample < 1:
            raise PlanError(f"--sample is how many instructions to take, 1 or more, not {self.sample}")

    def command(self, format: str) -> str:
        """The command line that says all of it, for a card: where a file of templates lies is nobody's business."""
        words = ["seeddrill", "export", "DIR", "--format", format]
        if self.validation:
            words += ["--validation", f"{self.validation:g}"]
        if self.sample is not None:
            words += ["--sample", str(self.sample)]
        for condition in self.where:
            words += ["--where", condition]
        for setting in self.settings:
            key, _, value = setting.partition("=")
            words += ["--set", f"{key}={Path(value).name}" if key.strip() == "templates" else setting]
        return shlex.join(words)


EVERYTHING = Choice()


@dataclass(frozen=True, slots=True)
class Written:
    """What an export has written."""

    path: Path
    records: int
    files: tuple[File, ...]
    """Those with rows in them."""
    beside: tuple[str, ...] = ()
    """The other files of a folder."""

    def text(self) -> str:
        """In a line."""
        parts = [f"{file.name} ({file.rows:,})" for file in self.files]
        if self.beside:
            return f"{self.records:,} records written to {self.path}: {', '.join([*parts, *self.beside])}"
        if len(parts) > 1:
            return f"{self.records:,} records written to {self.path.parent}: {' and '.join(parts)}"
        rows = self.files[0].rows
        return f"{self.records:,} records written to {self.path}{f' as {rows:,} rows' if rows != self.records else ''}"


def export(directory: Path, out: Path | None, format: str, existing: Existing, choice: Choice = EVERYTHING) -> Written:
    """Write the records of a run; `out` appears whole, or stays as it was.

    `out` is a file where its name ends like one, else a folder, which gets a card, sums, and what trainers have to be told;
    `None`: a place in the run directory. Works while the run goes on. Raises `EngineError` for what the user can mend.
    """
    chosen = formats.find(format)
    choice.check()
    wanted = settings(choice.settings, format, chosen.settings)
    where = tuple(map(clause, choice.where))
    compares = chosen.compares or any(condition.name in COMPARED for condition in where)
    selection = Selection(where, choice.sample, choice.validation, wanted.seeds, compares)
    loaded = rundir.reopen(directory)
    target = _target(directory, out, format, chosen, choice)
    target.check(existing)
    with target.aside() as folder, gather(directory, loaded, selection, folder) as gathered:
        parts = zip((TRAIN, VALIDATION), target.names, strict=False)
        files = tuple(_file(folder / name, part, gathered, chosen, _setting(loaded, wanted)) for part, name in parts)
        story = Story(loaded, gathered.figures, files, chosen, wanted, choice.command(format))
        beside = _beside(folder, story) if target.is_folder else ()
        target.place(folder)
    return Written(target.path, gathered.figures.examples.total(), files, beside)


def _target(directory: Path, out: Path | None, format: str, chosen: Format, choice: Choice) -> Target:
    """Makes the folder for exports of the run directory where nobody gave a place."""
    is_sheet = format == formats.SHEET
    if out is None:
        out = directory / FOLDER / (f"review{chosen.suffix}" if is_sheet else format)
        try:
            out.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise DiskError(f"{out.parent} cannot be made: {error.strerror or error}; name another place with --out") from error
    out = Path(os.path.abspath(out)) if out.name in ("", "..") else out
    is_folder = out.suffix not in FILES
    if is_sheet and (is_folder or choice.validation):
        raise PlanError("a review sheet is one file: give --out a name that ends with .csv, and leave --validation out")
    names = [f"{TRAIN}{chosen.suffix}", f"{VALIDATION}{chosen.suffix}"]
    if not is_folder:
        names = [out.name, f"{out.stem}.{VALIDATION}{out.suffix}"]
    return Target(out, is_folder, tuple(names if choice.validation else names[:1]))


def _setting(loaded: Loaded, wanted: Settings) -> Setting:
    steps = loaded.recipe.steps
    first = next((step for step in steps if step.unique is not None), steps[0])
    return Setting(loaded.plan.seed, tuple(step.name for step in steps), first.name, wanted)


def _file(path: Path, part: str, gathered: Gathered, chosen: Format, setting: Setting) -> File:
    count = 0

    def rows() -> Iterator[Row]:
        nonlocal count
        count = 0
        for row in told(chosen.rows(gathered.part(part), setting), f"rows of {path.name} written:"):
            count += 1
            yield row

    digest = write(path, chosen.encode(rows))
    return File(path.name, part, count, digest)


def _beside(folder: Path, story: Story) -> tuple[str, ...]:
    """What lies in a folder besides the rows: the card, what trainers have to be told, and the sums of all of it."""
    hashes = {file.name: file.sha256 for file in story.files}
    texts = {"README.md": cards.card(story).encode(), "dataset_info.json": cards.dataset_info(story)}
    for name, text in texts.items():
        if text is not None:
            hashes[name] = write(folder / name, [text])
    write(folder / SUMS, [sums(hashes)])
    return (*(name for name in hashes if name in texts), SUMS)
