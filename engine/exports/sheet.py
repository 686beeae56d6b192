"""A review sheet: a few records with the three questions that Wang et al. (2022) put to their reviewers, as columns to fill in.

Pure. What would be a formula, or would not fit into a cell, is made harmless here.
"""

from __future__ import annotations

from engine.exports.example import Example
from engine.exports.rows import Row, Setting

LONGEST = 32_767
"""Characters that a cell of Excel can hold."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a cell begins that a spreadsheet may take for a formula; the last four are full-width (OWASP, CSV Injection)."""
_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}

_ENGLISH = (
    "id",
    "instruction",
    "input",
    "output",
    "is the instruction valid?",
    "does the input fit?",
    "is the output right?",
    "remarks",
)
_CHINESE = ("编号", "指令", "输入", "输出", "指令是否有效？", "输入是否合适？", "输出是否正确？", "备注")


def review(example: Example, setting: Setting) -> Row:
    """A record, and empty cells for the answers; in Chinese for a Chinese record."""
    names = _CHINESE if example.language.startswith("zh") else _ENGLISH
    cells = [cell(text) for text in (example.id, example.instruction, example.input, example.output)]
    return dict(zip(names, [*cells, "", "", "", ""], strict=True))


def cell(text: str) -> str:
    """`text` as a cell that any spreadsheet shows as text: no formula, no control characters, no more than fits."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROLS)
    if text.startswith(_FORMULA):
        text = f"'{text}"
    if len(text.encode("utf-16-le", "surrogatepass")) // 2 <= LONGEST:
        return text
    return text[: LONGEST // 2 - 100] + f" [… {len(text):,} characters in all; 'seeddrill why DIR ID' shows them]"
