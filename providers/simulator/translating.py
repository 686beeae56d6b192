"""What translators' servers do alike: texts measured in the vendor's unit, languages that are there or not, sizes, forms.

Pure. A dialect says its rules as data; how it spells answers and errors is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

import orjson

from providers.simulator.calls import Facts, Kind, Response
from providers.simulator.dialects import Unreadable


def code_points(text: str) -> int:
    return len(text)


def utf16_units(text: str) -> int:
    return sum(2 if ord(character) > 0xFFFF else 1 for character in text)


def utf8_bytes(text: str) -> int:
    return sum(1 + (n > 0x7F) + (n > 0x7FF) + (n > 0xFFFF) for n in map(ord, text))


@dataclass(frozen=True, slots=True)
class Rules:
    """What a vendor takes. 0 is no limit."""

    languages: frozenset[str]
    """Codes that may be a source."""
    targets: frozenset[str]
    unit: Callable[[str], int] = code_points
    """What is billed, and what sizes are told in, unless `sized` says otherwise."""
    sized: Callable[[str], int] | None = None
    texts: int = 1
    text: int = 0
    """Size of one text."""
    whole: int = 0
    """Of all texts of a request."""


def codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


def asked(texts: object, source: object, target: object, law: Rules) -> Facts:
    """What is asked, if the vendor takes it; raises `Unreadable`."""
    listed = texts if isinstance(texts, list) else [texts]
    said = tuple(text for text in listed if isinstance(text, str) and text)
    if not said or len(said) < len(listed):
        raise Unreadable(Kind.BAD, "A text is missing, or is none.")
    if not isinstance(source, str) or source not in law.languages:
        raise Unreadable(Kind.PAIR, f"{source} is no language that can be translated from.")
    if not isinstance(target, str) or target not in law.targets or target == source:
        raise Unreadable(Kind.PAIR, f"{target} is no language that {source} can be translated into.")
    if len(said) > law.texts:
        raise Unreadable(Kind.TOO_BIG, f"{len(said)} texts are more than {law.texts}.")
    sizes = list(map(law.sized or law.unit, said))
    if (law.text and max(sizes) > law.text) or (law.whole and sum(sizes) > law.whole):
        raise Unreadable(Kind.TOO_BIG, f"{max(sizes)} characters in a text, {sum(sizes)} in all, are too many.")
    return Facts(
        "translation",
        texts=said,
        source=source,
        target=target,
        characters=sum(map(law.unit, said)),
        bytes=sum(map(utf8_bytes, said)),
        longest=max(sizes),
    )


def as_json(body: bytes) -> object:
    """What the body says, `None` where it is no JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def as_object(body: bytes) -> Mapping[str, object] | None:
    fields = as_json(body)
    return fields if isinstance(fields, dict) else None


def as_form(text: str | bytes) -> dict[str, list[str]]:
    """The fields of a form or a query, each with all of its values."""
    decoded = text if isinstance(text, str) else text.decode("utf-8", "replace")
    return parse_qs(decoded, keep_blank_values=True)


def first(fields: Mapping[str, object], name: str) -> str:
    """The first value of a form's field, "" where there is none."""
    values = fields.get(name)
    return str(values[0]) if isinstance(values, list) and values else ""


def owner(keys: Sequence[str], name: str) -> tuple[str, str]:
    """The key whose first part is `name`, and its secret; the name alone and no secret where the account has no such key."""
    for key in keys:
        part, _, secret = key.partition(" ")
        if part == name:
            return key, secret
    return name, ""


def json_response(body: object, status: int = 200, **headers: str) -> Response:
    """Header names have underscores for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, {"content-type": "application/json", **named}, orjson.dumps(body))


NOTHING_LISTED = Response(404, {"content-type": "text/plain"}, b"not found")
"""Where a vendor's list of languages is not played."""
