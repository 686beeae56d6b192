"""Refold: recorded answers, read and judged again under other thresholds, filters or word lists, without asking anything.

Pure. Children find their answers by the item that they are about, never by number: what an answer keeps shifts the numbers of all
that come after it. Prompts stay as they were sent; an answer to a question that would be put otherwise now is not one to it.
"""

from __future__ import annotations

from msgspec import structs

from engine.core import lines, recipe
from engine.core.agenda import MALFORMED, Agenda
from engine.core.documents import of_line
from engine.core.intake import Arrival, skipped
from engine.core.parse import Malformed
from engine.core.past import Past, Unknown, fingerprint
from engine.core.recipe import Context, Step
from engine.core.types import Item, Lease, Line, Paid, Request, Settled, Stepped, total

UNUSED = "unused"
"""Reason of a paid line: an answer that was paid for, and that nobody asks for any more."""


class Different(ValueError):
    """The prompt of the step that grows would be another one: this is a change of what is asked, not of how it is judged."""


class Refold:
    """Lines of an old journal in, lines of the new one out; `agenda` is the new run's. `past` finds what prompts have shown."""

    def __init__(self, agenda: Agenda, context: Context) -> None:
        self._agenda = agenda
        self._context = context
        self._recipe = agenda.recipe
        self._steps = {step.name: step for step in agenda.recipe.steps}
        self._past = Past(agenda.recipe, context)
        self.lost: set[str] = set()
        """Items that prompts have shown and that are in no line."""
        self._ids: dict[str, str] = {}
        """New ids of items whose number has changed, by the old one, until their child has settled."""
        self._places: dict[tuple[str, str], int] = {}
        """Numbers of the questions that wait, by step and item."""

    def fold(self, line: Line) -> list[bytes]:
        """The lines that one line becomes. Raises `Different`, and `KeyError` or `ValueError` where the old journal contradicts
        itself."""
        match line:
            case Settled():
                return self._settled(line)
            case Paid():
                return [self._paid(self._earlier(line))]
            case Lease():
                return [lines.write_lease(line)]
            case Stepped():
                return [lines.write_stepped(line)]

    def _settled(self, line: Settled) -> list[bytes]:
        step = self._steps[line.step]
        if step is self._recipe.source_step:
            return self._judged(step, line, line.index, line.item or {})
        about = self._ids.pop(line.of or "", line.of or "")
        index = self._places.get((line.step, about))
        if index is None:
            return self._orphan(line)
        return self._judged(step, line, index, self._agenda.track(line.step).about(index))

    def _judged(self, step: Step, old: Settled, index: int, item: Item) -> list[bytes]:
        """An answer with its new verdict. `item` is what it is about, as it is now."""
        track = self._agenda.track(old.step)
        again = index in track.failed
        if index in track.settled and not again:
            return self._orphan(old)  # what was asked again is turned away now
        line = structs.replace(old, index=index, of=item.get("id"), again=again)
        if item and ((reason := self._turned_away(step, old, item)) is not None or skipped(old)):
            return [self._skip(step, line, old, reason), *self._orphan(old)] if reason is not None else []
        request = self._request(line, item)
        if request.calls and fingerprint(request) != line.q:
            if item:
                return self._orphan(old)
            raise Different(f"{line.step}/{line.index}")
        if line.fault is None:
            try:
                drafts = recipe.read(step, request, self._context, line.replies)
            except Malformed as malformed:
                return [self._paid(_payment(line, f"{MALFORMED} {malformed.reason}"))]
            verdict = recipe.judge(step, request, self._context, drafts, self._agenda.index)
            line = structs.replace(line, kept=verdict.kept, dropped=verdict.dropped)
        return [self._apply(step, line, old.index)]

    def _turned_away(self, step: Step, old: Settled, item: Item) -> str | None:
        """Why nothing would be asked about the item now."""
        if self._agenda.intake is not None and step is self._recipe.source_step:
            document = of_line(old.index, item, old.dropped[0][2] if old.dropped else None)
            return self._agenda.intake.judge(Arrival(document, old.t)).reason
        return step.gate(item, self._context) if step.gate is not None else None

    def _skip(self, step: Step, line: Settled, old: Settled, reason: str) -> bytes:
        """The line of what is not asked about; what was paid for its answer is told apart."""
        nothing = structs.replace(line, shown=(), q="", lane="", replies=(), fault=None, kept=(), before=0, cost=0, engine="")
        return self._apply(step, structs.replace(nothing, dropped=((0, {}, reason),)), old.index)

    def _request(self, line: Settled, item: Item) -> Request:
        """What a line answers, with its prompt; without one where it showed an item that a repair has lost."""
        try:
            return self._past.asked(self._past.request(line, item))
        except Unknown as unknown:
            self.lost.add(str(unknown.args[0]))
            return self._past.unseen(line, item)

    def _apply(self, step: Step, line: Settled, old: int) -> bytes:
        children = [child.name for child in self._recipe.steps if child.source == step.name]
        first = {child: self._agenda.track(child).count for child in children}
        self._agenda.apply(line)
        self._past.add(line)
        for place, (n, _) in enumerate(line.kept):
            new = f"{line.step}/{line.index}.{n}"
            if children and line.index != old:
                self._ids[f"{line.step}/{old}.{n}"] = new
            for child in children:
                self._places[child, new] = first[child] + place
        if line.fault is None:
            self._places.pop((line.step, line.of or ""), None)
        return lines.write_settled(line)

    def _orphan(self, line: Settled) -> list[bytes]:
        return [self._paid(_payment(line, UNUSED))] if line.replies else []

    def _earlier(self, paid: Paid) -> Paid:
        """An attempt that settled nothing, as history: its number may belong to another question now."""
        grows = paid.step == self._recipe.source_step.name
        return paid if grows or not paid.why.startswith(MALFORMED) else structs.replace(paid, why=f"earlier {paid.why}")

    def _paid(self, paid: Paid) -> bytes:
        self._agenda.apply_paid(paid)
        return lines.write_paid(paid)


def _payment(line: Settled, why: str) -> Paid:
    return Paid(
        step=line.step,
        index=line.index,
        try_=line.try_,
        t=line.t,
        lane=line.lane,
        why=why,
        usage=total([reply.usage for reply in line.replies[line.before :]]),
        cost=line.cost,
    )
