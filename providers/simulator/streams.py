"""A stream on its way: its frames at their times, and what the weather does to them.

Pure; times are seconds from the coming of the call. What comes out are bytes and when they leave, so that a socket in real time
and a fake one in virtual time play the same stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple, TypeAlias

from providers.simulator.answers import count_tokens
from providers.simulator.calls import Frame, Part, Stream
from providers.simulator.weather import Event, Fate

Piece: TypeAlias = tuple[float, bytes]
_DELTA_BYTES = 24
ALIVE_SECONDS = 5.0
"""Between two comments while a call waits."""
_GAP_SECONDS = 0.002
"""Between pieces that would otherwise go out together."""


class Played(NamedTuple):
    """A stream as it goes out."""

    pieces: tuple[Piece, ...]
    spoken: tuple[tuple[float, int], ...]
    """How many tokens had been made in all, and when."""
    seconds: float
    """When it ends, or breaks."""


def deltas(text: str) -> Iterator[str]:
    """A text in the pieces in which a model gives it out."""
    start = size = 0
    for at, character in enumerate(text):
        size += len(character.encode("utf-8", "surrogatepass"))
        if size > _DELTA_BYTES:
            yield text[start:at]
            start, size = at, len(character.encode("utf-8", "surrogatepass"))
    if start < len(text):
        yield text[start:]


def counted(pieces: list[str], *wholes: str) -> list[int]:
    """How many tokens each piece adds, so that they add up to those of the whole texts, one after the other."""
    total, size, before = sum(count_tokens(whole) for whole in wholes), 0, 0
    bytes_ = sum(len(piece.encode("utf-8", "surrogatepass")) for piece in pieces)
    tokens = []
    for piece in pieces:
        size += len(piece.encode("utf-8", "surrogatepass"))
        reached = total * size // bytes_ if bytes_ else 0
        tokens.append(reached - before)
        before = reached
    return tokens


def play(stream: Stream, met: Fate, drip_seconds: float, rng: Random) -> Played:
    """The stream as the weather lets it go out."""
    frames = _struck(stream, met, rng)
    slower = drip_seconds / max(1, len(frames)) if met.event is Event.DRIP else 0.0
    time, made = met.first_byte, 0
    pieces: list[Piece] = []
    spoken = []
    if met.form.kept_alive and stream.comment:
        pieces += [(n * ALIVE_SECONDS, stream.comment) for n in range(1 + int(met.first_byte / ALIVE_SECONDS))]
    for n, frame in enumerate(frames):
        time += frame.tokens / met.tokens_per_second + slower
        made += frame.tokens
        spoken.append((time, made))
        between = stream.comment if met.form.kept_alive and n == len(frames) // 2 else b""
        pieces.append((time, between + frame.data))
    if met.form.crlf:
        pieces = [(when, data.replace(b"\n", b"\r\n")) for when, data in pieces]
    if met.event is Event.CUT:
        pieces = _cut(pieces, rng)
    if met.form.ragged:
        pieces = list(_ragged(pieces, rng))
    seconds = pieces[-1][0] if pieces else met.first_byte
    return Played(tuple(pieces), (*(one for one in spoken if one[0] < seconds), (seconds, _made(spoken, seconds))), seconds)


def _made(spoken: list[tuple[float, int]], seconds: float) -> int:
    return max((tokens for when, tokens in spoken if when <= seconds), default=0)


def _struck(stream: Stream, met: Fate, rng: Random) -> tuple[Frame, ...]:
    """Its frames, or what is left of them."""
    frames = stream.frames
    said = [n for n, frame in enumerate(frames) if frame.part is Part.TEXT]
    at = said[int(rng.random() * len(said))] if said and met.event in (Event.STREAM_ERROR, Event.MALFORMED) else None
    match met.event:
        case Event.STREAM_ERROR:
            return (*frames[: at or 0], Frame(Part.END, stream.error))
        case Event.MALFORMED if at is not None:
            half = frames[at].data[: len(frames[at].data) // 2]
            return (*frames[:at], frames[at]._replace(data=half + b"<html>\n\n"), *frames[at + 1 :])
        case Event.UNENDED:
            return tuple(frame for frame in frames if frame.part in (Part.OPEN, Part.TEXT))
    return frames


def _cut(pieces: list[Piece], rng: Random) -> list[Piece]:
    """As many bytes as have gone out when the connection breaks."""
    left = int(sum(len(data) for _, data in pieces) * rng.random())
    kept = []
    for when, data in pieces:
        if left <= 0:
            break
        kept.append((when, data[:left]))
        left -= len(data)
    return kept


def _ragged(pieces: list[Piece], rng: Random) -> Iterator[Piece]:
    """The same bytes in pieces that are cut anywhere."""
    late = 0.0
    for when, data in pieces:
        while data:
            size = rng.randint(1, len(data))
            late = max(late + _GAP_SECONDS, when)
            yield late, data[:size]
            data = data[size:]
