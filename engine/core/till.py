"""Till: a run's money as its pumps use it: what a request can cost, whether there is money for it, what it did cost.

Pure, one owner: the loop. Over it stands the `Budget`; here prices meet calls, and a limit that is spent closes what it limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from msgspec import structs

from engine.core import types
from engine.core.budget import RUN, Budget, Hold, Lease, Limits, Short, Spending, Standing, of_lane, of_role
from engine.core.faults import Fault
from engine.core.money import Prices, Unpriced, cost, worded, worst
from engine.core.tariff import Currency
from engine.core.types import Call, LaneView, Line, Paid, Reply, Settled, Stop, Usage

MOST = 10**15
"""Nano-units that one call is booked at, at the most: a million. A server that reports more has miscounted."""
FARTHEST = Fraction(20)
"""How many times its bound a call is taken to cost at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What a plan says of money, checked: its currency, prices in it by lane, limits. Lanes without a price are left out."""

    currency: Currency = "usd"
    prices: Mapping[str, Prices] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    remarks: Mapping[str, str] = field(default_factory=dict)
    """By lane, where its price comes from or why it has none."""

    @property
    def counted(self) -> bool:
        """Whether anything costs anything."""
        return any(not free(prices) for prices in self.prices.values())


@dataclass(slots=True, eq=False)
class Bill:
    """A request that wants to be sent: who pays, and the most that each of its calls can cost."""

    lane: str
    role: str
    worst: tuple[int, ...]
    hold: Hold | None = None

    @property
    def most(self) -> int:
        return sum(self.worst)


class Books:
    """What a journal says of money, as a fold over its lines: leases in their order, and costs. `steps` are (step, role)."""

    def __init__(self, steps: Iterable[tuple[str, str]]) -> None:
        self._roles = dict(steps)
        self._leases: list[Lease] = []
        self._costs: Counter[tuple[str, str]] = Counter()

    def add(self, line: Line) -> None:
        match line:
            case Settled() | Paid():
                if line.cost:
                    self._costs[line.lane, self._roles.get(line.step, "")] += line.cost
            case types.Lease() if of_money(line):
                self._leases.append(Lease(line.measure, line.lane, int(line.amount), int(line.rest)))

    @property
    def settled(self) -> int:
        """The sum of all costs."""
        return self._costs.total()

    def lines(self) -> Iterator[Lease | Spending]:
        """For `Budget.restore`."""
        yield from self._leases
        for (lane, role), amount in self._costs.items():
            yield Spending(lane, role, amount)


class Till:
    """The money of one run. `steps` are (step, role) in the recipe's order; without prices and limits it lets everything pass."""

    def __init__(self, money: Money | None = None, steps: Iterable[tuple[str, str]] = (), books: Books | None = None) -> None:
        self.money = money or Money()
        self._steps = tuple(steps)
        self._roles = dict(self._steps)
        self._priced = {lane: prices for lane, prices in self.money.prices.items() if not free(prices)}
        self._budget = Budget(self.money.limits)
        self._budget.restore(books.lines() if books is not None else ())
        self._beyond: dict[str, Fraction] = {}
        """By lane, how many times its bound a call has cost, above one: the bounds of later calls are raised as much."""
        self.spent: dict[str, str] = {}
        """Reasons by measure: limits that have no room for what is still to do."""
        self.shut: frozenset[str] = frozenset()
        """Roles whose work rests: their limit is spent, or what they make would only pile up before one whose limit is."""

    def bill(self, lane: str, step: str, calls: Sequence[Call], weigh: Callable[[Call], Usage]) -> Bill:
        """What the calls can cost at the most. Nothing is weighed where the lane costs nothing."""
        prices = self._priced.get(lane)
        beyond = self._beyond.get(lane)
        most = [0] * len(calls) if prices is None else [_most(weigh(call), prices, beyond) for call in calls]
        return Bill(lane, self._roles.get(step, ""), tuple(most))

    def short(self, bill: Bill) -> Short | None:
        """Why there is no money for the request now; `None` if there is."""
        return self._budget.room(bill.most, bill.lane, bill.role)

    def draw(self, bill: Bill) -> tuple[Lease, ...]:
        """Leases to be journaled now; `grant` each when it lasts."""
        return self._budget.draw(bill.most, bill.lane, bill.role)

    def grant(self, lease: Lease) -> None:
        self._budget.grant(lease)

    def give_back(self) -> tuple[Lease, ...]:
        """Leases that return what is not spent, at the end."""
        return self._budget.give_back()

    def reserve(self, bill: Bill) -> Bill:
        """Set the worst cost aside; the same bill."""
        bill.hold = self._budget.reserve(bill.most, bill.lane, bill.role)
        return bill

    def settle(self, bill: Bill, replies: Sequence[Reply], fault: Fault | None, used: Usage | None = None) -> int:
        """The attempt has ended with these replies, one a call, up to its fault; the call that failed `used` so much, where that
        is known. Returns what it cost, which goes to the journal. What is not known counts as dear as it can be."""
        prices = self._priced.get(bill.lane)
        real = 0
        if prices is not None:
            for reply, most in zip(replies, bill.worst, strict=False):
                heard = reply.stop in (Stop.CUT, Stop.BROKEN)
                real += (each := _heard(reply.usage, prices, most) if heard else _real(reply.usage, prices, most))
                if each > most > 0:
                    beyond = self._beyond.get(bill.lane, Fraction(1))
                    self._beyond[bill.lane] = min(FARTHEST, beyond * Fraction(each, most))
            if fault is not None and fault.billed:
                for most in bill.worst[len(replies) : len(replies) + 1]:
                    real += most if used is None else _heard(used, prices, most)
        if bill.hold is not None:
            self._budget.settle(bill.hold, real)
            bill.hold = None
        return real

    def close(self, short: Short, bill: Bill) -> str:
        """A limit has no room for this request, whatever calls in flight will cost: what it limits is at its end. Returns why."""
        whose = {RUN: "the budget", of_role(bill.role): f"the budget of the role {bill.role!r}"}
        named = whose.get(short.measure, f"the budget of the lane {bill.lane!r}")
        spent = next(standing.spent for standing in self.standings() if standing.measure == short.measure)
        limit, used, most = (worded(amount, self.money.currency) for amount in (short.limit, spent, bill.most))
        reason = f"{named} of {limit} is spent: {used} so far, and the next request can cost up to {most}"
        self.spent.setdefault(short.measure, reason)
        if short.measure == of_role(bill.role):
            closed = [n for n, (_, role) in enumerate(self._steps) if of_role(role) in self.spent]
            self.shut = frozenset(role for _, role in self._steps[: max(closed, default=-1) + 1])
        return reason

    def narrowed(self, view: LaneView) -> LaneView:
        """The lane without the roles whose work rests."""
        return structs.replace(view, roles=view.roles - self.shut) if self.shut else view

    def serves(self, bill: Bill) -> bool:
        """Whether the limits that the request comes under still have room for any."""
        measures = (RUN, of_lane(bill.lane))
        return bill.role not in self.shut and not any(measure in self.spent for measure in measures)

    def standings(self) -> tuple[Standing, ...]:
        return self._budget.standings()


def free(prices: Prices) -> bool:
    """Whether whatever has a price here costs nothing."""
    known = (
        prices.tokens_in,
        prices.tokens_cached,
        prices.tokens_out,
        prices.tokens_reasoning,
        prices.characters,
        prices.request,
    )
    return not any(known)


def of_money(lease: types.Lease) -> bool:
    """Whether a line draws money, and not an account's quota."""
    return lease.measure == RUN or lease.measure.startswith(f"{RUN}:")


def _most(usage: Usage, prices: Prices, beyond: Fraction | None) -> int:
    amount = worst(usage, prices)
    if isinstance(amount, Unpriced):
        raise ValueError(f"a call that cannot be priced: {amount}")  # the plan was checked for it
    return min(amount if beyond is None else ceil(amount * beyond), MOST)


def _real(usage: Usage, prices: Prices, most: int) -> int:
    amount = most if usage.estimated else cost(usage, prices)
    return most if isinstance(amount, Unpriced) else min(amount, MOST)


def _heard(usage: Usage, prices: Prices, most: int) -> int:
    """What an answer cost that broke off or was cut: where no usage was told, all that was heard at the dearest prices."""
    amount = worst(usage, prices) if usage.estimated else cost(usage, prices)
    return most if isinstance(amount, Unpriced) else min(amount, max(most, 0) if usage.estimated else MOST)
