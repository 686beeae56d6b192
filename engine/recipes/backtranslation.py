"""Back-translation: a plain text goes into another language and back, and a model writes the instruction that the result answers.

Pure. What comes back says the same in other words, so it can be an output that no corpus has; `Gate` says what it must have kept.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypedDict

import msgspec

from engine.core import filters, parse
from engine.core.identification import foreign
from engine.core.parse import Malformed
from engine.core.parts import Piece, cut, joined, spoken
from engine.core.recipe import INPUT, Ask, Context, Recipe, Step
from engine.core.roundtrip import Count, Gate, Portion, Trip, fault, measure
from engine.core.score import rouge_l
from engine.core.scripts import primary
from engine.core.text import words
from engine.core.types import Call, Decoding, Draft, Item, Reply, Stop, Translation
from engine.recipes.self_instruct import question

Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Document(TypedDict):
    """What `translate` asks about: a text of the user's."""

    id: str
    doc: str | None
    text: str
    language: str | None
    meta: dict[str, Any]


class Translated(Document):
    """Kept by `translate`."""

    pivot: str


class Returned(Translated):
    """Kept by `return`."""

    back: str
    scores: dict[str, float]
    """What the gate measured: fields of `engine.core.roundtrip.Scores`."""


class Instructed(Returned):
    """Kept by `instruct`: a record."""

    instruction: str
    input: str
    output: str


class Documents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a text must be like to be worth a call. A limit at the end of its range turns its check off."""

    min_characters: Count = 20
    max_characters: Positive = 2000
    symbols_max: Portion = 0.3
    """Share of characters, white space apart, that are neither letters nor digits. Off: 1."""
    language_max: Portion = 0.5
    """How sure it may be that a text is in another language than `options.language`. Off: 1."""
    rouge_max: Share = 0.7
    """A text whose ROUGE-L with an earlier one is greater is dropped. Off: 1."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be chosen in `[options]`."""

    parity: ClassVar[bool] = False
    topic: ClassVar[str] = ""

    language: str = "zh"
    """Of the texts, and of the records: a BCP-47 tag. Templates come with `en` and `zh`."""
    pivot: str | None = None
    """The language that the texts go through. Default: `en`, and `zh` for English texts."""
    two_engines: bool = False
    """The way back is another provider's than the way there, so that their errors do not cancel each other."""
    part_characters: Positive = 2000
    """Characters of the longest text that is translated in one piece; longer ones are cut at the ends of sentences."""
    sample: Positive | None = None
    """So many documents, drawn by the seed, stand for all of the input; `None`: all of them."""
    documents: Documents = Documents()
    gate: Gate = Gate()
    output: Literal["back", "source"] = "back"
    """Which text a record has as its output: the one that came back, or the user's."""
    copy_max: Share = 0.6
    """An instruction whose ROUGE-L with its text is not below this, or that stands in it, is dropped. Off: 1."""
    temperature: float | None = None
    """Of the prompts that ask for instructions; default 0.7 for chats, 0 for completions, 0.7 when one is asked again."""
    rouge_max: Share = 0.7
    """An instruction whose ROUGE-L with any earlier one is greater is dropped."""
    filters: tuple[str, ...] = filters.DEFAULT
    """Names of `engine.core.filters`, or your own `"my.module:check"`, in order."""
    min_length: Positive | None = None
    max_length: Positive | None = None
    """Words of an instruction, in Chinese characters; default 4 and 150, in Chinese 4 and 300."""
    keywords: tuple[str, ...] | None = None
    """An instruction with one of these words is dropped; default: what a text model cannot see or do."""
    avoid: tuple[str, ...] = ()
    """Files of texts that no instruction may resemble: JSONL, or plain text with one text a line."""
    templates: str | None = None
    """A folder with prompt templates of your own; those it lacks are ours."""

    def __post_init__(self) -> None:
        if primary(self.language) == primary(pivot_of(self)):
            raise ValueError(f"language and pivot must be two languages, and both are {self.language!r}")


def pivot_of(options: Any) -> str:
    """The language that texts go through under these options."""
    return str(options.pivot or ("zh" if primary(options.language) == "en" else "en"))


def there(options: Any) -> tuple[str, str]:
    """The languages of the way there."""
    return str(options.language), pivot_of(options)


def back(options: Any) -> tuple[str, str]:
    return pivot_of(options), str(options.language)


# translate: into the pivot


def worthy(item: Item, context: Context) -> str | None:
    """Why a text is not worth a call. What costs least is looked at first."""
    text = item["text"].strip()
    return unfit(text, text, item["language"], context) if text else "empty"


def unfit(text: str, prose: str, language: str | None, context: Context) -> str | None:
    """The reason of the gate before the first call, for a text that says its language, or else whose language `prose` tells."""
    options = context.options
    limits = options.documents
    if len(text) < limits.min_characters:
        return f"too_short ({len(text)})"
    if len(text) > limits.max_characters:
        return f"too_long ({len(text)})"
    if language is not None and primary(language) != primary(options.language):
        return f"language ({language})"
    if (share := symbols(text)) > limits.symbols_max:
        return f"symbols ({round(share, 3)})"
    if not spoken(cut(text, options.part_characters)):
        return "no_prose"
    guess = foreign(prose, options.language, context.identify)
    return f"language ({guess.language} {round(guess.share, 3)})" if guess and guess.share > limits.language_max else None


def symbols(text: str) -> float:
    """Share of the characters of `text`, white space apart, that are neither letters nor digits."""
    told = [character for character in text if not character.isspace()]
    strange = sum(not character.isalnum() and unicodedata.category(character)[0] != "M" for character in told)
    return strange / len(told) if told else 0.0


def same_text(item: Item, context: Context) -> tuple[str, float] | None:
    limit = context.options.documents.rouge_max
    return (item["text"], limit) if limit < 1 else None


def translations(pieces: Sequence[Piece], source: str, target: str) -> Iterator[Call]:
    """A call for each piece that is to be translated."""
    return (Translation(text, source, target) for text in spoken(pieces))


def ask_forward(ask: Ask) -> tuple[Call, ...]:
    options: Options = ask.context.options
    return tuple(translations(cut(ask.item["text"], options.part_characters), options.language, pivot_of(options)))


def read_forward(replies: Sequence[Reply], ask: Ask) -> list[Draft]:
    options: Options = ask.context.options
    pieces = cut(ask.item["text"], options.part_characters)
    pivot = joined(pieces, translated(replies), pivot_of(options))
    if not spoken(cut(pivot, options.part_characters)):
        raise Malformed("no_prose")
    return [Draft({"pivot": pivot}, unended(replies))]


def translated(replies: Sequence[Reply]) -> list[str]:
    """The texts in the replies; `Malformed` where one of them is empty."""
    if not all(reply.text.strip() for reply in replies):
        raise Malformed("no_translation")
    return [reply.text for reply in replies]


def unended(replies: Sequence[Reply]) -> str | None:
    return None if all(reply.stop is Stop.END for reply in replies) else "cut"


# return: back into the language of the text


def another_engine(options: Any) -> str | None:
    return "translate" if options.two_engines else None


def ask_back(ask: Ask) -> tuple[Call, ...]:
    options: Options = ask.context.options
    return tuple(translations(cut(ask.item["pivot"], options.part_characters), pivot_of(options), options.language))


def read_back(replies: Sequence[Reply], ask: Ask) -> list[Draft]:
    options: Options = ask.context.options
    pivot = ask.item["pivot"]
    back = joined(cut(pivot, options.part_characters), translated(replies), options.language)
    trip = Trip(ask.item["text"].strip(), pivot, back, options.language, pivot_of(options))
    scores = measure(trip)
    lost = unended(replies) or fault(trip, scores, options.gate, ask.context.identify)
    return [Draft({"back": back, "scores": scores.rounded()}, lost)]


# instruct: which instruction does the text answer?


def output_of(item: Item, options: Options) -> str:
    return str(item["text"] if options.output == "source" else item["back"]).strip()


def ask_instruction(ask: Ask) -> tuple[Call, ...]:
    options: Options = ask.context.options
    values = {"text": output_of(ask.item, options)}
    if ask.style == "chat":
        warmth = 0.7 if options.temperature is None else options.temperature
        return (question(ask, "instruct", values, Decoding(max_tokens=256, temperature=warmth)),)
    warmth = (0.0 if ask.try_ == 0 else 0.7) if options.temperature is None else options.temperature
    return (question(ask, "instruct", values, Decoding(max_tokens=96, temperature=warmth, stop=("\n",))),)


def read_instruction(replies: Sequence[Reply], ask: Ask) -> list[Draft]:
    (reply,) = replies
    instruction = parse.instruction(reply.text)
    item = {"instruction": instruction, "input": "", "output": output_of(ask.item, ask.context.options)}
    return [Draft(item, unended(replies))]


def own_language(item: Item, ask: Ask) -> str | None:
    """The instruction is in another language than the text."""
    options: Options = ask.context.options
    guess = foreign(item["instruction"], options.language, ask.context.identify)
    sure = guess is not None and guess.share > options.gate.language_max
    return f"language ({guess.language} {round(guess.share, 3)})" if guess and sure else None


def no_copy(item: Item, ask: Ask) -> str | None:
    """The instruction gives the text away: it is nearly the text, or a sentence of it."""
    options: Options = ask.context.options
    if options.copy_max >= 1:
        return None
    asked, text = words(item["instruction"]), words(item["output"])
    if (score := rouge_l(asked, text)) >= options.copy_max:
        return f"copy ({round(score, 3)})"
    return "copy (a part of the text)" if _within(asked, text) else None


def no_example(item: Item, ask: Ask) -> str | None:
    """The instruction is one of the prompt's own examples, as small models answer that are at a loss."""
    return "example" if _within(words(item["instruction"]), words(ask.context.templates["instruct.demos"])) else None


def _within(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether tokens stand in a row in others; three and fewer may do so by chance."""
    return len(part) > 3 and f" {' '.join(part)} " in f" {' '.join(whole)} "


def to_record(item: Item) -> Item:
    return {"instruction": item["instruction"], "input": item["input"], "output": item["output"]}


def provenance(item: Item) -> Item:
    names = ("doc", "meta", "pivot", "back", "scores")
    return {"source": item["text"], **{name: item[name] for name in names if name in item}}


def templates(options: Options) -> tuple[str, ...]:
    return ("instruct.completion", "instruct.chat", "instruct.demos")


def rules(options: Options) -> filters.Rules:
    return filters.Rules.of(options.language, options.min_length, options.max_length, options.keywords)


RECIPE = Recipe(
    name="backtranslation",
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
            distinct=same_text,
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
            tries=2,
        ),
        Step(
            "instruct",
            source="return",
            role="write",
            ask=ask_instruction,
            read=read_instruction,
            checks=(own_language, no_example, no_copy),
            subjects=("instruction", "record"),
            unique="instruction",
            tries=2,
        ),
    ),
    options=Options,
    record=to_record,
    templates=templates,
    rules=rules,
    seeds="",
    reads=("text",),
    provenance=provenance,
)
