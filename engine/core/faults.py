"""What can go wrong, in two vocabularies: what the world did (`Fault`) and what the user did (`EngineError`).

Anybody may import it; it imports nothing of ours. Everything that is neither is a bug and propagates.
"""

from __future__ import annotations

from enum import StrEnum


class FaultKind(StrEnum):
    """Meaning of a failed attempt, from the provider's status and error code, never from the text of its message."""

    RATE = "rate"
    """A rate, token or concurrency limit of the account that clears by itself."""
    BURST = "burst"
    """A limit on growth or on a slice below the minute; the minute's quota itself is not in doubt."""
    OVERLOAD = "overload"
    """The provider lacks capacity; says nothing about the account's quota."""
    QUOTA = "quota"
    """Balance, day or month used up: waiting seconds does not help."""
    TOO_BIG = "too_big"
    """This one request passes a size limit and can never succeed as it is."""
    NETWORK = "network"
    """No answer arrived whole: refused, reset, cut or timed out. It may have been billed."""
    MALFORMED = "malformed"
    """An answer that cannot be read; worth asking anew."""
    REFUSED = "refused"
    """The provider or the model declines this content."""
    BAD = "bad"
    """The request itself is wrong in the provider's eyes."""
    AUTH = "auth"
    """Key, permission or model name is wrong: the lane cannot work."""


class Fault(Exception):
    """What the world did instead of answering. Returned by `decode`, raised by the wire, the decoders of streams and readers.

    `retry_after` is the provider's hint in seconds, `None` without one. `detail` is short and free of secrets.
    `billed` says that the attempt may have cost something: it was sent, and nobody knows how far it came. Where not even a
    connection to a server that speaks HTTP came about, none was `reached`.
    """

    def __init__(
        self,
        kind: FaultKind,
        detail: str = "",
        retry_after: float | None = None,
        *,
        billed: bool = False,
        reached: bool = True,
    ) -> None:
        super().__init__(kind, detail, retry_after)
        self.kind = kind
        self.detail = detail
        self.retry_after = retry_after
        self.billed = billed
        self.reached = reached

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else str(self.kind)


class EngineError(Exception):
    """What the user can mend. Its text is one paragraph that says what happened and what to do.

    `exit_code` is what the command line ends with.
    """

    exit_code = 2


class PlanError(EngineError):
    """The plan, a seed file, a template or an option is not usable as given."""


class JournalError(EngineError):
    """The run directory is damaged, in use, or belongs to another plan."""


class ForeignJournal(JournalError):
    """A journal that is whole, and was written by another version, or under another plan: there is nothing to repair."""


class DiskError(EngineError):
    """A durable write failed; everything journaled before it is valid."""

    exit_code = 7


class Interrupted(EngineError):
    """Stopped by the user before there was a run to drain."""

    exit_code = 3


class LaneError(EngineError):
    """A lane cannot be opened: a missing key, a model that is none, a port that is taken."""
