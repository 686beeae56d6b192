"""A recipe of the benches' own: one step that asks without end, prompts of a chosen length, nothing to compare. It weighs what it
is told to weigh, so that a bench of quotas measures quotas.

Pure, as every recipe is.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec

from engine.core.filters import Rules
from engine.core.recipe import GROW, Ask, Recipe, Step
from engine.core.types import Call, Chat, Completion, Decoding, Draft, Item, Message, Reply

_WORDS = ("harbour", "bakery", "violin", "glacier", "contract", "orchard", "bridge", "poem", "ledger", "garden", "novel")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be chosen in `[options]`."""

    words: tuple[int, int] = (20, 120)
    """Of a prompt, from and to; each length is as likely as any other."""
    answer_tokens: int = 300
    """What an answer may have at the most; the simulator's have about 45."""
    language: str = "en"
    parity: bool = False
    rouge_max: float = 0.7
    filters: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    templates: str | None = None


def _prompt(number: int, rng: Random, options: Options) -> str:
    return f"{number} " + " ".join(rng.choices(_WORDS, k=rng.randint(*options.words)))


def ask_anything(ask: Ask) -> tuple[Call, ...]:
    options: Options = ask.context.options
    text = _prompt(ask.index, ask.rng("question"), options)
    decoding = Decoding(max_tokens=options.answer_tokens)
    return (Completion(text, decoding) if ask.style == "completion" else Chat((Message("user", text),), decoding),)


def read_length(replies: Sequence[Reply], ask: Ask) -> list[Draft]:
    return [Draft({"length": sum(len(reply.text) for reply in replies)})]


def _record(item: Item) -> Item:
    return {"instruction": "", "input": "", "output": str(item["length"])}


RECIPE = Recipe(
    name="questions",
    steps=(Step("ask", source=GROW, role="ask", ask=ask_anything, read=read_length),),
    options=Options,
    record=_record,
    templates=lambda options: (),
    rules=lambda options: Rules.of("en", None, None, None),
    seeds="self_instruct.{language}.jsonl",
)
