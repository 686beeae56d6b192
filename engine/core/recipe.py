"""What a method is: steps of pure functions, and the two acts that every step goes through, composing and judging.

Pure; recipes are made of it, the scheduler calls it. A recipe is data: there is nothing to inherit from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from random import Random
from typing import Any

from msgspec import Struct, structs

from engine.core.dedup import Index, Match, nearest_among
from engine.core.filters import Filter, Rules, Subject
from engine.core.identification import Identify
from engine.core.parse import Malformed
from engine.core.rng import stream
from engine.core.types import Call, Chat, Completion, Draft, Item, Message, Reply, Request, Stop, Style, Translation

_PLACE = re.compile(r"\{(\w+)\}")


class Source(Enum):
    """Where a step's questions come from, when not from the kept items of another step."""

    GROW = "grow"
    """New indices without end, until the goal is reached; the step may show items of the pool."""
    INPUT = "input"
    """The user's documents in their order, one request each; a request's index is the number of its document. Its item is the
    document: `id` (`input/<number>.0`), `doc` (the user's own id, or `None`), `meta` (columns that only travel along), and what
    the recipe reads of it: `text` and `language` (or `None`), or the `instruction`, `input` and `output` of a record."""


GROW, INPUT = Source.GROW, Source.INPUT

AVOID = "avoid/"
"""How the ids of texts begin that came from a file to avoid; file and line follow."""


DUPLICATE = "duplicate of "
"""How the reason begins for which a text was dropped that resembles an earlier one; its id and the score follow."""


def _unknown(text: str) -> None:
    """The identifier of those who have none."""


@dataclass(frozen=True, slots=True)
class Context:
    """What stays the same for a whole run: the user's choices and texts, loaded and checked."""

    seed: int
    options: Any
    """The recipe's own `Options`."""
    templates: Mapping[str, str]
    seeds: Sequence[Item]
    filters: tuple[Filter, ...]
    rules: Rules
    tokens: Callable[[str], list[str]]
    """What a token is when texts are compared."""
    rouge_max: float
    avoid: Sequence[tuple[str, str]] = ()
    """Texts that nothing may resemble, each with an id that begins with `AVOID`."""
    identify: Identify = _unknown
    """Which language a text is in; `None` where it cannot be told."""


class Draw(Struct, frozen=True):
    """What a step may choose its examples from."""

    context: Context
    pool: Sequence[Item]
    rng: Random


class Ask(Struct, frozen=True):
    """What one question is made of, and nothing else: the same `Ask` always gives the same prompt."""

    context: Context
    index: int
    try_: int
    style: Style
    item: Item
    shown: tuple[Item, ...]

    def render(self, name: str, **values: str) -> str:
        """The template `name` with its `{placeholders}` filled in; `{topic}` comes from the options.

        A line that names `{topic}` is left out where no topic is set, and white space at the end is cut.
        """
        topic = str(self.context.options.topic)
        filled = {"topic": topic, **values}
        pieces = _pieces(self.context.templates[name], bool(topic))
        return "".join([filled.get(name, f"{{{name}}}") if name else text for text, name in pieces]).rstrip()

    def rng(self, *key: str | int) -> Random:
        return stream(self.context.seed, *key, self.index, self.try_)


@lru_cache(maxsize=64)
def _pieces(template: str, topic: bool) -> tuple[tuple[str, str], ...]:
    """A template as it is filled in: texts, each with "", and names of placeholders, each behind ""."""
    lines = template.splitlines()
    parts = _PLACE.split("\n".join(line for line in lines if topic or "{topic}" not in line).strip("\n"))
    return tuple(("", part) if n % 2 else (part, "") for n, part in enumerate(parts))


@dataclass(frozen=True, slots=True)
class Step:
    """One question type."""

    name: str
    source: Source | str
    """`GROW`, `INPUT`, or the name of the step whose kept items are asked about, one request each."""
    role: str
    ask: Callable[[Ask], tuple[Call, ...]]
    read: Callable[[Sequence[Reply], Ask], list[Draft]]
    """Drafts in the order of the reply; raises `Malformed` where there is nothing to read."""
    show: Callable[[Draw], tuple[Item, ...]] | None = None
    """Chooses the examples of a prompt; recorded by id, so that the prompt can be built again."""
    gate: Callable[[Item, Context], str | None] | None = None
    """Looks at an item before it is asked about: one with a reason is settled with it, and costs no call."""
    distinct: Callable[[Item, Context], tuple[str, float] | None] | None = None
    """The text by which a document must not resemble an earlier one, and the ROUGE-L above which it does; `None`: it may. Looked
    at after `gate`, before the first call. Only for a step of `INPUT`."""
    asks: tuple[type, ...] = (Chat, Completion)
    """Kinds of call that `ask` makes: a lane serves the step if its provider takes one of them."""
    pair: Callable[[Any], tuple[str, str]] | None = None
    """Given the options, the languages that it translates from and into, if it does."""
    apart: Callable[[Any], str | None] | None = None
    """Given the options, the earlier step whose answer must come from another provider than this step's, if there is one."""
    checks: tuple[Callable[[Item, Ask], str | None], ...] = ()
    """Structural rules of the method, before the filters of the plan; each sees the draft alone, and what was asked."""
    together: Callable[[Sequence[Item], Ask], list[str | None]] | None = None
    """A verdict on the items that are left, each seeing the others."""
    subjects: tuple[Subject, ...] = ()
    """Which of the plan's filters look at this step's items."""
    unique: str | None = None
    """The field that must not resemble any earlier one."""
    tries: int = 1
    """How many answers are drawn at the most when `read` can make nothing of them."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The method."""

    name: str
    steps: tuple[Step, ...]
    options: type[Any]
    record: Callable[[Item], Item]
    """What a kept item of the last step, its forebears' fields included, looks like in an export."""
    templates: Callable[[Any], tuple[str, ...]]
    """Names of the templates that these options need."""
    rules: Callable[[Any], Rules]
    """The limits of the filters under these options."""
    seeds: str
    """Name of the seed file that comes with the product; `{language}` stands for the options' language. "": it needs none."""
    reads: tuple[str, ...] = ()
    """Fields of a document that a recipe over input reads: `("text",)`, or `("instruction", "input", "output")`."""
    provenance: Callable[[Item], Item] | None = None
    """What an export tells of where a record comes from, besides the lanes and models of its steps."""
    chosen: Callable[[Any], tuple[str, ...]] | None = None
    """Given the options, the names of the steps that a run has; without it, it has all."""
    version: int = 1
    """Raised when the same journal would be asked or judged differently."""

    def under(self, options: Any) -> Recipe:
        """The recipe with the steps that it has under these options."""
        if self.chosen is None:
            return self
        names = self.chosen(options)
        return replace(self, steps=tuple(step for step in self.steps if step.name in names))

    def step(self, name: str) -> Step:
        """Raises `KeyError` where there is none of that name."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    @property
    def source_step(self) -> Step:
        """The step that no other step feeds: it grows, or asks about the input."""
        return next(step for step in self.steps if isinstance(step.source, Source))

    @property
    def unique(self) -> str | None:
        """The field by which the index tells items apart; one step at the most has one."""
        return next((step.unique for step in self.steps if step.unique is not None), None)

    @property
    def last(self) -> Step:
        return self.steps[-1]


class Verdict(Struct, frozen=True):
    """What became of the drafts of one reply; `n` is a draft's place in the reply, not among the kept."""

    kept: tuple[tuple[int, Item], ...]
    dropped: tuple[tuple[int, Item, str], ...]


def asked(request: Request, context: Context) -> Ask:
    return Ask(context, request.index, request.try_, request.style, request.item, request.shown)


def draw(step: Step, request: Request, context: Context, pool: Sequence[Item]) -> Request:
    """The request with the examples that its prompt will show, chosen by randomness keyed with its own address."""
    if step.show is None:
        return request
    rng = stream(context.seed, step.name, request.index, request.try_)
    return structs.replace(request, shown=step.show(Draw(context, pool, rng)))


def compose(step: Step, request: Request, context: Context, style: Style) -> Request:
    """The request with its calls, in the style of the lane that will send it, and the languages of a translation."""
    request = structs.replace(request, style=style)
    calls = step.ask(asked(request, context))
    pair = next(((call.source, call.target) for call in calls if isinstance(call, Translation)), None)
    return structs.replace(request, calls=tuple(scaled(call, request.scale) for call in calls), pair=pair)


def scaled(call: Call, scale: float) -> Call:
    """The call with `max_tokens` at `scale` of what it was; a translation has none."""
    match call:
        case Chat(decoding=decoding) | Completion(decoding=decoding) if scale != 1.0:
            return structs.replace(call, decoding=structs.replace(decoding, max_tokens=max(1, int(decoding.max_tokens * scale))))
        case _:
            return call


def read(step: Step, request: Request, context: Context, replies: Sequence[Reply]) -> tuple[Draft, ...]:
    """The drafts in `replies`. A refusal is one lost draft; an answer that cannot be read raises `Malformed`,
    but on the step's last try it is one lost draft as well: its text is in the journal."""
    if any(reply.stop is Stop.REFUSED for reply in replies):
        return (Draft({}, "refused"),)
    try:
        return tuple(step.read(replies, asked(request, context)))
    except Malformed as malformed:
        if request.try_ + 1 < step.tries:
            raise
        return (Draft({}, malformed.reason),)


def judge(step: Step, request: Request, context: Context, drafts: Sequence[Draft], index: Index) -> Verdict:
    """The verdict on each draft: its reader's, the method's checks, the plan's filters, its siblings, then the index.

    Reads the index and leaves it as it is; a draft is also compared with those of the same reply that were kept before it.
    """
    dropped = {n: draft.lost or _check(step, request, context, draft.item) for n, draft in enumerate(drafts)}
    left = [n for n, reason in dropped.items() if reason is None]
    if step.together is not None:
        siblings = step.together([drafts[n].item for n in left], asked(request, context))
        dropped.update(zip(left, siblings, strict=True))
    if step.unique is not None:
        texts = [(n, draft.item[step.unique]) for n, draft in enumerate(drafts) if dropped[n] is None]
        dropped.update(_compare(request, context, texts, index))
    return Verdict(
        tuple((n, draft.item) for n, draft in enumerate(drafts) if dropped[n] is None),
        tuple((n, draft.item, reason) for n, draft in enumerate(drafts) if (reason := dropped[n]) is not None),
    )


def _check(step: Step, request: Request, context: Context, item: Item) -> str | None:
    for check in step.checks:
        if reason := check(item, asked(request, context)):
            return reason
    if not step.subjects:
        return None
    whole = {**request.item, **item}
    for chosen in context.filters:
        if (chosen.subject is None or chosen.subject in step.subjects) and (reason := chosen.check(whole, context.rules)):
            return reason
    return None


def _compare(request: Request, context: Context, texts: list[tuple[int, str]], index: Index) -> dict[int, str]:
    """Reasons for those of the numbered texts that resemble an earlier one."""
    fresh: list[tuple[str, str]] = []
    reasons: dict[int, str] = {}
    for n, text in texts:
        near = index.near(text, context.rouge_max)
        here = nearest_among(text, fresh, context.tokens)
        if here is not None and here.score > (near.score if near is not None else context.rouge_max):
            near = here
        if near is None:
            fresh.append((f"{request.step}/{request.index}.{n}", text))
        else:
            reasons[n] = resembles(near)
    return reasons


def resembles(near: Match) -> str:
    """The reason for which something is dropped that is like an earlier one."""
    if near.id.startswith(AVOID):
        return f"avoided {near.id.removeprefix(AVOID)} ({near.score!r})"
    return f"{DUPLICATE}{near.id} ({near.score!r})"


def messages(system: str, user: str) -> tuple[Message, ...]:
    """A chat of one question; what never changes goes into `system`, so that a provider's prompt cache can serve it."""
    return (Message("system", system), Message("user", user))
