"""Alpaca: what its prompts show, how they end and are drawn, and what becomes of the answers."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest

from engine import context, plan
from engine.core.dedup import Index
from engine.core.recipe import Context, Verdict, compose, draw, judge, read
from engine.core.score import f_measure
from engine.core.types import Chat, Completion, Decoding, Item, Reply, Request, Stop, Style, Usage
from engine.recipes.alpaca import RECIPE

(GENERATE,) = RECIPE.steps

STYLES: tuple[Style, ...] = ("completion", "chat")
EXAMPLES = (
    {"id": "seed/3", "instruction": "Add  the\nnumbers:", "input": "1 and 2", "output": "3"},
    {"id": "seed/1", "instruction": "Name a river.", "input": " ", "output": "The Elbe.\nThe Rhine."},
    {"id": "seed/2", "instruction": "Greet.", "input": "Leo", "output": "Hi Leo!"},
)


@cache
def made(**options: Any) -> Context:
    """The context of a plan with these options."""
    data = {"recipe": "alpaca", "goal": 1, "lanes": {"base": {"provider": "local"}}, "options": options}
    return context.load(plan.from_data(data)).context


def shown(context: Context, index: int) -> list[str]:
    """Ids of the examples in one prompt, machine-made tasks being at hand."""
    pool: list[Item] = [{"id": f"generate/0.{n}", "instruction": "X", "input": "", "output": "Y"} for n in range(9)]
    return [item["id"] for item in draw(GENERATE, Request(step="generate", index=index), context, pool).shown]


def proposal(context: Context, style: Style = "completion") -> Completion | Chat:
    """The call of one prompt that shows `EXAMPLES`."""
    (call,) = compose(GENERATE, Request(step="generate", index=0, shown=EXAMPLES), context, style).calls
    assert isinstance(call, Completion | Chat)
    return call


def words_of(call: Completion | Chat) -> str:
    return call.prompt if isinstance(call, Completion) else "\n\n".join(message.content for message in call.messages)


def verdict(context: Context, text: str, *, stop: Stop = Stop.END, style: Style = "completion") -> Verdict:
    """What becomes of an answer to a prompt of three examples."""
    request = Request(step="generate", index=0, shown=EXAMPLES, style=style)
    drafts = read(GENERATE, request, context, (Reply(text=text, stop=stop, usage=Usage()),))
    return judge(GENERATE, request, context, drafts, Index(context.tokens))


def reasons(verdict: Verdict) -> dict[int, str]:
    return {n: reason for n, _, reason in verdict.dropped}


# prompts


def test_a_prompt_shows_three_different_seeds_and_no_machine_made_task() -> None:
    """Alpaca's pool never feeds back; requests differ in what they show, and all seeds take part."""
    context = made()
    prompts = [shown(context, index) for index in range(400)]
    assert all(len(set(ids)) == 3 for ids in prompts)
    assert {id for ids in prompts for id in ids} == {f"seed/{n}" for n in range(175)}
    assert prompts == [shown(context, index) for index in range(400)]


def test_an_example_carries_the_first_instance_of_its_seed() -> None:
    """Instruction, input and output of one seed belong together."""
    context = made()
    for example in draw(GENERATE, Request(step="generate", index=0), context, []).shown:
        seed = context.seeds[int(example["id"].removeprefix("seed/"))]
        assert example == {"id": example["id"], "instruction": seed["instruction"], **seed["instances"][0]}


def test_a_completion_is_a_list_of_blocks_that_breaks_off() -> None:
    """Three numbered blocks, an empty input shown as "<noinput>", and the first label of the fourth."""
    assert words_of(proposal(made())).endswith(
        "###\n1. Instruction: Add the numbers\n1. Input:\n1 and 2\n1. Output:\n3\n"
        "###\n2. Instruction: Name a river.\n2. Input:\n<noinput>\n2. Output:\nThe Elbe.\nThe Rhine.\n"
        "###\n3. Instruction: Greet.\n3. Input:\nLeo\n3. Output:\nHi Leo!\n"
        "###\n4. Instruction:"
    )


def test_a_prompt_asks_for_twenty_tasks_in_all() -> None:
    """Three are shown and seventeen are new, or as many as the options say."""
    assert re.search(r"\b20\b", words_of(proposal(made())).partition("###")[0])
    assert re.search(r"\b4 to 20\b", words_of(proposal(made(), "chat")).splitlines()[-1])
    assert re.search(r"\b4 to 8\b", words_of(proposal(made(new=5), "chat")).splitlines()[-1])


def test_parity_draws_as_published() -> None:
    """Every decoding setting is the published one, the ban on the end of text included."""
    assert proposal(made(parity=True)).decoding == Decoding(
        max_tokens=3072, temperature=1.0, top_p=1.0, stop=("\n20", "20.", "20."), logit_bias=((50256, -100),)
    )


@pytest.mark.parametrize("style", STYLES)
def test_the_default_bans_no_token(style: Style) -> None:
    """A number of a token means something in one vocabulary only."""
    assert proposal(made(), style).decoding.logit_bias == ()


@pytest.mark.parametrize("options", [{}, {"topic": "bees"}, {"parity": True}])
def test_chats_are_split_into_system_and_user(options: dict[str, Any]) -> None:
    """The rules are the system's, the examples the user's; no mark of the template is left in either style."""
    call = proposal(made(**options), "chat")
    assert isinstance(call, Chat)
    assert [message.role for message in call.messages] == ["system", "user"]
    assert "###\n1. Instruction: Add the numbers" in call.messages[1].content
    for text in (*(message.content for message in call.messages), words_of(proposal(made(**options)))):
        assert not re.search(r"^---$|\{\w+\}", text, re.MULTILINE)


@pytest.mark.parametrize("style", STYLES)
def test_a_topic_is_one_line_of_the_prompt(style: Style) -> None:
    """With a topic the prompt has a line about it, without one none."""
    lines, plain = (words_of(proposal(context, style)).splitlines() for context in (made(topic="keeping bees"), made()))
    assert [line for line in lines if line not in plain] == [line for line in lines if "keeping bees" in line]
    assert len(lines) == len(plain) + 1


# answers

SECOND = "\n5. Instruction: Compare the two small towns.\n5. Input:\n<NoInput>\n5. Output:\nOne is older.\n"
ANSWER = f" Describe a morning in winter.\n4. Input:\nNorway\n4. Output:\nDark and cold.\n\n###{SECOND}"
TASKS = [
    {"instruction": "Describe a morning in winter.", "input": "Norway", "output": "Dark and cold."},
    {"instruction": "Compare the two small towns.", "input": "", "output": "One is older."},
]


@pytest.mark.parametrize("options", [{}, {"parity": True}])
def test_a_completion_goes_on_after_the_first_label(options: dict[str, Any]) -> None:
    """The reply begins inside the fourth task; each block after a "###" is another."""
    assert verdict(made(**options), ANSWER).kept == tuple(enumerate(TASKS))


@pytest.mark.parametrize(("remark", "lost"), [("", {}), ("Here you are:\n", {0: "malformed_block"})])
def test_a_chat_writes_whole_blocks(remark: str, lost: dict[int, str]) -> None:
    """In chat style every task has its own labels and marks; what the model says before them is no task."""
    result = verdict(made(), f"{remark}###\n**4. Instruction:**{ANSWER}", style="chat")
    assert ([item for _, item in result.kept], reasons(result)) == (TASKS, lost)


@pytest.mark.parametrize("options", [{}, {"parity": True}])
def test_only_the_last_block_of_a_cut_reply_is_lost(options: dict[str, Any]) -> None:
    """What was written before it is whole."""
    result = verdict(made(**options), ANSWER, stop=Stop.LENGTH)
    assert ([item for _, item in result.kept], reasons(result)) == (TASKS[:1], {1: "cut"})


def test_a_block_that_cannot_be_read_is_lost_alone() -> None:
    """Its neighbours stay. As published a skipped number also loses all that follow, since a block's place gives its number."""
    broken = f" Describe a morning in winter.\n4. Output:\nDark and cold.\n###{SECOND}"
    assert reasons(verdict(made(), broken)) == {0: "malformed_block"}
    assert reasons(verdict(made(parity=True), broken)) == {0: "malformed_block"}
    skipped = ANSWER.replace("5.", "6.")
    assert [item for _, item in verdict(made(), skipped).kept] == TASKS
    assert reasons(verdict(made(parity=True), skipped)) == {1: "malformed_block"}


@pytest.mark.parametrize("style", STYLES)
def test_a_reply_without_a_task_is_one_lost_item(style: Style) -> None:
    """Nobody asks twice: the next request draws other examples anyway."""
    assert reasons(verdict(made(), "I would rather not.", style=style)) == {0: "no_task"}


def test_alpaca_has_more_keywords_and_its_own_capitals() -> None:
    """Sound and moving pictures are out too; letters stay as they are, so that a small "write a program" passes."""
    text = ANSWER.replace("Describe a morning in winter", "describe the music of winter").replace(
        "Compare the two small towns", "write a program for NASA"
    )
    for options in ({}, {"parity": True}):
        result = verdict(made(**options), text)
        assert [item["instruction"] for _, item in result.kept] == ["write a program for NASA."]
        assert reasons(result) == {0: "keyword"}


def test_default_filters_look_at_outputs() -> None:
    """The published script checks instructions only."""
    text = ANSWER.replace("One is older.", "").replace("Dark and cold", "I cannot see it")
    assert reasons(verdict(made(), text)) == {0: "refusal", 1: "no_output"}
    assert len(verdict(made(parity=True), text).kept) == 2


def test_instructions_must_differ_within_a_reply_too() -> None:
    """The second of two that resemble each other goes, whatever its input."""
    text = ANSWER.replace("Compare the two small towns", "Describe a morning in late winter")
    assert reasons(verdict(made(), text)) == {1: f"duplicate of generate/0.0 ({f_measure(5, 5, 6)!r})"}
