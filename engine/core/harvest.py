"""Harvest: what the texts of a run are like: lengths, neighbours, verbs, labels, languages, scores, samples. A fold.

Pure; one owner. Memory grows by a third of a kilobyte for each kept instruction (their index), and with nothing else; what is
slow to tell is told of a sample, whose size stands beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from engine.core.dedup import Index
from engine.core.published import PUBLISHED
from engine.core.recipe import Context, Recipe
from engine.core.score import rouge_l
from engine.core.sketches import Histogram, Sample, Tops
from engine.core.tally import short
from engine.core.text import has_cjk, words
from engine.core.types import Item, Settled
from engine.core.verbs import asked

WORDS = (0, 1, 5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1000)
PORTIONS = tuple(n / 20 for n in range(20))
SCALES = {"ratio": tuple(n / 10 for n in range(21)), **dict.fromkeys(("copied", "left", "repeats", "marked"), tuple(range(11)))}
COMPARED, PAIRED, SHOWN, EXAMPLES = 400, 1000, 240, 12
"""Sizes of the samples: instructions held against all others, pairs of texts before and after, records shown, and texts shown
that were dropped for one reason."""
REASONS = 60
LONGEST, COMPARABLE = 2_000, 10_000
"""Characters of a text that are shown, and that are compared."""
FREQUENT = 40


class Harvest:
    """Everything that was kept, and examples of what was not."""

    def __init__(self, recipe: Recipe, context: Context) -> None:
        self._recipe, self._context = recipe, context
        self._grower = next((step.name for step in recipe.steps if step.unique is not None), recipe.last.name)
        self._english = str(getattr(context.options, "language", "en")).startswith("en")
        self._waiting: dict[str, Item] = {}
        self._index = Index(context.tokens)
        self._compared: Sample[str] = Sample(COMPARED)
        self._pairs: Sample[tuple[str | None, str]] = Sample(PAIRED)
        self._records: Sample[dict[str, str]] = Sample(SHOWN)
        self._dropped: dict[str, Sample[dict[str, str]]] = {}
        self._lengths: dict[str, Histogram] = {}
        self._scores: dict[str, Histogram] = {}
        self._verbs, self._objects, self._labels = Tops(), Tops(), Tops()
        self._asked = 0
        self._counts = Counter(dict.fromkeys(PUBLISHED, 0))

    def settled(self, line: Settled) -> None:
        """Take in what a line has made."""
        if line.fault is not None:
            return
        parent = line.item or self._waiting.pop(line.of or "", {})
        for n, kept in line.kept:
            item = {**parent, **kept, "id": f"{line.step}/{line.index}.{n}"}
            self._kept(line.step, item, kept)
        for n, item, reason in line.dropped:
            self._drop(f"{line.step}/{line.index}.{n}", {**parent, **item}, reason)
            self._score(item)

    def _kept(self, step: str, item: Item, new: Item) -> None:
        self._score(new)
        if "is_classification" in new:
            self._counts["classification" if new["is_classification"] else "other"] += 1
        last = step == self._recipe.last.name
        fields = {name: _text(value) for name, value in self._recipe.record(item).items()} if last else {}
        if step == self._grower:
            self._grown(item["id"], fields.get("instruction") or _text(item.get(self._recipe.unique or "instruction", "")))
        if last:
            self._record(item, fields)
        else:
            self._waiting[item["id"]] = item

    def _grown(self, id: str, instruction: str) -> None:
        self._counts["instructions"] += 1
        self._measure("instruction", instruction)
        self._compared.add(id, instruction[:COMPARABLE])
        if self._recipe.unique is not None:
            self._index.add(id, instruction)
        if self._english and (found := asked(instruction)) is not None:
            self._asked += 1
            self._verbs.add(found.verb)
            if found.object:
                self._objects.add(f"{found.verb} {found.object}")

    def _record(self, item: Item, fields: dict[str, str]) -> None:
        self._counts["instances"] += 1
        told = self._recipe.provenance(item) if self._recipe.provenance is not None else {}
        for name, text in fields.items():
            if name == "input" and not text:
                self._counts["without_input"] += 1
            elif name != "instruction":
                self._measure(name, text)
        if item.get("is_classification"):
            self._labels.add(fields.get("output", "")[:60])
        before, after = _pair(told, fields)
        self._pairs.add(item["id"], (before if before is None else before[:COMPARABLE], after[:COMPARABLE]))
        shown = {name: text for name, text in {**fields, "source": before or ""}.items() if text}
        self._records.add(item["id"], {name: cut(text) for name, text in shown.items()})

    def _drop(self, id: str, item: Item, reason: str) -> None:
        name = short(reason)
        if name not in self._dropped and len(self._dropped) == REASONS:
            return
        text = " | ".join(_text(item[key]) for key in ("instruction", "text", "input", "output") if item.get(key))
        self._dropped.setdefault(name, Sample(EXAMPLES)).add(id, {"reason": cut(reason), "text": cut(text)})

    def _measure(self, name: str, text: str) -> None:
        self._lengths.setdefault(name, Histogram(WORDS)).add(length(text))

    def _score(self, item: Item) -> None:
        scores = item.get("scores")
        if not isinstance(scores, dict):
            return
        for name, value in _flat(scores):
            self._scores.setdefault(name, Histogram(SCALES.get(name.split(".")[-1], PORTIONS))).add(value)

    # Telling

    def as_json(self) -> dict[str, Any]:
        """Plain data under stable names. `samples` and `dropped_samples` are texts; everything else is figures."""
        pairs = [pair for _, pair in self._pairs.items()]
        return {
            "table": self._table(),
            "lengths": {name: lengths.as_json() for name, lengths in self._lengths.items()},
            "rouge_l": self._neighbours(),
            "verbs": self._verb_figures(),
            "labels": {"different": len(self._labels), "not_told_apart": self._labels.other, "most": self._labels.most(FREQUENT)},
            "languages": self._languages(after for _, after in pairs),
            "scores": {name: scores.as_json() for name, scores in self._scores.items()},
            "source": _changes(pairs),
            "distinct": _distinct(pairs, self._context.tokens),
            "samples": [{"id": id, "fields": fields} for id, fields in self._records.items()],
            "dropped_samples": {
                name: [{"id": id, **told} for id, told in sample.items()] for name, sample in sorted(self._dropped.items())
            },
        }

    def _table(self) -> dict[str, float | None]:
        """Under the names of the published run's rows; `None` where this recipe has no such thing."""
        means = {f"{name}_words": self._lengths.get(name) for name in ("instruction", "input", "output")}
        classifies = any(step.name == "classify" for step in self._recipe.steps)
        table: dict[str, float | None] = {}
        for name in PUBLISHED:
            if name in means:
                found = means[name]
                table[name] = None if found is None else round(found.total / found.count, 1)
            elif name in ("classification", "other") and not classifies:
                table[name] = None
            else:
                table[name] = self._counts[name]
        return table

    def _neighbours(self) -> dict[str, Any]:
        """ROUGE-L of a sample of the instructions to the nearest of all others, and to the nearest seed where there are seeds."""
        unique = self._recipe.unique
        if unique is None:
            return {}
        seeds = Index(self._context.tokens)
        for n, seed in enumerate(self._context.seeds):
            seeds.add(f"seed/{n}", seed[unique])
        to_seed, to_other = Histogram(PORTIONS), Histogram(PORTIONS)
        for id, text in self._compared.items():
            nearest = seeds.nearest(text)
            to_seed.add(0.0 if nearest is None else nearest.score)
            others = [match.score for match in self._index.neighbours(text, 2) if match.id != id]
            to_other.add(max(others, default=0.0))
        told = {"sampled": len(self._compared), "neighbour": to_other.as_json()}
        return {**told, "seed": to_seed.as_json()} if self._context.seeds else told

    def _verb_figures(self) -> dict[str, Any]:
        if not self._english:
            return {}
        return {
            "found": self._asked,
            "different": len(self._verbs),
            "verbs": self._verbs.most(FREQUENT),
            "pairs": self._objects.most(FREQUENT),
        }

    def _languages(self, texts: Iterable[str]) -> dict[str, Any]:
        guesses = [self._context.identify(text) for text in texts]
        counts = Counter("unknown" if guess is None else guess.language for guess in guesses)
        return {"sampled": len(guesses), "languages": dict(counts.most_common())}


def length(text: str) -> int:
    """Words between blanks; where a text has ideographs, which have none between them, the tokens that texts are compared by."""
    return len(words(text)) if has_cjk(text) else len(text.split())


def cut(text: str) -> str:
    """The text, or its beginning with a word on what was left out."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST:,} characters more)"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _pair(told: Item, fields: dict[str, str]) -> tuple[str | None, str]:
    """The text that a record was made from, where there is one, and what became of it."""
    source, instruction = told.get("source"), fields.get("instruction", "")
    if isinstance(source, dict):
        return _text(source.get("instruction")) or None, instruction
    if isinstance(source, str) and isinstance(told.get("back"), str):
        return source, told["back"]
    return None, instruction


def _flat(scores: dict[str, Any], before: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in scores.items():
        if isinstance(value, dict):
            found += _flat(value, f"{before}{name}.")
        elif isinstance(value, int | float):
            found.append((f"{before}{name}", float(value)))
    return found


def _changes(pairs: list[tuple[str | None, str]]) -> dict[str, Any]:
    """How far texts have moved from their sources: 1 - ROUGE-L."""
    distances = Histogram(PORTIONS)
    for before, after in pairs:
        if before is not None:
            distances.add(1 - rouge_l(words(before), words(after)))
    return {"sampled": distances.count, "distance": distances.as_json()} if distances.count else {}


def _distinct(pairs: list[tuple[str | None, str]], tokens: Callable[[str], list[str]]) -> dict[str, Any]:
    """Distinct-n (Li et al. 2016): different n-grams, for one n-gram, of all sampled texts together."""
    sides = {"after": [after for _, after in pairs], "before": [before for before, _ in pairs if before is not None]}
    told: dict[str, Any] = {"sampled": len(pairs)}
    for side, texts in sides.items():
        lists = [tokens(text) for text in texts]
        if any(lists):
            told[side] = {str(n): _share(lists, n) for n in (1, 2, 3)}
    return told


def _share(lists: list[list[str]], n: int) -> float | None:
    grams = [gram for some in lists for gram in zip(*(some[start:] for start in range(n)), strict=False)]
    return round(len(set(grams)) / len(grams), 4) if grams else None
