"""Pages: the figures of runs as one HTML file that loads nothing, or as the body that a live page polls.

A door's part: templates and style lie in `engine/pages`. Whatever a record holds is shown as text.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from engine import charts
from engine.core.harvest import EXAMPLES
from engine.core.money import brief
from engine.sections import Run, number, sections
from engine.version import VERSION

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""Control characters, marks that turn text around, and what is not seen at all."""


def visible(text: str) -> str:
    """The text with what could not be seen, or could mislead, written out: "⟨U+202E⟩"."""
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def whole(runs: Sequence[Run]) -> str:
    """A report: a file of its own."""
    return _page(runs, _body_values(runs), poll=False)


def live(run: Run) -> str:
    """The live page, which fills itself."""
    return _page([run], _body_values([run]), poll=True)


def body(run: Run) -> str:
    """What the live page shows of a run, to take the place of what it showed before."""
    return _templates().get_template("body.html").render(_body_values([run]))


def _page(runs: Sequence[Run], values: dict[str, Any], *, poll: bool) -> str:
    style, script = ((files("engine") / "pages" / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return (
        _templates()
        .get_template("page.html")
        .render(
            values,
            title=" and ".join(visible(run.name) for run in runs),
            poll=poll,
            style=Markup(style),
            script=Markup(script),
            hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            version=VERSION,
            made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        )
    )


def _body_values(runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "runs": runs,
        "sections": sections(runs),
        "tiles": tiles,
        "examples": EXAMPLES,
        "drawable": charts.drawable(),
    }


def tiles(run: Run) -> list[tuple[str, str]]:
    """The first figures that anybody asks for."""
    told = run.figures
    steps, lanes = told["steps"].values(), told["lanes"].values()
    kept = next(iter(steps))["kept"] if told["steps"] else 0
    lost = sum(sum(step["dropped"].values()) for step in steps)
    made = sum(step["kept"] for step in steps) + lost
    shown = [
        ("Goal", number(run.goal)),
        ("Instructions", number(told["table"]["instructions"])),
        ("Records", number(told["table"]["instances"])),
        ("Dropped", f"{number(lost)} ({lost / made:.0%})" if made else number(lost)),
        ("Requests given up", number(sum(sum(step["faults"].values()) for step in steps))),
        ("Calls", number(sum(lane["calls"] for lane in lanes))),
        ("Tokens", number(sum(lane[name] for lane in lanes for name in lane if name.startswith("tokens_")))),
    ]
    if run.currency:
        shown.append(("Spent", brief(sum(lane["cost"] for lane in lanes), run.currency)))
    if told["table"]["instructions"] != kept:
        shown.insert(1, ("Kept of the first step", number(kept)))
    return shown


@cache
def _templates() -> Environment:
    made = Environment(loader=PackageLoader("engine", "pages"), autoescape=True, undefined=StrictUndefined)
    made.filters["visible"] = visible
    return made
