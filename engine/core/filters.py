"""Named checks: each looks at one item and answers why it should be dropped, or `None`.

Pure; `options.filters` puts them in order by name. To add one, write a function here and name it in `FILTERS`.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from engine.core.faults import PlanError
from engine.core.text import collapse, words
from engine.core.types import Item

Subject: TypeAlias = Literal["instruction", "record"]
"""What a filter looks at: an instruction as it is proposed, or a whole record with input and output."""

KEYWORDS = (
    "image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw", "plot", "go to",
)  # fmt: skip
"""Words for things that a text model cannot see or do (the published bootstrap script's list)."""

ALPACA_KEYWORDS = (*KEYWORDS, "video", "audio", "music", "flowchart", "diagram")

KEYWORDS_ZH = (
    "图片", "图像", "照片", "截图", "插图", "画一", "画出", "绘制", "画图",
    "视频", "音频", "音乐", "文件", "附件", "地图", "流程图", "图表",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits that the filters apply. Lengths are white-space words, or characters where `language` is Chinese."""

    language: str
    min_length: int
    max_length: int
    keyword: re.Pattern[str] | None

    @classmethod
    def of(cls, language: str, min_length: int | None, max_length: int | None, keywords: Sequence[str] | None) -> Rules:
        """Rules with the language's defaults where `None` is given: 4 to 150 words, in Chinese 4 to 300 characters."""
        chinese = language.startswith("zh")
        chosen = keywords if keywords is not None else (KEYWORDS_ZH if chinese else KEYWORDS)
        return cls(language, min_length or 4, max_length or (300 if chinese else 150), keyword_pattern(chosen))


def keyword_pattern(keywords: Sequence[str]) -> re.Pattern[str] | None:
    """Finds any of `keywords`, ignoring case: ASCII ones as whole words, others as substrings, as scripts without spaces need."""
    parts = [
        rf"(?<!\w){re.escape(keyword)}(?!\w)" if keyword.isascii() else re.escape(keyword) for keyword in keywords if keyword
    ]
    return re.compile("|".join(parts), re.IGNORECASE) if parts else None


def empty(item: Item, rules: Rules) -> str | None:
    return None if item["instruction"] else "empty"


def length(item: Item, rules: Rules) -> str | None:
    text = item["instruction"]
    count = len(text) if rules.language.startswith("zh") else len(text.split())
    if count < rules.min_length:
        return "too_short"
    return "too_long" if count > rules.max_length else None


def keywords(item: Item, rules: Rules) -> str | None:
    """Asks for something that a text model cannot see or do."""
    return "keyword" if rules.keyword and rules.keyword.search(item["instruction"]) else None


def program(item: Item, rules: Rules) -> str | None:
    """The published scripts drop these: models asked for tasks fall back on them far too often."""
    return "program" if item["instruction"].startswith("Write a program") else None


def first_character(item: Item, rules: Rules) -> str | None:
    """Starts with something else than a letter of any script, a digit, or an opening quote or bracket."""
    first = item["instruction"][:1]
    if first.isalnum() or first in "\"'":
        return None
    return None if unicodedata.category(first or " ") in ("Ps", "Pi") else "first_character"


def ascii_punctuation(item: Item, rules: Rules) -> str | None:
    """The published rule on the first character, first half."""
    return "punctuation" if item["instruction"][:1] in string.punctuation else None


def ascii_letter(item: Item, rules: Rules) -> str | None:
    """The published rule on the first character, second half: it keeps English tasks only."""
    return None if item["instruction"][:1].isascii() else "not_ascii"


_REFUSAL = re.compile(
    r"(?:i'?m sorry|i am sorry|sorry|unfortunately|i apologi[sz]e)?\W{0,20}(?:but )?"
    r"(?:i|we) (?:can ?not|can't|am unable to|am not able to|won't|will not"
    r"|do not have the ability|am not allowed)\b(?! (?:wait|help but|stop|believe))"
    r"|(?:i'?m sorry|i am sorry|i apologi[sz]e)\W+(?:but|i)\b"
    r"|(?:很?抱歉|对不起|非常抱歉)[,，。]?\s*(?:我|但|作为)|我(?:无法|不能)(?:回答|提供|完成|满足)",
    re.IGNORECASE,
)
_AS_AN_AI = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model|chatbot)\b"
    r"|作为(?:一个|一名)?(?:AI|人工智能|大?语言模型|聊天机器人)",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"\[(?:insert|your|enter|add|name|date|company|address|recipient)\b[^\]\n]{0,60}\]|<(?:insert|your)\b[^>\n]{0,60}>"
    r"|\blorem ipsum\b|\{\{[^}\n]{1,40}\}\}|\bx{4,}\b|[\[【](?:插入|您的|你的|请输入|姓名|公司名)[^\]】\n]{0,30}[\]】]",
    re.IGNORECASE,
)


def output(item: Item, rules: Rules) -> str | None:
    """A record without an output teaches nothing."""
    return None if item["output"].strip() else "no_output"


def refusal(item: Item, rules: Rules) -> str | None:
    """The output declines to answer: it opens with an apology or a "cannot"."""
    return "refusal" if _REFUSAL.match(item["output"].replace("\u2019", "'")) else None


def as_an_ai(item: Item, rules: Rules) -> str | None:
    return "as_an_ai" if _AS_AN_AI.search(item["output"]) else None


def echo(item: Item, rules: Rules) -> str | None:
    """The output only repeats the instruction, case and punctuation apart."""
    output = words(item["output"])
    return "echo" if output and output == words(item["instruction"]) else None


def placeholder(item: Item, rules: Rules) -> str | None:
    """The output leaves blanks to fill in that its task did not show."""
    found = _PLACEHOLDER.search(item["output"])
    given = f"{item['instruction']} {item['input']}"
    return "placeholder" if found and found.group() not in given else None


def invalid(item: Item) -> str | None:
    """The published rule for instances: no output, output equal to input, or either of them ends in a colon."""
    given, output = item["input"], item["output"]
    if output == "":
        return "no_output"
    if given == output:
        return "same_as_input"
    return "ends_with_colon" if given.strip().endswith(":") or output.strip().endswith(":") else None


@dataclass(frozen=True, slots=True)
class Filter:
    """A named check bound to what it looks at. `check` answers the reason, or `None`."""

    name: str
    subject: Subject | None
    """`None`: both, as a user's own filter."""
    check: Callable[[Item, Rules], str | None]

    def __call__(self, item: Item, rules: Rules) -> str | None:
        return self.check(item, rules)


_OF_INSTRUCTIONS = (empty, length, keywords, program, first_character, ascii_punctuation, ascii_letter)
_OF_RECORDS = (output, refusal, as_an_ai, echo, placeholder)

FILTERS: Mapping[str, Filter] = MappingProxyType(
    {check.__name__: Filter(check.__name__, "instruction", check) for check in _OF_INSTRUCTIONS}
    | {check.__name__: Filter(check.__name__, "record", check) for check in _OF_RECORDS}
)

DEFAULT = (
    "empty", "length", "keywords", "program", "first_character", "output", "refusal", "as_an_ai", "echo", "placeholder",
)  # fmt: skip
REFERENCE = ("empty", "length", "keywords", "program", "ascii_punctuation", "ascii_letter")
"""What the published scripts check, in their order."""


def of_user(name: str, check: Callable[[Item], object]) -> Filter:
    """A user's own `"my.module:check"`: given a copy of the item, it answers a reason in words, or `None` to keep it.

    It sees each instruction (`{"instruction": …}`), and each record (with `input` and `output` too).
    """

    def ask(item: Item, rules: Rules) -> str | None:
        try:
            reason = check(dict(item))
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise PlanError(f"the filter {name} failed on {item!r:.200}: {type(error).__name__}: {error}") from error
        if reason is None or isinstance(reason, str):
            return collapse(reason) or name if reason is not None else None
        raise PlanError(f"the filter {name} must return a reason (text) or None, not {type(reason).__name__}")

    return Filter(name, None, ask)
