"""Fine-tuning rows: templates, labels, the space before a completion, repetitions and the order."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.faults import PlanError
from engine.exports.finetune import ALPACA, END, SELF_INSTRUCT, finetune, plainer
from engine.exports.settings import Templates
from tests.exports.examples import example, quick, setting

MANY = [
    example(n, instruction=f"Question {n}", input="" if n % 2 else f"Text: number {n}", output=f"answer {n}") for n in range(600)
]


def filled(texts: tuple[str, ...], n: int, given: str = "") -> set[str]:
    return {text.replace("{instruction}", f"Question {n}").replace("{input}", given) for text in texts}


def test_counts_of_templates_are_the_published_ones() -> None:
    """Seven with an input, six without, none twice; two of Alpaca."""
    assert (len(set(SELF_INSTRUCT.with_input)), len(set(SELF_INSTRUCT.without_input))) == (7, 6)
    assert (len(ALPACA.with_input), len(ALPACA.without_input)) == (1, 1)


def test_every_row_is_a_template_filled_in() -> None:
    """Each template is used, the label is taken off half of the inputs, and every completion ends with the mark of the end."""
    rows = list(finetune(MANY, setting()))
    assert len(rows) == 600
    prompts = {row["completion"]: row["prompt"] for row in rows}
    used = set()
    labels = 0
    for n in range(600):
        answer = f"answer {n}{END}"
        prompt = prompts.get(f" {answer}") or prompts[answer]
        assert (f" {answer}" in prompts) is prompt.endswith("Output:")
        labels += "Text:" in prompt
        texts = SELF_INSTRUCT.without_input if n % 2 else SELF_INSTRUCT.with_input
        given = f"Text: number {n}" if "Text:" in prompt else f"number {n}"
        assert prompt in filled(texts, n, given)
        used.add(re.sub(r"(Text: )?number \d+", "I", re.sub(r"Question \d+", "Q", prompt)) + str(n % 2))
    assert len(used) == 13
    assert 100 < labels < 200


def test_rows_are_shuffled_and_always_alike() -> None:
    """The order is not that of the journal; the same examples give the same rows, and another seed gives others."""
    rows = list(finetune(MANY, setting()))
    assert rows == list(finetune(MANY, setting()))
    numbers = [int(re.findall(r"\d+", row["completion"])[0]) for row in rows]
    assert numbers != sorted(numbers)
    assert sum(a < b for a, b in pairwise(numbers)) < 400


def test_a_row_hangs_on_its_own_example_alone() -> None:
    """More records do not change the prompts of those that were there before."""
    few = {tuple(row.values()) for row in finetune(MANY[:50], setting())}
    assert few <= {tuple(row.values()) for row in finetune(MANY, setting())}


def test_exact_repetitions_are_written_once() -> None:
    """As many rows as there are different pairs: no more than the templates allow."""
    same = [example(n, instruction="Same", output="same") for n in range(400)]
    rows = list(finetune(same, setting()))
    assert len(rows) == 6
    assert len({row["prompt"] for row in rows}) == 6


def test_alpaca_keeps_the_input_as_it_is() -> None:
    """Its templates end at the answer, with nothing behind it, and no label is taken off."""
    rows = list(finetune(MANY[:20], setting(style="alpaca")))
    assert all(row["prompt"].endswith("### Response:\n") for row in rows)
    assert sum("### Input:\nText: number" in row["prompt"] for row in rows) == 10
    assert {row["completion"] for row in rows} == {f"answer {n}" for n in range(20)}


def test_templates_of_the_user(tmp_path: Path) -> None:
    """Are filled in in one go, whatever stands in the record; the mark of the end is the user's as well."""
    path = tmp_path / "own.toml"
    path.write_text('with_input = ["[{instruction}|{input}]"]\nwithout_input = ["<{instruction}>\\n"]\n')
    hostile = [
        example(instruction="{input} {instruction}", input="a: b: {instruction}"),
        example(1, instruction="\\1 {x}", output="o"),
    ]
    rows = list(finetune(hostile, setting(templates=str(path), end="</s>")))
    assert {"prompt": "[{input} {instruction}|a: b: {instruction}]", "completion": " River 0.</s>"} in rows
    assert {"prompt": "<\\1 {x}>\n", "completion": "o</s>"} in rows
    assert next(iter(finetune(hostile, setting(templates=str(path)))))["completion"][-1] in ".o"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("with_input = [", "not usable"),
        ('with_input = ["{instruction}{input}"]', "not usable"),
        ('with_input = []\nwithout_input = ["{instruction}"]', "every text of with_input"),
        ('with_input = ["{instruction}"]\nwithout_input = ["{instruction}"]', "every text of with_input"),
        ('with_input = ["{instruction}{input}"]\nwithout_input = ["Go"]', "every text of without_input"),
        (b"\xff\xfe", "not usable"),
    ],
)
def test_templates_that_are_none(tmp_path: Path, text: str | bytes | None, words: str) -> None:
    """A file that is missing, no TOML, or without the places, is told with what it should have."""
    path = tmp_path / "own.toml"
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(PlanError, match=words):
        finetune([], setting(templates=str(path)))


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("Text: number 4", "number 4"),
        ("a\n\nText:\n\nnumber: no", "a\nText:\nnumber: no"),
        ("Text: a\nText: b", "a\nText: b"),
        ("no label\n\n\n\nhere", "no label\n\nhere"),
        ("see http://x.org", "//x.org"),
    ],
)
def test_label_goes_only_where_there_is_one(given: str, plain: str) -> None:
    """Exactly one distinct word with a colon is a label, to the letter of what was published; blank lines go in any case."""
    assert plainer(given) == plain


@quick
@given(st.text(), st.text(), st.sampled_from([SELF_INSTRUCT, ALPACA]))
def test_any_text_gives_a_row(instruction: str, given: str, texts: Templates) -> None:
    """Nothing in a record can break a template."""
    style = "alpaca" if texts is ALPACA else "self_instruct"
    (row,) = finetune([example(instruction=instruction, input=given)], setting(style=style))
    assert instruction.strip() in row["prompt"]
