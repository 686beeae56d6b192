"""The chosen examples of a run: read from its journal once, put by in a file without a name, counted on the way.

Everything after this reads what was put by: a run that goes on meanwhile changes nothing in an export that has begun.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from engine import rundir
from engine.context import Loaded
from engine.core.faults import PlanError
from engine.core.text import words
from engine.exports import example as examples
from engine.exports import neighbours
from engine.exports.choose import Clause, Seen, Selection, sample, validates
from engine.exports.example import Example
from engine.progress import told

TRAIN, VALIDATION = "train", "validation"


@dataclass(slots=True)
class Figures:
    """What the card tells of the examples."""

    examples: Counter[str] = field(default_factory=Counter)
    """By part."""
    seeds: int = 0
    with_input: int = 0
    classification: int = 0
    words: Counter[str] = field(default_factory=Counter)
    """In all, by field."""
    languages: Counter[str] = field(default_factory=Counter)
    answers: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Examples that a step's answer went into, by step, lane and model."""
    groups: set[int] = field(default_factory=set)
    first: float | None = None
    last: float | None = None

    def add(self, example: Example, part: str) -> None:
        self.examples[part] += 1
        self.seeds += not example.ids
        self.with_input += bool(example.input)
        self.classification += example.classification is True
        for name in examples.FIELDS:
            self.words[name] += len(words(getattr(example, name)))
        self.languages[example.language] += 1
        self.answers.update((step, lane, example.models[step]) for step, lane in example.lanes.items())
        self.groups.add(hash(example.group))
        if example.times:
            sent = example.times.values()
            self.first = min(sent) if self.first is None else min(self.first, *sent)
            self.last = max(sent) if self.last is None else max(self.last, *sent)


class Gathered:
    """The examples of an export, by part."""

    def __init__(self, files: Mapping[str, IO[bytes]]) -> None:
        self.figures = Figures()
        self._files = files

    def add(self, example: Example, part: str) -> None:
        self._files[part].write(examples.written(example) + b"\n")
        self.figures.add(example, part)

    def part(self, name: str) -> Iterator[Example]:
        """Its examples, in order. One reader at a time."""
        file = self._files[name]
        file.seek(0)
        return map(examples.read, file)


@contextmanager
def gather(directory: Path, loaded: Loaded, selection: Selection, folder: Path) -> Iterator[Gathered]:
    """What `selection` takes of the run, put by in files in `folder` that have no names and vanish with the process.

    Raises `PlanError` where it takes nothing of what there is, or leaves one side of a split empty.
    """
    with tempfile.TemporaryFile(dir=folder) as train, tempfile.TemporaryFile(dir=folder) as validation:
        gathered = Gathered({TRAIN: train, VALIDATION: validation})
        _fill(gathered, directory, loaded, selection)
        yield gathered


def _fill(gathered: Gathered, directory: Path, loaded: Loaded, selection: Selection) -> None:
    seed, share = loaded.plan.seed, selection.share
    for example in _selected(directory, loaded, selection):
        gathered.add(example, VALIDATION if validates(example, seed, share) else TRAIN)
    found = gathered.figures.examples
    if share and found.total() and not (found[TRAIN] and found[VALIDATION]):
        raise PlanError(
            f"--validation {share:g} puts {found[VALIDATION]} of {found.total()} records aside and leaves {found[TRAIN]} for "
            "training: with so few records choose another share, or leave it out"
        )


def language(loaded: Loaded) -> str:
    """The run's own."""
    return str(getattr(loaded.context.options, "language", "") or "")


def _selected(directory: Path, loaded: Loaded, selection: Selection) -> Iterator[Example]:
    fitting = _fitting(_read(directory, loaded, selection), selection.where)
    yield from fitting if selection.sample is None else sample(fitting, loaded.plan.seed, selection.sample)
    if selection.seeds:
        for n, seed in enumerate(loaded.context.seeds):
            yield from examples.of_seed(n, seed, language(loaded))


def _read(directory: Path, loaded: Loaded, selection: Selection) -> Iterator[Example]:
    compare = neighbours.compared(directory, loaded) if selection.compares else None
    for record in told(rundir.records(directory), "records read:"):
        example = examples.of_record(record, language(loaded))
        if compare is None:
            yield example
        elif (compared := compare(example)) is not None:
            yield compared


def _fitting(found: Iterator[Example], where: tuple[Clause, ...]) -> Iterator[Example]:
    """Those that fit every condition. A condition that names what there is not is a mistake, and is told at the end."""
    if not where:
        yield from found
        return
    seen, fitting = Seen(), 0
    for example in found:
        seen.add(example)
        if all(clause(example) for clause in where):
            fitting += 1
            yield example
    if not seen.count:
        return
    for clause in where:
        seen.check(clause)
    if not fitting:
        raise PlanError(f"none of {seen.count} records fits --where {' --where '.join(map(str, where))}: nothing was written")
