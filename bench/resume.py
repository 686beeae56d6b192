"""How long a killed run takes to go on: from the start of `seeddrill run` to its first new call, at a server of our own.

    python bench/resume.py [--instructions 52000] [--runs 3] [--compress] [--keep DIR] [--quick]

One JSON line: `lines` of the journal, `seconds` (median, whole process), `vs_parsing` against nothing but `orjson.loads` of
the same lines here, `rss_mb` of the run when it calls. 52,000 instructions are about 112,000 lines; 460,000 about a million.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import journals
from engine import rundir
from engine.runtime import segments
from engine.runtime.disk import Directory


class Server(HTTPServer):
    """Notes when the first request comes, and answers none."""

    called: threading.Event


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.called.set()

    def log_message(self, format: str, *args: object) -> None:
        pass


def resumed(folder: Path, goal: int) -> tuple[float, float]:
    """Seconds to the first call, and the process's memory by then in MB. The run is killed there."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.called = threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        plan = folder / ".bench.toml"
        plan.write_text(
            f'recipe = "self_instruct"\ngoal = {goal}\n[lanes.main]\nprovider = "openai"\nmodel = "m"\nstyle = "completion"\n'
            f'base_url = "http://127.0.0.1:{server.server_port}/v1"\n'
        )
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "engine", "run", str(plan), str(folder), "--quiet"])
        assert server.called.wait(300), "no call came"
        seconds = time.perf_counter() - began
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.kill()
        process.wait()
        server.shutdown()
    return seconds, int(status.split("VmRSS:")[1].split()[0]) / 1024


def parsing(folder: Path) -> tuple[int, float]:
    """Lines of the journal, and the seconds that parsing them takes."""
    disk, count = Directory(folder), 0
    began = time.perf_counter()
    for file in segments.on_disk(disk).values():
        for line, _ in segments.split(segments.pieces(disk, file)):
            orjson.loads(line)
            count += 1
    return count, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instructions", type=int, default=52_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--compress", action="store_true")
    parser.add_argument("--keep", type=Path, help="use the run directory there, or leave one there")
    parser.add_argument("--quick", action="store_true", help="2,000 instructions")
    args = parser.parse_args()
    instructions = 2000 if args.quick else args.instructions
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name) / "run"
        if not folder.exists():
            journals.make(folder, instructions, compress=args.compress)
        kept = rundir.read_plan(folder)["plan"]["goal"]
        timed = [(resumed(folder, kept + 10 * n), parsing(folder)) for n in range(1, args.runs + 1)]
    seconds = statistics.median(run[0] for run, _ in timed)
    result = {
        "lines": timed[0][1][0],
        "seconds": round(seconds, 2),
        "vs_parsing": round(statistics.median(run[0] / parse[1] for run, parse in timed), 2),
        "rss_mb": round(max(run[1] for run, _ in timed)),
        "compressed": args.compress,
    }
    print(orjson.dumps(result).decode())


if __name__ == "__main__":
    main()
