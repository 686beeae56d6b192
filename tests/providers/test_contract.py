"""What every dialect has to keep, applied to each file of `providers`: a new vendor is tested by being there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

import providers
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse
from engine.core.language import Inquiry, Languages
from engine.core.text import utf8_bytes, utf16_units, words
from engine.core.types import Call, Chat, Completion, Decoding, Message, Reply, Stop, Translation, Usage
from providers import Provider, contract
from providers.contract import Exchange

HERE = Path(__file__).parent
SAME = {"local": "llama_cpp"}
"""Files whose server is another file's."""

every = pytest.mark.parametrize("name", providers.names())
"""Once for each file in the folder."""
RECORDED = [name for name in providers.names() if (HERE / SAME.get(name, name) / "exchanges.jsonl").exists()]
DECODING = Decoding(max_tokens=64, temperature=0.5, stop=("\n\n",))


@cache
def exchanges(name: str) -> tuple[Exchange, ...]:
    return tuple(contract.read((HERE / SAME.get(name, name) / "exchanges.jsonl").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", RECORDED)
def test_keeps_the_contract(name: str) -> None:
    """The function that ships with the product finds nothing wrong, on exchanges written from the vendor's documentation."""
    contract.check(providers.find(name), exchanges(name))


@every
def test_has_the_form_of_a_provider(name: str) -> None:
    """Whatever has been recorded of its server; for a language model's, that is a must."""
    provider = providers.find(name)
    contract.check_form(provider)
    assert name in RECORDED or provider.accepts == (Translation,)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.sampled_from(RECORDED), st.data())
def test_any_bytes_are_heard_or_a_fault(name: str, data: st.DataObject) -> None:
    """Whatever a server sends is a reply or a fault, never an error; how a stream is cut into pieces makes no difference."""
    provider = providers.find(name)
    recorded = data.draw(st.sampled_from(exchanges(name)))
    at = data.draw(st.integers(0, len(recorded.body)))
    junk = data.draw(
        st.binary(max_size=40) | st.sampled_from([b"data: {}\n\n", b'{"error": 1}', b"\r\n", b"data: [1]\n\n", b"{}\n"])
    )
    body = recorded.body[:at] + junk + recorded.body[at + data.draw(st.integers(0, 20)) :]
    call = contract.CALLS[provider.accepts[0]]
    (outcome,) = provider.decode((call,), HttpResponse(data.draw(st.integers(100, 599)), {}, body))
    assert isinstance(outcome, Reply | Fault)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    if provider.reader(call) is not None:
        assert heard(provider, call, [body]) == heard(provider, call, pieces)


def heard(provider: Provider, call: Call, chunks: list[bytes]) -> tuple[Reply, str]:
    """What a reader makes of a stream; it is not fed again after a fault."""
    reader, said = provider.reader(call), ""
    assert reader is not None
    for chunk in chunks:
        try:
            reader.feed(chunk)
        except Fault as fault:
            said = str(fault)
            break
    return reader.close(), said


# The contract finds what is wrong


@dataclass(frozen=True)
class Bent:
    """A provider with one method bent."""

    inner: Provider
    method: str
    by: Callable[..., Any]

    def __getattr__(self, name: str) -> Any:
        return self.by if name == self.method else getattr(self.inner, name)


OPENAI = providers.find("openai")
FAULT = Fault(FaultKind.BAD, f"the key {contract.KEY} is wrong")


@pytest.mark.parametrize(
    ("method", "by", "sentence"),
    [
        ("decode", lambda calls, response: (Reply(text="", stop=Stop.END, usage=Usage()),), "gives a reply to HTTP 400"),
        ("decode", lambda calls, response: (), "one outcome a call"),
        ("decode", lambda calls, response: (FAULT,), "repeats the key"),
        ("weigh", lambda call: Usage(requests=2), "more than one request"),
        ("weigh", lambda call: Usage(), "an estimate"),
        ("weigh", lambda call: structs.replace(OPENAI.weigh(call), tokens_out=5), "max_tokens"),
        ("encode", lambda calls, lane, stamp: OPENAI.encode(calls, replace(lane, extra={}), stamp), "extra fields"),
        ("encode", lambda calls, lane, stamp: OPENAI.encode(calls, replace(lane, reasoning_tokens=0), stamp), "reasoning_tokens"),
        ("encode", lambda calls, lane, stamp: OPENAI.encode(calls, replace(lane, base_url=None), stamp), "base_url"),
        ("leaves_out", lambda lane, call: ("warmth",), "names of settings"),
        ("reader", lambda call: None, "no reader"),
        ("key", lambda lane: "sk-123", "neither env:NAME"),
        ("style", lambda: "chat", "has to take"),
    ],
)
def test_what_is_wrong_is_said(method: str, by: Callable[..., Any], sentence: str) -> None:
    """A provider that breaks one of its promises is told which."""
    with pytest.raises(AssertionError, match=sentence):
        contract.check(Bent(OPENAI, method, by), exchanges("openai"))  # type: ignore[arg-type]


def test_recorded_answers_are_really_compared() -> None:
    """One wrong number in what is wanted, a stream that is missing, or a kind of fault that nobody recorded: each is said."""
    good = list(exchanges("openai"))
    wrong = [replace(good[0], wanted=({**good[0].wanted[0], "tokens_out": 5},)), *good[1:]]
    with pytest.raises(AssertionError, match="tokens_out is 4, not 5"):
        contract.check(OPENAI, wrong)
    with pytest.raises(AssertionError, match="no recorded answer is a fault of kind network"):
        contract.check(OPENAI, [one for one in good if one.wanted[0].get("fault") != "network"])
    with pytest.raises(AssertionError, match="no recorded stream ends as broken"):
        contract.check(OPENAI, [one for one in good if not (one.streamed and one.wanted[0].get("stop") == "broken")])


def test_what_a_provider_raises_goes_on() -> None:
    """A bug inside a method is shown with its own traceback, and a note on what it should have done."""

    def fail(calls: Any, response: HttpResponse) -> Any:
        raise KeyError("choices")

    with pytest.raises(KeyError) as caught:
        contract.check(Bent(OPENAI, "decode", fail), exchanges("openai"))  # type: ignore[arg-type]
    assert "has to give a Fault" in caught.value.__notes__[0]


def translators() -> list[Provider]:
    """Vendors and servers of translation, which say what they translate into what; not models that are asked to translate."""
    found = map(providers.find, providers.names())
    return [provider for provider in found if Translation in provider.accepts and provider.languages is not None]


every_translator = pytest.mark.parametrize("provider", translators(), ids=lambda provider: type(provider).__name__)


@every_translator
@given(st.text(max_size=40), st.text(max_size=40))
def test_characters_are_counted_in_a_unit_that_vendors_have(provider: Provider, one: str, other: str) -> None:
    """Code points, units of UTF-16 or bytes of UTF-8, each exactly: the vendor counts alike, so nothing is a guess. Two texts
    weigh what their parts do, but for the line break that Baidu counts behind each."""
    weights = [provider.weigh(Translation(text, "en", "es")) for text in (one, other, one + other)]
    assert all((usage.requests, usage.tokens, usage.estimated) == (1, 0, False) for usage in weights)
    around = provider.weigh(Translation("", "en", "es")).characters
    assert around == (type(provider).__name__ == "Baidu")
    first, second, both = (usage.characters - around for usage in weights)
    assert first in (len(one), utf16_units(one), utf8_bytes(one))
    assert first + second == both


@every_translator
@pytest.mark.parametrize("status", [200, 400, 429, 503])
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'{"error": "no"}', b"[[], [], []]", b'{"translations": []}'])
def test_each_call_has_one_outcome(provider: Provider, status: int, body: bytes) -> None:
    """However many texts a request carries, each call gets one reply or fault, and no answer without a text is a reply."""
    for number in {1, min(3, provider.texts), min(20, provider.texts)}:
        batch = tuple(Translation(f"Text {n}.", "en", "es") for n in range(number))
        outcomes = provider.decode(batch, HttpResponse(status, {}, body))
        assert len(outcomes) == number
        assert all(isinstance(outcome, Fault) for outcome in outcomes)


@every_translator
def test_full_request_can_be_made(provider: Provider) -> None:
    """As many calls as a request may carry go into one; a text of another pair does not."""
    batch = tuple(Translation(f"Text {n}.", "en", "es") for n in range(provider.texts))
    assert provider.encode(batch, contract.lane(provider), contract.STAMP).body
    if len(batch) > 1:
        with pytest.raises(ValueError, match="one pair"):
            provider.encode((*batch[1:], Translation("x", "es", "en")), contract.lane(provider), contract.STAMP)


@every_translator
def test_pair_that_a_vendor_has_not_is_never_sent(provider: Provider) -> None:
    """Where the vendor's list is known, a language that is not on it is a fault of kind BAD before a call."""
    if isinstance(provider.languages, Languages):
        assert provider.languages.pair("en", "es")
        for pair in (("en", "qqq"), ("qqq", "en"), ("en", "en")):
            with pytest.raises(Fault) as caught:
                provider.encode((Translation("x", *pair),), contract.lane(provider), contract.STAMP)
            assert caught.value.kind is FaultKind.BAD
    else:
        assert isinstance(provider.languages, Inquiry)
        assert provider.languages.request(contract.lane(provider)).method == "GET"


TEXTS = {
    "English": ("Explain to a new web developer why passwords are stored as salted hashes rather than in plain text.", 19),
    "German": ("Die Donaudampfschifffahrtsgesellschaft veröffentlichte gestern ihren Fahrplan für den kommenden Sommer.", 22),
    "Russian": ("Объясните начинающему разработчику, почему пароли хранятся в виде хешей с солью.", 23),
    "Chinese": ("请向新手解释为什么密码要加盐哈希后再存储，而不是以明文保存。", 20),
    "Japanese": ("パスワードを平文ではなくソルト付きハッシュで保存する理由を説明してください。", 19),
    "Korean": ("비밀번호를 평문이 아니라 솔트가 있는 해시로 저장하는 이유를 설명하세요.", 22),
    "Hindi": ("समझाइए कि पासवर्ड सादे पाठ के बजाय सॉल्टेड हैश के रूप में क्यों रखे जाते हैं।", 22),
    "emoji": ("🎻🧭🌍🚀🍞", 5),
    "code": ("def f(x):\n    return {k: v**2 for k, v in x.items() if v is not None and k != '__id__'}\n", 36),
    "JSON": ('{"symptoms": [{"name": "sore throat", "duration": "three days"}], "t": 38.4}', 29),
    "digits": ("31415926535897932384626433832795028841971", 41),
    "numbers": ("1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987", 58),
}
"""Texts, and how many tokens Gemma 3 makes of them."""


def asking(provider: Provider, text: str) -> list[Call]:
    """The text as each kind of question to a language model that the provider takes."""
    both: list[Call] = [Chat((Message("user", text),), DECODING), Completion(text, DECODING)]
    return [call for call in both if type(call) in provider.accepts]


@every
@pytest.mark.parametrize("kind", TEXTS)
def test_weighs_at_least_what_a_model_counts(name: str, kind: str) -> None:
    """A quota is reserved by the weight, so it bounds the tokens of prompt and answer from above, and is marked as a guess."""
    provider, (text, tokens) = providers.find(name), TEXTS[kind]
    for call in asking(provider, text):
        usage = provider.weigh(call)
        assert usage.prompt >= tokens
        assert (usage.requests, usage.answer, usage.estimated) == (1, 64, True)


@every
def test_longer_call_weighs_no_less(name: str) -> None:
    """Whatever is added to a prompt, in any script, its weight does not fall, and every word of it is charged."""
    provider = providers.find(name)
    texts = ["Sage mir warum 水は青い " * n for n in range(1, 40)]
    for kind in zip(*(asking(provider, text) for text in texts), strict=True):
        weights = [provider.weigh(call).prompt for call in kind]
        assert weights == sorted(weights)
        assert weights[-1] >= len(words(texts[-1]))


def test_finds_a_provider_by_the_name_of_its_file() -> None:
    """`find` knows every name that `names` lists, and the dotted name of the same module; what dialects share is none."""
    assert {"local", "openai", "deepseek", "anthropic"} <= set(providers.names())
    assert not {"contract", "profile", "reading", "simulator"} & set(providers.names())
    assert providers.find("openai") is providers.find("providers.openai")
