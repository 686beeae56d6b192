"""What a load test has found, told three ways: as plain data, as a table for a terminal, as a `[lanes.NAME]` block for a plan.

Opens nothing; the page with plots is `engine.probe_page`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from engine.core.caps import Purse
from engine.core.estimates import Basis, Estimate, Measure, named_window
from engine.core.latency import Spread, Times
from engine.core.laws import MINUTE, Law
from engine.core.money import fine
from engine.core.pressing import SHARE
from engine.core.prober import Ran, Record
from engine.core.subject import Findings
from engine.core.types import LanePlan

_USUAL = LanePlan(provider="")
_WORTH = 0.5
"""Share of a limit that its lower bound has to be, if a plan is to go by it."""
_RIGHT = ("calls", "mean", "p50", "p90", "p95", "p99", "p99.9", "max", "found", "burst", "others")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One test."""

    verb: str
    lane: str
    plan: LanePlan
    started: float
    """UTC seconds."""
    reason: str
    """Why it ended."""
    interrupted: bool
    record: Record
    purse: Purse
    times: Times
    findings: Findings
    balance: tuple[str, ...] = ()
    """What the vendor tells of credit and long quotas."""

    @property
    def exit_code(self) -> int:
        """Of the verb: 3 for a test that was interrupted, 4 where no call passed."""
        passed = any(shot.accepted for shot in self.record.shots)
        return 3 if self.interrupted else 0 if passed else 4


def as_data(report: Report) -> dict[str, Any]:
    """Everything, as JSON has it; bounds without an end are null."""
    findings, purse = report.findings, report.purse
    return {
        "verb": report.verb,
        "lane": report.lane,
        "provider": report.plan.provider,
        "model": report.plan.model,
        "base_url": report.plan.base_url,
        "started": datetime.fromtimestamp(report.started, UTC).isoformat(timespec="seconds"),
        "reason": report.reason,
        "interrupted": report.interrupted,
        "caps": asdict(purse.caps),
        "spent": {
            "requests": purse.requests,
            "tokens": purse.tokens,
            "nano": purse.spent if purse.prices is not None else None,
            "currency": purse.currency,
        },
        "limits": [_estimate(one) for one in findings.estimates.values()],
        "headers": [asdict(claim) for claim in findings.claims.values()],
        "counts": report.record.weights.counts,
        "recovery": asdict(findings.recovery) if findings.recovery is not None else None,
        "hint_honest": findings.recovery.honest if findings.recovery is not None else None,
        "confirmed": asdict(findings.confirmed) if findings.confirmed is not None else None,
        "trials": [_trial(ran) for ran in report.record.trials],
        "times": asdict(report.times) | {"goodput": report.times.goodput},
        "balance": report.balance,
        "remarks": findings.remarks,
        "block": block(report) if findings.estimates else None,
    }


def _estimate(one: Estimate) -> dict[str, Any]:
    return {name: None if value == math.inf else value for name, value in asdict(one).items()}


def _trial(ran: Ran) -> dict[str, Any]:
    return {
        "number": ran.number,
        "title": ran.title,
        "began": ran.began,
        "ended": ran.ended,
        "sent": len(ran.shots),
        "accepted": ran.accepted,
        "refused": ran.refused,
        "late_p99": ran.late,
        "interval": None if ran.interval == math.inf else ran.interval,
        "void": ran.void,
        "cut": ran.cut,
    }


def as_text(report: Report) -> str:
    """For a terminal."""
    parts = [_rendered(_limits(report.findings))] if report.findings.estimates else []
    parts += [_rendered(_latencies(report.times)), *summary(report), *notes(report)]
    if report.findings.estimates:
        parts += ["", block(report).rstrip()]
    return "\n".join(parts)


def _limits(findings: Findings) -> Table:
    table = _table("limit of", "found", "95% interval", "law", "burst", "others", "known by")
    for one in findings.estimates.values():
        table.add_row(*told(one))
    return table


def told(one: Estimate) -> tuple[str, ...]:
    """A limit as the cells of a row."""
    what = "calls at once" if one.measure is Measure.CONCURRENT else f"{one.measure.replace('_', ' ')} a minute"
    at_least = "at least " if one.basis is Basis.BOUND else ""
    span = "nothing was refused" if one.high == math.inf else f"{one.low:,.0f} to {one.high:,.0f}"
    law = named_window(one.law, one.window) if one.law is not None else f"undetermined ({', '.join(one.contenders)})"
    if one.basis is Basis.BOUND or not (one.law or one.contenders):
        law = "-"
    burst = f"{one.burst:,.0f}" if one.burst is not None else "-"
    others = f"{one.others:,.0f}" if one.others else "seen" if one.irregular else "-"
    return what, f"{at_least}{one.limit:,.0f}", span, law, burst, others, _BASES[one.basis]


_BASES: Mapping[Basis, str] = {
    Basis.MEASURED: "measured",
    Basis.DECLARED: "headers that move with our calls",
    Basis.CLAIMED: "headers alone, not believed",
    Basis.BOUND: "what passed",
}


def _latencies(times: Times) -> Table:
    table = _table("seconds", "calls", "mean", "p50", "p90", "p95", "p99", "p99.9", "max")
    for name, spread in rows(times):
        table.add_row(name, f"{spread.count:,}", *cells(spread))
    return table


def rows(times: Times) -> Iterator[tuple[str, Spread]]:
    """The kinds of time that there are."""
    kinds = {
        "from when it was due": times.from_due,
        "from its sending": times.from_sent,
        "to the first token or byte": times.first,
        "between two tokens": times.per_token,
        "sent late by": times.late,
    }
    for name, spread in kinds.items():
        if spread is not None:
            yield name, spread


def cells(spread: Spread) -> tuple[str, ...]:
    return tuple(f"{value:.3f}" for value in (spread.mean, *(value for _, value in spread.percentiles), spread.most))


def summary(report: Report) -> list[str]:
    """What it came to, in sentences."""
    times, purse = report.times, report.purse
    outcomes = ", ".join(f"{count:,} {kind}" for kind, count in sorted(times.outcomes.items(), key=lambda item: -item[1]))
    cost = f", {fine(purse.spent, purse.currency)}" if purse.prices is not None else ""
    lines = [f"{times.sent:,} calls in {times.span / MINUTE:.1f} minutes ({outcomes}), {purse.tokens:,} tokens{cost}."]
    lines.append(f"{times.answers_per_second:.2f} answers and {times.tokens_per_second:,.1f} tokens of them a second.")
    if times.good is not None:
        lines.append(
            f"Goodput: {times.goodput or 0.0:.2f} answers a second met the objective, {times.good:,} of {times.sent:,} calls."
        )
    return lines


def notes(report: Report) -> list[str]:
    """What else there is to say, in sentences."""
    findings = report.findings
    lines = [f"Ended: {report.reason}."]
    lines += [f"Cut short by {ran.cut}: {ran.title}." for ran in report.record.trials if ran.cut]
    lines += _void(report.record)
    if (recovery := findings.recovery) is not None:
        lines.append(_recovered(recovery.hint, recovery.seconds, recovery.honest))
    if (confirmed := findings.confirmed) is not None:
        lines.append(f"At {confirmed.per_minute:,.0f} requests a minute, evenly spread, {confirmed.refused:.1%} were refused.")
    if (counts := report.record.weights.counts) is not None:
        lines.append("max_tokens count, used or not." if counts == "reserved" else "Tokens count as they are used.")
    lines += [f"{remark[:1].upper()}{remark[1:]}." for remark in findings.remarks]
    lines += [f"The vendor says: {line}." for line in report.balance]
    return [*lines, *azure(report)]


def _void(record: Record) -> Iterator[str]:
    """Trials that say nothing, those of one title together."""
    found: dict[str, list[Ran]] = {}
    for ran in record.trials:
        if ran.void:
            found.setdefault(ran.title, []).append(ran)
    for title, trials in found.items():
        times = "" if len(trials) == 1 else f" ({len(trials)} trials)"
        worst = max(trials, key=lambda ran: ran.late)
        yield (
            f"Void: {title}{times}. One call in a hundred was sent {worst.late * 1000:.0f} ms late or more, with "
            f"{worst.interval * 1000:.0f} ms between two: this machine is too slow for that rate, or busy."
        )


def _recovered(hint: float | None, seconds: float | None, honest: bool | None) -> str:
    if seconds is None:
        return "Nothing passed again after the last refusal, as long as it was tried."
    said = "no hint was given" if hint is None else f"the hint said {hint:.1f} s"
    judged = {None: "", True: ", which is enough", False: ", which is not enough"}[honest]
    return f"After the last refusal a call passed in {seconds:.1f} s; {said}{judged}."


def azure(report: Report) -> list[str]:
    """Azure's portal speaks of tokens per minute, in thousands, from which the requests follow; and checks slices of a minute."""
    if "azure_openai" not in report.plan.provider:
        return []
    requests = report.findings.estimates.get(Measure.REQUESTS)
    tokens = report.findings.estimates.get(Measure.TOKENS)
    tokens = None if tokens is not None and tokens.basis is Basis.BOUND else tokens  # what passed says little of what is allowed
    lines = []
    if tokens is not None:
        lines.append(
            f"In the portal: Tokens per Minute Rate Limit {tokens.limit / 1000:,.1f} thousand; at its usual 6 requests per "
            f"thousand tokens that is {tokens.limit * 6 / 1000:,.0f} RPM."
        )
    if requests is not None and requests.law is Law.FIXED and requests.window < MINUTE:
        share = requests.limit * requests.window / MINUTE
        lines.append(f"Requests are checked in slices of {requests.window:g} s: {share:,.0f} in each.")
    if requests is not None and tokens is not None and requests.limit:
        even = tokens.limit / requests.limit
        lines.append(f"Calls below {even:,.0f} tokens (as reserved) are bound by RPM, larger ones by TPM.")
    return lines


# The block for a plan


def block(report: Report) -> str:
    """The lane with 90% of the lower bounds of its limits, to be put into a plan."""
    day = datetime.fromtimestamp(report.started, UTC).date().isoformat()
    lines = [f"[lanes.{_key(report.lane)}]", f"# {SHARE:.0%} of the lower bounds that 'seeddrill probe' found on {day}"]
    lines += [f"{name} = {_toml(value)}" for name, value in _said(report.plan)]
    for one in report.findings.estimates.values():
        lines += _quota(one)
    if report.record.weights.counts is not None and Measure.TOKENS in report.findings.estimates:
        lines.append(f'counts = "{report.record.weights.counts}"')
    requests = report.findings.estimates.get(Measure.REQUESTS)
    if requests is not None and requests.law is Law.FIXED and requests.window < MINUTE:
        lines.append(f"slice = {requests.window:g}")
    return "\n".join(lines) + "\n"


def _quota(one: Estimate) -> list[str]:
    name = "concurrent" if one.measure is Measure.CONCURRENT else f"{one.measure}_per_minute"
    match one.basis:
        case Basis.BOUND:
            return [f"# {name}: nothing was refused, up to {one.limit:,.0f}"]
        case Basis.CLAIMED:
            return [f"# {name}: headers say {one.limit:,.0f}, and do not move with our calls"]
        case _ if one.low < _WORTH * one.limit:
            return [f"# {name}: between {one.low:,.0f} and {one.high:,.0f}, which is too wide to plan with"]
        case _:
            return [f"{name} = {max(1, math.floor(SHARE * one.low)):_}"]


def _said(plan: LanePlan) -> Iterator[tuple[str, Any]]:
    """What the plan says of the lane, its quota apart."""
    for field in fields(LanePlan):
        value = getattr(plan, field.name)
        if field.name != "quota" and value != getattr(_USUAL, field.name):
            yield field.name, value


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(name))} = {_toml(one)}" for name, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if hasattr(value, "__dataclass_fields__"):
        return _toml({name: one for name, one in asdict(value).items() if one is not None})
    if isinstance(value, str):
        return orjson.dumps(value).decode()
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else orjson.dumps(name).decode()


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for n, title in enumerate(titles):
        table.add_column(title, overflow="fold", no_wrap=n == 0, justify="right" if title in _RIGHT else "left")
    return table


def _rendered(table: Table) -> str:
    console = Console(width=130, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines()) + "\n"
