"""How long it takes until something happens: importing the engine's core, `seeddrill --help`, and going on with a killed run.

    python bench/start.py [--runs 9] [--quick]

One JSON line, medians of processes of their own. `import_core_ms` is what `import engine.core` takes on top of `import numpy`,
`import_all_of_core_ms` likewise with those of its modules that every run uses; `help_ms` the whole command, beside
`python_ms`, an interpreter that does nothing; `resume_s` from the start of `seeddrill run` to its first new call over a journal
of 52,000 instructions (see `resume.py`).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import orjson

ROOT = Path(__file__).resolve().parent.parent
CORE = "import engine.core.agenda, engine.core.dedup, engine.core.quota, engine.core.settler, engine.core.till"
ALONE = "import time; began = time.perf_counter(); {what}; print(time.perf_counter() - began)"
ON_TOP = "import numpy, time; began = time.perf_counter(); {what}; print(time.perf_counter() - began)"


def printed(code: str) -> float:
    """Milliseconds that a process prints as seconds."""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return 1000 * float(result.stdout)


def taken(*command: str) -> float:
    """Milliseconds that a whole process takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return 1000 * (time.perf_counter() - began)


def measured(runs: int, instructions: int) -> dict[str, float]:
    rows = [
        {
            "import_core_ms": printed(ON_TOP.format(what="import engine.core")),
            "import_all_of_core_ms": printed(ON_TOP.format(what=CORE)),
            "import_numpy_ms": printed(ALONE.format(what="import numpy")),
            "help_ms": taken("-m", "engine", "--help"),
            "python_ms": taken("-c", "pass"),
        }
        for _ in range(runs)
    ]
    resume = subprocess.run(
        [sys.executable, "bench/resume.py", "--instructions", str(instructions)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = {name: round(statistics.median(row[name] for row in rows), 1) for name in rows[0]}
    return {**found, "resume_s": orjson.loads(resume.stdout)["seconds"], "instructions": instructions, "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="two runs, a small journal")
    chosen = parser.parse_args()
    print(orjson.dumps(measured(2 if chosen.quick else chosen.runs, 500 if chosen.quick else 52_000)).decode())


if __name__ == "__main__":
    main()
