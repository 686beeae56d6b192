"""What all translators' dialects share: which text belongs to which call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse
from engine.core.language import Languages, table
from engine.core.translations import batch, count, failed, matched, replies, shares
from engine.core.types import Completion, Decoding, Reply, Translation

BOTH = Languages(table("en zh=zh-CN"), table("en zh=zh-CN"))
CALLS = tuple(Translation(text, "en", "zh") for text in ("One.", "Two.", "Three."))
GOOD = HttpResponse(200, {}, b"", seconds=2.0, first_byte=1.0)


def kinds(outcomes: tuple[Reply | Fault, ...]) -> list[object]:
    return [outcome.kind if isinstance(outcome, Fault) else outcome.text for outcome in outcomes]


def test_batch_is_of_one_pair() -> None:
    """Texts go out in order with the vendor's codes; a pair that is not there is refused before anything is sent."""
    assert batch(CALLS, BOTH) == (("One.", "Two.", "Three."), "en", "zh-CN")
    with pytest.raises(Fault, match=r"from en into de here, only among en, zh") as caught:
        batch((Translation("x", "en", "de"),), BOTH)
    assert caught.value.kind is FaultKind.BAD
    with pytest.raises(ValueError, match="one pair"):
        batch((*CALLS, Translation("x", "zh", "en")), BOTH)
    with pytest.raises(TypeError):
        batch((Completion("x", Decoding(max_tokens=1)),), BOTH)


def test_half_a_character_is_not_sent() -> None:
    """A lone surrogate has no bytes: the text is at fault, not the run."""
    with pytest.raises(Fault, match="surrogate") as caught:
        batch((Translation("a\ud800", "en", "zh"),), BOTH)
    assert caught.value.kind is FaultKind.BAD


def test_replies_stand_where_their_calls_do() -> None:
    """A text that is missing is a fault at its place, and the request counts once."""
    fault = Fault(FaultKind.RATE)
    outcomes = replies(CALLS, [fault, "二", "三"], [4, 5, 6], GOOD, "m")
    assert kinds(outcomes) == [FaultKind.RATE, "二", "三"]
    made = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
    assert [(reply.usage.requests, reply.usage.characters, reply.usage.estimated) for reply in made] == [
        (1, 5, False),
        (0, 6, False),
    ]
    assert (made[0].seconds, made[0].first_byte, made[0].model) == (2.0, 1.0, "m")
    assert kinds(replies(CALLS, ["一", None, 3], [1, 1, 1], GOOD)) == ["一", FaultKind.MALFORMED, FaultKind.MALFORMED]


@pytest.mark.parametrize("texts", [[], ["一", "二"], ["一", "二", "三", "四"]])
def test_another_number_of_texts_is_nobodys(texts: list[str]) -> None:
    """Without ids a text too few or too many could belong to any call: all are asked again, and none is shifted."""
    outcomes = replies(CALLS, texts, [1, 1, 1], GOOD)
    assert kinds(outcomes) == [FaultKind.MALFORMED] * 3
    assert all(isinstance(outcome, Fault) and outcome.billed for outcome in outcomes)


@pytest.mark.parametrize(
    ("answered", "found"),
    [
        ([("a b", 1), ("b", 2), ("c", 3)], [1, 2, 3]),
        ([("ab", 1), ("c", 3)], [1, None, 3]),
        ([("b", 2)], [None, 2, None]),
        ([], [None, None, None]),
        ([("b", 2), ("ab", 1), ("c", 3)], [None, None, 3]),
        ([("c", 3), ("b", 2)], [None, None, None]),
        ([("b", 2), ("x", 9)], [None, None, None]),
        ([("ab", 1), ("b", 2), ("c", 3), ("d", 4)], [None, None, None]),
        ([(None, 1), ("b", 2), ("c", 3)], [None, 2, 3]),
    ],
)
def test_repeated_sources_are_ids(answered: list[tuple[object, object]], found: list[object]) -> None:
    """A server that repeats each source tells whose translation is missing; white space may differ, order and words may not."""
    assert matched(["a b", "b", "c"], answered) == found


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=8), st.data())
def test_missing_items_never_shift_the_others(asked: list[str], data: st.DataObject) -> None:
    """Whatever is left out of an answer, each text that is given belongs to a call with the same source."""
    kept = data.draw(st.lists(st.booleans(), min_size=len(asked), max_size=len(asked)))
    answered = [(text, f"={text}") for text, keep in zip(asked, kept, strict=True) if keep]
    found = matched(asked, answered)
    assert len(found) == len(asked)
    assert all(text is None or text == f"={source}" for source, text in zip(asked, found, strict=True))
    assert sum(text is not None for text in found) == len(answered)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_shares_add_up(total: int, parts: list[int]) -> None:
    """What was billed for a request is parted without a rest, and stays as it is where both count alike."""
    assert sum(shares(total, parts)) == total
    assert min(shares(total, parts)) >= 0
    assert shares(sum(parts), parts) == parts


@pytest.mark.parametrize(
    ("told", "number"), [("12", 12), (7, 7), ("x", None), (None, None), (-1, None), (1.5, None), ("9" * 30, None)]
)
def test_count_is_a_number_or_nothing(told: object, number: int | None) -> None:
    """Servers tell characters as numbers and as texts."""
    assert count(told) == number


def test_failed_request_fails_every_call() -> None:
    """A fault for each, with the code and what the server said; a hint of the server's comes before what is known to help."""
    response = HttpResponse(429, {"retry-after": "7"}, b"")
    outcomes = failed(CALLS, response, None, "54003", "slow down", 3.0)
    assert [(fault.kind, fault.retry_after, str(fault)) for fault in outcomes] == [
        (FaultKind.RATE, 7.0, "rate: HTTP 429 54003 slow down")
    ] * 3
    assert failed(CALLS[:1], HttpResponse(200, {}, b""), FaultKind.RATE, wait=3.0)[0].retry_after == 3.0
    assert failed(CALLS[:1], HttpResponse(502, {}, b""), None)[0].kind is FaultKind.OVERLOAD
    assert failed(CALLS[:1], HttpResponse(418, {}, b""), None)[0].kind is FaultKind.BAD


def test_refused_key_is_not_repeated() -> None:
    """What a server says of a key stays out of the fault."""
    (fault,) = failed(CALLS[:1], HttpResponse(401, {}, b""), None, 401000, "no access for sk-123")
    assert str(fault) == "auth: HTTP 401 401000"
