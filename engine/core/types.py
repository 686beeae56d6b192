"""The nouns that every room speaks: calls, replies, requests, settled lines, quotas.

Anybody may import it. Seconds are floats, tokens and characters are ints, times named `t` are UTC seconds since the epoch.
What is made several times a call is a `Struct`, which is made, and made anew with changes, in a tenth of a dataclass's time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from engine.core.faults import Fault
from engine.core.tariff import Tariff

Item: TypeAlias = dict[str, Any]
"""A plain JSON object that a step made. Its id is `step/index.n`; each recipe documents its items with a `TypedDict`."""

Style: TypeAlias = Literal["chat", "completion"]


class Message(Struct, frozen=True):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


class Decoding(Struct, frozen=True, kw_only=True):
    """How a language model is to draw its answer; `None` leaves a value to the server."""

    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    schema: Mapping[str, Any] | None = None
    """JSON schema that the answer must fit."""


class Chat(Struct, frozen=True):
    """Ask a model that was tuned to follow instructions."""

    messages: tuple[Message, ...]
    decoding: Decoding


class Completion(Struct, frozen=True):
    """Ask a base model to go on from `prompt`."""

    prompt: str
    decoding: Decoding


class Translation(Struct, frozen=True):
    """Ask a translator. `source` and `target` are BCP-47 tags."""

    text: str
    source: str
    target: str


Call: TypeAlias = Chat | Completion | Translation


class Usage(Struct, frozen=True, kw_only=True):
    """What a call weighs: estimated before it is sent, real after."""

    requests: int = 1
    tokens_in: int = 0
    """Prompt tokens that were not served from a cache."""
    tokens_cached: int = 0
    tokens_out: int = 0
    """Answer tokens without reasoning."""
    tokens_reasoning: int = 0
    characters: int = 0
    """As the vendor bills them."""
    bytes: int = 0
    """Of UTF-8, for a vendor whose limits count these, and not what it bills."""
    estimated: bool = False
    """True where the provider told no usage and ours is an upper bound."""

    @property
    def prompt(self) -> int:
        return self.tokens_in + self.tokens_cached

    @property
    def answer(self) -> int:
        return self.tokens_out + self.tokens_reasoning

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_cached + self.tokens_out + self.tokens_reasoning

    @property
    def size(self) -> int:
        """Characters as the vendor's limits on texts, requests and rates count them."""
        return self.bytes or self.characters


def total(usages: list[Usage]) -> Usage:
    """The sum; estimated where any part is."""
    if len(usages) == 1:
        return usages[0]
    return Usage(
        requests=sum(usage.requests for usage in usages),
        tokens_in=sum(usage.tokens_in for usage in usages),
        tokens_cached=sum(usage.tokens_cached for usage in usages),
        tokens_out=sum(usage.tokens_out for usage in usages),
        tokens_reasoning=sum(usage.tokens_reasoning for usage in usages),
        characters=sum(usage.characters for usage in usages),
        bytes=sum(usage.bytes for usage in usages),
        estimated=any(usage.estimated for usage in usages),
    )


class Stop(StrEnum):
    """Why an answer ended."""

    END = "end"
    LENGTH = "length"
    REFUSED = "refused"
    CUT = "cut"
    """We stopped listening."""
    BROKEN = "broken"
    """The stream broke after a part had arrived."""


class Reply(Struct, frozen=True, kw_only=True):
    """What the world answered. `seconds` from sending to the last byte, `first_byte` to the first."""

    text: str
    stop: Stop
    usage: Usage
    model: str = ""
    seconds: float = 0.0
    first_byte: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What an account may do; `None` is unlimited, or unknown."""

    requests_per_second: float | None = None
    requests_per_minute: float | None = None
    requests_per_day: float | None = None
    tokens_per_minute: float | None = None
    tokens_in_per_minute: float | None = None
    tokens_out_per_minute: float | None = None
    characters_per_minute: float | None = None
    """In the unit that the vendor limits rates by: `Usage.size`; likewise an hour's. A month's is what is billed."""
    characters_per_hour: float | None = None
    characters_per_month: float | None = None
    concurrent: int | None = None
    counts: Literal["reserved", "used"] = "used"
    """Whether the vendor counts `max_tokens` as asked for, or the tokens really used."""
    headroom: float = 0.0
    """Share of every quota that is left to other users of the account."""
    slice: float | None = None
    """Seconds of which each may see only its part of a minute's quota: 1 or 10 where a vendor says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePlan:
    """One way to get answers: a model of a provider under an account's quota, as the plan's `[lanes.NAME]` says it."""

    provider: str
    """Name of a module in `providers`, or a dotted module of one's own."""
    via: str | None = None
    """Of a lane of `llm_translate`: the lane of the plan whose model translates. All else is that lane's, its account included,
    but for `role` and `weight`."""
    model: str = ""
    role: tuple[str, ...] = ()
    """Roles that the lane serves; empty: every role that its provider can."""
    key: str | None = None
    """Where the key is found: `env:NAME` or `file:PATH`, one after the other for a key of parts; never the key itself."""
    base_url: str | None = None
    region: str | None = None
    """The vendor's region, which makes part of its address; `None`: the vendor's usual one."""
    style: Style | None = None
    """`chat` for models tuned on instructions, `completion` for base models; `None`: what suits the provider."""
    account: str | None = None
    """Lanes that name the same account share its quota; `None`: provider, address, key and model together."""
    weight: float = 1.0
    """Of lanes that cost the same, the heavier one is asked first."""
    quota: Quota = field(default_factory=Quota)
    price: Tariff | float | None = None
    """What the vendor asks; 0 for a server of one's own."""
    price_of: str | None = None
    """A model in the list of prices whose row holds for this lane; without it and `price`, that of `model`, if there is one."""
    license: str | None = None
    """What the model's terms say of its answers, in the user's words or as an SPDX name; told on the card of an export."""
    stream: bool = False
    """Whether answers come as they are made: loops are cut off early, and what a broken answer had is kept."""
    reasoning_tokens: int = 0
    """Tokens that a reasoning model may think for, on top of a step's `max_tokens`."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """More fields of the request's body, as the vendor names them."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """More headers of each request; a value may say where it is found, as `env:NAME` or `file:PATH`."""
    proxy: str | None = None
    """Address of the proxy, or where it is found (`env:NAME`); `None`: the environment's, "" for none."""
    ca_bundle: str | None = None
    """File of certificates (PEM) to trust in place of the system's."""


class Draft(Struct, frozen=True):
    """An item as it was read from a reply, with the reason why it is already lost (a cut end, say), if it is."""

    item: Item
    lost: str | None = None


class Request(Struct, frozen=True, kw_only=True):
    """One question with one key, `(step, index)`, and 1..n calls."""

    step: str
    index: int
    try_: int = 0
    """How many answers to this question could not be read before."""
    of: str | None = None
    """Id of the item that the question is about."""
    item: Item = msgspec.field(default_factory=dict)
    shown: tuple[Item, ...] = ()
    """Items that stand in the prompt as examples, in order."""
    style: Style = "chat"
    calls: tuple[Call, ...] = ()
    heard: tuple[Reply, ...] = ()
    """Replies to the first calls, where a later one failed: they are not asked again."""
    avoid: str | None = None
    """Lane that should not be asked again."""
    pair: tuple[str, str] | None = None
    """Languages of a translation, source and target."""
    scale: float = 1.0
    """Factor on `max_tokens`, lowered when the provider says that the request is too big."""
    waited: float = 0.0
    """Seconds spent on failed attempts so far, waits included, while a lane was open."""
    attempts: int = 0
    """Failed attempts so far."""
    failed_at: tuple[str, int] | None = None
    """Lane of the last failed attempt, and how many answers it had given by then."""
    suspect: bool = False
    """A lane that failed it answered others meanwhile: the fault may lie in the request itself."""
    again: bool = False
    """It settled with a fault before, and its next answer takes that one's place."""
    unlike: str = ""
    """Engine that must not answer it, having answered what it is about."""
    alone: bool = False
    """No other request may share its HTTP requests: together with others it failed."""


class Heard(Struct, frozen=True):
    """What came back for a request, on its way from the call to the settler."""

    request: Request
    lane: str
    t: float
    """UTC time of sending."""
    replies: tuple[Reply, ...] = ()
    fault: Fault | None = None
    seconds: float = 0.0
    """From the start of the attempt to its end."""
    before: int = 0
    """The first so many replies came with earlier attempts, and were paid for on lines of their own."""
    cost: int = 0
    """What this attempt cost, in nano-units of the plan's currency; 0 where the lane has no price."""
    used: Usage | None = None
    """What the call that failed used, where its stream told as much."""
    skipped: str | None = None
    """Why nothing was asked at all."""
    engine: str = ""
    """Who was asked."""


class Settled(Struct, frozen=True, kw_only=True):
    """One settled line of the journal: the answer to `(step, index)`, with its verdicts. Written once."""

    step: str
    index: int
    of: str | None
    try_: int
    t: float
    shown: tuple[str, ...]
    style: Style
    q: str
    """8-byte hash of the prompt, in hexadecimal."""
    lane: str
    replies: tuple[Reply, ...] = ()
    fault: Fault | None = None
    kept: tuple[tuple[int, Item], ...] = ()
    dropped: tuple[tuple[int, Item, str], ...] = ()
    again: bool = False
    """It takes the place of an earlier line of the same key, which had settled with a fault (`--retry-failed`)."""
    before: int = 0
    """The first so many replies are on paid lines, too: an attempt was cut short after them."""
    cost: int = 0
    """What the other replies cost, in nano-units of the plan's currency at that time's prices."""
    item: Item | None = None
    """The document that it is about, in a step that asks about the input: nobody needs the input again to read the journal."""
    engine: str = ""
    """Who answered, where another step has to be answered by somebody else."""


class Paid(Struct, frozen=True, kw_only=True):
    """An attempt that cost something and settled nothing."""

    step: str
    index: int
    try_: int
    t: float
    lane: str
    why: str
    usage: Usage
    cost: int = 0
    """In nano-units of the plan's currency at that time's prices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A part of what an account may use in a day or a month, or of the money that may be spent, drawn in advance: durable before
    any of it is used, so that a kill can waste it but never exceed it. From one lease of a lane and measure to the next, `rest +
    amount` less the next one's `rest` was used; what the last one left when a process died counts as used."""

    measure: str
    """Field of `Quota`, or a limit of `engine.core.budget`, in whole nano-units."""
    lane: str
    """First lane of the account; the lane whose limit on money it is, "" for the run's and the roles'."""
    amount: float
    """Drawn now; below zero: given back at an orderly end."""
    rest: float
    """Not used yet of what was drawn before."""
    t: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """Somebody set the wall clock while the run went on: every time before this line is `seconds` behind those after it."""

    seconds: float
    t: float


Line: TypeAlias = Settled | Paid | Lease | Stepped
"""What a line of the journal says, headers apart."""


class LaneView(Struct, frozen=True):
    """What the agenda needs to know of a lane that asks for work."""

    name: str
    roles: frozenset[str]
    alone: bool
    """No other open lane serves any of its roles, so `avoid` has to give way."""
    yields: frozenset[str] = frozenset()
    """Roles of which a cheaper or heavier lane has room just now, so that new work is left to it; retries are not."""
    engine: str = ""
    """Provider, address and model: lanes that are the same engine make the same mistakes."""
    lacks: frozenset[str] = frozenset()
    """Steps of its roles that it cannot serve: it does not have the languages."""


def prompt_text(calls: tuple[Call, ...]) -> str:
    """The words that are sent, without decoding settings: what `q` in the journal is a hash of."""
    parts: list[str] = []
    for call in calls:
        match call:
            case Chat(messages=messages):
                parts.extend(f"{message.role}\x1f{message.content}" for message in messages)
            case Completion(prompt=prompt):
                parts.append(prompt)
            case Translation(text=text, source=source, target=target):
                parts.append(f"{source}\x1f{target}\x1f{text}")
    return "\x1e".join(parts)
