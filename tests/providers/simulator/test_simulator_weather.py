"""The weather: shares are shares, spells and outages have their times, the same source of randomness draws the same fate."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from providers.simulator.tables import ScriptError, parsed
from providers.simulator.weather import Event, Fate, Telling, Weather, fate, read_weather


def weather(text: str) -> Weather:
    return read_weather(parsed(text))


def fates(text: str, seconds: float = 0.0, count: int = 4_000) -> list[Fate]:
    """The fates of many calls, each with a source of its own."""
    chosen = weather(text)
    return [fate(chosen, seconds, Random(n)) for n in range(count)]


def test_no_weather_is_fair() -> None:
    """Without a word in the script every call is answered, in the usual time, with true headers."""
    assert set(fates("", count=50)) == {Fate(Event.ANSWER, 200, 0.3, 100.0, Telling.TRUE, Telling.TRUE)}


def test_shares_are_what_happens() -> None:
    """Over many calls each event comes about as often as the script says."""
    text = """
        rate_without_reason = 0.1
        errors = { 500 = 0.1, 529 = 0.05 }
        reset_before_headers = 0.05
        reset_after_headers = 0.05
        cut_body = 0.05
        slow_drip = 0.05
        malformed_json = 0.05
    """
    found = Counter((one.event, one.status) for one in fates(text))
    expected = {
        (Event.BARE_429, 429): 400,
        (Event.ERROR, 500): 400,
        (Event.ERROR, 529): 200,
        (Event.RESET_BEFORE, 0): 200,
        (Event.RESET_AFTER, 200): 200,
        (Event.CUT, 200): 200,
        (Event.DRIP, 200): 200,
        (Event.MALFORMED, 200): 200,
        (Event.ANSWER, 200): 2_000,
    }
    assert found.keys() == expected.keys()
    assert all(abs(found[what] - count) < 80 for what, count in expected.items())


def test_headers_and_hints_lie_as_often_as_said() -> None:
    """Missing and wrong headers, missing and absurd hints are drawn apart."""
    found = fates("headers_missing = 0.2\nheaders_wrong = 0.1\nhint_missing = 0.3\nhint_absurd = 0.1")
    headers, hints = Counter(one.headers for one in found), Counter(one.hint for one in found)
    assert abs(headers[Telling.MISSING] - 800) < 120
    assert abs(headers[Telling.WRONG] - 400) < 120
    assert abs(hints[Telling.MISSING] - 1_200) < 120
    assert abs(hints[Telling.WRONG] - 400) < 120


@pytest.mark.parametrize(
    ("spread", "low", "median", "high"),
    [
        ("2.5", 2.5, 2.5, 2.5),
        ("{ fixed = 2 }", 2, 2, 2),
        ("{ uniform = [1, 3] }", 1, 2, 3),
        ("{ lognormal = [2, 0.5] }", 0.1, 2, 50),
    ],
)
def test_spreads(spread: str, low: float, median: float, high: float) -> None:
    """Numbers lie where the spread says, around its median."""
    drawn = sorted(one.first_byte for one in fates(f"first_byte = {spread}"))
    assert low <= drawn[0] <= drawn[-1] <= high
    assert drawn[2_000] == pytest.approx(median, rel=0.06)


def test_a_spell_changes_what_it_names_while_it_lasts() -> None:
    """Within its times its keys count, the others stay; the last spell that covers a time wins."""
    text = """
        first_byte = 1
        errors = { 500 = 1.0 }
        [[spells]]
        from = 10
        to = 20
        first_byte = 5
        [[spells]]
        from = 15
        to = 16
        first_byte = 9
        errors = { 500 = 0.0, 529 = 1.0 }
    """
    seen = {seconds: fates(text, seconds, 1)[0] for seconds in (9.9, 10, 15, 16, 20)}
    assert [(one.status, one.first_byte) for one in seen.values()] == [(500, 1), (500, 5), (529, 9), (500, 5), (500, 1)]


def test_an_outage_takes_every_call() -> None:
    """From its start to just before its end everything is a 503."""
    text = "outages = [[60, 90], [100, 101]]"
    assert [{one.status for one in fates(text, t, 20)} for t in (59.9, 60, 89.9, 90, 100)] == [{200}, {503}, {503}, {200}, {503}]


def test_the_same_source_draws_the_same_fate() -> None:
    """A fate follows from the script, the time and the source of randomness alone."""
    text = "errors = { 500 = 0.5 }\nfirst_byte = { lognormal = [1, 1] }\nheaders_wrong = 0.5"
    assert fates(text, count=100) == fates(text, count=100)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("errors = { 500 = 0.7 }\ncut_body = 0.4", "has shares that add up to 1.1"),
        ("errors = { 404 = 0.7 }", "errors.404 must be a status from 500 to 599"),
        ("cut_body = 1.5", "line 1: cut_body must be between 0 and 1, not 1.5"),
        ("cut_bodies = 0.5", r"cut_bodies is not a key \(did you mean 'cut_body'\?\)"),
        ("headers_missing = 0.6\nheaders_wrong = 0.6", "add up to more than 1"),
        ("first_byte = { normal = [1, 2] }", r"first_byte.normal is not a key \(did you mean 'lognormal'\?\)"),
        ("first_byte = {}", "line 1: first_byte must be a number, or have one of fixed, uniform, lognormal"),
        ("first_byte = { uniform = [3, 2] }", "must go upwards"),
        ("first_byte = { uniform = 3 }", "must be a pair of numbers"),
        ("first_byte = nan", "line 1: first_byte must be a number"),
        ("outages = [[5, 4]]", "must end after it starts, but goes from 5 to 4"),
        ("outages = [5, 4]", "must be a list of pairs"),
        ("\n[[spells]]\nfrom = 1", "line 2: spells.1..to is missing"),
    ],
)
def test_bad_weather_is_refused(text: str, message: str) -> None:
    """With what is wrong and where."""
    with pytest.raises(ScriptError, match=message):
        weather(text)
