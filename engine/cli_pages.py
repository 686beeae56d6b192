"""The verbs that show runs: report, dashboard, watch. As in `engine.cli`: parses and prints, decides nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunDir = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.", show_default=False)]


def add(app: typer.Typer) -> None:
    """Give the command line these verbs."""
    for verb in (report, dashboard, watch):
        app.command()(verb)


def report(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="A run, or several to compare.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="The file to write; without it DIR/report.html.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Every figure and histogram bin as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="The same as rows of run, figure, value.")] = False,
) -> None:
    """Tell everything of a run in one HTML file that needs no network, or compare several. Works while it runs, too."""
    from engine import report as door

    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    form = door.Form.JSON if as_json else door.Form.CSV if as_csv else door.Form.HTML
    typer.echo(door.report(directories, form, out))


def dashboard(
    directory: RunDir,
    port: Annotated[int, typer.Option(help="The next free one, if it is in use.", min=0, max=65535)] = 8390,
    host: Annotated[str, typer.Option(help="Where to listen: this machine only, unless told otherwise.")] = "127.0.0.1",
    no_token: Annotated[bool, typer.Option("--no-token", help="Let everybody see it who reaches the port.")] = False,
) -> None:
    """Show the report of a run as a live page, and its metrics for Prometheus at /metrics. Ends with Ctrl-C; writes nothing."""
    from engine import dashboard as door

    door.serve(directory, door.Place(host, port, door.Access.OPEN if no_token else door.Access.TOKEN))


def watch(
    directory: RunDir,
    as_json: Annotated[bool, typer.Option("--json", help="Each pulse of the run as a line of JSON.")] = False,
) -> None:
    """Show a run of any shell as its own terminal does, until it ends. Ctrl-C ends the view, never the run."""
    from engine import watch as door

    door.watch(directory, door.Form.JSON if as_json else door.Form.VIEW)
