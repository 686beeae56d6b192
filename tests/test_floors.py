"""The house as data: which file stands on which floor, what the pure rooms may not name, how large anything may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

FLOORS = {
    "F0 nouns": """
        engine/version engine/__init__
        engine/core/__init__ engine/core/faults engine/core/tariff engine/core/http engine/core/types engine/core/rng
    """,
    "F1 rules": """
        engine/core/text engine/core/scripts engine/core/verbatim engine/core/names engine/core/identification
        engine/core/numerals engine/core/parts engine/core/answers engine/core/repeats engine/core/marks engine/core/parse
        engine/core/structured engine/core/events engine/core/speech engine/core/schema
        engine/core/score engine/core/roundtrip engine/core/filters engine/core/dedup engine/core/limits engine/core/loops
        engine/core/keys engine/core/language engine/core/translations
        engine/core/slices engine/core/window engine/core/slicing engine/core/aimd engine/core/reach engine/core/habits
        engine/core/quota
        engine/core/spent engine/core/retry engine/core/recipe engine/core/in_json engine/core/bet
        engine/core/tally engine/core/lines engine/core/track
        engine/core/money engine/core/prices engine/core/budget engine/core/till
        engine/core/estimate
        engine/core/documents engine/core/growth engine/core/intake engine/core/agenda engine/core/settler
        engine/core/past engine/core/refold
        engine/core/sketches engine/core/verbs engine/core/published engine/core/pace engine/core/harvest engine/core/figures
        engine/core/caps engine/core/shapes engine/core/trials engine/core/laws engine/core/refill engine/core/fits
        engine/core/declared engine/core/estimates engine/core/latency engine/core/balance
        engine/core/prober engine/core/subject engine/core/pressing engine/core/at_once engine/core/probing
    """,
    "F2 methods and dialects": """
        providers/__init__ providers/reading providers/profile providers/openai
        providers/deepseek providers/dashscope providers/zhipu providers/moonshot providers/mistral providers/openrouter
        providers/vllm providers/llama_cpp providers/local
        providers/azure_openai providers/anthropic providers/gemini providers/ollama
        providers/contract
        engine/recipes/__init__ engine/recipes/self_instruct engine/recipes/alpaca
        engine/recipes/backtranslation engine/recipes/augment
        providers/libretranslate providers/apertium providers/deepl providers/google_translate providers/azure_translator
        providers/baidu providers/youdao providers/amazon_translate providers/alibaba_mt
        providers/demonstrations providers/llm_translate
        engine/pricing engine/plan
    """,
    "F3 effects": """
        engine/runtime/__init__ engine/runtime/clock engine/runtime/loop
        engine/runtime/wire engine/runtime/keys engine/runtime/listening
        engine/runtime/local engine/runtime/llama
        engine/runtime/lane engine/runtime/account engine/runtime/inquiring engine/runtime/sharing
        engine/runtime/reading engine/runtime/source
        engine/runtime/disk engine/runtime/segments engine/runtime/journal engine/runtime/log
        engine/runtime/mailbox engine/runtime/control engine/runtime/leash engine/runtime/apertium
    """,
    "F4 the loop": """
        engine/runtime/leasing engine/runtime/judging engine/runtime/settling engine/runtime/feeding engine/runtime/calling
        engine/runtime/slots engine/runtime/asking
        engine/runtime/pulse engine/runtime/scheduler
        engine/runtime/commands
        engine/runtime/prober
    """,
    "F5 composition": """
        engine/seedfile engine/identify engine/inputs engine/context engine/rundir engine/funds engine/lanes engine/app
    """,
    "-- a stranger": """
        providers/simulator/__init__ providers/simulator/calls providers/simulator/tables providers/simulator/data
        providers/simulator/quota providers/simulator/account providers/simulator/weather
        providers/simulator/cipher providers/simulator/shapes providers/simulator/answers providers/simulator/books
        providers/simulator/streams providers/simulator/dialects/__init__ providers/simulator/translating providers/simulator/talk
        providers/simulator/dialects/openai providers/simulator/dialects/deepseek providers/simulator/dialects/dashscope
        providers/simulator/dialects/zhipu providers/simulator/dialects/moonshot providers/simulator/dialects/mistral
        providers/simulator/dialects/openrouter providers/simulator/dialects/vllm providers/simulator/dialects/llama_cpp
        providers/simulator/dialects/azure_openai providers/simulator/dialects/anthropic providers/simulator/dialects/gemini
        providers/simulator/dialects/ollama providers/simulator/dialects/libretranslate
        providers/simulator/dialects/apertium providers/simulator/dialects/deepl
        providers/simulator/dialects/google_translate providers/simulator/dialects/azure_translator
        providers/simulator/signing providers/simulator/dialects/baidu providers/simulator/dialects/youdao
        providers/simulator/dialects/amazon_translate providers/simulator/dialects/alibaba_mt
        providers/simulator/script providers/simulator/site providers/simulator/world
        providers/simulator/server providers/simulator/__main__
    """,
    "F6 doors": """
        engine/metrics engine/live engine/progress engine/status engine/why engine/watch
        engine/charts engine/sections engine/page engine/report engine/dashboard engine/cli_pages
        engine/exports/__init__ engine/exports/example engine/exports/choose engine/exports/settings engine/exports/neighbours
        engine/exports/gather engine/exports/rows engine/exports/finetune engine/exports/sheet engine/exports/encode
        engine/exports/formats engine/exports/card engine/exports/write engine/export
        engine/refold engine/repair engine/diff engine/verify
        engine/rehearsal engine/planning engine/lanecheck engine/forecast engine/quickstart engine/tune engine/simulate
        engine/curves engine/probe_report engine/probe_page engine/probe_order engine/probe engine/probe_cli
        engine/cli engine/__main__
    """,
}
"""A file imports only from a lower floor, or from an earlier place on its own."""

PLACES = {f"{name}.py": n for n, name in enumerate(" ".join(FLOORS.values()).split())}
PURE = ("engine/core/", "engine/recipes/", "providers/")
STRANGER = "providers/simulator/"
REAL = (f"{STRANGER}server.py", f"{STRANGER}__main__.py")
"""Of the stranger's files, those that may know sockets, clocks and files."""
EFFECTS = {"asyncio", "anyio", "aiohttp", "aiolimiter", "time", "os", "pathlib", "structlog"}
LINES_A_FILE, LINES_A_CLASS, LINES_A_FUNCTION, PARAMETERS = 400, 200, 50, 6


def files() -> list[str]:
    """Every Python file of the product, from the top of the project."""
    found = [path for room in ("engine", "providers") for path in (ROOT / room).rglob("*.py")]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


@cache
def tree(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


def imported(file: str) -> Iterator[str]:
    """The dotted names that a file imports when it runs, those inside its functions included."""
    waiting: list[ast.AST] = [tree(file)]
    while waiting:
        match waiting.pop():
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=orelse):
                waiting += orelse
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                assert level == 0, f"{file} has a relative import"
                yield from (f"{module}.{name.name}" for name in names)
            case node:
                waiting += ast.iter_child_nodes(node)


def home(name: str) -> str | None:
    """The file of ours that a dotted name lies in, `None` for what others wrote."""
    parts = name.split(".")
    while parts:
        for file in ("/".join(parts) + ".py", "/".join(parts) + "/__init__.py"):
            if (ROOT / file).is_file():
                return file
        parts.pop()
    return None


def test_every_file_has_its_place() -> None:
    """Every file under engine/ and providers/ stands in the table, and the table names no other."""
    assert files() == sorted(PLACES)


def test_imports_only_go_down() -> None:
    """A file imports only from lower floors or from an earlier place on its own floor."""
    upwards = {
        f"{file} imports {name}"
        for file in files()
        for name in imported(file)
        if (below := home(name)) is not None and PLACES[below] >= PLACES[file]
    }
    assert not upwards


@pytest.mark.parametrize("file", [file for file in files() if file.startswith(PURE) and file not in REAL])
def test_pure_rooms_name_no_effects(file: str) -> None:
    """Core, recipes and dialects know no loop, clock, disk, network, logger or global randomness."""
    roots = {name.split(".")[0] for name in imported(file)}
    assert not roots & EFFECTS
    assert {name for name in imported(file) if name.startswith("random")} <= {"random.Random"}
    assert not [node for node in ast.walk(tree(file)) if isinstance(node, ast.Name) and node.id == "open"]


def test_stranger_knows_nothing_of_ours() -> None:
    """The simulator imports neither the engine nor a dialect of it, and of ours only the doors may import the simulator."""
    stranger = {file for file in files() if file.startswith(STRANGER)}
    ours = ("engine", "providers")
    assert not [
        f"{file} imports {name}"
        for file in sorted(stranger)
        for name in imported(file)
        if name.split(".")[0] in ours and not f"{name}.".startswith("providers.simulator.")
    ]
    doors = FLOORS["F6 doors"].split()
    assert not [
        f"{file} imports {name}"
        for file in files()
        for name in imported(file)
        if file not in stranger and file.removesuffix(".py") not in doors and f"{name}.".startswith("providers.simulator.")
    ]


def test_judge_is_not_the_engine() -> None:
    """The engine scores by itself; `rouge_score` is what the tests hold it against."""
    users = {file for file in files() for name in imported(file) if name.startswith("rouge_score")}
    assert users == {"engine/verify.py"}, "only what checks a run may ask the judge"


def test_pure_room_opens_no_socket_library() -> None:
    """Importing the agenda, and with it most of core, loads neither an event loop nor an HTTP client."""
    code = "import sys, engine.core.agenda; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "engine.core.agenda" in loaded
    assert not {"aiohttp", "anyio", "asyncio", "engine.app"} & set(loaded)


class Size(NamedTuple):
    """How large a named thing is."""

    size: int
    name: str


def sizes(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[tuple[str, ast.AST]]:
    """Every definition of a kind, with a name that finds it."""
    for file in files():
        for node in ast.walk(tree(file)):
            if isinstance(node, kind):
                yield f"{file}:{node.lineno} {node.name}", node  # type: ignore[attr-defined]


def lines_of(node: ast.AST) -> int:
    return node.end_lineno - node.lineno + 1  # type: ignore[attr-defined, no-any-return]


def parameters(node: ast.AST) -> int:
    """Parameters of a function, `self` and `cls` apart, and the options of a verb: nobody calls those in an order."""
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    given = node.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    options = [one for one in named if one.annotation is not None and "typer.Option(" in ast.unparse(one.annotation)]
    return sum(parameter.arg not in ("self", "cls") for parameter in named) - len(options)


def measured(what: str) -> list[Size]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    match what:
        case "lines a file":
            return [Size(len((ROOT / file).read_text(encoding="utf-8").splitlines()), file) for file in files()]
        case "lines a class":
            return [Size(lines_of(node), name) for name, node in sizes(ast.ClassDef)]
        case "lines a function":
            return [Size(lines_of(node), name) for name, node in sizes(functions)]
        case _:
            return [Size(parameters(node), name) for name, node in sizes(functions)]


@pytest.mark.parametrize(
    ("what", "limit"),
    [
        ("lines a file", LINES_A_FILE),
        ("lines a class", LINES_A_CLASS),
        ("lines a function", LINES_A_FUNCTION),
        ("parameters a function", PARAMETERS),
    ],
)
def test_nothing_outgrows_its_limit(what: str, limit: int) -> None:
    """Files, classes, functions and parameter lists stay small; the ten largest are printed."""
    ten = sorted(measured(what), reverse=True)[:10]
    print(f"\n{what}, at most {limit}:", *(f"{size:5}  {name}" for size, name in ten), sep="\n")
    assert ten[0].size <= limit
