"""`python -m providers.simulator SCRIPT.toml --port 8080` plays a script; `--example` prints one to begin with."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from providers.simulator import data, server
from providers.simulator.script import ScriptError


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when interrupted, 2 for what the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m providers.simulator", description="Plays paid providers on loopback.")
    parser.add_argument("script", nargs="?", type=Path, help="a TOML file: accounts with their limits, prices and weather")
    parser.add_argument("--port", type=int, default=8080, help="0 is any that is free (default: 8080)")
    parser.add_argument("--seed", type=int, default=0, help="of answers and weather (default: 0)")
    parser.add_argument("--example", action="store_true", help="print a script that shows every key")
    given = parser.parse_args(arguments)
    if given.example:
        print(data.example(), end="")
        return 0
    if given.script is None:
        parser.error("name a script, or ask for one with --example")
    try:
        server.serve(given.script, given.port, given.seed)
    except ScriptError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
