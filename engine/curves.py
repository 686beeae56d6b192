"""Charts as SVG: lines over two axes, in colours that a page's style sheet gives, so that they are readable on light and dark.

Pure; for pages. Nothing is loaded from anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 860, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 24, 12, 44
_ROWS, _COLUMNS = 5, 8
"""Steps that an axis has at the most."""
_MOST = 1500
"""Points of a line; more are not seen."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --faint: #6b7280; --grid: #e3e6ea;
  --a: #0072b2; --b: #009e73; --c: #d55e00; --d: #8a5a9c; --e: #b58900; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e6e8eb; --faint: #9aa3ad; --grid: #2b3138;
  --a: #56b4e9; --b: #2fcf9f; --c: #ff8a3d; --d: #cc9fdd; --e: #f0c94a; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 900px; margin: 2em auto;
  padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; margin: .5em 0; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .25em 1em .25em 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
pre { background: color-mix(in srgb, var(--grid) 40%, transparent); padding: .8em; overflow-x: auto; }
svg { width: 100%; height: auto; } svg text { fill: var(--faint); font: 12px system-ui, sans-serif; }
.grid { stroke: var(--grid); } .line { fill: none; stroke-width: 1.8; } .dash { stroke-dasharray: 6 4; }
.legend { color: var(--faint); font-size: .9em; } .legend b { font-weight: 600; }
.a { stroke: var(--a); } .b { stroke: var(--b); } .c { stroke: var(--c); } .d { stroke: var(--d); } .e { stroke: var(--e); }
b.a { color: var(--a); } b.b { color: var(--b); } b.c { color: var(--c); } b.d { color: var(--d); } b.e { color: var(--e); }
"""
"""The five colours (after Okabe and Ito) differ for most kinds of colour blindness."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line. `hue` is a letter from a to e; `dashed` lines are models, or lie upon another that has to be seen."""

    name: str
    points: Sequence[tuple[float, float]]
    hue: str
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Axes:
    """What the axes say."""

    x: str
    y: str
    ticks: Sequence[tuple[float, str]] = ()
    """Of the x axis, where it is not a plain scale."""


def chart(series: Sequence[Series], axes: Axes) -> str:
    """A figure with its legend; a sentence in its place where there is nothing to draw."""
    points = [point for one in series for point in one.points if all(map(math.isfinite, point))]
    if not points:
        return "<p class=legend>Nothing to draw.</p>"
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = min(xs), max(max(xs), min(xs) + 1e-9)
    frame = _Frame(low, high, rounds(max(ys), _ROWS)[-1])
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(axes.y)} over {escape(axes.x)}">']
    parts += _grid(frame, axes)
    for one in series:
        dash = " dash" if one.dashed else ""
        parts.append(f'<polyline class="line {one.hue}{dash}" points="{frame.path(thinned(one.points))}"/>')
    parts.append("</svg>")
    legend = " · ".join(f"<b class={one.hue}>{'- - ' if one.dashed else '— '}{escape(one.name)}</b>" for one in series)
    return "".join(parts) + f"<p class=legend>{legend}</p>"


@dataclass(frozen=True, slots=True)
class _Frame:
    """From figures to places."""

    low: float
    high: float
    top: float

    def x(self, value: float) -> float:
        return _LEFT + (value - self.low) / (self.high - self.low) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - value / self.top * (HEIGHT - _TOP - _BOTTOM)

    def path(self, points: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points if math.isfinite(x) and math.isfinite(y))


def _grid(frame: _Frame, axes: Axes) -> list[str]:
    parts = []
    for value in rounds(frame.top, _ROWS):
        y = frame.y(value)
        parts.append(f'<line class=grid x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{figure(value)}</text>')
    ticks = axes.ticks or [(at, figure(at)) for at in rounds(frame.high, _COLUMNS) if frame.low <= at <= frame.high]
    parts += [
        f'<text x="{frame.x(at):.1f}" y="{HEIGHT - _BOTTOM + 16}" text-anchor="middle">{escape(name)}</text>'
        for at, name in ticks
    ]
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(axes.x)}</text>')
    middle = (_TOP + HEIGHT - _BOTTOM) / 2
    parts.append(f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">{escape(axes.y)}</text>')
    return parts


def thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Every so many points, and the last one."""
    step = math.ceil(len(points) / _MOST)
    return points if step <= 1 else [*points[::step], points[-1]]


def rounds(value: float, most: int) -> list[float]:
    """Round figures from 0 on, at equal steps, the last of them not below the value; `most` steps at the most."""
    if value <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(value / most))
    step = next(size * power for size in (1, 2, 5, 10) if size * power * most >= value * (1 - 1e-9))
    return [n * step for n in range(math.ceil(value / step * (1 - 1e-9)) + 1)]


def figure(value: float) -> str:
    """A number for an axis."""
    if value >= 10_000:
        return f"{value / 1000:,.10g}k"
    return f"{value:,.10g}"
