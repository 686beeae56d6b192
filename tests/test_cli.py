"""The command line: what it says and which code it ends with, above all where the user has something to mend."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import typer

from engine import seedfile
from engine.__main__ import main
from engine.cli import app
from engine.plan import from_data
from engine.runtime.journal import Lock
from tests import runs
from tests.tasks import seed, written

KEY = "sk-only-for-tests"


class Said(NamedTuple):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def seeddrill(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The command, in this process: a bug, which would be a traceback, is an exception here, and so is any question asked."""

    def asking(*_: object) -> None:
        raise AssertionError("this would have been a run")

    monkeypatch.setattr("engine.app.Scheduler", asking)
    monkeypatch.setenv("SEEDDRILL_TEST_KEY", KEY)

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["seeddrill", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        assert isinstance(caught.value.code, int)
        return Said(caught.value.code, *capfd.readouterr())

    return call


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A good plan file."""
    path = tmp_path / "plan.toml"
    path.write_text(runs.PLAN)
    return path


def mendable(said: Said, *words: str) -> None:
    """What the user can mend is one paragraph on stderr, with these words in it, and exit code 2."""
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("seeddrill: ")
    assert said.err.count("\n") == 1
    for word in words:
        assert word in said.err


# Help


def verbs(group: Any = typer.main.get_command(app), *path: str) -> Iterator[tuple[str, ...]]:  # noqa: B008
    """Every verb of the command, as words."""
    for name, command in group.commands.items():
        yield (*path, name)
        if hasattr(command, "commands"):
            yield from verbs(command, *path, name)


@pytest.mark.parametrize("verb", [(), *verbs()], ids=" ".join)
def test_every_verb_has_help(seeddrill: Command, verb: tuple[str, ...]) -> None:
    """`--help` shows how a verb is written and says in a sentence what it does."""
    said = seeddrill(*verb, "--help")
    assert (said.code, said.err) == (0, "")
    usage, _, rest = said.out.strip().partition("\n\n")
    assert usage.startswith(" ".join(("Usage: seeddrill", *verb)))
    assert rest.strip()[0].isupper()
    assert "." in rest.partition("Options:")[0]


def test_no_verb_is_answered_with_help(seeddrill: Command) -> None:
    """Whoever types only the name is told the verbs and where to start."""
    said = seeddrill()
    assert "quickstart" in said.out + said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("arguments", [["fly"], ["run"], ["run", "plan.toml"], ["status"], ["quickstart", "--goal", "0"]])
def test_wrong_arguments_are_told(seeddrill: Command, arguments: list[str]) -> None:
    """A verb that is none and arguments that are missing or impossible end with code 2 and the usage."""
    said = seeddrill(*arguments)
    assert (said.code, said.out) == (2, "")
    assert "Usage: seeddrill" in said.err


# Plans


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (runs.PLAN.replace("goal", "gaol"), ["unknown key 'gaol'", "did you mean 'goal'?"]),
        (runs.PLAN.replace("model", "modle"), ["[lanes.main]", "did you mean 'model'?"]),
        (runs.PLAN + "[options]\nrouge_maxx = 1", ["[options]", "did you mean 'rouge_max'?"]),
        (runs.PLAN.replace("3", "three"), ["plan.toml is not valid TOML", "line 2"]),
        (runs.PLAN.replace("3", '"three"'), ["goal in the plan", "expected `int"]),
        (runs.PLAN.encode() + b"# \xff", ["plan.toml is not UTF-8 text"]),
        (None, ["plan.toml cannot be read", "No such file"]),
    ],
)
def test_plan_that_is_none(seeddrill: Command, tmp_path: Path, text: str | bytes | None, words: list[str]) -> None:
    """A plan with an unknown key, a wrong value or no TOML in it is told by `run` and `plan check` alike, and starts nothing."""
    path = tmp_path / "plan.toml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    mendable(seeddrill("run", path, tmp_path / "run"), *words)
    mendable(seeddrill("plan", "check", path), *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["recipe=backtranslatoin"], ["no recipe 'backtranslatoin'", "alpaca, augment, backtranslation, self_instruct"]),
        (["lanes.main.provider=opnai"], ["no provider 'opnai'", "did you mean 'openai'?"]),
        (["lanes.main.provider=engine.core.types"], ["engine.core.types has no PROVIDER"]),
        (["lanes.main.provider=."], ["no provider '.'"]),
        (["recipe=.self_instruct"], ["no recipe '.self_instruct'"]),
        (["lanes.main.role=wirte"], ["lanes.main.role", "no role 'wirte'", "propose, classify, answer"]),
        (["lanes.main.role=propose"], ["no lane serves the role 'classify'"]),
        (["lanes.main.model="], ["lanes.main names no model"]),
        (["options.filters=['lenght']"], ["no filter 'lenght'", "length"]),
        (["options.filters=['nowhere:check']"], ["'nowhere:check' cannot be imported"]),
        (["options.templates=nowhere"], ["options.templates must be a folder"]),
        (["options.language=xx"], ["language in [options]"]),
        (["lanes.main.requests_per_minute=0"], ["lanes.main.requests_per_minute is 0"]),
        ([f"lanes.main.key={KEY}"], ["env:NAME or file:PATH"]),
        (["goal"], ["--set takes key=value"]),
        (
            ["lanes.main.account=a", "lanes.more={provider='openai', model='m-2', account='a', concurrent=4, key='env:HOME'}"],
            ["lanes.more and lanes.main share an account but declare different quotas"],
        ),
    ],
)
def test_plan_that_cannot_run(seeddrill: Command, plan: Path, tmp_path: Path, changes: list[str], words: list[str]) -> None:
    """Names that lead nowhere are told with those that do, by `run` and `plan check`; a key in a plan is not repeated."""
    options = [part for change in changes for part in ("--set", change)]
    for command in (["run", plan, tmp_path / "run"], ["plan", "check", plan]):
        said = seeddrill(*command, *options)
        mendable(said, *words)
        assert KEY not in said.err


def test_missing_key_is_told_by_its_name(seeddrill: Command, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that is not set is named, by `run` and `plan check` alike."""
    monkeypatch.delenv("SEEDDRILL_TEST_KEY")
    mendable(seeddrill("run", plan, tmp_path / "run"), "SEEDDRILL_TEST_KEY is not set")
    mendable(seeddrill("plan", "check", plan), "SEEDDRILL_TEST_KEY is not set")


def test_malformed_seed_is_told_with_file_and_line(seeddrill: Command, plan: Path, tmp_path: Path) -> None:
    """A seed file is checked before anything is asked."""
    path = written(tmp_path, seed(0), seed(1, is_classification="maybe"))
    mendable(seeddrill("run", plan, tmp_path / "run", "--set", f"seeds={path}"), str(path), "line 2: 'is_classification' must be")


def test_good_plan_is_told_in_words(seeddrill: Command, plan: Path) -> None:
    """`plan check` says what would run, sends nothing and shows no key."""
    said = seeddrill("plan", "check", plan, "--set", "lanes.main.requests_per_minute=60")
    assert (said.code, said.err) == (0, "")
    assert "The plan is good: self_instruct, goal 3, seed 0, 175 seed tasks." in said.out
    assert "Lane main: openai m-1, chat, for answer, classify, propose; requests_per_minute 60, concurrent 300." in said.out
    assert KEY not in said.out


def test_first_prompts_are_shown_as_they_will_be_sent(seeddrill: Command, plan: Path, run: Path) -> None:
    """`--show` prints the prompts that the run then asks: the first is the one that `why` builds again from the journal."""
    shown = seeddrill("plan", "check", plan, "--show", 2).out
    assert "--- instruct/0, to main" in shown
    assert "--- instruct/1, to main" in shown
    prompt = shown.partition("[system]\n")[2].partition("\n---")[0]
    told = seeddrill("why", run, "instruct/0").out
    assert "\n".join(f"  {line}" for line in prompt.splitlines()) in told


@pytest.mark.parametrize("recipe", ["self_instruct", "alpaca"])
def test_new_plan_is_a_good_plan(seeddrill: Command, tmp_path: Path, recipe: str) -> None:
    """What `plan new` prints can be run once the key is there."""
    said = seeddrill("plan", "new", recipe)
    assert (said.code, said.err) == (0, "")
    assert from_data(tomllib.loads(said.out)).recipe == recipe
    path = tmp_path / "plan.toml"
    path.write_text(said.out)
    assert seeddrill("plan", "check", path, "--set", "lanes.main.key=env:SEEDDRILL_TEST_KEY").code == 0


def checked(seeddrill: Command, plan: Path, documents: Path, *lanes: str) -> int:
    """Exit code of the check of a plan over documents, whose lanes have keys."""
    changes = [f"input.path={documents}", *(f"lanes.{lane}.key=env:SEEDDRILL_TEST_KEY" for lane in lanes)]
    return seeddrill("plan", "check", plan, *(part for change in changes for part in ("--set", change))).code


def test_new_plan_of_backtranslation_is_a_good_plan(seeddrill: Command, tmp_path: Path) -> None:
    """With texts and keys it can be run: a translator goes there and back, a model writes."""
    path = tmp_path / "plan.toml"
    path.write_text(seeddrill("plan", "new", "backtranslation").out)
    assert checked(seeddrill, path, seedfile.folder() / "texts.zh.jsonl", "there_and_back", "main") == 0


def test_new_plan_of_augment_is_a_good_plan(seeddrill: Command, tmp_path: Path) -> None:
    """A translator is all that it needs; its commented lane is there for new outputs."""
    path, documents = tmp_path / "plan.toml", tmp_path / "records.jsonl"
    documents.write_text('{"instruction": "写一首诗。", "input": "", "output": "海。"}\n', encoding="utf-8")
    text = seeddrill("plan", "new", "augment").out
    path.write_text(text)
    assert checked(seeddrill, path, documents, "there_and_back") == 0
    head, mark, lane = text.partition("# [lanes.main]\n")
    again = "".join(line.removeprefix("# ") for line in (mark + lane).splitlines(keepends=True))
    path.write_text(head.replace('# answer = "keep"', 'answer = "again"') + again)
    assert checked(seeddrill, path, documents, "there_and_back", "main") == 0


def test_comments_of_a_new_plan_on_money_can_be_uncommented(seeddrill: Command) -> None:
    """The lines on prices and budget, without their marks, are a good plan."""
    lines = seeddrill("plan", "new", "alpaca").out.splitlines()
    ours = ("# price = {", "# [budget]", "# usd", "# rates", "# roles", "# lanes")
    made = from_data(tomllib.loads("\n".join(line.removeprefix("# ") if line.startswith(ours) else line for line in lines)))
    assert made.budget is not None
    assert (made.budget.usd, made.budget.roles, made.budget.rates) == (20.0, {"propose": 5.0}, {"eur": 1.08})


def test_estimate_is_told_behind_the_check(seeddrill: Command, plan: Path, run: Path) -> None:
    """`--estimate` guesses, `--from` measures a run; a directory that is none has to be mended."""
    guessed = seeddrill("plan", "check", plan, "--estimate")
    assert guessed.code == 0
    assert "Estimate of the whole run, 3 instructions, a guess:" in guessed.out
    assert f"instructions, from {run}:" in seeddrill("plan", "check", plan, "--from", run).out
    assert seeddrill("plan", "check", plan, "--estimate", "--from", plan).code == 2


def test_new_plan_of_an_unknown_recipe(seeddrill: Command) -> None:
    """The recipes there are are listed."""
    mendable(seeddrill("plan", "new", "alpacca"), "no recipe 'alpacca'", "alpaca, augment, backtranslation, self_instruct")


# Run directories


def test_directory_of_another_plan(seeddrill: Command, plan: Path, run: Path) -> None:
    """What must not change within a run is told line by line, old and new."""
    said = seeddrill("run", plan, run, "--set", "seed=1", "--set", "options.rouge_max=0.5")
    mendable(said, f"{run} belongs to another plan", "options.rouge_max: 0.7 -> 0.5", "seed: 0 -> 1")


def test_directory_in_use(seeddrill: Command, plan: Path, run: Path) -> None:
    """A second run in the same directory is refused, and told by which process."""
    with Lock(run):
        mendable(
            seeddrill("run", plan, run),
            f"{run} is in use by another run (process {os.getpid()} on",
            "not disturbed",
            "seeddrill status",
        )


def test_directory_that_is_a_file(seeddrill: Command, plan: Path, tmp_path: Path) -> None:
    """A file in the directory's place, or above it, is told as such and left alone."""
    path = tmp_path / "file"
    path.write_text("precious")
    mendable(seeddrill("run", plan, path), f"{path} is a file")
    mendable(
        seeddrill("run", plan, path / "run"), f"{path / 'run'} is a file, or lies in one, and was left alone: choose a directory"
    )
    assert path.read_text() == "precious"


def test_directory_of_something_else(seeddrill: Command, plan: Path, tmp_path: Path) -> None:
    """A directory with other things in it is refused, and stays exactly as it was."""
    folder = tmp_path / "thesis"
    folder.mkdir()
    for name in ("chapter1.tex", "lock"):
        (folder / name).write_text("precious")
    mendable(seeddrill("run", plan, folder), f"{folder} is not empty and not a run directory", "'chapter1.tex' is in it")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"chapter1.tex": "precious", "lock": "precious"}


@pytest.mark.parametrize("verb", ["run", "status", "why", "export"])
def test_corrupt_journal(seeddrill: Command, plan: Path, run: Path, tmp_path: Path, verb: str) -> None:
    """A damaged line is told with file, line and offset by whoever reads it, and nothing is changed."""
    segment = runs.segment(run)
    lines = segment.read_bytes().split(b"\n")
    offset = sum(len(line) + 1 for line in lines[:5])
    lines[5] = lines[5].replace(b"friendly", b"hostile!")
    segment.write_bytes(b"\n".join(lines))
    arguments: dict[str, list[object]] = {
        "run": [plan, run],
        "status": [run],
        "why": [run, "instance/2"],
        "export": [run, "--out", tmp_path / "out.json"],
    }
    mendable(seeddrill(verb, *arguments[verb]), f"{segment} is damaged at line 6, offset {offset}")
    assert segment.read_bytes() == b"\n".join(lines)


@pytest.mark.parametrize("verb", [["status"], ["status", "--json"], ["why", "instruct/0"], ["export", "--out", "out.json"]])
def test_directory_that_is_no_run(seeddrill: Command, tmp_path: Path, verb: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every verb that reads a run says what one is, for an empty directory, a missing one and a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name in ("empty", "missing", "file"):
        mendable(seeddrill(verb[0], name, *verb[1:]), f"{name} is not a run directory", "seeddrill run PLAN DIR")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


def test_finished_run_is_read_by_every_verb(seeddrill: Command, finished: Path, tmp_path: Path) -> None:
    """Status, its JSON, a story and an export of the same run, each on stdout with code 0."""
    assert "3 of 3 instructions, 3 records" in seeddrill("status", finished).out
    assert orjson.loads(seeddrill("status", finished, "--json").out)["records"] == 3
    assert "Verdict:" in seeddrill("why", finished, "instance/0.1").out
    out = tmp_path / "out.jsonl"
    assert seeddrill("export", finished, "--format", "jsonl", "--out", out) == Said(0, f"3 records written to {out}\n", "")
    mendable(seeddrill("export", finished, "--out", out), f"{out} exists", "--force")
    assert seeddrill("export", finished, "--out", out, "--force").code == 0


def test_choices_of_an_export(seeddrill: Command, finished: Path, tmp_path: Path) -> None:
    """Conditions, a sample, a split and settings reach the export; what is wrong with one is a paragraph."""
    out = tmp_path / "data"
    said = seeddrill("export", finished, "--format", "chat", "--out", out, "--validation", 0.5, "--set", "system=Be kind.")
    assert said.out.startswith(f"3 records written to {out}: train.jsonl (")
    assert "Be kind." in (out / "train.jsonl").read_text()
    said = seeddrill("export", finished, "--format", "csv", "--sample", 1, "--where", "lane=main", "--out", tmp_path / "a.csv")
    assert said.out == f"1 records written to {tmp_path / 'a.csv'}\n"
    for words, arguments in (
        ("did you mean 'sharegpt'?", ["--format", "sharegtp"]),
        ("did you mean 'main'?", ["--where", "lane=mani"]),
        ("did you mean 'system'?", ["--format", "chat", "--set", "sistem=x"]),
        ("--validation is a share", ["--validation", "1.5"]),
        ("--sample is how many", ["--sample", "0"]),
    ):
        mendable(seeddrill("export", finished, "--out", tmp_path / "no.json", *arguments), words)
    assert not (tmp_path / "no.json").exists()


def test_process_says_and_ends_the_same(tmp_path: Path) -> None:
    """As a process of its own the command writes its paragraph to stderr and ends with the code."""
    ended = subprocess.run([sys.executable, "-m", "engine", "status", tmp_path], capture_output=True, text=True, check=False)
    mendable(Said(ended.returncode, ended.stdout, ended.stderr), f"{tmp_path} is not a run directory")


# Models on this machine


@pytest.fixture
def server_installed() -> None:
    """What is said of a model's file is said only where its server could be started."""
    pytest.importorskip("xllamacpp")


@pytest.mark.usefixtures("server_installed")
def test_model_that_is_none(seeddrill: Command, tmp_path: Path) -> None:
    """A file that is no GGUF, and a path that leads nowhere, are told by their path before anything is started."""
    path = tmp_path / "model.gguf"
    mendable(seeddrill("quickstart", tmp_path / "run", "--model", path), f"there is no model '{path}'", "gemma3-270m")
    path.write_bytes(b"PK\x03\x04")
    mendable(seeddrill("quickstart", tmp_path / "run", "--model", path), f"{path} is not a GGUF file")


@pytest.mark.usefixtures("server_installed")
def test_port_that_is_taken(seeddrill: Command, tmp_path: Path) -> None:
    """A port that the plan names and somebody else listens on is told by its number."""
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF")
    path = tmp_path / "plan.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        lane = f'provider = "local"\nmodel = "{model}"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
        path.write_text(f'recipe = "self_instruct"\ngoal = 1\n[lanes.main]\n{lane}')
        mendable(seeddrill("run", path, tmp_path / "run"), f"port {port} is taken")


def test_address_of_the_embedded_server_without_a_port_number(seeddrill: Command, tmp_path: Path) -> None:
    """A `base_url` whose port is no number is the plan's fault."""
    path = tmp_path / "plan.toml"
    path.write_text('recipe = "alpaca"\ngoal = 1\n[lanes.main]\nprovider = "local"\nbase_url = "http://127.0.0.1:http/v1"\n')
    mendable(seeddrill("run", path, tmp_path / "run"), "base_url")


# Seeds


def test_seeds_check_ends_with_what_it_found(seeddrill: Command, tmp_path: Path) -> None:
    """0 for a good file, similar pairs or not; 2 where there is a fault, with its line on stdout, or nothing to read."""
    good = seeddrill("seeds", "check", seedfile.folder() / "self_instruct.en.jsonl")
    assert (good.code, good.err) == (0, "")
    assert good.out.startswith("175 tasks, 0 faults\nno pair above ROUGE-L 0.5\n")
    texts = seeddrill("seeds", "check", seedfile.folder() / "texts.zh.jsonl")
    assert (texts.code, texts.err) == (0, "")
    assert texts.out.startswith("120 texts, 0 faults\nno pair above ROUGE-L 0.5\n")
    near = written(tmp_path, seed(0), seed(1, instruction="Name three rivers of old Austria."))
    assert seeddrill("seeds", "check", near).code == 0
    bad = seeddrill("seeds", "check", written(tmp_path, seed(0), b"{"))
    assert (bad.code, bad.err) == (2, "")
    assert "line 2: not JSON" in bad.out
    mendable(seeddrill("seeds", "check", tmp_path / "none.jsonl"), "none.jsonl cannot be read")


# Commands to a run, and the simulator


@pytest.mark.parametrize(
    "command", [["tune", "goal=4"], ["tune", "nonsense"], ["pause", "main"], ["resume", "main"], ["resume", "none"], ["stop"]]
)
def test_command_without_a_run(seeddrill: Command, run: Path, tmp_path: Path, command: list[str]) -> None:
    """Where no run goes on, a command says so with what to type; where there never was one, what a run directory is."""
    verb, *arguments = command
    mendable(seeddrill(verb, run, *arguments), f"no run goes on in {run}", f"'seeddrill run PLAN {run}'", "--set KEY=VALUE")
    mendable(seeddrill(verb, tmp_path / "none", *arguments), "is not a run directory")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["there is no script"]),
        ("seed = 4\naccounts = ?", ["line 2"]),
        ("[[account]]\nname = 4\n", ["world.toml"]),
    ],
)
def test_script_that_is_none(seeddrill: Command, tmp_path: Path, text: str | None, words: list[str]) -> None:
    """A script that is missing or wrong is one sentence, with its line where it has one."""
    path = tmp_path / "world.toml"
    if text is not None:
        path.write_text(text)
    mendable(seeddrill("simulate", path, "--port", 0), str(path), *words)


def test_simulator_that_cannot_be_started(seeddrill: Command, tmp_path: Path) -> None:
    """Without a script it says how to get one; a port in use, or that is none, is told by its number."""
    mendable(seeddrill("simulate"), "name a script", "--example")
    path = tmp_path / "world.toml"
    path.write_text(seeddrill("simulate", "--example").out)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        mendable(seeddrill("simulate", path, "--port", port), f"port {port} is in use")
    mendable(seeddrill("simulate", path, "--port", 70_000), "70000 is no port")


def test_simulator_plays_until_it_is_stopped(seeddrill: Command, tmp_path: Path) -> None:
    """The example can be played: its address comes first, and SIGTERM ends it in order."""
    path = tmp_path / "world.toml"
    path.write_text(seeddrill("simulate", "--example").out)
    command = [sys.executable, "-m", "engine", "simulate", str(path), "--port", "0", "--seed", "4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("simulator at http://127.0.0.1:")
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
