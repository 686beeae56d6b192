"""Self-Instruct (Wang et al. 2022): instructions grow from seed tasks; each is classified, then given instances.

Pure. `parity = true` follows the published scripts to the letter; the default mends their known faults, each mend an option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal, TypedDict

import msgspec
from msgspec import structs

from engine.core import filters, in_json, parse
from engine.core.marks import MARKS
from engine.core.parse import Malformed, Pair
from engine.core.recipe import GROW, Ask, Draw, Recipe, Step, messages
from engine.core.text import collapse
from engine.core.types import Call, Chat, Completion, Decoding, Draft, Item, Reply, Stop, Style

Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]

TASK: Mapping[str, str] = MappingProxyType({"en": "Task", "zh": "任务"})
"""How the templates call a task: a completion that writes the word again has begun a task of its own."""
ANSWERED: Mapping[str, tuple[str, ...]] = MappingProxyType({"en": ("Example {n}", "Task:"), "zh": ("示例{n}", "任务：", "任务:")})
"""Where an answer with examples ends: before example `n`, which is one too many, or before another task."""


class Instruction(TypedDict):
    """Kept by `instruct`."""

    id: str
    instruction: str


class Classified(Instruction):
    """Kept by `classify`."""

    is_classification: bool


class Instance(Classified):
    """Kept by `instance`: a record."""

    input: str
    output: str


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be chosen in `[options]`. Numbers are the published ones unless their line says otherwise."""

    language: Literal["en", "zh"] = "en"
    """What prompts, seeds and filters are written in; answers may mix in others."""
    parity: bool = False
    """Composition, decoding, parsing, filters and post-processing as published; sets the options that say so."""
    topic: str = ""
    """A subject, audience or style that every proposing and answering prompt asks for."""
    format: Literal["text", "json"] = "text"
    """How models are asked to answer: lists and labels in text, or JSON, which many servers enforce; JSON needs chat lanes."""
    human: Count = 6
    machine: Count = 2
    """Examples a prompt: seeds and accepted instructions; seeds fill up what the pool cannot give yet."""
    new: Positive = 7
    """New instructions asked for in one prompt."""
    classification_only: bool = False
    """Show only seeds that are classification tasks, and ask for such tasks."""
    max_instances: Positive = 5
    instance_tokens: Positive | None = None
    """Default: 350 for completions, 1,024 for chats; parity: 350, or 300 for a classification task."""
    temperature: float | None = None
    """Of the prompts that propose; default 0.7 for completions, 1.0 for chats."""
    top_p: Share | None = None
    """Likewise; default 0.5 for completions, the server's own for chats."""
    presence_penalty: float | None = None
    """Likewise; default 2 for completions, the server's own for chats."""
    rouge_max: Share = 0.7
    """An instruction whose ROUGE-L with any earlier one is greater is dropped."""
    capitalize: Literal["first", "reference"] = "first"
    """`reference` also makes the rest lower-case ("NASA" becomes "nasa"). Parity: `reference`."""
    truncated: Literal["keep_whole_items", "drop"] = "keep_whole_items"
    """A reply that ended by length: lose its last item, or all of it. Parity: `drop`."""
    filters: tuple[str, ...] = filters.DEFAULT
    """Names of `engine.core.filters`, or your own `"my.module:check"`, in order."""
    min_length: Positive | None = None
    max_length: Positive | None = None
    """Words of an instruction, or characters of a Chinese one; default 4 and 150, in Chinese 4 and 300."""
    keywords: tuple[str, ...] | None = None
    """An instruction with one of these words is dropped; default: what a text model cannot see or do."""
    avoid: tuple[str, ...] = ()
    """Files of texts that nothing may resemble (benchmarks, earlier data sets): JSONL, or plain text with one text a line."""
    templates: str | None = None
    """A folder with prompt templates of your own; those it lacks are ours."""

    def __post_init__(self) -> None:
        if self.parity:
            as_published(self.language, self.format)
            strict = {"capitalize": "reference", "truncated": "drop", "filters": filters.REFERENCE}
            for name, value in strict.items():
                msgspec.structs.force_setattr(self, name, value)


def as_published(language: str, format: str) -> None:
    """What `parity` demands of the language and the form of answers; `ValueError` otherwise."""
    if format != "text":
        raise ValueError("parity = true does as the published scripts did, which asked for text: leave format out, or parity")
    if language != "en":
        raise ValueError(
            f"parity = true does as the published scripts did, and these are in English only; with language = {language!r} leave "
            "parity out, which also mends their known faults"
        )


# instruct: propose new instructions


def show_tasks(draw: Draw) -> tuple[Item, ...]:
    """Up to `machine` accepted instructions, then seeds up to `human + machine` in all, shuffled together."""
    options: Options = draw.context.options
    seeds = [
        {"id": f"seed/{n}", "instruction": seed["instruction"]}
        for n, seed in enumerate(draw.context.seeds)
        if seed["is_classification"] or not options.classification_only
    ]
    grown = draw.rng.sample(range(len(draw.pool)), min(options.machine, len(draw.pool)))
    wanted = options.human + options.machine - len(grown)
    chosen = [draw.pool[n] for n in grown] + draw.rng.sample(seeds, min(wanted, len(seeds)))
    draw.rng.shuffle(chosen)
    return tuple({"id": item["id"], "instruction": item["instruction"]} for item in chosen)


def ask_tasks(ask: Ask) -> tuple[Call, ...]:
    options: Options = ask.context.options
    following = len(ask.shown) + 1
    values = {
        "tasks": "\n".join(f"{n}. {one_line(item['instruction'])}" for n, item in enumerate(ask.shown, 1)),
        "next": str(following),
        "last": str(following + options.new - 1),
        "new": str(options.new),
    }
    name = "propose_classification" if options.classification_only else "propose"
    decoding = _proposing(options, ask.style, following + options.new)
    if options.format == "json":
        return (in_json.question(ask, name, values, decoding, in_json.TASKS),)
    return (question(ask, name, values, decoding),)


def one_line(instruction: str) -> str:
    """The instruction as an item of a list: white space collapsed, no colon at its end, which would ask to be answered here."""
    return collapse(instruction).rstrip(":：")


def _proposing(options: Options, style: Style, end: int) -> Decoding:
    """`end` is the number that the list should not reach."""
    chosen = Decoding(
        max_tokens=1024,
        temperature=options.temperature,
        top_p=options.top_p,
        presence_penalty=options.presence_penalty,
    )
    if style == "chat" and not options.parity:
        return structs.replace(chosen, temperature=1.0 if options.temperature is None else options.temperature)
    return structs.replace(
        chosen,
        temperature=0.7 if options.temperature is None else options.temperature,
        top_p=0.5 if options.top_p is None else options.top_p,
        presence_penalty=2.0 if options.presence_penalty is None else options.presence_penalty,
        frequency_penalty=0.0 if options.parity else None,
        stop=("\n\n", f"\n{end}", f"{end}.", f"{end} .") if options.parity else ("\n\n", f"\n{end}."),
    )


def read_tasks(replies: Sequence[Reply], ask: Ask) -> list[Draft]:
    options: Options = ask.context.options
    (reply,) = replies
    if options.format == "json":
        return [structs.replace(draft, item=_first_upper(draft.item, options)) for draft in in_json.read_tasks(reply)]
    cut = reply.stop is not Stop.END
    if options.parity:
        texts = [text.capitalize() for text in parse.reference_items(reply.text)]
    else:
        continues = len(ask.shown) + 1 if ask.style == "completion" else None
        found = parse.items(reply.text, continues=continues, marks=MARKS[options.language])
        texts = [_capitalized(text, options) for text in found]
    last = len(texts) - 1
    whole = options.truncated == "keep_whole_items"
    return [Draft({"instruction": text}, "cut" if cut and (n == last or not whole) else None) for n, text in enumerate(texts)]


def _first_upper(item: Item, options: Options) -> Item:
    return {name: _capitalized(text, options) for name, text in item.items()}


def _capitalized(text: str, options: Options) -> str:
    return text.capitalize() if options.capitalize == "reference" else text[:1].upper() + text[1:]


# classify: does the instruction have a finite set of answers?


def ask_kind(ask: Ask) -> tuple[Call, ...]:
    values, language = {"instruction": ask.item["instruction"]}, ask.context.options.language
    stop = ("\n", TASK[language])
    if ask.context.options.parity:
        return (question(ask, "classify", values, _greedy(3, stop, presence=0.0)),)
    warmth = 0.0 if ask.try_ == 0 else 0.7  # at temperature 0 the same question would get the same unclear answer again
    if ask.context.options.format == "json":
        return (in_json.question(ask, "classify", values, Decoding(max_tokens=32, temperature=warmth), in_json.KIND),)
    if ask.style == "chat":
        return (question(ask, "classify", values, Decoding(max_tokens=16, temperature=warmth)),)
    tokens = 3 if language == "en" else 8  # a Chinese character may be three tokens
    return (question(ask, "classify", values, Decoding(max_tokens=tokens, temperature=warmth, stop=stop)),)


def _greedy(max_tokens: int, stop: tuple[str, ...], presence: float) -> Decoding:
    """The published settings of the classifying and answering steps."""
    return Decoding(
        max_tokens=max_tokens, temperature=0.0, top_p=0.0, presence_penalty=presence, frequency_penalty=0.0, stop=stop
    )


def read_kind(replies: Sequence[Reply], ask: Ask) -> list[Draft]:
    options: Options = ask.context.options
    (reply,) = replies
    if options.format == "json":
        return [Draft({"is_classification": in_json.read_kind(reply)})]
    answer = parse.reference_yes(reply.text) if options.parity else parse.yes_or_no(reply.text, MARKS[options.language])
    return [Draft({"is_classification": answer})]


# instance: write inputs and outputs


def ask_instances(ask: Ask) -> tuple[Call, ...]:
    """Label first for classification tasks, so that labels come out balanced; input first for all others."""
    options: Options = ask.context.options
    labelled = bool(ask.item["is_classification"])
    name = "output_first" if labelled else "input_first"
    values = {"instruction": ask.item["instruction"], "most": str(options.max_instances)}
    stop = tuple(mark.format(n=options.max_instances + 1) for mark in ANSWERED[options.language])
    if options.parity:
        tokens = options.instance_tokens or (300 if labelled else 350)
        return (question(ask, name, values, _greedy(tokens, stop, presence=1.5), end="\n"),)
    warmth = 0.0 if ask.try_ == 0 else 0.7
    if options.format == "json":
        schema = in_json.OUTPUT_FIRST if labelled else in_json.INPUT_FIRST
        decoding = Decoding(max_tokens=options.instance_tokens or 1024, temperature=0.7)
        return (in_json.question(ask, name, values, decoding, schema),)
    if ask.style == "chat":
        return (question(ask, name, values, Decoding(max_tokens=options.instance_tokens or 1024, temperature=0.7)),)
    decoding = Decoding(max_tokens=options.instance_tokens or 350, temperature=warmth, presence_penalty=1.5, stop=stop)
    return (question(ask, name, values, decoding, end="\n"),)


def read_instances(replies: Sequence[Reply], ask: Ask) -> list[Draft]:
    options: Options = ask.context.options
    (reply,) = replies
    marks = MARKS[options.language]
    if options.format == "json":
        return in_json.read_records(reply, "examples", ("input", "output"))
    text = reply.text if options.parity else parse.plain_labels(reply.text, marks)
    pairs = parse.output_first(text, marks) if ask.item["is_classification"] else parse.input_first(text, marks)
    if not pairs and not options.parity:
        raise Malformed("no_instance")
    if not options.parity:
        pairs = [Pair(parse.blank_if_none(pair.input, marks), pair.output) for pair in pairs]
    lost = [None if options.parity else _open_ended(pair) for pair in pairs]
    if pairs and reply.stop is not Stop.END:
        lost[-1] = "cut"
    return [Draft(pair._asdict(), reason) for pair, reason in zip(pairs, lost, strict=True)]


def _open_ended(pair: Pair) -> str | None:
    """The published rule on colons, for full-width ones, which it does not know."""
    return "ends_with_colon" if pair.input.endswith("：") or pair.output.endswith("：") else None


def invalid(item: Item, ask: Ask) -> str | None:
    return filters.invalid(item)


def choose_instances(items: Sequence[Item], ask: Ask) -> list[str | None]:
    """All are lost where one input has two outputs; a repeated instance is kept once; `max_instances` stay."""
    options: Options = ask.context.options
    outputs: dict[str, str] = {}
    if any(item["input"] and outputs.setdefault(item["input"], item["output"]) != item["output"] for item in items):
        return ["conflict"] * len(items)
    seen: set[tuple[str, str]] = set()
    fresh: list[int] = []
    for n, item in enumerate(items):
        if (pair := (item["input"], item["output"])) not in seen:
            seen.add(pair)
            fresh.append(n)
    stay = set(fresh[: options.max_instances])
    if options.parity and len(fresh) > options.max_instances:
        stay = set(ask.rng("instance", "sample").sample(fresh, options.max_instances))
    return [None if n in stay else "surplus" if n in fresh else "repeated" for n in range(len(items))]


def to_record(item: Item) -> Item:
    return {"instruction": item["instruction"], "input": item["input"], "output": item["output"]}


def question(ask: Ask, name: str, values: dict[str, str], decoding: Decoding, end: str = "") -> Call:
    """The call that the template `name` makes in the style of `ask`; `{demos}` is the template `name.demos`.

    A chat template has a line "---" between what the system says and what the user asks. `end` ends a completion's prompt.
    """
    templates = ask.context.templates
    demos = {"demos": templates[f"{name}.demos"].strip()} if f"{name}.demos" in templates else {}
    text = ask.render(f"{name}.{ask.style}", **demos, **values)
    if ask.style == "completion":
        return Completion(text + end, decoding)
    system, _, user = text.partition("\n---\n")
    return Chat(messages(system.strip(), user.strip()), decoding)


def templates(options: Options) -> tuple[str, ...]:
    proposing = "propose_classification" if options.classification_only else "propose"
    names = (proposing, "classify", "input_first", "output_first")
    if options.format == "json":
        return in_json.templates(names)
    demos = tuple(f"{name}.demos" for name in names[1:])
    return tuple(f"{name}.{style}" for name in names for style in ("completion", "chat")) + demos


def rules(options: Options) -> filters.Rules:
    return filters.Rules.of(options.language, options.min_length, options.max_length, options.keywords)


RECIPE = Recipe(
    name="self_instruct",
    steps=(
        Step(
            "instruct",
            source=GROW,
            role="propose",
            show=show_tasks,
            ask=ask_tasks,
            read=read_tasks,
            subjects=("instruction",),
            unique="instruction",
            tries=2,
        ),
        Step("classify", source="instruct", role="classify", ask=ask_kind, read=read_kind, tries=3),
        Step(
            "instance",
            source="classify",
            role="answer",
            ask=ask_instances,
            read=read_instances,
            checks=(invalid,),
            together=choose_instances,
            subjects=("record",),
            tries=2,
        ),
    ),
    options=Options,
    record=to_record,
    templates=templates,
    rules=rules,
    seeds="self_instruct.{language}.jsonl",
)
