"""What ships beside the code: the example script and a grammar for each language.

It reads from the package alone, as importing does; anybody in the simulator may ask.
"""

from __future__ import annotations

from importlib import resources

_HOME = resources.files("providers.simulator")


def example() -> str:
    """A script that shows every key."""
    return _HOME.joinpath("example.toml").read_text(encoding="utf-8")


def languages() -> list[str]:
    """Those that there is a grammar for."""
    return sorted(file.name.removesuffix(".toml") for file in _HOME.joinpath("grammar").iterdir())


def grammar(language: str) -> str:
    """The grammar of a language, which is one of `languages()`, as text."""
    return _HOME.joinpath("grammar", f"{language}.toml").read_text(encoding="utf-8")
