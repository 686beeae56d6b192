"""Simulated crashes: the real scheduler and journal over a disk that tears, forgets, fills up, fails or is slow, by seed.

`python -m tests.crashes SEED` goes through one schedule again and says what went wrong; with `documents` or `batches` behind it,
over those.
"""

from __future__ import annotations

import atexit
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

import anyio
import orjson

from engine import context
from engine.core import lines as format
from engine.core.faults import DiskError, JournalError
from engine.core.quota import Draft, Ledger
from engine.core.rng import digest
from engine.core.types import Translation, prompt_text
from engine.plan import from_data
from engine.runtime import segments
from engine.runtime.disk import Disk
from engine.runtime.disk import replace as replace_file
from engine.runtime.journal import Journal
from engine.runtime.pulse import RunState
from engine.runtime.scheduler import Patience
from tests import brain, translator, virtual
from tests.drive import LANE, Drive
from tests.fakes import Answer, Crash, FakeDisk, lines

GOAL, SEEDS = 2, 8
BEYOND = 45
"""Operations of a run, about: a crash is drawn to come at one of them, or a little later."""


class Broken(AssertionError):
    """A promise was not kept; the text says which, and how to see it again."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What befalls one run: how it is set up, and the faults of its lives; the last one has none."""

    concurrent: int
    segment: int
    compress: bool
    group: float
    slow: float
    """Seconds that a write may take at the most."""
    faults: tuple[tuple[str, int], ...]
    """`power` (what was not synced may be lost), `kill` (nothing written is lost), `full` (bytes that fit), `eio`, each with the
    operation at which it comes."""


def drawn(seed: int) -> Schedule:
    rng = Random(seed)
    kinds = rng.choices(("power", "kill", "full", "eio"), weights=(5, 2, 1, 1), k=rng.randint(1, 2))
    return Schedule(
        concurrent=rng.randint(1, 8),
        segment=rng.randint(1, 9),
        compress=rng.random() < 0.5,
        group=rng.choice((0.0, 0.05, 5.0)),
        slow=rng.choice((0.0, 0.0, 2.0)),
        faults=tuple((kind, rng.randrange(20_000) if kind == "full" else rng.randrange(BEYOND)) for kind in kinds),
    )


@cache
def loaded(concurrent: int) -> context.Loaded:
    """A small run whose prompts are all different, and the same whenever they are asked: no machine-made examples."""
    lane = {**LANE, "concurrent": concurrent, "requests_per_day": 400}
    whole = Drive(goal=GOAL, lanes={"main": lane}, options={"machine": 0, "new": 2}).load()
    return replace(whole, context=replace(whole.context, seeds=whole.context.seeds[:SEEDS]))


@dataclass(frozen=True, slots=True)
class Subject:
    """What the runs are about. `asked` tells what a request is known by in the journal."""

    loaded: Callable[[int], context.Loaded]
    answer: Answer
    asked: Callable[[dict[str, Any]], list[str]]
    documents: bool = True


def asked_of_model(body: dict[str, Any]) -> list[str]:
    return [digest(brain.prompt_of(body))]


def asked_about_texts(body: dict[str, Any]) -> list[str]:
    texts = body["text"] if "target_lang" in body else [body["q"]] if "q" in body else None
    if texts is None:
        return asked_of_model(body)
    pair = ("en", "zh") if translator.step_of(body) == "translate" else ("zh", "en")
    return [digest(prompt_text((Translation(one, *pair),))) for one in texts]


TEXTS = tuple(translator.text(n) for n in range(4))
BAD = ("", "Too short.", f"{TEXTS[0]} Once more.", "\0")


@cache
def corpus() -> Path:
    """Four documents that become records, and four that are turned away, one of them because of another one."""
    path = Path(mkdtemp(prefix="seeddrill-crashes-")) / "corpus.jsonl"
    rows = [row for pair in zip(TEXTS, BAD, strict=True) for row in pair]
    path.write_bytes(b"".join(orjson.dumps({"text": row}) + b"\n" for row in rows))
    atexit.register(shutil.rmtree, path.parent)
    return path


def loaded_documents(concurrent: int) -> context.Loaded:
    return loaded_with(concurrent, "libretranslate")


def loaded_batches(concurrent: int) -> context.Loaded:
    return loaded_with(concurrent, "deepl")


@cache
def loaded_with(concurrent: int, provider: str) -> context.Loaded:
    """A run over documents whose translator takes one text a request, or several."""
    lanes = {
        "main": {**translator.TRANSLATOR, "provider": provider, "concurrent": concurrent, "requests_per_day": 400},
        "llm": {**translator.WRITER, "requests_per_day": 400},
    }
    whole = context.load(from_data(translator.plan(corpus(), lanes=lanes)))
    return replace(whole, context=replace(whole.context, identify=lambda text: None))


class Watched(Journal):
    """The journal, remembering what it has promised."""

    promised: list[bytes]

    def append(self, data: bytes) -> None:
        super().append(data)
        self.promised += data.splitlines()


@dataclass
class Story:
    """One run through all its lives, with what it has promised so far."""

    seed: int
    subject: str = "tasks"
    writer: type[Watched] = Watched
    disk: Callable[[FakeDisk], Disk] = lambda disk: disk
    """Stands between the journal and the disk; mutants lose something there."""
    promised: list[bytes] = field(default_factory=list)
    sent: int = 0

    @property
    def about(self) -> Subject:
        return SUBJECTS[self.subject]

    def run(self) -> None:
        """Raises `Broken`."""
        try:
            self._lives()
        except (JournalError, format.Damaged) as error:
            self.must(False, f"a crash left what cannot be read ({error})")

    def _lives(self) -> None:
        plan, rng = drawn(self.seed), Random(self.seed)
        files: dict[str, bytes] = {}
        for kind, moment in (*plan.faults, ("", 0)):
            settled = {line["q"] for line in journaled(files) if "q" in line}
            disk = faulty(files, kind, moment, rng)
            drive = self.drive(plan, disk)
            try:
                pulse = drive.start()
                ended = pulse.state is RunState.DONE
            except (Crash, DiskError):
                ended = False
            self.check_asked(drive, settled)
            files = disk.survivors() if kind == "power" else disk.files
            self.check_survivors(files)
        self.must(ended, "the last life, without a fault, did not reach the goal")
        self.check_end(files)

    def drive(self, plan: Schedule, disk: FakeDisk) -> Drive:
        promised = self.promised

        def write(_: Disk, *args: Any, **settings: Any) -> Watched:
            journal = self.writer(self.disk(disk), *args, **settings)
            journal.promised = promised
            return journal

        return Drive(
            disk=disk,
            loaded=self.about.loaded(plan.concurrent),
            answer=self.about.answer,
            patience=Patience(group=plan.group),
            worker=slowly(plan.slow, Random(self.seed)) if plan.slow else virtual.inline,
            segment=plan.segment,
            compress=plan.compress,
            writer=write,
        )

    def check_asked(self, drive: Drive, settled: set[str]) -> None:
        """Nothing that was on the disk is asked again, and nothing is sent without a lease that lasts."""
        if not hasattr(drive, "wire"):
            return  # it crashed while it read its journal
        asked = [one for body in drive.wire.sent for one in self.about.asked(body)]
        self.must(not settled.intersection(asked), "an answer that was on the disk was asked for again")
        self.must(len(set(asked)) == len(asked), "one question was asked twice in one life")
        self.sent += len(drive.wire.sent)

    def check_survivors(self, files: dict[str, bytes]) -> None:
        """Whatever was promised is there, in order, nothing before it is missing, and the manifest is not behind."""
        disk = FakeDisk(files)
        found = [line for line in raw(disk) if b'"seeddrill"' not in line]
        self.must(found[: len(self.promised)] == self.promised, "a line that was acknowledged is lost")
        self.promised = found  # whoever reads them relies on them
        sealed, there = segments.manifest(disk, "run"), segments.on_disk(disk)
        self.must(len(there) <= len(sealed) + 1, "a segment was begun before the manifest had the one before it")
        leased = sum(line["amount"] for line in journaled(files) if "lease" in line and line["amount"] > 0)
        self.must(self.sent <= leased, f"{self.sent} requests were sent on leases for {leased}")

    def check_end(self, files: dict[str, bytes]) -> None:
        disk = FakeDisk(files)
        check = segments.Check(self.about.loaded(drawn(self.seed).concurrent).fingerprint)
        settled = [line for line in segments.checked(disk, "run", check) if hasattr(line, "q")]
        keys = {(line.step, line.index) for line in settled}  # type: ignore[union-attr]
        self.must(len(keys) == len(settled), "a request was settled twice")
        if self.about.documents:
            first = sorted(line.index for line in settled if line.step == "translate")  # type: ignore[union-attr]
            self.must(first == list(range(2 * len(TEXTS))), f"documents are settled as {first}")
            records = sum(len(line.kept) for line in settled if line.step == "instruct")  # type: ignore[union-attr]
            self.must(records == len(TEXTS), f"{records} records came of {len(TEXTS)} documents")
        self.must(check.sealed == check.segments > 0, "a finished run has a segment that is not sealed")
        left = [name for name in files if name.endswith(".part") and name.startswith("journal/")]
        self.must(not left, f"half a file was left: {left}")

    def must(self, kept: bool, promise: str) -> None:
        if not kept:
            raise Broken(f"seed {self.seed}: {promise}. See it again: python -m tests.crashes {self.seed} {self.subject}")


def faulty(files: dict[str, bytes], kind: str, moment: int, rng: Random) -> FakeDisk:
    disk = FakeDisk(files)
    disk.rng = rng
    match kind:
        case "power" | "kill":
            disk.crash_at = moment
        case "full":
            disk.room = moment
        case "eio":
            disk.fail_at = moment
    return disk


def slowly(most: float, rng: Random) -> Any:
    """A worker that a slow disk holds up."""

    async def work(function: Callable[[Any], Any], argument: Any) -> Any:
        await anyio.sleep(rng.uniform(0, most))
        return function(argument)

    return work


SUBJECTS = {
    "tasks": Subject(loaded, brain.answer, asked_of_model, documents=False),
    "documents": Subject(loaded_documents, translator.answer, asked_about_texts),
    "batches": Subject(loaded_batches, translator.answer, asked_about_texts),
}


def raw(disk: FakeDisk) -> Iterator[bytes]:
    for file in segments.on_disk(disk).values():
        yield from (line for line, whole in segments.split(segments.pieces(disk, file)) if whole)


def journaled(files: dict[str, bytes]) -> list[dict[str, Any]]:
    return lines(FakeDisk(files))


# Mutants: each breaks one rule that the journal lives by


class Deaf:
    """A disk whose syncs do nothing."""

    def __init__(self, disk: FakeDisk) -> None:
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)

    def sync(self, name: str) -> None:
        pass


class Nameless(Deaf):
    """A disk on which contents last, and names do not."""

    def sync(self, name: str) -> None:
        self._disk.sync(name)

    def sync_names(self, folder: str = "") -> None:
        pass


class LateManifest(Watched):
    """Begins the next segment before the manifest has the one before it."""

    def _seal(self) -> None:
        assert self._number is not None
        self._sealed.append(self._count.sealed(self._number))
        self._next()

    def append(self, data: bytes) -> None:
        super().append(data)
        with self._safely():
            replace_file(self._disk, segments.MANIFEST, segments.write_manifest(self._sealed))


class WritesLater(Watched):
    """Takes lines in, says that they last, and writes them with the next ones."""

    held = b""

    def append(self, data: bytes) -> None:
        held, self.held = self.held, data
        if held:
            Journal.append(self, held)
        self.promised += data.splitlines()


def grants_first(draw: Callable[..., list[Draft]]) -> Callable[..., list[Draft]]:
    """A ledger that lets a lease be used before it is written."""

    def drawn_and_granted(ledger: Ledger, *args: Any) -> list[Draft]:
        drafts = draw(ledger, *args)
        for draft in drafts:
            ledger.grant(draft)
        return drafts

    return drawn_and_granted


def broken(seeds: range, **story: Any) -> list[str]:
    """What went wrong in these schedules."""
    found: list[str] = []
    for seed in seeds:
        try:
            Story(seed, **story).run()
        except Broken as promise:
            found.append(str(promise))
    return found


if __name__ == "__main__":
    one = int(sys.argv[1])
    print(drawn(one))
    Story(one, *sys.argv[2:3]).run()
    print("every promise was kept")
