"""Alpaca (Taori et al. 2023): one prompt asks for many whole tasks, instruction, input and output together.

Pure. One step that grows; machine-made tasks never enter a prompt. `parity = true` follows the published script to the letter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Literal, TypedDict

import msgspec
from msgspec import structs

from engine.core import filters, in_json, parse
from engine.core.marks import MARKS
from engine.core.recipe import GROW, Ask, Draw, Recipe, Step
from engine.core.types import Call, Decoding, Draft, Item, Reply, Stop, Style
from engine.recipes.self_instruct import as_published, one_line, question

Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Positive = Annotated[int, msgspec.Meta(ge=1)]

OPENING: Mapping[str, str] = MappingProxyType({"en": "{n}. Instruction:", "zh": "{n}. 指令："})
"""How a task begins, where a completion breaks off."""
BLOCK: Mapping[str, str] = MappingProxyType(
    {
        "en": "###\n{n}. Instruction: {instruction}\n{n}. Input:\n{input}\n{n}. Output:\n{output}\n",
        "zh": "###\n{n}. 指令：{instruction}\n{n}. 输入：\n{input}\n{n}. 输出：\n{output}\n",
    }
)
"""How a prompt shows a task."""
NOTHING: Mapping[str, str] = MappingProxyType({"en": "<noinput>", "zh": "<无输入>"})
"""Stands for an input that is empty."""


class Task(TypedDict):
    """Kept by `generate`: a record."""

    id: str
    instruction: str
    input: str
    output: str


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be chosen in `[options]`. Numbers are the published ones unless their line says otherwise."""

    language: Literal["en", "zh"] = "en"
    """What prompts, seeds and filters are written in; answers may mix in others."""
    parity: bool = False
    """Composition, decoding, parsing and filters as published; sets the options that say so."""
    topic: str = ""
    """A subject, audience or style that every prompt asks for."""
    format: Literal["text", "json"] = "text"
    """How models are asked to answer: blocks of text, or JSON, which many servers enforce; JSON needs chat lanes."""
    examples: Positive = 3
    """Seeds shown in a prompt."""
    new: Positive = 17
    """New tasks asked for in one prompt: 20 in all with three examples."""
    reply_tokens: Positive = 3072
    temperature: float = 1.0
    top_p: Share | None = None
    """Default: the server's own; parity: 1."""
    rouge_max: Share = 0.7
    """A task whose instruction has a greater ROUGE-L with any earlier one is dropped."""
    filters: tuple[str, ...] = filters.DEFAULT
    """Names of `engine.core.filters`, or your own `"my.module:check"`, in order. Parity: the published ones."""
    min_length: Positive | None = None
    max_length: Positive | None = None
    """Words of an instruction, or characters of a Chinese one; default 4 and 150, in Chinese 4 and 300."""
    keywords: tuple[str, ...] | None = None
    """A task with one of these words in its instruction is dropped; default: what a text model cannot see or do."""
    avoid: tuple[str, ...] = ()
    """Files of texts that nothing may resemble (benchmarks, earlier data sets): JSONL, or plain text with one text a line."""
    templates: str | None = None
    """A folder with prompt templates of your own; those it lacks are ours."""

    def __post_init__(self) -> None:
        if self.parity:
            as_published(self.language, self.format)
            msgspec.structs.force_setattr(self, "filters", filters.REFERENCE)
            msgspec.structs.force_setattr(self, "top_p", 1.0)


def show_tasks(draw: Draw) -> tuple[Item, ...]:
    """`examples` seeds, drawn without replacement, each with the first of its instances."""
    count = len(draw.context.seeds)
    chosen = draw.rng.sample(range(count), min(draw.context.options.examples, count))
    return tuple(seed_item(n, draw.context.seeds[n]) for n in chosen)


def seed_item(n: int, seed: Item) -> Item:
    return {"id": f"seed/{n}", "instruction": seed["instruction"], **seed["instances"][0]}


def ask_tasks(ask: Ask) -> tuple[Call, ...]:
    options: Options = ask.context.options
    following = len(ask.shown) + 1
    values = {
        "blocks": "".join(
            [
                _shown(n, item["instruction"], item["input"], item["output"], options.language)
                for n, item in enumerate(ask.shown, 1)
            ]
        ),
        "next": str(following),
        "last": str(following + options.new - 1),
        "total": str(following + options.new - 1),
        "new": str(options.new),
    }
    decoding = _decoding(options, ask.style, following + options.new - 1)
    if options.format == "json":
        return (in_json.question(ask, "propose", values, decoding, in_json.WHOLE_TASKS),)
    return (question(ask, "propose", values, decoding),)


@lru_cache(maxsize=1024)  # a seed is shown again and again
def _shown(n: int, instruction: str, input: str, output: str, language: str) -> str:
    given = input if input.strip() else NOTHING[language]
    return BLOCK[language].format(n=n, instruction=one_line(instruction), input=given, output=output)


def _decoding(options: Options, style: Style, last: int) -> Decoding:
    decoding = Decoding(max_tokens=options.reply_tokens, temperature=options.temperature, top_p=options.top_p)
    if options.parity:  # 50256 is the end of text in the vocabulary of the published model, text-davinci-003
        return structs.replace(decoding, stop=(f"\n{last}", f"{last}.", f"{last}."), logit_bias=((50256, -100),))
    return structs.replace(decoding, stop=(f"\n{last + 1}.",)) if style == "completion" else decoding


def read_tasks(replies: Sequence[Reply], ask: Ask) -> list[Draft]:
    """One draft a piece between "###" marks; the last one is lost where the reply was cut. A completion's prompt ended
    with the first label, so the reply goes on from there."""
    (reply,) = replies
    first = len(ask.shown) + 1
    options: Options = ask.context.options
    parity, marks = options.parity, MARKS[options.language]
    if options.format == "json":
        return in_json.read_records(reply, "tasks", ("instruction", "input", "output"))
    opening = OPENING[options.language].format(n=first) if parity or ask.style == "completion" else ""
    pieces = f"{opening}{reply.text}".split("###")
    drafts: list[Draft] = []
    for n, piece in enumerate(pieces):
        found = parse.reference_block(piece, first + n) if parity else parse.block(piece, marks)
        if n == len(pieces) - 1 and reply.stop is not Stop.END:
            drafts.append(Draft(dict(found._asdict()) if found else {}, "cut"))
        elif found is not None:
            drafts.append(Draft(dict(found._asdict())))
        elif parity or piece.strip():
            drafts.append(Draft({}, "malformed_block"))
    if not parity and all(draft.lost == "malformed_block" for draft in drafts):
        return [Draft({}, "no_task")]  # and is not asked again: the next request draws other examples anyway
    return drafts


def to_record(item: Item) -> Item:
    return {"instruction": item["instruction"], "input": item["input"], "output": item["output"]}


def templates(options: Options) -> tuple[str, ...]:
    return in_json.templates(("propose",)) if options.format == "json" else ("propose.completion", "propose.chat")


def rules(options: Options) -> filters.Rules:
    ours = filters.ALPACA_KEYWORDS if options.language == "en" else None
    keywords = options.keywords if options.keywords is not None else ours
    return filters.Rules.of(options.language, options.min_length, options.max_length, keywords)


RECIPE = Recipe(
    name="alpaca",
    steps=(
        Step(
            "generate",
            source=GROW,
            role="propose",
            show=show_tasks,
            ask=ask_tasks,
            read=read_tasks,
            subjects=("instruction", "record"),
            unique="instruction",
            tries=2,
        ),
    ),
    options=Options,
    record=to_record,
    templates=templates,
    rules=rules,
    seeds="self_instruct.{language}.jsonl",
)
