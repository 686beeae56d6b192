"""What language models' servers share: how chats, limits, stops and schemas are read, how events and durations are written.

Pure; the dialects use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import orjson

from providers.simulator.calls import Kind
from providers.simulator.dialects import Unreadable

EPOCH = 1_767_225_600
"""The simulator's clock starts on 1 January 2026, so that the same calls get the same bytes."""
Fields: TypeAlias = Mapping[str, object]


def duration(nanoseconds: int) -> str:
    """As Go writes it, to the millisecond: `0s`, `9ms`, `1.2s`, `6m0s`, `1h0m0.5s`; more than nothing is at least `1ms`."""
    millis = max((nanoseconds + 500_000) // 1_000_000, 1 if nanoseconds > 0 else 0)
    if 0 < millis < 1000:
        return f"{millis}ms"
    minutes, rest = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 1000}" + (f".{rest % 1000:03}".rstrip("0") if rest % 1000 else "") + "s"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + seconds


def sse(event: object) -> bytes:
    """A server-sent event of JSON."""
    return b"data: " + orjson.dumps(event) + b"\n\n"


def plain(body: bytes) -> dict[str, object] | None:
    """The body as an object, `None` where it is none."""
    try:
        fields = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        return None
    return fields if isinstance(fields, dict) else None


def turns(messages: object) -> list[str]:
    """The words of a chat, turn by turn."""
    if not isinstance(messages, list) or not messages:
        raise Unreadable(Kind.BAD, "The parameter 'messages' must be a list of at least one message.")
    contents = [turn.get("content") if isinstance(turn, dict) else None for turn in messages]
    words = [text for text in contents if isinstance(text, str)]
    if len(words) < len(contents):
        raise Unreadable(Kind.BAD, "Each message needs a role and a text as its content.")
    return words


def joined(turns: list[str]) -> tuple[str, ...]:
    """A chat gets one answer, to all of its words."""
    return ("\n\n".join(turns),)


def prompts(prompt: object) -> tuple[str, ...]:
    texts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise Unreadable(Kind.BAD, "The parameter 'prompt' must be a text or a list of texts.")
    return tuple(texts)


def limit(fields: Mapping[str, object], usual: int) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        value = fields.get(name)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise Unreadable(Kind.BAD, f"The parameter {name!r} must be a whole number of at least 1.")
            return value
    return usual


def stops(stop: object) -> tuple[str, ...]:
    texts = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Unreadable(Kind.BAD, "The parameter 'stop' must be a text or a list of texts.")
    return tuple(texts)


def schema(fields: Fields) -> Mapping[str, object] | None:
    """What the answer has to fit: a schema, or any object."""
    form = fields.get("response_format")
    if not isinstance(form, dict) or form.get("type") in (None, "text"):
        named = fields.get("json_schema")  # llama.cpp
        return named if isinstance(named, dict) else None
    if form["type"] == "json_object":
        return {}
    inner = form.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else None
    if form["type"] != "json_schema" or not isinstance(schema, dict):
        raise Unreadable(Kind.BAD, "The parameter 'response_format' has no schema.")
    return schema
