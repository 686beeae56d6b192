"""How each vendor's server spells it: one pure file a dialect, with one instance named `DIALECT`; a new one is found by its name.

Nothing here keeps anything between calls, or knows a quota: that is `world`'s.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple, Protocol, runtime_checkable

from providers.simulator.calls import Answered, Facts, Kind, Received, Refused, Response, Slip, Stream


class Unreadable(Exception):
    """A request that the vendor would not take: `BAD` or `UNKNOWN`, and its message."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Opened(NamedTuple):
    """A request before anybody looks at what it asks: whose it is, and its body as plain data, `None` where it is no object."""

    key: str
    fields: Mapping[str, object] | None
    flaw: str = ""
    """What is wrong with its signature."""


class Dialect(Protocol):
    """What a vendor's server does at its borders."""

    @property
    def paths(self) -> Container[str]:
        """Those that it serves."""

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        """Whose it is. `keys` are those of an account, which are needed where a request is signed with a secret that it does not
        show: such a key is a name and a secret with a blank between them."""

    def read(self, method: str, path: str, fields: Mapping[str, object] | None) -> Facts:
        """What is asked; raises `Unreadable`."""

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        """The answer to a call whose task is `models`."""

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        """A whole answer."""

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        """An error, as the vendor would send it. `facts` of a request that could not be read are empty."""


@runtime_checkable
class Talker(Dialect, Protocol):
    """A language model's server, which streams."""

    @property
    def home(self) -> str:
        """What a client's base address goes on with, behind the account's prefix."""

    @property
    def waits(self) -> bytes:
        """What comes before a whole answer while its call waits, again and again; empty for most."""

    def stream(self, facts: Facts, answered: Answered, slip: Slip) -> Stream:
        """An answer in frames."""


def names() -> list[str]:
    """The dialects that there are."""
    return sorted(module.name for module in iter_modules(__path__))


def find(name: str) -> Dialect:
    """The dialect of that name, which is one of `names()`."""
    dialect: Dialect = import_module(f"{__name__}.{name}").DIALECT
    return dialect
