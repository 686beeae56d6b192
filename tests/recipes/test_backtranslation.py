"""Back-translation: which texts are worth a call, what is asked, what a round trip must keep, what becomes of the instruction."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest

from engine import context, plan, seedfile
from engine.core.dedup import Index
from engine.core.faults import PlanError
from engine.core.parse import Malformed
from engine.core.recipe import INPUT, Context, Verdict, compose, judge, read
from engine.core.score import rouge_l
from engine.core.text import words
from engine.core.types import Chat, Completion, Item, Reply, Request, Stop, Style, Translation, Usage
from engine.recipes.backtranslation import RECIPE

TRANSLATE, RETURN, INSTRUCT = RECIPE.steps

SOURCE = "图书馆周一休息，其他时间从早上九点开到晚上八点。看书的时候请不要大声说话。"
PIVOT = "The library is closed on Mondays; on other days it is open from nine to eight. Please do not talk loudly."
BACK = "图书馆周一闭馆，其余日子的开放时间是早上九点到晚上八点。阅读时请勿大声交谈。"
ASKED = "请为社区图书馆写一则简短的开放须知。"


@cache
def made(**options: Any) -> Context:
    """The context of a plan with these options; `documents__x` stands for `x` in its table `documents`."""
    tables: dict[str, Any] = {}
    for key, value in options.items():
        table, _, name = key.rpartition("__")
        (tables.setdefault(table, {}) if table else tables)[name] = value
    data = {
        "recipe": "backtranslation",
        "input": {"path": str(seedfile.folder() / "texts.zh.jsonl")},
        "lanes": {"base": {"provider": "local"}},
        "options": tables,
    }
    return context.load(plan.from_data(data)).context


def document(text: str = SOURCE, **fields: Any) -> Item:
    return {"id": "input/4.0", "doc": "d-4", "text": text, "language": None, "meta": {"page": 7}, **fields}


def translated(text: str = SOURCE, pivot: str = PIVOT) -> Item:
    return {**document(text), "id": "translate/4.0", "pivot": pivot}


def returned(back: str = BACK) -> Item:
    return {**translated(), "id": "return/4.0", "back": back, "scores": {"chrf": 0.5}}


def replies(*texts: str, stop: Stop = Stop.END) -> tuple[Reply, ...]:
    return tuple(Reply(text=text, stop=stop, usage=Usage()) for text in texts)


def about(step: Any, item: Item, context: Context, style: Style = "chat", try_: int = 0) -> Request:
    request = Request(step=step.name, index=0, of=item["id"], item=item, try_=try_)
    return compose(step, request, context, style)


def verdict(
    step: Any,
    item: Item,
    answers: tuple[Reply, ...],
    context: Context | None = None,
    *,
    index: Index | None = None,
    try_: int = 1,
) -> Verdict:
    context = context or made()
    request = about(step, item, context, try_=try_)
    return judge(step, request, context, read(step, request, context, answers), index or Index(context.tokens))


def reasons(found: Verdict) -> list[str]:
    return [reason for _, _, reason in found.dropped]


# The recipe


def test_it_begins_with_documents() -> None:
    """The first step asks about the input, and no seeds are needed."""
    assert TRANSLATE.source is INPUT and RECIPE.source_step is TRANSLATE
    assert (RECIPE.seeds, RECIPE.reads, RECIPE.unique) == ("", ("text",), "instruction")
    assert not made().seeds


def test_a_record_and_where_it_comes_from() -> None:
    """An export has three fields; the texts, scores and the user's own columns stand beside them."""
    item = {**returned(), "instruction": ASKED, "input": "", "output": BACK}
    assert RECIPE.record(item) == {"instruction": ASKED, "input": "", "output": BACK}
    assert RECIPE.provenance is not None
    assert RECIPE.provenance(item) == {
        "doc": "d-4",
        "meta": {"page": 7},
        "source": SOURCE,
        "pivot": PIVOT,
        "back": BACK,
        "scores": {"chrf": 0.5},
    }


@pytest.mark.parametrize(
    ("options", "pair"),
    [
        ({}, ("zh", "en")),
        ({"language": "en"}, ("en", "zh")),
        ({"language": "en", "pivot": "es"}, ("en", "es")),
        ({"language": "zh-TW"}, ("zh-TW", "en")),
    ],
)
def test_languages_of_the_way_there_and_back(options: dict[str, str], pair: tuple[str, str]) -> None:
    """Chinese goes through English and English through Chinese unless the plan says otherwise; a request knows its pair."""
    there = about(TRANSLATE, document("Some text."), made(**options))
    back = about(RETURN, translated("Some text.", "Ein Text."), made(**options))
    assert there.calls == (Translation("Some text.", *pair),) and there.pair == pair
    assert back.calls == (Translation("Ein Text.", *reversed(pair)),) and back.pair == pair[::-1]


def test_a_language_cannot_be_its_own_pivot() -> None:
    """That is a mistake of the plan."""
    with pytest.raises(PlanError, match="two languages"):
        made(language="en", pivot="en-GB")


def test_templates_of_other_languages_are_the_users() -> None:
    """Prompts come in English and Chinese; a run in another language needs some of its own."""
    with pytest.raises(PlanError, match="no template 'instruct"):
        made(language="es")


@pytest.mark.parametrize(("chosen", "name"), [(False, None), (True, "translate")])
def test_two_engines(chosen: bool, name: str | None) -> None:
    """The way back is kept apart from the way there where the plan says so."""
    assert RETURN.apart is not None
    assert RETURN.apart(made(two_engines=chosen).options) == name


# Which texts are worth a call

PROSE = "The boats come home in the evening, and the men carry their nets up to the houses on the hill."


@pytest.mark.parametrize(
    ("item", "options", "reason"),
    [
        (document(), {}, None),
        (document("  \n"), {}, "empty"),
        (document("今天下雨了。"), {}, "too_short (6)"),
        (document("今天下雨了。"), {"documents__min_characters": 6}, None),
        (document(SOURCE * 60), {}, f"too_long ({60 * len(SOURCE)})"),
        (document(SOURCE * 60), {"documents__max_characters": 5000}, None),
        (document("12 + 7 = 19; 3 * 4 == 12; !!! ??? --- +++ ***"), {}, "symbols (0."),
        (document("```\n代码一二三四五六七八九十甲乙丙丁戊己庚辛\n```"), {}, "no_prose"),
        (document("```\n代码一二三四五六七八九十甲乙丙丁戊己庚辛\n```\n就是这样。"), {}, None),
        (document(SOURCE, language="zh-CN"), {}, None),
        (document(SOURCE, language="ja"), {}, "language (ja)"),
        (document(PROSE), {}, "language (en"),
        (document(PROSE), {"documents__language_max": 1.0}, None),
        (document(PROSE), {"language": "en"}, None),
    ],
)
def test_gate_before_the_first_call(item: Item, options: dict[str, Any], reason: str | None) -> None:
    """Length, symbols and language are looked at before anything is paid, each with its limit and its figure."""
    assert TRANSLATE.gate is not None
    told = TRANSLATE.gate(item, made(**options))
    assert told is None if reason is None else told is not None and told.startswith(reason)


def test_limits_of_length_themselves_are_kept() -> None:
    """The shortest and the longest text that are allowed pass, with white space around them not counted."""
    assert TRANSLATE.gate is not None
    exact = made(documents__min_characters=len(SOURCE), documents__max_characters=len(SOURCE))
    assert TRANSLATE.gate(document(f"  {SOURCE}\n"), exact) is None
    assert TRANSLATE.gate(document(SOURCE[:-1]), exact) == f"too_short ({len(SOURCE) - 1})"
    assert TRANSLATE.gate(document(SOURCE + "！"), exact) == f"too_long ({len(SOURCE) + 1})"


def test_symbols_are_no_letters_of_any_language() -> None:
    """Vowel signs of scripts that have them are parts of words."""
    assert TRANSLATE.gate is not None
    hindi = "पुस्तकालय सोमवार को बंद रहता है और बाकी दिन खुला रहता है"
    told = TRANSLATE.gate(document(hindi), made(documents__symbols_max=0.0))
    assert told is not None and told.startswith("language (hi")


def test_what_tells_documents_apart() -> None:
    """Their text and the threshold of the plan; at 1 nothing is compared."""
    assert TRANSLATE.distinct is not None
    assert TRANSLATE.distinct(document(), made()) == (SOURCE, 0.7)
    assert TRANSLATE.distinct(document(), made(documents__rouge_max=0.9)) == (SOURCE, 0.9)
    assert TRANSLATE.distinct(document(), made(documents__rouge_max=1.0)) is None


# There and back

LONG = "First of all, it rains. Then it stops.\n\n```\ncode. Here.\n```\n\n- one item of the list\n- another one of it"


def test_a_long_text_is_asked_in_parts_and_joined_in_place() -> None:
    """One call a part, code left out; the replies stand where their parts stood."""
    context = made(language="en", part_characters=30)
    request = about(TRANSLATE, document(LONG), context)
    assert [call.text for call in request.calls if isinstance(call, Translation)] == [
        "First of all, it rains.",
        "Then it stops.",
        "- one item of the list",
        "- another one of it",
    ]
    answers = replies("首先下雨了。", "后来停了。", "- 清单的一项", "- 清单的又一项")
    (_, item), *_ = verdict(TRANSLATE, document(LONG), answers, context).kept
    assert item == {"pivot": "首先下雨了。后来停了。\n\n```\ncode. Here.\n```\n\n- 清单的一项\n- 清单的又一项"}


@pytest.mark.parametrize("step", [TRANSLATE, RETURN])
def test_an_empty_translation_is_asked_for_again(step: Any) -> None:
    """Twice in all; then the text is lost, with the reason."""
    request = about(step, translated(), made())
    with pytest.raises(Malformed, match="no_translation"):
        read(step, request, made(), replies(" "))
    assert reasons(verdict(step, translated(), replies(" "))) == ["no_translation"]


@pytest.mark.parametrize("step", [TRANSLATE, RETURN])
@pytest.mark.parametrize("stop", [Stop.LENGTH, Stop.CUT, Stop.BROKEN])
def test_a_translation_that_was_cut_is_lost(step: Any, stop: Stop) -> None:
    """Half a text is none."""
    assert reasons(verdict(step, translated(), replies(PIVOT if step is TRANSLATE else BACK, stop=stop))) == ["cut"]


def test_a_pivot_that_is_code_alone_cannot_go_back() -> None:
    """A model that puts its translation into a code block leaves nothing to translate back."""
    assert reasons(verdict(TRANSLATE, document(), replies(f"```\n{PIVOT}\n```"))) == ["no_prose"]


def test_a_good_round_trip_is_kept_with_its_scores() -> None:
    """What the gate measured goes into the item."""
    ((n, item),) = verdict(RETURN, translated(), replies(BACK)).kept
    assert n == 0 and item["back"] == BACK
    assert item["scores"]["rouge_l"] == round(rouge_l(words(SOURCE), words(BACK)), 4)
    assert 0.15 < item["scores"]["chrf"] < 1


@pytest.mark.parametrize(
    ("back", "options", "reason"),
    [
        (SOURCE, {}, "too_near (1.0)"),
        (SOURCE, {"gate__rouge_max": 1.0}, None),
        ("小狗在公园里跑来跑去，追着一只蝴蝶，累了就在树下睡觉，醒来已经天黑了。", {}, "too_far (0.0"),
        (PIVOT, {}, "language (en"),
    ],
)
def test_a_bad_round_trip_is_dropped_with_its_score(back: str, options: dict[str, Any], reason: str | None) -> None:
    """The gate of the plan decides; what came back is in the journal all the same."""
    found = verdict(RETURN, translated(), replies(back), made(**options))
    assert [told.startswith(reason or "") for told in reasons(found)] == ([] if reason is None else [True])
    if reason is not None:
        ((_, item, _),) = found.dropped
        assert item["back"] == back and item["scores"]


# The instruction


@pytest.mark.parametrize("style", ["chat", "completion"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_prompt_shows_the_text(style: Style, language: str) -> None:
    """The text stands in it once, after our examples; nothing is left to fill in, and a completion ends with the label."""
    context = made(language=language)
    item = {**returned(), "back": "{topic} stays. Line one.\nLine two.", "text": "the source"}
    (call,) = about(INSTRUCT, item, context, style).calls
    assert isinstance(call, Chat if style == "chat" else Completion)
    prompt = call.prompt if isinstance(call, Completion) else "\n".join(message.content for message in call.messages)
    assert prompt.count("{topic} stays. Line one.\nLine two.") == 1
    assert "the source" not in prompt
    assert re.findall(r"\{\w+\}", prompt) == ["{topic}"]
    label = {"en": "Instruction:", "zh": "指令："}[language]
    examples = context.templates["instruct.demos"].count("###")
    assert examples > 3 and prompt.count(label) == examples + (style == "completion")
    if isinstance(call, Completion):
        assert prompt.endswith(label) and call.decoding.stop == ("\n",)
    else:
        assert "{topic}" not in call.messages[0].content


def test_the_users_text_may_be_the_output() -> None:
    """Then it is what the model sees and what the record has."""
    context = made(output="source")
    (call,) = about(INSTRUCT, returned(), context).calls
    assert isinstance(call, Chat) and SOURCE in call.messages[1].content and BACK not in call.messages[1].content
    ((_, item),) = verdict(INSTRUCT, returned(), replies(ASKED), context).kept
    assert item == {"instruction": ASKED, "input": "", "output": SOURCE}


@pytest.mark.parametrize(
    ("style", "try_", "options", "expected"),
    [
        ("chat", 0, {}, 0.7),
        ("completion", 0, {}, 0.0),
        ("completion", 1, {}, 0.7),
        ("chat", 0, {"temperature": 0.2}, 0.2),
        ("completion", 1, {"temperature": 0.2}, 0.2),
    ],
)
def test_temperature(style: Style, try_: int, options: dict[str, float], expected: float) -> None:
    """A base model is not warmed up before it is asked again; the plan has the last word."""
    (call,) = about(INSTRUCT, returned(), made(**options), style, try_).calls
    assert isinstance(call, Chat | Completion) and call.decoding.temperature == expected


def test_a_good_instruction_makes_a_record() -> None:
    """Without input, and with the text that came back as its output."""
    found = verdict(INSTRUCT, returned(), replies(f"指令：{ASKED}"))
    assert found.kept == ((0, {"instruction": ASKED, "input": "", "output": BACK}),)


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        ("写。", {}, "too_short"),
        ("看着这张照片写一段说明。", {}, "keyword"),
        ("！写一则开放须知", {}, "first_character"),
        (BACK, {}, "copy (1.0)"),
        ("什么是冰川？它为什么会移动？", {}, "example"),
        (BACK[:20], {}, "copy (0.7"),
        (BACK[-9:], {}, "copy (a part of the text)"),
        (BACK[-9:], {"copy_max": 1.0}, None),
        ("Write a short notice for a library with its opening hours.", {}, "language (en"),
        ("Write a short notice for a library with its opening hours.", {"gate__language_max": 1.0}, None),
        ("请用 Markdown 写一则图书馆开放须知。", {}, None),
    ],
)
def test_checks_of_the_instruction(text: str, options: dict[str, Any], reason: str | None) -> None:
    """The filters of its language, no copy of the text or of a sentence of it, and the language of the text."""
    told = reasons(verdict(INSTRUCT, returned(), replies(text), made(**options)))
    assert told == [] if reason is None else len(told) == 1 and told[0].startswith(reason)


def test_the_copy_limit_itself_is_a_copy() -> None:
    """An instruction must be below it."""
    text = "请为图书馆写一则须知，说明周一闭馆，其余日子早上九点到晚上八点开放。"
    score = rouge_l(words(text), words(BACK))
    assert reasons(verdict(INSTRUCT, returned(), replies(text), made(copy_max=score))) == [f"copy ({round(score, 3)})"]
    assert verdict(INSTRUCT, returned(), replies(text), made(copy_max=score + 1e-9)).kept


def test_an_instruction_like_an_earlier_one_is_dropped() -> None:
    """The index of the run decides."""
    index = Index()
    index.add("instruct/0.0", ASKED)
    (told,) = reasons(verdict(INSTRUCT, returned(), replies(ASKED), index=index))
    assert told == "duplicate of instruct/0.0 (1.0)"


def test_an_empty_instruction_is_asked_for_again() -> None:
    """Nothing to read is malformed; a reply that was cut is lost."""
    request = about(INSTRUCT, returned(), made())
    with pytest.raises(Malformed, match="no_instruction"):
        read(INSTRUCT, request, made(), replies("指令："))
    assert reasons(verdict(INSTRUCT, returned(), replies(ASKED, stop=Stop.LENGTH))) == ["cut"]
    assert reasons(verdict(INSTRUCT, returned(), replies("", stop=Stop.REFUSED))) == ["refused"]
