"""The run directory as a door sees it: what lies in it, whether it is one, whose it is.

`prepare` is for the run that writes; everything else only reads and works on a live, a finished or a crashed run alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import orjson

from engine import context
from engine.core.faults import JournalError, PlanError
from engine.core.recipe import Recipe
from engine.core.types import Item, Paid, Settled
from engine.plan import Plan, differences
from engine.runtime.journal import read_only, replace_file
from engine.version import VERSION

PLAN, PULSE, LOG, MODEL_LOG = "plan.json", "pulse.json", "log.jsonl", "model.log"
_OURS = {"lock", "journal", "seeds.jsonl", "avoid.jsonl", "templates", "filters", PULSE, LOG, MODEL_LOG}


def refuse_foreign(directory: Path) -> None:
    """Raises `JournalError` where the directory is in use for something else. Touches nothing."""
    strange = sorted(path.name for path in directory.iterdir() if path.name not in _OURS and not path.name.startswith("."))
    if strange and not (directory / PLAN).exists():
        raise JournalError(f"{directory} is not empty and not a run directory ({strange[0]!r} is in it): choose a new directory")


def prepare(loaded: context.Loaded, directory: Path) -> None:
    """Make `directory` the run directory of this plan, or see that it is. Call it with the directory locked.

    Raises `JournalError` where it belongs to another plan, with the differences.
    """
    if (directory / PLAN).exists():
        _same(loaded, directory)
    else:
        replace_file(directory / "seeds.jsonl", loaded.sources.seeds)
        replace_file(directory / "avoid.jsonl", loaded.sources.avoid)
        for name, texts, ending in (
            ("templates", loaded.sources.templates, "txt"),
            ("filters", loaded.sources.filters, "py"),
        ):
            (directory / name).mkdir(exist_ok=True)
            for title, text in texts.items():
                replace_file(directory / name / f"{title.replace(':', '.')}.{ending}", text.encode())
    body = {
        "seeddrill": VERSION,
        "fingerprint": loaded.fingerprint,
        "identity": loaded.identity,
        "plan": msgspec.to_builtins(loaded.plan),
    }
    replace_file(directory / PLAN, orjson.dumps(body, option=orjson.OPT_INDENT_2))


def _same(loaded: context.Loaded, directory: Path) -> None:
    lines = differences(read_plan(directory)["identity"], loaded.identity)
    if lines:
        raise JournalError(
            f"{directory} belongs to another plan, and these cannot change within a run: {'; '.join(lines)}. "
            "Go back to them, or choose a new directory"
        )


def read_plan(directory: Path) -> dict[str, Any]:
    """`plan.json` of a run directory; raises `PlanError` that says what a run directory is where there is none."""
    try:
        body = orjson.loads((directory / PLAN).read_bytes())
        if not isinstance(body, dict) or not {"identity", "plan", "fingerprint"} <= body.keys():
            raise ValueError("keys are missing")
    except (FileNotFoundError, NotADirectoryError):
        raise PlanError(
            f"{directory} is not a run directory: one has a {PLAN} and a folder named journal, and is made by "
            "'seeddrill run PLAN DIR' or 'seeddrill quickstart'"
        ) from None
    except (OSError, ValueError) as error:
        raise JournalError(f"{directory / PLAN} is damaged ({error}): restore it from a copy") from error
    return body


def reopen(directory: Path) -> context.Loaded:
    """The plan of a run with the texts that the run itself was made with, whatever has become of the user's own files since.

    Its filters are ours only: the user's own are not imported, and nothing is judged anew with what this returns."""
    data = read_plan(directory)["plan"]
    plan = msgspec.convert({**data, "seeds": None}, Plan)
    options = {key: value for key, value in plan.options.items() if key not in ("templates", "avoid")}
    if "filters" in options:
        options["filters"] = [name for name in options["filters"] if ":" not in name]
    return context.load(msgspec.structs.replace(plan, options=options), kept=directory)


def settled(directory: Path) -> Iterator[Settled | Paid]:
    """The journal of a run directory, oldest line first."""
    read_plan(directory)
    return read_only(directory)


@dataclass(frozen=True, slots=True)
class Record:
    """An instruction record and where it comes from. `lanes` and `models` are by step."""

    id: str
    item: Item
    fields: Item
    """What the recipe says a record looks like."""
    lanes: dict[str, str]
    models: dict[str, str]


def records(directory: Path) -> Iterator[Record]:
    """Every record of a run, in the order of its journal. Holds only items that still wait for an answer in memory."""
    recipe = reopen(directory).recipe
    waiting: dict[str, Record] = {}
    for line in settled(directory):
        if isinstance(line, Settled):
            yield from _grown(recipe, line, waiting)


def _grown(recipe: Recipe, line: Settled, waiting: dict[str, Record]) -> Iterator[Record]:
    parent = waiting.pop(line.of) if line.of is not None else Record("", {}, {}, {}, {})
    lanes = {**parent.lanes, line.step: line.lane}
    models = {**parent.models, line.step: line.replies[0].model if line.replies else ""}
    for n, kept in line.kept:
        id = f"{line.step}/{line.index}.{n}"
        item = {**parent.item, **kept, "id": id}
        if line.step == recipe.last.name:
            yield Record(id, item, recipe.record(item), lanes, models)
        else:
            waiting[id] = Record(id, item, {}, lanes, models)
