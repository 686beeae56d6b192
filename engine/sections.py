"""What a page tells of one run, or of several side by side, section by section: tables and charts of their figures.

A door's part: decides what is shown and how it is called; `engine.page` makes HTML of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from engine import charts
from engine.charts import Series
from engine.core.money import worded
from engine.core.published import PUBLISHED, ROWS
from engine.core.types import Quota
from engine.runtime.pulse import requests_a_minute


@dataclass(frozen=True, slots=True)
class Run:
    """A run as a page shows it. `figures` is what `engine.core.figures` tells."""

    name: str
    state: str
    reason: str
    recipe: str
    goal: int | None
    currency: str | None
    quotas: Mapping[str, Quota]
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """The first `texts` columns hold words, the others numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing (SVG; "" where nothing draws), and the same as numbers."""

    title: str
    drawing: str
    table: Table


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    note: str = ""
    tables: Sequence[Table] = field(default_factory=tuple)
    charts: Sequence[Chart] = field(default_factory=tuple)


def sections(runs: Sequence[Run]) -> list[Section]:
    """All that there is something to say in."""
    makers = (_funnel, _published, _lengths, _rouge, _verbs, _labels, _languages, _round_trips, _distinct)
    told = [maker(runs) for maker in (*makers, _usage, _speed, _latency, _faults)]
    return [section for section in told if section.tables or section.charts]


def number(value: float | int | None) -> str:
    """A figure as it is read: thousands apart, "–" for none."""
    if value is None:
        return "–"
    if isinstance(value, int) or (value == int(value) and abs(value) >= 1000):
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "–"


# What was made


def _funnel(runs: Sequence[Run]) -> Section:
    rows: list[list[str]] = []
    for run in runs:
        for step, told in run.figures["steps"].items():
            made = told["kept"] + sum(told["dropped"].values())
            rows.append([*_named(runs, run), step, "answers", number(told["settled"]), ""])
            rows.append([*_named(runs, run), step, "kept", number(told["kept"]), share(told["kept"], made)])
            rows += [
                [*_named(runs, run), step, f"dropped: {reason}", number(count), share(count, made)]
                for reason, count in told["dropped"].items()
            ]
            rows += [
                [*_named(runs, run), step, f"failed: {kind}", number(count), share(count, told["settled"])]
                for kind, count in told["faults"].items()
            ]
    head = [*_head(runs), "Step", "What", "Count", "Share"]
    note = "Shares of kept and dropped are of all drafts that a step's answers had; shares of failed, of its answers."
    return Section("Funnel", note, [Table(head, rows, len(head) - 2)])


def _published(runs: Sequence[Run]) -> Section:
    rows = [
        [title, *(number(run.figures["table"][name]) for run in runs), number(PUBLISHED[name])] for name, title in ROWS.items()
    ]
    parts = (
        ("Share that is classification", "classification", "instructions"),
        ("Share without input", "without_input", "instances"),
    )
    for title, part, whole in parts:
        tables = [*(run.figures["table"] for run in runs), PUBLISHED]
        shares = ["–" if one[part] is None or one[whole] is None else share(one[part], one[whole]) for one in tables]
        rows.append([title, *shares])
    note = (
        'The published run is that of Wang et al. (2023), "Self-Instruct", table 1. Words are counted between blanks, in texts '
        "with ideographs each of them is one."
    )
    return Section("Beside the published run", note, [Table(["", *(run.name for run in runs), "Published"], rows)])


def _lengths(runs: Sequence[Run]) -> Section:
    names = dict.fromkeys(name for run in runs for name in run.figures["lengths"])
    charts = [_histogram(f"Words: {name}", {run.name: run.figures["lengths"].get(name) for run in runs}) for name in names]
    return Section("Lengths", "Of kept instructions, and of the inputs (empty ones apart) and outputs of records.", charts=charts)


def _rouge(runs: Sequence[Run]) -> Section:
    with_it = {run.name: run.figures["rouge_l"] for run in runs if run.figures["rouge_l"]}
    titles = {"seed": "ROUGE-L to the nearest seed", "neighbour": "ROUGE-L to the nearest other kept instruction"}
    charts = [
        _histogram(title, {name: told.get(key) for name, told in with_it.items()})
        for key, title in titles.items()
        if any(key in told for told in with_it.values())
    ]
    sizes = ", ".join(f"{told['sampled']:,}" for told in with_it.values())
    note = f"Of a sample of {sizes} kept instructions, each held against all seeds and all other kept instructions."
    return Section("Likeness", note, charts=charts)


def _verbs(runs: Sequence[Run]) -> Section:
    told = [run for run in runs if run.figures["verbs"].get("found")]
    columns = [(run, kind) for run in told for kind in ("verbs", "pairs")]
    lists = [[f"{name} {count:,}" for name, count in run.figures["verbs"][kind].items()][:25] for run, kind in columns]
    rows = [[some[n] if n < len(some) else "" for some in lists] for n in range(max(map(len, lists), default=0))]
    titles = {"verbs": "Verbs", "pairs": "Verbs with objects"}
    head = [titles[kind] if len(runs) == 1 else f"{titles[kind]}: {run.name}" for run, kind in columns]
    found = "; ".join(
        f"{run.figures['verbs']['found']:,} of {run.figures['table']['instructions']:,} instructions begin with one, "
        f"{run.figures['verbs']['different']:,} different ones"
        for run in told
    )
    note = (
        "Most frequent first words that are an imperative, and the noun after them, told by position and short lists of English "
        f"words, not by a parser: {found}."
    )
    return Section("Verbs and objects", note, [Table(head, rows, len(head))] if rows else [])


def _labels(runs: Sequence[Run]) -> Section:
    rows = [
        [*_named(runs, run), label or "(empty)", number(count)]
        for run in runs
        for label, count in list(run.figures["labels"]["most"].items())[:25]
    ]
    found = ", ".join(f"{run.figures['labels']['different']:,}" for run in runs)
    head = [*_head(runs), "Label", "Records"]
    note = f"The most frequent outputs of classification tasks; different ones: {found}."
    return Section("Labels", note, [Table(head, rows, len(head) - 1)] if rows else [])


def _languages(runs: Sequence[Run]) -> Section:
    rows = [
        [*_named(runs, run), language, number(count), share(count, run.figures["languages"]["sampled"])]
        for run in runs
        for language, count in run.figures["languages"]["languages"].items()
    ]
    head = [*_head(runs), "Language", "Records", "Share"]
    note = "As py3langid tells it of a sample of the records; short texts are often taken for another language."
    return Section("Languages", note, [Table(head, rows, len(head) - 2)] if rows else [])


def _round_trips(runs: Sequence[Run]) -> Section:
    names = dict.fromkeys(name for run in runs for name in run.figures["scores"])
    charts = [_histogram(name, {run.name: run.figures["scores"].get(name) for run in runs}) for name in names]
    moved = {run.name: run.figures["source"].get("distance") for run in runs}
    if any(moved.values()):
        charts.insert(0, _histogram("Distance from the source (1 - ROUGE-L)", moved))
    note = "Scores of every text that came back from another language, kept or not; the distance of a sample of the records."
    return Section("Round trips", note, charts=charts)


def _distinct(runs: Sequence[Run]) -> Section:
    sides = {"before": "sources", "after": "results"}
    rows = [
        [*_named(runs, run), title if "before" in run.figures["distinct"] else "instructions"]
        + [number(run.figures["distinct"][side][n]) for n in "123"]
        for run in runs
        for side, title in sides.items()
        if side in run.figures["distinct"]
    ]
    head = [*_head(runs), "Texts", "Distinct-1", "Distinct-2", "Distinct-3"]
    sizes = ", ".join(f"{run.figures['distinct']['sampled']:,}" for run in runs)
    note = (
        f"Different n-grams for one n-gram (Li et al. 2016), of a sample of {sizes} records. It falls with the number of words: "
        "compare samples of equal size only."
    )
    return Section("Diversity", note, [Table(head, rows, len(head) - 3)] if rows else [])


# What it took


def _usage(runs: Sequence[Run]) -> Section:
    names = ("calls", "tokens_in", "tokens_cached", "tokens_out", "tokens_reasoning", "characters")
    titles = ("Calls", "Tokens in", "from cache", "Tokens out", "for thinking", "Characters")
    priced = any(run.currency for run in runs)
    rows = [
        [*_named(runs, run), lane, step, *(number(used[name]) for name in names)]
        + ([worded(used["cost"], run.currency) if run.currency else "–"] if priced else [])
        for run in runs
        for lane, steps in run.figures["usage"].items()
        for step, used in steps.items()
    ]
    for run in runs if priced else ():
        costs = [used["cost"] for steps in run.figures["usage"].values() for used in steps.values()]
        total = worded(sum(costs), run.currency) if run.currency else "–"
        rows.append([*_named(runs, run), "all lanes", "all steps", *[""] * len(names), total])
    head = [*_head(runs), "Lane", "Step", *titles, *(["Cost"] if priced else [])]
    return Section(
        "Tokens and money", "By what is in the journal.", [Table(head, rows, len(head) - len(titles) - priced)] if rows else []
    )


def _speed(runs: Sequence[Run]) -> Section:
    drawn: list[Chart] = []
    for run in runs:
        ours = run.figures["time"]
        drawn.append(_over_time(_of(runs, run, "Answers, kept and dropped items a minute"), ours, ("answers", "kept", "dropped")))
        lanes = run.figures["lane_time"]
        for kind in ("calls", "tokens"):
            names = [name for name in _names(lanes) if name.startswith(f"{kind} ")]
            if names:
                drawn.append(_over_time(_of(runs, run, f"{kind.capitalize()} a minute, by lane"), lanes, names, run.quotas))
    limits = [
        f"{lane}: {', '.join(limited)}" for run in runs for lane, quota in run.quotas.items() if (limited := _limits(quota))
    ]
    note = f"By the time of sending. Declared quotas: {'; '.join(limits) or 'none'}."
    return Section("Rate over time", note, charts=[chart for chart in drawn if chart.table.rows])


def _limits(quota: Quota) -> list[str]:
    measures = [name for name in Quota.__dataclass_fields__ if "_per_" in name and getattr(quota, name) is not None]
    told = [f"{getattr(quota, name):,g} {name.replace('_', ' ').replace(' per ', ' a ')}" for name in measures]
    return told + ([f"{quota.concurrent} at once"] if quota.concurrent else [])


def _latency(runs: Sequence[Run]) -> Section:
    kinds = {"answer": "whole answer", "first_byte": "first byte"}
    rows = [
        [*_named(runs, run), lane, title, number(told[kind]["count"])]
        + [number(told[kind].get(name)) for name in ("p50", "p90", "p95", "p99", "most")]
        for run in runs
        for lane, told in run.figures["latency"].items()
        for kind, title in kinds.items()
        if told[kind]["count"]
    ]
    head = [*_head(runs), "Lane", "Until", "Answers", "50 %", "90 %", "95 %", "99 %", "Longest"]
    return Section(
        "Latency", "Seconds, to 1 %: so many of the answers took no longer.", [Table(head, rows, len(head) - 6)] if rows else []
    )


def _faults(runs: Sequence[Run]) -> Section:
    drawn: list[Chart] = []
    for run in runs:
        names = [name for name in _names(run.figures["time"]) if name.startswith("fault ") or name == "attempts"]
        if names:
            drawn.append(_over_time(_of(runs, run, "Faults a minute"), run.figures["time"], names))
    note = (
        "Requests that were given up, by kind, and attempts that cost something and settled nothing; an attempt that cost "
        "nothing leaves no trace in the journal, only in the log at debug level."
    )
    return Section("Faults over time", note, charts=drawn)


# Parts


def _head(runs: Sequence[Run]) -> list[str]:
    return ["Run"] if len(runs) > 1 else []


def _named(runs: Sequence[Run], run: Run) -> list[str]:
    return [run.name] if len(runs) > 1 else []


def _of(runs: Sequence[Run], run: Run, title: str) -> str:
    return title if len(runs) == 1 else f"{title}: {run.name}"


def _histogram(title: str, told: Mapping[str, Mapping[str, Any] | None]) -> Chart:
    """Bins from the first to the last that somebody has anything in; shares where runs are compared, counts of one."""
    there = {name: one for name, one in told.items() if one is not None and one["count"]}
    names = list(next(iter(there.values()))["bins"]) if there else []
    full = [n for n, name in enumerate(names) if any(one["bins"][name] for one in there.values())]
    names = names[full[0] : full[-1] + 1] if full else []
    many = len(there) > 1

    def value(one: Mapping[str, Any], name: str) -> float:
        count: int = one["bins"][name]
        return count / one["count"] if many else count

    shown: Callable[[float], str] = (lambda part: f"{part:.1%}") if many else number
    rows = [[name, *(shown(value(one, name)) for one in there.values())] for name in names]
    rows.append(["mean", *(number(one["mean"]) for one in there.values())])
    rows.append(["least to most", *(f"{number(one['least'])} to {number(one['most'])}" for one in there.values())])
    series = [Series(name, [value(one, bin) for bin in names]) for name, one in there.items()]
    means = ", ".join(f"{name} {number(one['mean'])}" if many else number(one["mean"]) for name, one in there.items())
    whole = f"{title} (mean {means})"
    drawing = charts.bars([name[1:].partition(",")[0] for name in names], series, title) if names and charts.drawable() else ""
    return Chart(whole, drawing, Table(["from, to below", *there], rows))


def _names(time: Mapping[str, Any]) -> list[str]:
    return [name for name in time["spans"][0] if name != "t"] if time["spans"] else []


def _over_time(
    title: str, time: Mapping[str, Any], names: Iterable[str], quotas: Mapping[str, Quota] = MappingProxyType({})
) -> Chart:
    """Rates a minute in each span. The kind is left out of names like "calls LANE"; beside those stand the declared quotas."""
    spans, minutes = time["spans"], time["seconds"] / 60
    chosen = [name for name in names if name in _names(time)]
    series = [Series(name.partition(" ")[2] or name, [span[name] / minutes for span in spans]) for name in chosen]
    times = [span["t"] for span in spans]
    rows = [
        [f"{datetime.fromtimestamp(t, UTC):%Y-%m-%d %H:%M:%S}", *(number(one.values[n]) for one in series)]
        for n, t in enumerate(times)
        if any(one.values[n] for one in series)
    ]
    limits = [limit for name in chosen if (limit := _limit(name, quotas, len(spans))) is not None]
    drawing = charts.lines(times, [*series, *limits], title) if rows and charts.drawable() else ""
    return Chart(title, drawing, Table(["from (UTC)", *(one.name for one in series)], rows))


def _limit(name: str, quotas: Mapping[str, Quota], spans: int) -> Series | None:
    """The quota of a minute that a lane declares, as a line beside its rate."""
    kind, _, lane = name.partition(" ")
    quota = quotas.get(lane)
    if quota is None:
        return None
    limit = requests_a_minute(quota) if kind == "calls" else quota.tokens_per_minute
    return None if limit is None else Series(f"{lane}: quota", [limit] * spans, ":")
