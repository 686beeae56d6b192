"""Seed tasks: reading them, finding the ones that come with the product, and checking a file of them.

A door: reads files, prints nothing. The format is the published one, a JSON object a line:
`{"id", "name", "instruction", "instances": [{"input", "output"}], "is_classification"}`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from engine.core.dedup import Index
from engine.core.faults import PlanError
from engine.core.text import collapse, has_cjk, words
from engine.core.types import Item

SIMILAR = 0.5
"""Two seeds above this ROUGE-L are one too many: each should open a direction of its own."""


@dataclass(frozen=True, slots=True)
class SeedFault:
    """A fault in a seed file; lines count from 1."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Similar:
    """Two seeds that resemble each other, by line."""

    line: int
    earlier: int
    score: float


@dataclass(frozen=True, slots=True)
class SeedReport:
    """What `seeds check` found."""

    tasks: int
    faults: tuple[SeedFault, ...]
    similar: tuple[Similar, ...]
    summary: dict[str, str]


def folder() -> Path:
    """Where the product's own seeds lie: in the wheel beside the engine, in a checkout at its top."""
    here = Path(__file__).resolve().parent
    return here / "seeds" if (here / "seeds").is_dir() else here.parent / "seeds"


def read(path: Path) -> tuple[list[Item], list[SeedFault]]:
    """The good seeds of a file, and what is wrong with the others. Raises `PlanError` where it cannot be read at all."""
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise PlanError(f"the seed file {path} cannot be read: {error.strerror or error}") from error


def parse(data: bytes) -> tuple[list[Item], list[SeedFault]]:
    """Likewise, of a file's bytes. Each seed also has its `line`."""
    seeds: list[Item] = []
    faults: list[SeedFault] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            seed = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            faults.append(SeedFault(number, f"not JSON ({error})"))
            continue
        reasons = wrong(seed)
        faults += [SeedFault(number, reason) for reason in reasons]
        if not reasons:
            seeds.append({**seed, "line": number})
    return seeds, faults


def wrong(seed: Any) -> list[str]:
    """What is wrong with one seed, in words."""
    if not isinstance(seed, dict):
        return ["not a JSON object"]
    reasons = [f"{key!r} is missing" for key in ("id", "instruction", "instances", "is_classification") if key not in seed]
    if reasons:
        return reasons
    if not isinstance(seed["instruction"], str) or not collapse(seed["instruction"]):
        reasons.append("'instruction' must be a text that says something")
    if not isinstance(seed["is_classification"], bool):
        reasons.append("'is_classification' must be true or false")
    instances = seed["instances"]
    if not isinstance(instances, list) or not instances:
        return [*reasons, "'instances' must be a list of at least one instance"]
    for n, instance in enumerate(instances, 1):
        if not isinstance(instance, dict) or not all(isinstance(instance.get(key), str) for key in ("input", "output")):
            reasons.append(f"instance {n} must have 'input' and 'output', both texts (the input may be empty)")
        elif not instance["output"].strip():
            reasons.append(f"instance {n} has no output")
        elif instance["input"].strip() == instance["output"].strip():
            reasons.append(f"instance {n} gives its input back as output")
    return reasons


def check(path: Path) -> SeedReport:
    """Everything that can be said of a seed file without a model."""
    seeds, faults = read(path)
    for key, what in (("id", "the id"), ("instruction", "the instruction")):
        first: dict[str, int] = {}
        for seed in seeds:
            value = str(seed[key])
            if (earlier := first.setdefault(value, seed["line"])) != seed["line"]:
                faults.append(SeedFault(seed["line"], f"{what} {value[:60]!r} stands in line {earlier} already"))
    index = Index()
    similar: list[Similar] = []
    for seed in seeds:
        near = index.near(seed["instruction"], SIMILAR)
        if near is not None:
            similar.append(Similar(seed["line"], int(near.id), near.score))
        index.add(str(seed["line"]), seed["instruction"])
    faults.sort(key=lambda fault: fault.line)
    return SeedReport(len(seeds), tuple(faults), tuple(similar), summary(seeds))


def summary(seeds: Sequence[Item]) -> dict[str, str]:
    """The table under `seeds check`: counts, and lengths in words; in characters where most of what is asked is Chinese, whose
    first two characters stand for a first word."""
    if not seeds:
        return {}
    instances = [instance for seed in seeds for instance in seed["instances"]]
    asked = [words(seed["instruction"]) for seed in seeds]
    chinese = 2 * sum(has_cjk(token) for tokens in asked for token in tokens) > sum(map(len, asked))
    unit, first = ("characters", 2) if chinese else ("words", 1)
    openings = Counter("".join(tokens[:first]) for tokens in asked if tokens)
    return {
        "instances": str(len(instances)),
        "classification": _share(sum(seed["is_classification"] for seed in seeds), len(seeds)),
        "without input": _share(sum(not instance["input"].strip() for instance in instances), len(instances)),
        f"{unit} an instruction": _spread([len(tokens) for tokens in asked]),
        f"{unit} an input": _spread([len(words(instance["input"])) for instance in instances if instance["input"].strip()]),
        f"{unit} an output": _spread([len(words(instance["output"])) for instance in instances]),
        "first words": f"{len(openings)} different; most often "
        + ", ".join(f"{word} ({count})" for word, count in openings.most_common(5)),
    }


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.0%})"


def _spread(counts: list[int]) -> str:
    if not counts:
        return "none"
    counts = sorted(counts)
    return f"{counts[0]} to {counts[-1]}, median {counts[len(counts) // 2]}"


def as_text(report: SeedReport) -> str:
    """What `seeds check` prints."""
    lines = [f"{report.tasks} tasks, {_count(len(report.faults), 'fault')}"]
    lines += [f"  {fault}" for fault in report.faults]
    if report.similar:
        lines.append(f"{_count(len(report.similar), 'pair')} above ROUGE-L {SIMILAR}:")
        lines += [f"  lines {pair.earlier} and {pair.line}: {pair.score:.3f}" for pair in report.similar]
    else:
        lines.append(f"no pair above ROUGE-L {SIMILAR}")
    width = max((len(name) for name in report.summary), default=0)
    lines += [f"  {name:<{width}}  {value}" for name, value in report.summary.items()]
    return "\n".join(lines)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
