"""Answers: whether what a record answers still stands in its input, after that was put in other words.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.core.numerals import spelled, written
from engine.core.scripts import scripts
from engine.core.text import words
from engine.core.verbatim import marks

_ENDS = re.compile(r"[\n,;，、；。！？!?|]+|\.(?:\s|$)|[:：]\s*")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)、])\s+")
_QUOTED = re.compile(r"[\"“]([^\"“”\n]{1,80})[\"”]|「([^「」\n]{1,40})」|《([^《》\n]{1,40})》")
_NAME = re.compile(
    r"(?<![.!?]\s)(?<!^)(?<![\"“])\b[A-Z][\w'’-]*(?:\s+(?:(?:of|the|de|la|van|von)\s+)*[A-Z][\w'’-]*)*", re.MULTILINE
)


def lost_answers(output: str, before: str, after: str, language: str) -> list[str]:
    """What of `output` stood in the text `before` and does not in `after`: labels, numbers, phrases, in the order of the output.

    A phrase is all of the output, a line of it, what stands between two marks, in quotation marks, or, in Latin letters, a name.
    """
    old, new = _joined(before), _joined(after)
    lost = [
        phrase for phrase in _phrases(output, language) if (told := _joined(phrase)).strip() and told in old and told not in new
    ]
    (kept, plain), (there, _), (here, _) = marks(output), marks(before), marks(after)
    for kind, found in kept.items():
        lost += [mark for mark in found if mark in there[kind] and mark not in here[kind]]
    named = written(before, language) + spelled(before, language)
    left = written(after, language) + spelled(after, language)
    lost += [f"{number:f}" for number in written(plain, language) if number in named and number not in left]
    return list(dict.fromkeys(lost))


def _joined(text: str) -> str:
    return f" {' '.join(words(text))} "


def _phrases(output: str, language: str) -> Iterator[str]:
    yield output.strip()
    for line in output.splitlines():
        yield _BULLET.sub("", line).strip()
    for piece in _ENDS.split(output):
        yield _BULLET.sub("", piece).strip()
    for match in _QUOTED.finditer(output):
        yield match[1] or match[2] or match[3]
    if scripts(language) == ("Latin",):
        yield from _NAME.findall(output)
