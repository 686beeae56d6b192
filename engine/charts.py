"""Charts as inline SVG, drawn with matplotlib (the extra `report`), in the page's own colours: they follow light and dark.

A door: only pages draw. Without matplotlib there are no charts, and a page shows its tables alone.
"""

from __future__ import annotations

import importlib.util
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SERIES = ("#000101", "#000102", "#000103", "#000104", "#000105", "#000106", "#000107", "#000108")
INK, LINE = "#000109", "#00010a"
VARIABLES: Mapping[str, str] = MappingProxyType(
    {**{colour: f"var(--series-{n})" for n, colour in enumerate(SERIES, 1)}, INK: "var(--muted)", LINE: "var(--line)"}
)
"""Colours that stand for a variable of the page's style sheet, which takes their place in the finished drawing."""
WIDTH, HEIGHT = 6.4, 2.3
LABELS = 9
"""Bins, spans and the like that have their name written out."""


FEWEST = 6
"""Places that there is room for, so that a single bar is no wall."""


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers under one name, in the order of the chart's places."""

    name: str
    values: Sequence[float]
    dash: str = "-"
    """matplotlib's line style."""


def drawable() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def bars(places: Sequence[str], series: Sequence[Series], title: str) -> str:
    """Bars side by side over named places: a histogram."""
    figure, axes = _axes()
    width = 0.92 / max(1, len(series))
    for n, (one, colour) in enumerate(zip(series, itertools.cycle(SERIES), strict=False)):
        offset = (n - (len(series) - 1) / 2) * width
        axes.bar([place + offset for place in range(len(places))], one.values, width, color=colour, label=_plain(one.name))
    axes.set_xlim(-0.6, max(len(places), FEWEST) - 0.4)
    shown = range(0, len(places), max(1, -(-len(places) // LABELS)))
    axes.set_xticks(list(shown), [_plain(places[place]) for place in shown])
    return _drawn(figure, axes, len(series), title)


def lines(times: Sequence[float], series: Sequence[Series], title: str) -> str:
    """Lines over time; `times` are UTC seconds. A series that is shorter ends earlier."""
    figure, axes = _axes()
    for one, colour in zip(series, itertools.cycle(SERIES), strict=False):
        here = times[: len(one.values)]
        marker = "o" if len(here) < 3 else ""
        axes.plot(
            here,
            one.values,
            color=colour,
            linewidth=1.6,
            linestyle=one.dash,
            label=_plain(one.name),
            marker=marker,
        )
    if times:
        count = min(6, len(times))
        chosen = [times[0] + (times[-1] - times[0]) * n / max(1, count - 1) for n in range(count)]
        axes.set_xticks(chosen, [_clock(t, times[-1] - times[0]) for t in chosen])
    axes.set_ylim(bottom=0)
    return _drawn(figure, axes, len(series), title)


def _axes() -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0, labelsize=9)
    axes.margins(x=0.01)
    axes.locator_params(axis="y", nbins=5)
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    return figure, axes


def _drawn(figure: Figure, axes: Axes, series: int, title: str) -> str:
    import matplotlib

    if series > 1:
        columns = min(series, 4)
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        axes.legend(ncols=columns, frameon=False, fontsize=9, labelcolor=INK, **place)
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(text, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    drawing = text.getvalue()
    for colour, variable in VARIABLES.items():
        drawing = drawing.replace(colour, variable)
    body = drawing[drawing.index("<svg") :]
    return body.replace("<svg ", '<svg role="img" preserveAspectRatio="xMidYMid meet" ', 1)


def _plain(name: str) -> str:
    """A dollar sign would begin a formula."""
    return name[:60].replace("$", r"\$")


def _clock(t: float, whole: float) -> str:
    told = "%d %b %H:%M" if whole > 86_400 else "%H:%M" if whole > 600 else "%H:%M:%S"
    return datetime.fromtimestamp(t, UTC).strftime(told)
