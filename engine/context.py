"""Loads what a run's prompts and verdicts are made of: options, templates, seeds, filters. Where it comes from, and its hashes.

A door: reads files and imports the user's filters; `app` and the checking verbs call it.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import orjson

from engine import inputs, recipes, seedfile
from engine import plan as plans
from engine.core.faults import JournalError, PlanError
from engine.core.filters import FILTERS, Filter, of_user
from engine.core.recipe import AVOID, Context, Recipe
from engine.core.text import reference_words, words
from engine.core.types import Item
from engine.identify import identify
from engine.runtime.source import Source

ASKED = ("instruction", "prompt", "question", "query", "text")
"""Keys under which data sets keep what is asked, in the order in which they are looked for."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that a run's identity rests on besides the plan, as text: it is copied into the run directory."""

    seeds: bytes
    templates: Mapping[str, str]
    filters: Mapping[str, str]
    """Source text of the user's own filters, by name."""
    avoid: bytes
    """Texts to avoid, a JSON pair of id and text a line."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plan made ready to run. `identity` is what must not change between resumes, as plain data."""

    plan: plans.Plan
    recipe: Recipe
    context: Context
    sources: Sources
    identity: dict[str, Any]
    source: Source | None = None
    """The user's documents; `None` where the recipe asks about none, or where they are not at hand."""

    @property
    def fingerprint(self) -> str:
        return sha256(orjson.dumps(self.identity, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def load(plan: plans.Plan, kept: Path | None = None) -> Loaded:
    """The plan with all its texts. `kept`, a run directory, gives its own copies of the texts that come with the product: a
    newer version of ours does not change a run that has begun."""
    return _loaded(plan, kept, inputs.at_hand)


def reload(plan: plans.Plan, kept: Path) -> Loaded:
    """Likewise for a run that is only looked at: its documents need not be there, what it knows of them is taken as it stands."""
    return _loaded(plan, kept, inputs.recorded)


def _loaded(plan: plans.Plan, kept: Path | None, origin: inputs.Origin) -> Loaded:
    plan = msgspec.structs.replace(plan, lanes=plans.shared(plan.lanes))
    recipe = recipes.find(plan.recipe)
    options = plans.options(recipe.options, plan.options)
    recipe = recipe.under(options)
    kept = kept if kept is not None and (kept / "plan.json").is_file() else None
    sources = Sources(
        seeds=_seeds(plan, recipe, options, kept),
        templates=_templates(recipe, options, kept),
        filters={name: _source(name) for name in options.filters if ":" in name},
        avoid=_avoid(options, kept),
    )
    context = Context(
        seed=plan.seed,
        options=options,
        templates=sources.templates,
        seeds=_items(plan, sources.seeds) if recipe.seeds else (),
        filters=tuple(resolve(name) for name in options.filters),
        rules=recipe.rules(options),
        tokens=reference_words if options.parity else words,
        rouge_max=options.rouge_max,
        identify=identify,
        avoid=tuple((id, text) for id, text in map(orjson.loads, sources.avoid.splitlines())),
    )
    identity, source = _identity(plan, recipe, options, sources), None
    if inputs.asks_about_documents(recipe, plan.input, plan.goal) and plan.input is not None:
        given = origin(plan.input, recipe, kept)
        source, identity["input"] = given.source, given.identity
    return Loaded(plan, recipe, context, sources, identity, source)


def resolve(name: str) -> Filter:
    """The filter that `options.filters` calls `name`: ours, or the user's as `"my.module:check"`."""
    if ":" not in name:
        if name not in FILTERS:
            raise PlanError(
                f"there is no filter {name!r}; ours are {', '.join(FILTERS)}; one of your own is written as 'my.module:check'"
            )
        return FILTERS[name]
    return of_user(name, _function(name))


def _function(name: str) -> Callable[[Item], object]:
    module_name, _, function_name = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)  # a filter beside the plan is found as `python -m` would find it
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise PlanError(f"the filter {name!r} cannot be imported: {error}") from error
    if not callable(function):
        raise PlanError(f"the filter {name!r} is not a function")
    found: Callable[[Item], object] = function
    return found


def _source(name: str) -> str:
    try:
        return inspect.getsource(_function(name))
    except (OSError, TypeError) as error:
        raise PlanError(f"the source of the filter {name!r} cannot be read: {error}") from error


def _seeds(plan: plans.Plan, recipe: Recipe, options: Any, kept: Path | None) -> bytes:
    if not recipe.seeds:
        if plan.seeds is not None:
            raise PlanError(f"the recipe {recipe.name} begins with documents, and has no use for seeds: leave that out")
        return b""
    if kept is not None and (plan.seeds is None or not Path(plan.seeds).exists()):
        return _kept(kept / "seeds.jsonl")  # a run that was moved goes on without the files it was made from
    path = Path(plan.seeds) if plan.seeds else seedfile.folder() / recipe.seeds.format(language=options.language)
    try:
        return path.read_bytes()
    except OSError as error:
        raise PlanError(f"the seed file {path} cannot be read: {error.strerror or error}") from error


def _kept(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path}, a part of the run directory, cannot be read: {error.strerror}; restore it") from error


def _avoid(options: Any, kept: Path | None) -> bytes:
    """The texts of `options.avoid`, each with its place. A run that has begun goes by its own copy where the plan names no file,
    or one that is not there: the run may have been moved."""
    there = bool(options.avoid) and all(Path(name).exists() for name in options.avoid)
    if kept is not None and not there:
        return _kept(kept / "avoid.jsonl")
    lines: list[bytes] = []
    for name in options.avoid:
        try:
            data = Path(name).read_bytes()
        except OSError as error:
            raise PlanError(f"the file to avoid {name} cannot be read: {error.strerror or error}") from error
        for number, line in enumerate(data.split(b"\n"), 1):
            if line.strip():
                lines.append(orjson.dumps((f"{AVOID}{name}:{number}", _avoided(name, number, line))))
    return b"".join(line + b"\n" for line in lines)


def _avoided(name: str, number: int, line: bytes) -> str:
    """The text in a line of a file to avoid: the line itself, or the field of a JSON object that holds what is asked."""
    if not name.endswith((".jsonl", ".json", ".ndjson")):
        return line.decode("utf-8", "replace").strip()
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise PlanError(f"the file to avoid {name} has a fault in line {number}: not JSON ({error})") from error
    text = next((row[key] for key in ASKED if key in row), None) if isinstance(row, dict) else row
    if not isinstance(text, str):
        raise PlanError(
            f"the file to avoid {name} has a fault in line {number}: no text there; a line is a JSON text, or an object "
            f"with one of the keys {', '.join(ASKED)}"
        )
    return text


def _items(plan: plans.Plan, data: bytes) -> list[Item]:
    found, faults = seedfile.parse(data)
    where = plan.seeds or "that comes with the recipe"
    if faults:
        more = f" (and {len(faults) - 1} more: seeddrill seeds check {where})" if len(faults) > 1 else ""
        raise PlanError(f"the seed file {where} has a fault in {faults[0]}{more}")
    if not found:
        raise PlanError(f"the seed file {where} has no seeds in it")
    return found


def _templates(recipe: Recipe, options: Any, kept: Path | None) -> dict[str, str]:
    """The templates by name: the user's where they have one, else ours. A template is a text file `NAME.txt`."""
    own = Path(options.templates) if options.templates else None
    if own is not None and kept is not None and not own.exists():
        own = None
    if own is not None and not own.is_dir():
        raise PlanError(f"options.templates must be a folder, and {own} is none")
    ours = Path(recipes.__file__).parent / "templates" / recipe.name / options.language.split("-")[0]  # zh-TW reads what zh does
    folders = [folder for folder in (own, kept / "templates" if kept else None, ours) if folder is not None]
    found: dict[str, str] = {}
    for name in recipe.templates(options):
        path = next((folder / f"{name}.txt" for folder in folders if (folder / f"{name}.txt").is_file()), None)
        if path is None:
            raise PlanError(f"the recipe {recipe.name} has no template {name!r} for the language {options.language!r}")
        try:
            found[name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"the template {path} cannot be read as UTF-8 text: {error}") from error
        if name.endswith(".chat") and "\n---\n" not in found[name]:
            raise PlanError(f"the template {path} lacks the line --- between what the system says and what the user asks")
    if own is not None and (strange := {path.stem for path in own.glob("*.txt")} - found.keys()):
        known = ", ".join(sorted(found))
        raise PlanError(f"{own} has a template that the recipe does not use: {sorted(strange)[0]}.txt; it uses {known}")
    return found


def _identity(plan: plans.Plan, recipe: Recipe, options: Any, sources: Sources) -> dict[str, Any]:
    chosen = msgspec.json.decode(msgspec.json.encode(options))  # lists and no tuples, as it comes back from plan.json
    del chosen["templates"], chosen["avoid"]  # files may move: what counts is what is in them
    return {
        "recipe": recipe.name,
        "recipe_version": recipe.version,
        "seed": plan.seed,
        "options": chosen,
        "seeds": sha256(sources.seeds).hexdigest()[:16],
        "avoid": sha256(b"\n".join(orjson.dumps(orjson.loads(line)[1]) for line in sources.avoid.splitlines())).hexdigest()[:16],
        "templates": {name: sha256(text.encode()).hexdigest()[:16] for name, text in sources.templates.items()},
        "filters": {name: sha256(text.encode()).hexdigest()[:16] for name, text in sources.filters.items()},
    }
