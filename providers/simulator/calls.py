"""The nouns of the simulator: what a call asks, what becomes of it, what is written back.

Pure; every file of the simulator may import it. Times are whole nanoseconds inside, seconds where a name says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

SECOND = 1_000_000_000
"""Nanoseconds. Whole numbers cannot drift, so a limit of 60 never admits a 61st for want of the last digit of a float."""


class Kind(StrEnum):
    """Why a call gets no answer."""

    RATE = "rate"
    BURST = "burst"
    OVERLOAD = "overload"
    QUOTA = "quota"
    TOO_BIG = "too_big"
    AUTH = "auth"
    BANNED = "banned"
    BAD = "bad"
    UNKNOWN = "unknown"
    """There is no such path or model."""
    UNSIGNED = "unsigned"
    """The key is known, and what is signed with it is something else."""
    PAIR = "pair"
    """Nothing is translated from the one language into the other."""


class Measure(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    TOKENS_IN = "tokens_in"
    TOKENS_OUT = "tokens_out"
    CHARACTERS = "characters"
    """As the vendor bills them."""
    BYTES = "bytes"
    """Of a translator's texts, in UTF-8."""
    MONEY = "money"


class Weight(NamedTuple):
    """What a call weighs. Before it runs, `tokens_out` is what it may use at the most; after, what it used."""

    requests: int = 1
    tokens_in: int = 0
    tokens_out: int = 0
    characters: int = 0
    money: int = 0
    """Nano-units of the script's currency."""
    tokens_cached: int = 0
    """Of `tokens_in`, those that came from a cache."""
    bytes: int = 0


class Reading(NamedTuple):
    """Where a limit stands: for the headers of an answer."""

    of: Measure
    limit: int
    remaining: int
    reset: int
    """Nanoseconds until all of it is free again."""


class Refusal(NamedTuple):
    """A limit's no. `wait` is nanoseconds until the same call would fit if nothing else came, `None` for never."""

    limit: str
    kind: Kind
    of: Measure
    wait: int | None
    most: int
    used: int
    asked: int


class Received(NamedTuple):
    """A request as it came. Header names are lower-case; the path is whole, as it was sent."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Facts:
    """A call as its dialect reads it. Each of `texts` gets an answer of its own."""

    task: str
    """`chat`, `completion`, `translation`, or `models` for the list of models."""
    model: str = ""
    texts: tuple[str, ...] = ()
    max_tokens: int = 0
    """For each of `texts`."""
    extra_tokens: int = 0
    """Tokens of the prompt beside its words: the marks of a chat."""
    stop: tuple[str, ...] = ()
    drawn: str = ""
    """Settings that make the same prompt draw another answer: its temperature and its seed."""
    source: str = ""
    target: str = ""
    requests: int = 1
    """How many requests it counts as."""
    characters: int = 0
    """As the vendor bills them."""
    bytes: int = 0
    """Of a translator's texts, in UTF-8."""
    longest: int = 0
    """Size of the longest text, in the unit that texts are limited by."""
    stream: bool = False
    schema: Mapping[str, object] | None = None
    """JSON schema that the answer has to fit; an empty one is any object."""
    usage: bool = False
    """Whether a stream was asked to tell its usage."""


class Said(NamedTuple):
    """One answer and why it ended: `stop`, `length` or `content_filter`; `missing` for a text of several that got none."""

    text: str
    finish: str = "stop"


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers to all of a call's texts, and what they used."""

    said: tuple[Said, ...]
    used: Weight
    thoughts: tuple[str, ...] = ()
    """What was thought before each answer; its tokens are part of those used."""
    cached: int = 0
    """Of the prompt's tokens, those that came from a cache."""

    def thought(self, n: int) -> str:
        return self.thoughts[n] if n < len(self.thoughts) else ""


@dataclass(frozen=True, slots=True)
class Refused:
    """No answer, and why. `status` is the HTTP status where the kind has several."""

    kind: Kind
    message: str
    status: int = 0
    bound: Refusal | None = None
    most: int = 0
    """Characters that a text may have, where one has more."""


@dataclass(frozen=True, slots=True)
class Slip:
    """What goes with every answer, whatever it says."""

    number: int
    """Of the call, from 1: its id."""
    seconds: float
    """Since the simulator started."""
    readings: tuple[Reading, ...] = ()
    hint: float | None = None
    """Seconds after which to try again."""
    silent: bool = False
    """The answer does not tell its usage."""


class Part(StrEnum):
    """What a frame of a stream is there for."""

    OPEN = "open"
    TEXT = "text"
    CLOSE = "close"
    """Says why the answer ended."""
    USAGE = "usage"
    END = "end"


class Frame(NamedTuple):
    """A frame of a stream as its vendor writes it, and how many tokens the model made for it."""

    part: Part
    data: bytes
    tokens: int = 0


class Stream(NamedTuple):
    """An answer in frames, in the order in which they go out."""

    headers: Mapping[str, str]
    frames: tuple[Frame, ...]
    error: bytes
    """Frames of a failure in the middle."""
    comment: bytes = b""
    """What keeps the connection alive while a call waits; empty where the vendor sends nothing."""


class Response(NamedTuple):
    """What goes back. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
