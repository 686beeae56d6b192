"""Commands: what can be changed on a running job from outside: quotas, the goal, lanes paused and resumed, its end.

Plain functions on the loop, called by whoever takes commands. Each tells what it did, or raises `PlanError` and has done nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from typing import Any, cast, get_args, get_type_hints

import msgspec
from structlog.typing import FilteringBoundLogger

from engine.core.agenda import Agenda
from engine.core.faults import PlanError
from engine.core.types import Quota
from engine.runtime.account import Account
from engine.runtime.lane import Lane
from engine.runtime.pulse import RunState
from engine.runtime.scheduler import Scheduler

BY_HAND = "by hand"
QUOTAS = tuple(name for name, hint in get_type_hints(Quota).items() if {int, float} & {hint, *get_args(hint)})
"""The quotas that are numbers."""
NONE = "none"
"""The value that takes a limit away."""
KEEP = "This holds until the run ends; put it into the plan to keep it."

Amount = int | float | None


class Commands:
    """One run and the hands on it. `note` keeps a goal where exports look for it, and raises `PlanError` where it cannot."""

    def __init__(
        self,
        run: Scheduler,
        agenda: Agenda,
        accounts: Sequence[Account],
        note: Callable[[int], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._run = run
        self._agenda = agenda
        self._accounts = accounts
        self._lanes = {lane.name: (account, lane) for account in accounts for lane in account.lanes}
        self._note = note
        self._log = log

    def obey(self, order: Any) -> str:
        """Do what an order (plain data from outside) says."""
        try:
            said = self._do(order)
        except PlanError as error:
            self._log.info("command_refused", order=order, reason=str(error))
            raise
        self._log.info("command", order=order, said=said)
        return said

    def _do(self, order: Any) -> str:
        match order:
            case {"do": "tune", "changes": [*changes]} if all(isinstance(change, str) for change in changes):
                return self.tune(changes)
            case {"do": "pause", "lane": str(name)}:
                return self.pause(name)
            case {"do": "resume", "lane": str(name)}:
                return self.resume(name)
            case {"do": "stop"}:
                return self.stop()
        raise PlanError("no such command; there are tune (changes: a list of texts), pause and resume (lane: its name), and stop")

    def stop(self) -> str:
        """As a first signal does; only a real signal is ever a second one."""
        if self._run.interrupts:
            return "The run is stopping already."
        self._run.interrupt("seeddrill stop")
        return (
            "Nothing new is asked. Calls in flight have the plan's grace to finish; then the run ends, to be resumed at any time."
        )

    def pause(self, name: str) -> str:
        """The lane takes no new work, and a request that it has not sent yet goes back."""
        self._refuse_ending()
        account, lane = self._lane(name)
        if lane.closed is not None:
            raise PlanError(f"the lane {name} takes no work in any case: it is closed ({lane.closed})")
        if lane.held is not None:
            return f"{name} is paused {lane.held} already."
        lane.held = BY_HAND
        self._run.changed()
        waits = f" The run waits: {waits}." if (waits := self._run.pulse().reason) else ""
        return f"{name} takes no new work; {account.ledger.in_flight} calls in flight on its account may finish.{waits}"

    def resume(self, name: str) -> str:
        self._refuse_ending()
        _, lane = self._lane(name)
        if lane.closed is not None:
            raise PlanError(f"the lane {name} is closed ({lane.closed}): mend that, stop the run, and start it again")
        if lane.held is None:
            return f"{name} is not paused by hand; nothing was changed."
        lane.held = None
        self._run.changed()
        return f"{name} takes work again."

    def tune(self, changes: Sequence[str]) -> str:
        """Changes are texts, `lanes.fast.requests_per_minute=300` or `goal=1000`: all of them are made, or none."""
        self._refuse_ending()
        if not changes:
            raise PlanError(f"nothing was said to tune; {self._choice()}")
        goal: int | None = None
        wanted: dict[str, dict[str, Amount]] = {}
        for change in changes:
            key, equals, text = (part.strip() for part in change.partition("="))
            if not equals:
                raise PlanError(f"tune takes key=value, not {change!r}; {self._choice()}")
            if key == "goal":
                goal = _goal(text)
                continue
            account, name = self._place(key)
            amounts, amount = wanted.setdefault(account.name, {}), _amount(key, name, text)
            if amounts.setdefault(name, amount) != amount:
                raise PlanError(f"{key} cannot be {text}: another lane of its account was told otherwise")
        said = [self._aim(goal)] if goal is not None else []
        for account in self._accounts:
            said += self._retune(account, wanted.get(account.name, {}))
        self._run.changed()
        return "\n".join([*said, KEEP])

    def _aim(self, goal: int) -> str:
        before = self._agenda.goal
        self._note(goal)
        self._agenda.aim(goal)
        return f"goal: {before} -> {goal} ({self._agenda.kept} kept so far)"

    def _retune(self, account: Account, amounts: dict[str, Amount]) -> list[str]:
        """Everything that is changed on an account, one line for each figure."""
        if not amounts:
            return []
        before = account.lanes[0].plan.quota
        account.retune(replace(before, **amounts))  # type: ignore[arg-type]
        names = ", ".join(lane.name for lane in account.lanes)
        shared = f" (one account: {names})" if len(account.lanes) > 1 else ""
        return [
            f"lanes.{account.lanes[0].name}.{name}: {_shown(asdict(before)[name])} -> {_shown(amount)}{shared}"
            for name, amount in amounts.items()
        ]

    def _refuse_ending(self) -> None:
        if self._run.state is not RunState.RUNNING:
            raise PlanError("the run is about to end, and nothing was changed: change the plan, and run it again")

    def _lane(self, name: str) -> tuple[Account, Lane]:
        if name not in self._lanes:
            raise PlanError(f"no lane {name!r}; there are {', '.join(self._lanes)}")
        return self._lanes[name]

    def _place(self, key: str) -> tuple[Account, str]:
        """The account and the quota that a key like `lanes.fast.requests_per_minute` means."""
        lane, _, name = key.removeprefix("lanes.").rpartition(".")
        if not key.startswith("lanes.") or not lane:
            raise PlanError(f"{key!r} cannot be tuned; {self._choice()}")
        account, _ = self._lane(lane)
        if name not in QUOTAS:
            near = get_close_matches(name, QUOTAS, n=1, cutoff=0.5)
            raise PlanError(f"{key!r} cannot be tuned; {f'did you mean {near[0]!r}? ' if near else ''}{self._choice()}")
        return account, name

    def _choice(self) -> str:
        return (
            f"these can: goal, and lanes.NAME.QUOTA, where NAME is one of {', '.join(self._lanes)}, and QUOTA one of "
            f"{', '.join(QUOTAS)}"
        )


def _goal(text: str) -> int:
    goal = _number(text)
    if not isinstance(goal, int) or goal < 1:
        raise PlanError(f"goal cannot be {text!r}: it is a whole number above zero")
    return goal


def _amount(key: str, name: str, text: str) -> Amount:
    """What a quota is set to; `None` for none."""
    amount = None if text == NONE else _number(text)
    if name == "headroom":
        if amount is None or not 0 <= amount < 1:
            raise PlanError(f"{key} cannot be {text!r}: it is the share of the quota left to others, from 0 to below 1")
        return amount
    if text != NONE and (amount is None or not 0 < amount < math.inf):
        raise PlanError(f"{key} cannot be {text!r}: a quota is a number above zero, and {NONE!r} takes it away")
    try:
        converted = msgspec.convert({name: amount}, Quota)
    except msgspec.ValidationError as error:
        raise PlanError(f"{key} cannot be {text!r}: {str(error).partition(' - at')[0]}") from None
    return cast("Amount", getattr(converted, name))


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _shown(amount: Amount) -> str:
    return NONE if amount is None else f"{amount:g}" if isinstance(amount, float) else str(amount)
