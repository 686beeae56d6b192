"""The run directory as a door sees it: what lies in it, whether it is one, whose it is.

`prepare` is for the run that writes; everything else only reads and works on a live, a finished or a crashed run alike.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import orjson

from engine import context
from engine.core.faults import EngineError, JournalError, PlanError
from engine.core.recipe import GROW, Recipe
from engine.core.till import of_money
from engine.core.types import Item, Lease, Line, Paid, Settled
from engine.plan import Plan, differences
from engine.runtime.control import NOTE
from engine.runtime.disk import Directory, Disk, networked, replace
from engine.runtime.journal import following, read_only
from engine.runtime.segments import FOLDER, MANIFEST
from engine.version import VERSION

PLAN, PULSE, LOG, MODEL_LOG, TRANSLATOR_LOG = "plan.json", "pulse.json", "log.jsonl", "model.log", "apertium.log"
REPORT = "report.html"
REPAIR, READY, DAMAGED = "repair", "ready", "damaged-"
"""A mended journal before it takes the place of the damaged one, the mark that it is whole, and where damaged ones are kept."""
_TEXTS = {"seeds.jsonl", "avoid.jsonl", "templates", "filters"}
_LOGS = {LOG, *(f"{LOG}.{n}" for n in range(1, 10)), MODEL_LOG, TRANSLATOR_LOG}
_OURS = {"lock", FOLDER, MANIFEST, PULSE, NOTE, REPORT} | _TEXTS | _LOGS


def refuse_foreign(directory: Path) -> None:
    """Raises `JournalError` where the directory is in use for something else. Touches nothing."""
    strange = sorted(path.name for path in directory.iterdir() if path.name not in _OURS and not path.name.startswith("."))
    if strange and not (directory / PLAN).exists():
        raise JournalError(f"{directory} is not empty and not a run directory ({strange[0]!r} is in it): choose a new directory")


def refuse_half_repaired(directory: Path) -> None:
    """Raises `JournalError` where a repair was cut short while two journals changed places."""
    if (directory / REPAIR / READY).exists():
        raise JournalError(f"a repair of {directory} was cut short; nothing is lost: 'seeddrill repair {directory}' finishes it")


def prepare(loaded: context.Loaded, disk: Disk, where: str, currency: str | None = None) -> None:
    """Make the directory the run directory of this plan, or see that it is. Call it with the directory locked. `currency` is what
    the plan counts costs in, if it has prices.

    `plan.json` comes last: without it there is no run yet. Raises `JournalError` where the directory belongs to another plan,
    with the differences.
    """
    if PLAN in disk.names():
        body = _body(b"".join(disk.read(PLAN)), where)
        lines = differences(body["identity"], loaded.identity)
        if lines:
            raise JournalError(
                f"{where} belongs to another plan, and these cannot change within a run: {'; '.join(lines)}. Nothing in it "
                f"was changed. Go back to them, choose a new directory, or fold its answers again under the new plan: "
                f"seeddrill refold {where} NEW --set KEY=VALUE"
            )
        currency = _same_currency(body.get("currency"), currency, disk, where)
        records = body.get("records")
    else:
        records = None
        for name, data in copies(loaded).items():
            replace(disk, name, data)
    replace(disk, PLAN, written_plan(loaded, currency, records))


def count(loaded: context.Loaded, disk: Disk, where: str) -> int:
    """How many records the input has: counted once in the life of a run, and noted beside its plan. Blocks."""
    body = _body(b"".join(disk.read(PLAN)), where)
    if body.get("records") is None:
        assert loaded.source is not None, "who reads the input has it"
        body["records"] = loaded.source.count()
        replace(disk, PLAN, written_plan(loaded, body.get("currency"), body["records"]))
    return int(body["records"])


def aim(directory: Path, goal: int) -> None:
    """Note another goal in `plan.json`: status and exports go by it until the run is started with a plan again. Raises
    `PlanError` where it cannot be written."""
    disk = Directory(directory)
    try:
        body = _body(b"".join(disk.read(PLAN)), str(directory))
        body["plan"]["goal"] = goal
        replace(disk, PLAN, orjson.dumps(body, option=orjson.OPT_INDENT_2))
    except (OSError, EngineError) as error:
        raise PlanError(f"the goal cannot be noted in {directory / PLAN}, and was left as it is: {error}") from error
    finally:
        disk.close()


def _same_currency(old: str | None, new: str | None, disk: Disk, where: str) -> str | None:
    """The currency of the costs in the journal, with those to come: sums of two currencies would mean nothing."""
    if old is None or new is None or old == new:
        return new or old
    for line in following(disk, where):
        if (isinstance(line, Settled | Paid) and line.cost) or (isinstance(line, Lease) and of_money(line)):
            raise JournalError(
                f"the journal in {where} counts its costs in {old}, and the plan in {new}: a run keeps its currency. Nothing in "
                f"it was changed. Give [budget] in {old}, with rates for prices in other currencies, or choose a new directory"
            )
    return new


def written_plan(loaded: context.Loaded, currency: str | None, records: int | None = None) -> bytes:
    """`plan.json`. `records` is how many the input has, where they were counted."""
    body = {
        "seeddrill": VERSION,
        "fingerprint": loaded.fingerprint,
        "identity": loaded.identity,
        "plan": msgspec.to_builtins(loaded.plan),
        "currency": currency,
        **({} if records is None else {"records": records}),
    }
    return orjson.dumps(body, option=orjson.OPT_INDENT_2)


def copies(loaded: context.Loaded) -> dict[str, bytes]:
    """The texts that a run's prompts and verdicts rest on, by the name of their copy in its directory."""
    sources = loaded.sources
    files = {"seeds.jsonl": sources.seeds, "avoid.jsonl": sources.avoid}
    files |= {f"templates/{name}.txt": text.encode() for name, text in sources.templates.items()}
    files |= {f"filters/{name.replace(':', '.')}.py": text.encode() for name, text in sources.filters.items()}
    return files


def notices(directory: Path) -> list[str]:
    """What the user should know of the place that a run is kept in."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []  # not Linux: nothing is known
    if (kind := networked(directory.resolve(), mounts)) is None:
        return []
    return [
        f"{directory} is on a network file system ({kind}). Locks and syncs there may not do what they promise: two machines "
        "could write into one run, and a server that crashes could lose answers that were paid for. A disk of this machine is "
        "safer"
    ]


def read_plan(directory: Path) -> dict[str, Any]:
    """`plan.json` of a run directory; raises `PlanError` that says what a run directory is where there is none."""
    refuse_half_repaired(directory)
    try:
        return _body((directory / PLAN).read_bytes(), str(directory))
    except (FileNotFoundError, NotADirectoryError):
        raise PlanError(
            f"{directory} is not a run directory: one has a {PLAN} and a folder named {FOLDER}, and is made by "
            "'seeddrill run PLAN DIR' or 'seeddrill quickstart'"
        ) from None
    except OSError as error:
        raise JournalError(f"{directory / PLAN} cannot be read: {error.strerror or error}") from error


def _body(data: bytes, where: str) -> dict[str, Any]:
    try:
        body = orjson.loads(data)
        if not isinstance(body, dict) or not {"identity", "plan", "fingerprint"} <= body.keys():
            raise ValueError("keys are missing")
    except ValueError as error:
        raise JournalError(
            f"{where}/{PLAN} is damaged ({error}). The journal is not touched: restore the file from a copy"
        ) from error
    return body


def reopen(directory: Path) -> context.Loaded:
    """The plan of a run with the texts that the run itself was made with, whatever has become of the user's own files since.

    Its filters are ours only: the user's own are not imported, and nothing is judged anew with what this returns."""
    data = read_plan(directory)["plan"]
    plan = msgspec.convert({**data, "seeds": None}, Plan)
    options = {key: value for key, value in plan.options.items() if key not in ("templates", "avoid")}
    if "filters" in options:
        options["filters"] = [name for name in options["filters"] if ":" not in name]
    return context.reload(msgspec.structs.replace(plan, options=options), directory)


def journal(directory: Path) -> Iterator[Line]:
    """The journal of a run directory, oldest line first."""
    read_plan(directory)
    return read_only(directory)


def holder(directory: Path) -> int | None:
    """The process that runs this directory now, on this machine; `None` without one."""
    try:
        pid, host = (directory / "lock").read_text().split()
        if host != socket.gethostname():
            return None
        os.kill(int(pid), 0)
    except PermissionError:
        return int(pid)
    except (OSError, ValueError):
        return None
    return int(pid)


@dataclass(frozen=True, slots=True)
class Record:
    """An instruction record and where it comes from. `lanes`, `models`, `ids` and `times` are by step."""

    id: str
    item: Item
    fields: Item
    """What the recipe says a record looks like."""
    provenance: Item
    """What the recipe tells of where the record comes from."""
    lanes: dict[str, str]
    models: dict[str, str]
    ids: dict[str, str] = field(default_factory=dict)
    """What each step made that it grew from, itself the last."""
    times: dict[str, float] = field(default_factory=dict)
    """When each was asked for: UTC, in seconds."""


def records(directory: Path) -> Iterator[Record]:
    """Every record of a run up to its goal, in the order of its journal: where the goal was lowered, what lies beyond it is left
    out. Holds only items that still wait for an answer in memory."""
    loaded = reopen(directory)
    recipe, goal = loaded.recipe, loaded.plan.goal
    every = _records(recipe, journal(directory), goal if recipe.source_step.source is GROW else None)
    return every if recipe.source_step.source is GROW else islice(every, goal)


def _records(recipe: Recipe, lines: Iterable[Line], grown: int | None) -> Iterator[Record]:
    """The records of a journal, of which no more than the first so many items may have `grown`."""
    waiting: dict[str, Record] = {}
    first = recipe.source_step
    for line in lines:
        if not isinstance(line, Settled) or line.fault is not None:
            continue
        if line.step == first.name:
            made = list(_grown(recipe, line, Record("", line.item or {}, {}, {}, {}, {})))[:grown]
            grown = None if grown is None else grown - len(made)
        else:
            parent = waiting.pop(line.of or "", None)
            made = list(_grown(recipe, line, parent)) if parent is not None else []
        if line.step == recipe.last.name:
            yield from made
        else:
            waiting.update((record.id, record) for record in made)


def _grown(recipe: Recipe, line: Settled, parent: Record) -> Iterator[Record]:
    lanes = {**parent.lanes, line.step: line.lane}
    models = {**parent.models, line.step: line.replies[0].model if line.replies else ""}
    times = {**parent.times, line.step: line.t}
    for n, kept in line.kept:
        item = {**parent.item, **kept, "id": f"{line.step}/{line.index}.{n}"}
        whole = line.step == recipe.last.name
        fields = recipe.record(item) if whole else {}
        provenance = recipe.provenance(item) if whole and recipe.provenance is not None else {}
        yield Record(item["id"], item, fields, provenance, lanes, models, {**parent.ids, line.step: item["id"]}, times)
