"""The documentation says what is true: its plans pass, its links lead somewhere, and what it names is there."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

import engine
from engine import metrics, planning, recipes
from engine.cli import app
from engine.core import roundtrip
from engine.core.filters import FILTERS
from engine.core.roundtrip import Gate
from engine.plan import load
from engine.report import Form, report
from engine.runtime.pulse import EXIT_CODES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


@cache
def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(language: str, pages: list[Path] = PAGES) -> list[Any]:
    """The code of the pages in one language, each block named by page and line."""
    return [
        pytest.param(found[2], id=f"{name(page)}:{read(page).count(chr(10), 0, found.start()) + 1}")
        for page in pages
        for found in _FENCED.finditer(read(page))
        if found[1] == language
    ]


@pytest.fixture(scope="module")
def at_hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the plans of the pages read."""
    folder = tmp_path_factory.mktemp("plans")
    lines = (ROOT / "seeds" / "texts.zh.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:30]
    (folder / "texts.jsonl").write_text("".join(lines), encoding="utf-8")
    record = '{"instruction": "Name the capital of the country.", "input": "Country: Austria", "output": "Vienna"}'
    (folder / "data.json").write_text(f"[{record}]", encoding="utf-8")
    return folder


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """All keys that any page names, as somebody has them who works with it."""
    for key in {key for page in PAGES for key in re.findall(r"env:([A-Z0-9_]+)", read(page))}:
        monkeypatch.setenv(key, "no-such-key")


@pytest.mark.parametrize("text", blocks("toml"))
def test_plans_are_good(text: str, at_hand: Path, keys: None) -> None:
    """Every block of TOML can be read, and one that names a recipe of ours is a plan that `plan check` finds good."""
    if tomllib.loads(text).get("recipe") in recipes.names():
        (at_hand / "plan.toml").write_text(text, encoding="utf-8")
        assert planning.check(load(at_hand / "plan.toml"), 0).startswith("The plan is good")


def section(page: str, title: str) -> str:
    """What stands under a heading, up to the next one of its rank."""
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", read(ROOT / "docs" / page), re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize("recipe", recipes.names())
def test_every_option_of_a_recipe_is_told(recipe: str) -> None:
    """The page on recipes names each option, and the limits of documents with their defaults."""
    told = section("recipes.md", recipe)
    for field in msgspec.structs.fields(recipes.find(recipe).options):
        match field.name:
            case "gate":
                assert "[options.gate]" in told
            case "documents":
                assert all(f"`{one.name}` {one.default:,}" in told for one in msgspec.structs.fields(type(field.default)))
            case option:
                assert f"`{option}`" in told


def test_every_check_of_the_gate_is_told() -> None:
    """The page on back-translation names each option of the gate, and each reason that its checks give."""
    told = section("backtranslation.md", "The gate")
    source = Path(roundtrip.__file__).read_text(encoding="utf-8")
    reasons = {*re.findall(r'_told\("(\w+)"', source), *roundtrip.MARKS, "numbers", "unfinished", "language", "pivot_language"}
    assert not {name for name in (*Gate.__struct_fields__, *reasons) if f"`{name}`" not in told}


def test_every_filter_is_told() -> None:
    """The page on recipes names each filter."""
    assert not {one for one in FILTERS if f"`{one}`" not in read(ROOT / "docs" / "recipes.md")}


@cache
def sources() -> list[ast.Module]:
    files = [file for room in ("engine", "providers") for file in (ROOT / room).rglob("*.py")]
    return [ast.parse(file.read_text(encoding="utf-8")) for file in files]


def words_of(node: ast.AST) -> str | None:
    """What a text in the code says, with … for what is filled in; a literal has it in one piece, however many lines it takes."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join("…" if isinstance(part, ast.FormattedValue) else words_of(part) or "" for part in parts)
        case _:
            return None


def test_every_message_of_the_page_is_one() -> None:
    """What the page on messages quotes, the code says."""
    said = "\n".join(text for tree in sources() for node in ast.walk(tree) if (text := words_of(node)) is not None)
    quoted = re.findall(r"^\| `([^|]+?)` \|", read(ROOT / "docs" / "troubleshooting.md"), re.MULTILINE)
    assert len(quoted) > 40
    assert not [one for one in quoted if one not in said]


LEVELS = ("debug", "info", "warning", "error")


def events() -> dict[str, tuple[str, set[str]]]:
    """Every event that the code logs, with its level and fields."""
    calls = [node for tree in sources() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        str(call.args[0].value): (call.func.attr, {str(word.arg) for word in call.keywords})
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in LEVELS
        and ast.unparse(call.func.value).endswith("log")
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }


def test_every_event_is_told() -> None:
    """The page on logs has each event with its level and its fields, and no other."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", section("logs.md", "The log of a run"), re.MULTILINE)
    told = {event: (level, set(re.findall(r"`(\w+)`", fields))) for event, level, fields in rows}
    assert len(told) > 10
    assert told == events()


def test_every_metric_is_told() -> None:
    """The page on logs names each metric as Prometheus gets it, and no other."""
    known = dict.fromkeys(("goal", "records", "in_flight", "lag", "seconds", "t"), 1)
    text = metrics.text({"state": "running", "tally": {"steps": {}, "lanes": {}}, **known}).decode()
    made = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    assert len(made) > 20
    assert set(re.findall(r"`(seeddrill_\w+)`", section("logs.md", "Metrics"))) == made


@pytest.mark.parametrize("code", blocks("python"))
def test_python_can_be_read_and_names_what_is_there(code: str) -> None:
    """Every block of Python compiles, and what it imports of ours exists."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("engine", "providers"):
            exec(f"from {node.module} import {', '.join(name.name for name in node.names)}", {})


API = [block for block in blocks("python", [ROOT / "docs" / "python-api.md"]) if "run(" not in block.values[0]]


@pytest.mark.parametrize("code", API)
def test_python_that_reads_a_run_works(code: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of the page on Python that call no vendor are run over a finished run."""
    (run.parent / "runs").mkdir()
    run.rename(run.parent / "runs" / "a")
    monkeypatch.chdir(run.parent)
    exec(code, {"__name__": __name__})


def test_public_names_are_told() -> None:
    """The page on Python names all that `import engine` offers."""
    assert not {one for one in engine.__all__ if f"`{one}" not in read(ROOT / "docs" / "python-api.md")} - {"__version__"}


def test_every_figure_of_the_report_is_told(finished: Path) -> None:
    """The page on reports names each figure of `report --json`, at least by its first part."""
    (figures,) = json.loads(report([finished], Form.JSON, None)).values()
    told = {found.split(".")[0] for found in re.findall(r"`([\w.]+)`", read(ROOT / "docs" / "report.md"))}
    assert not set(figures) - told
    parts = {f".{part}`" for name in ("steps", "lanes") for part in next(iter(figures[name].values()))} | {
        f".{part}`" for name in ("table", "rouge_l", "labels") for part in figures[name]
    }
    page = read(ROOT / "docs" / "report.md")
    assert not [part for part in parts if part not in page.replace(".REASON", "").replace(".KIND", "").replace(".LABEL", "")]


def test_every_test_that_is_named_is_there() -> None:
    """Pages name tests by file and function; both exist."""
    for page in PAGES:
        files = set(re.findall(r"`?((?:tests|bench)/[\w/]+\.py)", read(page)))
        assert not {file for file in files if not (ROOT / file).is_file()}, name(page)
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"\b(test_\w+)`", read(ROOT / "docs" / "faithfulness.md")))
    assert len(named) > 15
    assert not {one for one in named if f"def {one}(" not in tests}


def anchors(page: Path) -> set[str]:
    """What a link may name within a page: its headings, as GitHub makes anchors of them."""
    text = _FENCED.sub("", read(page))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link is to a file that is there, and to a heading that it has."""
    for link in re.findall(r"\]\(([^)\s]+)\)", _FENCED.sub("", read(page))):
        if "://" in link:
            continue
        path, _, place = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{name(page)} has a link to {path}"
        assert not place or place in anchors(target), f"{name(page)} has a link to {link}"


def verbs() -> dict[str, set[str]]:
    """The options of each verb, by what is typed: `plan check` has a name of two words."""
    found: dict[str, set[str]] = {}
    waiting = [("", typer.main.get_command(app))]
    while waiting:
        before, command = waiting.pop()
        for verb, one in getattr(command, "commands", {}).items():
            waiting.append((f"{before}{verb} ", one))
        found[before.strip()] = {
            option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
        }
    return found


def typed() -> Iterator[tuple[str, str]]:
    """Every command of ours that a page shows, with the page: in blocks of shell and between back quotes."""
    for page in PAGES:
        shown = [line for kind, block in _FENCED.findall(read(page)) if kind in ("sh", "ini", "") for line in block.splitlines()]
        shown += [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", _FENCED.sub("", read(page)))]
        for line in shown:
            yield from ((name(page), command) for command in re.findall(r"(?:^|[/\s])seeddrill ([a-z-][^#|&>;']*)", line))


def test_commands_that_are_shown_exist() -> None:
    """Each verb is one, and has each option that stands behind it."""
    known, count = verbs(), 0
    for page, command in typed():
        words = command.split()
        verb = next((one for n in (2, 1) if (one := " ".join(words[:n])) in known), None)
        assert verb is not None, f"{page}: seeddrill {command}"
        options = {word.partition("=")[0] for word in words if re.fullmatch(r"--?[a-z][\w-]*(=.*)?", word)}
        assert options <= known[verb] | {"--help", "-vv"}, f"{page}: seeddrill {command}"
        count += 1
    assert count > 80


def test_exit_codes_of_the_unit_are_those_of_the_table() -> None:
    """A run is started again after the exit codes for which the table says so, and after no other."""
    page = read(ROOT / "docs" / "three-day-run.md")
    rows = dict(re.findall(r"^\| (\d) [^|]*\| (\w+)", page, re.MULTILINE))
    never = set(re.findall(r"\d", re.findall(r"^RestartPreventExitStatus=(.*)$", page, re.MULTILINE)[0]))
    assert {code for code, again in rows.items() if again == "no"} == never - {"8"}
    assert {code for code, again in rows.items() if again == "yes"} == {"1", "7"}
    assert {str(code) for code in EXIT_CODES.values()} <= {*rows}
