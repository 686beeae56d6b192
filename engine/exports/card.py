"""What a data set says of itself: `README.md` with the header that the Hugging Face Hub reads, and LLaMA-Factory's
`dataset_info.json`.

Pure. Says what is known from the run, and no more; nothing of a lane but its provider, its models and their licence.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import orjson

from engine.context import Loaded
from engine.core.text import collapse
from engine.exports.formats import Format
from engine.exports.gather import TRAIN, VALIDATION, Figures
from engine.exports.settings import Settings
from engine.runtime.local import DEFAULT, MODELS
from engine.version import VERSION

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))
"""The Hub's names for how many rows there are."""
DATASET = "seeddrill"
"""What LLaMA-Factory calls the data set."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of the export."""

    name: str
    part: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that a card is made of."""

    loaded: Loaded
    figures: Figures
    files: tuple[File, ...]
    format: Format
    settings: Settings
    command: str
    """By which the same run gives the same files again."""


def dataset_info(story: Story) -> bytes | None:
    """For LLaMA-Factory's `dataset_dir`; `None` for a format that it does not read."""
    if story.format.llama_factory is None:
        return None
    names = {TRAIN: DATASET, VALIDATION: f"{DATASET}_{VALIDATION}"}
    entries = {names[file.part]: {"file_name": file.name, **story.format.llama_factory} for file in story.files}
    return orjson.dumps(entries, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def card(story: Story) -> str:
    """`README.md`."""
    sections = (_header, _counts, _method, _models, _input, _seeds, _limits, _again)
    return "\n".join(line for section in sections for line in section(story))


def _header(story: Story) -> Iterator[str]:
    """YAML; a text in JSON's quotes is one in YAML, too."""
    rows = sum(file.rows for file in story.files)
    languages = [name for name in sorted(story.figures.languages) if name]
    yield "---"
    yield f"pretty_name: {_quoted(_title(story))}"
    if languages:
        yield f"language: {_quoted(languages)}"
    if story.settings.license:
        yield f"license: {_quoted(story.settings.license)}"
    yield f"size_categories: {_quoted([next((name for most, name in SIZES if rows < most), '10M<n<100M')])}"
    yield 'task_categories: ["text-generation"]'
    yield f"tags: {_quoted(['synthetic', 'sft', 'instruction-tuning', story.loaded.recipe.name])}"
    yield "configs:"
    yield '- config_name: "default"'
    yield "  data_files:"
    for file in story.files:
        yield f"  - split: {_quoted(file.part)}"
        yield f"    path: {_quoted(file.name)}"
    yield "---"


def _counts(story: Story) -> Iterator[str]:
    figures = story.figures
    total = figures.examples.total()
    yield ""
    yield f"# {_title(story)}"
    yield ""
    yield f"Instruction data made by language models with Seeddrill {VERSION}. Layout: {story.format.says}."
    yield ""
    yield "| file | rows | sha256 |"
    yield "|---|---:|---|"
    for file in story.files:
        yield f"| `{file.name}` | {file.rows:,} | `{file.sha256}` |"
    yield ""
    yield "| figure | |"
    yield "|---|---:|"
    yield f"| records | {total - figures.seeds:,} |"
    if figures.seeds:
        yield f"| examples of the seed tasks, written by people | {figures.seeds:,} |"
    yield f"| different instructions | {len(figures.groups):,} |"
    yield f"| with an input | {figures.with_input:,} ({_share(figures.with_input, total)}) |"
    if figures.classification:
        yield f"| of classification tasks | {figures.classification:,} ({_share(figures.classification, total)}) |"
    for name, count in figures.words.items():
        of = figures.with_input if name == "input" else total
        yield f"| words of an {name}, mean (a Chinese character counts as one) | {count / of if of else 0:.1f} |"
    for language, count in sorted(figures.languages.items()):
        yield f"| in {_cell(language) or 'a language that is not told'} | {count:,} |"
    if figures.first is not None and figures.last is not None:
        yield f"| answered | {_day(figures.first)} to {_day(figures.last)} (UTC) |"


def _method(story: Story) -> Iterator[str]:
    recipe, context = story.loaded.recipe, story.loaded.context
    told = (sys.modules[recipe.record.__module__].__doc__ or recipe.name).strip().splitlines()[0]
    yield from ("", "## Method", "", told, "")
    yield f"Steps: {', '.join(f'`{step.name}` (asked of the role {step.role})' for step in recipe.steps)}."
    if context.filters:
        yield f"Filters: {', '.join(chosen.name for chosen in context.filters)}."
    if any(step.unique is not None for step in recipe.steps):
        yield f"What resembled an earlier text with a ROUGE-L above {context.rouge_max:g} was dropped."
    if VALIDATION in story.figures.examples:
        yield "Instances of one instruction are all in `train` or all in `validation`; a hash of the instruction decides."


def _models(story: Story) -> Iterator[str]:
    steps: dict[tuple[str, str], set[str]] = defaultdict(set)
    most: dict[tuple[str, str], int] = defaultdict(int)
    for (step, lane, model), count in story.figures.answers.items():
        steps[lane, model].add(step)
        most[lane, model] = max(most[lane, model], count)
    yield from ("", "## Models", "")
    if not steps:
        yield "None: there are no records here."
        return
    yield "| lane | provider | model, as it named itself | steps | records | licence of the model |"
    yield "|---|---|---|---|---:|---|"
    for (lane, model), names in sorted(steps.items()):
        plan = story.loaded.plan.lanes.get(lane)
        provider = plan.provider if plan is not None else "not in the plan any more"
        shown = [step.name for step in story.loaded.recipe.steps if step.name in names]
        cells = (lane, provider, model, ", ".join(shown), f"{most[lane, model]:,}", _licence(story.loaded, lane))
        yield f"| {' | '.join(map(_cell, cells))} |"
    yield ""
    yield "Licences stand here as the plan of the run states them; nobody has checked them. A model's terms may bind what is made"
    yield "with it."


def _licence(loaded: Loaded, name: str) -> str:
    lane = loaded.plan.lanes.get(name)
    if lane is None or lane.license is not None:
        return lane.license or "not stated" if lane is not None else "not stated"
    known = MODELS.get(lane.model or DEFAULT) if lane.provider == "local" else None
    return known.licence if known is not None else "not stated"


def _input(story: Story) -> Iterator[str]:
    """The user's documents, by what a run knows them by."""
    if (given := story.loaded.identity.get("input")) is None:
        return
    yield from ("", "## Input", "", "| file | size, sha256 of its first and last MiB |", "|---|---|")
    for name, mark in given["files"].items():
        yield f"| {_cell(name)} | {_cell(mark)} |"


def _seeds(story: Story) -> Iterator[str]:
    plan, seeds = story.loaded.plan, story.loaded.context.seeds
    if not seeds:
        return
    source = "a file of the user's own" if plan.seeds else "the file that comes with Seeddrill"
    yield from ("", "## Seeds", "")
    yield f"{len(seeds)} seed tasks, {source} (sha256 begins with `{story.loaded.identity['seeds']}`)."


def _limits(story: Story) -> Iterator[str]:
    yield from ("", "## Limits", "")
    yield "- Texts are made by models and were filtered by rules; no person has read them all. Some instructions make no sense,"
    yield "  some inputs do not fit, some outputs are wrong, and all of them carry the biases of the models."
    yield "- Duplicates are told by shared words in order (ROUGE-L) alone: the same task in other words may be there twice, on"
    yield "  both sides of a split, too."
    yield "- Nothing here is checked for personal data, for safety, or against benchmarks other than those that the plan avoids."


def _again(story: Story) -> Iterator[str]:
    loaded = story.loaded
    options = msgspec.to_builtins(loaded.context.options)
    yield from ("", "## How to reproduce", "")
    yield "From the run directory, the same journal gives the same bytes (`sha256sum --check SHA256SUMS`):"
    yield from ("", "```sh", "seeddrill verify DIR", story.command, "```", "")
    yield "Models do not answer twice alike, so a new run of this plan gives other texts of the same kind:"
    yield from ("", "```toml", f"recipe = {_quoted(loaded.recipe.name)}")
    if loaded.plan.goal is not None:
        yield f"goal = {loaded.plan.goal}"
    yield from (f"seed = {loaded.plan.seed}", "", "[options]")
    for name, value in options.items():
        if value is not None and name not in ("templates", "avoid"):
            yield f"{name} = {_toml(value)}"
    yield from ("```", "", f"Fingerprint of the plan, its seeds, templates and filters: `{loaded.fingerprint}`.", "")


def _title(story: Story) -> str:
    topic = str(getattr(story.loaded.context.options, "topic", "") or "")
    return collapse(f"{story.loaded.recipe.name}: {topic}" if topic else f"{story.loaded.recipe.name} data")


def _quoted(value: object) -> str:
    return orjson.dumps(value).decode()


def _toml(value: object) -> str:
    """A value of an option; texts, numbers, truth values and lists are written as in JSON."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {_toml(part)}' for name, part in value.items() if part is not None)}}}"
    return _quoted(value)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "none"


def _day(t: float) -> str:
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d")
