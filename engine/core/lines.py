"""Line format 1 of the journal: settled answers, paid attempts, leases, clock steps, headers: a JSON line each, with a checksum.

Pure. `c`, the last key of a line, is the CRC-32 of all that stands before it; a line without a right one is damaged.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
import orjson
from msgspec import structs

from engine.core.faults import Fault, FaultKind
from engine.core.types import Lease, Line, Paid, Reply, Settled, Stepped, Style, Usage

FORMAT = 1
_CHECK = b',"c":"'
_IS_SETTLED = b'{"s":'
_TAIL = len(_CHECK) + 8 + 2  # the checksum's eight digits, and the closing `"}`


class Damaged(ValueError):
    """A line that is not what was written; the text says how."""


def seal(body: dict[str, Any]) -> bytes:
    """The line for `body`, checksum and newline included."""
    text = orjson.dumps(body)[:-1]
    return b'%b,"c":"%08x"}\n' % (text, zlib.crc32(text))


def check(line: bytes) -> None:
    """Raises `Damaged` where a line without its newline is not what was written."""
    if line[-_TAIL:-10] != _CHECK or line[-2:] != b'"}':
        raise Damaged("it does not end with a checksum")
    if line[-10:-2] != b"%08x" % zlib.crc32(memoryview(line)[:-_TAIL]):
        raise Damaged("its checksum does not fit")


def unseal(line: bytes) -> dict[str, Any]:
    """The body of a line without its newline, its checksum left out; raises `Damaged`."""
    check(line)
    try:
        body: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Damaged(f"it is not JSON ({error})") from error
    del body["c"]
    return body


def write_settled(settled: Settled) -> bytes:
    """The line of a settled answer."""
    body: dict[str, Any] = {
        "s": settled.step,
        "i": settled.index,
        "of": settled.of,
        "try": settled.try_,
        "t": settled.t,
        "shown": settled.shown,
        "style": settled.style,
        "q": settled.q,
        "lane": settled.lane,
    }
    if settled.fault is None:
        body["replies"] = [_write_reply(reply) for reply in settled.replies]
    else:
        body["fault"] = {"kind": settled.fault.kind, "detail": settled.fault.detail}
    body["kept"] = [{"n": n, **item} for n, item in settled.kept]
    body["dropped"] = settled.dropped
    if settled.item is not None:
        body["item"] = settled.item
    if settled.engine:
        body["engine"] = settled.engine
    if settled.again:
        body["again"] = True
    if settled.before:
        body["before"] = settled.before
    if settled.cost:
        body["cost"] = settled.cost
    return seal(body)


def write_paid(paid: Paid) -> bytes:
    """The line of an attempt that cost something and settled nothing."""
    body = {
        "paid": paid.why,
        "s": paid.step,
        "i": paid.index,
        "try": paid.try_,
        "t": paid.t,
        "lane": paid.lane,
        "usage": _write_usage(paid.usage),
    }
    return seal({**body, "cost": paid.cost} if paid.cost else body)


def write_lease(lease: Lease) -> bytes:
    """The line of a quota, or of money, drawn in advance."""
    body = {"lease": lease.measure, "lane": lease.lane, "amount": lease.amount, "rest": lease.rest, "t": lease.t}
    return seal(body)


def write_stepped(stepped: Stepped) -> bytes:
    """The line of a wall clock that was set."""
    return seal({"clock": stepped.seconds, "t": stepped.t})


def read(line: bytes) -> Line | dict[str, Any]:
    """What a line says; a segment's header as plain data. Raises `Damaged`."""
    try:
        if line.startswith(_IS_SETTLED):
            check(line)
            return _read_settled(line)
        body = unseal(line)
        if "paid" in body:
            return _read_paid(body)
        if "lease" in body:
            measure, lane = str(body["lease"]), str(body["lane"])
            return Lease(measure=measure, lane=lane, amount=body["amount"], rest=body["rest"], t=body["t"])
        if "clock" in body:
            return Stepped(seconds=body["clock"], t=body["t"])
        if "seeddrill" in body:
            return body
    except (KeyError, TypeError, AttributeError, msgspec.MsgspecError) as error:
        raise Damaged(f"a key is missing or has another type ({error})") from error
    raise Damaged("it is of an unknown kind")


def _read_paid(body: dict[str, Any]) -> Paid:
    return Paid(
        step=body["s"],
        index=body["i"],
        try_=body["try"],
        t=body["t"],
        lane=body["lane"],
        why=body["paid"],
        usage=Usage(**body["usage"]),
        cost=body.get("cost", 0),
    )


class _Fault(msgspec.Struct):
    kind: FaultKind
    detail: str


class _Settled(msgspec.Struct):
    """A settled line as it stands in the file. msgspec reads it into these, and into our own nouns, at three times the speed of
    plain data that is then sorted out: a journal of a million lines is read at every start."""

    s: str
    i: int
    of: str | None
    t: float
    shown: tuple[str, ...]
    style: Style
    q: str
    lane: str
    kept: list[dict[str, Any]]
    dropped: tuple[tuple[int, dict[str, Any], str], ...]
    try_: int = msgspec.field(name="try")
    replies: tuple[Reply, ...] = ()
    fault: _Fault | None = None
    again: bool = False
    before: int = 0
    cost: int = 0
    item: dict[str, Any] | None = None
    engine: str = ""


_SETTLED = msgspec.json.Decoder(_Settled)


def _read_settled(line: bytes) -> Settled:
    body = _SETTLED.decode(line)
    return Settled(
        step=body.s,
        index=body.i,
        of=body.of,
        try_=body.try_,
        t=body.t,
        shown=body.shown,
        style=body.style,
        q=body.q,
        lane=body.lane,
        replies=body.replies,
        fault=Fault(body.fault.kind, body.fault.detail) if body.fault is not None else None,
        kept=tuple([(item.pop("n"), item) for item in body.kept]),
        dropped=body.dropped,
        again=body.again,
        before=body.before,
        cost=body.cost,
        item=body.item,
        engine=body.engine,
    )


def _write_reply(reply: Reply) -> dict[str, Any]:
    return {
        "text": reply.text,
        "stop": reply.stop,
        "usage": _write_usage(reply.usage),
        "model": reply.model,
        "seconds": round(reply.seconds, 4),
        "first_byte": round(reply.first_byte, 4),
    }


def _write_usage(usage: Usage) -> dict[str, int]:
    """The fields that say something: zeros are left out, and so is the one request of an ordinary call."""
    return {name: value for name, value in structs.asdict(usage).items() if value != (1 if name == "requests" else 0)}
