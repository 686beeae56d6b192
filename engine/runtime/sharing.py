"""Sharing: two runs of one user on one machine that use one account keep within its quota together, or the second is refused.

An account's quota is cut into twentieths, each a file that one run may lock; the kernel frees them when its process dies, and who
ends in order removes them.
"""

from __future__ import annotations

import fcntl
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from engine.core.faults import LaneError

PARTS = 20


def runtime_folder() -> Path:
    """A folder of this user's alone that lives as long as the machine is up. Raises `LaneError` where there is none to trust."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(base) / "seeddrill" if base else Path(tempfile.gettempdir()) / f"seeddrill-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise LaneError(
            f"{folder} cannot be used: {error.strerror or error}; set XDG_RUNTIME_DIR to a folder of yours"
        ) from error
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or folder.is_symlink():
        raise LaneError(f"{folder} is open to other users: remove it, or set XDG_RUNTIME_DIR to a folder of yours alone")
    return folder


@contextmanager
def share(account: str, headroom: float, folder: Path) -> Iterator[None]:
    """Hold the share of an account that `headroom` leaves to this run, until the block ends. `account` tells accounts apart, and
    is not written anywhere. Raises `LaneError` where other runs hold so much of it that the quota could be exceeded."""
    wanted = max(1, math.ceil((1 - headroom) * PARTS))
    name = sha256(account.encode()).hexdigest()[:20]
    held: dict[Path, int] = {}
    try:
        for part in range(PARTS):
            if len(held) == wanted:
                break
            path = folder / f"{name}.{part:02}"
            if (file := _locked(path)) is not None:
                held[path] = file
        if len(held) < wanted:
            raise LaneError(
                f"another run on this machine uses the same account, and {1 - len(held) / PARTS:.0%} of its quota is taken, "
                f"while this run wants {wanted / PARTS:.0%}: wait for it, or set headroom on the lanes of both (0.5 for halves)"
            )
        yield
    finally:
        for path, file in held.items():
            path.unlink(missing_ok=True)  # while it is locked: whoever has opened it meanwhile sees that it is gone
            os.close(file)


def _locked(path: Path) -> int | None:
    """The file, made if need be and locked; `None` where another run holds it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return None
        try:
            if os.path.samestat(os.fstat(file), path.stat()):
                return file
        except FileNotFoundError:
            pass
        os.close(file)  # the run that held it has removed it between our two steps
