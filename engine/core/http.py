"""What goes over the wire, as plain bytes: the request that a dialect makes, the answer that it reads.

Pure nouns; anybody may import them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Stamp:
    """What only the moment of sending knows."""

    t: float
    nonce: str
    key: str = field(default="", repr=False)
    """Parts of a key, such as a name and a secret, stand on lines of their own."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the key, in the order of their places; "" for one that may be missing, and is."""
        return tuple(self.key.split("\n")) if self.key else ()


@dataclass(frozen=True, slots=True)
class Route:
    """How a server is reached. No repr: a proxy's address may have a password in it."""

    proxy: str | None = field(default=None, repr=False)
    """`None`: the environment's; "": none."""
    ca_bundle: str | None = None
    """File of certificates to trust; `None`: the system's."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An attempt as bytes. Neither headers nor body are shown in its repr: they may carry a key."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    route: Route = field(default_factory=Route)


REDIRECTS = range(300, 400)
MOVED = "the address leads to another one, where no plan says that the key may go: correct base_url"
"""What to say of an answer with such a status: nothing follows it."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole answer as bytes. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    seconds: float = 0.0
    first_byte: float = 0.0
