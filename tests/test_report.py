"""The report of a small run of known content: in a real browser, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from playwright.sync_api import Browser

from engine import page, report
from engine.core.faults import DiskError, PlanError
from engine.report import Form
from tests import runs
from tests.browser import chromium, needs_chromium, opened

EVIL = "<script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\"> \u202egnp.exe $x^2$ {{ 7 * 7 }}"
HOSTILE = {
    **runs.ANSWERS,
    ("instruct", 0, 0): f"1. Name three rivers of this {EVIL}\n2. Decide whether the review below is friendly.\n3. {EVIL}",
    ("instance", 0, 0): f"Example 1\nOutput: {'long ' * 200_000}end",
    ("instance", 1, 0): f"Class label: {EVIL}\nReview: </textarea></style></script>{EVIL}",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


def written(directory: Path, *others: Path) -> str:
    """The address of a run's report."""
    out = directory.with_suffix(".html")
    assert report.report([directory, *others], Form.HTML, out).startswith(str(out))
    return out.as_uri()


@needs_chromium
def test_page_tells_the_counts_and_asks_for_nothing(finished: Path, browser: Browser) -> None:
    """A run of known content: right counts, nothing on the console, no request but the file itself."""
    tab = opened(browser, written(finished))
    tiles = dict(zip(tab.page.locator("dt").all_inner_texts(), tab.page.locator("dd").all_inner_texts(), strict=True))
    assert (tiles["Goal"], tiles["Instructions"], tiles["Records"], tiles["Calls"]) == ("3", "3", "3", "9")
    assert tiles["Dropped"] == "5 (36%)"
    funnel = tab.page.locator("section", has_text="Funnel").first.locator("tbody tr").all_inner_texts()
    assert "instruct\tdropped: duplicate\t1\t16.7%" in funnel and "instruct\tfailed: refused\t1\t33.3%" in funnel
    published = tab.page.locator("section", has_text="Beside the published run").first.locator("tbody tr").all_inner_texts()
    assert "Instances\t3\t82,439" in published and "Share that is classification\t33.3%\t22.1%" in published
    assert tab.page.locator("figure svg").count() >= 6
    assert not tab.said and not tab.asked


@needs_chromium
def test_search_filters_samples(finished: Path, browser: Browser) -> None:
    """What is typed leaves the samples that hold it, in any case, and says how many they are."""
    tab = opened(browser, written(finished))
    samples = tab.page.locator("section[data-kind=samples]")
    assert samples.locator("article:visible").count() == 3
    samples.locator("input").fill("VIENNA")
    assert samples.locator("article:visible").count() == 2
    assert samples.locator(".found").inner_text() == "2 found"
    dropped = tab.page.locator("section[data-kind=dropped]")
    dropped.locator("input").fill("keyword")
    assert dropped.locator("article:visible").all_inner_texts() == ["instruct/2.0 keyword\n\nDraw a map of the harbour."]


@needs_chromium
def test_hostile_texts_are_text(tmp_path: Path, browser: Browser) -> None:
    """Scripts, marks that turn text around, formulas, templates and a line of a megabyte are shown and do nothing."""
    tab = opened(browser, written(runs.make(tmp_path / "run", answers=HOSTILE)))
    body = tab.page.locator("body").inner_text()
    assert tab.page.title() == "run" and not tab.said and not tab.asked
    assert "<script>document.title='hacked'</script>" in body and "⟨U+202E⟩gnp.exe" in body and "{{ 7 * 7 }}" in body
    assert "characters more)" in body
    assert tab.page.locator("script").count() == 1 and tab.page.locator("img").count() == 0
    assert len(tab.page.content()) < 400_000
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_readable_in_both_schemes_and_narrow(finished: Path, browser: Browser, scheme: Any) -> None:
    """Text stands out from its ground by a contrast of 4.5 to 1 at least, and nothing is wider than a telephone."""
    tab = opened(browser, written(finished))
    tab.page.emulate_media(color_scheme=scheme)
    tab.page.set_viewport_size({"width": 390, "height": 800})
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    for selector in ("dd", "dt", ".note", "td", "figure svg text"):
        property = "fill" if "svg" in selector else "color"
        colours = "one => [getComputedStyle(one)[PROPERTY], getComputedStyle(one.closest('section, .run')).backgroundColor]"
        ink, ground = tab.page.locator(selector).first.evaluate(colours.replace("PROPERTY", repr(property)))
        if ground == "rgba(0, 0, 0, 0)":
            ground = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert contrast(ink, ground) >= 4.5, (selector, ink, ground)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two CSS colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
        red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@needs_chromium
def test_two_runs_side_by_side(tmp_path: Path, finished: Path, browser: Browser) -> None:
    """Of two runs each has its column, under its directory's name."""
    answers = {**runs.ANSWERS, ("instance", 0, 0): "Example 1\nOutput: Danube."}
    other = runs.make(tmp_path / "other", answers=answers)
    tab = opened(browser, written(finished, other))
    rows = tab.page.locator("section", has_text="Beside the published run").first.locator("tr").all_inner_texts()
    assert f"\t{finished.name}\tother\tPublished" in rows and "Instances\t3\t2\t82,439" in rows
    assert not tab.said


def test_json_and_csv_have_the_same_figures(finished: Path) -> None:
    """Every figure and every bin under one name in both, and no text of a record in either."""
    told = orjson.loads(report.report([finished], Form.JSON, None))[finished.name]
    assert told["lengths"]["instruction"]["bins"]["[5,10)"] == 3
    assert told["table"]["without_input"] == 1 and told["steps"]["instruct"]["dropped"]["duplicate"] == 1
    rows = list(csv.DictReader(io.StringIO(report.report([finished], Form.CSV, None))))
    named = {row["figure"]: row["value"] for row in rows}
    assert len(named) == len(rows)
    assert named["lengths.instruction.bins.[5,10)"] == "3" and named["usage.main.classify.calls"] == "4"
    assert named["latency.main.answer.most"] == "1.5" and named["time.spans.0.fault refused"] == "1"
    assert not [name for name in named if name.startswith(("samples", "dropped_samples"))]


def test_report_lies_in_the_run_directory(finished: Path) -> None:
    """Without a name the report is the run's own file, and a run directory is none the worse for it."""
    assert "report.html" in report.report([finished], Form.HTML, None)
    assert (finished / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert not list(finished.glob(".*.part"))


def test_report_of_no_run(tmp_path: Path, finished: Path) -> None:
    """A directory that is no run, a file that cannot be written, and a run beside itself: each is told."""
    with pytest.raises(PlanError, match="is not a run directory: one has"):
        report.report([tmp_path], Form.HTML, None)
    with pytest.raises(DiskError, match="cannot be written"):
        report.report([finished], Form.HTML, tmp_path / "no" / "where.html")
    with pytest.raises(PlanError, match="give each directory once"):
        report.report([finished, finished], Form.JSON, None)


def test_charts_need_matplotlib_and_the_page_does_not(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the numbers stand open in the place of the drawings, and the page says what to install."""
    monkeypatch.setattr("engine.charts.drawable", lambda: False)
    html = page.whole([report.read(finished, "run")])
    assert "<svg" not in html and "seeddrill[report]" in html and "<details open>" in html


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\u202eb", "a⟨U+202E⟩b"), ("a\x00b", "a⟨U+0000⟩b"), ("\ud800", "⟨U+D800⟩"), ("a\nb\tc 中文 🌱", "a\nb\tc 中文 🌱")],
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    """Control characters, direction marks and lone surrogates are named; lines, tabs, ideographs and signs stay."""
    assert page.visible(text) == shown
