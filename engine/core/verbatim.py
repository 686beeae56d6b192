"""Marks: what in a text belongs to no language and must leave a translator as it came: code, links, addresses, placeholders.

Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

_FENCED = re.compile(r"```.*?```|~~~.*?~~~", re.DOTALL)
_SPAN = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"(?:https?|ftp)://[!-~]+|\bwww\.[!-~]+", re.IGNORECASE)
_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_PLACEHOLDER = re.compile(
    r"\{\{[^{}\n]{1,40}\}\}|\$?\{[A-Za-z0-9_.:]{0,40}\}|%\([A-Za-z_]\w*\)[sd]|%[sd]\b|</?[A-Za-z_][\w-]{0,30}/?>"
    r"|\[[A-Z][A-Z0-9_ ]{1,30}\]|\$[A-Z_]{2,30}\b|__[A-Z][A-Z_]*__"
)

MARKS: Mapping[str, tuple[re.Pattern[str], ...]] = MappingProxyType(
    {"code": (_FENCED, _SPAN), "links": (_LINK,), "addresses": (_ADDRESS,), "placeholders": (_PLACEHOLDER,)}
)
"""What a translator must leave alone, by the name of its check, in the order in which it is looked for."""


def marks(text: str) -> tuple[dict[str, Counter[str]], str]:
    """What must come back as it was, by kind; and the text without it."""
    found: dict[str, Counter[str]] = {}
    for kind, patterns in MARKS.items():
        found[kind] = Counter()
        for pattern in patterns:
            found[kind].update(_bare(kind, match) for match in pattern.findall(text))
            text = pattern.sub(" ", text)
    return found, text


def _bare(kind: str, mark: str) -> str:
    """A mark without what does not belong to it: the full stop after a link, the layout of code."""
    if kind == "links":
        mark = mark.rstrip(".,;:!?'\"*_")
        return mark.rstrip(")]>") if not {"(", "[", "<"} & set(mark) else mark
    return " ".join(mark.split())


def plain(text: str) -> str:
    """The text without code, links, addresses and placeholders, which belong to no language."""
    return marks(text)[1]
