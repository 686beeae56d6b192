"""Reading what models write: numbered lists, labelled fields, yes or no.

Pure; recipes call it. A text that holds nothing of what was asked for raises `Malformed`. Functions named `reference_*`
do what the published Self-Instruct and Alpaca scripts do, fault for fault.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import orjson

from engine.core.text import collapse

_REFERENCE_ITEM = re.compile(r"\n\d+\s?\. ")
_ITEM = re.compile(r"(?:^|\n)[ \t]*(?:#{1,6}[ \t]+)?(\d{1,3})[ \t]?[.):](?=\s)")
_EMPHASIS = re.compile(r"(?<![*\w])(\*{1,2})(?=[^\s*])([^*\n]{1,400}?)(?<=[^\s*])\1(?![*\w])")
_EXAMPLE = re.compile(r"Example\s?\d*\.?")
_OUTPUT = re.compile(r"Output\s*(?:\d+\s*)?:")
_INPUT = re.compile(r"Input\s*(?:\d+\s*)?:")
_LABEL = re.compile(r"Class label:")
_FIELD = re.compile(r"(?:^|\n)[ \t*_]*(?:\d+\s?\.[ \t*_]*)?(Instruction|Input|Output)[*_]*:[*_]*(?=\s|$)")
_MARKED_LABEL = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+)?(\*\*|__|\*|_)([A-Z][^*_:\n]{0,39})(?::\1|\1:)", re.MULTILINE)
_HEADED_LABEL = re.compile(r"^[ \t]*#{1,6}[ \t]+(Input|Output|Class label)[ \t]*:", re.MULTILINE)
_HEADED_EXAMPLE = re.compile(
    r"^([ \t]*)(?:#{1,6}[ \t]+)?(?:\*\*|__)?(Example[ \t]?\d*)[.:]?(?:\*\*|__)?[.:]?[ \t]*$", re.MULTILINE
)
_NOTHING = re.compile(r"^\W*(?:none|n/?a|no input|noinput|not applicable|empty)\W*$", re.IGNORECASE)


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


def items(text: str, *, continues: int | None = None) -> list[str]:
    """Items of a numbered list, white space collapsed, emphasis marks of Markdown removed.

    With `continues`, the number that ended the prompt, `text` goes on inside that item, so its start is the first item.
    Otherwise what stands before the first number is a preamble, and after a blank line the last item has ended. A number opens
    an item only if it follows on the one before (numbers inside a sentence or a nested list do not). Nothing that is numbered
    and no continuation: `Malformed`.
    """
    text = _EMPHASIS.sub(r"\2", text)
    pieces: list[str] = []
    start, expected = (0, continues + 1) if continues is not None else (None, None)
    for match in _ITEM.finditer(text):
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


def yes_or_no(text: str) -> bool:
    """The answer that `text` opens with, whatever its case, punctuation or emphasis; neither of the two: `Malformed`."""
    match = re.match(r"[\W_]*(yes|no)(?![^\W_])", text, re.IGNORECASE)
    if match is None:
        raise Malformed("unclear")
    return match.group(1).lower() == "yes"


def reference_yes(text: str) -> bool:
    """True where the published script reads a classification task: all else, an empty answer too, is none."""
    return text.strip() in ("Yes", "yes", "YES")


def _instance(piece: str) -> Pair:
    parts = _OUTPUT.split(piece)
    if len(parts) >= 2:
        given, output = parts[0].strip(), parts[1].strip()
    else:
        given, output = "", piece.strip()
    output = _INPUT.split(output)[0].strip()
    opening = _INPUT.match(given)
    return Pair(given[opening.end() :].strip() if opening else given, output)


def input_first(text: str) -> list[Pair]:
    """Instances of an answer in the form "Example 1 … Output: …", in order; none found: an empty list.

    The rules are those of the published instance script: text before the first "Example" is an instance too, what follows a
    second "Output:" is lost, an output ends where an "Input:" starts. Field names other than "Input:" stay in the input.
    """
    text = text.strip()
    if _EXAMPLE.search(text):
        return [_instance(piece) for piece in (part.strip() for part in _EXAMPLE.split(text)) if piece]
    if _OUTPUT.search(text):
        return [_instance(text)]
    return []


def output_first(text: str) -> list[Pair]:
    """Instances of an answer in the form "Class label: X", then the input under it, in order; none found: an empty list."""
    pairs: list[Pair] = []
    for piece in _LABEL.split(text)[1:]:
        label, _, given = piece.strip().partition("\n")
        pairs.append(Pair(given.strip(), label.strip()))
    return pairs


def plain_labels(text: str) -> str:
    """`text` without Markdown around labels that open a line: "**Output:** 7" is "Output: 7", "### Example 1" is "Example 1"."""
    text = _HEADED_EXAMPLE.sub(r"\1\2", text)
    return _HEADED_LABEL.sub(r"\1:", _MARKED_LABEL.sub(r"\2:", text))


def blank_if_none(text: str) -> str:
    """`text`, or "" where it only says that there is no input ("None", "N/A", "<noinput>")."""
    return "" if _NOTHING.match(text) else text


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


def block(piece: str) -> Block | None:
    """The task in one piece of a reply between "###" marks; `None` unless instruction, input and output stand there once each,
    in this order, each at the start of a line, with or without a number."""
    fields = _FIELD.split(piece)
    if fields[1::2] != ["Instruction", "Input", "Output"]:
        return None
    return Block(collapse(fields[2]), blank_if_none(fields[4].strip()), fields[6].strip())


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
