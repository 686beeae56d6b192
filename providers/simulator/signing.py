"""Signatures as servers check them: what a request should have been signed with, told by the secret that only they know.

Pure, and written from the vendors' pages without a look at the engine's own signing, so that neither repeats the other's
mistakes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote

from providers.simulator.calls import Received

_CREDENTIAL = re.compile(r"(\S+) Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]+)")


class Claim(NamedTuple):
    """What an `Authorization` header of AWS's or Alibaba's form says."""

    algorithm: str
    credential: str
    headers: tuple[str, ...]
    signature: str


def claim(header: str) -> Claim | None:
    found = _CREDENTIAL.fullmatch(header)
    return Claim(found[1], found[2], tuple(found[3].split(";")), found[4]) if found else None


def canonical(received: Received, names: Iterable[str], digest: str) -> str:
    """The request as both vendors write it down: method, path, query, headers, their names, and the digest of the body."""
    listed = list(names)
    headers = "".join(f"{name}:{' '.join(received.headers.get(name, '').split())}\n" for name in listed)
    query = "&".join(sorted(filter(None, received.query.split("&"))))
    return f"{received.method}\n{quote(received.path)}\n{query}\n{headers}\n{';'.join(listed)}\n{digest}"


def sha256(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def mac(key: str | bytes, text: str) -> bytes:
    return hmac.new(key.encode() if isinstance(key, str) else key, text.encode(), hashlib.sha256).digest()


def flaw(given: str, wanted: str) -> str:
    """What is wrong with a signature; "" for nothing."""
    return "" if given == wanted else "The signature that was sent is not the one that was calculated."


def lacking(received: Received, signed: Iterable[str], wanted: Iterable[str]) -> str:
    """What has to be signed and is not; "" for nothing."""
    known = set(signed)
    missing = [name for name in wanted if name in received.headers and name not in known]
    return f"These headers are not signed: {', '.join(missing)}." if missing else ""


def parts(fields: Mapping[str, object], *names: str) -> str:
    """The first values of a form's fields, one after the other."""
    return "".join(str(values[0]) for name in names if isinstance(values := fields.get(name), list) and values)
