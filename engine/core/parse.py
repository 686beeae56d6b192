"""Reading what models write: numbered lists, labelled fields, yes or no.

Pure; recipes call it, with the marks of the run's language. A text that holds nothing of what was asked for raises
`Malformed`. Functions named `reference_*` do what the published Self-Instruct and Alpaca scripts do, fault for fault.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import orjson

from engine.core.marks import ENGLISH, Marks
from engine.core.text import collapse

_REFERENCE_ITEM = re.compile(r"\n\d+\s?\. ")
_ASKED = re.compile(r"(?:^|\n)[ \t#]*(?:Instruction|Task|Prompt|Question|指令|任务|提示|问题)[ \t]*[:：]", re.IGNORECASE)


class Malformed(Exception):
    """An answer without what was asked for; `reason` is a short name for the journal."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Pair(NamedTuple):
    """Input and output of one instance; the input may be empty."""

    input: str
    output: str


def reference_items(text: str) -> list[str]:
    """Items of a numbered list that goes on from "9.", as the published bootstrap script splits them, white space collapsed."""
    return [collapse(piece) for piece in _REFERENCE_ITEM.split(text)]


def items(text: str, *, continues: int | None = None, marks: Marks = ENGLISH) -> list[str]:
    """Items of a numbered list, white space collapsed, emphasis marks of Markdown removed.

    With `continues`, the number that ended the prompt, `text` goes on inside that item, so its start is the first item.
    Otherwise what stands before the first number is a preamble, and after a blank line the last item has ended. A number opens
    an item only if it follows on the one before (numbers inside a sentence or a nested list do not). Nothing that is numbered
    and no continuation: `Malformed`.
    """
    text = marks.emphasis.sub(r"\2", text)
    pieces: list[str] = []
    start, expected = (0, continues + 1) if continues is not None else (None, None)
    for match in marks.item.finditer(text):
        number = int(match.group(1))
        if expected is not None and number != expected:
            continue
        if start is not None:
            pieces.append(text[start : match.start()])
        start, expected = match.end(), number + 1
    if start is None:
        raise Malformed("no_list")
    pieces.append(text[start:] if continues is not None else text[start:].lstrip().split("\n\n", 1)[0])
    found = [collapse(piece) for piece in pieces]
    if not any(found):
        raise Malformed("empty_list")
    return found


def yes_or_no(text: str, marks: Marks = ENGLISH) -> bool:
    """The answer that `text` opens with, whatever its case, punctuation or emphasis; neither of the two: `Malformed`."""
    match = marks.answer.match(text)
    if match is None:
        raise Malformed("unclear")
    return match["yes"] is not None


def reference_yes(text: str) -> bool:
    """True where the published script reads a classification task: all else, an empty answer too, is none."""
    return text.strip() in ("Yes", "yes", "YES")


def _instance(piece: str, marks: Marks) -> Pair:
    parts = marks.output.split(piece)
    if len(parts) >= 2:
        given, output = parts[0].strip(), parts[1].strip()
    else:
        given, output = "", piece.strip()
    output = marks.input.split(output)[0].strip()
    opening = marks.input.match(given)
    return Pair(given[opening.end() :].strip() if opening else given, output)


def input_first(text: str, marks: Marks = ENGLISH) -> list[Pair]:
    """Instances of an answer in the form "Example 1 … Output: …", in order; none found: an empty list.

    The rules are those of the published instance script: text before the first "Example" is an instance too, what follows a
    second "Output:" is lost, an output ends where an "Input:" starts. Field names other than "Input:" stay in the input.
    """
    text = text.strip()
    if marks.example.search(text):
        return [_instance(piece, marks) for piece in (part.strip() for part in marks.example.split(text)) if piece]
    if marks.output.search(text):
        return [_instance(text, marks)]
    return []


def output_first(text: str, marks: Marks = ENGLISH) -> list[Pair]:
    """Instances of an answer in the form "Class label: X", then the input under it, in order; none found: an empty list."""
    pairs: list[Pair] = []
    label_mark = next((mark for mark in marks.labels if mark.search(text)), marks.labels[0])
    for piece in label_mark.split(text)[1:]:
        label, _, given = piece.strip().partition("\n")
        pairs.append(Pair(given.strip(), label.strip()))
    return pairs


def plain_labels(text: str, marks: Marks = ENGLISH) -> str:
    """`text` without Markdown around labels that open a line: "**Output:** 7" is "Output: 7", "### Example 1" is "Example 1"."""
    for pattern, replacement in marks.plain:
        text = pattern.sub(replacement, text)
    return text


def blank_if_none(text: str, marks: Marks = ENGLISH) -> str:
    """`text`, or "" where it only says that there is no input ("None", "N/A", "<noinput>")."""
    return "" if marks.nothing.match(text) else text


def instruction(text: str) -> str:
    """The instruction in a reply that should be nothing else, white space collapsed: without a label before it, a remark before
    or after it, emphasis, or quotation marks around all of it. None there: `Malformed`."""
    text = ENGLISH.emphasis.sub(r"\2", text).strip()
    if label := _ASKED.search(text):
        text = text[label.end() :].strip().split("\n\n", 1)[0]
    opening, _, rest = text.partition("\n")
    if rest.strip() and opening.rstrip().endswith((":", "：")):
        text = rest.strip().split("\n\n", 1)[0]
    found = collapse(text)
    for left, right in ('""', "“”", "「」", "''", "‘’"):
        if len(found) > 1 and found.startswith(left) and found.endswith(right) and not {left, right} & set(found[1:-1]):
            found = found[1:-1].strip()
    if not found:
        raise Malformed("no_instruction")
    return found


class Block(NamedTuple):
    """One task of an Alpaca reply."""

    instruction: str
    input: str
    output: str


def reference_block(piece: str, number: int) -> Block | None:
    """The task numbered `number` in one piece of a reply between "###" marks, as the published Alpaca script reads it.

    `None` unless it has three numbered fields, whatever their order."""
    fields = re.split(rf"{number}\.\s+(Instruction|Input|Output):", piece)
    if len(fields) != 7:
        return None
    given = fields[4].strip()
    return Block(fields[2].strip(), "" if given.lower() == "<noinput>" else given, fields[6].strip())


def block(piece: str, marks: Marks = ENGLISH) -> Block | None:
    """The task in one piece of a reply between "###" marks; `None` unless instruction, input and output stand there once each,
    in this order, each at the start of a line, with or without a number."""
    fields = marks.field.split(piece)
    if [marks.names[name] for name in fields[1::2]] != ["instruction", "input", "output"]:
        return None
    return Block(collapse(fields[2]), blank_if_none(fields[4].strip(), marks), fields[6].strip())


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; raises `Malformed` where there is none."""
    value = json_value(body)
    if not isinstance(value, dict):
        raise Malformed("no_json_object")
    return value


def json_value(body: bytes) -> Any:
    """What the JSON in `body` says; raises `Malformed` where it is none. Lone surrogates, which some servers send when they cut a
    text inside a character, become U+FFFD."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return _without_surrogates(json.loads(body.decode("utf-8", "replace")))
        except (ValueError, RecursionError):
            raise Malformed("no_json") from None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(part) for part in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(part) for key, part in value.items()}
    return value
