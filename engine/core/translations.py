"""Translations: what all translators' dialects do alike, from the calls of one request to their replies and faults.

Pure. Items are never shifted: a text belongs to the call at its place, or to the call whose text it repeats, or to none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from engine.core import limits
from engine.core.faults import Fault, FaultKind
from engine.core.http import MOVED, REDIRECTS, HttpResponse
from engine.core.language import Languages
from engine.core.types import Call, Reply, Stop, Translation, Usage

STATUSES: Mapping[int, FaultKind] = {
    400: FaultKind.BAD,
    401: FaultKind.AUTH,
    402: FaultKind.QUOTA,
    403: FaultKind.AUTH,
    404: FaultKind.AUTH,
    405: FaultKind.AUTH,
    408: FaultKind.NETWORK,
    413: FaultKind.TOO_BIG,
    414: FaultKind.TOO_BIG,
    415: FaultKind.BAD,
    422: FaultKind.BAD,
    429: FaultKind.RATE,
}
"""What an HTTP status means where no code of the vendor's says it better."""


class Batch(NamedTuple):
    """The calls of one request: texts of one pair, in the vendor's codes."""

    texts: tuple[str, ...]
    source: str
    target: str


def batch(calls: Sequence[Call], languages: Languages) -> Batch:
    """What is to be sent. Raises a `Fault` of kind BAD, before anything is, for a pair that the vendor does not have, and for a
    text that no vendor can be sent."""
    asked = translations(calls)
    source, target = asked[0].source, asked[0].target
    if any((call.source, call.target) != (source, target) for call in asked):
        raise ValueError("one request carries one pair of languages")
    if (codes := languages.pair(source, target)) is None:
        raise Fault(FaultKind.BAD, f"no translation from {source} into {target} here, only {languages}")
    return Batch(tuple(call.text for call in asked), *codes)


def translations(calls: Sequence[Call]) -> tuple[Translation, ...]:
    """The calls, which are all translations, with texts that have an encoding."""
    asked = tuple(map(translation, calls))
    try:
        "".join([call.text for call in asked]).encode()
    except UnicodeEncodeError:
        raise Fault(FaultKind.BAD, "the text has half of a surrogate pair in it, which is no character") from None
    return asked


def translation(call: Call) -> Translation:
    """The call, which has to be a translation."""
    if not isinstance(call, Translation):
        raise TypeError(f"a translator does not take a {type(call).__name__}")
    return call


def weights(calls: Sequence[Call], weigh: Callable[[Call], Usage]) -> list[int]:
    """Characters of each call, in the vendor's unit."""
    return [weigh(call).characters for call in calls]


def replies(
    calls: Sequence[Call], texts: Sequence[object], characters: Sequence[int], response: HttpResponse, model: str = ""
) -> tuple[Reply | Fault, ...]:
    """A reply a call: `texts` are the translations in the order of the calls. What is a `Fault` stays one, what is no text is
    malformed; so are all, if there are more or fewer texts than calls. The request counts once, with its first reply."""
    if len(texts) != len(calls):
        return malformed(calls, f"{len(texts)} translations for {len(calls)} texts")
    return tuple(_outcomes(texts, characters, response, model))


def _outcomes(texts: Sequence[object], characters: Sequence[int], response: HttpResponse, model: str) -> Iterator[Reply | Fault]:
    requests = 1
    for text, count in zip(texts, characters, strict=True):
        if isinstance(text, str):
            yield Reply(
                text=text,
                stop=Stop.END,
                usage=Usage(requests=requests, characters=count),
                model=model,
                seconds=response.seconds,
                first_byte=response.first_byte,
            )
            requests = 0
        elif isinstance(text, Fault):
            yield text
        else:
            yield Fault(FaultKind.MALFORMED, "the answer has no translation of this text", billed=True)


def malformed(calls: Sequence[Call], detail: str) -> tuple[Fault, ...]:
    """The answer came, and cannot be read: it was paid for, and may be asked for again."""
    return tuple(Fault(FaultKind.MALFORMED, detail, billed=True) for _ in calls)


def failed(
    calls: Sequence[Call],
    response: HttpResponse,
    kind: FaultKind | None,
    code: object = None,
    message: object = None,
    wait: float | None = None,
) -> tuple[Fault, ...]:
    """One fault a call for a request that failed as a whole. Without a `kind` of the vendor's code the status tells it; `wait` is
    what is known to help where the server names no time."""
    status = response.status
    moved = status in REDIRECTS
    kind = kind or STATUSES.get(status) or (FaultKind.OVERLOAD if status >= 500 else FaultKind.AUTH if moved else FaultKind.BAD)
    # a refused key is echoed in the message of some servers: it is not repeated here
    said = "" if kind is FaultKind.AUTH or not isinstance(message, str) else shortened(message.encode("utf-8", "replace"))
    said = MOVED if moved else said
    named = shortened(str(code).encode("utf-8", "replace"))[:40] if isinstance(code, str | int) and code != status else ""
    detail = " ".join(part for part in (f"HTTP {status}", named, said) if part)
    told = _hint(kind, response)
    return tuple(Fault(kind, detail, wait if told is None else told) for _ in calls)


def _hint(kind: FaultKind, response: HttpResponse) -> float | None:
    """Seconds that the server asks to wait. Resets of its limits say something only where a limit was passed."""
    limited = kind in (FaultKind.RATE, FaultKind.BURST)
    told = limits.hint(response.headers, None) if limited else limits.asked(response.headers, None)
    return told if told is not None or not limited else limits.body_hint(response.body)


def matched(asked: Sequence[str], answered: Sequence[tuple[object, object]]) -> list[object]:
    """The translations by the sources that the server repeats beside them, `None` for what has none. Both are in the same order;
    where something is missing, and what is left is not what was asked, nobody gets anything."""
    wanted = [_bare(text) for text in asked]
    told = [(_bare(source) if isinstance(source, str) else None, text) for source, text in answered]
    if len(told) == len(wanted):
        return [text if source == want else None for want, (source, text) in zip(wanted, told, strict=True)]
    found: list[object] = []
    left = iter(told)
    ahead = next(left, None)
    for want in wanted:
        fits = ahead is not None and ahead[0] == want
        found.append(ahead[1] if ahead is not None and fits else None)
        ahead = next(left, None) if fits else ahead
    return found if ahead is None else [None] * len(wanted)


def _bare(text: str) -> str:
    """A text without its white space, which servers change when they repeat it."""
    return "".join(text.split())


def shares(total: int, parts: Sequence[int]) -> list[int]:
    """A whole number parted as `parts` are, with the same sum."""
    whole, before, given = sum(parts), 0, 0
    shared = []
    for part in parts:
        before += part
        upto = total * before // whole if whole else 0
        shared.append(upto - given)
        given = upto
    if shared and not whole:
        shared[0] = total
    return shared


def field(item: object, name: str | int) -> object:
    """A part of plain data, `None` where there is none."""
    if isinstance(item, dict):
        return item.get(name)
    return item[name] if isinstance(item, list) and isinstance(name, int) and name < len(item) else None


def listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def count(value: object) -> int | None:
    """A number of characters as a server tells it, `None` for what is none."""
    try:
        number = int(value) if isinstance(value, str | int) else -1
    except ValueError:
        return None
    return number if 0 <= number <= 10**12 else None


def shortened(body: bytes) -> str:
    return " ".join(body[:800].decode("utf-8", "replace").split())[:200]
