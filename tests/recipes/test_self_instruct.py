"""Self-Instruct: what its prompts show, how they end and are drawn, and what becomes of the answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from engine import context, plan
from engine.core.dedup import Index
from engine.core.parse import Malformed
from engine.core.recipe import Context, Verdict, compose, draw, judge, read
from engine.core.score import f_measure
from engine.core.types import Chat, Completion, Decoding, Item, Reply, Request, Stop, Style, Usage
from engine.recipes.self_instruct import RECIPE

INSTRUCT, CLASSIFY, INSTANCE = RECIPE.steps

POOL = [{"id": f"instruct/0.{n}", "instruction": f"Machine-made  task\n{n}:"} for n in range(50)]
SORT = {"id": "classify/0.0", "instruction": "Sort the numbers.", "is_classification": False}
LABEL = {"id": "classify/1.0", "instruction": "Is the message spam?", "is_classification": True}
STYLES: tuple[Style, ...] = ("completion", "chat")


@cache
def made(seeds: str | None = None, **options: Any) -> Context:
    """The context of a plan with these options."""
    data = {"recipe": "self_instruct", "goal": 1, "lanes": {"base": {"provider": "local"}}, "options": options}
    return context.load(plan.from_data(data | ({"seeds": seeds} if seeds else {}))).context


def shown(context: Context, pool: Sequence[Item], index: int = 0) -> list[str]:
    """Ids of the examples in one prompt that proposes."""
    return [item["id"] for item in draw(INSTRUCT, Request(step="instruct", index=index), context, pool).shown]


def machine_made(ids: Sequence[str]) -> int:
    return sum(id.startswith("instruct/") for id in ids)


def proposal(context: Context, style: Style = "completion", pool: Sequence[Item] = POOL) -> Completion | Chat:
    """The call of one prompt that proposes."""
    request = draw(INSTRUCT, Request(step="instruct", index=0), context, pool)
    (call,) = compose(INSTRUCT, request, context, style).calls
    assert isinstance(call, Completion | Chat)
    return call


def question(context: Context, item: Item, style: Style = "completion", try_: int = 0) -> Completion | Chat:
    """The call of one prompt about an item: classifying it where its kind is open, answering it otherwise."""
    step = INSTANCE if "is_classification" in item else CLASSIFY
    (call,) = compose(step, Request(step=step.name, index=0, item=item, try_=try_), context, style).calls
    assert isinstance(call, Completion | Chat)
    return call


def words_of(call: Completion | Chat) -> str:
    return call.prompt if isinstance(call, Completion) else "\n\n".join(message.content for message in call.messages)


def reply(text: str, stop: Stop = Stop.END) -> tuple[Reply, ...]:
    return (Reply(text=text, stop=stop, usage=Usage()),)


def verdict(
    context: Context, text: str, item: Item | None = None, *, stop: Stop = Stop.END, style: Style = "completion", try_: int = 0
) -> Verdict:
    """What becomes of an answer: about an item, or to a prompt that proposes after eight examples."""
    step = INSTRUCT if item is None else INSTANCE if "is_classification" in item else CLASSIFY
    examples = tuple(POOL[:8]) if item is None else ()
    request = Request(step=step.name, index=0, item=item or {}, shown=examples, style=style, try_=try_)
    index = Index(context.tokens)
    index.add("seed/0", "Name the longest river of Europe.")
    return judge(step, request, context, read(step, request, context, reply(text, stop)), index)


def instructions(verdict: Verdict) -> list[str]:
    return [item["instruction"] for _, item in verdict.kept]


def pairs(verdict: Verdict) -> list[tuple[str, str]]:
    return [(item["input"], item["output"]) for _, item in verdict.kept]


def reasons(verdict: Verdict) -> dict[int, str]:
    return {n: reason for n, _, reason in verdict.dropped}


# examples in a prompt


@pytest.mark.parametrize(("size", "machine"), [(0, 0), (1, 1), (2, 2), (50, 2)])
def test_a_prompt_shows_eight_tasks_of_which_two_are_machine_made(size: int, machine: int) -> None:
    """Seeds stand in for what the pool cannot give yet: 8 of them, then 7 and 1, then 6 and 2; none is shown twice."""
    context = made()
    for index in range(20):
        ids = shown(context, POOL[:size], index)
        assert (len(set(ids)), machine_made(ids)) == (8, machine)


def test_examples_are_shuffled_and_keyed_by_the_request() -> None:
    """A request always shows the same tasks, another request others, machine-made ones in any place."""
    context = made()
    prompts = [shown(context, POOL, index) for index in range(60)]
    assert prompts == [shown(context, POOL, index) for index in range(60)]
    assert len({tuple(ids) for ids in prompts}) == 60
    assert {place for ids in prompts for place, id in enumerate(ids) if id.startswith("instruct/")} == set(range(8))


def test_all_seeds_and_all_of_the_pool_are_shown_in_time() -> None:
    """No seed and no accepted task is left out of the draw."""
    context = made()
    seen = {id for index in range(600) for id in shown(context, POOL, index)}
    assert seen == {f"seed/{n}" for n in range(175)} | {item["id"] for item in POOL}


@pytest.mark.parametrize(("human", "machine"), [(8, 0), (3, 5), (0, 4)])
def test_the_mix_is_a_choice(human: int, machine: int) -> None:
    """Any numbers of seeds and accepted tasks may be asked for."""
    ids = shown(made(human=human, machine=machine), POOL)
    assert (len(ids), machine_made(ids)) == (human + machine, machine)


def test_fewer_seeds_than_asked_for_are_all_shown(tmp_path: Path) -> None:
    """A short seed file of one's own gives what it has."""
    seed = {"instruction": "Name a river.", "instances": [{"input": "", "output": "The Elbe."}], "is_classification": False}
    path = tmp_path / "seeds.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps({"id": f"s{n}", **seed}) for n in range(3)))
    ids = shown(made(seeds=str(path)), POOL)
    assert sorted(ids)[-3:] == ["seed/0", "seed/1", "seed/2"]
    assert len(ids) == 5


def test_classification_only_shows_such_seeds_and_asks_for_such_tasks() -> None:
    """The variant for classification draws from the seeds that are classification and has a prompt of its own."""
    context = made(classification_only=True)
    labelled = {f"seed/{n}" for n, seed in enumerate(context.seeds) if seed["is_classification"]}
    assert set(shown(context, [])) <= labelled
    for style in STYLES:
        labels, tasks = (words_of(proposal(context, style)).partition("1. ")[0] for context in (context, made()))
        assert "classification" in labels
        assert "classification" not in tasks


# prompts


def test_a_proposing_completion_is_a_list_that_breaks_off() -> None:
    """The tasks stand under 1. to 8., white space collapsed and a colon at the end cut; the prompt ends with "9."."""
    prompt = words_of(proposal(made()))
    lines = prompt.splitlines()[-9:]
    assert prompt.endswith("\n9.")
    assert [line.split(" ", 1)[0] for line in lines] == [f"{n}." for n in range(1, 10)]
    assert sum(re.fullmatch(r"\d\. Machine-made task \d+", line) is not None for line in lines) == 2


def test_a_classifying_completion_ends_with_its_question() -> None:
    """After the demonstrations comes the task in their form, without an answer."""
    prompt = words_of(question(made(), {"instruction": "Sort the numbers."}))
    assert prompt.endswith("\nIs it classification? No\n\nTask: Sort the numbers.\nIs it classification?")


@pytest.mark.parametrize("item", [SORT, LABEL])
def test_an_answering_completion_ends_with_its_task(item: Item) -> None:
    """After the demonstrations comes the task and a new line."""
    assert words_of(question(made(), item)).endswith(f"\n\nTask: {item['instruction']}\n")


def test_labels_come_first_for_classification_only() -> None:
    """Demonstrations for classification give the label before the input, the others the output last."""
    assert "Class label:" in words_of(question(made(), LABEL))
    assert "Class label:" not in words_of(question(made(), SORT))
    assert "Output:" in words_of(question(made(), SORT))


def test_demonstrations_are_many_and_mixed() -> None:
    """31 tasks in the classifying prompt, 12 of them classification, as published; 11 and 12 tasks in the answering ones."""
    classify, answer, label = (words_of(question(made(), item)) for item in ({"instruction": "X"}, SORT, LABEL))
    assert (classify.count("classification? Yes\n"), classify.count("classification? No\n")) == (12, 19)
    assert answer.count("\nTask: ") - 1 == 11
    assert label.count("\nTask: ") - 1 == 12


@pytest.mark.parametrize("style", STYLES)
def test_parity_draws_as_published(style: Style) -> None:
    """Every decoding setting of the three prompts is the published one, stop sequences included."""
    context = made(parity=True)
    greedy = {"temperature": 0.0, "top_p": 0.0, "frequency_penalty": 0.0}
    propose, classify = proposal(context, style).decoding, question(context, {"instruction": "X"}, style).decoding
    answer, label = question(context, SORT, style).decoding, question(context, LABEL, style).decoding
    assert propose == Decoding(
        max_tokens=1024, temperature=0.7, top_p=0.5, frequency_penalty=0.0, presence_penalty=2.0,
        stop=("\n\n", "\n16", "16.", "16 ."),
    )  # fmt: skip
    assert classify == Decoding(max_tokens=3, presence_penalty=0.0, stop=("\n", "Task"), **greedy)
    assert answer == Decoding(max_tokens=350, presence_penalty=1.5, stop=("Example 6", "Task:"), **greedy)
    assert label == Decoding(max_tokens=300, presence_penalty=1.5, stop=("Example 6", "Task:"), **greedy)


def test_the_default_length_of_answers_depends_on_the_style_only() -> None:
    """A completion has 350 tokens, a chat 1,024, whatever the kind of task; the option replaces both."""
    for item in (SORT, LABEL):
        assert [question(made(), item, style).decoding.max_tokens for style in STYLES] == [350, 1024]
        assert [question(made(instance_tokens=77), item, style).decoding.max_tokens for style in STYLES] == [77, 77]


def test_a_question_that_was_not_answered_clearly_is_asked_with_more_warmth() -> None:
    """At temperature 0 it would get the same answer again."""
    for item in ({"instruction": "X"}, SORT):
        first, second = (question(made(), item, try_=n).decoding.temperature for n in range(2))
        assert first == 0.0
        assert second is not None
        assert second > 0.5


@pytest.mark.parametrize("options", [{}, {"topic": "bees"}, {"classification_only": True}, {"parity": True}])
def test_chats_are_split_into_system_and_user(options: dict[str, Any]) -> None:
    """The lasting part is the system's, the question the user's; no mark of the template is left in either style."""
    context = made(**options)
    for style in STYLES:
        for call in (proposal(context, style), *(question(context, item, style) for item in ({"instruction": "X"}, SORT, LABEL))):
            assert not re.search(r"^---$|\{\w+\}", words_of(call), re.MULTILINE)
            if isinstance(call, Chat):
                assert [message.role for message in call.messages] == ["system", "user"]
                assert all(message.content.strip() for message in call.messages)


def test_what_changes_between_requests_is_the_users_part() -> None:
    """The system part of a step is always the same, so that a provider can cache it."""
    systems = set()
    for item in (SORT, {**SORT, "instruction": "Sort the words."}):
        call = question(made(), item, "chat")
        assert isinstance(call, Chat)
        assert item["instruction"] in call.messages[1].content
        systems.add(call.messages[0].content)
    assert len(systems) == 1


def test_a_chat_is_told_the_numbers_of_the_new_tasks() -> None:
    """A chat model does not continue a list by itself: it is asked for seven tasks, numbered 9 to 15."""
    call = proposal(made(), "chat")
    assert isinstance(call, Chat)
    assert re.search(r"\b7\b.*\b9\..*\b15\.", call.messages[1].content.splitlines()[-1])


@pytest.mark.parametrize("style", STYLES)
def test_a_topic_enters_what_proposes_and_what_answers(style: Style) -> None:
    """With a topic each of these prompts has one line about it, without one none."""
    with_topic, without = made(topic="keeping {tasks} of bees"), made()
    for ask in (proposal, lambda made, style: question(made, SORT, style), lambda made, style: question(made, LABEL, style)):
        lines, plain = ([line for line in words_of(ask(made, style)).splitlines() if line] for made in (with_topic, without))
        assert [line for line in lines if line not in plain] == [line for line in lines if "keeping {tasks} of bees" in line]
        assert len(lines) == len(plain) + 1
    kind = {"instruction": "Sort the numbers."}
    assert question(with_topic, kind, style) == question(without, kind, style)


# instructions


PROPOSED = " Explain NASA's DNA test.\n10. write the letter\n11. compare three small towns"


def test_only_the_first_letter_is_raised() -> None:
    """Names and abbreviations keep their capitals."""
    assert instructions(verdict(made(), PROPOSED)) == ["Explain NASA's DNA test.", "Compare three small towns"]


@pytest.mark.parametrize("options", [{"capitalize": "reference"}, {"parity": True}])
def test_the_published_capitals_are_an_option(options: dict[str, Any]) -> None:
    """The published script makes all letters but the first small; so does parity."""
    assert instructions(verdict(made(**options), PROPOSED)) == ["Explain nasa's dna test.", "Compare three small towns"]


@pytest.mark.parametrize("stop", [Stop.LENGTH, Stop.CUT, Stop.BROKEN])
def test_a_reply_that_was_cut_loses_its_last_item(stop: Stop) -> None:
    """Whole items of a reply that ended too early stay."""
    result = verdict(made(), PROPOSED, stop=stop)
    assert instructions(result) == ["Explain NASA's DNA test."]
    assert reasons(result) == {1: "too_short", 2: "cut"}


@pytest.mark.parametrize("options", [{"truncated": "drop"}, {"parity": True}])
def test_dropping_the_whole_of_a_cut_reply_is_an_option(options: dict[str, Any]) -> None:
    """The published script throws it away; so does parity."""
    result = verdict(made(**options), PROPOSED, stop=Stop.LENGTH)
    assert reasons(result) == {0: "cut", 1: "cut", 2: "cut"}


def test_an_instruction_that_resembles_an_earlier_one_is_dropped() -> None:
    """Earlier ones are those in the index and those kept from the same reply; the reason says which, and how near."""
    text = " Name the longest river of Asia.\n10. Compare three small towns.\n11. Compare three small old towns."
    result = verdict(made(), text)
    assert instructions(result) == ["Compare three small towns."]
    assert reasons(result) == {
        0: f"duplicate of seed/0 ({f_measure(5, 6, 6)!r})",
        2: f"duplicate of instruct/0.1 ({f_measure(4, 4, 5)!r})",
    }


def test_a_chat_may_say_something_before_its_list() -> None:
    """In chat style items begin at their numbers."""
    text = "Here are seven tasks:\n\n9. **Explain** the DNA test.\n10. Compare three small towns."
    assert instructions(verdict(made(), text, style="chat")) == ["Explain the DNA test.", "Compare three small towns."]


def test_a_refusal_is_one_lost_item() -> None:
    """A model that declines has answered: its reply is settled, and nothing is kept."""
    assert reasons(verdict(made(), "", stop=Stop.REFUSED)) == {0: "refused"}


# kinds


@pytest.mark.parametrize(("text", "answer"), [(" Yes", True), (" no.", False)])
def test_a_clear_answer_is_the_kind(text: str, answer: bool) -> None:
    """Yes or no, however it is written."""
    assert verdict(made(), text, {"instruction": "X"}).kept == ((0, {"is_classification": answer}),)


@pytest.mark.parametrize("text", ["", " Maybe", " It is"])
def test_an_unclear_kind_is_asked_three_times(text: str) -> None:
    """Twice it is malformed, to be asked anew; the third time the instruction is given up as unclear."""
    for try_ in range(2):
        with pytest.raises(Malformed, match="unclear"):
            verdict(made(), text, {"instruction": "X"}, try_=try_)
    assert reasons(verdict(made(), text, {"instruction": "X"}, try_=2)) == {0: "unclear"}


@pytest.mark.parametrize(("text", "answer"), [("", False), (" Maybe", False), (" Yes.", False), (" YES", True)])
def test_parity_takes_all_that_is_not_yes_for_no(text: str, answer: bool) -> None:
    """The published script asks once."""
    assert verdict(made(parity=True), text, {"instruction": "X"}).kept == ((0, {"is_classification": answer}),)


# instances


def examples(*pairs: tuple[str, str]) -> str:
    return "\n".join(f"Example {n}\nList: {given}\nOutput: {output}" for n, (given, output) in enumerate(pairs, 1))


def test_an_input_with_two_outputs_spoils_all_instances() -> None:
    """Whoever contradicts himself is not believed; an empty input may have any number of outputs."""
    assert set(reasons(verdict(made(), examples(("2 1", "1 2"), ("3 1", "1 3"), ("2 1", "2 1 0")), SORT)).values()) == {
        "conflict"
    }
    assert len(pairs(verdict(made(), "Class label: spam\nClass label: ham", LABEL))) == 2


def test_a_repeated_instance_is_kept_once() -> None:
    """The first one stays."""
    result = verdict(made(), examples(("2 1", "1 2"), ("3 1", "1 3"), ("2 1", "1 2")), SORT)
    assert pairs(result) == [("List: 2 1", "1 2"), ("List: 3 1", "1 3")]
    assert reasons(result) == {2: "repeated"}


EIGHT = examples(*((f"{n} 0", f"0 {n}") for n in range(1, 9)))


def test_five_instances_stay() -> None:
    """The first five in the order of the reply, or as many as the option says."""
    assert pairs(verdict(made(), EIGHT, SORT)) == [(f"List: {n} 0", f"0 {n}") for n in range(1, 6)]
    assert reasons(verdict(made(), EIGHT, SORT)) == dict.fromkeys((5, 6, 7), "surplus")
    assert len(pairs(verdict(made(max_instances=7), EIGHT, SORT))) == 7


def test_parity_draws_the_five_instances_that_stay() -> None:
    """As published they are a random sample; its randomness is keyed, so that it can be drawn again."""
    samples = []
    for index in range(20):
        request = Request(step="instance", index=index, item=SORT, style="completion")
        context = made(parity=True)
        chosen = judge(INSTANCE, request, context, read(INSTANCE, request, context, reply(EIGHT)), Index()).kept
        samples.append(tuple(n for n, _ in chosen))
    assert {len(sample) for sample in samples} == {5}
    assert {n for sample in samples for n in sample} == set(range(8))
    assert samples[0] == tuple(n for n, _ in verdict(made(parity=True), EIGHT, SORT).kept)


@pytest.mark.parametrize("options", [{}, {"parity": True}])
def test_the_last_instance_of_a_cut_reply_is_lost(options: dict[str, Any]) -> None:
    """What was written before it is whole."""
    result = verdict(made(**options), examples(("2 1", "1 2"), ("3 1", "1")), SORT, stop=Stop.LENGTH)
    assert (pairs(result), reasons(result)) == ([("List: 2 1", "1 2")], {1: "cut"})


def test_a_reply_without_an_instance_is_asked_for_again() -> None:
    """Once it is malformed; the second time nothing is kept. As published there is no second time."""
    with pytest.raises(Malformed, match="no_instance"):
        verdict(made(), "I like sorting.", SORT)
    assert reasons(verdict(made(), "I like sorting.", SORT, try_=1)) == {0: "no_instance"}
    assert verdict(made(parity=True), "I like sorting.", SORT) == Verdict((), ())


def test_an_input_that_says_there_is_none_is_empty() -> None:
    """As published it would be taken literally."""
    text = "Example 1\nInput: None\nOutput: 1 2"
    assert pairs(verdict(made(), text, SORT)) == [("", "1 2")]
    assert pairs(verdict(made(parity=True), text, SORT)) == [("None", "1 2")]


@pytest.mark.parametrize(
    "text",
    [
        "Example 1\nList: 2 1\nOutput: 1 2",
        "**Example 1**\n**List:** 2 1\n**Output:** 1 2",
        "### Example 1\n**List**: 2 1\n**Output**: 1 2",
        "Example 1:\nList: 2 1\nOutput: 1 2",
        "**Example 1:**\nList: 2 1\nOutput: 1 2",
    ],
    ids=["as asked", "bold", "headings", "colon", "bold with colon"],
)
def test_markdown_of_a_chat_is_no_part_of_an_instance(text: str) -> None:
    """However a chat model decorates its labels, input and output are the same."""
    assert pairs(verdict(made(), text, SORT, style="chat")) == [("List: 2 1", "1 2")]


def test_default_filters_look_at_outputs() -> None:
    """A refusal, a placeholder or an echo is no output; the published script does not look."""
    text = examples(("2 1", "I cannot sort."), ("3 1", "[insert numbers]"), ("4 1", "Sort the numbers"), ("5 1", "1 5"))
    assert reasons(verdict(made(), text, SORT)) == {0: "refusal", 1: "placeholder", 2: "echo"}
    assert len(pairs(verdict(made(parity=True), text, SORT))) == 4


def test_a_record_has_three_fields() -> None:
    """What is exported of an item that went through all steps."""
    item = {**LABEL, "id": "instance/0.0", "input": "Win!", "output": "Yes"}
    assert RECIPE.record(item) == {"instruction": "Is the message spam?", "input": "Win!", "output": "Yes"}
