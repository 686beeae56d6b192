"""The pictures of the README: the live view of a run on a terminal, and its report in a browser.

Both are of a real run, against the simulator on loopback. Takes about three minutes; needs chromium and the extra `test`:

    python docs/pictures/make.py
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright
from rich.console import Console

import engine
from engine import live, report
from engine.runtime.pulse import Pulse

HERE = Path(__file__).resolve().parent
COLUMNS = 106
LATE = 0.7
"""The share of the goal at which the terminal is drawn."""
LARGEST = 300_000
"""Bytes of a picture."""
SIZE = {"width": 1000, "height": 700}
PARTS = ("Likeness", "Rate over time")
"""Sections of the report that are shown, below its first figures: all of it is many pages long."""

WORLD = """
[answers]
near_duplicates = 0.12
refused = 0.01
malformed = 0.01
truncated = 0.02

[accounts.a]
prefix = "/a"
keys = ["simulated"]
limits = [{ kind = "sliding", limit = 300 }]

[accounts.a.weather]
first_byte = { lognormal = [0.8, 0.4] }
tokens_per_second = { uniform = [60, 140] }
errors = { 500 = 0.01, 503 = 0.005 }

[accounts.b]
prefix = "/b"
keys = ["simulated"]
limits = [{ kind = "sliding", limit = 900 }]

[accounts.b.weather]
first_byte = { lognormal = [0.3, 0.5] }
tokens_per_second = { uniform = [100, 200] }
errors = { 500 = 0.004 }
"""
PLAN = """
recipe = "self_instruct"
goal = 1000

[budget]
usd = 2.0

[lanes.ideas]
provider = "openai"
model = "gpt-4.1-mini"
base_url = "{home}/a/v1"
key = "env:SIMULATED_KEY"
role = "propose"
requests_per_minute = 300

[lanes.answers]
provider = "openai"
model = "gpt-4o-mini"
base_url = "{home}/b/v1"
key = "env:SIMULATED_KEY"
role = ["classify", "answer"]
requests_per_minute = 900
"""


@contextmanager
def simulator(folder: Path) -> Iterator[str]:
    """The address of a simulator of our own, for as long as the block lasts."""
    script = folder / "world.toml"
    script.write_text(WORLD)
    command = [sys.executable, "-m", "engine", "simulate", str(script), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split()[2].rstrip(";")
        finally:
            server.terminate()


def terminal(pulse: Pulse, pace: live.Pace, path: Path) -> None:
    """The live view of one moment, as SVG that loads nothing: without the fonts that rich fetches from elsewhere."""
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(live.panel(pulse, pace))
        drawn = console.export_svg(title="seeddrill run plan.toml runs/a")
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL).replace("Fira Code", "Menlo, Consolas, DejaVu Sans Mono")
    path.write_text("\n".join(line.rstrip() for line in drawn.splitlines()) + "\n", encoding="utf-8")


def browser(page: Path, path: Path) -> None:
    """Some sections of a report, as they are."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = chromium.new_page(viewport=SIZE, color_scheme="light")  # type: ignore[arg-type]
        tab.goto(page.as_uri())
        tab.evaluate(
            """shown => document.querySelectorAll("section:not(.tiles)").forEach(one =>
                shown.includes(one.querySelector("h2").textContent) || one.remove())""",
            PARTS,
        )
        tab.screenshot(path=path, full_page=True)
        chromium.close()


def main() -> None:
    pace, moments = live.Pace(), list[Pulse]()

    def seen(pulse: Pulse) -> None:
        pace.add(pulse)
        print(live.line(pulse, pace), file=sys.stderr)
        if not moments and pulse.kept > LATE * (pulse.goal or 0) and all(lane.in_flight for lane in pulse.lanes):
            moments.append(pulse)
            terminal(pulse, pace, HERE / "terminal.svg")

    os.environ["SIMULATED_KEY"] = "simulated"
    with TemporaryDirectory() as work, simulator(Path(work)) as home:
        (Path(work) / "plan.toml").write_text(PLAN.format(home=home))
        run = Path(work) / "a"
        engine.run(Path(work) / "plan.toml", run, on_pulse=seen)
        report.report([run], report.Form.HTML, None)
        browser(run / "report.html", HERE / "report.png")
    for picture in (HERE / "terminal.svg", HERE / "report.png"):
        size = picture.stat().st_size
        print(f"{picture.name}: {size:,} bytes")
        assert size < LARGEST, "too large for a page"


if __name__ == "__main__":
    main()
