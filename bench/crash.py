"""kill -9, hundreds of times: a real run against a counting server of our own, killed, resumed with the same command, compared.

    python bench/crash.py [--kills 300] [--goal N] [--seed 0] [--keep DIR] [--quick]

One JSON line. `lost`: journal lines that were there after a kill and are not any more, or not in that order. `duplicates`:
requests that are settled more than once. `in_flight_max`: the most questions that the server had been asked and the journal had
no answer to, at a kill. `asked_again_max`: the most of them that one life asked again; `asked_needlessly`: any other question
that was asked twice. `verified`: `seeddrill verify` finds no difference at the end. What was not kept is told on stderr, with
exit code 1. Kills come while the process starts, while it asks, as an answer is sent, and while a segment is sealed; their
moments are drawn by seed, and what they hit depends on the machine. About 1.3 seconds a kill.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import orjson
from aiohttp import web

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from engine.core import lines
from engine.core.rng import digest
from engine.core.types import Settled
from engine.runtime import segments
from engine.runtime.disk import Directory
from engine.verify import Extent, verify
from tests import brain

ROOT = Path(__file__).resolve().parent.parent
GOAL = 150
"""Instructions, and how many more are wanted whenever the run is done before its last kill: so it is sealed many times."""
KINDS = {"start": 4, "asked": 4, "answered": 6, "middle": 5, "sealing": 2}
"""When kills come, and how often each."""
KEY = "SEEDDRILL_BENCH_LIFE"
"""The lane's key is the number of the life: a question that is read late is still counted for the life that asked it."""
DELAY = (0.02, 0.12)
"""Seconds until an answer."""
LONGEST = 120.0
"""Seconds of one life, after which it hangs."""
# Without machine-made examples a question is the same whenever it is asked, and differs from all others: its hash tells which it
# is. Eight examples, because the make-believe model's lists go on from the ninth.
PLAN = """\
recipe = "self_instruct"
goal = {goal}
compress = true
[options]
human = 8
machine = 0
[lanes.main]
provider = "openai"
model = "brain"
style = "completion"
base_url = "http://127.0.0.1:{port}/v1"
key = "env:{key}"
concurrent = 8
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a life is killed: `seconds` after the `count`-th question or answer, or after a segment began to be sealed. At the
    start, `seconds` are a share of the time that starting takes."""

    kind: str
    count: int = 1
    seconds: float = 0.0


def drawn(rng: Random) -> Moment:
    """Shorter than the 50 ms that answers wait to be written together, and longer."""
    (kind,) = rng.choices(list(KINDS), weights=list(KINDS.values()))
    later = rng.choice((0.0, rng.uniform(0.0, 0.1)))
    match kind:
        case "start":
            return Moment(kind, seconds=rng.uniform(0.0, 1.1))
        case "asked":
            return Moment(kind, rng.randint(1, 12))
        case "answered":
            return Moment(kind, rng.randint(1, 30), later)
        case "middle":
            return Moment(kind, seconds=rng.uniform(0.05, 0.6))
        case _:
            return Moment(kind, seconds=later / 4)


class Server:
    """Answers like a good model after a while, notes who asked what, and kills when it was told to. Lives in its own thread."""

    def __init__(self, seed: int) -> None:
        self.port = 0
        self.asked: defaultdict[int, list[str]] = defaultdict(list)
        """The questions of each life by their hash, which the journal has too."""
        self.first: dict[int, float] = {}
        """When each life asked its first question."""
        self._rng = Random(seed)
        self._counts: Counter[tuple[str, int]] = Counter()
        self._armed: tuple[int, Moment, Callable[[], None]] | None = None

    def arm(self, life: int, moment: Moment, kill: Callable[[], None]) -> None:
        """Call `kill` at that moment of a life; a kill that comes too late finds a process that is gone."""
        self._armed = life, moment, kill

    async def run(self, ready: threading.Event, stop: Callable[[asyncio.Event], None]) -> None:
        runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        stopped = asyncio.Event()
        stop(stopped)
        ready.set()
        await stopped.wait()
        await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        life = int(request.headers["Authorization"].removeprefix("Bearer life-"))
        body = orjson.loads(await request.read())
        self.first.setdefault(life, time.perf_counter())
        self.asked[life].append(digest(brain.prompt_of(body)))
        self._note("asked", life)
        await asyncio.sleep(self._rng.uniform(*DELAY))
        response = web.Response(body=brain.answer(body, 0).body)
        try:
            await response.prepare(request)  # done here, to know when it was sent
            await response.write_eof()
            self._note("answered", life)
        except ConnectionError:
            pass  # the client was killed
        return response

    def _note(self, kind: str, life: int) -> None:
        self._counts[kind, life] += 1
        if self._armed is None:
            return
        victim, moment, kill = self._armed
        wanted = "asked" if moment.kind == "middle" else moment.kind
        if (victim, wanted, moment.count) == (life, kind, self._counts[kind, life]):
            if moment.seconds:
                asyncio.get_running_loop().call_later(moment.seconds, kill)
            else:
                kill()


@contextmanager
def serving(seed: int) -> Iterator[Server]:
    server, ready = Server(seed), threading.Event()
    stops: list[Callable[[], object]] = []

    def stop(event: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(event.set))

    thread = threading.Thread(target=lambda: asyncio.run(server.run(ready, stop)))
    thread.start()
    assert ready.wait(10), "the server did not start"
    try:
        yield server
    finally:
        stops[0]()
        thread.join()


@dataclass
class Journaled:
    """The journal of a run as it was found after each life."""

    disk: Directory
    found: list[bytes] = field(default_factory=list)
    lost: int = 0
    torn: int = 0
    half_sealed: int = 0
    """How often a last line was found cut, and the work of sealing half done."""
    settled: Counter[tuple[str, int]] = field(default_factory=Counter)
    hashes: list[set[str]] = field(default_factory=list)
    """Of the questions that were settled in each life."""

    def look(self) -> None:
        """All lines are read and compared each time; those that are new are parsed. Raises `Damaged`."""
        names = self.disk.names(segments.FOLDER) + self.disk.names()
        self.half_sealed += any(name.endswith(".part") or f"{name}.zst" in names for name in names)
        now, before = [], self.found
        for file in segments.on_disk(self.disk).values():
            for line, whole in segments.split(segments.pieces(self.disk, file)):
                self.torn += not whole
                if whole and not line.startswith(b'{"seeddrill"'):  # headers go with a segment that got no line
                    now.append(line)
        fresh = now[len(before) :]
        if now[: len(before)] != before:
            self.lost += (Counter(before) - Counter(now)).total() or 1  # or they changed places
            fresh = list((Counter(now) - Counter(before)).elements())
        self.found = now
        new = [line for line in map(lines.read, fresh) if isinstance(line, Settled)]
        self.settled.update((line.step, line.index) for line in new)
        self.hashes.append({line.q for line in new})

    @property
    def duplicates(self) -> int:
        return self.settled.total() - len(self.settled)


@dataclass
class Story:
    """One run through all its lives."""

    folder: Path
    server: Server
    goal: int
    rng: Random
    kinds: Counter[str] = field(default_factory=Counter)
    killed: list[int] = field(default_factory=list)
    """Numbers of the lives that were killed; the others ended by themselves."""
    life: int = 0
    starting: float = 0.6
    """Seconds that starting took lately."""
    broken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.run = self.folder / "run"
        self.journal = Journaled(Directory(self.run))
        self.step = self.goal

    def tell(self, kills: int) -> None:
        """Lives until there were so many kills, and one that is left alone."""
        code = 0
        while code in (0, -signal.SIGKILL) and len(self.killed) < kills:
            moment = drawn(self.rng)
            code = self.live(moment)
            if code == 0:
                self.goal += self.step
            elif code == -signal.SIGKILL:
                self.kinds[moment.kind] += 1
        if code in (0, -signal.SIGKILL):
            self.live(None)

    def live(self, moment: Moment | None) -> int:
        """One life. Its exit code."""
        plan = self.folder / "plan.toml"
        plan.write_text(PLAN.format(goal=self.goal, port=self.server.port, key=KEY))
        command = [sys.executable, "-m", "engine", "run", str(plan), str(self.run), "--quiet"]
        environment = {**os.environ, KEY: f"life-{self.life}"}
        began, names = time.perf_counter(), self._names()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            if moment is not None:
                self.server.arm(self.life, moment, process.kill)
                self._lurk(moment, process, names)
            _, errors = process.communicate(timeout=LONGEST)
        finally:
            process.kill()
        code = process.returncode
        if code == -signal.SIGKILL and moment is not None:
            self.killed.append(self.life)
        elif code:
            self.broken.append(f"life {self.life} ended with exit code {code}: {errors.decode(errors='replace')}")
        if self.life in self.server.first:
            self.starting = self.server.first[self.life] - began
        self.journal.look()
        self.life += 1
        return code

    def _lurk(self, moment: Moment, process: subprocess.Popen[bytes], names: set[str]) -> None:
        """Kill at those moments that the server does not see."""
        if moment.kind == "start":
            time.sleep(moment.seconds * self.starting)
            process.kill()
        elif moment.kind == "sealing":
            end = time.perf_counter() + LONGEST
            while process.poll() is None and not any(name.endswith((".part", ".zst")) for name in self._names() - names):
                assert time.perf_counter() < end, f"life {self.life} hangs"
                time.sleep(0.0005)
            time.sleep(moment.seconds)
            process.kill()

    def _names(self) -> set[str]:
        return set(self.journal.disk.names(segments.FOLDER))

    def asked(self) -> dict[str, int]:
        """What was asked more than once, life by life. Only now: by now all that was sent has been read."""
        asked: set[str] = set()
        flying: set[str] = set()
        most, again_most, again_all, needless = 0, 0, 0, 0
        for life in range(self.life):
            questions = self.server.asked[life]
            again = asked.intersection(questions)
            wrong = len(again - flying) + len(questions) - len(set(questions))
            if wrong:
                self.broken.append(f"life {life} asked {wrong} questions that were answered, or asked in this life, before")
            asked.update(questions)
            unasked = self.journal.hashes[life] - asked
            if unasked:
                self.broken.append(f"after life {life} the journal has answers to {len(unasked)} questions that nobody asked")
            flying = (flying | set(questions)) - self.journal.hashes[life]
            most = max(most, len(flying) if life in self.killed else 0)
            again_most, again_all, needless = max(again_most, len(again)), again_all + len(again), needless + wrong
        return {
            "asked": len(asked),
            "asked_again": again_all,
            "asked_again_max": again_most,
            "in_flight_max": most,
            "asked_needlessly": needless,
        }


def crash(kills: int, seed: int, folder: Path, goal: int = GOAL) -> dict[str, Any]:
    """The figures of a run in `folder` that was killed so often; `broken` says in words which promises were not kept."""
    began = time.perf_counter()
    with serving(seed) as server:
        story = Story(folder, server, goal, Random(seed))
        story.tell(kills)
    journal, broken = story.journal, story.broken
    counts = story.asked()
    if journal.lost:
        broken.append(f"{journal.lost} lines of the journal were lost")
    if journal.duplicates:
        broken.append(f"{journal.duplicates} requests were settled more than once")
    differences = verify(story.run, Extent.SAMPLE).differences
    broken += differences
    return {
        "kills": len(story.killed),
        "lost": journal.lost,
        "duplicates": journal.duplicates,
        **counts,
        "verified": not differences,
        "kinds": dict(sorted(story.kinds.items())),
        "torn": journal.torn,
        "half_sealed": journal.half_sealed,
        "lives": story.life,
        "lines": len(journal.found),
        "seconds": round(time.perf_counter() - began, 1),
        "broken": broken[:20],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--goal", type=int, default=GOAL, help="instructions; as many more whenever the run is done too soon")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="leave the run in this new directory")
    parser.add_argument("--quick", action="store_true", help="10 kills")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=folder == Path(name))
        result = crash(10 if args.quick else args.kills, args.seed, folder, args.goal)
    print(orjson.dumps(result).decode(), flush=True)
    if result["broken"]:
        sys.exit("\n".join(result["broken"]))


if __name__ == "__main__":
    main()
