"""The command line: one verb a function, each a few lines around a function of the engine.

Parses and prints, decides nothing. What a verb needs is imported when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine import cli_pages, probe_cli

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Make SFT data with very many calls to language models: exactly once, resumable, inside every quota.\n\n"
    "Start with 'seeddrill quickstart': the whole method on a small model on this machine, no key needed. Then\n"
    "'seeddrill plan new self_instruct > plan.toml', edit it, 'seeddrill run plan.toml runs/a'.",
)
plans = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Write and check plans.")
seeds = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check files of seed tasks or texts.")
app.add_typer(plans, name="plan")
app.add_typer(seeds, name="seeds")
lanes = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Try the lanes of a plan.")
app.add_typer(lanes, name="lanes")

cli_pages.add(app)

PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="A plan: a TOML file.", show_default=False)]
RunDir = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.", show_default=False)]
LaneName = Annotated[str, typer.Argument(metavar="LANE", help="A lane's name in the plan.", show_default=False)]
Changes = Annotated[
    list[str],
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key of the plan: goal=1000 or lanes.fast.model=NAME, say; may be repeated."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only how it ended.")]


@app.command()
def run(
    plan: PlanFile,
    directory: RunDir,
    changes: Changes = [],  # noqa: B006
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Each pulse as a line of JSON on stdout, once a second.")] = False,
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="Log to stderr, too; -vv each failed call.")] = 0,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve metrics for Prometheus there, on loopback.", show_default=False)
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Ask again what settled with a fault.")] = False,
) -> None:
    """Start the run of PLAN in DIR, or resume it.

    The same command does both: whatever is settled in DIR is never asked again. A finished run goes on with a higher goal. Stop
    it with Ctrl-C (calls in flight may finish; a second Ctrl-C cancels them). Exit codes: 0 done, 1 a bug, 2 an error to mend, 3
    interrupted, 4 no lane left, 5 the budget is spent, 6 stalled, 7 the disk failed. Once the cause is mended, the same command
    resumes the run.
    """
    from engine import live
    from engine.app import Failures
    from engine.plan import load
    from engine.runtime.log import talk

    progress = live.Progress.JSON if as_json else live.Progress.HIDDEN if quiet or verbose else live.Progress.SHOWN
    shown = live.Shown(progress, metrics_port, talk(verbose))
    live.run(load(plan, changes), directory, shown, Failures.RETRY if retry_failed else Failures.LEAVE)


@app.command()
def quickstart(
    directory: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Where the run is kept.", show_default=False)] = None,
    model: Annotated[str, typer.Option(help="gemma3-270m, smollm2, or the path of a GGUF file.")] = "gemma3-270m",
    goal: Annotated[int | None, typer.Option(min=1, help="New instructions (24), or records (12), to make.")] = None,
    recipe: Annotated[str, typer.Option(help="self_instruct or backtranslation.")] = "self_instruct",
    pair: Annotated[
        str | None, typer.Option(help="Of backtranslation: zh-en (if not given), en-zh, or en-es by Apertium.")
    ] = None,
    apertium: Annotated[str | None, typer.Option(metavar="URL", help="A server of Apertium's; else one is started.")] = None,
) -> None:
    """Run a method from end to end on a small language model on this machine: no key, no network service.

    Self-Instruct makes 24 new instructions, which are filtered, freed of duplicates, classified, given inputs and outputs,
    journaled and exported to DIR/data.json. Back-translation sends short texts of ours into another language and back, keeps what
    came back whole, and has the model write the instructions that these texts answer. Either takes a few minutes on two cores.
    After a stop or a kill, the same command resumes it.
    """
    from engine import quickstart as door

    door.run(directory, door.Wish(recipe=recipe, model=model, goal=goal, pair=pair, address=apertium))


@app.command()
def status(directory: RunDir, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Say how far a run is: instructions, records, what was dropped and why, tokens, money. Works while it runs, too."""
    from engine import status as door

    typer.echo(door.as_json(directory) if as_json else door.as_text(directory))


@app.command()
def tune(
    directory: RunDir,
    changes: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="What to change.", show_default=False)],
) -> None:
    """Change quotas or the goal of the run that goes on in DIR, at once.

    For example: seeddrill tune runs/a lanes.fast.requests_per_minute=300 goal=2000. 'none' takes a limit away. What was sent so
    far still counts. It holds until the run ends; put it into the plan to keep it.
    """
    from engine import tune as door

    typer.echo(door.tune(directory, changes))


@app.command()
def pause(directory: RunDir, lane: LaneName) -> None:
    """Give a lane of the run that goes on in DIR no new work. Its calls in flight finish; 'seeddrill resume' ends the pause."""
    from engine import tune as door

    typer.echo(door.pause(directory, lane))


@app.command()
def resume(directory: RunDir, lane: LaneName) -> None:
    """Give a lane that 'seeddrill pause' has paused work again. (A run that has ended is resumed by 'seeddrill run'.)"""
    from engine import tune as door

    typer.echo(door.resume(directory, lane))


@app.command()
def stop(directory: RunDir) -> None:
    """Stop the run that goes on in DIR as Ctrl-C does: nothing new is asked, calls in flight may finish. Returns at once."""
    from engine import tune as door

    typer.echo(door.stop(directory))


@app.command()
def why(
    directory: RunDir,
    id: Annotated[str, typer.Argument(metavar="ID", help="An item (instruct/96.3), a request (instruct/96) or a seed (seed/3).")],
) -> None:
    """Tell one item's whole story: its prompt, rebuilt and checked, the reply, the verdict, its nearest texts, lane and cost."""
    from engine import why as door

    typer.echo(door.story(directory, id))


@app.command()
def export(
    directory: RunDir,
    format: Annotated[
        str,
        typer.Option(
            help="alpaca, chat, sharegpt, prompt_completion, self_instruct, finetune, jsonl (with provenance), parquet, or csv "
            "(a review sheet)."
        ),
    ] = "alpaca",
    out: Annotated[
        Path | None,
        typer.Option(
            help="A file (.json, .jsonl, .parquet, .csv), else a folder: a data set with its card. Default: in DIR/exports.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an export that is there.")] = False,
    validation: Annotated[float, typer.Option(metavar="SHARE", help="Keep this share for validation: 0.05, say.")] = 0.0,
    sample: Annotated[
        int | None, typer.Option(metavar="N", help="Of N instructions at random, one record each.", show_default=False)
    ] = None,
    where: Annotated[
        list[str],
        typer.Option(
            metavar="CONDITION", help="Only records that fit: lane=main, language=zh, nearest<=0.5, say; may be repeated."
        ),
    ] = [],  # noqa: B006
    settings: Annotated[
        list[str],
        typer.Option("--set", metavar="KEY=VALUE", help="seeds=true, license=NAME, system=TEXT, say; may be repeated."),
    ] = [],  # noqa: B006
) -> None:
    """Write a run's records for training, whole or not at all. Works while it runs, too."""
    from engine import export as door

    existing = door.Existing.REPLACE if force else door.Existing.REFUSE
    typer.echo(
        door.export(directory, out, format, existing, door.Choice(tuple(where), sample, validation, tuple(settings))).text()
    )


@app.command()
def verify(
    directory: RunDir,
    everything: Annotated[bool, typer.Option("--all", help="rouge_score judges every verdict, not a sample: slow.")] = False,
) -> None:
    """Replay a run and believe nothing: checksums, order, every prompt, every verdict. Exit code 8 on any difference."""
    from engine import verify as door

    found = door.verify(directory, door.Extent.ALL if everything else door.Extent.SAMPLE)
    typer.echo(found.text(directory))
    raise typer.Exit(8 if found.differences else 0)


@app.command()
def repair(
    directory: RunDir,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do it without asking. Without a terminal nothing is asked, and nothing done.")
    ] = False,
) -> None:
    """Save what can be saved of a damaged journal: shows what would be dropped, asks, and keeps the old journal beside it."""
    from engine import repair as door

    def agreed(shown: str) -> bool:
        typer.echo(shown)
        return yes or (sys.stdin.isatty() and typer.confirm("Mend it?", default=False))

    said = door.repair(directory, agreed)
    typer.echo(said)
    raise typer.Exit(2 if said == door.NOTHING else 0)


@app.command()
def refold(
    directory: RunDir,
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The new run directory.", show_default=False)],
    changes: Changes = [],  # noqa: B006
) -> None:
    """Judge a run's recorded replies again under other thresholds or filters, into a NEW run directory, without a call.

    For example: seeddrill refold runs/a runs/b --set options.rouge_max=0.6. 'seeddrill run' on NEW asks only what is missing.
    """
    from engine import refold as door

    typer.echo(door.refold(directory, new, changes))


@app.command()
def diff(
    directory: RunDir,
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Its refold, or any run of the same answers.", show_default=False)],
    most: Annotated[int, typer.Option(min=0, help="Examples of each kind.")] = 10,
) -> None:
    """Say what a refold keeps and drops that the run itself did not, and why."""
    from engine import diff as door

    typer.echo(door.diff(directory, new, most))


@app.command()
def simulate(
    script: Annotated[Path | None, typer.Argument(metavar="SCRIPT", help="A TOML file.", show_default=False)] = None,
    port: Annotated[int, typer.Option(help="0 is any that is free.")] = 8080,
    seed: Annotated[int, typer.Option(help="Of answers and weather.")] = 0,
    example: Annotated[bool, typer.Option("--example", help="Print a script that shows every key.")] = False,
) -> None:
    """Play paid providers on this machine: quotas of every kind, prices, bad weather, and books of what was really used."""
    from engine import simulate as door

    typer.echo(door.example(), nl=False) if example else door.simulate(script, port, seed)


probe_cli.add(app)


@plans.command("new")
def plan_new(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="self_instruct, alpaca, backtranslation or augment.")],
) -> None:
    """Print a commented plan to start from."""
    from engine import planning

    typer.echo(planning.new(recipe), nl=False)


@plans.command("check")
def plan_check(
    plan: PlanFile,
    changes: Changes = [],  # noqa: B006
    show: Annotated[int, typer.Option(min=0, help="Print this many first prompts of each step, exactly as sent.")] = 0,
    estimate: Annotated[bool, typer.Option("--estimate", help="Say what the whole run may take: calls, money, hours.")] = False,
    pilot: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="Estimate from what a small run of this recipe measured.")
    ] = None,
) -> None:
    """Check a plan without a call: keys, lanes, prices, seeds, templates, filters; with --show, print its first prompts; with
    --estimate, calls, tokens, money, hours and disk of the whole run, from a pilot run (--from) or guessed."""
    from engine import forecast, planning
    from engine.plan import load

    chosen = load(plan, changes)
    typer.echo(planning.check(chosen, show))
    if estimate or pilot:
        typer.echo(forecast.text(chosen, pilot))


@lanes.command("check")
def lanes_check(
    plan: PlanFile,
    changes: Changes = [],  # noqa: B006
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Send each lane of PLAN one call, the cheapest there is, all at once: does the server answer, is the key accepted, does the
    model exist, how long does it take, which limits do its headers name. Exit code 4 where a lane fails."""
    from engine import lanecheck
    from engine.plan import load

    found = lanecheck.check(load(plan, changes))
    typer.echo(lanecheck.as_json(found) if json else lanecheck.as_text(found))
    raise typer.Exit(0 if all(lane.fault is None for lane in found) else 4)


@seeds.command("check")
def seeds_check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Seed tasks or texts, one JSON object a line.", show_default=False)
    ],
) -> None:
    """Check a file of seed tasks or texts: lines and reasons of faults, pairs too similar, a summary. Exit code 2 on a fault."""
    from engine import seedfile

    report = seedfile.check(file)
    typer.echo(seedfile.as_text(report))
    raise typer.Exit(2 if report.faults else 0)
