"""`seeddrill diff`: what two runs of the same answers keep and drop, and why. For a run and its refold, or what a repair left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine import rundir
from engine.core.tally import short
from engine.core.types import Item, Settled

KEPT = ""


@dataclass(slots=True)
class Fates:
    """What became of every draft, by its lineage: `instruct/96.3>classify.0` is the first draft of the answer about
    `instruct/96.3`. Numbers of children differ between a run and its refold, lineages do not."""

    reasons: dict[str, str] = field(default_factory=dict)
    """`KEPT`, or why it was dropped."""
    texts: dict[str, str] = field(default_factory=dict)


def diff(directory: Path, new: Path, most: int) -> str:
    """What came, what went, and why, by step, with up to `most` examples each."""
    steps = [step.name for step in rundir.reopen(directory).recipe.steps]
    old, now = fates(directory), fates(new)
    blocks = [f"from {directory} to {new}:"]
    for depth, step in enumerate(steps):
        before, after = _kept(old, depth), _kept(now, depth)
        came, went = after - before, before - after
        blocks.append(f"{step}: {len(before):,} kept before, {len(after):,} now; {len(came):,} came, {len(went):,} went")
        blocks += _told("came", "dropped there before as", sorted(came, key=_order), old.reasons, now.texts, most)
        blocks += _told("went", "dropped now as", sorted(went, key=_order), now.reasons, old.texts, most)
    return "\n".join(blocks)


def fates(directory: Path) -> Fates:
    """The fates of a run's drafts so far."""
    recipe = rundir.reopen(directory).recipe
    found = Fates()
    lineage: dict[str, str] = {}
    for line in rundir.journal(directory):
        if not isinstance(line, Settled) or line.fault is not None:
            continue
        of = line.of if line.item is None else None  # whoever asks about documents begins with them
        asked = f"{line.step}/{line.index}" if of is None else f"{lineage.pop(of, of)}>{line.step}"
        for n, item, reason in _drafts(line):
            found.reasons[f"{asked}.{n}"] = reason
            found.texts[f"{asked}.{n}"] = " | ".join(str(value) for value in item.values())
            if reason == KEPT and line.step != recipe.last.name:
                lineage[f"{line.step}/{line.index}.{n}"] = f"{asked}.{n}"
    return found


def _drafts(line: Settled) -> Iterator[tuple[int, Item, str]]:
    yield from ((n, item, KEPT) for n, item in line.kept)
    yield from line.dropped


def _kept(fates: Fates, depth: int) -> set[str]:
    return {lineage for lineage, reason in fates.reasons.items() if reason == KEPT and lineage.count(">") == depth}


def _order(lineage: str) -> tuple[int, str]:
    return int(lineage.partition("/")[2].partition(".")[0]), lineage


def _told(
    word: str, why: str, lineages: list[str], reasons: Mapping[str, str], texts: Mapping[str, str], most: int
) -> Iterator[str]:
    """A line a reason with its count, then examples."""
    causes = {lineage: _cause(lineage, reasons, why) for lineage in lineages}
    counts = Counter(short_cause for short_cause, _ in causes.values())
    yield from (f"  {count:,} {word}: {cause}" for cause, count in counts.most_common())
    for lineage in lineages[:most]:
        text, sign = " ".join(texts[lineage].split()), "+" if word == "came" else "-"
        yield f"    {sign} {lineage}  {causes[lineage][1]}: {text if len(text) < 100 else text[:97] + '...'}"
    if len(lineages) > most > 0:
        yield f"    and {len(lineages) - most:,} more (--most {len(lineages)} shows all)"


def _cause(lineage: str, reasons: Mapping[str, str], why: str) -> tuple[str, str]:
    """Why it is not kept on the other side: in short, for counting, and in full."""
    if lineage in reasons:
        return f"{why} {short(reasons[lineage])}", reasons[lineage]
    parent = lineage.rpartition(">")[0]
    if parent and reasons.get(parent, "gone") != KEPT:
        return "what it is about is not kept on the other side", "not asked about"
    return "not answered on the other side", "not answered"
