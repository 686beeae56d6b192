"""How each vendor spells it: one pure file a dialect, found by its name. `provider = "openai"` is the module `providers.openai`.

Only core may be imported here; nothing in this room opens a socket, reads a clock or knows a key for longer than a call.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

from engine.core.faults import Fault, PlanError
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.language import Inquiry, Languages
from engine.core.types import Call, LanePlan, Reply, Style, Usage

_SHARED = ("contract", "demonstrations", "profile", "reading")
"""Files of this folder that are no dialects, but what dialects share."""


class Reader(Protocol):
    """One answer as it streams in. It is fed with the body's bytes in order, and closed once, whenever nobody listens on."""

    @property
    def began(self) -> bool:
        """Whether the model has begun to answer or to reason; comments and pings are no beginning."""

    @property
    def ended(self) -> bool:
        """Whether the stream has said that all of it came."""

    @property
    def stopped(self) -> bool:
        """Whether a stop of the call's that its server goes past has come: nothing more is wanted, and the answer is whole."""

    def feed(self, chunk: bytes) -> str:
        """The text that came with the bytes, "" for none; reasoning is no text. Raises `Fault` for an error inside the stream,
        and for one that cannot be read."""

    def close(self) -> Reply:
        """All that was heard: BROKEN where the stream has not said that it ended. Where no usage was told, the input's
        weight and the tokens of what was heard, marked as estimated. The times are not set."""


class Provider(Protocol):
    """What a dialect can do. A module of it has one instance named `PROVIDER`."""

    @property
    def accepts(self) -> tuple[type, ...]:
        """Kinds of call that it can send."""

    @property
    def texts(self) -> int:
        """Calls that one HTTP request may carry, which the vendor then counts as one request."""

    @property
    def limit(self) -> int | None:
        """Characters that one text may have, counted as `weigh` counts them; `None` where no such limit is known."""

    @property
    def request_limit(self) -> int | None:
        """Characters that all texts of a request may have together."""

    @property
    def languages(self) -> Languages | Inquiry | None:
        """What is translated into what: the vendor's list, or how its server is asked for one; `None` where there is none."""

    @property
    def models(self) -> bool:
        """Whether a lane has to name a model."""

    def key(self, lane: LanePlan) -> str | None:
        """Where the key is found when the lane does not say (`env:NAME`, or one after the other for a key of several
        parts); `None` where none is needed."""

    def style(self, lane: LanePlan) -> Style:
        """How the lane's model is best asked when the lane does not say."""

    def weigh(self, call: Call) -> Usage:
        """What the call weighs at the most, before it is sent."""

    def leaves_out(self, lane: LanePlan, call: Call) -> tuple[str, ...]:
        """Names of the decoding settings of the call that this lane's model does not take: they are not sent, changed, or done by
        ourselves (a stop by our own cut, a schema in words). Empty for translators."""

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        """The request for up to `texts` calls; translations among them are of one pair of languages. Raises a `Fault` of kind
        BAD for a pair that the vendor is known not to have: nothing is sent. Raises `PlanError` for a lane without `base_url`,
        where the vendor has no address of its own; `plan check` tries it."""

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        """One reply or fault a call, in order; never raises for what a server can send. Usages of the replies add up to what
        the vendor counted, so that of several replies to one request only one counts a request."""

    def reader(self, call: Call) -> Reader | None:
        """Reads a streamed answer to the call, which was encoded for a lane with `stream`; `None` where nothing is streamed."""


def names() -> list[str]:
    """The dialects that come with the product."""
    return sorted(module.name for module in iter_modules(__path__) if not module.ispkg and module.name not in _SHARED)


def find(name: str) -> Provider:
    """The dialect called `name`: a file of this folder, or a dotted module of the user's own with a `PROVIDER` in it."""
    module_name = name if "." in name else f"providers.{name}"
    try:
        module = import_module(module_name)
    except (ImportError, TypeError, ValueError) as error:
        why = f" ({error})" if "." in name else ""
        near = get_close_matches(name, names(), n=1)
        offer = f"did you mean {near[0]!r}? " if near else ""
        raise PlanError(f"there is no provider {name!r}{why}; {offer}The providers here are {', '.join(names())}") from error
    if not hasattr(module, "PROVIDER"):
        raise PlanError(f"the module {module_name} has no PROVIDER, so it is not a provider")
    provider: Provider = module.PROVIDER
    return provider
