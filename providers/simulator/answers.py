"""Texts that look like what a language model answers to each recipe's prompts, and translations that can be turned back.

Pure and seeded: a prompt and its settings always get the same answer, whatever was asked before. Words are data, in `grammar/`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from types import MappingProxyType
from typing import NamedTuple, TypeAlias, TypeVar

from providers.simulator.calls import Facts, Said
from providers.simulator.cipher import translated
from providers.simulator.tables import Table

T = TypeVar("T")
AUTO = "auto"
Draw: TypeAlias = Callable[[], float]
_SLOT = re.compile(r"\{(\w+)\}")
_STOP_NUMBER = re.compile(r"\n?(\d{1,6})(?!\d)")
_BYTES_A_TOKEN = 4
_OPENING = 400
"""Characters of a prompt's first paragraph that tell its language: what is asked stands there, and what about comes later."""
_ENDS = " .?!。？！"
"""What a task may end with."""
_USUAL, _MOST = 7, 99
"""Items of a list whose end nobody names; more than this in one answer are not made."""


def count_tokens(text: str) -> int:
    """Four bytes are a token, as they are to most vocabularies on English."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How good the answers are. Shares of answers, near duplicates of tasks."""

    language: str = AUTO
    """That of all answers; `AUTO`: of each prompt, as far as there are grammars."""
    near_duplicates: float = 0.0
    """Share of proposed tasks that are one of the tasks shown in the prompt with a few words added."""
    come: str = "scattered"
    """`scattered` over all replies, or `whole_replies` that hold nothing else."""
    refused: float = 0.0
    filtered: float = 0.0
    malformed: float = 0.0
    truncated: float = 0.0


def read_manners(table: Table, languages: list[str]) -> Manners:
    """`[answers]`."""
    shares = {key: table.share(key) for key in ("refused", "filtered", "malformed", "truncated")}
    if sum(shares.values()) > 1.0 + 1e-9:
        raise table.wrong("", "has shares of answers that add up to more than 1")
    manners = Manners(
        language=table.word("language", AUTO, (AUTO, *languages)),
        near_duplicates=table.share("near_duplicates"),
        come=table.word("near_duplicates_come", "scattered", ("scattered", "whole_replies")),
        **shares,
    )
    table.close()
    return manners


@dataclass(frozen=True, slots=True)
class Pattern:
    """A sentence with places for words: what stands before each place and the words for it, then the end."""

    slots: tuple[tuple[str, tuple[str, ...]], ...]
    end: str

    def grown(self, draw: Draw) -> str:
        parts = []
        for before, words in self.slots:
            parts.append(before)
            parts.append(words[int(draw() * len(words))])
        parts.append(self.end)
        return "".join(parts)


class Asked(NamedTuple):
    """What a prompt wants: its form, the numbers of the first and the last item, and whether the first is already begun."""

    form: str
    first: int = 1
    last: int = 1
    begun: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """The words of a language."""

    script: re.Pattern[str]
    """A character that tells this language from the others."""
    marks: Mapping[str, str]
    expressions: Mapping[str, re.Pattern[str]]
    forms: Mapping[str, str]
    fields: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    tails: tuple[str, ...]
    refusals: tuple[str, ...]
    ramblings: tuple[str, ...]
    tasks: tuple[Pattern, ...]
    sentences: tuple[Pattern, ...]
    closed_starts: tuple[str, ...]
    """How tasks of classification begin."""


def read_grammar(table: Table) -> Grammar:
    """A grammar file; `ScriptError` names what is wrong with it."""
    listed = table.table("words")
    words = {name: listed.words(name) for name in listed.names()}
    marks, forms, tasks, texts = (table.table(name) for name in ("marks", "forms", "tasks", "texts"))
    expressions = ("continued", "open_number", "shown", "translate")
    opened, closed = (tuple(_pattern(tasks, key, text, words) for text in tasks.words(key)) for key in ("open", "closed"))
    plain = ("between", "end", "yes", "no", "example", "field", "output", "label", "block", "no_input")
    grammar = Grammar(
        script=re.compile(marks.word("script")),
        marks={key: marks.word(key) for key in ("classify", "label", "example", "task", "block", "chinese")},
        expressions={key: re.compile(marks.word(key)) for key in expressions},
        forms={key: forms.word(key) for key in plain},
        fields=forms.words("fields"),
        labels=tuple(tuple(str(label) for label in row) for row in forms.listed("labels") if isinstance(row, list)),
        tails=forms.words("tails"),
        refusals=forms.words("refusals"),
        ramblings=texts.words("ramblings"),
        tasks=opened + closed,
        sentences=tuple(_pattern(texts, "sentences", text, words) for text in texts.words("sentences")),
        closed_starts=tuple(pattern.slots[0][0] for pattern in closed),
    )
    for each in (table, listed, marks, forms, tasks, texts):
        each.close()
    return grammar


def _pattern(table: Table, key: str, text: str, words: Mapping[str, tuple[str, ...]]) -> Pattern:
    pieces = _SLOT.split(text)
    for name in pieces[1::2]:
        if not words.get(name):
            raise table.wrong(key, f"has a pattern with {{{name}}}, for which there are no words")
    return Pattern(tuple((before, words[name]) for before, name in zip(pieces[::2], pieces[1::2], strict=False)), pieces[-1])


class Answers:
    """A make-believe model: the grammars that it speaks by, its manners and a seed."""

    def __init__(self, grammars: tuple[Grammar, ...], manners: Manners, seed: int) -> None:
        self._voices = tuple(Voice(grammar, manners) for grammar in grammars)
        self._key = seed.to_bytes(16, "big", signed=True)

    def said(self, text: str, facts: Facts) -> Said:
        """The answer to one text of a call, cut where the call says."""
        if facts.task == "translation":
            return Said(translated(text, facts.target))
        data = f"{facts.drawn}\x1f{text}".encode("utf-8", "surrogatepass")
        draw = Random(int.from_bytes(blake2b(data, digest_size=8, key=self._key).digest(), "big")).random
        opening = text[:_OPENING].lstrip().partition("\n\n")[0]
        voice = max(self._voices, key=lambda voice: voice.share(opening)) if len(self._voices) > 1 else self._voices[0]
        return voice.answered(text, facts, draw)


class Voice:
    """How the model answers in one language."""

    def __init__(self, grammar: Grammar, manners: Manners) -> None:
        self._grammar = grammar
        self._manners = manners
        self._forms: Mapping[str, Callable[[Asked, str, Draw], str]] = MappingProxyType(
            {
                "classify": self._classified,
                "tasks": self._tasks,
                "blocks": self._blocks,
                "labels": self._labels,
                "examples": self._examples,
                "translation": self._translation,
                "prose": lambda asked, text, draw: self._prose(draw),
            }
        )

    def share(self, text: str) -> int:
        """How many characters of `text` are of this language."""
        return len(self._grammar.script.findall(text))

    def answered(self, text: str, facts: Facts, draw: Draw) -> Said:
        """The answer, good or bad, cut where the call says."""
        manners, grammar = self._manners, self._grammar
        left = draw()
        if left < manners.refused:
            return _ended(_one(grammar.refusals, draw), facts)
        left -= manners.refused
        if left < manners.filtered:
            return Said("", "content_filter")
        left -= manners.filtered
        if left < manners.malformed:
            rambling = _one(grammar.ramblings, draw)
            return _ended(f"{rambling}{grammar.forms['between']}{self._prose(draw)}", facts)
        left -= manners.malformed
        asked = recognised(text, facts.stop, grammar)
        answer = self._forms[asked.form](asked, text, draw)
        if left < manners.truncated:
            cut = _ended(answer[: max(1, int(len(answer) * (0.2 + 0.7 * draw())))], facts)
            return Said(cut.text, "length")
        return _ended(answer, facts)

    def _sentence(self, draw: Draw) -> str:
        return _one(self._grammar.sentences, draw).grown(draw)

    def _prose(self, draw: Draw) -> str:
        return self._grammar.forms["between"].join(self._sentence(draw) for _ in range(2 + int(draw() * 3)))

    def _proposed(self, count: int, text: str, draw: Draw) -> list[str]:
        """New tasks, some of them hardly new."""
        grammar, share = self._grammar, self._manners.near_duplicates
        shown: list[str] = grammar.expressions["shown"].findall(text) if share else []
        stale = self._manners.come == "whole_replies" and draw() < share
        found = []
        for _ in range(count):
            old = stale if self._manners.come == "whole_replies" else draw() < share
            if old and shown:
                found.append(f"{_one(shown, draw).rstrip(_ENDS)}{_one(grammar.tails, draw)}{grammar.forms['end']}")
            else:
                found.append(_one(grammar.tasks, draw).grown(draw))
        return found

    def _tasks(self, asked: Asked, text: str, draw: Draw) -> str:
        tasks = self._proposed(asked.last - asked.first + 1, text, draw)
        lines = "\n".join(f"{n}. {task}" for n, task in enumerate(tasks, asked.first))
        return lines.removeprefix(f"{asked.first}.") if asked.begun else lines

    def _blocks(self, asked: Asked, text: str, draw: Draw) -> str:
        form, nothing = self._grammar.forms["block"], self._grammar.forms["no_input"]
        blocks = []
        for n, task in enumerate(self._proposed(asked.last - asked.first + 1, text, draw), asked.first):
            given = self._sentence(draw) if draw() < 0.5 else nothing
            blocks.append(form.format(n=n, instruction=task, input=given, output=self._sentence(draw)))
        answer = "###\n".join(blocks)
        if not asked.begun:
            return f"###\n{answer}"
        return answer.removeprefix(form.partition("{instruction}")[0].rstrip().format(n=asked.first))

    def _classified(self, asked: Asked, text: str, draw: Draw) -> str:
        grammar = self._grammar
        task = text.rpartition(grammar.marks["task"])[2]
        return grammar.forms["yes" if task.startswith(grammar.closed_starts) or draw() < 0.1 else "no"]

    def _labels(self, asked: Asked, text: str, draw: Draw) -> str:
        form, field = self._grammar.forms["label"], _one(self._grammar.fields, draw)
        labels = _one(self._grammar.labels, draw)
        return "\n".join(form.format(label=label, field=field, text=self._sentence(draw)) for label in labels)

    def _examples(self, asked: Asked, text: str, draw: Draw) -> str:
        forms = self._grammar.forms
        if draw() < 0.3:
            return forms["output"].format(text=self._prose(draw))
        field = _one(self._grammar.fields, draw)
        parts = []
        for n in range(1, 2 + int(draw() * 3)):
            head = forms["example"].format(n=n) + forms["field"].format(field=field, text=self._sentence(draw))
            parts.append(head + forms["output"].format(text=self._sentence(draw)))
        return "\n".join(parts)

    def _translation(self, asked: Asked, text: str, draw: Draw) -> str:
        match = self._grammar.expressions["translate"].search(text)
        assert match is not None, "recognised by this very expression"
        return translated(match.group(2), "zh" if match.group(1) == self._grammar.marks["chinese"] else "en")


def recognised(text: str, stop: tuple[str, ...], grammar: Grammar) -> Asked:
    """What the prompt asks for, by the marks of the language. A stop that is a number is the first one not wanted."""
    marks, expressions = grammar.marks, grammar.expressions
    end = text[-200:]
    if end.rstrip().endswith(marks["classify"]):
        return Asked("classify")
    if marks["block"] in text:
        return _numbered("blocks", end, stop, grammar)
    if marks["label"] in text:
        return Asked("labels")
    if marks["example"] in text:
        return Asked("examples")
    if expressions["continued"].search(end) or expressions["open_number"].search(end):
        return _numbered("tasks", end, stop, grammar)
    return Asked("translation" if expressions["translate"].search(text) else "prose")


def _numbered(form: str, end: str, stop: tuple[str, ...], grammar: Grammar) -> Asked:
    """Which numbers are wanted: those that a chat names, or from the one that a completion has begun to the first stop."""
    if named := grammar.expressions["continued"].search(end):
        first, last = int(named.group(1)), int(named.group(2))
        return Asked(form, first, min(max(first, last), first + _MOST))
    begun = grammar.expressions["open_number"].search(end.rstrip().removesuffix(grammar.marks["block"][1:]))
    first = int(begun.group(1)) if begun else 1
    numbers = [int(match.group(1)) for text in stop if (match := _STOP_NUMBER.match(text))]
    last = numbers[0] - 1 if numbers else first + _USUAL - 1
    return Asked(form, first, min(max(first, last), first + _MOST), begun=begun is not None)


def _one(choices: tuple[T, ...] | list[T], draw: Draw) -> T:
    return choices[int(draw() * len(choices))]


def _ended(text: str, facts: Facts) -> Said:
    """The text up to the first stop, and no longer than allowed."""
    for stop in facts.stop:
        if stop and (at := text.find(stop)) >= 0:
            text = text[:at]
    if len(text) * 4 > facts.max_tokens * _BYTES_A_TOKEN and count_tokens(text) > facts.max_tokens:
        data = text.encode("utf-8", "surrogatepass")[: facts.max_tokens * _BYTES_A_TOKEN]
        return Said(data.decode("utf-8", "ignore"), "length")
    return Said(text)
