"""An account: several limits, one answer; what is counted when; how scripts spell limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.simulator.account import Account, LimitPlan, read_limit
from providers.simulator.calls import SECOND, Kind, Measure, Weight
from providers.simulator.tables import ScriptError, parsed

CALL = Weight(requests=1, tokens_in=100, tokens_out=400, characters=300)


def limit(text: str) -> LimitPlan:
    """A limit as a script spells it."""
    return read_limit(parsed(text))


def account(*texts: str) -> Account:
    return Account([limit(text) for text in texts])


def passes(account: Account, weight: Weight, count: int, model: str = "m", now: int = 0) -> int:
    """How many of `count` equal calls at once are admitted."""
    return sum(account.admit(model, weight, now) is None for _ in range(count))


REQUESTS = 'kind = "fixed"\nlimit = 5'
TOKENS = 'kind = "bucket"\nof = "tokens"\nlimit = 2_000'


def test_all_or_nothing() -> None:
    """A call that one limit refuses is counted by none of the others."""
    both = account(REQUESTS, TOKENS)
    assert passes(both, CALL, 4) == 4
    assert passes(both, CALL, 50) == 0
    assert passes(both, Weight(), 50) == 1


def test_a_refusal_names_the_limit_and_the_time() -> None:
    """The name, what was left, what was asked for, and the longest wait of all that bind."""
    both = account(REQUESTS, TOKENS)
    passes(both, CALL, 4)
    refusal = both.admit("m", CALL, 0)
    assert refusal is not None
    assert (refusal.limit, refusal.kind, refusal.of) == ("tokens a minute", Kind.RATE, Measure.TOKENS)
    assert (refusal.most, refusal.used, refusal.asked, refusal.wait) == (2_000, 2_000, 500, 15 * SECOND)
    passes(both, Weight(), 1)
    refusal = both.admit("m", CALL, 0)
    assert refusal is not None
    assert (refusal.limit, refusal.wait) == ("requests a minute", 60 * SECOND)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('kind = "bucket"\nof = "tokens"\nlimit = 499', Kind.TOO_BIG),
        ('kind = "bucket"\nof = "tokens"\nlimit = 10_000\nburst = 499', Kind.TOO_BIG),
        ('kind = "growth"\nof = "tokens"\nlimit = 600', Kind.BURST),
        ('kind = "day"\nof = "characters"\nlimit = 400', Kind.QUOTA),
        ('kind = "day"\nof = "characters"\nlimit = 20', Kind.QUOTA),
        ('kind = "concurrent"\nlimit = 1', Kind.RATE),
        ('kind = "subwindow"\nlimit = 60', Kind.RATE),
        ('kind = "sliding"\nof = "tokens_out"\nlimit = 500', Kind.RATE),
    ],
)
def test_each_kind_of_limit_says_why(text: str, kind: Kind) -> None:
    """The second call of the same weight meets the refusal that a vendor with such a limit would give."""
    one = account(text)
    one.admit("m", CALL, 0)
    refusal = one.admit("m", CALL, 0)
    assert refusal is not None
    assert refusal.kind is kind
    assert (refusal.wait is None) == (kind is Kind.TOO_BIG or "20" in text)


def test_credit_runs_out_after_the_call_that_spends_it() -> None:
    """Money is charged when a call ends, at its price."""
    one = account('kind = "money"\nlimit = 0.000001')
    assert one.admit("m", CALL, 0) is None
    one.settle("m", CALL, CALL._replace(money=1_000), 0)
    refusal = one.admit("m", CALL, 0)
    assert refusal is not None
    assert (refusal.kind, refusal.wait) == (Kind.QUOTA, None)


def test_reserved_tokens_are_not_given_back() -> None:
    """A limit that counts what is reserved does not look at what was used."""
    one = account('kind = "sliding"\nof = "tokens"\nlimit = 1_000')
    assert passes(one, CALL, 3) == 2
    one.settle("m", CALL, CALL._replace(tokens_out=1), 0)
    assert passes(one, CALL, 1) == 0


def test_used_tokens_are_charged_when_the_call_ends() -> None:
    """The prompt counts when the call comes, the answer when it has been given, even beyond the limit."""
    one = account('kind = "sliding"\nof = "tokens"\nlimit = 1_000\ncounts = "used"')
    assert passes(one, CALL, 20) == 10
    one.settle("m", CALL, CALL, SECOND)
    assert passes(one, CALL, 1, now=60 * SECOND) == 1
    assert passes(one, CALL, 9, now=60 * SECOND) == 5
    one.settle("m", CALL, CALL._replace(tokens_out=2_000), 61 * SECOND)
    assert passes(one, CALL._replace(tokens_in=0), 1, now=61 * SECOND) == 0


def test_an_overdrawn_limit_is_shut_even_for_a_call_that_weighs_nothing_yet() -> None:
    """Answers counted after the fact shut the door until the bucket is out of debt."""
    one = account('kind = "bucket"\nof = "tokens_out"\nlimit = 60\ncounts = "used"')
    assert passes(one, CALL, 7) == 7
    one.settle("m", CALL, CALL, 0)
    assert passes(one, CALL, 1) == 0
    assert passes(one, CALL, 1, now=341 * SECOND) == 1


def test_refused_calls_count_where_the_script_says_so() -> None:
    """Hammering a sliding window that counts refusals never gets through; one that does not opens after its period."""
    for counts, expected in (("true", 0), ("false", 1)):
        one = account(f'kind = "sliding"\nlimit = 1\nperiod = 10\ncounts_refused = {counts}')
        assert passes(one, CALL, 1) == 1
        for second in range(1, 10):
            assert passes(one, CALL, 1, now=second * SECOND) == 0
        assert passes(one, CALL, 1, now=10 * SECOND) == expected


def test_a_limit_may_hold_for_one_model() -> None:
    """Other models are not counted by it, and strange names share what holds for all."""
    one = account('kind = "fixed"\nlimit = 2\nmodel = "small"', 'kind = "fixed"\nlimit = 5\nname = "all"')
    assert passes(one, CALL, 9, "small") == 2
    assert passes(one, CALL, 2, "large") == 2
    assert passes(one, CALL, 9, "other") == 1


def test_calls_inside_are_freed_when_they_end() -> None:
    """Two at once, and another when one has ended."""
    one = account('kind = "concurrent"\nlimit = 2')
    assert passes(one, CALL, 5) == 2
    one.settle("m", CALL, CALL, SECOND)
    assert passes(one, CALL, 5, now=SECOND) == 1


def test_readings_are_those_of_the_first_window_of_each_measure() -> None:
    """What headers can show: limit, remaining and reset of requests and tokens; neither doors nor credit."""
    one = account(
        'kind = "concurrent"\nlimit = 3', 'kind = "bucket"\nlimit = 60', TOKENS, 'kind = "fixed"\nlimit = 9\nperiod = 1'
    )
    one.admit("m", CALL, 0)
    assert one.readings("m", 0) == (
        (Measure.REQUESTS, 60, 59, SECOND),
        (Measure.TOKENS, 2_000, 1_500, 15 * SECOND),
    )


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 300), st.integers(0, 300)), max_size=80))
def test_no_limit_is_passed_by_any_traffic(calls: list[tuple[int, int, int]]) -> None:
    """Whatever comes, requests and tokens of any minute stay within both limits, and the tally agrees with the log."""
    both = account('kind = "sliding"\nlimit = 8', 'kind = "sliding"\nof = "tokens"\nlimit = 1_500')
    log: list[tuple[int, Weight]] = []
    now = 0
    for gap, tokens_in, tokens_out in calls:
        now += gap
        weight = Weight(1, tokens_in, tokens_out)
        if both.admit("m", weight, now * SECOND) is None:
            log.append((now, weight))
    for t, _ in log:
        minute = [weight for other, weight in log if t <= other < t + 60]
        assert len(minute) <= 8
        assert sum(weight.tokens_in + weight.tokens_out for weight in minute) <= 1_500
    assert [limit.taken for limit in both.limits] == [len(log), sum(w.tokens_in + w.tokens_out for _, w in log)]


def test_limits_have_names_and_usual_values() -> None:
    """What a script leaves out is what its kind usually has."""
    assert limit('kind = "bucket"\nlimit = 60').burst == 60
    assert limit('kind = "day"\nlimit = 9').period == 86_400
    assert limit('kind = "day"\nlimit = 9\nperiod = "month"').period == 30 * 86_400
    names = [limit(text).name for text in (TOKENS, 'kind = "money"\nlimit = 2.5', 'kind = "fixed"\nlimit = 1\nperiod = 10')]
    assert names == ["tokens a minute", "credit", "requests a 10 s"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('kind = "fixed"', "line 1: limit is missing"),
        ('kind = "fixed"\nlimit = 0', "line 2: limit must be a whole number of at least 1, not 0"),
        ('kind = "fixd"\nlimit = 1', "line 1: kind must be one of bucket, fixed, .* \\(did you mean 'fixed'\\?\\)"),
        (
            'kind = "fixed"\nlimit = 1\nburst = 2',
            "line 3: burst is not a key; the keys here are counts, counts_refused, .*period",
        ),
        ('kind = "fixed"\nlimit = 1\nperiod = "week"', "line 3: period must be seconds or one of second, minute"),
        ('kind = "subwindow"\nlimit = 60\nslice = 7', "line 3: slice must divide the period of 60 seconds"),
        ('kind = "fixed"\nlimit = 1\nof = "money"', "line 3: of must be one of requests, tokens"),
    ],
)
def test_bad_limits_are_refused(text: str, message: str) -> None:
    """With the line, and what would be right."""
    with pytest.raises(ScriptError, match=message):
        limit(text)
