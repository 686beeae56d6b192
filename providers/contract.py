"""The contract that every provider's file keeps, ours and yours, as one function: `check(provider, exchanges)`.

Pure. It raises `AssertionError` with a sentence that says what the file does wrong; what the file itself raises where it may not
goes on with a note. An exchange is an answer as a server sends it, recorded or written from its documentation, and what the
dialect has to make of it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeAlias

from msgspec import structs

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse, Stamp
from engine.core.keys import sources
from engine.core.language import Inquiry, Languages
from engine.core.types import Call, Chat, Completion, Decoding, LanePlan, Message, Reply, Stop, Translation, Usage
from providers import Provider, Reader

KEY = "sk-a-secret-of-forty-characters-12345678"
"""Stands in a recorded body where it says `{key}`: no fault may repeat it."""
STAMP = Stamp(1_767_225_600.0, "nonce", KEY)
DECODING = Decoding(max_tokens=64, temperature=0.5, stop=("\n\n",))
CALLS: dict[type, Call] = {
    Chat: Chat((Message("system", "Be brief."), Message("user", "Name a river.")), DECODING),
    Completion: Completion("A river: ", DECODING),
    Translation: Translation("Name a river.", "en", "es"),
}
"""What is asked where an exchange does not say it."""
ADDRESS = "https://provider.example/v1"
FAULTS = 8
"""Recorded answers that are faults, at least."""
_NUMBERS = ("tokens_in", "tokens_cached", "tokens_out", "tokens_reasoning", "characters", "bytes")

Outcome: TypeAlias = Reply | Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An answer and what it means. Of what is `wanted`, one object a call: `text`, `stop`, `model`, the counters of `Usage`; or
    `fault` with its kind, and `retry_after`, `billed`; whatever is not there is not looked at."""

    name: str
    source: str
    """Where the form of the answer is written down."""
    calls: tuple[Call, ...]
    wanted: tuple[Mapping[str, Any], ...]
    status: int = 200
    headers: Mapping[str, str]
    body: bytes
    streamed: bool = False


def read(text: str) -> list[Exchange]:
    """Exchanges from lines of JSON: `name`, `source`, `wanted`, and `body` (text or JSON) or `stream` (a list of lines); if they
    are not the usual ones, `status`, `headers`, and `calls`."""
    return [_exchange(json.loads(line)) for line in text.splitlines() if line.strip()]


def _exchange(row: Mapping[str, Any]) -> Exchange:
    body = "\n".join(row["stream"]) if "stream" in row else row["body"]
    wanted = row["wanted"]
    calls = tuple(_call(call) for call in row.get("calls", ["chat"]))
    return Exchange(
        name=row["name"],
        source=row["source"],
        calls=calls,
        wanted=tuple(wanted) if isinstance(wanted, list) else (wanted,),
        status=row.get("status", 200),
        headers=row.get("headers", {}),
        body=(body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)).replace("{key}", KEY).encode(),
        streamed="stream" in row,
    )


def _call(said: str | Mapping[str, Any]) -> Call:
    """`chat`, `completion` or `translation`, or an object with `messages`, `prompt` or `text`."""
    if isinstance(said, str):
        return CALLS[{"chat": Chat, "completion": Completion, "translation": Translation}[said]]
    if "text" in said:
        return Translation(said["text"], said["source"], said["target"])
    decoding = structs.replace(DECODING, stop=tuple(said.get("stop", ())), max_tokens=said.get("max_tokens", 64))
    if "prompt" in said:
        return Completion(said["prompt"], decoding)
    return Chat(tuple(Message(**turn) for turn in said["messages"]), decoding)


def check(provider: Provider, exchanges: Sequence[Exchange]) -> None:
    """Whether a provider keeps the contract; `AssertionError` says in what it does not."""
    check_form(provider)
    for kind in provider.accepts:
        _survives(provider, CALLS[kind], [one.body for one in exchanges])
    for exchange in exchanges:
        _keeps(provider, exchange)
    _covers(provider, exchanges)


def check_form(provider: Provider) -> None:
    """The part of the contract that needs no exchanges: what a provider says of itself and what it sends, and that no nonsense
    makes it stumble."""
    _has_the_protocol(provider)
    _says_what_it_can(provider)
    for kind in provider.accepts:
        _encodes(provider, CALLS[kind])
        _weighs(provider, CALLS[kind])
        _survives(provider, CALLS[kind], [])


def _must(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


def lane(provider: Provider) -> LanePlan:
    """A lane that any provider can be asked for."""
    return LanePlan(provider="any", model="a-model" if provider.models else "", base_url=ADDRESS)


def _talks(provider: Provider) -> bool:
    return bool({Chat, Completion} & set(provider.accepts))


def _has_the_protocol(provider: Provider) -> None:
    for name, method in inspect.getmembers(Provider, inspect.isfunction):
        if name.startswith("_"):
            continue
        wanted = list(inspect.signature(method).parameters)[1:]
        own = getattr(provider, name, None)
        _must(callable(own), f"it has no method {name}({', '.join(wanted)})")
        there = list(inspect.signature(own).parameters) if own is not None else []
        _must(there == wanted, f"{name} takes {there}, and has to take {wanted}")


def _says_what_it_can(provider: Provider) -> None:
    accepts = set(provider.accepts)
    _must(bool(accepts) and accepts <= set(CALLS), f"accepts is {provider.accepts}, not some of Chat, Completion, Translation")
    _must(provider.texts >= 1, f"texts is {provider.texts}: a request carries one call at least")
    _must(isinstance(provider.models, bool), "models is neither True nor False")
    if _talks(provider):
        asked = {"chat": Chat, "completion": Completion}[provider.style(lane(provider))]
        _must(asked in accepts, f"style says {provider.style(lane(provider))!r}, which it does not accept")
    key = provider.key(replace(lane(provider), base_url=None))
    _must(key is None or bool(sources(key)), f"key says {key!r}, neither env:NAME nor file:PATH")
    for name in ("limit", "request_limit"):
        most = getattr(provider, name, 0)
        _must(
            most is None or (isinstance(most, int) and most >= 1), f"{name} is {most!r}, neither None nor a number of characters"
        )
    there = getattr(provider, "languages", ())
    _must(there is None or isinstance(there, Languages | Inquiry), f"languages is {there!r}, no list and no way to ask for one")


def _encodes(provider: Provider, call: Call) -> None:
    plain = lane(provider)
    first = provider.encode((call,), plain, STAMP)
    for other in provider.accepts:
        provider.encode((CALLS[other],), replace(plain, model="another"), replace(STAMP, nonce="other", key=""))
    _must(provider.encode((call,), plain, STAMP) == first, "encode gives another request for the same call, lane and stamp")
    _must(first.method in ("GET", "POST"), f"encode makes a {first.method}")
    _must(first.url.startswith(ADDRESS.rpartition("/")[0]), f"encode asks {first.url}, though the lane's base_url is {ADDRESS}")
    _must(all(isinstance(part, str) for pair in first.headers.items() for part in pair), "a header is no text")
    _must(isinstance(first.body, bytes), "the body is not bytes")
    _must(KEY not in repr(first), "the key shows in the repr of a request, which may be logged: headers and body do not")
    known = set(Decoding.__struct_fields__)
    lost = provider.leaves_out(plain, call)
    _must(isinstance(lost, tuple) and set(lost) <= known, f"leaves_out says {lost}, which are not all names of settings")
    if isinstance(call, Translation):
        _must(not lost, "leaves_out of a translator is empty")
        return
    more = provider.encode((call,), replace(plain, reasoning_tokens=1000, extra={"x_extra": {"y": 1}}), STAMP)
    _must(b"1064" in more.body, "a lane's reasoning_tokens are not added to max_tokens")
    _must(b"x_extra" in more.body, "a lane's extra fields are not in the body")
    if provider.reader(call) is not None:
        streamed = provider.encode((call,), replace(plain, stream=True), STAMP)
        _must(streamed != first, "a lane's stream makes no difference to the request, though there is a reader")


def _weighs(provider: Provider, call: Call) -> None:
    usage = provider.weigh(call)
    _must(usage.requests == 1, "a call weighs more than one request, or none")
    text = "Sage mir warum 水は青い " * 50
    longer: dict[type, Call] = {
        Chat: Chat((Message("user", text),), DECODING),
        Completion: Completion(text, DECODING),
        Translation: Translation(text, "en", "es"),
    }
    more = provider.weigh(longer[type(call)])
    if isinstance(call, Translation):
        _must(more.characters >= len(text.strip()), "a translation weighs fewer characters than it has")
    else:
        _must(usage.estimated, "what a model's call weighs is not marked as an estimate")
        _must(usage.answer == DECODING.max_tokens, "a call's answer does not weigh its max_tokens")
        _must(more.prompt >= usage.prompt + 50 * 8, "a longer prompt does not weigh more: its words are not all charged")


def _survives(provider: Provider, call: Call, bodies: Sequence[bytes]) -> None:
    rng = Random(0)
    for junk in (*_JUNK, *(_mutant(rng.choice(bodies), rng) for _ in range(200 if bodies else 0))):
        for status in (200, 400, 401, 403, 404, 408, 413, 429, 500, 503, 529):
            _whole(provider, (call,), HttpResponse(status, {}, junk))
        reader = provider.reader(call)
        if reader is None:
            continue
        _unfaulted(reader, [junk[:7], junk[7:]])
        reply = reader.close()
        _must(
            reply.stop is not Stop.END or reader.ended or reader.stopped,
            f"a stream that said {junk!r} ended well, and ended is False",
        )
        if junk in _JUNK:
            _must((reply.text, reply.stop) == ("", Stop.BROKEN), f"{reply} was heard in {junk!r}")
            _must(reply.usage == _heard(provider.weigh(call)), f"a stream that said {junk!r} costs {reply.usage}, not its prompt")
            _must(not (reader.began or reader.ended or reader.stopped), f"a stream that said {junk!r} began, or ended")


def _heard(weight: Usage) -> Usage:
    """What a call costs of whose answer nothing was heard."""
    return structs.replace(weight, tokens_out=0, tokens_reasoning=0)


_JUNK = (
    b"",
    b"\xff\x00",
    b"<html>",
    b"null",
    b"[]",
    b"{}",
    b'"text"',
    b'{"error": {"message": "a text", "code": 429}}',
    b"data: {}\n\n",
)


def _mutant(body: bytes, rng: Random) -> bytes:
    """A recorded body with some of it cut out, doubled, or changed."""
    at, to = sorted((rng.randrange(len(body) + 1), rng.randrange(len(body) + 1)))
    return rng.choice((body[:at], body[:at] + body[to:], body[:to] + body[at:], body[:at] + rng.randbytes(3) + body[at:]))


def _whole(provider: Provider, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Outcome, ...]:
    """What decode makes of an answer, with what holds for any."""
    said = f"to HTTP {response.status} {response.body[:80]!r}"
    with _total(f"decode has to give a Fault {said}"):
        outcomes = provider.decode(calls, response)
    _must(isinstance(outcomes, tuple) and len(outcomes) == len(calls), f"decode does not give one outcome a call {said}")
    for outcome in outcomes:
        _must(isinstance(outcome, Reply | Fault), f"decode gives {outcome!r} {said}")
        _must(isinstance(outcome, Fault) or response.status == 200, f"decode gives a reply {said}")
    return outcomes


@contextmanager
def _total(note: str) -> Iterator[None]:
    """What the block raises is a mistake of the provider's, and says so."""
    try:
        yield
    except BaseException as error:
        error.add_note(note)
        raise


def _unfaulted(reader: Reader, chunks: Iterable[bytes]) -> tuple[str, Fault | None]:
    """The text that a reader gives for its bytes, and the fault that ended it."""
    text = ""
    for chunk in chunks:
        with _total(f"a reader may raise nothing but Fault for {chunk[:80]!r}"):
            try:
                text += reader.feed(chunk)
            except Fault as fault:
                return text, fault
    return text, None


def _keeps(provider: Provider, exchange: Exchange) -> None:
    _must(bool(exchange.source), f"the exchange {exchange.name!r} does not say where its form is written down")
    _must(len(exchange.wanted) == len(exchange.calls), f"the exchange {exchange.name!r} wants not one outcome a call")
    if not exchange.streamed:
        response = HttpResponse(exchange.status, exchange.headers, exchange.body, seconds=2.0, first_byte=0.5)
        outcomes = _whole(provider, exchange.calls, response)
        for outcome, wanted in zip(outcomes, exchange.wanted, strict=True):
            _compare(exchange.name, outcome, wanted)
            if isinstance(outcome, Reply):
                _must((outcome.seconds, outcome.first_byte) == (2.0, 0.5), f"{exchange.name!r}: the times are lost")
        _must(repr(outcomes) == repr(_whole(provider, exchange.calls, response)), f"{exchange.name!r}: decode is not repeatable")
        return
    (call,), (wanted,) = exchange.calls, exchange.wanted
    heard = []
    for chunks in _splits(exchange.body):
        reader = provider.reader(call)
        assert reader is not None, f"{exchange.name!r} is streamed, and there is no reader"
        text, fault = _unfaulted(reader, chunks)
        reply = reader.close()
        _must(reply.text.startswith(text), f"{exchange.name!r}: feed gave {text!r}, and the answer is {reply.text!r}")
        _must(
            fault is not None or reader.ended or reader.stopped or reply.stop is Stop.BROKEN,
            f"{exchange.name!r}: {reply.stop}, but not ended",
        )
        heard.append((str(fault), fault and fault.billed, reply))
        _compare(exchange.name, fault or reply, wanted)
        if fault is not None and "text" in wanted:
            _must(reply.text == wanted["text"], f"{exchange.name!r}: {reply.text!r} was heard before the fault")
    _must(all(one == heard[0] for one in heard), f"{exchange.name!r}: how the bytes are cut makes a difference")


def _splits(body: bytes) -> Iterator[list[bytes]]:
    """The bytes cut in many ways: whole, one by one, in pieces of equal and of any size."""
    for size in (len(body) or 1, 1, 2, 3, 7, 64):
        yield [body[at : at + size] for at in range(0, len(body), size)]
    rng = Random(0)
    for _ in range(20):
        cuts = sorted(rng.randrange(len(body) + 1) for _ in range(rng.randrange(12)))
        yield [body[at:to] for at, to in zip([0, *cuts], [*cuts, len(body)], strict=True)]


def _compare(name: str, outcome: Outcome, wanted: Mapping[str, Any]) -> None:
    there: dict[str, Any]
    if isinstance(outcome, Fault):
        _must(KEY not in f"{outcome} {outcome!r}", f"{name!r}: the fault repeats the key")
        there = {
            "fault": str(outcome.kind),
            "retry_after": outcome.retry_after,
            "billed": outcome.billed,
            "text": wanted.get("text"),
        }
    else:
        usage = {name: getattr(outcome.usage, name) for name in (*_NUMBERS, "estimated")}
        there = {"text": outcome.text, "stop": str(outcome.stop), "model": outcome.model, **usage}
    for key, value in wanted.items():
        _must(there.get(key) == value, f"{name!r}: {key} is {there.get(key)!r}, not {value!r} ({outcome})")


def _covers(provider: Provider, exchanges: Sequence[Exchange]) -> None:
    """Enough has been recorded: every way to end, every kind of fault that a status alone can mean, and several of each."""
    wanted = [one for exchange in exchanges for one in exchange.wanted]
    kinds = {one["fault"] for one in wanted if "fault" in one}
    bodies = {exchange.body for exchange in exchanges if "fault" in exchange.wanted[0]}
    _must(len(bodies) >= FAULTS, f"{len(bodies)} recorded faults are too few: at least {FAULTS}")
    call = CALLS[provider.accepts[0]]
    reached = {
        str(outcome.kind)
        for status in range(400, 600)
        for outcome in provider.decode((call,), HttpResponse(status, {}, b"{}"))
        if isinstance(outcome, Fault)
    }
    reached.add(str(FaultKind.MALFORMED))
    _must(reached <= kinds, f"no recorded answer is a fault of kind {', '.join(sorted(reached - kinds))}")
    if not _talks(provider):
        return
    refusing = {Stop.REFUSED} if any(one.get("stop") == Stop.REFUSED for one in wanted) else set()  # some servers cannot say so
    for streamed, stops in ((False, {Stop.END, Stop.LENGTH}), (True, {Stop.END, Stop.LENGTH, Stop.BROKEN})):
        if streamed and provider.reader(call) is None:
            continue
        there = {
            one["stop"] for exchange in exchanges if exchange.streamed is streamed for one in exchange.wanted if "stop" in one
        }
        missing = sorted(str(stop) for stop in stops | refusing if stop not in there)
        _must(not missing, f"no recorded {'stream' if streamed else 'answer'} ends as {', '.join(missing)}")
    _must(
        any(exchange.streamed and "fault" in exchange.wanted[0] for exchange in exchanges) or provider.reader(call) is None,
        "no recorded stream has an error in it",
    )


__all__ = ["Exchange", "check", "check_form", "lane", "read"]
