"""Made-up answers: read by the engine's own recipes, hardly ever alike, and as good or bad as the script says."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import context, plan
from engine.core.dedup import Index
from engine.core.recipe import Context, Step, Verdict, compose, draw, judge, read
from engine.core.text import has_cjk
from engine.core.types import Chat, Item, Reply, Request, Stop, Style, Usage, prompt_text
from engine.recipes import alpaca, self_instruct
from providers.simulator import data
from providers.simulator.answers import Answers, Grammar, Manners, count_tokens, read_grammar, read_manners
from providers.simulator.calls import Facts, Said
from providers.simulator.cipher import translated
from providers.simulator.tables import ScriptError, parsed

INSTRUCT, CLASSIFY, INSTANCE = self_instruct.RECIPE.steps
(GENERATE,) = alpaca.RECIPE.steps
STYLES: tuple[Style, ...] = ("completion", "chat")
LANGUAGES = ("en", "zh")
STOPS = {"stop": Stop.END, "length": Stop.LENGTH, "content_filter": Stop.REFUSED}


@cache
def grammar(language: str = "en") -> Grammar:
    return read_grammar(parsed(data.grammar(language)))


def model(seed: int = 0, **manners: Any) -> Answers:
    return Answers(tuple(grammar(language) for language in LANGUAGES), Manners(**manners), seed)


@cache
def loaded(recipe: str, parity: bool = False, language: str = "en") -> Context:
    options = {"parity": parity, "language": language}
    data = {"recipe": recipe, "goal": 1, "lanes": {"base": {"provider": "local"}}, "options": options}
    return context.load(plan.from_data(data)).context


def asked(step: Step, context: Context, request: Request, answers: Answers) -> tuple[Request, Said]:
    """The request as the engine composes it, and what the model says to its call as it would go over the wire."""
    if step.show:
        request = draw(step, request, context, [])
    request = compose(step, request, context, request.style)
    (call,) = request.calls
    texts = [message.content for message in call.messages] if isinstance(call, Chat) else [prompt_text(request.calls)]
    facts = Facts("chat", max_tokens=call.decoding.max_tokens, stop=call.decoding.stop, drawn=str(call.decoding.temperature))
    return request, answers.said("\n\n".join(texts), facts)


def judged(step: Step, context: Context, request: Request, answers: Answers | None = None) -> Verdict:
    """What the engine's own parser and filters make of the answer."""
    request, said = asked(step, context, request, answers or model())
    reply = Reply(text=said.text, stop=STOPS[said.finish], usage=Usage())
    drafts = read(step, request, context, (reply,))
    return judge(step, request, context, drafts, Index(context.tokens))


def proposals(style: Style, count: int, answers: Answers, context: Context) -> list[Verdict]:
    return [judged(INSTRUCT, context, Request(step="instruct", index=n, style=style), answers) for n in range(count)]


# Every recipe can read them


@pytest.mark.parametrize(
    ("style", "parity", "language"),
    [
        ("completion", False, "en"),
        ("chat", False, "en"),
        ("completion", True, "en"),
        ("completion", False, "zh"),
        ("chat", False, "zh"),
    ],
)
def test_seven_tasks_are_proposed(style: Style, parity: bool, language: str) -> None:
    """A prompt gets as many tasks as it asks for, in its language, and the engine's filters find nothing wrong with them."""
    for verdict in proposals(style, 30, model(), loaded("self_instruct", parity, language)):
        assert len(verdict.kept) == 7
        assert not verdict.dropped
        assert {has_cjk(item["instruction"]) for _, item in verdict.kept} == {language == "zh"}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("style", STYLES)
def test_tasks_of_classification_are_recognised(style: Style, language: str) -> None:
    """Yes to the grammar's own tasks of classification; to most others no."""

    def kind(text: str) -> bool:
        request = Request(step="classify", index=0, of="instruct/0.0", item={"instruction": text}, style=style)
        ((_, item),) = judged(CLASSIFY, loaded("self_instruct", language=language), request).kept
        return bool(item["is_classification"])

    closed = [f"{start}something about {n} rivers." for n, start in enumerate(grammar(language).closed_starts)]
    assert all(kind(text) for text in closed)
    assert sum(kind(f"Name {n} rivers of France.") for n in range(100)) < 25


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("labelled", [False, True])
def test_instances_are_read(style: Style, labelled: bool, language: str) -> None:
    """Both kinds of instances come in a form that leaves one to three records each, some of them without an input."""
    context, given = loaded("self_instruct", language=language), []
    for n in range(60):
        item: Item = {"instruction": f"Describe river number {n}.", "is_classification": labelled}
        request = Request(step="instance", index=n, of=f"classify/{n}.0", item=item, style=style)
        verdict = judged(INSTANCE, context, request)
        assert 1 <= len(verdict.kept) <= 3
        assert all(item["output"] for _, item in verdict.kept)
        given += [bool(item["input"]) for _, item in verdict.kept]
    assert all(given) if labelled else 0.5 < sum(given) / len(given) < 1


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("style", STYLES)
def test_blocks_are_read(style: Style, language: str) -> None:
    """Alpaca's prompt gets its blocks, whole tasks in its language."""
    context = loaded("alpaca", language=language)
    for n in range(10):
        verdict = judged(GENERATE, context, Request(step="generate", index=n, style=style))
        assert len(verdict.kept) >= 16
        assert {reason.partition(" ")[0] for *_, reason in verdict.dropped} <= {"duplicate"}
        assert {has_cjk(item["output"]) for _, item in verdict.kept} == {language == "zh"}


@pytest.mark.parametrize(("style", "parity", "count"), [("completion", True, 16)])
def test_blocks_are_cut_as_published(style: Style, parity: bool, count: int) -> None:
    """The published stops cut the answer before the twentieth task."""
    context = loaded("alpaca", parity)
    for n in range(10):
        verdict = judged(GENERATE, context, Request(step="generate", index=n, style=style))
        assert len(verdict.kept) >= count - 1
        assert {reason for *_, reason in verdict.dropped} <= {"duplicate"}


def test_any_other_prompt_gets_prose() -> None:
    """What has no known form is answered in sentences."""
    said = model().said("What is the time?", Facts("chat", max_tokens=500))
    assert said.finish == "stop"
    assert len(said.text.split(". ")) >= 2


# How they differ


@pytest.mark.parametrize("opening", ["", "这是一份任务清单"], ids=LANGUAGES)
def test_twenty_thousand_tasks_hardly_resemble_each_other(opening: str) -> None:
    """Under 2% of new tasks have a ROUGE-L above 0.7 with an earlier one, counted in words or in Chinese characters."""
    index, near, answers = Index(), 0, model()
    facts = Facts("completion", max_tokens=1024, stop=("\n16.",))
    while len(index) < 20_000:
        for line in answers.said(f"{opening}{len(index)}\n9.", facts).text.split("\n"):
            text = line.partition(". ")[2] if line[0].isdigit() else line
            near += index.near(text, 0.7) is not None
            index.add(str(len(index)), text)
    assert near < 0.02 * 20_000


@given(st.text(), st.text(), st.integers(-5, 5))
def test_an_answer_follows_from_prompt_and_seed(one: str, other: str, seed: int) -> None:
    """Asked again, by another process even, the answer is the same; another prompt, seed or temperature gets another."""
    facts = Facts("chat", max_tokens=500)
    first = model(seed).said(one, facts)
    assert model(seed).said(one, facts) == first
    assert model(seed + 1).said(one, facts) != first
    assert model(seed).said(one, replace(facts, drawn="0.7")) != first
    if one != other:
        assert model(seed).said(other, facts) != first


def stale(style: Style, answers: Answers, language: str = "en") -> list[list[bool]]:
    """Reply by reply, which of the seven tasks nearly repeat one of the tasks shown."""
    context, found = loaded("self_instruct", language=language), []
    for n in range(150):
        request, said = asked(INSTRUCT, context, Request(step="instruct", index=n, style=style), answers)
        reply = Reply(text=said.text, stop=Stop.END, usage=Usage())
        shown = Index()
        for item in request.shown:
            shown.add(item["id"], item["instruction"])
        texts = [draft.item["instruction"] for draft in read(INSTRUCT, request, context, (reply,))]
        found.append([shown.near(text, 0.7) is not None for text in texts])
    return found


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("style", STYLES)
def test_near_duplicates_are_scattered(style: Style, language: str) -> None:
    """Their share is that of the script, in nearly every reply some."""
    found = stale(style, model(near_duplicates=0.3), language)
    assert 0.25 < sum(map(sum, found)) / 1_050 < 0.35
    assert sum(0 < sum(reply) < 7 for reply in found) > 120


def test_near_duplicates_fill_whole_replies() -> None:
    """Their share is the same, but a reply has seven of them or none."""
    found = stale("chat", model(near_duplicates=0.3, come="whole_replies"))
    assert {sum(reply) for reply in found} == {0, 7}
    assert 0.2 < sum(map(sum, found)) / 1_050 < 0.4


@pytest.mark.parametrize(
    ("manner", "finish", "kept"),
    [("refused", "stop", 0), ("filtered", "content_filter", 0), ("malformed", "stop", 0), ("truncated", "length", None)],
)
def test_bad_answers_are_bad(manner: str, finish: str, kept: int | None) -> None:
    """Each manner gives the finish reason it should, and the engine keeps nothing of what is no answer."""
    answers = model(**{manner: 1.0})
    context = loaded("self_instruct")
    for n in range(20):
        request = Request(step="instruct", index=n, style="chat")
        assert asked(INSTRUCT, context, request, answers)[1].finish == finish
        if kept is None:
            assert len(judged(INSTRUCT, context, request, answers).kept) < 7


def test_bad_answers_come_as_often_as_said() -> None:
    """Of a thousand answers about the shares of the script are bad in each way."""
    answers = model(refused=0.1, filtered=0.1, truncated=0.1, malformed=0.1)
    facts = Facts("chat", max_tokens=1_000)
    said = [answers.said(f"1. River {n}\nContinue, numbered 2. to 5.", facts) for n in range(1_000)]
    counts = [
        sum(one.text in grammar().refusals for one in said),
        sum(one.finish == "content_filter" for one in said),
        sum(one.finish == "length" for one in said),
        sum(one.text.startswith(grammar().ramblings) for one in said),
    ]
    assert all(70 < count < 130 for count in counts)


@given(st.integers(1, 60))
def test_no_answer_is_longer_than_allowed(limit: int) -> None:
    """A longer one is cut at `max_tokens`, and says so."""
    said = model().said("1. River\nContinue, numbered 2. to 9.", Facts("chat", max_tokens=limit))
    assert count_tokens(said.text) == limit
    assert said.finish == "length"


def test_an_answer_ends_before_a_stop() -> None:
    """The stop itself is left out."""
    facts = Facts("chat", max_tokens=1_000)
    whole = model().said("1. River\nContinue, numbered 2. to 9.", facts).text
    assert (
        model().said("1. River\nContinue, numbered 2. to 9.", replace(facts, stop=("\n5.",))).text == whole.partition("\n5.")[0]
    )


# Translations


@given(st.text(alphabet=st.characters(max_codepoint=0x7F)))
def test_english_comes_back_from_chinese(text: str) -> None:
    """There and back is where it began, and in between is no Latin letter."""
    there = translated(text, "zh")
    assert translated(there, "en") == text or not any(c.isalpha() for c in text)
    assert not any(c.isascii() and c.isalpha() for c in there)


@given(st.text(alphabet="春眠不觉晓，处处闻啼鸟。0123\n"))
def test_chinese_comes_back_from_english(text: str) -> None:
    """Ideographs become words of Latin letters and come back as they were."""
    there = translated(text, "en")
    assert not any("\u4e00" <= c <= "\u9fff" for c in there)
    assert translated(there, "zh") == text


@pytest.mark.parametrize(
    ("order", "text", "target"),
    [
        ("Translate the text into Chinese.", "Good day", "zh"),
        ("Translate to English:", "春眠不觉晓", "en"),
        ("请把下面的文字翻译成英文。", "春眠不觉晓", "en"),
        ("将这句话译成简体中文：", "Good day", "zh"),
    ],
)
def test_a_translation_may_be_asked_of_a_model(order: str, text: str, target: str) -> None:
    """A prompt that begins with an order to translate gets the rest of it in the other script."""
    assert model().said(f"{order}\n\n{text}", Facts("chat", max_tokens=100)).text == translated(text, target)


def test_the_language_of_a_prompt_is_that_of_its_opening() -> None:
    """What is asked about may be in another one; a script may also settle the language of all answers."""
    facts = Facts("chat", max_tokens=500)
    english, chinese = "Comment on this:\n\n" + "春眠不觉晓" * 200, "评论下面这段话，尽量写得详细一些。" * 40 + "\n\nGood day"
    assert not has_cjk(model().said(english, facts).text)
    assert has_cjk(model().said(chinese, facts).text)
    only = Answers((grammar("zh"),), Manners(language="zh"), 0)
    assert has_cjk(only.said("Name a river.", facts).text)


# Grammars


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{Explain} why", "{Explainn} why", r"tasks.open has a pattern with \{Explainn\}, for which there are no words"),
        ('yes = "Yes"', 'yess = "Yes"', r"forms.yes is missing \('yess' is there\)"),
        ("[words]", "[words]\ncolour = 3", "words.colour must be a list, not 3"),
        ("[texts]", "[texts]\nverse = 3", "texts.verse is not a key"),
    ],
)
def test_bad_grammars_are_refused(old: str, new: str, message: str) -> None:
    """Whoever writes one for another language is told what is wrong, and on which line."""
    with pytest.raises(ScriptError, match=message):
        read_grammar(parsed(data.grammar("en").replace(old, new, 1)))


def test_manners_are_read() -> None:
    """Names in a script are those of the settings."""
    assert read_manners(parsed(""), ["en"]).language == "auto"
    text = "near_duplicates = 0.2\nnear_duplicates_come = 'whole_replies'\nrefused = 0.1"
    assert read_manners(parsed(text), ["en"]) == Manners(near_duplicates=0.2, come="whole_replies", refused=0.1)
