"""`seeddrill`, or `python -m engine`: runs the command line and turns errors that the user can mend into one paragraph."""

from __future__ import annotations

import sys

from engine.core.faults import EngineError


def main() -> None:
    """Never returns: exits with the code of the verb, of the error, or 1 with a traceback for a bug."""
    from engine.cli import app

    try:
        app(prog_name="seeddrill")
    except EngineError as error:
        print(f"seeddrill: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
