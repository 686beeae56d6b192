"""Scripts: what they say, and what is told to the author of a bad one."""

from __future__ import annotations

import re

import pytest

from providers.simulator import data, script
from providers.simulator.script import ScriptError
from providers.simulator.tables import line_of


def refused(text: str) -> str:
    with pytest.raises(ScriptError) as caught:
        script.read(text)
    return str(caught.value)


def test_the_example_can_be_played() -> None:
    """It has four accounts, of three dialects, with every kind of limit."""
    accounts = script.read(data.example()).accounts
    assert [account.name for account in accounts] == ["a", "azure", "libre", "amazon"]
    kinds = {limit.kind for account in accounts for limit in account.limits}
    assert kinds == {"bucket", "fixed", "sliding", "subwindow", "concurrent", "growth", "day", "money", "ban"}


@pytest.mark.parametrize(
    "place", ["[answers]", "[accounts.a]", "[accounts.a.weather]", "[accounts.azure]", "[accounts.a.prices.small]"]
)
def test_the_example_shows_every_key(place: str) -> None:
    """The keys that an unknown one is told about all stand in the example."""
    message = refused(data.example().replace(f"{place}", f"{place}\nunheard_of = 1", 1))
    keys = message.rpartition("the keys here are ")[2].split(", ")
    assert len(keys) > 3
    assert not [key for key in keys if not re.search(rf"\b{key}\b", data.example())]


def test_the_least_script() -> None:
    """One account with nothing in it answers anybody without a limit."""
    (account,) = script.read("[accounts.a]").accounts
    assert (account.dialect, account.keys, account.limits, account.prices) == ("openai", (), (), ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: accounts has no account; write at least [accounts.a]"),
        ("[accounts.a", "the script is not TOML: "),
        ("[acounts.a]", "line 1: acounts is not a key (did you mean 'accounts'?); the keys here are accounts, answers"),
        ("[accounts.a]\n\nkey = ['x']", "line 3: accounts.a.key is not a key (did you mean 'keys'?)"),
        ("[accounts.a]\nkeys = 'x'", "line 2: accounts.a.keys must be a list, not 'x'"),
        ("[accounts.a]\nkeys = [3]", "line 2: accounts.a.keys must be a list of texts, but has 3"),
        ("[accounts.a]\ndialect = 'opnai'", "not 'opnai' (did you mean 'openai'?)"),
        ("[accounts.a]\nprefix = 'a'", 'accounts.a.prefix must be one part of a path, such as "/a"'),
        ("[accounts.a]\n[accounts.b]", "line 2: accounts.b and accounts.a need keys that tell them apart, or prefixes"),
        ("[accounts.a]\nkeys=['x']\n[accounts.b]\nkeys=['x']", "line 3: accounts.b and accounts.a share the key 'x'"),
        ("[accounts.a]\nmodels=['m']\nlimits=[{kind='fixed',limit=1,model='n'}]", "has a limit for 'n', which is not among"),
        ("[accounts.a]\nlimits=[{kind='fixed',limit=1},\n{kind='fixed',limit=2}]", "has two limits called 'requests a minute'"),
        (
            "[accounts.a]\nlimits=[{kind='fixed',limit=1},\n{kind='fixed',limt=2}]",
            "line 2: accounts.a.limits[2].limit is missing ('limt' is there)",
        ),
        ("[accounts.a.weather]\nrevoked={x=1}", "revokes 'x', which is not among the account's keys"),
        ("[answers]\nlanguage='xx'\n[accounts.a]", "line 2: answers.language must be one of auto, en, zh, not 'xx'"),
        ("[answers]\nrefused=0.6\nmalformed=0.6\n[accounts.a]", "has shares of answers that add up to more than 1"),
        ("[accounts.a.prices.m]\ntokens=1", "line 2: accounts.a.prices.m.tokens is not a key"),
        ("accounts = 3", "line 1: accounts must be a table, not 3"),
    ],
)
def test_bad_scripts_are_refused(text: str, message: str) -> None:
    """One sentence: the line, what is wrong, what is known there."""
    assert message in refused(text)
    assert "\n" not in refused(text)


def test_accounts_of_two_dialects_need_no_prefix() -> None:
    """Their paths tell them apart."""
    assert len(script.read("[accounts.a]\n[accounts.b]\ndialect = 'libretranslate'").accounts) == 2


TEXT = """
[a]
x = 1
[[a.rows]]
x = 2
[[a.rows]]
x = 3
"quoted.key" = 4
inline = { x = 5, y = 6 }
rows2 = [
    { x = 7 },
    { y = 8 },
]
[b]
c.d = 9
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a", "x"), 3),
        (("a", "rows", 0, "x"), 5),
        (("a", "rows", 1, "x"), 7),
        (("a", "rows", 1, "missing"), 6),
        (("a", "rows", 1, "inline", "y"), 9),
        (("a", "rows", 1, "rows2", 1, "y"), 12),
        (("b", "c", "d"), 15),
        (("b",), 14),
        (("nowhere",), 1),
    ],
)
def test_lines_are_found(path: tuple[str | int, ...], line: int) -> None:
    """A key is found in its own table, in which of a list of tables it is, and inside tables on one line."""
    assert line_of(TEXT, path) == line
