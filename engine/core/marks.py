"""How answers are marked, language by language: what opens an item, an example, an input or an output, what says yes or no.

Pure; `parse` reads by these. Chinese marks take in the English ones, for models mix them, and full-width signs and digits
(`\\d` is a digit of any width).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The marks of a language."""

    item: re.Pattern[str]
    """What opens an item of a numbered list; group 1 is its number."""
    emphasis: re.Pattern[str]
    """Words that Markdown sets off; group 2 is what remains."""
    example: re.Pattern[str]
    output: re.Pattern[str]
    input: re.Pattern[str]
    labels: tuple[re.Pattern[str], ...]
    """What opens a class label. The first that occurs in an answer counts, so that a vaguer one does no harm."""
    field: re.Pattern[str]
    """What opens a field of a whole task; group 1 is its name."""
    names: Mapping[str, str]
    """What each name of a field stands for: instruction, input or output."""
    plain: tuple[tuple[re.Pattern[str], str], ...]
    """How labels that open a line lose their Markdown: patterns and what replaces them, in order."""
    answer: re.Pattern[str]
    """What an answer of yes or no opens with; the group `yes` or the group `no` is there."""
    nothing: re.Pattern[str]
    """A remark that there is no input, and nothing else."""


ENGLISH = Marks(
    item=re.compile(r"(?:^|\n)[ \t]*(?:#{1,6}[ \t]+)?(\d{1,3})[ \t]?[.):](?=\s)"),
    emphasis=re.compile(r"(?<![*\w])(\*{1,2})(?=[^\s*])([^*\n]{1,400}?)(?<=[^\s*])\1(?![*\w])"),
    example=re.compile(r"Example\s?\d*\.?"),
    output=re.compile(r"Output\s*(?:\d+\s*)?:"),
    input=re.compile(r"Input\s*(?:\d+\s*)?:"),
    labels=(re.compile(r"Class label:"),),
    field=re.compile(r"(?:^|\n)[ \t*_]*(?:\d+\s?\.[ \t*_]*)?(Instruction|Input|Output)[*_]*:[*_]*(?=\s|$)"),
    names=MappingProxyType({"Instruction": "instruction", "Input": "input", "Output": "output"}),
    plain=(
        (
            re.compile(r"^([ \t]*)(?:#{1,6}[ \t]+)?(?:\*\*|__)?(Example[ \t]?\d*)[.:]?(?:\*\*|__)?[.:]?[ \t]*$", re.MULTILINE),
            r"\1\2",
        ),
        (re.compile(r"^[ \t]*(?:#{1,6}[ \t]+)?(\*\*|__|\*|_)([A-Z][^*_:\n]{0,39})(?::\1|\1:)", re.MULTILINE), r"\2:"),
        (re.compile(r"^[ \t]*#{1,6}[ \t]+(Input|Output|Class label)[ \t]*:", re.MULTILINE), r"\1:"),
    ),
    answer=re.compile(r"[\W_]*(?:(?P<yes>yes)|(?P<no>no))(?![^\W_])", re.IGNORECASE),
    nothing=re.compile(r"^\W*(?:none|n/?a|no input|noinput|not applicable|empty)\W*$", re.IGNORECASE),
)

_EXAMPLE = "(?:Example|示例|例子|样例)"
_COUNT = "(?:\\d{1,2}|[一二三四五六七八九十])"
_STRUCTURE = "输入|输出|类别标签|分类标签|类别|Input|Output|Class label"
_OPENED = r"(?:^|(?<=[\s。；]))[ \t]*"
"""Where an input or output may open: at a line's start, after white space, or after a sentence of the same line."""
_LISTED = rf"^[ \t\u3000]*(?:{_EXAMPLE}[ \t]?{_COUNT}[ \t]*[.:：、]?[ \t]*\n[ \t\u3000]*)?(?:\d{{1,2}}[.．、)）][ \t]*)?"
"""An example's number, or one of a list, that a model puts before a label although it was not asked for."""

CHINESE = Marks(
    item=re.compile(r"(?:^|\n)[ \t\u3000]*(?:#{1,6}[ \t]+)?(?:任务[ \t]?)?[（(]?(\d{1,3})[ \t]?[.．、)）:：](?!\d)"),
    emphasis=re.compile(r"(?<![*A-Za-z0-9_])(\*{1,2})(?=[^\s*])([^*\n]{1,400}?)(?<=[^\s*])\1(?![*A-Za-z0-9_])"),
    example=re.compile(
        rf"^[ \t\u3000]*{_EXAMPLE}(?:[ \t]?{_COUNT}(?:[ \t]*[.:：、]|(?=\s|$))|[ \t]*[:：]?[ \t]*$)", re.MULTILINE
    ),
    output=re.compile(rf"{_OPENED}(?:输出|Output)[ \t]*\d{{0,2}}[ \t]*[:：]", re.MULTILINE),
    input=re.compile(rf"{_OPENED}(?:输入|Input)[ \t]*\d{{0,2}}[ \t]*[:：]", re.MULTILINE),
    labels=(
        re.compile(rf"{_LISTED}(?:类别标签|分类标签|Class label)[ \t]*\d{{0,2}}[ \t]*[:：]", re.MULTILINE),
        re.compile(rf"{_LISTED}(?:类别|标签)[ \t]*\d{{0,2}}[ \t]*[:：]", re.MULTILINE),
    ),
    field=re.compile(
        r"(?:^|\n)[ \t\u3000*_]*(?:\d{1,3}\s?[.．、][ \t*_]*)?【?(Instruction|Input|Output|指令|任务|输入|输出)"
        r"(?:】[:：]?|[*_]*[:：])[*_]*"
    ),
    names=MappingProxyType(
        {
            **ENGLISH.names,
            "指令": "instruction",
            "任务": "instruction",
            "输入": "input",
            "输出": "output",
        }
    ),
    plain=(
        (
            re.compile(
                rf"^([ \t\u3000]*)(?:#{{1,6}}[ \t]+)?(?:\*\*|__|【)?({_EXAMPLE}[ \t]?{_COUNT}?)"
                r"[.:：]?(?:\*\*|__|】)?[.:：]?[ \t]*$",
                re.MULTILINE,
            ),
            r"\1\2",
        ),
        (
            re.compile(
                r"^[ \t]*(?:#{1,6}[ \t]+)?(\*\*|__|\*|_)([A-Z\u3400-\u9fff][^*_:：\n]{0,39})(?:([:：])\1|\1[ \t]?([:：]))",
                re.MULTILINE,
            ),
            r"\2\3\4",
        ),
        (re.compile(rf"^[ \t]*#{{1,6}}[ \t]+({_STRUCTURE})[ \t]*(?:[:：]|$)", re.MULTILINE), r"\1："),
        (re.compile(rf"^[ \t\u3000]*【({_STRUCTURE})】[ \t]*[:：]?", re.MULTILINE), r"\1："),
    ),
    answer=re.compile(
        r"(?:.*是分类任务吗[?？])?[\W_]*(?:(?:答案|回答|答|判断|结论)[是为]?[\W_]*[:：][\W_]*)?(?:这个任务|该任务|此任务|这|它)?"
        r"(?:(?P<no>不是|并非|不属于|不算|非(?=分类)|否(?![则定认])|不(?![^\W_])|no(?![a-z0-9]))"
        r"|(?P<yes>是(?![否不非])|属于|对(?![^\W_])|yes(?![a-z0-9])))",
        re.IGNORECASE | re.DOTALL,
    ),
    nothing=re.compile(
        r"^\W*(?:none|n/?a|no input|noinput|not applicable|empty"
        r"|无|无输入|没有输入|无需输入|不需要输入|无须输入|不适用|为空|输入为空)\W*$",
        re.IGNORECASE,
    ),
)

MARKS: Mapping[str, Marks] = MappingProxyType({"en": ENGLISH, "zh": CHINESE})
"""By the code of the language."""
