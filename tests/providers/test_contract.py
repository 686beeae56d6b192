"""What every dialect has to keep, applied to each file of `providers`: a new vendor is tested by being there."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import providers
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse, Stamp
from engine.core.keys import sources
from engine.core.language import Inquiry, Languages
from engine.core.text import utf8_bytes, utf16_units, words
from engine.core.types import Call, Chat, Completion, Decoding, LanePlan, Message, Reply, Stop, Translation
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
    assert key is None or sources(key)
    assert provider.limit is None or provider.limit >= 1
    assert provider.request_limit is None or provider.request_limit >= (provider.limit or 1)
    assert provider.languages is None or isinstance(provider.languages, Languages | Inquiry)


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


def translators() -> list[Provider]:
    """Vendors and servers of translation, which say what they translate into what; not models that are asked to translate."""
    found = map(providers.find, providers.names())
    return [provider for provider in found if Translation in provider.accepts and provider.languages is not None]


every_translator = pytest.mark.parametrize("provider", translators(), ids=lambda provider: type(provider).__name__)


@every_translator
@given(st.text(max_size=40), st.text(max_size=40))
def test_characters_are_counted_in_a_unit_that_vendors_have(provider: Provider, one: str, other: str) -> None:
    """Code points, units of UTF-16 or bytes of UTF-8, each exactly: the vendor counts alike, so nothing is a guess. Two texts
    weigh what their parts do."""
    weights = [provider.weigh(Translation(text, "en", "es")) for text in (one, other, one + other)]
    assert all((usage.requests, usage.tokens, usage.estimated) == (1, 0, False) for usage in weights)
    first, second, both = (usage.characters for usage in weights)
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
    assert provider.encode(batch, lane(provider), STAMP).body
    if len(batch) > 1:
        with pytest.raises(ValueError, match="one pair"):
            provider.encode((*batch[1:], Translation("x", "es", "en")), lane(provider), STAMP)


@every_translator
def test_pair_that_a_vendor_has_not_is_never_sent(provider: Provider) -> None:
    """Where the vendor's list is known, a language that is not on it is a fault of kind BAD before a call."""
    if isinstance(provider.languages, Languages):
        assert provider.languages.pair("en", "es")
        for pair in (("en", "qqq"), ("qqq", "en"), ("en", "en")):
            with pytest.raises(Fault) as caught:
                provider.encode((Translation("x", *pair),), lane(provider), STAMP)
            assert caught.value.kind is FaultKind.BAD
    else:
        assert isinstance(provider.languages, Inquiry)
        assert provider.languages.request(lane(provider)).method == "GET"


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
    assert {"libretranslate", "local", "openai"} <= set(providers.names())
    assert providers.find("openai") is providers.find("providers.openai")
