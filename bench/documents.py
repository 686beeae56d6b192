"""Documents through translators and a model, killed with -9 and resumed: 20,000 texts, two translation lanes and one of a model.

    python bench/documents.py [--documents 20000] [--kills 2] [--seed 0] [--keep DIR] [--quick]

One JSON line. The engine is a process that runs `seeddrill run`, the simulator another one; the kills come when the model has
answered for equal shares of the documents. `lost` is what a kill costs: characters that a translator's book has and the journal
has not, at a kill. `needless`: characters that the book has beyond these and the journal's at the end; so with every document
settled once in each step, no text was translated twice but those that were under way at a kill. What does not hold is told on
stderr, with exit code 1. `--quick` takes 300 documents. 20,000 take some minutes, and `verify` as long again.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench.sockets import simulator
from engine.core import lines
from engine.core.types import Paid, Settled
from engine.runtime import segments
from engine.runtime.disk import Directory
from engine.verify import Extent, verify
from tests import translator

ROOT = Path(__file__).resolve().parent.parent
STEPS = ("translate", "return", "instruct")
TRANSLATORS = ("deepl", "libre")
LOOK = 0.02
"""Seconds between looks at the simulator's books."""
HANGS = 1800.0
"""Seconds after which a life hangs."""
SCRIPT = """\
[accounts.deepl]
dialect = "deepl"
prefix = "/deepl"
keys = ["bench-key"]
[accounts.deepl.weather]
{weather}
[accounts.libre]
dialect = "libretranslate"
prefix = "/libre"
keys = ["bench-key"]
[accounts.libre.weather]
{weather}
[accounts.llm]
prefix = "/llm"
keys = ["bench-key"]
[accounts.llm.weather]
tokens_per_second = 2000
{weather}
"""
WEATHER = "first_byte = { lognormal = [0.1, 0.4] }\nerrors = { 503 = 0.005 }\nreset_after_headers = 0.003"
CONCURRENT = {"deepl": 4, "libre": 16, "llm": 48}


def plan(corpus: Path, key: Path, home: str) -> str:
    """The plan as TOML. The translation is a cipher that is turned back, so what compares languages is off."""
    gate = "\n".join(f"{name} = {str(value).lower()}" for name, value in translator.OPTIONS["gate"].items())
    made = f'recipe = "backtranslation"\ntimeout = 60\n[input]\npath = "{corpus}"\n'
    made += f'[options]\nlanguage = "en"\n[options.gate]\n{gate}\n'
    for name, provider in (("deepl", "deepl"), ("libre", "libretranslate"), ("llm", "openai")):
        address = f"{home}/{name}{'/v1' if name == 'llm' else ''}"
        made += f'[lanes.{name}]\nprovider = "{provider}"\nkey = "file:{key}"\nbase_url = "{address}"\n'
        made += f"concurrent = {CONCURRENT[name]}\n" + ('model = "m"\n' if name == "llm" else "")
    return made


def books(home: str) -> dict[str, Any]:
    with urlopen(f"{home}/_books") as answer:
        accounts: dict[str, Any] = orjson.loads(answer.read())["accounts"]
    return accounts


def quiet(home: str) -> dict[str, Any]:
    """The books when no call is inside any more."""
    end = time.perf_counter() + 60
    while any(account["in_flight"] for account in books(home).values()):
        assert time.perf_counter() < end, "calls of a process that is gone do not end"
        time.sleep(LOOK)
    return books(home)


def translated(told: dict[str, Any]) -> int:
    return sum(told[name]["characters"] for name in TRANSLATORS)


def journaled(run: Path) -> Iterator[Settled | Paid]:
    """Lines of a journal, a torn end apart."""
    disk = Directory(run)
    for file in segments.on_disk(disk).values():
        for line, whole in segments.split(segments.pieces(disk, file)):
            if whole and not line.startswith(b'{"seeddrill"') and isinstance(found := lines.read(line), Settled | Paid):
                yield found
    disk.close()


def booked(run: Path) -> int:
    """Characters that the journal has for the translators, of answers and of what was paid for in vain."""
    return sum(
        sum(reply.usage.characters for reply in line.replies) if isinstance(line, Settled) else line.usage.characters
        for line in journaled(run)
        if line.lane in TRANSLATORS
    )


def lived(command: list[str], home: str, until: int | None) -> tuple[int, str]:
    """One life: its exit code, and what it said. It is killed when the model has answered so often."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        end = time.perf_counter() + HANGS
        while until is not None and process.poll() is None and books(home)["llm"]["answered"] < until:
            assert time.perf_counter() < end, "a life hangs"
            time.sleep(LOOK)
        if until is not None:
            process.kill()
        _, said = process.communicate(timeout=HANGS)
    finally:
        process.kill()
    return process.returncode, said.decode(errors="replace")


def documents(count: int, kills: int, seed: int, folder: Path) -> dict[str, Any]:
    """The figures of a run in `folder` that was killed so often; `broken` says in words which promises were not kept."""
    corpus, key, run, broken = translator.corpus(folder / "corpus.jsonl", count), folder / "key", folder / "run", []
    key.write_text("bench-key")
    began, lost = time.perf_counter(), []
    with simulator(SCRIPT.format(weather=WEATHER), folder, seed) as home:
        (folder / "plan.toml").write_text(plan(corpus, key, home))
        command = [sys.executable, "-m", "engine", "run", str(folder / "plan.toml"), str(run), "--quiet"]
        for n in range(kills + 1):
            code, said = lived(command, home, count * (n + 1) // (kills + 1) if n < kills else None)
            if code != (-signal.SIGKILL if n < kills else 0):
                broken.append(f"life {n} ended with exit code {code}: {said}")
            told = quiet(home)
            if n < kills:
                lost.append(translated(told) - booked(run) - sum(lost))
    seconds = time.perf_counter() - began
    needless = translated(told) - booked(run) - sum(lost)
    print(
        f"all lives took {seconds:.1f} s; a kill cost {lost} characters, nothing did {needless}; verify begins", file=sys.stderr
    )
    return {
        "documents": count,
        **settled(run, count, broken),
        "calls": sum(account["calls"] for account in told.values()),
        "kills": kills,
        "lost": lost,
        "needless": needless,
        "wall_s": round(seconds, 1),
        **judged(run, needless, broken),
        "broken": broken[:20],
    }


def settled(run: Path, count: int, broken: list[str]) -> dict[str, int]:
    """How many records and drops there are. Each document is settled once in every step that it came to."""
    found = [line for line in journaled(run) if isinstance(line, Settled)]
    times = Counter((line.step, line.index) for line in found)
    if twice := [key for key, n in times.items() if n > 1]:
        broken.append(f"{len(twice)} requests were settled more than once, {twice[0]} for one")
    sources = Counter(line.of for line in found if line.step == STEPS[0])
    if sources != Counter(f"input/{n}.0" for n in range(count)):
        broken.append(f"{len(sources)} of {count} documents are settled, {sources.total() - len(sources)} more than once")
    kept = {(line.step, f"{line.step}/{line.index}.{n}") for line in found for n, _ in line.kept}
    asked = {(step, line.of) for line in found for step in STEPS[:-1] if STEPS.index(line.step) == STEPS.index(step) + 1}
    if missing := {one for one in kept if one[0] != STEPS[-1]} - asked:
        broken.append(f"{len(missing)} kept items were never asked about")
    if faults := [line for line in found if line.fault is not None]:
        broken.append(f"{len(faults)} requests were given up, {faults[0].fault} for one")
    records = sum(len(line.kept) for line in found if line.step == STEPS[-1])
    return {"records": records, "dropped": sum(len(line.dropped) for line in found)}


def judged(run: Path, needless: int, broken: list[str]) -> dict[str, bool]:
    differences = verify(run, Extent.SAMPLE).differences
    broken += differences
    if needless:
        broken.append(f"{needless} characters were translated that neither the journal has nor a kill has cost")
    return {"verified": not differences}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="leave the run in this new directory")
    parser.add_argument("--quick", action="store_true", help="300 documents")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=folder == Path(name))
        result = documents(300 if args.quick else args.documents, args.kills, args.seed, folder)
    print(orjson.dumps(result).decode(), flush=True)
    if result["broken"]:
        sys.exit("\n".join(result["broken"]))


if __name__ == "__main__":
    main()
