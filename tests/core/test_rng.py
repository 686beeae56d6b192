"""Randomness keyed by name: a key is all that a stream depends on."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.rng import digest, stream

quick = settings(max_examples=40, deadline=None, derandomize=True)

keys = st.tuples(st.integers(0, 2), *[st.sampled_from(["", "a", "b", "ab", "1"]) | st.integers(0, 11)] * 2)


@quick
@given(keys, keys)
def test_equal_keys_and_only_they_give_equal_streams(a: tuple[int, str | int], b: tuple[int, str | int]) -> None:
    """Parts are told apart by value, type and place: 1 is not "1", and "a", "b" is not "b", "a"."""
    assert (stream(*a).getstate() == stream(*b).getstate()) == (a == b)


def test_parts_do_not_run_together() -> None:
    """A key of two parts is not the key of their sum."""
    assert stream(0, "a", "b").random() != stream(0, "ab").random()
    assert stream(0, 1, 1).random() != stream(0, 11).random()


def test_a_stream_is_the_same_in_every_process() -> None:
    """The numbers behind a key are pinned: another value would change every run that is resumed."""
    assert [stream(42, "instruct", 417, 0).getrandbits(32), stream(0).getrandbits(32)] == [4138488622, 3879973131]


def test_streams_do_not_disturb_each_other() -> None:
    """Neither another stream nor the module's own randomness is touched by drawing."""
    before = random.getstate()
    alone = stream(7, "a").random()
    first, second = stream(7, "a"), stream(7, "b")
    second.random()
    assert first.random() == alone
    assert random.getstate() == before


def test_a_digest_is_sixteen_hexadecimal_digits() -> None:
    """Any text has a digest, lone surrogates included, and other texts have others."""
    digests = [digest(text) for text in ("", "a", "写", "\ud800", "\udfff")]
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in digests)
    assert len(set(digests)) == len(digests)
