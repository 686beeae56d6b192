"""A language model as a translator: what it is asked, and what is made of what it says."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import providers
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse
from engine.core.types import Chat, Completion, LanePlan, Reply, Stop, Translation, Usage
from providers import contract
from providers.anthropic import PROVIDER as ANTHROPIC
from providers.demonstrations import TEXTS
from providers.llm_translate import LlmTranslate, asked, cleaned, demonstrations, named, over
from providers.local import PROVIDER as LOCAL
from tests.translators import STAMP, calls, lane, reads_anything

ONE = Translation("The shop opens at nine.", "en", "zh")
ZH = "商店九点开门。"


def said(text: str, finish: str = "stop") -> dict[str, object]:
    """A chat's answer as OpenAI's dialect has it."""
    usage = {"prompt_tokens": 100, "completion_tokens": 9}
    return {"choices": [{"message": {"content": text}, "finish_reason": finish}], "usage": usage, "model": "m"}


def decoded(provider: LlmTranslate, body: object, call: Translation = ONE, status: int = 200) -> Reply | Fault:
    (outcome,) = provider.decode((call,), HttpResponse(status, {}, orjson.dumps(body), seconds=2.0, first_byte=0.5))
    return outcome


# What is asked


def test_is_found_by_its_name() -> None:
    """Alone it is a provider like any other, of OpenAI's chats."""
    provider = providers.find("llm_translate")
    assert provider.accepts == (Translation,)
    assert provider.key(lane()) == "env:OPENAI_API_KEY"
    assert provider.models


@pytest.mark.parametrize("inner", [name for name in providers.names() if Translation not in providers.find(name).accepts])
@pytest.mark.parametrize("style", ["chat", "completion"])
def test_any_model_makes_a_translator(inner: str, style: str) -> None:
    """Over each dialect and each style that it takes, the contract of providers holds."""
    provider = providers.find(inner)
    if {"chat": Chat, "completion": Completion}[style] in provider.accepts:
        contract.check_form(over(provider, style))  # type: ignore[arg-type]


def test_base_model_goes_on_from_demonstrations() -> None:
    """One line a text, each with its label; the question comes last, and a line's end ends the answer."""
    call = asked(ONE, "completion")
    assert isinstance(call, Completion)
    lines = [line for line in call.prompt.splitlines() if line][1:]
    assert [line.partition(":")[0] for line in lines] == ["English", "Chinese"] * (len(TEXTS) + 1)
    assert lines[-2:] == [f"English: {ONE.text}", "Chinese:"]
    assert lines[0].endswith(TEXTS[0]["en"])
    assert lines[1].endswith(TEXTS[0]["zh"])
    assert (call.decoding.temperature, call.decoding.stop) == (0.0, ("\n",))


def test_text_of_several_lines_is_not_stopped_at_its_first() -> None:
    """Its translation has as many; it ends where the next text would begin."""
    call = asked(Translation("Eggs\nMilk", "en", "es"), "completion")
    assert call.decoding.stop == ("\nEnglish:",)


def test_chat_is_told_what_to_do_and_shown_how() -> None:
    """Rules for the system, demonstrations as turns, and the text alone as the last one."""
    call = asked(ONE, "chat")
    assert isinstance(call, Chat)
    assert "English" in call.messages[0].content
    assert "into Chinese" in call.messages[0].content
    assert [message.role for message in call.messages] == ["system", *["user", "assistant"] * 3, "user"]
    assert call.messages[2].content == TEXTS[0]["zh"]
    assert call.messages[-1].content == ONE.text
    assert call.decoding.temperature == 0.0


@pytest.mark.parametrize(
    ("source", "target", "count"),
    [("zh", "en", 5), ("en-GB", "es-419", 5), ("zh-Hans", "es", 5), ("en", "de", 0), ("en", "zh-TW", 0), ("en-US", "en-GB", 0)],
)
def test_demonstrations_are_of_the_pair(source: str, target: str, count: int) -> None:
    """Variants have those of their language, but for traditional characters; other pairs have none, and are asked too."""
    shown = list(demonstrations(source, target))
    assert len(shown) == count
    assert f"{named(source)}: A text.\n{named(target)}:" in asked_prompt(Translation("A text.", source, target))


def asked_prompt(call: Translation) -> str:
    question = asked(call, "completion")
    assert isinstance(question, Completion)
    return question.prompt


@pytest.mark.parametrize(
    ("tag", "name"),
    [("zh-TW", "Traditional Chinese"), ("zh", "Chinese"), ("de-AT", "German"), ("no", "Norwegian"), ("tlh", "tlh")],
)
def test_languages_have_names(tag: str, name: str) -> None:
    """As English calls them; a language that we have no name for is called by its tag."""
    assert named(tag) == name


def test_room_for_the_answer_grows_with_the_text() -> None:
    """A longer text may have a longer translation, and weighs more; its characters are counted beside the tokens."""
    short, long = Translation("One.", "en", "zh"), Translation("One. " * 200, "en", "zh")
    provider = over(LOCAL, "completion")
    assert asked(short, "chat").decoding.max_tokens < 100
    assert asked(long, "chat").decoding.max_tokens > 500
    weight = provider.weigh(long)
    assert weight.characters == 1000
    assert weight.tokens_out == asked(long, "chat").decoding.max_tokens
    assert weight.tokens_in > provider.weigh(short).tokens_in + 200


def test_other_dialect_sends_it() -> None:
    """Address, headers and body are those of the dialect that it is put over."""
    request = over(ANTHROPIC, "chat").encode((ONE,), lane(model="claude", base_url="https://a.example/v1"), STAMP)
    assert "x-api-key" in {name.lower() for name in request.headers}
    assert orjson.loads(request.body)["messages"][-1]["content"] in (ONE.text, [{"type": "text", "text": ONE.text}])
    request = over(LOCAL, "completion").encode((ONE,), LanePlan(provider="local", base_url="http://127.0.0.1:9/v1"), STAMP)
    assert request.url == "http://127.0.0.1:9/v1/completions"


def test_over_a_translator_of_this_kind_is_over_its_model() -> None:
    """Another style does not put one translator over another."""
    again = over(over(LOCAL, "chat"), "completion")
    assert (again.inner, again.asks) == (LOCAL, "completion")


# What was said


@pytest.mark.parametrize(
    "answer",
    [
        ZH,
        f"  {ZH}\n",
        f"Chinese: {ZH}",
        f"**Translation:** {ZH}",
        f"译文：{ZH}",
        f"“{ZH}”",
        f'"{ZH}"',
        f"Here is the translation:\n\n{ZH}",
        f"Sure! Here is the text in Chinese:\n{ZH}",
        f"{ZH}\n\n(Note: 开门 may also be 开业.)",
        f"{ZH}\n\n注：这里的“九点”指早上。",
        f"```\n{ZH}\n```",
        f'Here is the translation:\n\n"{ZH}"\n\nLet me know if you need more.',
    ],
)
def test_what_stands_around_a_translation_is_taken_away(answer: str) -> None:
    """Labels, quotation marks, fences and remarks that the text itself does not have."""
    assert cleaned(ONE, answer) == ZH


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ('"Come in," she said.', "“请进，”她说。"),
        ('"Come in."', "“请进。”"),
        ("Translation: an old art", "翻译：一门古老的艺术"),
        ("One.\n\nNote: two.", "一。\n\n注：二。"),
        ("- Eggs\n- Milk", "- 鸡蛋\n- 牛奶"),
        ("```\nx = 1\n```", "```\nx = 1\n```"),
        ("He said: go.", "他说：走。"),
        ("This is needed:\n- Eggs", "以下是需要的东西：\n- 鸡蛋"),
        ("!!!", "！！！"),
    ],
)
def test_what_belongs_to_the_text_stays(source: str, answer: str) -> None:
    """A label, a quotation, a note or a list that has its like in the source."""
    assert cleaned(Translation(source, "en", "zh"), answer) == answer


@pytest.mark.parametrize("answer", ["", "  \n", "Chinese:", "Here is the translation:", "...", "长" * 300, TEXTS[1]["zh"]])
def test_what_can_be_no_translation_is_malformed(answer: str) -> None:
    """Nothing, only a label or signs, a flood, a demonstration said again: it was paid for, and may be asked again."""
    outcome = decoded(over(providers.find("openai"), "chat"), said(answer))
    assert isinstance(outcome, Fault)
    assert (outcome.kind, outcome.billed) == (FaultKind.MALFORMED, True)
    assert "no translation" in outcome.detail


def test_text_of_a_demonstration_has_its_translation() -> None:
    """It is absurd as an answer to any other text only."""
    assert cleaned(Translation(TEXTS[1]["en"], "en", "zh"), TEXTS[1]["zh"]) == TEXTS[1]["zh"]


def test_reply_keeps_what_the_model_cost() -> None:
    """Tokens as the server counts them, characters of the text, times, and an end that was cut."""
    outcome = decoded(over(providers.find("openai"), "chat"), said(f"Chinese: {ZH}", "length"))
    assert outcome == Reply(
        text=ZH,
        stop=Stop.LENGTH,
        usage=Usage(tokens_in=100, tokens_out=9, characters=len(ONE.text)),
        model="m",
        seconds=2.0,
        first_byte=0.5,
    )


def test_faults_are_those_of_the_other_dialect() -> None:
    """What its codes mean stands there, and nothing is lost on the way."""
    body = {"error": {"message": "spent", "code": "insufficient_quota"}}
    outcome = decoded(over(providers.find("openai"), "chat"), body, status=429)
    assert isinstance(outcome, Fault)
    assert outcome.kind is FaultKind.QUOTA


def test_streamed_answer_is_cleaned_at_its_end() -> None:
    """What of it belongs to the translation is known only then; broken, it says so."""
    provider = over(providers.find("openai"), "chat")
    events = [{"choices": [{"delta": {"content": part}}]} for part in ("Chinese: ", "商店", "九点开门。")]
    body = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)
    whole = body + b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    for stream, stop in ((whole, Stop.END), (body, Stop.BROKEN)):
        reader = provider.reader(ONE)
        assert reader is not None
        assert reader.feed(stream) == ""
        reply = reader.close()
        assert (reply.text, reply.stop, reply.usage.characters) == (ZH, stop, len(ONE.text))
        assert reader.began
        assert reader.ended is (stop is Stop.END)


def test_stop_that_the_server_goes_past_is_known() -> None:
    """A completion that goes on behind its line says that it has heard enough."""
    reader = over(LOCAL, "completion").reader(ONE)
    assert reader is not None
    reader.feed(b"data: " + orjson.dumps({"choices": [{"text": f" {ZH}\n\nEnglish: more"}]}) + b"\n\n")
    assert reader.stopped
    assert reader.close().text == ZH


def test_any_shape_of_answer_is_read_or_refused() -> None:
    """Whatever stands where a text should, it is a reply with a text or a fault."""
    reads_anything(providers.find("llm_translate"), calls("One."), said("一。"))


@given(st.text(max_size=60), st.text(max_size=200), st.sampled_from(["zh", "es", "de"]))
def test_cleaning_adds_nothing_and_is_done_once(source: str, answer: str, target: str) -> None:
    """What is left is a part of what was said."""
    left = cleaned(Translation(source, "en", target), answer)
    assert left in answer
    assert left == left.strip()
