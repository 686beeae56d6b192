"""Settler: what an answer means for its run. Reads it, judges it, settles it or gives its request back, and makes the lines.

Pure, synchronous; the scheduler's settling task is its one owner, and through it the owner of agenda and index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from msgspec import structs

from engine.core import lines, recipe, retry
from engine.core.agenda import MALFORMED, Agenda
from engine.core.bet import Bet, Peek
from engine.core.faults import Fault, FaultKind
from engine.core.intake import Admission, Arrival
from engine.core.parse import Malformed
from engine.core.recipe import INPUT, Context, Verdict
from engine.core.rng import digest, stream
from engine.core.types import Call, Heard, Paid, Reply, Request, Settled, Stop, Style, Usage, prompt_text, total

Judgement: TypeAlias = Verdict | Malformed | Admission
NOTHING = Verdict((), ())
NO_USAGE = Usage()
PARK_AFTER = 120.0
"""A hint of more seconds than this parks the account."""
UNREADABLE = 3
"""Answers that are drawn at the most where what came was no answer at all, even of a step that takes each as it is: a body that
was garbled on its way is no reason to lose a question."""
PATIENT = (FaultKind.RATE, FaultKind.BURST, FaultKind.QUOTA)
"""Faults whose long hint is about the account. One overloaded answer is about one request: the breaker sees to the others."""


class Settler:
    """`weigh(lane, call)` bounds what a call cost of which nothing was heard. `patience` is how many seconds of failing may be
    held against a request; while `sick(lane)` says that the lane's provider is down, none are, unless the request is suspect."""

    def __init__(
        self,
        agenda: Agenda,
        context: Context,
        patience: float,
        weigh: Callable[[str, Call], Usage],
        sick: Callable[[str], bool],
        park_after: float = PARK_AFTER,
    ) -> None:
        self.agenda = agenda
        self.context = context
        self._patience = patience
        self._weigh = weigh
        self._sick = sick
        self._park_after = park_after
        self._answered: Counter[str] = Counter()
        self.bet: Bet | None = None

    def composed(self, request: Request, style: Style) -> Request:
        """The request with its prompt in the lane's style, made from the newest pool; a retry in the same style keeps its own."""
        if request.calls and request.style == style:
            return request
        step = self.agenda.recipe.step(request.step)
        if not request.shown:
            request = recipe.draw(step, request, self.context, self.agenda.pool)
        return structs.replace(recipe.compose(step, request, self.context, style), heard=())

    def turned_away(self, request: Request) -> str | None:
        """Why nothing is to be asked about an item; `None` where there is no reason, or where the question was put before."""
        step = self.agenda.recipe.step(request.step)
        if step.gate is None or step.source is INPUT or request.calls or request.again or request.try_:
            return None  # documents were judged when they came in
        return step.gate(request.item, self.context)

    def judge(self, arrival: Heard | Arrival) -> Judgement:
        """What an answer is worth, or whether a document is to be asked about. The heavy part of settling, which changes nothing:
        it may run in a thread, while nothing else is settled."""
        if isinstance(arrival, Arrival):
            assert self.agenda.intake is not None, "only a recipe that asks about documents is given any"
            return self.agenda.intake.judge(arrival)
        if arrival.skipped is not None:
            return _skipped(arrival.skipped)
        if arrival.fault is not None:
            return NOTHING
        step = self.agenda.recipe.step(arrival.request.step)
        try:
            drafts = recipe.read(step, arrival.request, self.context, arrival.replies)
        except Malformed as malformed:
            return malformed
        return recipe.judge(step, arrival.request, self.context, drafts, self.agenda.index)

    def place(self, request: Request) -> Peek | None:
        """A way to look at the answer to `request` while it comes; `None` where it is heard out in any case."""
        step = self.agenda.recipe.step(request.step)
        bet = step.source is recipe.GROW and step.unique is not None and self.bet is not None and self.bet.place(request.index)
        return Peek(request) if bet else None

    def look(self, peek: Peek) -> None:
        """Judge what has come of an answer. Like `judge` it changes neither agenda nor index."""
        step = self.agenda.recipe.step(peek.request.step)
        begun = Reply(text=peek.text, stop=Stop.BROKEN, usage=NO_USAGE)
        try:
            drafts = recipe.read(step, peek.request, self.context, (begun,))
        except Malformed:
            return
        assert self.bet is not None
        assert step.unique is not None
        texts = [draft.item.get(step.unique, "") for draft in drafts[:-1]]
        self.bet.look(peek, texts, lambda text: self.agenda.index.near(text, self.context.rouge_max) is not None)

    def decide(self, arrival: Heard | Arrival, judgement: Judgement, now: float) -> list[bytes]:
        """The journal lines that it makes, none where it costs nothing and is asked again, or is still to be asked about. The
        agenda has taken it in."""
        if isinstance(arrival, Arrival) or isinstance(judgement, Admission):
            assert isinstance(arrival, Arrival) and isinstance(judgement, Admission) and self.agenda.intake is not None
            turned_away = self.agenda.intake.admit(arrival, judgement)
            return [self._settle(turned_away, _skipped(judgement.reason))] if turned_away is not None else []
        if arrival.fault is not None:
            return self._on_fault(arrival, arrival.fault, now)
        if arrival.skipped is None:
            self._answered[arrival.lane] += 1
        if isinstance(judgement, Malformed):
            return self._again(arrival, judgement.reason, now)
        return [self._settle(arrival, judgement)]

    def _on_fault(self, heard: Heard, fault: Fault, now: float) -> list[bytes]:
        request = heard.request
        if fault.retry_after is not None and fault.retry_after > self._park_after and fault.kind in PATIENT:
            # the account is parked: nobody waits for it with a request in hand, and no patience is lost over it
            self.agenda.give_back(structs.replace(request, avoid=heard.lane), now)
            return self._booked(heard, fault)
        decision = retry.decide(
            fault,
            attempts=request.attempts,
            waited=request.waited,
            patience=self._patience,
            scale=request.scale,
            rng=stream(self.context.seed, "retry", request.step, request.index, request.attempts),
        )
        match decision:
            case retry.Wait(seconds):
                self.agenda.give_back(self._later(heard, seconds), now + seconds)
            case retry.Elsewhere():
                self.agenda.give_back(structs.replace(request, avoid=heard.lane), now)
            case retry.Smaller(scale):
                self.agenda.give_back(structs.replace(request, scale=scale, calls=(), heard=()), now)
            case retry.Anew() if request.try_ + 1 < max(UNREADABLE, self.agenda.recipe.step(request.step).tries):
                return self._again(heard, "answer", now)
            case _:
                return [*self._booked(heard, fault), self._settle(heard, NOTHING)]
        return self._booked(heard, fault)

    def _booked(self, heard: Heard, fault: Fault) -> list[bytes]:
        """The line of what a failed attempt cost, with the replies that came before its fault: nothing is paid for later."""
        return [self._pay(heard, fault.kind)] if fault.billed or len(heard.replies) > heard.before else []

    def _later(self, heard: Heard, seconds: float) -> Request:
        """The request as it waits for its next attempt, `seconds` from now."""
        request = heard.request
        answered = self._answered[heard.lane]
        before = request.failed_at
        suspect = request.suspect or (before is not None and before[0] == heard.lane and before[1] < answered)
        held = 0.0 if self._sick(heard.lane) and not suspect else heard.seconds + seconds
        return structs.replace(
            request,
            avoid=heard.lane,
            attempts=request.attempts + 1,
            waited=request.waited + held,
            failed_at=(heard.lane, answered),
            suspect=suspect,
        )

    def _again(self, heard: Heard, reason: str, now: float) -> list[bytes]:
        """An answer that cannot be read: it was paid for, and the next one is drawn with other randomness."""
        line = self._pay(heard, f"{MALFORMED} {reason}")
        request = heard.request
        self.agenda.give_back(structs.replace(request, try_=request.try_ + 1, calls=(), heard=(), shown=()), now)
        return [line]

    def _settle(self, heard: Heard, verdict: Verdict) -> bytes:
        request, fed = heard.request, self.agenda.recipe.step(heard.request.step).source is INPUT
        settled = Settled(
            step=request.step,
            index=request.index,
            of=request.of,
            try_=request.try_,
            t=heard.t,
            shown=tuple(item["id"] for item in request.shown),
            style=request.style,
            q=digest(prompt_text(request.calls)) if heard.skipped is None else "",
            lane=heard.lane,
            replies=heard.replies,
            fault=heard.fault,
            kept=verdict.kept,
            dropped=verdict.dropped,
            again=request.again,
            before=heard.before,
            cost=heard.cost if heard.fault is None else 0,  # a failed attempt has a paid line of its own
            item=request.item if fed else None,
            engine=heard.engine if request.step in self.agenda.engines_of else "",
        )
        self.agenda.apply(settled)
        if self.bet is not None and self.agenda.recipe.step(request.step).source is recipe.GROW:
            self.bet.learn(settled)
        return lines.write_settled(settled)

    def _pay(self, heard: Heard, why: str) -> bytes:
        request = heard.request
        usages = [reply.usage for reply in heard.replies[heard.before :]]
        if heard.fault is not None and heard.fault.billed:
            usages.append(heard.used or self._weigh(heard.lane, request.calls[len(heard.replies)]))
        paid = Paid(
            step=request.step,
            index=request.index,
            try_=request.try_,
            t=heard.t,
            lane=heard.lane,
            why=why,
            usage=total(usages),
            cost=heard.cost,
        )
        self.agenda.apply_paid(paid)
        return lines.write_paid(paid)


def _skipped(reason: str | None) -> Verdict:
    """The verdict on what is not asked about."""
    return Verdict((), ((0, {}, reason or ""),))
