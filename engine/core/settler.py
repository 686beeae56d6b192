"""Settler: what an answer means for its run. Reads it, judges it, settles it or gives its request back, and makes the lines.

Pure, synchronous; the scheduler's settling task is its one owner, and through it the owner of agenda and index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from engine.core import lines, recipe, retry
from engine.core.agenda import MALFORMED, Agenda
from engine.core.bet import Bet, Peek
from engine.core.faults import Fault, FaultKind
from engine.core.parse import Malformed
from engine.core.recipe import Context, Verdict
from engine.core.rng import digest, stream
from engine.core.types import Call, Heard, Paid, Reply, Request, Settled, Stop, Style, Usage, prompt_text, total

NOTHING = Verdict((), ())
NO_USAGE = Usage()
PARK_AFTER = 120.0
"""A hint of more seconds than this parks the account."""
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
        return replace(recipe.compose(step, request, self.context, style), heard=())

    def judge(self, heard: Heard) -> Verdict | Malformed:
        """What an answer is worth. The heavy part of settling, which changes nothing: it may run in a thread, while nothing else
        is settled."""
        if heard.fault is not None:
            return NOTHING
        step = self.agenda.recipe.step(heard.request.step)
        try:
            drafts = recipe.read(step, heard.request, self.context, heard.replies)
        except Malformed as malformed:
            return malformed
        return recipe.judge(step, heard.request, self.context, drafts, self.agenda.index)

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

    def decide(self, heard: Heard, verdict: Verdict | Malformed, now: float) -> list[bytes]:
        """The journal lines that an answer makes, none where it costs nothing and is asked again. The agenda has taken it in."""
        if heard.fault is not None:
            return self._on_fault(heard, heard.fault, now)
        self._answered[heard.lane] += 1
        if isinstance(verdict, Malformed):
            return self._again(heard, verdict.reason, now)
        return [self._settle(heard, verdict)]

    def _on_fault(self, heard: Heard, fault: Fault, now: float) -> list[bytes]:
        request = heard.request
        if fault.retry_after is not None and fault.retry_after > self._park_after and fault.kind in PATIENT:
            # the account is parked: nobody waits for it with a request in hand, and no patience is lost over it
            self.agenda.give_back(replace(request, avoid=heard.lane), now)
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
                self.agenda.give_back(replace(request, avoid=heard.lane), now)
            case retry.Smaller(scale):
                self.agenda.give_back(replace(request, scale=scale, calls=(), heard=()), now)
            case retry.Anew() if request.try_ + 1 < self.agenda.recipe.step(request.step).tries:
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
        return replace(
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
        self.agenda.give_back(replace(request, try_=request.try_ + 1, calls=(), heard=(), shown=()), now)
        return [line]

    def _settle(self, heard: Heard, verdict: Verdict) -> bytes:
        request = heard.request
        settled = Settled(
            step=request.step,
            index=request.index,
            of=request.of,
            try_=request.try_,
            t=heard.t,
            shown=tuple(item["id"] for item in request.shown),
            style=request.style,
            q=digest(prompt_text(request.calls)),
            lane=heard.lane,
            replies=heard.replies,
            fault=heard.fault,
            kept=verdict.kept,
            dropped=verdict.dropped,
            again=request.again,
            before=heard.before,
            cost=heard.cost if heard.fault is None else 0,  # a failed attempt has a paid line of its own
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
