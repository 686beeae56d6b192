"""What every dialect has to keep, applied to each file of `providers`: a new vendor is tested by being there."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest

import providers
from engine.core.faults import Fault
from engine.core.text import words
from engine.core.types import Call, Chat, Completion, Decoding, HttpResponse, LanePlan, Message, Reply, Stamp, Stop, Translation
from providers import Provider

STAMP = Stamp(1_767_225_600.0, "nonce", "a-secret-key-of-forty-characters-1234567")
DECODING = Decoding(max_tokens=64, temperature=0.5, stop=("\n\n",))
CALLS: dict[type, Call] = {
    Chat: Chat((Message("system", "Be brief."), Message("user", "Name a river.")), DECODING),
    Completion: Completion("A river: ", DECODING),
    Translation: Translation("Name a river.", "en", "de"),
}

every = pytest.mark.parametrize("provider", [providers.find(name) for name in providers.names()], ids=providers.names())
"""Once for each file in the folder."""


def lane(provider: Provider) -> LanePlan:
    return LanePlan(provider="any", model="a-model" if provider.models else "", base_url="http://127.0.0.1:9/v1")


def calls(provider: Provider) -> list[Call]:
    return [CALLS[kind] for kind in provider.accepts]


@every
def test_has_the_methods_of_the_protocol(provider: Provider) -> None:
    """Every method stands there with the protocol's parameters under the protocol's names."""
    for name, method in inspect.getmembers(Provider, inspect.isfunction):
        if not name.startswith("_"):
            wanted = list(inspect.signature(method).parameters)[1:]
            assert list(inspect.signature(getattr(provider, name)).parameters) == wanted


@every
def test_says_what_it_can(provider: Provider) -> None:
    """Kinds of call, calls a request, need of a model, style and place of the key are known before anything is sent."""
    assert provider.accepts
    assert set(provider.accepts) <= set(CALLS)
    assert provider.texts >= 1
    assert isinstance(provider.models, bool)
    if {Chat, Completion} & set(provider.accepts):
        assert {"chat": Chat, "completion": Completion}[provider.style(lane(provider))] in provider.accepts
    key = provider.key(replace(lane(provider), base_url=None))
    assert key is None or key.startswith(("env:", "file:"))


@every
def test_encode_is_pure(provider: Provider) -> None:
    """The same call, lane and stamp make the same request, one that can be sent, whatever was encoded in between."""
    for call in calls(provider):
        first = provider.encode((call,), lane(provider), STAMP)
        for other in calls(provider):
            provider.encode((other,), replace(lane(provider), model="another"), replace(STAMP, nonce="other", key=""))
        assert provider.encode((call,), lane(provider), STAMP) == first
        assert first.method in ("GET", "POST")
        assert first.url.startswith(("http://", "https://"))
        assert all(isinstance(part, str) for pair in first.headers.items() for part in pair)
        assert isinstance(first.body, bytes)


@every
def test_key_shows_in_no_repr(provider: Provider) -> None:
    """A request may be logged: its repr holds neither the key nor what it says."""
    for call in calls(provider):
        assert STAMP.key not in repr(provider.encode((call,), lane(provider), STAMP))


@every
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 503, 529])
@pytest.mark.parametrize(
    "body", [b"", b"\xff\x00", b"<html>", b"null", b"[]", b"{}", b'{"error": {"message": "a text", "code": 429}}']
)
def test_decode_is_total_and_repeatable(provider: Provider, status: int, body: bytes) -> None:
    """Any answer gives one reply or fault a call, the same each time; an error status never gives a reply."""
    for call in calls(provider):
        response = HttpResponse(status, {"content-type": "application/json"}, body)
        (first,) = provider.decode((call,), response)
        (second,) = provider.decode((call,), response)
        assert isinstance(first, Reply | Fault)
        assert repr(first) == repr(second)
        assert isinstance(first, Fault) or status == 200


@every
@pytest.mark.parametrize("stream", [b"", b"\xff\x00\n\n", b"data: {}\n\n", b"data: null\n\n", b"{}\n", b": ping\n\n", b"data: {"])
def test_reader_of_nothing_is_broken(provider: Provider, stream: bytes) -> None:
    """A stream that says nothing ends BROKEN, with an estimate of its cost, or in a fault that was billed."""
    for call in calls(provider):
        if (reader := provider.reader(call)) is None:
            continue
        try:
            assert reader.feed(stream) == ""
        except Fault as fault:
            assert fault.billed
        reply = reader.close()
        assert (reply.text, reply.stop, reply.usage.estimated, reply.usage.answer) == ("", Stop.BROKEN, True, 0)
        assert reply.usage.prompt == provider.weigh(call).prompt
        assert not reader.began
        assert not reader.ended


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
def test_weighs_at_least_what_a_model_counts(provider: Provider, kind: str) -> None:
    """A quota is reserved by the weight, so it bounds the tokens of prompt and answer from above, and is marked as a guess."""
    text, tokens = TEXTS[kind]
    for call in asking(provider, text):
        usage = provider.weigh(call)
        assert usage.prompt >= tokens
        assert (usage.requests, usage.answer, usage.estimated) == (1, 64, True)


@every
def test_longer_call_weighs_no_less(provider: Provider) -> None:
    """Whatever is added to a prompt, in any script, its weight does not fall, and every word of it is charged."""
    texts = ["Sage mir warum 水は青い " * n for n in range(1, 40)]
    for kind in zip(*(asking(provider, text) for text in texts), strict=True):
        weights = [provider.weigh(call).prompt for call in kind]
        assert weights == sorted(weights)
        assert weights[-1] >= len(words(texts[-1]))


def test_finds_a_provider_by_the_name_of_its_file() -> None:
    """`find` knows every name that `names` lists, and the dotted name of the same module."""
    assert {"local", "openai", "deepseek"} <= set(providers.names())
    assert not {"profile", "reading"} & set(providers.names())
    assert providers.find("openai") is providers.find("providers.openai")
