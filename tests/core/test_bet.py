"""The bet: what ends an answer, and that it ends itself where it does not pay."""

from __future__ import annotations

from random import Random

import pytest
from msgspec import structs

from engine.core.bet import CONTROL, LEARNING, Bet, Peek
from engine.core.types import Reply, Request, Settled, Stop, Usage

PROMPT, ITEM = 1000, 20
"""Tokens of a prompt and of one item."""


def settled(index: int, stale: list[bool]) -> Settled:
    """An answer of which these items were duplicates of earlier ones, and the others kept."""
    reply = Reply(text="", stop=Stop.END, usage=Usage(tokens_in=PROMPT, tokens_out=len(stale) * ITEM))
    return Settled(
        step="instruct",
        index=index,
        of=None,
        try_=0,
        t=0.0,
        shown=(),
        style="chat",
        q="",
        lane="a",
        replies=(reply,),
        kept=tuple((n, {"instruction": "x"}) for n, old in enumerate(stale) if not old),
        dropped=tuple((n, {"instruction": "x"}, "duplicate of seed/1 (0.9)") for n, old in enumerate(stale) if old),
    )


def played(bet: Bet, replies: int, duplicate: list[float], rng: Random, items: int = 17) -> float:
    """Tokens for each kept item of a run whose replies are each duplicates to a share drawn from `duplicate`."""
    tokens = kept = 0
    for index in range(replies):
        share = rng.choice(duplicate)
        stale = [rng.random() < share for _ in range(items)]
        peek = Peek(Request(step="instruct", index=index))
        if bet.place(index):
            for n in range(1, items + 1):
                bet.look(peek, ["old" if old else "new" for old in stale[:n]], "old".__eq__)
                if peek.lost:
                    stale = stale[:n]
                    break
        line = settled(index, stale)
        bet.learn(
            structs.replace(line, replies=tuple(structs.replace(reply, stop=Stop.CUT) for reply in line.replies))
            if peek.lost
            else line
        )
        tokens, kept = tokens + PROMPT + len(stale) * ITEM, kept + stale.count(False)
    return tokens / kept


def test_row_of_duplicates_ends_an_answer() -> None:
    """Only so many in a row count, one new item between them begins the count anew, and each item is looked at once."""
    seen: list[str] = []

    def known(text: str) -> bool:
        seen.append(text)
        return text.startswith("old")

    bet, peek = Bet(3, 0), Peek(Request(step="instruct", index=1))
    bet.look(peek, ["old 1", "old 2"], known)
    bet.look(peek, ["old 1", "old 2", "new 3"], known)
    bet.look(peek, ["old 1", "old 2", "new 3", "old 4", "old 5"], known)
    assert not peek.lost
    bet.look(peek, ["old 1", "old 2", "new 3", "old 4", "old 5", "old 6", "new 7"], known)
    assert peek.lost
    assert seen == ["old 1", "old 2", "new 3", "old 4", "old 5", "old 6"]


@pytest.mark.parametrize("seed", range(8))
def test_bet_pays_where_duplicates_cluster(seed: int) -> None:
    """Half of the replies all stale: cutting them saves most of what they would have said, and goes on doing so."""
    whole = played(Bet(100, seed), 2000, [0.0, 1.0], Random(seed))
    cut = played(bet := Bet(3, seed), 2000, [0.0, 1.0], Random(seed))
    stale, heard_out = (PROMPT + 3 * ITEM), (PROMPT + 17 * ITEM)
    best = (stale + heard_out) / (2 * heard_out)
    assert best < cut / whole < best + (1 - best) * (CONTROL + 0.05)
    assert bet.pays


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [0.3, 0.6])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_bet_is_off_where_it_does_not_pay(seed: int, share: float, after: int) -> None:
    """Independent duplicates: in the long run an item costs at most two in a hundred more than without the bet."""
    whole = played(Bet(100, seed), 3000, [share], Random(seed))
    assert played(Bet(after, seed), 3000, [share], Random(seed)) <= 1.02 * whole


@pytest.mark.parametrize(("items", "pays"), [(61, False), (62, False), (63, True)])
def test_bet_pays_just_where_the_rest_is_dearer(items: int, pays: bool) -> None:
    """Cut after two duplicates, ten items cost 1,240 tokens; the rest has ten of so many, and at 62 costs as much for each."""
    bet = Bet(2, 0)
    for n in range(LEARNING):
        bet.learn(settled(n, [False] * 10 + [True] * 2 + [False] * 10 + [True] * (items - 10)))
    assert bet.pays is pays


def test_bet_comes_on_when_duplicates_begin_to_cluster() -> None:
    """A pool that grows makes more duplicates: what was off for good reason is on once there is a better one."""
    bet = Bet(2, 0)
    for n in range(300):
        bet.learn(settled(n, [n % 2 == 0, False, True, True, False, False]))
    assert not any(bet.place(n) for n in range(100))
    for n in range(300, 900):
        bet.learn(settled(n, [n % 2 == 0] * 17))
    assert sum(bet.place(n) for n in range(1000)) == pytest.approx(1000 * (1 - CONTROL), abs=40)


def test_nothing_is_cut_before_enough_is_known() -> None:
    """The first answers are heard out; those that failed, and those that somebody cut, teach nothing."""
    bet = Bet(2, 0)
    line = settled(0, [True] * 10)
    for n in range(LEARNING - 1):
        bet.learn(settled(n, [False] * 10 if n % 2 else [True] * 10))
        bet.learn(structs.replace(line, replies=()))
        bet.learn(structs.replace(line, replies=tuple(structs.replace(reply, stop=Stop.CUT) for reply in line.replies)))
    assert not bet.pays
    assert not bet.place(1)
    bet.learn(line)
    assert bet.pays


def test_duplicates_within_an_answer_are_not_the_bet_s() -> None:
    """Items that resemble each other only: nobody knew them before the answer had come, so nothing would have been cut."""
    within, before = Bet(2, 0), Bet(2, 0)
    for n in range(LEARNING):
        line = settled(n, [False, True, True, True])
        before.learn(line)
        own = tuple((m, item, f"duplicate of instruct/{n}.0 (0.9)") for m, item, _ in line.dropped)
        within.learn(structs.replace(line, dropped=own))
    assert before.pays
    assert not within.pays
