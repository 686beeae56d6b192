"""Tags of languages, vendors' codes, and pairs."""

from __future__ import annotations

import pytest

from engine.core.language import Inquiry, Languages, canonical, languages, spelled, table
from engine.core.types import LanePlan

CODES = table("en de pt-BR pt zh=zh-CN zh-Hant=zh-TW nb=no fil he sr-Latn mn-Cyrl")
ALL = Languages(CODES, CODES | table("en-GB"), hubs={"de": "en"})


@pytest.mark.parametrize(
    ("tag", "usual"),
    [
        ("EN", "en"),
        ("en_us", "en-US"),
        ("zh-CN", "zh-Hans"),
        ("zh-tw", "zh-Hant"),
        ("zh-HK", "zh-Hant"),
        ("zh-hans-sg", "zh-Hans"),
        ("cmn", "zh"),
        ("iw", "he"),
        ("no", "nb"),
        ("tl", "fil"),
        ("sr-latn-rs", "sr-Latn-RS"),
        ("es-419", "es-419"),
        (" zh ", "zh"),
    ],
)
def test_tag_has_one_spelling(tag: str, usual: str) -> None:
    """Case, underscores, older names and the regions of Chinese make no difference."""
    assert canonical(tag) == usual


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en", "en"),
        ("en-GB", "en"),
        ("pt-BR", "pt-BR"),
        ("pt-PT", "pt"),
        ("zh", "zh-CN"),
        ("zh-Hans", "zh-CN"),
        ("zh-Hant", "zh-TW"),
        ("zh-TW", "zh-TW"),
        ("no", "no"),
        ("sr-Latn-RS", "sr-Latn"),
        ("sr", None),
        ("sr-Cyrl", None),
        ("mn-Cyrl", "mn-Cyrl"),
        ("xx", None),
    ],
)
def test_code_is_the_tags_own_or_the_languages(tag: str, code: str | None) -> None:
    """A region may be left out, a script may not: Traditional Chinese is never sent as Simplified."""
    assert spelled(tag, CODES) == code
    assert spelled("zh-Hant", table("zh en")) is None


def test_simplified_chinese_alone_serves_plain_chinese() -> None:
    """A vendor whose only code is for zh-Hans is asked with it for `zh`."""
    assert spelled("zh", table("zh-Hans=zh-CHS")) == "zh-CHS"


def test_pair_is_known_before_a_call() -> None:
    """Both languages have to be there, and differ; some are translated from and into one other only."""
    assert ALL.pair("en-US", "zh-Hant") == ("en", "zh-TW")
    assert ALL.pair("zh-Hans", "zh-Hant") == ("zh-CN", "zh-TW")
    assert ALL.pair("zh", "en-GB") == ("zh-CN", "en-GB")
    assert ALL.pair("en", "xx") is ALL.pair("xx", "en") is ALL.pair("zh", "zh-Hans") is None
    assert ALL.pair("de", "en") == ("de", "en")
    assert ALL.pair("pt", "de") is ALL.pair("de", "pt") is None


def test_pairs_of_a_server_are_all_there_are() -> None:
    """What a server lists is what it has, in its own codes, and a message names it by our tags."""
    own = languages(
        frozenset({("eng", "spa"), ("spa", "eng"), ("cat", "spa")}), lambda code: {"eng": "en", "spa": "es"}.get(code, code)
    )
    assert own.pair("en", "es") == ("eng", "spa")
    assert own.pair("es", "cat") is own.pair("en", "cat") is None
    assert str(own) == "cat-es, en-es, es-en"
    assert str(languages(frozenset(), canonical)) == "nothing"


def test_long_list_is_cut_in_a_message() -> None:
    """A vendor with hundreds of languages does not fill the screen."""
    many = table(" ".join(f"x{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(100)))
    assert "and 60 more into" in str(Languages(many, CODES))
    assert str(Languages(many, many)).endswith(", xbn and 60 more")


def test_server_is_asked_where_it_is() -> None:
    """At the lane's address, else the usual one."""
    inquiry = Inquiry("http://127.0.0.1:5000", "/languages", lambda response: ALL)
    assert inquiry.request(LanePlan(provider="x")).url == "http://127.0.0.1:5000/languages"
    assert inquiry.request(LanePlan(provider="x", base_url="http://mt/a/")).url == "http://mt/a/languages"
