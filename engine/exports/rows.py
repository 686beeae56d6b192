"""A record as a row of each format. Pure: an example in, plain data out.

Where a format has no place for the input, it stands behind the instruction, a blank line between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, TypeAlias

from engine.exports.example import Example
from engine.exports.settings import Settings

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """What rows are made under, besides the examples themselves."""

    seed: int
    """The run's."""
    steps: tuple[str, ...]
    first: str
    """The step that makes instructions."""
    chosen: Settings


Rows: TypeAlias = Callable[[Iterable[Example], Setting], Iterator[Row]]


def each(row: Callable[[Example, Setting], Row]) -> Rows:
    """A format that makes one row of every example."""

    def rows(examples: Iterable[Example], setting: Setting) -> Iterator[Row]:
        return (row(example, setting) for example in examples)

    return rows


def asked(example: Example) -> str:
    """What a user would ask."""
    return f"{example.instruction}\n\n{example.input}" if example.input else example.instruction


def alpaca(example: Example, setting: Setting) -> Row:
    return {"instruction": example.instruction, "input": example.input, "output": example.output}


def chat(examples: Iterable[Example], setting: Setting) -> Iterator[Row]:
    """One question and its answer, as `messages` (TRL's conversational form, OpenAI's fine-tuning form).

    An example whose output is blank is left out: it teaches nothing, and one of them makes OpenAI refuse the whole file.
    """
    for example in examples:
        if example.output.strip():
            yield {"messages": [{"role": role, "content": text} for role, text in _turns(example, setting, "user", "assistant")]}


def sharegpt(example: Example, setting: Setting) -> Row:
    """Likewise as `conversations`, with ShareGPT's names of the speakers."""
    return {"conversations": [{"from": who, "value": text} for who, text in _turns(example, setting, "human", "gpt")]}


def _turns(example: Example, setting: Setting, user: str, assistant: str) -> list[tuple[str, str]]:
    system = [("system", setting.chosen.system)] if setting.chosen.system else []
    return [*system, (user, asked(example)), (assistant, example.output)]


def prompt_completion(example: Example, setting: Setting) -> Row:
    """A prompt that ends with a blank line, so that prompt and completion can be joined as they are."""
    return {"prompt": f"{asked(example)}\n\n", "completion": example.output}


def jsonl(example: Example, setting: Setting) -> Row:
    """The record with its id, and where it comes from: for each step its item's id, lane, model and time of sending (UTC
    seconds), and what else the recipe tells. Every row has the same keys: what is not there is `None`."""
    by_step = {
        name: {step: values.get(step) for step in setting.steps}
        for name, values in (("ids", example.ids), ("lanes", example.lanes), ("models", example.models), ("times", example.times))
    }
    compared = {} if example.nearest is None else {"nearest": [asdict(near) for near in example.nearest], "mean": example.mean}
    provenance = {**by_step, **example.more, **compared}
    return {"id": example.id, **alpaca(example, setting), "language": example.language, "provenance": provenance}


def self_instruct(examples: Iterable[Example], setting: Setting) -> Iterator[Row]:
    """An instruction a row with its instances and the fields that Wang et al. (2022) publish: the ten most similar instructions
    before it with their scores, the mean score, the number of the request, and what is known of that.

    `most_similar` is a list, where the published rows have an object whose keys are the instructions: a reader of columns would
    make a column of each. A seed has been compared with nothing.
    """
    for (id, _), group in groupby(examples, lambda example: (example.ids.get(setting.first, example.id), example.group)):
        instances = list(group)
        one = instances[0]
        number = id.removeprefix(f"{setting.first}/").partition(".")[0] if one.ids else None
        yield {
            "id": id,
            "instruction": one.instruction,
            "is_classification": one.classification,
            "instances": [{"input": instance.input, "output": instance.output} for instance in instances],
            "most_similar": [asdict(near) for near in one.nearest or []],
            "avg_similarity_score": one.mean,
            "request_idx": int(number) if number is not None else None,
            "metadata": {
                "lane": one.lanes.get(setting.first),
                "model": one.models.get(setting.first),
                "created": one.times.get(setting.first),
            },
        }
