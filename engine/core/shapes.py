"""Shapes: what the calls of a load test ask. Each is as cheap as what it has to show allows, and no two prompts are alike.

Pure. A call of a load test is sent for what it weighs, never for its answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from engine.core.types import Call, Chat, Completion, Decoding, Message, Translation, Usage

WORD = 4
"""Characters that a token of our filler has, about; what a vendor counts is learnt from its answers."""
STOPS = (" ", "\n", ".", ",")
"""Ends an answer behind its first word: what a vendor reserves of an answer is asked for, and nearly nothing of it is billed."""

_FILLER = ("mill", "reed", "barn", "pond", "oaks", "fern", "moss", "wren", "dawn", "lake", "peat", "hill", "seed", "rain")


class Form(StrEnum):
    """What is large about a call."""

    SMALL = "small"
    """Nothing: only a request counts."""
    RESERVED = "reserved"
    """The answer that is asked for, which ends at once: where `max_tokens` count, it weighs much and costs little."""
    PROMPT = "prompt"
    """What is sent: prompt, or text to translate."""
    LONG = "long"
    """The answer that comes: the call stays in flight."""
    USUAL = "usual"
    """Prompt and answer, as a real call has them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of call. Sizes are in tokens, or in characters for a translator."""

    form: Form
    size: int = 1
    answer: int = 1
    """Tokens of the answer that `USUAL` asks for."""


SMALL = Shape(Form.SMALL)


@dataclass(frozen=True, slots=True)
class Speaker:
    """How a lane is asked: a kind of `Call`, and the languages of a translation. `mark` tells this test's prompts from those of
    every other, so that nothing of them is in a cache."""

    takes: type
    mark: str
    source: str = "en"
    target: str = "de"

    def call(self, shape: Shape, number: int) -> Call:
        """The call of this number."""
        if self.takes is Translation:
            return Translation(self._text(shape, number), self.source, self.target)
        decoding = Decoding(max_tokens=asked(shape), stop=STOPS if shape.form is Form.RESERVED else ())
        prompt = self._prompt(shape, number)
        return Completion(prompt, decoding) if self.takes is Completion else Chat((Message("user", prompt),), decoding)

    def _text(self, shape: Shape, number: int) -> str:
        head = f"{self.mark} {number}."
        if shape.form in (Form.SMALL, Form.RESERVED):
            return head
        return f"{head} {filler(number, shape.size)}"[: max(len(head), shape.size)]

    def _prompt(self, shape: Shape, number: int) -> str:
        head = f"{self.mark}-{number}."
        match shape.form:
            case Form.LONG:
                return f"{head} Write a story about a river, with as many words as you can."
            case Form.PROMPT:
                return f"{head} Say ok. {filler(number, WORD * shape.size)}"
            case Form.USUAL:
                return f"{head} Write about {filler(number, WORD * shape.size)}"
            case _:
                return f"{head} Say ok."


def asked(shape: Shape) -> int:
    """Tokens of an answer that a call of this shape asks for."""
    match shape.form:
        case Form.RESERVED | Form.LONG:
            return shape.size
        case Form.USUAL:
            return shape.answer
        case _:
            return 1


def filler(number: int, characters: int) -> str:
    """Words that begin elsewhere for each number, about so many characters of them."""
    words = max(1, characters // (WORD + 1))
    start = number % len(_FILLER)
    row = (*_FILLER[start:], *_FILLER[:start])
    return " ".join((row * (words // len(row) + 1))[:words])


@dataclass(slots=True)
class Weights:
    """What calls of each shape weigh in the vendor's eyes: what it said of those that it answered, for those that it refused."""

    prompts: dict[Shape, int] = field(default_factory=dict)
    counts: str | None = None
    """`used` where an answer is counted as it came, else what is asked for counts."""

    def learn(self, shape: Shape, usage: Usage) -> None:
        if not usage.estimated and usage.prompt:
            self.prompts[shape] = usage.prompt

    def prompt(self, shape: Shape, weighed: Usage) -> int:
        """Tokens of the prompt; `weighed` is our own estimate, before anything of that shape was answered."""
        return self.prompts.get(shape, weighed.prompt)
