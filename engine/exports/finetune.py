"""Rows as the published fine-tuning of Self-Instruct took them: prompt and completion, from templates chosen at random.

The layouts follow the description of Wang et al. (2022); Alpaca's two texts are written anew. Whoever needs the published
words to the letter gives them in a file (`--set templates=FILE`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from engine.core.rng import stream
from engine.exports import settings
from engine.exports.example import Example
from engine.exports.rows import Row, Setting
from engine.exports.settings import Templates

END = "<|endoftext|>"
_PLACE = re.compile(r"\{(instruction|input)\}")
_LABEL = re.compile(r"(\w+):")

SELF_INSTRUCT = Templates(
    with_input=(
        "{instruction}\nInput: {input}\nOutput:",
        "{instruction}\n\nInput: {input}\n\nOutput:",
        "Task: {instruction}\nInput: {input}\nOutput:",
        "Task: {instruction}\n\nInput: {input}\n\nOutput:",
        "{instruction}\n\n{input}\n\nOutput:",
        "{instruction}\n{input}\n\n",
        "{instruction}\n\n{input}\n\n",
    ),
    without_input=(
        "{instruction}\nOutput:",
        "{instruction}\n\nOutput:",
        "Task: {instruction}\nOutput:",
        "Task: {instruction}\n\nOutput:",
        "{instruction}\n",
        "{instruction}\n\n",
    ),
)
ALPACA = Templates(
    with_input=(
        "Here is a task, and after it the text that the task is about. Do what the task says.\n\n"
        "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n",
    ),
    without_input=("Here is a task. Do what it says.\n\n### Instruction:\n{instruction}\n\n### Response:\n",),
)


def finetune(examples: Iterable[Example], setting: Setting) -> Iterator[Row]:
    """Rows without exact repetitions, in random order. The random numbers of a row hang on its id and the run's seed alone.

    Holds all rows in memory: they are shuffled.
    """
    chosen = setting.chosen
    published = chosen.style == "self_instruct" and chosen.templates is None
    texts = SELF_INSTRUCT if chosen.style == "self_instruct" else ALPACA
    if chosen.templates is not None:
        texts = settings.templates(Path(chosen.templates))
    end = chosen.end if chosen.end is not None else END if published else ""
    pairs = {_pair(example, texts, stream(setting.seed, "finetune", example.id), setting): None for example in examples}
    rows = list(pairs)
    stream(setting.seed, "finetune").shuffle(rows)
    return ({"prompt": prompt, "completion": completion + end} for prompt, completion in rows)


def _pair(example: Example, texts: Templates, rng: Random, setting: Setting) -> tuple[str, str]:
    given = example.input
    if setting.chosen.style == "self_instruct" and rng.random() < 0.5:
        given = plainer(given)
    template = rng.choice(texts.with_input if given else texts.without_input)
    values = {"instruction": example.instruction.strip(), "input": given.strip()}
    prompt = _PLACE.sub(lambda place: values[place[1]], template)  # in one go: an instruction may have braces in it
    return prompt, example.output if template[-1].isspace() else f" {example.output}"


def plainer(given: str) -> str:
    """An input without its label where it has only one, and without blank lines."""
    if len(set(_LABEL.findall(given))) == 1:
        given = given.partition(":")[2].strip()
    return given.replace("\n\n", "\n")
