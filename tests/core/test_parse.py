"""Parsing: what is read from the lists, fields and objects that models write, tidy or not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core import parse
from engine.core.marks import CHINESE
from engine.core.parse import Block, Malformed

quick = settings(max_examples=60, deadline=None, derandomize=True)


# numbered lists


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1. Write a poem.\n2. Name a river.", ["Write a poem.", "Name a river."]),
        ("Sure, here they are:\n\n9. Write a poem.\n\n10. Name a river.", ["Write a poem.", "Name a river."]),
        ("9) Write\n   a poem.\n10: Name a river.", ["Write a poem.", "Name a river."]),
        ("1. Sort these:\n   7. c\n   3. b\n2. Name a river.", ["Sort these: 7. c 3. b", "Name a river."]),
        ("1. Multiply 2.5 by 2 ** 3.\n2. Name 3. party apps.", ["Multiply 2.5 by 2 ** 3.", "Name 3. party apps."]),
        ("### 1. Write a poem.\n### 2. Name a river.", ["Write a poem.", "Name a river."]),
        ("**1. Write a poem.**\n**2. Name a river.**", ["Write a poem.", "Name a river."]),
        ("1. **Write** a poem.\n2. **Name** a **river**.", ["Write a poem.", "Name a river."]),
        ("1. *Write* a poem.\n2. Name a river.", ["Write a poem.", "Name a river."]),
        ("**1.** Write a poem.\n**2.** Name a river.", ["Write a poem.", "Name a river."]),
    ],
    ids=[
        "plain", "preamble", "brackets and colons", "a list in a list", "numbers in sentences",
        "headings", "bold items", "bold words", "italic words", "bold numbers",
    ],
)  # fmt: skip
def test_items_of_a_whole_list(text: str, found: list[str]) -> None:
    """Items are what stands behind ascending numbers, without Markdown and white space."""
    assert parse.items(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (" Write a poem.\n10. Name a river.", ["Write a poem.", "Name a river."]),
        (" Write a poem.", ["Write a poem."]),
        (" Write a poem.\n10.\n11. Name a river.", ["Write a poem.", "", "Name a river."]),
        (" Write a poem.\n12. Skip ahead.\n10. Name a river.", ["Write a poem. 12. Skip ahead.", "Name a river."]),
    ],
    ids=["two", "one", "an empty one", "a number out of order"],
)
def test_items_of_a_continued_list(text: str, found: list[str]) -> None:
    """Where the prompt ended with a number, the text begins inside that item."""
    assert parse.items(text, continues=9) == found


@pytest.mark.parametrize(
    ("text", "continues", "reason"),
    [("I cannot do that.", None, "no_list"), ("1.\n2. \n", None, "empty_list"), ("", 9, "empty_list")],
)
def test_a_text_without_items_is_malformed(text: str, continues: int | None, reason: str) -> None:
    """No list, or a list of nothing, is no answer."""
    with pytest.raises(Malformed) as malformed:
        parse.items(text, continues=continues)
    assert malformed.value.reason == reason


def test_reference_items_start_at_any_number() -> None:
    """The published split takes every number at the start of a line that a full stop and a blank follow."""
    text = " Write a\tpoem. \n10. Name a river.\n3 . Sort.\n4.Stay here.\n\n16. End"
    assert parse.reference_items(text) == ["Write a poem.", "Name a river.", "Sort. 4.Stay here.", "End"]


# yes or no


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        *[(text, True) for text in ("Yes", " yes.", "YES, it is.", "**Yes**", "\n> Yes", "__Yes__", "_yes_.")],
        *[(text, False) for text in ("No", "no!", " NO\n\nTask: x", "“No”", "*No*, there is no label.", "_No_")],
    ],
)
def test_yes_or_no_is_what_a_text_opens_with(text: str, answer: bool) -> None:
    """Case, punctuation and emphasis around the word do not matter."""
    assert parse.yes_or_no(text) is answer


@pytest.mark.parametrize("text", ["", "  ", "Maybe", "Nope", "Yesterday", "It is not.", "I would say yes", "None"])
def test_an_unclear_answer_is_malformed(text: str) -> None:
    """A text that opens with neither word is not an answer, nor is a longer word that begins like one."""
    with pytest.raises(Malformed, match="unclear"):
        parse.yes_or_no(text)


@pytest.mark.parametrize(
    ("text", "answer"), [("Yes", True), (" yes\n", True), ("YES", True), ("Yes.", False), ("yEs", False), ("", False)]
)
def test_the_published_script_knows_three_spellings_of_yes(text: str, answer: bool) -> None:
    """All else is no, an empty answer too."""
    assert parse.reference_yes(text) is answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        *[(text, True) for text in ("是", " 是的。", "是分类任务。", "“是”", "**是**", "答案：是", "这是分类任务")],
        *[(text, True) for text in ("属于分类任务", "对。", "Yes，它是")],
        *[(text, False) for text in ("否", "不是", "否。理由如下", "答案是：否", "该任务不是分类任务", "不属于分类任务")],
        *[(text, False) for text in ("非分类任务", "不，它是写作", "NO")],
        *[("任务：写诗。\n是分类任务吗？否", False), ("是分类任务吗?是", True)],
    ],
)  # fmt: skip
def test_yes_or_no_in_chinese(text: str, answer: bool) -> None:
    """The word may have company, before it or behind it; the question, repeated, is no answer."""
    assert parse.yes_or_no(text, CHINESE) is answer


@pytest.mark.parametrize(
    "text", ["", "是否", "是不是", "不确定", "不好说", "否则", "是非题", "对比一下", "这要看", "None", "yesterday"]
)
def test_an_unclear_answer_in_chinese_is_malformed(text: str) -> None:
    """Longer words that begin like one of the two are none."""
    with pytest.raises(Malformed, match="unclear"):
        parse.yes_or_no(text, CHINESE)


# instances


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("**Output:** 7", "Output: 7"),
        ("**Output**: 7", "Output: 7"),
        ("__Output:__ 7", "Output: 7"),
        ("  ### Example 1\n#### Output: 7", "  Example 1\nOutput: 7"),
        ("**News item:** Rain.", "News item: Rain."),
    ],
)
def test_labels_lose_their_markdown(text: str, label: str) -> None:
    """Headings and bold marks around a label go, indentation stays."""
    assert parse.plain_labels(text) == label


@pytest.mark.parametrize(
    "text",
    [
        "Output: 7",
        "Output:\n# add the numbers\ntotal = a + b",
        "__init__ runs first",
        "**Vegan** dishes only",
        "* one\n* two",
        "2 * 3 * 4: **24**",
    ],
    ids=["plain label", "comment in code", "name in code", "bold word", "bullets", "inside a line"],
)
def test_what_is_no_label_stays_as_it_is(text: str) -> None:
    """An output keeps its own marks: only labels are made plain."""
    assert parse.plain_labels(text) == text


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("Example 1\nList: a, b\nOutput: 2\nExample 2\nList: c\nOutput: 1\n", [("List: a, b", "2"), ("List: c", "1")]),
        ("Input: 3\nOutput: 9", [("3", "9")]),
        ("Output: 9", [("", "9")]),
        ("A poem.\nExample 1.\nOutput: 9", [("", "A poem."), ("", "9")]),
        ("Example 1\nA poem.", [("", "A poem.")]),
        ("Example\nx\nOutput 1: y\nOutput 2: z", [("x", "y")]),
        ("Example 1\nInput 1: x\nOutput: y\nInput 2: z", [("x", "y")]),
        ("Text: x\nInput: y\nOutput: z", [("Text: x\nInput: y", "z")]),
        ("There is nothing here.", []),
        ("", []),
    ],
    ids=[
        "examples", "no example", "no input", "text before the first", "no output label", "second output is lost",
        "output ends at an input", "other fields stay", "no marker", "empty",
    ],
)  # fmt: skip
def test_instances_in_the_order_input_then_output(text: str, pairs: list[tuple[str, str]]) -> None:
    """ "Example" separates instances, the first "Output:" ends an input, an "Input:" ends an output."""
    assert parse.input_first(text) == pairs


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        (
            "Class label: spam\nMessage: Win!\nClass label: not spam\nHi,\nLeo",
            [("Message: Win!", "spam"), ("Hi,\nLeo", "not spam")],
        ),
        ("Let me see.\nClass label: true", [("", "true")]),
        ("Class label:\nspam\nWin!", [("Win!", "spam")]),
        ("spam\nWin!", []),
    ],
    ids=["two", "no input", "label on the next line", "no label"],
)
def test_instances_in_the_order_label_then_input(text: str, pairs: list[tuple[str, str]]) -> None:
    """The line behind "Class label:" is the output, what follows is the input; text before the first label is none."""
    assert parse.output_first(text) == pairs


@pytest.mark.parametrize("text", ["None", "none.", "N/A", "<noinput>", "<NoInput>", "(no input)", "Not applicable", ""])
def test_a_remark_that_there_is_no_input_is_no_input(text: str) -> None:
    """The usual ways to say "nothing" become nothing."""
    assert parse.blank_if_none(text) == ""


@pytest.mark.parametrize("text", ["None of the above", "no input was given", "0", "-"])
def test_an_input_that_says_more_stays(text: str) -> None:
    """Only a text that says nothing else is taken for nothing."""
    assert parse.blank_if_none(text) == text


# Alpaca blocks

BLOCK = Block("Add the numbers.", "1 and 2", "3")


@pytest.mark.parametrize(
    "text",
    [
        "4. Instruction: Add the numbers.\n4. Input:\n1 and 2\n4. Output:\n3\n",
        "\n5. Instruction: Add\nthe numbers.\n\n6. Input: 1 and 2\n7. Output: 3",
        "**Instruction:** Add the numbers.\n**Input:** 1 and 2\n**Output:** 3",
        "**4. Instruction**: Add the numbers.\n**4. Input**:\n1 and 2\n**4. Output**:\n3",
    ],
    ids=["as asked", "other numbers", "bold", "bold with numbers"],
)
def test_a_block_is_read_whatever_its_numbers_and_marks(text: str) -> None:
    """Three fields in their order make a task."""
    assert parse.block(text) == BLOCK


@pytest.mark.parametrize(
    "text",
    [
        "Instruction: Add.\nOutput: 3\nInput: 1 and 2",
        "Instruction: Add.\nInput: 1 and 2",
        "Instruction: Add.\nInput: 1\nOutput: 3\nOutput: 4",
        "Here are your tasks:",
        "",
    ],
    ids=["other order", "no output", "two outputs", "a remark", "empty"],
)
def test_a_block_needs_each_field_once_and_in_order(text: str) -> None:
    """Anything else is no task."""
    assert parse.block(text) is None


def test_a_field_name_inside_a_line_is_text() -> None:
    """Only the start of a line opens a field."""
    assert parse.block("Instruction: Name an Input: field\nInput: N/A\nOutput: see Output: x") == Block(
        "Name an Input: field", "", "see Output: x"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("4. Instruction: Add the numbers.\n4. Input:\n1 and 2\n4. Output:\n3\n", BLOCK),
        ("4.  Instruction: Add the numbers.\n4. Input: <NOINPUT>\n4. Output: 3", Block("Add the numbers.", "", "3")),
        ("5. Instruction: Add the numbers.\n5. Input:\n1 and 2\n5. Output:\n3\n", None),
        ("4.Instruction: Add the numbers.\n4.Input:\n1 and 2\n4.Output:\n3\n", None),
    ],
    ids=["as asked", "no input", "another number", "no blank"],
)
def test_the_published_block_needs_its_number(text: str, found: Block | None) -> None:
    """The published script reads a task only under the number that its place in the reply gives it."""
    assert parse.reference_block(text, 4) == found


# JSON


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no_json"),
        (b"<html>", "no_json"),
        (b'{"a": 1', "no_json"),
        (b'{"a":' * 100_000, "no_json"),
        (b"[1]", "no_json_object"),
    ],
    ids=["empty", "html", "cut", "deep", "list"],
)
def test_a_body_without_a_json_object_is_malformed(body: bytes, reason: str) -> None:
    """Whatever a server sends instead, the reason is a short name."""
    with pytest.raises(Malformed) as malformed:
        parse.json_object(body)
    assert malformed.value.reason == reason


@quick
@given(st.text(st.sampled_from("a写\U0001f600") | st.characters(categories=["Cs"])))
def test_lone_surrogates_are_replaced_one_by_one(text: str) -> None:
    """Escaped halves of characters become U+FFFD, whole characters stay, and the result can be written again."""
    body = json.dumps({"deep": [{"text": text}]}).encode()
    whole = json.loads(body)["deep"][0]["text"]
    found = parse.json_object(body)
    assert found == {"deep": [{"text": re.sub("[\ud800-\udfff]", "\ufffd", whole)}]}
    assert parse.json_object(orjson.dumps(found)) == found


# any text at all

FRAGMENTS = (
    "\n", " ", "9.", "\n10. ", "\n11) ", "**", "__", "# ", "###", "Example 1", "Output:", "Output 2:", "Input:", "Class label:",
    "4. Instruction:", "\n4. Input:", "\n4. Output:", "<noinput>", "Yes", "No", "None", '{"a":', '"\\ud83d"', "}", "写",
)  # fmt: skip
replies = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=5), max_size=20).map("".join)

READERS: tuple[Callable[[str], Any], ...] = (
    parse.items,
    lambda text: parse.items(text, continues=9),
    parse.reference_items,
    parse.yes_or_no,
    parse.reference_yes,
    parse.plain_labels,
    parse.input_first,
    parse.output_first,
    parse.blank_if_none,
    parse.block,
    lambda text: parse.reference_block(text, 4),
    lambda text: parse.json_object(text.encode()),
)


@quick
@given(replies)
def test_no_text_is_too_strange_to_read(text: str) -> None:
    """Every reader finds something, finds nothing, or says `Malformed`; it never fails in another way."""
    for reader in READERS:
        try:
            reader(text)
        except Malformed as malformed:
            assert re.fullmatch("[a-z_]+", malformed.reason)


@quick
@given(st.binary())
def test_no_bytes_are_too_strange_to_read(body: bytes) -> None:
    """A body is a JSON object or malformed."""
    try:
        assert isinstance(parse.json_object(body), dict)
    except Malformed as malformed:
        assert malformed.reason in ("no_json", "no_json_object")


@pytest.mark.parametrize("text", ["Output" + "\n" * 10_000 + "x", "\n" + "_" * 10_000, "1. " + "**a " * 2_500])
def test_a_model_that_got_stuck_is_read_at_once(text: str) -> None:
    """Thousands of repeated characters take milliseconds to read, not seconds: replies are read where the run waits for it."""
    for reader in READERS:
        try:
            reader(text)
        except Malformed:
            continue


# an instruction alone


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Write a poem about the sea.", "Write a poem about the sea."),
        (" Write a poem\nabout the sea. ", "Write a poem about the sea."),
        ("Instruction: Write a poem.", "Write a poem."),
        ("**Instruction:** Write a poem.\n\nLet me know if it fits!", "Write a poem."),
        ("Sure! Here is the instruction:\n\nWrite a poem.\n\nIt fits the text.", "Write a poem."),
        ("Sure.\n\n### Task: Write a poem.", "Write a poem."),
        ('"Write a poem."', "Write a poem."),
        ('"Write" a "poem"', '"Write" a "poem"'),
        ("指令：写一首诗。", "写一首诗。"),
        ("“写一首诗。”", "写一首诗。"),
        ("好的，指令如下：\n写一首关于“海”的诗。", "写一首关于“海”的诗。"),
        ("Explain this term: entropy", "Explain this term: entropy"),
        ("Fix the list:\n1, 3, 2", "1, 3, 2"),
    ],
)
def test_instruction(text: str, found: str) -> None:
    """What stands around the instruction is taken off: label, remarks, emphasis, quotation marks. A line that ends in a colon is
    taken for a remark."""
    assert parse.instruction(text) == found


@pytest.mark.parametrize("text", ["", " \n", "Instruction:", '""'])
def test_no_instruction(text: str) -> None:
    """Nothing to ask is malformed."""
    with pytest.raises(Malformed, match="no_instruction"):
        parse.instruction(text)
