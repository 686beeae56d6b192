"""How a run over a large corpus starts, and goes on after a kill: 5,000,000 lines of JSON, 1% of them sampled.

    python bench/input.py [--lines 5000000] [--share 0.01] [--keep DIR] [--quick]

One JSON line: seconds from the start of `seeddrill run` to its first call and the process's memory then, for a new run (which
counts the corpus once) and for one that goes on behind four fifths of its sample. The machine's page cache is warm both times.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import corpus
from engine import app, context, rundir
from engine.core import lines
from engine.core.types import Reply, Settled, Stop, Usage
from engine.plan import load
from engine.runtime.disk import Directory
from engine.runtime.journal import Journal

PLAN = """\
recipe = "backtranslation"
[input]
path = "{path}"
[options]
language = "en"
sample = {sample}
[lanes.mt]
provider = "libretranslate"
base_url = "http://127.0.0.1:{port}"
[lanes.llm]
provider = "openai"
model = "m"
key = "file:{key}"
base_url = "http://127.0.0.1:{port}/v1"
"""
SETTLED = 0.8
GROUP = 1000
SENT = 1_767_225_600.0


class Server(HTTPServer):
    """Notes when the first text comes to be translated, and answers none."""

    called: threading.Event


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.send_error(404)

    def do_POST(self) -> None:
        self.server.called.set()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Start(NamedTuple):
    """`seconds` to the first call, and the process's largest memory until then."""

    seconds: float
    rss_mb: float


def make(path: Path, count: int) -> None:
    """A corpus of so many documents of about 200 characters."""
    texts = corpus.texts()
    with path.open("wb") as file:
        for first in range(0, count, GROUP):
            some = [" ".join(next(texts) for _ in range(3)) for _ in range(10)]
            rows = (
                b'{"id": %d, "text": "%d. %b", "source": "bench"}\n' % (n, n, orjson.dumps(some[n % 10])[1:-1])
                for n in range(first, min(count, first + GROUP))
            )
            file.write(b"".join(rows))


def started(folder: Path, plan: Path) -> Start:
    """Run until the first call, and kill."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.called = threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        plan.write_text(plan.read_text().replace("{port}", str(server.server_port)))
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "engine", "run", str(plan), str(folder), "--quiet"])
        assert server.called.wait(600), "no call came"
        seconds = time.perf_counter() - began
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.kill()
        process.wait()
        server.shutdown()
    rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    return Start(seconds, rss / 1024)


def settle(folder: Path, plan: Path, count: int) -> None:
    """Have the first documents of the sample settled in a run that has begun: answered, and come to nothing."""
    loaded = context.load(load(plan), kept=folder)
    disk = Directory(folder)
    journal = Journal(disk, app.header(loaded), str(folder))
    agenda = app.replayed(loaded, journal, folder)
    read = app.reader(loaded, agenda, folder)
    assert read is not None
    usage = Usage(characters=200)
    while count > 0:
        documents = read(min(count, GROUP))
        count -= len(documents)
        group = [
            Settled(
                step="translate",
                index=document.number,
                of=document.item["id"],
                try_=0,
                t=SENT,
                shown=(),
                style="chat",
                q="0" * 16,
                lane="mt",
                replies=(Reply(text=document.item["text"], stop=Stop.LENGTH, usage=usage),),
                dropped=((0, {"pivot": document.item["text"]}, "cut"),),
                item=document.item,
            )
            for document in documents
        ]
        journal.append(b"".join(map(lines.write_settled, group)))
    disk.close()


def bench(count: int, share: float, folder: Path) -> dict[str, object]:
    path, plan, key = folder / "corpus.jsonl", folder / "plan.toml", folder / "key"
    if not path.exists():
        make(path, count)
    key.write_text("none")
    size = round(count * share)
    text = PLAN.replace("{path}", str(path)).replace("{sample}", str(size)).replace("{key}", str(key))
    plan.write_text(text)
    first = started(folder / "run", plan)
    settle(folder / "run", plan, round(size * SETTLED))
    plan.write_text(text)
    again = started(folder / "run", plan)
    assert rundir.read_plan(folder / "run")["records"] == count
    return {
        "bench": "input",
        "lines": count,
        "megabytes": round(path.stat().st_size / 1e6),
        "sampled": size,
        "first_call_seconds": round(first.seconds, 2),
        "first_call_rss_mb": round(first.rss_mb),
        "settled": round(size * SETTLED),
        "resume_seconds": round(again.seconds, 2),
        "resume_rss_mb": round(again.rss_mb),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--lines", type=int, default=5_000_000)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--keep", type=Path, help="keep corpus and run there, and use the corpus again")
    parser.add_argument("--quick", action="store_true", help="200,000 lines")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        print(orjson.dumps(bench(200_000 if args.quick else args.lines, args.share, folder)).decode())


if __name__ == "__main__":
    main()
