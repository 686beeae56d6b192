"""Verbs: what an English instruction asks for, as its first verb and that verb's object, by position and short lists of words.

Pure. No parser: "Write a short story about …" is write, story. The published analysis used one (Berkeley Neural Parser); ours
reads nothing of sentences that begin otherwise, and says for how many instructions it found a verb.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_WORD = re.compile(r"[A-Za-z]+(?:[-'’][A-Za-z]+)*|[.,;:?!()\"“”]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BEFORE = _words("please kindly now then first next also just briefly quickly carefully clearly simply")
"""Words that may stand before the verb."""
_NO_VERB = _words(
    "what which who whom whose when where why how is are was were do does did can could will would should may might am "
    "has have had the a an this that these those there it its he she they we you i my your his her their our if in on at "
    "for from with as to of and or but not no yes given after before while since because suppose imagine here"
)
"""First words that are no imperative: questions, statements, clauses."""
_EASY = _words(
    "a an the this that these those my your his her its our their some any each every all both no one two three four five "
    "six seven eight nine ten twenty at least most about exactly me us him them"
)
"""Words that an object may begin with, and that are none themselves."""
_END = _words(
    "of for to from in on at by with without about into onto over under between among through during against as and or "
    "but so if that which who whom whose when where why how whether what using based than while because is are was were "
    "be has have can could will would should may might given following below above"
)
"""Words before which the object's noun has been said."""
_LONGEST = 40


class Asked(NamedTuple):
    """`object` is "" where none was found."""

    verb: str
    object: str


def asked(instruction: str) -> Asked | None:
    """Verb and object of an instruction; `None` where it does not begin with an imperative."""
    words = _WORD.findall(instruction[:300])
    while words and words[0].lower() in _BEFORE:
        words = words[1:]
    if not words or not words[0][0].isalpha() or words[0].lower() in _NO_VERB or len(words[0]) > _LONGEST:
        return None
    noun = ""
    for word in words[1:]:
        word = word.lower()
        if not word[0].isalpha() or (word in _END and not (word in ("about", "at") and not noun)):
            break
        if word not in _EASY:
            noun = word
    return Asked(words[0].lower(), noun[:_LONGEST])
