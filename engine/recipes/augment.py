"""Augmentation: records become more records. Instruction and input go into another language and back; the output stays.

Pure. A finished run's export is the usual input. What comes back must pass the gate of back-translation, be new, and still hold
what the output answers, unless a new output is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, ClassVar, Literal, TypedDict

import msgspec

from engine.core import filters
from engine.core.answers import lost_answers
from engine.core.parse import Malformed
from engine.core.parts import Piece, cut, joined, spoken
from engine.core.recipe import INPUT, Ask, Context, Recipe, Step
from engine.core.roundtrip import Count, Gate, Portion, Scores, Trip, fault, measure, too_near
from engine.core.scripts import letters_of, primary
from engine.core.types import Call, Decoding, Draft, Item, Reply, Translation
from engine.core.verbatim import plain
from engine.recipes.backtranslation import (
    Positive,
    Share,
    another_engine,
    back,
    pivot_of,
    there,
    translated,
    translations,
    unended,
    unfit,
)
from engine.recipes.self_instruct import question

FIELDS = ("instruction", "input")
"""What is put in other words."""

FILTERS = ("empty", "output", "refusal", "as_an_ai", "placeholder")


class Record(TypedDict):
    """What `translate` asks about: a record of the user's."""

    id: str
    doc: str | None
    instruction: str
    input: str
    output: str
    language: str | None
    meta: dict[str, Any]


class Translated(Record):
    """Kept by `translate`."""

    parent: str
    """The user's id of the record, or else ours."""
    source: dict[str, str]
    """The parent's instruction and input, which the child's take the place of."""
    pivot: dict[str, str]


class Child(Translated):
    """Kept by `return`: a record, where the output stays. `instruction` and `input` are new."""

    task: str
    """Instruction and input together: what must resemble no earlier child."""
    scores: dict[str, dict[str, float]]
    """What the gate measured, by field."""


class Documents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What instruction and input together must be like to be worth a call. A limit at the end of its range: no check."""

    min_characters: Count = 4
    max_characters: Positive = 4000
    symbols_max: Portion = 0.6
    """Share of characters, white space apart, that are neither letters nor digits: inputs may be code or figures. Off: 1."""
    language_max: Portion = 0.5
    """How sure it may be that an instruction is in another language than `options.language`. Off: 1."""
    rouge_max: Share = 1.0
    """A record whose ROUGE-L with an earlier one is greater is dropped. Off: 1."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be chosen in `[options]`."""

    parity: ClassVar[bool] = False

    language: str = "zh"
    """Of the records: a BCP-47 tag."""
    pivot: str | None = None
    """The language that they go through. Default: `en`, and `zh` for English records."""
    answer: Literal["keep", "again"] = "keep"
    """The output: the parent's, or a new one that a model writes for the new instruction."""
    topic: str = ""
    """A subject, audience or style that new outputs are asked to have."""
    two_engines: bool = False
    """The way back is another provider's than the way there, so that their errors do not cancel each other."""
    part_characters: Positive = 2000
    """Characters of the longest text that is translated in one piece; longer ones are cut at the ends of sentences."""
    sample: Positive | None = None
    """So many records, drawn by the seed, stand for all of the input; `None`: all of them."""
    documents: Documents = Documents()
    gate: Gate = Gate()
    answer_tokens: Positive | None = None
    """Of a new output; default 1,024 in chats, 350 in completions."""
    temperature: float | None = None
    """Of the prompts that ask for outputs; default 0.7 for chats, 0 for completions, 0.7 when one is asked again."""
    rouge_max: Share = 0.9
    """A child whose instruction and input together have a greater ROUGE-L with those of an earlier child is dropped."""
    filters: tuple[str, ...] = FILTERS
    """Names of `engine.core.filters`, or your own `"my.module:check"`, in order. Those of records see new outputs only."""
    min_length: Positive | None = None
    max_length: Positive | None = None
    """Words of an instruction, in Chinese characters, for the filter `length`."""
    keywords: tuple[str, ...] | None = None
    """For the filter `keywords`."""
    avoid: tuple[str, ...] = ()
    """Files of texts that no child may resemble: JSONL, or plain text with one text a line."""
    templates: str | None = None
    """A folder with prompt templates of your own; those it lacks are ours."""

    def __post_init__(self) -> None:
        if primary(self.language) == primary(pivot_of(self)):
            raise ValueError(f"language and pivot must be two languages, and both are {self.language!r}")


def task(item: Item) -> str:
    """Instruction and input as one text."""
    return f"{item['instruction']}\n\n{item['input']}".strip()


# translate: into the pivot


def worthy(item: Item, context: Context) -> str | None:
    """Why a record is not worth a call."""
    if not item["instruction"].strip():
        return "empty"
    if not letters_of(context.options.language, plain(item["instruction"])):
        return "no_prose"
    return unfit(task(item), item["instruction"], item["language"], context)


def same_task(item: Item, context: Context) -> tuple[str, float] | None:
    limit = context.options.documents.rouge_max
    return (task(item), limit) if limit < 1 else None


def pieces_of(text: str, given: str, options: Options) -> list[Piece]:
    """The pieces of a field's text. Where the parent's field, `given`, has no words in the language of the records (numbers,
    code, a sentence to translate), it is left as it is on both ways."""
    if not letters_of(options.language, plain(given)):
        return [Piece(text, False)] if text else []
    return cut(text, options.part_characters)


def ask_forward(ask: Ask) -> tuple[Call, ...]:
    options: Options = ask.context.options
    given = [pieces_of(ask.item[field], ask.item[field], options) for field in FIELDS]
    return tuple(call for pieces in given for call in translations(pieces, options.language, pivot_of(options)))


def read_forward(replies: Sequence[Reply], ask: Ask) -> list[Draft]:
    options: Options = ask.context.options
    source = {field: ask.item[field] for field in FIELDS}
    pivot = _put_together(replies, source, source, options, pivot_of(options))
    if not spoken(cut(pivot["instruction"], options.part_characters)):
        raise Malformed("no_prose")
    parent = ask.item["doc"] or ask.item["id"]
    return [Draft({"parent": parent, "source": source, "pivot": pivot}, unended(replies))]


def _put_together(
    replies: Sequence[Reply], texts: dict[str, str], source: dict[str, str], options: Options, language: str
) -> dict[str, str]:
    """The fields with their translations into `language`, in the order in which they were asked for."""
    rest = iter(translated(replies))
    made: dict[str, str] = {}
    for field in FIELDS:
        pieces = pieces_of(texts[field], source[field], options)
        made[field] = joined(pieces, list(islice(rest, len(spoken(pieces)))), language)
    return made


# return: back into the language of the records


def ask_back(ask: Ask) -> tuple[Call, ...]:
    options: Options = ask.context.options
    texts, source = ask.item["pivot"], ask.item["source"]
    given = [pieces_of(texts[field], source[field], options) for field in FIELDS]
    return tuple(call for pieces in given for call in translations(pieces, pivot_of(options), options.language))


def read_back(replies: Sequence[Reply], ask: Ask) -> list[Draft]:
    options: Options = ask.context.options
    source, pivot = ask.item["source"], ask.item["pivot"]
    back = _put_together(replies, pivot, source, options, options.language)
    trips = {
        field: Trip(source[field].strip(), pivot[field], back[field], options.language, pivot_of(options))
        for field in FIELDS
        if letters_of(options.language, plain(source[field]))
    }
    scores = {field: measure(trip) for field, trip in trips.items()}
    item = {**back, "task": task(back), "scores": {field: found.rounded() for field, found in scores.items()}}
    return [Draft(item, unended(replies) or _fault(trips, scores, ask.context))]


def _fault(trips: dict[str, Trip], scores: dict[str, Scores], context: Context) -> str | None:
    """The first field's fault. Too near is a fault only where every field is: a new instruction may keep a short input."""
    gate: Gate = context.options.gate
    lenient = msgspec.structs.replace(gate, rouge_max=1.0)
    for field, trip in trips.items():
        if reason := fault(trip, scores[field], lenient, context.identify):
            return f"{reason} in the {field}"
    near = [too_near(trip, scores[field], gate) for field, trip in trips.items()]
    return near[0] if all(near) else None


def answered(item: Item, ask: Ask) -> str | None:
    """What the output answers is no longer in the child's instruction or input."""
    if ask.context.options.answer == "again":
        return None
    lost = lost_answers(ask.item["output"], task(ask.item["source"]), item["task"], ask.context.options.language)
    return f"answer_lost ({', '.join(phrase[:60] for phrase in lost[:3])})" if lost else None


# answer: a new output


def ask_answer(ask: Ask) -> tuple[Call, ...]:
    options: Options = ask.context.options
    instruction, given = ask.item["instruction"].strip(), ask.item["input"].strip()
    if ask.style == "chat":
        warmth = 0.7 if options.temperature is None else options.temperature
        values = {"instruction": instruction, "input": given}
        return (question(ask, "answer", values, Decoding(max_tokens=options.answer_tokens or 1024, temperature=warmth)),)
    warmth = (0.0 if ask.try_ == 0 else 0.7) if options.temperature is None else options.temperature
    values = {"instruction": instruction, "input": given or "<noinput>"}
    decoding = Decoding(max_tokens=options.answer_tokens or 350, temperature=warmth, stop=("\n###",))
    return (question(ask, "answer", values, decoding),)


def read_answer(replies: Sequence[Reply], ask: Ask) -> list[Draft]:
    (reply,) = replies
    if not reply.text.strip():
        raise Malformed("no_output")
    return [Draft({"output": reply.text.strip()}, unended(replies))]


def to_record(item: Item) -> Item:
    return {"instruction": item["instruction"], "input": item["input"], "output": item["output"]}


def provenance(item: Item) -> Item:
    return {name: item[name] for name in ("parent", "meta", "source", "pivot", "scores") if name in item}


def chosen(options: Options) -> tuple[str, ...]:
    return ("translate", "return", "answer") if options.answer == "again" else ("translate", "return")


def templates(options: Options) -> tuple[str, ...]:
    return ("answer.completion", "answer.chat", "answer.demos") if options.answer == "again" else ()


def rules(options: Options) -> filters.Rules:
    return filters.Rules.of(options.language, options.min_length, options.max_length, options.keywords)


RECIPE = Recipe(
    name="augment",
    steps=(
        Step(
            "translate",
            source=INPUT,
            role="translate",
            ask=ask_forward,
            read=read_forward,
            asks=(Translation,),
            pair=there,
            gate=worthy,
            distinct=same_task,
            tries=2,
        ),
        Step(
            "return",
            source="translate",
            role="translate",
            ask=ask_back,
            read=read_back,
            asks=(Translation,),
            pair=back,
            apart=another_engine,
            checks=(answered,),
            subjects=("instruction",),
            unique="task",
            tries=2,
        ),
        Step("answer", source="return", role="answer", ask=ask_answer, read=read_answer, subjects=("record",), tries=2),
    ),
    options=Options,
    record=to_record,
    templates=templates,
    rules=rules,
    seeds="",
    reads=("instruction", "input", "output"),
    provenance=provenance,
    chosen=chosen,
)
