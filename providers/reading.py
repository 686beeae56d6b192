"""What a dialect makes of an answer, whole or streamed, from three functions of its own: nothing here knows a vendor.

Pure; dialects of language models use it, those of others too. A dialect says what one JSON object of its server means, as a
`Piece`; putting pieces together, cutting at stops, telling reasoning apart, counting where no usage came, and finding out that a
stream broke is done here for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from json import JSONDecoder
from typing import Any, TypeAlias

from msgspec import structs

from engine.core.events import LONGEST, Documents, Event, Events, grown
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse
from engine.core.parse import Malformed, json_object
from engine.core.schema import in_words
from engine.core.speech import Speech
from engine.core.text import estimate_tokens
from engine.core.types import Call, Chat, Completion, Reply, Stop, Usage

_SHAPES = (Malformed, KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError)
"""What reading an answer of another shape than the dialect's raises."""
_JSON = JSONDecoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one JSON object says."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    """What a model says in place of an answer that it declines."""
    stop: Stop | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    """Counters as the server names them; later ones add to earlier ones, or take their place."""
    model: str = ""
    last: bool = False
    """Nothing comes behind it."""


Body: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How a server spells its answers. The functions may raise what reading a strange JSON object raises."""

    whole: Callable[[Call, Body], Piece]
    """The answer to a call that was not streamed."""
    part: Callable[[Call, Body], Piece]
    """One event of a stream."""
    counts: Callable[[Mapping[str, Any]], Usage]
    """The usage that a piece tells."""
    fault: Callable[[HttpResponse, Body], Fault]
    """What an answer means that is none: of an error status, or with an error in it."""
    end: str = ""
    """Data of the event that ends a stream, where it is no JSON."""
    marks: tuple[str, str] | None = None
    """Around reasoning at the start of a text."""


def weigh(call: Call) -> Usage:
    """What a call to a language model weighs at the most, whatever its server does about its schema."""
    assert isinstance(call, Chat | Completion)
    if isinstance(call, Chat):  # message by message: what all calls begin with is counted once
        words = sum(estimate_tokens(message.content) for message in call.messages) + 6 * len(call.messages) + 3
    else:
        words = estimate_tokens(call.prompt) + 1
    schema = call.decoding.schema
    return Usage(
        tokens_in=words + (estimate_tokens(in_words(schema)) if schema is not None else 0),
        tokens_out=call.decoding.max_tokens,
        estimated=True,
    )


def count(value: Any) -> int:
    """A number of tokens, none for `None`; `ValueError` for what cannot be one."""
    number = int(value or 0)
    if not 0 <= number <= 10**12:
        raise ValueError(f"{number} tokens")
    return number


def shortened(body: bytes) -> str:
    """The start of an answer for a log: one line, 200 characters."""
    return " ".join(body[:800].decode("utf-8", "replace").split())[:200]


def opened(body: bytes) -> Body:
    """The JSON object in an answer; a list of one counts as that one, as Google wraps errors. Raises `Malformed`."""
    text = body.strip()
    return json_object(text[1:-1] if text[:1] == b"[" and text[-1:] == b"]" else text)


def decode(spelling: Spelling, call: Call, response: HttpResponse) -> Reply | Fault:
    """What a whole answer means."""
    try:
        body = opened(response.body)
    except Malformed:
        if response.status == 200:
            return malformed(response.body)
        body = {}
    if response.status != 200 or is_error(body):
        return spelling.fault(response, body)
    hearing = Hearing(spelling, call)
    try:
        hearing.add(spelling.whole(call, body))
    except _SHAPES:
        return malformed(response.body)
    except Fault as fault:
        return fault
    return structs.replace(hearing.whole(), seconds=response.seconds, first_byte=response.first_byte)


def is_error(body: Body) -> bool:
    """Whether an object is an error, under whatever status: nested, or flat as vLLM's and Mistral's are."""
    return bool(body.get("error")) or body.get("object") == "error"


def malformed(body: bytes) -> Fault:
    """An answer in another shape than the dialect's, which was paid for."""
    return Fault(FaultKind.MALFORMED, shortened(body), billed=True)


@dataclass(slots=True)
class Hearing:
    """An answer being put together."""

    spelling: Spelling
    call: Call
    began: bool = False
    done: bool = False
    """The server has said that all of it came."""
    _speech: Speech = field(init=False)
    _thought: list[str] = field(default_factory=list)
    _size: int = 0
    _refusal: str = ""
    _stop: Stop | None = None
    _counters: dict[str, Any] = field(default_factory=dict)
    _usage: Usage | None = None
    _model: str = ""

    def __post_init__(self) -> None:
        stops = self.call.decoding.stop if isinstance(self.call, Chat | Completion) else ()
        self._speech = Speech(stops, self.spelling.marks if isinstance(self.call, Chat) else None)

    @property
    def stopped(self) -> bool:
        return self._speech.stopped

    def add(self, piece: Piece) -> str:
        """The text that is certain now."""
        self._size += len(piece.text) + len(piece.reasoning)
        if self._size > LONGEST:
            raise Fault(FaultKind.MALFORMED, f"the answer has more than {LONGEST >> 20} million characters", billed=True)
        self._model = self._model or piece.model
        self._stop = self._stop or piece.stop
        self.done = self.done or piece.last
        if piece.usage:
            self._counters |= piece.usage
            self._usage = self.spelling.counts(self._counters)
        if piece.reasoning:
            self._thought.append(piece.reasoning)
        self.began = self.began or bool(piece.text or piece.reasoning or piece.refusal)
        self._refusal += piece.refusal
        text = self._speech.add(piece.text)
        if piece.stop is Stop.BROKEN and not self._speech.text:
            raise Fault(FaultKind.OVERLOAD, "the server broke off before its first word", billed=True)
        return text

    def whole(self) -> Reply:
        """A whole answer: END where the server gives no reason, its weight where it tells no usage."""
        self.done, self._stop = True, self._stop or Stop.END
        return self._reply(None)

    def part(self) -> Reply:
        """What was heard of a stream: BROKEN where the server has not said that it ended. Without its last word on the usage,
        what it told of the input, or its weight, and what was heard of the answer."""
        self.done = self.done or (self._stop is not None and self._usage is not None)
        self._speech.end()
        weight, told = weigh(self.call), self._usage or Usage()
        if told.prompt:
            weight = structs.replace(weight, tokens_in=told.tokens_in, tokens_cached=told.tokens_cached)
        out = max(told.tokens_out, min(weight.tokens_out, _tokens(self._speech.text)))
        return self._reply(
            structs.replace(weight, tokens_out=out, tokens_reasoning=max(told.tokens_reasoning, _tokens(self._reasoning)))
        )

    @property
    def _reasoning(self) -> str:
        return "".join(self._thought) + self._speech.reasoning

    def _reply(self, heard: Usage | None) -> Reply:
        """With its exact usage, or what was heard at the least; without either, with what the call weighs at the most."""
        self._speech.end()
        text, stop = self._speech.text, self._stop if self.done and self._stop is not None else Stop.BROKEN
        if self._speech.stopped:
            stop = Stop.END
        if self._refusal:
            text, stop = self._refusal, Stop.REFUSED
        exact = self._usage if self.done else None
        usage = self._split(exact) if exact is not None else heard or weigh(self.call)
        return Reply(text=text, stop=stop, usage=usage, model=self._model)

    def _split(self, usage: Usage) -> Usage:
        """A server that does not count reasoning by itself: its share of the answer's tokens is its share of the characters."""
        thought = len(self._reasoning)
        if usage.tokens_reasoning or not thought:
            return usage
        reasoning = round(usage.tokens_out * thought / (thought + len(self._speech.text)))
        return structs.replace(usage, tokens_out=usage.tokens_out - reasoning, tokens_reasoning=reasoning)


def _tokens(text: str) -> int:
    return estimate_tokens(text) if text else 0


class _Form(Enum):
    """What a body turns out to be."""

    UNKNOWN = auto()
    EVENTS = auto()
    BARE = auto()
    """One JSON object and no stream."""
    OVER = auto()
    """The bare object has been read, or there was a fault: nothing behind it counts."""


@dataclass(slots=True)
class Reading:
    """A streamed answer. A server that answers with one JSON object instead is read all the same, in the form of its whole
    answers."""

    spelling: Spelling
    call: Call
    frames: Events | Documents = field(default_factory=Events)
    _hearing: Hearing = field(init=False)
    _form: _Form = _Form.UNKNOWN
    _bare: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self._hearing = Hearing(self.spelling, self.call)
        if isinstance(self.frames, Documents):  # which are bare objects themselves
            self._form = _Form.EVENTS

    @property
    def began(self) -> bool:
        return self._hearing.began

    @property
    def ended(self) -> bool:
        return self._hearing.done

    @property
    def stopped(self) -> bool:
        return self._hearing.stopped

    def feed(self, chunk: bytes) -> str:
        try:
            return self._fed(chunk)
        except Fault:
            self._form = _Form.OVER
            raise

    def close(self) -> Reply:
        for frame in self.frames.close() if self._form is _Form.EVENTS else ():
            try:
                self._take(_data(frame))
            except Fault:  # the rest of a line that was cut off
                break
        return self._hearing.part()

    def _fed(self, chunk: bytes) -> str:
        if self._form is _Form.UNKNOWN and (first := chunk.lstrip()[:1]):
            self._form = _Form.BARE if first in (b"{", b"[") else _Form.EVENTS
        if self._form is _Form.EVENTS:
            return "".join([self._take(_data(frame)) for frame in self.frames.feed(chunk)])
        return self._unframed(chunk) if self._form is _Form.BARE else ""

    def _unframed(self, chunk: bytes) -> str:
        """What a bare object says, once all of it has come."""
        grown(len(self._bare), len(chunk))
        self._bare += chunk
        if b"}" not in chunk and b"]" not in chunk:
            return ""
        try:
            text = self._bare.decode("utf-8", "replace").lstrip()
            raw = text[: _JSON.raw_decode(text)[1]].encode("utf-8", "surrogatepass")
            body = opened(raw)
        except (Malformed, ValueError, RecursionError):
            return ""
        self._form = _Form.OVER
        return self._told(_whole(self.spelling), body, raw)

    def _take(self, data: str) -> str:
        if self.spelling.end and data.strip() == self.spelling.end:
            self._hearing.done = True
            return ""
        raw = data.encode("utf-8", "surrogatepass")
        try:
            body = opened(raw)
        except Malformed:
            raise malformed(raw) from None
        return self._told(self.spelling.part, body, raw)

    def _told(self, say: Callable[[Call, Body], Piece], body: Body, raw: bytes) -> str:
        if is_error(body):
            fault = self.spelling.fault(HttpResponse(200, {}, raw), body)
            fault.billed = fault.billed or self.began
            raise fault
        try:
            return self._hearing.add(say(self.call, body))
        except _SHAPES:
            raise malformed(raw) from None


def _whole(spelling: Spelling) -> Callable[[Call, Body], Piece]:
    """A whole answer as the only piece of a stream."""

    def only(call: Call, body: Body) -> Piece:
        piece = spelling.whole(call, body)
        return replace(piece, stop=piece.stop or Stop.END, last=True)

    return only


def _data(frame: Event | bytes) -> str:
    return frame.data if isinstance(frame, Event) else frame.decode("utf-8", "replace")
