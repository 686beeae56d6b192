"""The event loop, and how often the garbage collector looks, as a run wants them."""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

THRESHOLDS = (50_000, 20, 100)
"""Objects made before the youngest are looked through, and how many such looks before the next generation. With thousands of
calls in flight Python's own 700 (2,000 in newer ones) walks the same living objects again and again: at 1,000 calls in flight
that is almost half of the time."""


def options() -> dict[str, Any]:
    """For `anyio.run(…, backend_options=…)`: uvloop where it is installed (the extra `fast`)."""
    return {"use_uvloop": importlib.util.find_spec("uvloop") is not None}


@contextmanager
def few_collections() -> Iterator[None]:
    """Has the collector look more seldom, and at nothing that was there before."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def no_collections() -> Iterator[None]:
    """Reading a journal makes millions of objects and no garbage in cycles: looking for it took a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
