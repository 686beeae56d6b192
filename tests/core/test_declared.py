"""What headers declare: whether long answers count before they are written, by what is left after each call."""

from __future__ import annotations

import pytest

from engine.core.declared import reserves
from engine.core.limits import Dimension, Reading
from engine.core.shapes import SMALL, Form, Shape
from engine.core.trials import Shot
from engine.core.types import Usage


def looks(limit: int | None, *left: int) -> list[Shot]:
    """Four looks, the third of which asks for a thousand tokens; what each of their answers says is left."""
    made = []
    for n, remaining in enumerate(left):
        large = n == 2
        made.append(
            Shot(
                number=n,
                trial=1,
                shape=Shape(Form.RESERVED, 1000) if large else SMALL,
                intended=3.0 * n,
                sent=3.0 * n,
                ended=3.0 * n + 0.3,
                usage=Usage(requests=1, tokens_in=12, tokens_out=1),
                weighed=Usage(requests=1, tokens_in=20, tokens_out=1000 if large else 1),
                readings=(Reading(Dimension.TOKENS, limit, remaining, None),),
            )
        )
    return made


@pytest.mark.parametrize(
    ("limit", "left", "counted"),
    [
        (60_000, (19_987, 19_987, 18_988, 19_987), True),  # a bucket holds less than its limit
        (20_000, (19_987, 19_987, 18_988, 19_987), True),
        (20_000, (19_987, 19_987, 19_986, 19_987), False),
        (20_000, (15_000, 14_980, 13_950, 13_930), True),
        (None, (19_987, 19_987, 18_988, 19_987), True),
        (None, (19_987, 19_987, 19_986, 19_987), None),
    ],
)
def test_whether_answers_are_reserved(limit: int | None, left: tuple[int, ...], counted: bool | None) -> None:
    """A fall by what was asked for is a reservation. Without one, what is left of a limit tells that there is none; with no limit
    told it may have been refilled, and nobody knows."""
    assert reserves(looks(limit, *left)) is counted
