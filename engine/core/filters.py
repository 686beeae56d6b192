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
from engine.core.text import CJK, collapse, has_cjk, words
from engine.core.types import Item

Subject: TypeAlias = Literal["instruction", "record"]
"""What a filter looks at: an instruction as it is proposed, or a whole record with input and output."""

KEYWORDS = (
    "image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw", "plot", "go to",
)  # fmt: skip
"""Words for things that a text model cannot see or do (the published bootstrap script's list)."""

ALPACA_KEYWORDS = (*KEYWORDS, "video", "audio", "music", "flowchart", "diagram")

KEYWORDS_ZH = (
    "图片", "图像", "照片", "截图", "插图", "画一张", "画一幅", "画一个", "画一只", "画出", "绘制", "画图",
    "视频", "音频", "录音", "音乐", "文件", "附件", "地图", "流程图", "思维导图", "图表", "打开网",
)  # fmt: skip


class Keywords:
    """Finds any of some words, ignoring case: ASCII ones as whole words, others as substrings, as scripts without spaces need."""

    def __init__(self, keywords: Sequence[str]) -> None:
        words = [keyword for keyword in keywords if keyword]
        letter = rf"[^\W{CJK}]"  # "map" is a word of its own in a line of Chinese, blanks or none
        # what stands before a word is looked at behind it: an expression that begins with letters skips quickly to them
        parts = [
            rf"{(word := re.escape(keyword))}(?<!{letter}{word})(?!{letter})" if keyword.isascii() else re.escape(keyword)
            for keyword in words
        ]
        self._pattern = re.compile("|".join(parts), re.IGNORECASE) if parts else None
        self._lower = tuple(keyword.lower() for keyword in words) if all(keyword.isascii() for keyword in words) else None

    def among(self, text: str) -> bool:
        """Whether one of them is in `text`."""
        if self._pattern is None:
            return False
        if self._lower is not None and text.isascii():  # mostly none is, which so is found out in a tenth of the time
            lower = text.lower()
            if not any(keyword in lower for keyword in self._lower):
                return False
        return self._pattern.search(text) is not None


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits that the filters apply. Lengths are white-space words; where `language` is Chinese, characters of what has any of
    its script, for tasks in other languages may stand among the Chinese ones."""

    language: str
    min_length: int
    max_length: int
    keyword: Keywords
    foreign: Keywords
    """Keywords for a text without any Chinese, where `language` is Chinese."""

    @property
    def chinese(self) -> bool:
        return self.language.startswith("zh")

    @classmethod
    def of(cls, language: str, min_length: int | None, max_length: int | None, keywords: Sequence[str] | None) -> Rules:
        """Rules with the language's defaults where `None` is given: 4 to 150 words, in Chinese 4 to 300 characters."""
        chinese = language.startswith("zh")
        chosen = keywords if keywords is not None else (KEYWORDS_ZH if chinese else KEYWORDS)
        foreign = ALPACA_KEYWORDS if chinese and keywords is None else ()
        return cls(language, min_length or 4, max_length or (300 if chinese else 150), Keywords(chosen), Keywords(foreign))


def empty(item: Item, rules: Rules) -> str | None:
    return None if item["instruction"] else "empty"


def length(item: Item, rules: Rules) -> str | None:
    text = item["instruction"]
    count = len(text) if rules.chinese and has_cjk(text) else len(text.split())
    if count < rules.min_length:
        return "too_short"
    return "too_long" if count > rules.max_length else None


def keywords(item: Item, rules: Rules) -> str | None:
    """Asks for something that a text model cannot see or do."""
    text = item["instruction"]
    return "keyword" if rules.keyword.among(text) or (rules.foreign.among(text) and not has_cjk(text)) else None


def program(item: Item, rules: Rules) -> str | None:
    """The published scripts drop these: models asked for tasks fall back on them far too often."""
    text = item["instruction"]
    if text.startswith("Write a program"):
        return "program"
    return "program" if rules.chinese and _PROGRAM_ZH.match(text) else None


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


_PROGRAM_ZH = re.compile(r"(?:请|帮我|请帮我|试着?)?(?:写|编写|编|开发|设计)(?:一个|一段|个|段)?(?:简单的)?小?程序(?!的)")
_REFUSAL = re.compile(
    r"(?:i'?m sorry|i am sorry|sorry|unfortunately|i apologi[sz]e)?\W{0,20}(?:but )?"
    r"(?:i|we) (?:can ?not|can't|am unable to|am not able to|won't|will not"
    r"|do not have the ability|am not allowed)\b(?! (?:wait|help but|stop|believe))"
    r"|(?:i'?m sorry|i am sorry|i apologi[sz]e)\W+(?:but|i)\b",
    re.IGNORECASE,
)
_MACHINE = "(?:AI|人工智能|(?:大型?)?语言模型|聊天机器人|智能助手|虚拟助手)"
_CANNOT = (
    "(?:(?:目前|暂时|现在|还|并)?(?:无法|不能|没办法|没有办法|没法|不便|不可以|不会|拒绝)(?:直接|继续)?(?:为您|为你|帮您|帮你|给您|给你|向您|向你)?"
    "(?:直接)?(?:回答|提供|完成|满足|协助|帮助|生成|处理|访问|查看|浏览|打开|执行|讨论|回应|给出|进行|创建|撰写|编写|播放|识别|这样做|这么做)|没有能力|不具备)"
)
_REFUSAL_ZH = re.compile(
    r"\W*(?:(?:非常|很|十分|实在|真的)?(?:抱歉|对不起|遗憾)|不好意思)[\W]{0,3}(?:但是?|不过)?[\W]{0,3}"
    rf"(?:作为[^\n，,。]{{0,6}}{_MACHINE}|(?:我们?|本助手|这边)?{_CANNOT})"
    rf"|\W*(?:但是?|不过)?(?:我|本助手){_CANNOT}",
    re.IGNORECASE,
)
"""A cannot with what it is that the model cannot do: an apology or a rule in Chinese is no refusal."""
_AS_AN_AI = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model|chatbot)\b"
    rf"|(?:作为|身为)(?:一个|一名|一款|一位)?(?:基于)?{_MACHINE}"
    rf"|我(?:只)?是(?:一个|一名|一款)(?:基于)?{_MACHINE}",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"\[(?:insert|your|enter|add|name|date|company|address|recipient)\b[^\]\n]{0,60}\]|<(?:insert|your)\b[^>\n]{0,60}>"
    r"|\blorem ipsum\b|\{\{[^}\n]{1,40}\}\}|\bx{4,}\b"
    r"|[\[【](?:插入|填入|您的|你的|请输入|姓名|公司名)[^\]】\n]{0,30}[\]】]|\[(?:日期|时间|地址|电话)[^\]\n]{0,6}\]"
    r"|[\[【（(](?:此处|请在此|请填|填写)[^\]】）)\n]{0,30}[\]】）)]|(?<!\d)×{2,}|(?<![A-Za-z0-9])x{2,}(?=大学|学院|公司|学校|小区|先生|女士|同学|老师|市|省|县|年|月|日|部门|项目|路)",
    re.IGNORECASE,
)


def output(item: Item, rules: Rules) -> str | None:
    """A record without an output teaches nothing."""
    return None if item["output"].strip() else "no_output"


def refusal(item: Item, rules: Rules) -> str | None:
    """The output declines to answer: it opens with an apology or a "cannot"."""
    text = item["output"].replace("\u2019", "'")
    return "refusal" if _REFUSAL.match(text) or _REFUSAL_ZH.match(text) else None


def as_an_ai(item: Item, rules: Rules) -> str | None:
    text = item["output"]
    if text.isascii() and "as a" not in text.lower():
        return None  # as the expression would find, in a tenth of its time
    return "as_an_ai" if _AS_AN_AI.search(text) else None


def echo(item: Item, rules: Rules) -> str | None:
    """The output only repeats the instruction, case and punctuation apart."""
    output = words(item["output"])
    return "echo" if output and output == words(item["instruction"]) else None


def placeholder(item: Item, rules: Rules) -> str | None:
    """The output leaves blanks to fill in that its task did not show."""
    text = item["output"]
    if text.isascii() and not any(sign in text for sign in "[<{") and not any(word in text.lower() for word in ("lorem", "xxxx")):
        return None  # as the expression would find, in a tenth of its time
    found = _PLACEHOLDER.search(text)
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
