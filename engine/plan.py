"""Plan: what the user asked for. TOML, keyword arguments and `--set` say the same things under the same names.

Reads plan files; runs nothing. Everything wrong with a plan is a `PlanError` that names the key and the remedy.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

import msgspec

from engine import pricing
from engine.core.documents import InputPlan
from engine.core.faults import PlanError
from engine.core.keys import sources
from engine.core.tariff import BudgetPlan, Tariff
from engine.core.types import LanePlan, Quota

T = TypeVar("T")

Seconds = Annotated[float, msgspec.Meta(gt=0)]

QUOTA_KEYS = tuple(field.name for field in fields(Quota))
TARIFF_KEYS = tuple(field.name for field in fields(Tariff))
INPUT_KEYS = tuple(field.name for field in fields(InputPlan))
BUDGET_KEYS = tuple(field.name for field in fields(BudgetPlan))
LANE_KEYS = tuple(field.name for field in fields(LanePlan) if field.name != "quota")


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run. `recipe`, `options`, `seed`, `seeds`, `input` are its identity: changed, they make another run. All else may change
    between resumes."""

    recipe: str
    goal: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Kept items of the step that grows: instructions. Of a recipe over documents: records; without it, all that they give."""
    lanes: dict[str, LanePlan]
    seed: int = 0
    """Where all randomness of the run starts."""
    seeds: str | None = None
    """A seed file of the user's own; `None`: the one that comes with the recipe."""
    input: InputPlan | None = None
    """The documents of a recipe that asks about such."""
    options: dict[str, Any] = {}
    """The recipe's own options."""
    budget: BudgetPlan | None = None
    """The most that may be spent; `None`: costs are counted where there are prices, and not limited."""
    timeout: Seconds = 600.0
    """Seconds that one attempt may take."""
    first_token: Seconds = 300.0
    """Seconds that a streamed answer may take to begin; a queue's comments are no beginning."""
    idle: Seconds = 60.0
    """Seconds of silence after which a streamed answer that had begun is given up; what had come of it is kept."""
    patience: Seconds = 900.0
    """Seconds that one request may fail, while its lanes are open, before it is settled as failed."""
    park_after: Seconds = 120.0
    """A lane whose server asks to wait longer than this is parked: others take its work, and nothing sleeps over it."""
    when_parked: Literal["wait", "stop"] = "wait"
    """When every lane that is needed is parked: wait until the first one is free again, or end the run, to be resumed."""
    cut_after: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """On lanes that stream: cut an answer off after so many duplicates in a row. It pays only where duplicates come in clusters;
    some answers are heard out to measure that, and where it does not pay it ends by itself. `None`: never."""
    grace: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    """Seconds that calls in flight get to finish after the first signal to stop."""
    group: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.05
    """Seconds that an answer may wait for others, to be written and synced together with them."""
    compress: bool = False
    """Compress each segment of the journal (zstd) when it is full: a quarter of the disk, and still lines of JSON."""
    backlog: Annotated[int, msgspec.Meta(ge=1)] = 256
    """Growth rests while more items than this wait to be asked about."""


def load(path: str | Path, changes: Sequence[str] = ()) -> Plan:
    """The plan in a TOML file, with changes in the form `key=value` (or `table.key=value`) made to it."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise PlanError(f"the plan {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"the plan {path} is not UTF-8 text (byte {error.start})") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"the plan {path} is not valid TOML: {error}") from error
    base = Path(path).resolve().parent
    for change in changes:
        _change(data, change)
    for table, key in ((data, "seeds"), (data.get("options"), "templates")):
        if isinstance(table, dict) and isinstance(table.get(key), str):
            table[key] = str(base / table[key])  # a plan's paths start where the plan lies
    if isinstance(given := data.get("input"), dict) and isinstance(where := given.get("path"), str | list):
        given["path"] = str(base / where) if isinstance(where, str) else [str(base / str(path)) for path in where]
    if isinstance(chosen := data.get("options"), dict) and isinstance(chosen.get("avoid"), list):
        chosen["avoid"] = [str(base / str(name)) for name in chosen["avoid"]]
    return from_data(data)


def from_data(data: Mapping[str, Any]) -> Plan:
    """The plan in plain data, as TOML gives it."""
    _known(data, Plan.__struct_fields__, "the plan")
    lanes = data.get("lanes", {})
    if isinstance(lanes, Mapping):
        lanes = dict(_addresses(lanes))
    if not isinstance(lanes, Mapping) or not all(isinstance(lane, Mapping) for lane in lanes.values()):
        raise PlanError("lanes are tables: write [lanes.NAME], and under it provider, model and so on")
    if isinstance(budget := data.get("budget"), Mapping):
        _known(budget, BUDGET_KEYS, "[budget]")
    if isinstance(given := data.get("input"), Mapping):
        _known(given, INPUT_KEYS, "[input]")
    whole = dict(data)
    whole["lanes"] = {}
    made = {name: _converted(_lane(name, lane), LanePlan, f"[lanes.{name}]") for name, lane in lanes.items()}
    plan = msgspec.structs.replace(_converted(whole, Plan, "the plan"), lanes=made)
    check(plan)
    return plan


def _addresses(lanes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A lane whose `base_url` is a list stands for as many lanes, `NAME@1` and so on, each an account of its own."""
    for name, lane in lanes.items():
        addresses = lane.get("base_url") if isinstance(lane, Mapping) else None
        if not isinstance(addresses, list):
            yield name, lane
            continue
        if not addresses or not all(isinstance(address, str) for address in addresses):
            raise PlanError(f"lanes.{name}.base_url is an address, or a list of addresses")
        yield from ((f"{name}@{n}", {**lane, "base_url": address}) for n, address in enumerate(addresses, 1))


def check(plan: Plan) -> None:
    """What no single value can tell."""
    if not plan.lanes:
        raise PlanError("the plan has no lane: add a table [lanes.NAME] with a provider")
    for name, lane in plan.lanes.items():
        for key, value in asdict(lane.quota).items():
            if key == "headroom":
                if not 0 <= value < 1:
                    raise PlanError(
                        f"lanes.{name}.headroom is {value}: it is the share of the quota left to others, from 0 to below 1"
                    )
            elif isinstance(value, int | float) and not value > 0:
                raise PlanError(f"lanes.{name}.{key} is {value}: a quota must be above zero; leave the key out for none")
        if not lane.weight > 0:
            raise PlanError(f"lanes.{name}.weight is {lane.weight}: it must be above zero; a heavier lane is asked first")
        if lane.key is not None and not sources(lane.key):
            raise PlanError(
                f"lanes.{name}.key must say where the key is found, as env:NAME or file:PATH (several of them, separated by "
                "blanks, for a key of several parts); a key itself has no place in a plan"
            )
    shared(plan.lanes)
    pricing.check(plan.lanes, plan.budget)


def shared(lanes: Mapping[str, LanePlan]) -> dict[str, LanePlan]:
    """The lanes, those that go via another one with all that they share with it. Raises `PlanError` where they cannot."""
    return {name: lane if lane.via is None else _shared(name, lane, lane.via, lanes) for name, lane in lanes.items()}


def _shared(name: str, lane: LanePlan, via: str, lanes: Mapping[str, LanePlan]) -> LanePlan:
    if (other := lanes.get(via)) is None or via == name:
        others = [one for one, plan in lanes.items() if one != name and plan.via is None]
        near = get_close_matches(via, others, n=1, cutoff=0.5)
        offer = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(others) or 'no others'}"
        raise PlanError(f"lanes.{name}.via names the lane of a language model, and {via!r} is none; {offer}")
    if other.via is not None:
        raise PlanError(f"lanes.{name}.via: {via} goes via {other.via} itself; name that one")
    made = replace(other, via=via, role=lane.role, weight=lane.weight)
    usual = LanePlan(provider="llm_translate")
    names = [key.name for key in fields(LanePlan)]
    own = [key for key in names if getattr(lane, key) not in (getattr(usual, key), getattr(made, key))]
    if "provider" in own:
        raise PlanError(f'lanes.{name} goes via {via}, so it translates by that lane\'s model: write provider = "llm_translate"')
    if own:
        raise PlanError(
            f"lanes.{name} goes via {via}, and shares all that this lane has, but for role and weight: leave out {', '.join(own)}"
        )
    return made


def changed(plan: Plan, changes: Sequence[str]) -> Plan:
    """The plan with changes in the form `key=value` made to it; paths in them start at the working directory."""
    data = msgspec.to_builtins(plan)
    for lane in data["lanes"].values():
        lane.update(lane.pop("quota"))
    for change in changes:
        _change(data, change)
    return from_data(_without_none(data))


def _without_none(data: Any) -> Any:
    """As TOML would have it: what is not said is not there."""
    if isinstance(data, dict):
        return {key: _without_none(value) for key, value in data.items() if value is not None}
    return data


def options(recipe: type[Any], values: Mapping[str, Any]) -> Any:
    """The recipe's `Options` from the plan's table."""
    _known(values, recipe.__struct_fields__, "[options]")
    return _converted(dict(values), recipe, "[options]")


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """Lines that say where two trees of plain data differ: `key: old -> new`."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        lines: list[str] = []
        for key in sorted({*old, *new}):
            lines += differences(old.get(key), new.get(key), f"{name}.{key}" if name else str(key))
        return lines
    return [] if old == new else [f"{name}: {old!r} -> {new!r}"]


def _lane(name: str, lane: Mapping[str, Any]) -> dict[str, Any]:
    """A lane's table with its quota's keys in a table of their own, and one role as a list of one."""
    _known(lane, (*LANE_KEYS, *QUOTA_KEYS), f"[lanes.{name}]")
    if isinstance(price := lane.get("price"), Mapping):
        _known(price, TARIFF_KEYS, f"the price of [lanes.{name}]")
    made = {key: value for key, value in lane.items() if key in LANE_KEYS}
    made["quota"] = {key: value for key, value in lane.items() if key in QUOTA_KEYS}
    if isinstance(made.get("role"), str):
        made["role"] = [made["role"]]
    return made


def _known(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            near = get_close_matches(key, known, n=1, cutoff=0.5)
            offer = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}."
            raise PlanError(f"unknown key {key!r} in {where}; {offer}")


def _change(data: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key.strip():
        raise PlanError(f"--set takes key=value, not {change!r}; for example --set goal=1000")
    *tables, last = key.strip().split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise PlanError(f"--set {change}: {table!r} is not a table")
    try:
        data[last] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        data[last] = value  # a bare word, as `--set lanes.fast.model=gpt-4o-mini`


def _converted(values: Mapping[str, Any], kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise PlanError(_worded(error, kind, where)) from error


def _worded(error: msgspec.ValidationError, kind: type[Any], where: str) -> str:
    """msgspec's message with the key first: "Expected `int`, got `str` - at `$.goal`" is "goal in the plan: expected …"."""
    what, _, at = str(error).partition(" - at `$")
    key = at.rstrip("`").removeprefix(".").removeprefix("quota.")
    if "missing required field" in what and not key:
        return f"{where} lacks {what.split('`')[-2]!r}"
    named = f"{key} in {where}" if key else where
    hints = get_type_hints(kind) | get_type_hints(Quota) | get_type_hints(Tariff) | get_type_hints(InputPlan)
    choices = _choices(hints.get(key.removeprefix("price.").removeprefix("input."))) if "enum" in what else []
    return f"{named}: {what[:1].lower()}{what[1:]}{'; choose one of ' if choices else ''}{', '.join(choices)}"


def _choices(hint: Any) -> list[str]:
    """The texts that a `Literal`, alone or among other types, allows."""
    return [hint] if isinstance(hint, str) else [choice for part in get_args(hint) for choice in _choices(part)]
