"""The verbs of load testing. Their options are the fields of a class each, since there are more of them than a function may have.

Part of the command line: parses and prints; what a verb needs is imported when it runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

T = TypeVar("T")

PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="A plan: a TOML file.", show_default=False)]
LaneName = Annotated[str, typer.Option("--lane", metavar="NAME", help="A lane of the plan.", show_default=False)]
Changes = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the plan; may be repeated.")]
Spend = Annotated[
    float | None, typer.Option("--spend", help="Cap on money, in the plan's currency; 0.50 if not said.", show_default=False)
]
Requests = Annotated[int | None, typer.Option("--requests", help="Cap on calls; 10,000 for an active probe.", show_default=False)]
Tokens = Annotated[int | None, typer.Option("--tokens", help="Cap on tokens, or a translator's characters.", show_default=False)]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="A new folder for attempts, figures and page.", show_default=False)
]
Slo = Annotated[
    str | None,
    typer.Option("--slo", metavar="TIMES", help="What counts as good: ttft=2s,total=20s,per_token=50ms.", show_default=False),
]
Pair = Annotated[str, typer.Option("--pair", help="Languages for a translator.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be sent and its worst cost; send nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Options of `seeddrill probe`."""

    plan: PlanFile
    lane: LaneName
    active: Annotated[bool, typer.Option("--active", help="Also cause refusals: others of the account may be refused, too.")] = (
        False
    )
    what: Annotated[
        str, typer.Option("--what", help="What an active probe looks for: rpm,tpm,burst,window,concurrency.", show_default=False)
    ] = ""
    spend: Spend = None
    requests: Requests = None
    tokens: Tokens = None
    minutes: Annotated[float | None, typer.Option("--minutes", help="Cap on time; 25 if not said.", show_default=False)] = None
    out: Out = None
    slo: Slo = None
    pair: Pair = "en:de"
    changes: Changes = ()  # type: ignore[assignment]  # the command line makes a list of it
    dry_run: DryRun = False
    json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class Load:
    """Options of `seeddrill load`."""

    plan: PlanFile
    lane: LaneName
    rate: Annotated[float | None, typer.Option("--rate", help="Calls a second.", show_default=False)] = None
    arrivals: Annotated[str, typer.Option("--arrivals", help="constant, poisson, or ramp (from nothing to the rate).")] = (
        "constant"
    )
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, help="Calls in flight, in place of a rate.", show_default=False)
    ] = None
    minutes: Annotated[float, typer.Option("--minutes", help="How long.")] = 1.0
    prompt_tokens: Annotated[int, typer.Option("--prompt-tokens", min=1, help="Of each call; a translator's characters.")] = 200
    answer_tokens: Annotated[int, typer.Option("--answer-tokens", min=1, help="That each call may be answered with.")] = 100
    spend: Spend = None
    requests: Annotated[int | None, typer.Option("--requests", min=1, help="Cap on calls.", show_default=False)] = None
    tokens: Tokens = None
    out: Out = None
    slo: Slo = None
    pair: Pair = "en:de"
    changes: Changes = ()  # type: ignore[assignment]  # the command line makes a list of it
    dry_run: DryRun = False
    json: AsJson = False


def probe(given: Probe) -> None:
    """Find out what an account's quota is: limits, how they refill, whether headers tell the truth.

    Passive unless told otherwise: at most five calls, which read headers. With --active it sends more than the account allows,
    for minutes, so that everybody else who uses it may be refused; it says so first. Caps on money, tokens, calls and time are
    checked before each call. Prints a table and a [lanes.NAME] block; leaves attempts.jsonl, report.json and report.html in a
    folder.
    """
    from engine import probe as door
    from engine import probe_order
    from engine.plan import load as read

    what = probe_order.chosen(given.what) if given.active else frozenset()
    plan, order = read(given.plan, list(given.changes)), _order(given, given.minutes)
    if given.dry_run:
        door.dry_probe(plan, order, what, _aside)
    else:
        _told(door.probe(plan, order, what, _aside), given.json)


def load(given: Load) -> None:
    """Load a lane at a rate (--rate 50), or with so many calls in flight (--concurrency 64), and measure.

    Calls leave when they are due, however long answers take, and times count from when a call was due. The caps are those of
    'seeddrill probe'. Leaves attempts.jsonl, report.json and report.html in a folder.
    """
    from engine import probe as door
    from engine import probe_order
    from engine.plan import load as read

    plan, order = read(given.plan, list(given.changes)), _order(given, given.minutes)
    loading = probe_order.loading(given.rate, given.arrivals, given.concurrency, given.prompt_tokens, given.answer_tokens)
    if given.dry_run:
        door.dry_load(plan, order, loading, _aside)
    else:
        _told(door.load(plan, order, loading, _aside), given.json)


def _order(given: Probe | Load, minutes: float | None) -> Any:
    from engine.probe_order import Order

    named = {name: getattr(given, name) for name in ("lane", "spend", "requests", "tokens", "out", "slo", "pair")}
    return Order(**named, minutes=minutes)


def _told(report: Any, as_json: bool) -> None:
    import orjson

    from engine import probe_report

    data = probe_report.as_data(report)
    typer.echo(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode() if as_json else probe_report.as_text(report))
    raise typer.Exit(report.exit_code)


def _aside(line: str) -> None:
    """What is said on the way goes to stderr: stdout is for the result."""
    typer.echo(line, err=True)


def add(app: typer.Typer) -> None:
    """Add both verbs."""
    app.command("probe", help=inspect.getdoc(probe))(_verb(Probe, probe))
    app.command("load", help=inspect.getdoc(load))(_verb(Load, load))


def _verb(options: type[T], act: Callable[[T], None]) -> Callable[..., None]:
    """A function whose parameters are the fields of `options`, as Typer reads them."""

    def verb(**given: Any) -> None:
        act(options(**given))

    hints = get_type_hints(options, include_extras=True)
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(options)  # type: ignore[arg-type]  # both are dataclasses
    ]
    verb.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    verb.__annotations__ = {}
    return verb
