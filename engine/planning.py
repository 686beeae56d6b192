"""`seeddrill plan`: a commented plan to start from, and a plan checked without a call. Reads files, sends nothing."""

from __future__ import annotations

from pathlib import Path

import orjson
from msgspec import structs

from engine import app, context, funds, recipes
from engine.core import recipe as acts
from engine.core.documents import numbered
from engine.core.http import Stamp
from engine.core.money import worded
from engine.core.recipe import GROW
from engine.core.till import Money
from engine.core.types import Chat, Completion, Decoding, Request, Translation
from engine.plan import Plan
from engine.rehearsal import rehearse
from engine.runtime import local
from engine.runtime.account import declared, says_nothing
from engine.runtime.lane import Lane

HEAD = """\
# A plan for Seeddrill. Check it with 'seeddrill plan check plan.toml --show 1',
# start it with 'seeddrill run plan.toml runs/a'; the same command goes on after a stop.
"""

LANES = """\
# A lane is a model of a provider. Several lanes share the work.
[lanes.main]
provider = "openai"                 # any server that speaks OpenAI's dialect, or "local": the embedded
                                    # model, then without the next two lines
model = "gpt-4o-mini"
key = "env:OPENAI_API_KEY"          # or "file:PATH"; never the key itself
# base_url = "http://127.0.0.1:8000/v1"   # another server: vLLM, llama.cpp, a proxy
# style = "completion"              # for base models; "chat" (default) for models that follow instructions
# role = [{roles}]   # what the lane is asked for; default: everything
# What the account may do; leave out what you do not know.
# requests_per_minute = 500         # likewise requests_per_second, requests_per_day
# tokens_per_minute = 200_000       # likewise tokens_in_per_minute, tokens_out_per_minute
# concurrent = 64                   # calls at once
# counts = "reserved"               # the vendor counts max_tokens; "used", the default: the tokens really used
# account = "team"                  # lanes of the same account share one quota
# What it costs. Without these, the list price of the model, where there is one; "local" costs nothing.
# price = {tokens_in = 0.15, tokens_cached = 0.075, tokens_out = 0.6}   # per million; also tokens_reasoning, characters;
#                                   # request = 0.001 per request; currency = "eur" or "cny" (default "usd")
# price = 0                         # a server of your own
# price_of = "gpt-4o-mini"          # the list price of this model, for a deployment or proxy of another name
# license = "apache-2.0"            # of the model, for the card of the data set that is exported

# The most that the run may spend: when it is spent, the run stops with exit code 5, and goes on with more.
# [budget]
# usd = 20.0                        # or eur, or cny: the plan's one currency
# rates = {eur = 1.08}              # what prices in other currencies are worth in it
# roles = {{role} = 5.0}           # limits of roles and lanes within it
# lanes = {main = 10.0}
"""


def new(recipe: str) -> str:
    """A plan for the recipe: what most people set stands there, the rest as comments with its default."""
    found = recipes.find(recipe)
    template = Path(recipes.__file__).parent / "templates" / found.name / "plan.toml"
    roles = ", ".join(f'"{role}"' for role in dict.fromkeys(step.role for step in found.steps))
    return HEAD + template.read_text(encoding="utf-8").replace(
        "{lanes}", LANES.replace("{roles}", roles).replace("{role}", found.last.role)
    )


def check(plan: Plan, show: int) -> str:
    """What the plan says, in words, and with `show` the first prompts of every step that can be asked before any reply.

    Raises `EngineError` for whatever would stop a run at its start, missing keys included.
    """
    loaded = context.load(plan)
    lanes = app.opened(loaded)
    money = funds.money(loaded, lanes)
    for lane in lanes:
        if lane.plan.provider == "local":
            local.weights(lane.plan.model or local.DEFAULT)
    lines = [
        f"The plan is good: {loaded.recipe.name}, {_begins(loaded)}",
        f"Steps: {'; '.join(f'{step.name} ({step.role})' for step in loaded.recipe.steps)}.",
        f"Filters: {', '.join(chosen.name for chosen in loaded.context.filters)}.",
    ]
    lines += _left_out(loaded, lanes)
    lines += [f"{_lane(lane)} Price: {money.remarks[lane.name]}." for lane in lanes]
    lines += _budget(money)
    if loaded.source is not None:
        lines.append(rehearse(loaded).told())
    if show:
        first = loaded.recipe.source_step
        lines += [_prompt(loaded, lanes, request) for request in _first(loaded, show)]
        later = [step.name for step in loaded.recipe.steps if step is not first]
        if later:
            lines.append(f"Prompts of {' and '.join(later)} need answers first: 'seeddrill why DIR ID' shows them in a run.")
    return "\n".join(lines)


def _begins(loaded: context.Loaded) -> str:
    """Where the run begins, and how far it goes."""
    plan = loaded.plan
    if loaded.source is None:
        return f"goal {plan.goal}, seed {plan.seed}, {len(loaded.context.seeds)} seed tasks."
    files = loaded.source.files
    named = str(files[0].path) if len(files) == 1 else f"{len(files):,} files"
    size = getattr(loaded.context.options, "sample", None)
    which = "all documents" if size is None else f"a sample of {size:,} documents"
    goal = "" if plan.goal is None else f", until there are {plan.goal:,} records"
    return f"{which} of {named} ({_sized(loaded.source.size())}){goal}, seed {plan.seed}."


def _sized(size: float) -> str:
    """So many bytes, as files are told."""
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB" if size < 1000 else f"{size:,.0f} GB"


def _first(loaded: context.Loaded, count: int) -> list[Request]:
    """The first requests of a run: they need no answer."""
    step = loaded.recipe.source_step
    if step.source is GROW:
        return [Request(step=step.name, index=n) for n in range(count)]
    items = rehearse(loaded).items[step.name][:count]
    return [Request(step=step.name, index=numbered(item["id"]), of=item["id"], item=item) for item in items]


def _left_out(loaded: context.Loaded, lanes: list[Lane]) -> list[str]:
    """What each lane's server does not take of the settings that the recipe's first questions ask for."""
    told = []
    for lane in lanes:
        names: dict[str, None] = {}
        for step in loaded.recipe.steps:
            if step.source is GROW and step.role in lane.roles:
                request = acts.draw(step, Request(step=step.name, index=0), loaded.context, ())
                for call in acts.compose(step, request, loaded.context, lane.style).calls:
                    names |= dict.fromkeys(lane.provider.leaves_out(lane.plan, call))
        if names:
            told.append(f"Lane {lane.name} leaves out, or does by itself, what its server does not take: {', '.join(names)}.")
    return told


def _budget(money: Money) -> list[str]:
    limits = money.limits
    if limits.run is None:
        return []
    parts = {f"role {name}": limit for name, limit in limits.roles.items()}
    parts |= {f"lane {name}": limit for name, limit in limits.lanes.items()}
    told = [worded(limits.run, money.currency), *(f"{name} {worded(limit, money.currency)}" for name, limit in parts.items())]
    return [f"Budget: {', '.join(told)}."]


def _lane(lane: Lane) -> str:
    quota = declared(lane.plan.quota)
    limits = [
        f"{name} {value:g}"
        for name in quota.__dataclass_fields__
        if isinstance(value := getattr(quota, name), int | float) and value
    ]
    own = " (no quota declared: this is where it starts)" if says_nothing(lane.plan.quota) else ""
    model = lane.plan.model or (local.DEFAULT if lane.plan.provider == "local" else "")
    roles = ", ".join(sorted(lane.roles)) or "those that go via it"
    via = f" via {lane.plan.via}" if lane.plan.via is not None else ""
    named = " ".join(part for part in (lane.plan.provider, model) if part)
    style = "" if set(lane.provider.accepts) == {Translation} and not via else f", {lane.style}"
    return f"Lane {lane.name}: {named}{style}{via}, for {roles}; {', '.join(limits)}{own}."


def _prompt(loaded: context.Loaded, lanes: list[Lane], request: Request) -> str:
    """One prompt, as text and with the body that is sent around it."""
    step = loaded.recipe.step(request.step)
    lane = next(lane for lane in lanes if step.role in lane.roles and step.name not in lane.lacks)
    request = acts.draw(step, request, loaded.context, ())
    (call, *_) = acts.compose(step, request, loaded.context, lane.style).calls
    sent = lane.provider.encode((call,), lane.plan, Stamp(0.0, ""))  # no key: it stands in a header, and nothing here shows it
    shown = f"; shows {', '.join(item['id'] for item in request.shown)}" if request.shown else ""
    match call:
        case Chat(messages=messages):
            text = "\n".join(f"[{message.role}]\n{message.content}" for message in messages)
        case Completion(prompt=prompt):
            text = prompt
        case _:
            text = orjson.dumps(structs.asdict(call)).decode()
    decoding = f"; {_decoding(call.decoding)}" if isinstance(call, Chat | Completion) else ""
    where = "the embedded model, on this machine" if lane.plan.provider == "local" else sent.url
    return f"\n--- {step.name}/{request.index}, to {lane.name} ({where}){shown}{decoding}\n{text}\n---"


def _decoding(decoding: Decoding) -> str:
    chosen = {name: value for name in decoding.__struct_fields__ if (value := getattr(decoding, name)) not in (None, ())}
    return ", ".join(f"{name} {value!r}" for name, value in chosen.items())
