"""An example: a record of a run, or a seed, with everything that an export may tell of it.

Pure. Texts are what a file can hold: lone surrogates, which no encoding of Unicode knows, have become U+FFFD.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson

from engine.core.text import collapse
from engine.core.types import Item
from engine.rundir import Record

FIELDS = ("instruction", "input", "output")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An earlier instruction that this one resembles, with their ROUGE-L F1."""

    id: str
    instruction: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """`ids`, `lanes`, `models` and `times` (UTC seconds) are by step; a seed has none of them."""

    id: str
    instruction: str
    input: str
    output: str
    language: str
    ids: dict[str, str] = field(default_factory=dict)
    lanes: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    classification: bool | None = None
    """`None` where the recipe does not ask."""
    more: dict[str, Any] = field(default_factory=dict)
    """What else the recipe tells: sources, scores, parents."""
    nearest: list[Neighbour] | None = None
    """Best first, among the seeds and all instructions before it; `None` where nobody compared."""
    mean: float | None = None
    """Mean score against all of those."""

    @property
    def group(self) -> str:
        """What examples have in common that must not be divided between training and validation: the instruction, however it
        is spaced or capitalised; of a record that was made of another one, that one's, so that it also keeps to its side."""
        source = self.more.get("source")
        parent = source.get("instruction") if isinstance(source, Mapping) else None
        return collapse(parent if isinstance(parent, str) else self.instruction).casefold()

    @property
    def scores(self) -> dict[str, list[float]]:
        """Every number that is told of the example, by its name; `scores.input.chrf` is `input.chrf` and `chrf`, too, which is
        why a name may stand for several."""
        found: dict[str, list[float]] = defaultdict(list)
        for path, number in _numbers(self.more):
            for start in range(len(path)):
                found[".".join(path[start:])].append(number)
        if self.nearest is not None and self.mean is not None:
            found |= {"nearest": [self.nearest[0].score if self.nearest else 0.0], "mean": [self.mean]}
        return found


def of_record(record: Record, language: str) -> Example:
    """The example that a record is; `language` is the run's, for records that do not tell their own."""
    kind = record.item.get("is_classification")
    own = record.fields.get("language") or record.item.get("language")
    instruction, given, output = (str(record.fields.get(name, "")) for name in FIELDS)
    return Example(
        id=record.id,
        instruction=instruction,
        input=given,
        output=output,
        language=own if isinstance(own, str) else language,
        ids=record.ids,
        lanes=record.lanes,
        models=record.models,
        times=record.times,
        classification=kind if isinstance(kind, bool) else None,
        more={name: value for name, value in record.fields.items() if name not in FIELDS} | record.provenance,
    )


def of_seed(n: int, seed: Item, language: str) -> Iterator[Example]:
    """The examples that the seed task number `n` is: one for each of its instances."""
    kind = seed.get("is_classification")
    for place, instance in enumerate(seed["instances"]):
        yield Example(
            id=f"seed/{n}.{place}",
            instruction=seed["instruction"],
            input=instance["input"],
            output=instance["output"],
            language=language,
            classification=kind if isinstance(kind, bool) else None,
        )


def written(example: Example) -> bytes:
    """The example as a line of JSON, without its newline; what cannot be encoded is replaced here."""
    try:
        return orjson.dumps(example)
    except TypeError:
        return orjson.dumps(_encodable(msgspec.to_builtins(example)))


_EXAMPLE = msgspec.json.Decoder(Example)


def read(line: bytes) -> Example:
    return _EXAMPLE.decode(line)


def _encodable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case dict():
            return {_encodable(str(name)): _encodable(part) for name, part in value.items()}
        case list() | tuple():
            return [_encodable(part) for part in value]
        case _:
            return value


def _numbers(tree: Mapping[str, Any], *above: str) -> Iterator[tuple[tuple[str, ...], float]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, *above, name)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*above, name), float(value)
