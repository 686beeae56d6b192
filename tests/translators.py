"""What the tests of translators' dialects share: calls, answers made of plain data, and what no answer may do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse, Stamp
from engine.core.types import LanePlan, Reply, Translation
from providers import Provider

T = 1_767_225_600.0
"""Midnight UTC on 1 January 2026."""
STAMP = Stamp(T, "0123456789abcdef0123456789abcdef", "name-of-the-key\nsecret-of-the-key")
UNITS = "naïve 小 \U0001d11e"
"""Nine code points, one of them two units in UTF-16; fifteen bytes in UTF-8."""


def calls(*texts: str, source: str = "en", target: str = "zh") -> tuple[Translation, ...]:
    return tuple(Translation(text, source, target) for text in texts)


def lane(**changes: Any) -> LanePlan:
    return LanePlan(provider="any", **changes)


def decoded(
    provider: Provider, asked: Sequence[Translation], body: Any, status: int = 200, **headers: str
) -> tuple[Reply | Fault, ...]:
    """What an answer means; `body` is bytes or plain data, headers have underscores for dashes."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return provider.decode(tuple(asked), HttpResponse(status, named, data, seconds=2.0, first_byte=0.5))


def texts(outcomes: Sequence[Reply | Fault]) -> list[str | FaultKind]:
    """The texts of replies, the kinds of faults."""
    return [outcome.text if isinstance(outcome, Reply) else outcome.kind for outcome in outcomes]


def characters(outcomes: Sequence[Reply | Fault]) -> list[int]:
    """What each reply was billed."""
    return [outcome.usage.characters for outcome in outcomes if isinstance(outcome, Reply)]


def fault(provider: Provider, body: Any, status: int, **headers: str) -> Fault:
    """The fault that an answer to one call means."""
    (outcome,) = decoded(provider, calls("One."), body, status, **headers)
    assert isinstance(outcome, Fault)
    return outcome


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=8), part, max_size=3),
    max_leaves=6,
)


def _paths(part: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to every value inside a tree of plain data."""
    keys = part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
    return [path, *(below for key in keys for below in _paths(part[key], (*path, key)))]


def _changed(part: Any, path: tuple[str | int, ...], junk: Any) -> Any:
    """The tree with what lies at `path` replaced."""
    if not path:
        return junk
    pairs = enumerate(part) if isinstance(part, list) else part.items()
    changed = {key: _changed(below, path[1:], junk) if key == path[0] else below for key, below in pairs}
    return list(changed.values()) if isinstance(part, list) else changed


def reads_anything(provider: Provider, asked: Sequence[Translation], *wholes: Any) -> None:
    """Whatever stands where something else should, each call gets a reply or a fault, and only a good status gives a reply."""

    @settings(derandomize=True, max_examples=150)
    @given(st.sampled_from(wholes), st.data(), st.sampled_from([200, 200, 400, 429, 500]))
    def check(whole: Any, data: st.DataObject, status: int) -> None:
        body = whole
        for _ in range(data.draw(st.integers(1, 3))):
            body = _changed(body, data.draw(st.sampled_from(_paths(body))), data.draw(_JUNK))
        outcomes = decoded(provider, asked, json.dumps(body).encode(), status)
        assert len(outcomes) == len(asked)
        for outcome in outcomes:
            assert isinstance(outcome, Fault) or (status == 200 and isinstance(outcome.text, str))
            assert not isinstance(outcome, Fault) or len(outcome.detail) < 400

    check()
