"""Choosing: conditions, samples and the split, which no instruction may straddle."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.faults import PlanError
from engine.exports.choose import Seen, clause, place, sample, validates
from tests.exports.examples import example, quick

two = example(lanes={"instruct": "ideas", "instance": "answers"}, models={"instruct": "m-1", "instance": "m-2"}, language="zh")
scored = example(more={"chrf": 0.4, "of": {"input": {"rouge": 0.2}, "instruction": {"rouge": 0.8}}})


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("lane=ideas,answers", True),
        (" lane = answers , ideas ", True),
        ("lane=ideas", False),
        ("lane!=ideas", False),
        ("lane!=spare", True),
        ("model=m-1,m-2", True),
        ("model!=m-2", False),
        ("language=zh", True),
        ("language!=zh", False),
        ("chrf>=0.1", False),
    ],
)
def test_condition_on_names(text: str, fits: bool) -> None:
    """`=` wants every answer from one of those named, `!=` none; a score that a record does not have fits nothing."""
    assert clause(text)(two) is fits


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("chrf>=0.4", True),
        ("chrf>0.4", False),
        ("chrf<=0.4", True),
        ("chrf<0.4", False),
        ("chrf < 0.41", True),
        ("bleu>=0", False),
        ("rouge>=0.2", True),
        ("rouge>0.2", False),
        ("instruction.rouge>0.2", True),
    ],
)
def test_condition_on_scores(text: str, fits: bool) -> None:
    """Each comparison at its boundary."""
    assert clause(text)(scored) is fits


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no condition"),
        ("lane", "is no condition"),
        ("lane=", "is no condition"),
        ("=main", "is no condition"),
        ("lane>=main", "= or != compare it"),
        ("chrf>=high", "'high' is not a number"),
        ("chrf=0.4", "chrf>=0.5"),
    ],
)
def test_condition_that_is_none(text: str, words: str) -> None:
    """What cannot be understood is told with what can."""
    with pytest.raises(PlanError, match=words):
        clause(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lane=ideas,anwsers", "did you mean 'answers'"),
        ("lane!=nobody", "there are answers, ideas, main"),
        ("model=m-3", "did you mean 'm-[12]'"),
        ("language=en,fr", "no record has the language 'fr'"),
        ("chfr>=0.1", "did you mean 'chrf'"),
    ],
)
def test_condition_that_names_nothing_there_is(text: str, words: str) -> None:
    """A lane, model, language or score that no record has is a mistake, told with those there are."""
    seen = Seen()
    for one in (two, scored):
        seen.add(one)
    for good in ("lane=ideas", "model!=m-2", "language=zh", "chrf>=0.9"):
        seen.check(clause(good))
    with pytest.raises(PlanError, match=words):
        seen.check(clause(text))


groups = st.lists(st.integers(0, 30), max_size=60)


@quick
@given(groups, st.integers(0, 5), st.floats(0, 0.99), st.floats(0, 0.99))
def test_no_instruction_is_on_both_sides(numbers: list[int], seed: int, share: float, other: float) -> None:
    """Whatever else differs between instances of an instruction, they are on one side; a greater share takes all of a smaller."""
    small, great = sorted((share, other))
    sides: dict[int, set[bool]] = {}
    for n, group in enumerate(numbers):
        one = example(n, instruction=f"Question {group}" + " " * (n % 2), input=str(n), language="zh" if n % 3 else "en")
        sides.setdefault(group, set()).add(validates(one, seed, share))
        assert validates(one, seed, small) <= validates(one, seed, great)
    assert all(len(side) == 1 for side in sides.values())


def test_split_has_the_share_and_the_seed_decides() -> None:
    """Of 20,000 instructions 5% are kept, within five standard deviations; another seed keeps others; a share of 0 keeps none."""
    many = [example(n) for n in range(20_000)]
    kept = {one.id for one in many if validates(one, 1, 0.05)}
    assert abs(len(kept) - 1000) < 5 * 31
    others = {one.id for one in many if validates(one, 2, 0.05)}
    assert len(kept & others) < 100
    assert not any(validates(one, 1, 0.0) for one in many)


def test_places_are_spread_evenly() -> None:
    """Ten thousand names, a tenth of them in every tenth; the end is left out, and what is drawn for is part of the name."""
    found = [place(0, "sample", str(n)) for n in range(10_000)]
    assert all(0 <= one < 1 for one in found)
    assert all(abs(count - 1000) < 150 for count in Counter(int(one * 10) for one in found).values())
    assert place(0, "sample", "a") != place(0, "validation", "a") != place(1, "validation", "a")


@quick
@given(groups, st.integers(0, 5), st.integers(1, 40))
def test_sample_has_one_instance_of_each_instruction(numbers: list[int], seed: int, size: int) -> None:
    """As many instructions as were asked for, or all there are, in their order, and the same ones in whatever order they come."""
    many = [example(n, instruction=f"Question {group}") for n, group in enumerate(numbers)]
    found = list(sample(many, seed, size))
    assert len(found) == min(size, len(set(numbers)))
    assert len({one.instruction for one in found}) == len(found)
    assert [one.id for one in found] == [one.id for one in many if one in found]
    assert {one.id for one in sample(reversed(many), seed, size)} == {one.id for one in found}


def test_samples_are_fair() -> None:
    """Over many seeds, every instruction is chosen as often as any other, and so is every instance of one."""
    many = [example(n, instruction=f"Question {n % 4}") for n in range(8)]
    count = Counter(one.id for seed in range(1000) for one in sample(many, seed, 2))
    assert all(abs(times - 250) < 70 for times in count.values())
    assert len(count) == 8
