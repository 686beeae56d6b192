"""Augmentation: what of a record is put in other words, what a child must keep of its parent, and how it gets its output."""

from __future__ import annotations

import re
from functools import cache
from random import Random
from typing import Any

import pytest

from engine import context, plan, seedfile
from engine.core.answers import lost_answers
from engine.core.dedup import Index
from engine.core.parse import Malformed
from engine.core.recipe import INPUT, Context, Verdict, compose, judge, read
from engine.core.types import Chat, Completion, Item, Reply, Request, Stop, Style, Translation, Usage
from engine.recipes.augment import RECIPE
from tests.planted import plant, planters
from tests.triples import load

TRANSLATE, RETURN, ANSWER = RECIPE.steps

ASKED = "Is the tone of the review positive or negative?"
GIVEN = "The zip of the bag broke on the second day, and nobody in the shop answers my messages."
PIVOTS = ("这条评论的语气是正面还是负面？", "包的拉链第二天就坏了，店里没有人回复我的消息。")
CHILD = (
    "Would you call the tone of this review positive or negative?",
    "The zipper on the bag broke the second day, and no one at the shop replies to my messages.",
)


@cache
def made(**options: Any) -> Context:
    """The context of a plan with these options; `gate__x` stands for `x` in its table `gate`."""
    tables: dict[str, Any] = {"language": "en"}
    for key, value in options.items():
        table, _, name = key.rpartition("__")
        (tables.setdefault(table, {}) if table else tables)[name] = value
    data = {
        "recipe": "augment",
        "input": {"path": str(seedfile.folder() / "texts.en.jsonl")},
        "lanes": {"base": {"provider": "local"}},
        "options": tables,
    }
    return context.load(plan.from_data(data)).context


def record(instruction: str = ASKED, given: str = GIVEN, output: str = "Negative", **fields: Any) -> Item:
    texts = {"instruction": instruction, "input": given, "output": output}
    return {"id": "input/4.0", "doc": None, "language": None, "meta": {}, **texts, **fields}


def translated(parent: Item | None = None, pivots: tuple[str, str] = PIVOTS) -> Item:
    parent = parent or record()
    source = {"instruction": parent["instruction"], "input": parent["input"]}
    pivot = dict(zip(source, pivots, strict=True))
    return {**parent, "id": "translate/4.0", "parent": "input/4.0", "source": source, "pivot": pivot}


def replies(*texts: str, stop: Stop = Stop.END) -> tuple[Reply, ...]:
    return tuple(Reply(text=text, stop=stop, usage=Usage()) for text in texts)


def about(step: Any, item: Item, context: Context, style: Style = "chat", try_: int = 1) -> Request:
    request = Request(step=step.name, index=0, of=item["id"], item=item, try_=try_)
    return compose(step, request, context, style)


def verdict(
    step: Any, item: Item, answers: tuple[Reply, ...], context: Context | None = None, index: Index | None = None
) -> Verdict:
    context = context or made()
    request = about(step, item, context)
    return judge(step, request, context, read(step, request, context, answers), index or Index(context.tokens))


def reasons(found: Verdict) -> list[str]:
    return [reason for _, _, reason in found.dropped]


def texts(request: Request) -> list[str]:
    return [call.text for call in request.calls if isinstance(call, Translation)]


# The recipe


def test_the_output_decides_the_steps() -> None:
    """A kept output needs no model; a new one has a step of its own, whose items are then the records."""
    assert TRANSLATE.source is INPUT
    keep, again = (RECIPE.under(made(answer=answer).options) for answer in ("keep", "again"))
    assert [step.name for step in keep.steps] == ["translate", "return"]
    assert [step.name for step in again.steps] == ["translate", "return", "answer"]
    assert (keep.last, again.last) == (RETURN, ANSWER)
    assert set(made(answer="again").templates) == {"answer.chat", "answer.completion", "answer.demos"}
    assert made().templates == {}
    assert (keep.unique, RECIPE.reads) == ("task", ("instruction", "input", "output"))


def test_a_record_names_its_parent() -> None:
    """By the user's id, or else by ours; the parent's texts stand beside the child's."""
    for fields, name in (({}, "input/4.0"), ({"doc": "instance/9.1"}, "instance/9.1")):
        parent = record(**fields)
        ((_, item),) = verdict(TRANSLATE, parent, replies(*PIVOTS)).kept
        ((_, child),) = verdict(RETURN, {**parent, **item, "id": "translate/4.0"}, replies(*CHILD)).kept
        whole = {**parent, **item, **child}
        assert RECIPE.record(whole) == {"instruction": CHILD[0], "input": CHILD[1], "output": "Negative"}
        assert RECIPE.provenance is not None
        told = RECIPE.provenance(whole)
        assert told["parent"] == name
        assert told["source"] == {"instruction": ASKED, "input": GIVEN}
        assert told["pivot"] == {"instruction": PIVOTS[0], "input": PIVOTS[1]}
        assert sorted(told["scores"]) == ["input", "instruction"]


@pytest.mark.parametrize(("chosen", "name"), [(False, None), (True, "translate")])
def test_two_engines(chosen: bool, name: str | None) -> None:
    """The way back is kept apart from the way there where the plan says so."""
    assert RETURN.apart is not None
    assert RETURN.apart(made(two_engines=chosen).options) == name


# Which records are worth a call


@pytest.mark.parametrize(
    ("item", "options", "reason"),
    [
        (record(), {}, None),
        (record(" "), {}, "empty"),
        (record("12 + 7 = ?"), {}, "no_prose"),
        (record("Hi", ""), {}, "too_short (2)"),
        (record(given=GIVEN * 60), {}, "too_long ("),
        (record(given="?!;" * 90), {}, "symbols (0."),
        (record(given="?!;" * 90), {"documents__symbols_max": 1.0}, None),
        (record(language="fr"), {}, "language (fr)"),
        (record("Ist der Ton der Besprechung freundlich oder nicht?"), {}, "language (de"),
        (record("Translate the sentence into English.", "图书馆周一休息，其他时间从早上九点开到晚上八点。"), {}, None),
    ],
)
def test_gate_before_the_first_call(item: Item, options: dict[str, Any], reason: str | None) -> None:
    """Instruction and input together are measured, and the instruction tells the language."""
    assert TRANSLATE.gate is not None
    told = TRANSLATE.gate(item, made(**options))
    assert told is None if reason is None else told is not None and told.startswith(reason)


def test_what_tells_records_apart() -> None:
    """Instruction and input together, and only where the plan has a threshold."""
    assert TRANSLATE.distinct is not None
    assert TRANSLATE.distinct(record(), made()) is None
    assert TRANSLATE.distinct(record(), made(documents__rouge_max=0.8)) == (f"{ASKED}\n\n{GIVEN}", 0.8)


# There and back


def test_instruction_and_input_are_calls_of_one_request() -> None:
    """In this order, both ways; no call for what is empty; a long input in parts."""
    there, back = about(TRANSLATE, record(), made()), about(RETURN, translated(), made())
    assert (texts(there), there.pair) == ([ASKED, GIVEN], ("en", "zh"))
    assert (texts(back), back.pair) == (list(PIVOTS), ("zh", "en"))
    assert texts(about(TRANSLATE, record(given=""), made())) == [ASKED]
    assert texts(about(TRANSLATE, record(given="It rains. It stops."), made(part_characters=10)))[-2:] == [
        "It rains.",
        "It stops.",
    ]


def test_parts_find_their_way_back_to_their_fields() -> None:
    """Replies are dealt out in the order of the calls."""
    parent = record("It is a long one. Is it?", "It rains. It stops.")
    context = made(part_characters=17)
    ((_, item),) = verdict(TRANSLATE, parent, replies("这个很长。", "是吗？", "下雨了。", "停了。"), context).kept
    assert item["pivot"] == {"instruction": "这个很长。是吗？", "input": "下雨了。停了。"}


@pytest.mark.parametrize("given", ["12, 7, 30", "图书馆周一休息。", "```\nprint(1)\n```", ""])
def test_an_input_without_words_of_the_language_stays_as_it_is(given: str) -> None:
    """Figures, code, and a sentence that is to be translated are not put in other words, there or back."""
    parent = record("Say what the following is.", given, "A list.")
    assert texts(about(TRANSLATE, parent, made())) == ["Say what the following is."]
    ((_, item),) = verdict(TRANSLATE, parent, replies("说说下面是什么。")).kept
    assert item["pivot"]["input"] == given
    child = {**parent, **item, "id": "translate/0.0"}
    assert texts(about(RETURN, child, made())) == ["说说下面是什么。"]
    ((_, back),) = verdict(RETURN, child, replies("Tell what the following thing is.")).kept
    assert back["input"] == given and list(back["scores"]) == ["instruction"]
    assert back["task"] == f"Tell what the following thing is.\n\n{given}".strip()


@pytest.mark.parametrize(
    ("step", "answers", "reason"),
    [
        (TRANSLATE, ("", PIVOTS[1]), "no_translation"),
        (TRANSLATE, ("```\n这\n```", PIVOTS[1]), "no_prose"),
        (RETURN, (CHILD[0], " "), "no_translation"),
    ],
)
def test_what_cannot_be_read_is_asked_for_again(step: Any, answers: tuple[str, ...], reason: str) -> None:
    """Once; then the record is lost."""
    item = record() if step is TRANSLATE else translated()
    with pytest.raises(Malformed, match=reason):
        read(step, about(step, item, made(), try_=0), made(), replies(*answers))
    assert reasons(verdict(step, item, replies(*answers))) == [reason]


@pytest.mark.parametrize("step", [TRANSLATE, RETURN])
def test_a_translation_that_was_cut_is_lost(step: Any) -> None:
    """Whichever of the fields it was."""
    item, (first, second) = (record(), PIVOTS) if step is TRANSLATE else (translated(), CHILD)
    assert reasons(verdict(step, item, replies(first) + replies(second, stop=Stop.LENGTH))) == ["cut"]


# What a child must be


def test_a_good_child_is_kept_with_its_scores() -> None:
    """Both fields are measured."""
    ((_, item),) = verdict(RETURN, translated(), replies(*CHILD)).kept
    assert (item["instruction"], item["input"]) == CHILD
    assert {field: round(scores["ratio"], 1) for field, scores in item["scores"].items()} == {"instruction": 1.3, "input": 1.0}


@pytest.mark.parametrize(
    ("child", "options", "reason"),
    [
        ((CHILD[0], "A boat came home at night, and all the men slept until late in the day, tired."), {}, "too_far (0."),
        ((CHILD[0], CHILD[1].replace("second", "2nd day of 14, the")), {}, "numbers (new 14) in the input"),
        (("Is it good?", CHILD[1]), {}, "too_little (0."),
        ((ASKED, GIVEN), {}, "too_near (1.0)"),
        ((ASKED, GIVEN), {"gate__rouge_max": 1.0}, None),
        ((ASKED, CHILD[1]), {}, None),
        ((CHILD[0], GIVEN), {}, None),
    ],
)
def test_the_gate_looks_at_both_fields(child: tuple[str, str], options: dict[str, Any], reason: str | None) -> None:
    """A fault of either loses the child and is told with its field; too near it is only where neither has changed."""
    told = reasons(verdict(RETURN, translated(), replies(*child), made(**options)))
    assert told == [] if reason is None else len(told) == 1 and told[0].startswith(reason)


LOST = ("Would you call the tone of this review good or bad?", CHILD[1])


def test_a_child_that_lost_the_answer_is_dropped() -> None:
    """The label that the output says must still be offered; a new output does not need it."""
    assert reasons(verdict(RETURN, translated(), replies(*LOST))) == ["answer_lost (Negative)"]
    assert verdict(RETURN, translated(), replies(*LOST), made(answer="again")).kept
    assert verdict(RETURN, translated(record(output="Unfriendly")), replies(*LOST)).kept


@pytest.mark.parametrize("language", ["en", "zh"])
def test_planted_losses_of_answers_are_caught(language: str) -> None:
    """Of at least 30 inputs that lost what the output says, 95% or more are dropped; of clean ones, none."""
    triples = load(language, "test")
    pairs = plant(planters(triples)["lost_answer"], triples, Random(7), 40)
    caught = [lost_answers(bad.answer, bad.source, bad.back, language) for _, bad in pairs]
    assert len(pairs) >= 30
    assert sum(map(bool, caught)) >= 0.95 * len(pairs)
    assert not any(lost_answers(triple.answer, triple.source, triple.back, language) for triple in triples)


def test_a_child_like_an_earlier_one_is_dropped() -> None:
    """Instruction and input count together: the same instruction about something else is new."""
    index = Index()
    index.add("return/0.0", "\n\n".join(CHILD))
    assert reasons(verdict(RETURN, translated(), replies(*CHILD), index=index)) == ["duplicate of return/0.0 (1.0)"]
    other = Index()
    other.add(
        "return/0.0", f"{CHILD[0]}\n\nThe soup was cold, but the waiter brought another one at once and would not let us pay."
    )
    assert verdict(RETURN, translated(), replies(*CHILD), index=other).kept


# A new output


@pytest.mark.parametrize("style", ["chat", "completion"])
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("given", ["A cold day.", ""])
def test_the_prompt_for_a_new_output(style: Style, language: str, given: str) -> None:
    """It shows the child after our examples, and not the parent's output; a base model is told where there is no input."""
    context = made(language=language, answer="again", topic="winter" if given else "")
    child = {**translated(), "instruction": "Which season is it?", "input": given, "output": "PARENT"}
    (call,) = about(ANSWER, child, context, style).calls
    assert isinstance(call, Chat if style == "chat" else Completion)
    prompt = call.prompt if isinstance(call, Completion) else "\n".join(message.content for message in call.messages)
    assert prompt.count("Which season is it?") == 1 and "PARENT" not in prompt
    assert re.findall(r"\{\w+\}", prompt) == []
    assert prompt.count("winter") == bool(given)
    if isinstance(call, Completion):
        label = {"en": ("Input: ", "\nOutput:"), "zh": ("输入：", "\n输出：")}[language]
        assert prompt.endswith(f"{label[0]}{given or '<noinput>'}{label[1]}")
        assert (call.decoding.stop, call.decoding.max_tokens) == (("\n###",), 350)
    else:
        assert call.messages[1].content == f"Which season is it?\n\n{given}".strip()
        assert call.decoding.max_tokens == 1024


@pytest.mark.parametrize(
    ("style", "try_", "options", "expected"),
    [
        ("chat", 0, {}, (1024, 0.7)),
        ("completion", 0, {}, (350, 0.0)),
        ("completion", 1, {}, (350, 0.7)),
        ("completion", 0, {"temperature": 0.2, "answer_tokens": 99}, (99, 0.2)),
        ("chat", 1, {"temperature": 0.2, "answer_tokens": 99}, (99, 0.2)),
    ],
)
def test_how_a_new_output_is_drawn(style: Style, try_: int, options: dict[str, Any], expected: tuple[int, float]) -> None:
    """A base model is not warmed up before it is asked again; the plan has the last word."""
    (call,) = about(ANSWER, translated(), made(answer="again", **options), style, try_).calls
    assert isinstance(call, Chat | Completion)
    assert (call.decoding.max_tokens, call.decoding.temperature) == expected


@pytest.mark.parametrize(
    ("text", "stop", "reason"),
    [
        (" Positive\n", Stop.END, None),
        ("Positive", Stop.LENGTH, "cut"),
        ("I'm sorry, but I cannot help with that.", Stop.END, "refusal"),
        (" \n", Stop.END, "no_output"),
    ],
)
def test_a_new_output_is_looked_at(text: str, stop: Stop, reason: str | None) -> None:
    """It takes the place of the parent's, and passes the filters of records first."""
    child = {**translated(), "instruction": CHILD[0], "input": CHILD[1]}
    found = verdict(ANSWER, child, replies(text, stop=stop), made(answer="again"))
    if reason is None:
        assert found.kept == ((0, {"output": "Positive"}),)
        assert RECIPE.record({**child, **found.kept[0][1]})["output"] == "Positive"
    else:
        assert reasons(found) == [reason]
