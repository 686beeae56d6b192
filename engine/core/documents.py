"""Documents: what a record of the user's input is to a recipe, and why one is none. Which records a run reads, and in what order.

Pure; who opens files is `engine/runtime/source`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.core.rng import stream
from engine.core.track import Frontier
from engine.core.types import Item

Encoding: TypeAlias = Literal["utf-8", "gb18030", "big5"]
Unit: TypeAlias = Literal["file", "block", "line"]

CODECS: Mapping[str, str] = MappingProxyType({"utf-8": "utf-8", "gb18030": "gb18030", "big5": "big5hkscs"})
"""Python's name of each encoding; Hong Kong's extension of Big5 holds all of it."""

LARGEST = 4 << 20
"""Bytes of the largest record that is looked at: a longer one is no text to ask about, and would only fill the memory."""

EMPTY, BINARY, UNDECODABLE, TOO_LARGE = "empty", "binary", "undecodable", "too_large"
NOT_JSON, NO_TEXT, SEVERAL_TURNS = "not_json", "no_text", "several_turns"
FLAWS = frozenset((EMPTY, BINARY, UNDECODABLE, TOO_LARGE, NOT_JSON, NO_TEXT, SEVERAL_TURNS))
"""Reasons why a record is no document, whatever the recipe."""

TEXTS, RECORDS = ("text",), ("instruction", "input", "output")
"""What recipes read: plain texts; or records that were made for tuning, in Alpaca's form or as a chat of one turn."""

MARKS = ("id", "language")
"""Fields of any document, besides those that the recipe reads."""

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPlan:
    """Where the documents are, as the plan's `[input]` says it."""

    path: str | tuple[str, ...]
    """A file, a folder, or a list of them. What is in a folder is read in the order of its names."""
    encoding: Encoding = "utf-8"
    fields: Mapping[str, str] = field(default_factory=dict)
    """Names of columns where they differ from ours: `text`, `id`, `language`; `instruction`, `input`, `output` of records."""
    document: Unit = "block"
    """What a document is in a text file: the file, a block between blank lines, or a line."""
    language: str | None = None
    """Language (BCP-47) of the documents that do not say theirs."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a row becomes a document: the fields that the recipe reads (`TEXTS` or `RECORDS`), where they stand, their encoding."""

    reads: tuple[str, ...]
    fields: Mapping[str, str]
    language: str | None = None
    encoding: Encoding = "utf-8"


Row: TypeAlias = bytes | Mapping[str, Any]
"""A record as a file holds it: text, or columns."""


@dataclass(frozen=True, slots=True)
class JsonLine:
    """A record of a file of JSON lines."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Flaw:
    """A record that is not even read; its text, where it is known and small."""

    reason: str
    text: bytes = b""


Raw: TypeAlias = Row | JsonLine | Flaw


@dataclass(frozen=True, slots=True)
class Document:
    """A record of the input under its number. One with a flaw (of `FLAWS`) is nothing that could be asked about."""

    number: int
    item: Item
    flaw: str | None = None


def named(number: int) -> str:
    """The id of a document."""
    return f"input/{number}.0"


def numbered(id: str) -> int:
    """The number of the document with that id."""
    return int(id.removeprefix("input/").removesuffix(".0"))


def of_line(number: int, item: Item, reason: str | None) -> Document:
    """The document that a settled line carries, which was turned away for a reason, or was not."""
    return Document(number, item, reason if "columns" in item else None)


def made(number: int, raw: Raw, form: Form) -> Document:
    """The document that a record is, or the reason why it is none."""
    match raw:
        case Flaw(reason=reason):
            return _flawed(number, reason)
        case bytes():
            if b"\0" in raw:
                return _flawed(number, BINARY)
            try:
                return _whole(number, {form.fields.get("text", "text"): raw.decode(CODECS[form.encoding])}, form)
            except UnicodeDecodeError:
                return _flawed(number, UNDECODABLE)
        case JsonLine(text):
            return _parsed(number, text, form)
        case _:
            return _whole(number, raw, form)


def _parsed(number: int, text: bytes, form: Form) -> Document:
    if not text.strip():
        return _flawed(number, EMPTY)
    if b"\0" in text:
        return _flawed(number, BINARY)
    try:
        row = orjson.loads(text if form.encoding == "utf-8" else text.decode(CODECS[form.encoding]))
    except orjson.JSONDecodeError:
        return _flawed(number, NOT_JSON if decodes(text, form.encoding) else UNDECODABLE)
    except UnicodeDecodeError:
        return _flawed(number, UNDECODABLE)
    return _whole(number, row, form) if isinstance(row, dict) else _flawed(number, NOT_JSON)


def _whole(number: int, row: Mapping[str, Any], form: Form) -> Document:
    """The document in a row of columns."""
    places = {name: form.fields.get(name, name) for name in (*form.reads, *MARKS)}
    meta = {key: value for key, value in row.items() if key not in places.values()}
    doc, language = row.get(places["id"]), row.get(places["language"])
    if form.reads == RECORDS and places["instruction"] not in row and (turns := _turns(meta)) is not None:
        read = _of_chat(turns, meta)
    else:
        read = {name: row.get(places[name]) for name in form.reads}
        if form.reads == RECORDS and read["input"] is None:
            read["input"] = ""
    if (flaw := _flaw(read, form.reads[0])) is not None:
        return _flawed(number, flaw, doc, row)
    chosen = language if isinstance(language, str) and language else form.language
    return Document(number, {"id": named(number), **read, "language": chosen, "doc": doc, "meta": meta})


def _flaw(read: Mapping[str, Any], first: str) -> str | None:
    """What is wrong with the fields that the recipe reads; without the first of them there is nothing to ask about."""
    if SEVERAL_TURNS in read:
        return SEVERAL_TURNS
    if not read or not all(isinstance(value, str) for value in read.values()):
        return NO_TEXT
    if not read[first].strip():
        return EMPTY
    return BINARY if any("\0" in value for value in read.values()) else None


def _flawed(number: int, reason: str, doc: Any = None, columns: Iterable[str] = ()) -> Document:
    """Of what it holds, only who it is and how its columns are called is worth keeping."""
    return Document(number, {"id": named(number), "doc": doc, "columns": list(columns)}, reason)


def _turns(row: dict[str, Any]) -> list[Any] | None:
    """The turns of a chat, which are then no longer among the other columns."""
    for key in ("messages", "conversations"):
        if isinstance(turns := row.get(key), list):
            del row[key]
            return turns
    return None


def _of_chat(turns: list[Any], meta: dict[str, Any]) -> dict[str, Any]:
    """A record from a chat of one question and one answer, as OpenAI (`role`, `content`) or ShareGPT (`from`, `value`) write it;
    what the system says goes to the other columns. Empty where it is no such chat; `SEVERAL_TURNS` where it goes on."""
    said: list[tuple[Any, Any]] = []
    for turn in turns:
        if not isinstance(turn, dict):
            return {}
        who, text = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
        if who == "system":
            meta["system"] = text
        else:
            said.append((who, text))
    if len(said) > 2:
        return {SEVERAL_TURNS: True}
    if [who for who, _ in said] not in (["user", "assistant"], ["human", "gpt"]):
        return {}
    return {"instruction": said[0][1], "input": "", "output": said[1][1]}


# Encodings


def decodes(text: bytes, encoding: str) -> bool:
    try:
        text.decode(CODECS[encoding])
    except UnicodeDecodeError:
        return False
    return True


def likely(texts: Sequence[bytes]) -> str | None:
    """The encoding that most of these texts are in, as far as bytes tell; `None` where it is none that we read.

    Nearly all of Big5 reads as GB18030, too. But half of Big5's characters have a second byte below 0x80, and of the characters
    of GB 2312, which simplified Chinese is written with, none has. Texts in a European encoding may read as either; but there
    characters outside ASCII stand alone among letters, and in Chinese they do not.
    """
    most = 0.95 * len(texts)
    if sum(b"\0" in text for text in texts) > most:
        return None  # UTF-16
    fits = [encoding for encoding in ("utf-8", "big5", "gb18030") if sum(decodes(text, encoding) for text in texts) >= most]
    if not fits or fits[0] == "utf-8":
        return fits[0] if fits else None
    pairs, low, joined = (sum(counts) for counts in zip(*map(_pairs, texts), strict=True))
    if joined < 0.5 * pairs:
        return None
    return "big5" if fits[0] == "big5" and low > 0.1 * pairs else "gb18030" if "gb18030" in fits else None


def _pairs(text: bytes) -> tuple[int, int, int]:
    """Characters of two bytes; those of them whose second byte is below 0x80; those that follow another one."""
    pairs = low = joined = place = 0
    end = -1
    while place < len(text) - 1:
        if text[place] < 0x80:
            place += 1
            continue
        pairs, low, joined = pairs + 1, low + (text[place + 1] < 0x80), joined + (place == end)
        place = end = place + 2
    return pairs, low, joined


# Which records are read


def sample(seed: int, total: int, size: int) -> array[int]:
    """`size` record numbers of `total`, in order: those with the lowest keys. A smaller sample is a part of any larger one.

    A key is SplitMix64 (Steele, Lea and Flood 2014) of the number, so that millions take milliseconds and no more memory than a
    few of them.
    """
    start = np.uint64(stream(seed, "input", "sample").getrandbits(64))
    keys, numbers = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    for low in range(0, total, _CHUNK):
        more = np.arange(low, min(total, low + _CHUNK), dtype=np.int64)
        keys, numbers = np.concatenate([keys, _mixed(more, start)]), np.concatenate([numbers, more])
        if len(numbers) > size:
            least = np.argpartition(keys, size - 1)[:size]
            keys, numbers = keys[least], numbers[least]
    return array("q", np.sort(numbers).tobytes())


def _mixed(numbers: NDArray[np.int64], start: np.uint64) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        z = start + (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return mixed


class Wanted:
    """The records that are still to be read: all, or those of a sample, without the settled ones."""

    def __init__(self, settled: Frontier, chosen: Sequence[int] | None = None) -> None:
        self._settled = settled
        self._chosen = chosen

    def after(self, number: int) -> int | None:
        """The first one from `number` on; `None` where there is none. Without a sample there always is one: who reads finds out
        where the input ends."""
        if self._chosen is None:
            number = max(number, self._settled.low)
            while number in self._settled:
                number += 1
            return number
        place = bisect_left(self._chosen, number)
        while place < len(self._chosen) and self._chosen[place] in self._settled:
            place += 1
        return self._chosen[place] if place < len(self._chosen) else None
