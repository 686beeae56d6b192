"""`seeddrill verify`: replays everything and believes nothing. Checksums, order, prompts and verdicts are worked out again.

Reads only. `rouge_score` itself judges a sample of the dedup verdicts here: the one place in the product that imports it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from random import Random

from engine import app, context, rundir
from engine.core import recipe as acts
from engine.core.documents import of_line
from engine.core.faults import JournalError, PlanError
from engine.core.intake import Arrival, skipped
from engine.core.parse import Malformed
from engine.core.past import Past, Unknown, fingerprint
from engine.core.types import Line, Paid, Request, Settled
from engine.plan import differences
from engine.progress import told
from engine.refold import replanned
from engine.runtime.disk import Directory
from engine.runtime.segments import Check, checked

DUPLICATES, PAIRS = 200, 100_000
"""How much rouge_score judges without `--all`: matches that were found, and pairs of texts that were kept beside each other."""
UNJUDGED = "Verdicts are not worked out again"
MOST = 20
"""Differences that are told one by one."""

_MATCH = re.compile(r"(?:duplicate of|avoided) (\S.*) \(([0-9.e-]+)\)")


@dataclass(slots=True)
class Found:
    """What was looked at, in words, and what differs."""

    notes: list[str] = field(default_factory=list)
    checks: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    def count(self, what: str, number: int = 1) -> None:
        self.checks[what] = self.checks.get(what, 0) + number

    def text(self, directory: Path) -> str:
        lines = [*self.notes, f"{directory}: checked"]
        lines += [f"  {number:>12,} {what}" for what, number in self.checks.items()]
        lines += [f"DIFFERENCE: {difference}" for difference in self.differences[:MOST]]
        if len(self.differences) > MOST:
            lines.append(f"and {len(self.differences) - MOST:,} more differences")
        lines.append(f"{len(self.differences):,} differences." if self.differences else "No difference.")
        return "\n".join(lines)


@dataclass(slots=True)
class Texts:
    """Texts in the order in which an index took them in, by id too. `most` is the ROUGE-L above which two of them are copies."""

    most: float
    texts: list[str] = field(default_factory=list)
    by_id: dict[str, str] = field(default_factory=dict)

    def add(self, id: str, text: str) -> None:
        self.texts.append(text)
        self.by_id[id] = text


@dataclass(frozen=True, slots=True)
class Verdict:
    """A dedup verdict for rouge_score to judge: `text` against the first `before` of the texts, or against the one it matched."""

    id: str
    text: str
    among: Texts
    before: int
    match: str | None = None
    score: float = 0.0


class Extent(Enum):
    """How much rouge_score judges: it takes about 0.1 ms a pair of texts."""

    SAMPLE = "sample"
    ALL = "all"


def verify(directory: Path, extent: Extent) -> Found:
    """Check a run directory, finished or not. Raises `EngineError` only where there is nothing to check."""
    found = Found()
    loaded = _loaded(directory, found)
    judged = Judged(loaded, found)
    check = Check(rundir.read_plan(directory)["fingerprint"])
    try:
        for line in told(checked(Directory(directory), str(directory), check), "lines verified:"):
            if check.headers:
                _versions(check, judged)
            judged.line(line)
    except JournalError as error:
        found.differences.append(str(error))
    except OSError as error:
        found.differences.append(f"{directory} cannot be read: {error}")
    found.checks = {"segments": check.segments, "of them sealed, sha256 compared": check.sealed, **found.checks}
    found.notes += check.notes
    Judge(judged).judge(extent)
    return found


def _loaded(directory: Path, found: Found) -> context.Loaded:
    """The run's plan and texts; differences where they are not what plan.json says they were."""
    body = rundir.read_plan(directory)
    try:
        loaded = replanned(directory, [])
    except PlanError as error:
        found.notes.append(f"{UNJUDGED}: {error}")
        loaded = rundir.reopen(directory)
    changed = differences(body["identity"], loaded.identity)
    if any(line.startswith(("filters", "options.filters")) for line in changed):
        found.notes.append(
            f"{UNJUDGED}: a filter of your own is not here, or is not the one that the run was made with "
            f"(its copy is in {directory / 'filters'}); start verify where it can be imported"
        )
    found.differences += [
        f"{directory}: {line} (plan.json -> what is there now)"
        for line in changed
        if not line.startswith(("filters", "options.filters"))
    ]
    return loaded


def _versions(check: Check, judged: Judged) -> None:
    """Said first, and once for each: verdicts of other versions may differ without anybody's fault."""
    for header in check.headers:
        judged.repaired = judged.repaired or "repaired" in header
        for name, ours in app.versions().items():
            theirs = header.get(name, "unknown")
            note = f"Note: a segment was written under {name} {theirs}, and this is {ours}."
            if theirs != ours and name != "python" and note not in judged.found.notes:
                judged.found.notes.append(note)
    check.headers.clear()


class Judged:
    """Works every line out again, in order. `made` and `sources` are the texts that the indexes have taken in, of what the recipe
    makes and of documents; `verdicts` is what they said of each."""

    def __init__(self, loaded: context.Loaded, found: Found) -> None:
        recipe, given = loaded.recipe, loaded.context
        self.context = given
        self.found = found
        self.repaired = False
        self._steps = {step.name: step for step in recipe.steps}
        self._agenda = app.empty_agenda(loaded)
        self._past = Past(recipe, given)
        self._judging = not any(note.startswith(UNJUDGED) for note in found.notes)
        self._unique = recipe.unique or ""
        self.made, self.sources = Texts(given.rouge_max), Texts(1.0)
        for n, seed in enumerate(given.seeds if self._unique else ()):
            self.made.add(f"seed/{n}", seed[self._unique])
        for id, text in given.avoid:
            self.made.add(id.removeprefix(acts.AVOID), text)
        self.verdicts: list[Verdict] = []

    def line(self, line: Line) -> None:
        """Raises `JournalError` where the line contradicts those before it."""
        try:
            if isinstance(line, Settled):
                self._settled(line)
            elif isinstance(line, Paid):
                self._agenda.apply_paid(line)
                self.found.count("attempts that cost something and settled nothing")
            else:
                self.found.count("leases and clock steps")
        except (KeyError, ValueError) as error:
            raise JournalError(f"the journal contradicts itself: {error}") from error

    def _settled(self, line: Settled) -> None:
        step, key = self._steps[line.step], f"{line.step}/{line.index}"
        if self._judging:
            self._judge_item(step, line, key)
        if not skipped(line):
            request = self._request(line, key)
            if line.fault is None and self._judging:
                self._verdict(step, request, line, key)
        self._agenda.apply(line)
        self._past.add(line)
        self.found.count("settled answers, each once, each after what it is about")
        if step.unique:
            self._remember(line, key)

    def _request(self, line: Settled, key: str) -> Request:
        """What a line answers, its prompt built again and compared."""
        try:
            request = self._past.asked(self._past.request(line))
        except Unknown as unknown:
            return self._lost(line, key, str(unknown.args[0]))
        self.found.count("prompts built again, hash compared")
        if fingerprint(request) != line.q:
            self._differs(f"{key}: its prompt, built again, is not the one that was sent (hash {line.q})")
        return request

    def _judge_item(self, step: acts.Step, line: Settled, key: str) -> None:
        """Whether it was right to ask, or not to ask, about an item. One that failed and was asked again had been judged before
        others came between."""
        intake, reason = self._agenda.intake, line.dropped[0][2] if skipped(line) and line.dropped else None
        if line.item is not None and intake is not None:
            document = of_line(line.index, line.item, reason)
            now = intake.judge(Arrival(document, line.t)).reason
            if document.flaw is None and not line.again:
                self._remember_document(step, line, now)
        elif step.gate is not None:
            now = step.gate(self._past.item(line.of or ""), self.context)
        else:
            return
        self.found.count("items judged again before their call")
        if now != reason and not line.again:
            self._differs(f"{key}: it was {_fate(reason)}, and judged again it is {_fate(now)}")

    def _remember_document(self, step: acts.Step, line: Settled, reason: str | None) -> None:
        told = step.distinct(line.item or {}, self.context) if step.distinct is not None else None
        if told is None:
            return
        text, self.sources.most = told
        if reason is None and line.fault is None:
            self.verdicts.append(Verdict(line.of or "", text, self.sources, len(self.sources.texts)))
            self.sources.add(line.of or "", text)
        elif match := _MATCH.fullmatch(reason or ""):
            before = len(self.sources.texts)
            self.verdicts.append(Verdict(line.of or "", text, self.sources, before, match[1], float(match[2])))

    def _verdict(self, step: acts.Step, request: Request, line: Settled, key: str) -> None:
        self.found.count("verdicts worked out again")
        try:
            drafts = acts.read(step, request, self.context, line.replies)
        except Malformed as malformed:
            self._differs(f"{key}: its reply cannot be read ({malformed.reason}), and it is settled")
            return
        verdict = acts.judge(step, request, self.context, drafts, self._agenda.index)
        if (verdict.kept, verdict.dropped) != (line.kept, line.dropped):
            self._differs(f"{key}: {_first_difference(verdict, line)}")

    def _lost(self, line: Settled, key: str, id: str) -> Request:
        if line.of == id:
            raise ValueError(f"{key} is about {id}, which no line before it has kept")
        self.found.count("prompts that show what a repair has lost, not built again")
        if not self.repaired:
            self._differs(f"{key}: its prompt shows {id}, which no line before it has made")
        return self._past.unseen(line)

    def _remember(self, line: Settled, key: str) -> None:
        """Texts in the order in which the index took them in, and what was decided about each draft beside them."""
        kept = {n: str(item[self._unique]) for n, item in line.kept}
        dropped = {n: (str(item.get(self._unique, "")), reason) for n, item, reason in line.dropped}
        for n in sorted(kept | dropped):
            id = f"{key}.{n}"
            if n in kept:
                self.verdicts.append(Verdict(id, kept[n], self.made, len(self.made.texts)))
                self.made.add(id, kept[n])
            elif match := _MATCH.fullmatch(dropped[n][1]):
                verdict = Verdict(id, dropped[n][0], self.made, len(self.made.texts), match[1], float(match[2]))
                self.verdicts.append(verdict)

    def _differs(self, text: str) -> None:
        self.found.differences.append(text)


def _fate(reason: str | None) -> str:
    return "asked about" if reason is None else reason


def _first_difference(verdict: acts.Verdict, line: Settled) -> str:
    now, then = _fates(verdict), _fates(line)
    for n in sorted(now | then):
        if now.get(n) != then.get(n):
            told = (str(fates.get(n, "not there")) for fates in (then, now))
            return "draft {} is {} in the journal, and {} when judged again".format(n, *told)
    return "a draft reads otherwise than the journal has it"


def _fates(verdict: acts.Verdict | Settled) -> dict[int, str]:
    return {n: "kept" for n, _ in verdict.kept} | {n: reason for n, _, reason in verdict.dropped}


@dataclass(frozen=True, slots=True)
class _Tokens:
    """Our tokens, as rouge_score asks for them."""

    tokenize: Callable[[str], list[str]]


class Judge:
    """rouge_score's own word on what was dropped as a copy, and on what was kept beside all earlier texts."""

    def __init__(self, judged: Judged) -> None:
        from rouge_score.rouge_scorer import RougeScorer

        self._judged = judged
        self._scorer = RougeScorer(["rougeL"], tokenizer=_Tokens(judged.context.tokens))

    def judge(self, extent: Extent) -> None:
        for verdict in told(_chosen(self._judged.verdicts, extent), "verdicts judged by rouge_score:"):
            if verdict.match is not None:
                self._copy(verdict, verdict.match)
            else:
                self._kept(verdict)

    def _copy(self, verdict: Verdict, match: str) -> None:
        found, text = self._judged.found, verdict.among.by_id.get(match)
        found.count("copies scored again by rouge_score")
        if text is None:
            found.differences.append(f"{verdict.id}: was dropped as like {match}, which is not there")
            return
        real = self._score(text, verdict.text)
        if not real and text == verdict.text:
            real = 1.0  # copies without a token, which rouge_score cannot compare
        if real != verdict.score or not real > verdict.among.most:
            found.differences.append(f"{verdict.id}: rouge_score says {real!r} against {match}, the journal {verdict.score!r}")

    def _kept(self, verdict: Verdict) -> None:
        found = self._judged.found
        found.count("kept texts compared by rouge_score with all before them")
        found.count("pairs of texts in that", verdict.before)
        for place, other in enumerate(verdict.among.texts[: verdict.before]):
            if (real := self._score(other, verdict.text)) > verdict.among.most:
                found.differences.append(f"{verdict.id}: was kept, and rouge_score says {real!r} against the {place}-th text")

    def _score(self, earlier: str, later: str) -> float:
        return float(self._scorer.score(earlier, later)["rougeL"].fmeasure)


def _chosen(verdicts: list[Verdict], extent: Extent) -> Iterator[Verdict]:
    """All of them, or a seeded sample: enough to catch an index that is wrong, in seconds."""
    if extent is Extent.ALL:
        yield from verdicts
        return
    rng = Random(0)
    copies = [verdict for verdict in verdicts if verdict.match is not None]
    yield from rng.sample(copies, min(DUPLICATES, len(copies)))
    kept = [verdict for verdict in verdicts if verdict.match is None]
    rng.shuffle(kept)
    pairs = 0
    for verdict in kept:
        if pairs and pairs + verdict.before > PAIRS:
            return
        pairs += verdict.before
        yield verdict
