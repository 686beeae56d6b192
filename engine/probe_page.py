"""The page of a load test: one HTML file that needs nothing else, with plots of what was sent and accepted, and of how long.

Makes text of a report; opens nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape

from engine.core.estimates import Basis, Estimate, Measure, weigh
from engine.core.latency import percentile
from engine.core.laws import MINUTE, Law
from engine.core.prober import Ran, Record
from engine.core.shapes import SMALL, Form
from engine.core.trials import Shot
from engine.curves import STYLE, Axes, Series, chart
from engine.probe_report import Report, block, cells, notes, rows, summary, told

_SHOWN = (0.0, 50.0, 90.0, 99.0, 99.9)
"""Percentiles that the axis names."""


def page(report: Report) -> str:
    """The whole file."""
    shots = report.record.shots
    when = datetime.fromtimestamp(report.started, UTC).strftime("%Y-%m-%d %H:%M UTC")
    title = f"{report.verb.capitalize()} of lanes.{report.lane}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p class=legend>{escape(report.plan.provider)} {escape(report.plan.model)}, {when}</p>",
        f"<p>{escape(' '.join(summary(report)))}</p>",
        *_limits(report),
        "<h2>Calls over time</h2>",
        over_time(shots),
        *_pressed(report),
        "<h2>How long answers took</h2>",
        _percentiles(shots),
        _table(("seconds", "calls", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"), _times(report)),
        "<h2>Trials</h2>",
        _table(("", "trial", "sent", "accepted", "refused", "late p99 ms", ""), map(_trial, report.record.trials)),
        "<h2>Remarks</h2>",
        "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes(report)) + "</ul>",
    ]
    if report.findings.estimates:
        body.append(f"<h2>For a plan</h2><pre>{escape(block(report))}</pre>")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return f"<!doctype html><html lang=en><head>{head}<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"


def _limits(report: Report) -> Iterator[str]:
    if report.findings.estimates:
        yield "<h2>Limits</h2>"
        titles = ("limit of", "found", "95% interval", "law", "burst", "others", "known by")
        yield _table(titles, map(told, report.findings.estimates.values()))


def over_time(shots: Sequence[Shot]) -> str:
    """Calls a second: sent, accepted and refused."""
    end = max((shot.sent for shot in shots), default=0.0)
    step = max(1.0, math.ceil(end / 400))
    kinds = {
        ("sent", "a"): [shot.sent for shot in shots],
        ("accepted", "b"): [shot.sent for shot in shots if shot.accepted],
        ("refused", "c"): [shot.sent for shot in shots if shot.refused],
        ("failed otherwise", "e"): [shot.sent for shot in shots if not shot.accepted and not shot.refused],
    }
    series = [Series(name, _binned(times, step, end), hue) for (name, hue), times in kinds.items() if times]
    return chart(series, Axes("seconds since the test began", "calls a second"))


def _binned(times: Iterable[float], step: float, end: float) -> list[tuple[float, float]]:
    counts = Counter(int(t / step) for t in times)
    return [(n * step, counts[n] / step) for n in range(int(end / step) + 1)]


def _pressed(report: Report) -> Iterator[str]:
    """For each limit that was measured, what passed in all against what the fit lets pass."""
    for measure, one in report.findings.estimates.items():
        if measure is Measure.CONCURRENT or one.basis in (Basis.BOUND, Basis.CLAIMED):
            continue
        trials = _floods(report.record, measure)
        if trials:
            yield f"<h2>The limit of {measure.replace('_', ' ')}, pressed</h2>"
            yield pressed(report.record, trials, one)


def _floods(record: Record, measure: Measure) -> list[Ran]:
    """The trials in which the limit was pressed, of heavy calls those of the last form."""
    small = measure is Measure.REQUESTS
    floods = [ran for ran in record.trials if ran.refused and ran.interval < math.inf and not ran.void]
    floods = [ran for ran in floods if (ran.shots[0].shape == SMALL) == small and ran.shots[0].shape.form is not Form.LONG]
    return [ran for ran in floods if ran.shots[0].shape.form is floods[-1].shots[0].shape.form]


def pressed(record: Record, trials: Sequence[Ran], one: Estimate) -> str:
    """Accepted in all, and the fit: burst and refill, or a window's limit each time that it turns."""
    shots = sorted((shot for ran in trials for shot in ran.shots), key=lambda shot: shot.sent)
    began, total = trials[0].began, 0.0
    passed = [(0.0, 0.0)]
    for shot in shots:
        if shot.accepted:
            total += weigh(shot, one.measure, record.weights)
            passed.append((shot.sent - began, total))
    end = shots[-1].sent - began
    series = [Series(f"{one.measure} accepted", [*passed, (end, total)], "b")]
    burst = one.burst if one.law is Law.BUCKET and one.burst is not None else one.limit * (one.window or MINUTE) / MINUTE
    series.append(
        Series(f"{burst:,.0f} + {one.limit:,.0f} a minute", [(0.0, burst), (end, burst + one.limit * end / MINUTE)], "d", True)
    )
    return chart(series, Axes("seconds since the limit was first pressed", f"{one.measure} in all"))


def _percentiles(shots: Sequence[Shot]) -> str:
    """From when calls were due and from when they were sent; the axis has as much room for the slowest tenth as for the rest."""
    answered = [shot for shot in shots if shot.fault is None]
    kinds = {
        ("from when it was due", "a"): sorted(shot.ended - shot.intended for shot in answered),
        ("from its sending", "c"): sorted(shot.seconds for shot in answered),
        ("to the first token or byte", "d"): sorted(shot.first for shot in answered if shot.first is not None),
    }
    percents = [100 * (1 - 10 ** (-n / 20)) for n in range(61)]
    series = [
        Series(name, [(_nines(percent), percentile(times, percent)) for percent in percents], hue, dashed=hue == "c")
        for (name, hue), times in kinds.items()
        if times
    ]
    ticks = [(_nines(percent), f"p{percent:g}") for percent in _SHOWN]
    return chart(series, Axes("percentile of answers", "seconds", ticks))


def _nines(percent: float) -> float:
    return -math.log10(1 - percent / 100)


def _times(report: Report) -> Iterator[tuple[str, ...]]:
    for name, spread in rows(report.times):
        yield (name, f"{spread.count:,}", *cells(spread))


def _trial(ran: Ran) -> tuple[str, ...]:
    fate = ["void: we were late"] * ran.void + [f"cut short by {ran.cut}"] * (ran.cut is not None)
    counts = (f"{count:,}" for count in (len(ran.shots), ran.accepted, ran.refused))
    return (str(ran.number), ran.title, *counts, f"{1000 * ran.late:.2f}", "; ".join(fate))


def _table(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Columns of nothing but figures are set to the right."""
    body = [list(map(escape, line)) for line in lines]
    sides = [" class=n" if all(map(_figure, column)) else "" for column in zip(*body, strict=True)] or [""] * len(titles)
    head = "".join(f"<th{side}>{escape(title)}</th>" for side, title in zip(sides, titles, strict=True))
    rows = ["".join(f"<td{side}>{cell}</td>" for side, cell in zip(sides, line, strict=True)) for line in body]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _figure(cell: str) -> bool:
    return cell == "-" or cell.replace(",", "").replace(".", "").isdecimal()
