"""Composition root: puts plan, texts, journal, accounts and scheduler together, and runs them.

The only caller of `providers.find`; the only place where the real clock, disk, network and signals are chosen.
"""

from __future__ import annotations

import asyncio
import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from enum import Enum
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import anyio
import numpy
import orjson
import rapidfuzz
from structlog.typing import FilteringBoundLogger

from engine import context, funds, inputs, rundir
from engine.core import lines
from engine.core.agenda import Agenda
from engine.core.aimd import Aimd
from engine.core.dedup import Index
from engine.core.faults import Interrupted, JournalError, PlanError
from engine.core.quota import PERIODS, Ledger
from engine.core.reach import Reach
from engine.core.spent import Spent
from engine.core.till import Books, Money, Till
from engine.core.types import Item, LanePlan, Line, Paid, Quota, Settled
from engine.lanes import check_languages, check_roles, check_use, lane_of, listed, serve_model
from engine.plan import Plan, check, from_data
from engine.plan import load as load_plan
from engine.runtime import local, loop, segments, sharing
from engine.runtime.account import UNRATED, Account, declared, says_nothing, spacing
from engine.runtime.clock import Clock
from engine.runtime.commands import Commands
from engine.runtime.control import listening
from engine.runtime.disk import Directory
from engine.runtime.feeding import Read
from engine.runtime.inquiring import inquire
from engine.runtime.journal import Journal, Lock
from engine.runtime.lane import Lane
from engine.runtime.log import Secrets, Talk, to_file
from engine.runtime.pulse import EXIT_CODES, Pulse, RunState
from engine.runtime.scheduler import Patience, Scheduler, World, signals
from engine.runtime.wire import Sender, Timeouts, Wire
from engine.version import VERSION


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `exit_code` is what the command line ends with: 0 done, 3 interrupted, 4 no lane left, 5 budget spent, 6
    stalled."""

    directory: Path
    pulse: Pulse

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.pulse.state]


class Failures(Enum):
    """What to do with requests that an earlier life of the run settled with a fault."""

    LEAVE = "leave"
    RETRY = "retry"


def run(
    plan: Plan | Mapping[str, Any] | str | Path,
    directory: str | Path,
    *,
    on_pulse: Callable[[Pulse], None] | None = None,
    failures: Failures = Failures.LEAVE,
    talk: Talk = Talk.NOTHING,
) -> Outcome:
    """Start the run of `plan` in `directory`, or resume it, and wait until it ends.

    `plan` is a `Plan`, the same as plain data, or the path of a TOML file. `on_pulse` is called about once a second on the
    run's thread; `talk` says what of the log stderr is told, too. Raises `EngineError` for what the user can mend. In a
    running event loop use `arun`.
    """
    try:
        return anyio.run(
            lambda: arun(plan, directory, on_pulse=on_pulse, failures=failures, talk=talk), backend_options=loop.options()
        )
    except KeyboardInterrupt:
        raise Interrupted("stopped before anything was asked; the same command goes on") from None


async def arun(
    plan: Plan | Mapping[str, Any] | str | Path,
    directory: str | Path,
    *,
    on_pulse: Callable[[Pulse], None] | None = None,
    failures: Failures = Failures.LEAVE,
    talk: Talk = Talk.NOTHING,
) -> Outcome:
    """`run` for callers that have an event loop (asyncio). Cancelled, it settles and writes what has arrived, then stops."""
    folder = Path(directory)
    loaded = context.load(as_plan(plan), kept=folder)
    with ExitStack() as closing:
        priced = funds.money(loaded, lanes(loaded))
        journal = opened_journal(loaded, folder, closing, priced)
        books = Books(funds.steps(loaded.recipe))
        spent = Spent({name: lane.quota for name, lane in loaded.plan.lanes.items()}, homes(loaded.plan))
        with loop.no_collections():
            agenda = replayed(loaded, journal, folder, spent, books)
        close_leases(journal, spent, time.time())
        again = agenda.retry_failed(anyio.current_time()) if failures is Failures.RETRY else 0
        closing.enter_context(loop.few_collections())
        log = _log(folder, closing, talk, secrets := Secrets())
        log.info("run_opened", plan=loaded.fingerprint, kept=agenda.kept, goal=agenda.goal, records=agenda.records, again=again)
        async with AsyncExitStack() as stack:
            accounts = await _accounts(loaded, folder, stack, priced)
            secrets.of(account.secrets for account in accounts)
            _remember(accounts, spent)
            clock = Clock(asyncio.get_running_loop().time, time.time)
            wire = await stack.enter_async_context(Wire(clock))
            world = World(
                wire=wire,
                append=journal.append,
                clock=clock,
                log=log,
                on_pulse=_told(folder, on_pulse),
                documents=await _reader(loaded, agenda, accounts, wire, folder),
            )
            till = Till(priced, funds.steps(loaded.recipe), books)
            scheduler = Scheduler(agenda, loaded.context, accounts, world, _patience(loaded.plan), till)
            closing.enter_context(signals(scheduler.interrupt))  # until the very end, the model server's included
            commands = Commands(scheduler, agenda, accounts, partial(rundir.aim, folder), log)
            await stack.enter_async_context(listening(folder, commands.obey, log))
            pulse = await scheduler.run()
        if pulse.state is RunState.DONE:
            journal.seal()
        _told(folder, on_pulse)(pulse)
        log.info("run_ended", state=pulse.state.value, reason=pulse.reason, kept=pulse.kept, records=pulse.records)
    return Outcome(folder, pulse)


async def _reader(loaded: context.Loaded, agenda: Agenda, accounts: list[Account], wire: Sender, folder: Path) -> Read | None:
    """`reader`, off the loop; first servers are asked what they translate into what, where the recipe translates."""
    if any(step.pair is not None for step in loaded.recipe.steps):
        every = [lane for account in accounts for lane in account.lanes]
        check_languages(loaded, every, await inquire(every, wire))
    return await anyio.to_thread.run_sync(reader, loaded, agenda, folder, abandon_on_cancel=True)


def reader(loaded: context.Loaded, agenda: Agenda, folder: Path) -> Read | None:
    """Who reads the documents that are still to be asked about; `None` for a recipe without, and where none is wanted any more.
    Blocks for as long as it takes to find the place, and to count what a sample is drawn from."""
    if agenda.intake is None or agenda.intake.over:
        return None
    if loaded.source is None:
        raise PlanError("the input of this run is not where [input] says: give its path, and the run goes on where it stopped")
    loaded.context.identify("The first text of all has its model loaded here, and not on the loop.")
    size = getattr(loaded.context.options, "sample", None)
    drawn = (size, rundir.count(loaded, Directory(folder), str(folder))) if size is not None else None
    return inputs.reader(loaded.source, agenda.intake.documents.copy(), loaded.plan.seed, drawn)


def _log(folder: Path, closing: ExitStack, talk: Talk, secrets: Secrets) -> FilteringBoundLogger:
    try:
        log = closing.enter_context(to_file(folder / rundir.LOG, talk, secrets)).bind(run=folder.resolve().name)
    except OSError as error:
        raise JournalError(f"{folder / rundir.LOG} cannot be written: {error.strerror or error}") from error
    for notice in rundir.notices(folder):
        log.warning("notice", text=notice)
    return log


def _patience(plan: Plan) -> Patience:
    return Patience(
        attempt=Timeouts(plan.timeout, plan.first_token, plan.idle),
        request=plan.patience,
        grace=plan.grace,
        group=plan.group,
        park_after=plan.park_after,
        parked=plan.when_parked,
        cut_after=plan.cut_after,
    )


def records(directory: str | Path) -> Iterator[Item]:
    """The records of a run so far as its recipe lays them out (`instruction`, `input`, `output`), in the journal's order."""
    return (record.fields for record in rundir.records(Path(directory)))


def as_plan(plan: Plan | Mapping[str, Any] | str | Path) -> Plan:
    """A checked `Plan` from any of the forms that a caller may have."""
    if isinstance(plan, Plan):
        check(plan)
        return plan
    return from_data(plan) if isinstance(plan, Mapping) else load_plan(plan)


class Fold(Protocol):
    """Something that is made of a journal's lines."""

    def add(self, line: Line) -> None: ...


def replayed(loaded: context.Loaded, journal: Journal, where: Path | str, *folds: Fold) -> Agenda:
    """The agenda as the journal leaves it: new for a new run. The other folds are given every line."""
    agenda = empty_agenda(loaded)
    for line in journal.replay():
        apply(agenda, line, where)
        for fold in folds:
            fold.add(line)
    agenda.forgive()
    return agenda


def empty_agenda(loaded: context.Loaded) -> Agenda:
    """The agenda of a run that has not begun."""
    plan = loaded.plan
    return Agenda(loaded.recipe, loaded.context, Index(loaded.context.tokens), plan.goal, backlog=plan.backlog)


def apply(agenda: Agenda, line: Line, where: Path | str) -> None:
    """Take a line in as it was taken in when it was written. Raises `JournalError` where it contradicts those before it."""
    try:
        if isinstance(line, Settled):
            agenda.apply(line)
        elif isinstance(line, Paid):
            agenda.apply_paid(line)
    except (KeyError, ValueError) as error:
        raise JournalError(f"the journal in {where} contradicts itself: {error}. {segments.advice(str(where))}") from error


def close_leases(journal: Journal, spent: Spent, t: float) -> None:
    """What a killed process had drawn of a day's or month's quota counts as used at `t` (UTC seconds), once and for all."""
    leases = spent.closing(t)
    if leases:
        journal.append(b"".join(map(lines.write_lease, leases)))
    for lease in leases:
        spent.add(lease)


def homes(plan: Plan) -> dict[str, str]:
    """For each lane the first lane of its account."""
    first: dict[str, str] = {}
    return {name: first.setdefault(account_name(lane), name) for name, lane in plan.lanes.items()}


def lanes(loaded: context.Loaded) -> list[Lane]:
    """The plan's lanes, each with its provider, checked against the recipe's roles. Keys are not looked up yet."""
    made = [lane_of(name, lane, loaded.recipe) for name, lane in loaded.plan.lanes.items()]
    check_use(loaded.recipe, made)
    reaches: dict[tuple[object, ...], Reach] = {}
    for lane in made:  # one that reaches an address knows it for all
        plan = lane.plan
        lane.reach = reaches.setdefault((plan.provider, plan.base_url, plan.region, plan.proxy), lane.reach)
    return made


def opened(loaded: context.Loaded) -> list[Lane]:
    """The plan's lanes with their keys, as a run opens them; embedded models are not started yet."""
    made = lanes(loaded)
    first: dict[str, Lane] = {}
    for lane in made:
        other = first.setdefault(account_name(lane.plan), lane)
        if other.plan.quota != lane.plan.quota:
            raise PlanError(
                f"lanes.{lane.name} and lanes.{other.name} share an account but declare different quotas: give both the same "
                'figures, or each its own account = "..."'
            )
        if lane.style == "completion" and getattr(loaded.context.options, "format", "text") == "json":
            raise PlanError(
                f'options.format = "json" asks questions that only chats answer, and lanes.{lane.name} is a completion: give it '
                'style = "chat" if its server takes that, or leave format out'
            )
        if lane.style == "chat" and loaded.context.options.parity:
            raise PlanError(
                f"options.parity asks what was published, which were completions, and lanes.{lane.name} is a chat: give it "
                'style = "completion" if its server takes that, or leave parity out'
            )
    check_roles(loaded, made)
    check_languages(loaded, made, listed(made))
    for lane in made:
        lane.equip()
    return made


def opened_journal(loaded: context.Loaded, folder: Path, closing: ExitStack, priced: Money) -> Journal:
    """The journal of the run directory, which is made, locked and checked; `closing` gives all of it back."""
    disk = Directory(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        rundir.refuse_foreign(folder)
        rundir.refuse_half_repaired(folder)
        closing.enter_context(Lock(folder))
        rundir.prepare(loaded, disk, str(folder), priced.currency if priced.counted else None)
    except (FileExistsError, NotADirectoryError) as error:
        raise JournalError(f"{folder} is a file, or lies in one, and was left alone: choose a directory for the run") from error
    except OSError as error:
        raise JournalError(
            f"the run directory {folder} cannot be written: {error.strerror or error}. Nothing in it was changed; make it "
            "writable (or make room), or choose another directory"
        ) from error
    closing.callback(disk.close)
    return Journal(disk, header(loaded), str(folder), compress=loaded.plan.compress)


def header(loaded: context.Loaded) -> dict[str, Any]:
    """What stands at the head of every segment: whose it is, and the versions that its verdicts rest on."""
    return {"plan": loaded.fingerprint, "recipe": [loaded.recipe.name, loaded.recipe.version], **versions()}


def versions() -> dict[str, str]:
    return {
        "engine": VERSION,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "rapidfuzz": rapidfuzz.__version__,
        "py3langid": metadata.version("py3langid"),  # imported, it would cost 80 ms of every verb
    }


async def _accounts(loaded: context.Loaded, folder: Path, stack: AsyncExitStack, priced: Money) -> list[Account]:
    """The accounts of the plan with their lanes open: keys read, embedded models started."""
    accounts: dict[str, Account] = {}
    servers: dict[str, local.Server] = {}
    lanes = opened(loaded)
    funds.rank(lanes, priced)
    for lane in lanes:
        name = account_name(lane.plan)  # as the plan has it: a server's address is found out only now
        if lane.plan.provider == "local":
            await serve_model(lane, folder / rundir.MODEL_LOG, stack, servers)
        quota = declared(lane.plan.quota)
        if name not in accounts:
            if metered(lane.plan.quota):
                where = f"{lane.plan.account or lane.plan.provider}|{lane.plan.base_url}|{lane.plan.region or ''}"
                secret_name = f"{where}|{lane.key.value}|{lane.plan.model}"
                stack.enter_context(sharing.share(secret_name, quota.headroom, sharing.runtime_folder()))
            accounts[name] = Account(name, [], ledger(lane.plan.quota, quota), spacing(quota), park_after=loaded.plan.park_after)
        accounts[name].lanes.append(lane)
    return list(accounts.values())


def metered(quota: Quota) -> bool:
    """Whether an account has a rate that several runs could exceed together. Slots of a server of one's own are no such thing."""
    return any(getattr(quota, name) is not None for name in PERIODS)


def ledger(told: Quota, quota: Quota) -> Ledger:
    """The books of an account: `told` is what the plan declares of it, `quota` what it runs under. Where nothing is declared, the
    calls in flight grow from a few, by what comes back."""
    most = UNRATED if says_nothing(told) else quota.concurrent or math.inf
    return Ledger(quota, Aimd(quota.concurrent or UNRATED, most))


def _remember(accounts: list[Account], spent: Spent) -> None:
    """Charge what earlier lives of the run have used to the accounts that used it."""
    ledgers = {lane.name: account.ledger for account in accounts for lane in account.lanes}
    now = time.time()
    shift = anyio.current_time() - now
    for use in spent.uses(now):
        if use.lane in ledgers:
            ledgers[use.lane].remember(use.measure, use.amount, use.t + shift)


def account_name(plan: LanePlan) -> str:
    """What a quota belongs to: the account that the plan names, else provider, address, region, key and model together."""
    return plan.account or "|".join((plan.provider, plan.base_url or "", plan.region or "", plan.key or "", plan.model))


def _told(folder: Path, on_pulse: Callable[[Pulse], None] | None) -> Callable[[Pulse], None]:
    """Writes each pulse to the run directory, for other processes to read, and passes it on. A pulse that cannot be written
    costs nobody anything: the journal tells more."""

    def tell(pulse: Pulse) -> None:
        aside = folder / f".{rundir.PULSE}"
        try:
            aside.write_bytes(orjson.dumps({"t": time.time(), **pulse.as_json()}))
            aside.replace(folder / rundir.PULSE)
        except OSError:
            pass
        if on_pulse is not None:
            on_pulse(pulse)

    return tell
