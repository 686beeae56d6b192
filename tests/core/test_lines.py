"""Journal lines: what is written is what is read, and no damage passes unseen."""

from __future__ import annotations

import zlib
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from engine.core.faults import Fault, FaultKind
from engine.core.lines import Damaged, read, seal, write_paid, write_settled
from engine.core.types import Item, Paid, Reply, Settled, Stop, Usage

quick = settings(max_examples=30, deadline=None, derandomize=True)

counts = st.integers(0, 2**53)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
    max_leaves=3,
)
items: st.SearchStrategy[Item] = st.dictionaries(st.text().filter(lambda name: name != "n"), values, max_size=3)
"""`n` stands among an item's fields in the line: it is the item's place in the reply, and no recipe's."""
usages = st.builds(
    Usage, requests=st.integers(0, 9), tokens_in=counts, tokens_cached=counts, tokens_out=counts, tokens_reasoning=counts,
    characters=counts, estimated=st.booleans(),
)  # fmt: skip
seconds = st.integers(0, 10**7).map(lambda n: n / 10_000)
replies = st.builds(
    Reply, text=st.text(), stop=st.sampled_from(Stop), usage=usages, model=st.text(), seconds=seconds, first_byte=seconds
)
times = st.floats(0, 2e9)
settled = st.builds(
    Settled,
    step=st.text(),
    index=counts,
    of=st.none() | st.text(),
    try_=st.integers(0, 9),
    t=times,
    shown=st.lists(st.text(), max_size=3).map(tuple),
    style=st.sampled_from(["chat", "completion"]),
    q=st.text(),
    lane=st.text(),
    replies=st.lists(replies, max_size=2).map(tuple),
    kept=st.lists(st.tuples(counts, items), max_size=3).map(tuple),
    dropped=st.lists(st.tuples(counts, items, st.text()), max_size=3).map(tuple),
    before=st.integers(0, 2),
    cost=st.integers(0, 2**63 - 1),
)
paid = st.builds(
    Paid, step=st.text(), index=counts, try_=st.integers(0, 9), t=times, lane=st.text(), why=st.text(), usage=usages,
    cost=st.integers(0, 2**63 - 1),
)  # fmt: skip

ANSWER = Settled(
    step="instance",
    index=417,
    of="classify/88.0",
    try_=1,
    t=1_767_225_600.25,
    shown=("seed/12", "instruct/96.3"),
    style="chat",
    q="00ff00ff00ff00ff",
    lane="fast",
    replies=(Reply(text='Output: "é"\n写', stop=Stop.END, usage=Usage(tokens_in=400, tokens_out=9), seconds=1.25),),
    kept=((0, {"input": "", "output": '"é"\n写'}),),
    dropped=((1, {"input": "", "output": ""}, "no_output"),),
)
FAILURE = structs.replace(ANSWER, replies=(), kept=(), dropped=(), fault=Fault(FaultKind.REFUSED, "content filter"))
COST = Paid(
    step="classify", index=3, try_=0, t=0.5, lane="fast", why="malformed unclear", usage=Usage(tokens_out=3, estimated=True)
)


@quick
@given(settled)
def test_a_settled_answer_is_read_as_it_was_written(answer: Settled) -> None:
    """Every field survives the journal, times to the last bit; the line is one line."""
    line = write_settled(answer)
    assert line.count(b"\n") == 1
    assert read(line.removesuffix(b"\n")) == answer


@quick
@given(settled, st.sampled_from(FaultKind), st.text())
def test_a_settled_failure_is_read_as_it_was_written(answer: Settled, kind: FaultKind, detail: str) -> None:
    """A fault keeps its kind and its detail; hints about retries have no more use."""
    answer = structs.replace(answer, replies=(), fault=Fault(kind, detail, retry_after=3.0, billed=True))
    found = read(write_settled(answer)[:-1])
    assert isinstance(found, Settled)
    assert found.fault is not None
    assert (found.fault.kind, found.fault.detail) == (kind, detail)
    assert structs.replace(found, fault=None) == structs.replace(answer, fault=None)


@quick
@given(paid)
def test_a_paid_attempt_is_read_as_it_was_written(cost: Paid) -> None:
    """What an attempt cost survives the journal, estimated or not."""
    assert read(write_paid(cost)[:-1]) == cost


def test_a_header_is_read_as_plain_data() -> None:
    """The first line of a segment says what wrote it."""
    header = {"seeddrill": 1, "plan": "0123456789abcdef", "versions": {"python": "3.12"}}
    assert read(seal(header)[:-1]) == header


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        (write_settled(ANSWER), "s i of try t shown style q lane replies kept dropped c"),
        (write_settled(FAILURE), "s i of try t shown style q lane fault kept dropped c"),
        (write_paid(COST), "paid s i try t lane usage c"),
    ],
    ids=["settled", "failed", "paid"],
)
def test_the_keys_of_a_line(line: bytes, keys: str) -> None:
    """The format that is documented, in its order, the checksum last."""
    body = orjson.loads(line)
    assert " ".join(body) == keys
    assert [list(item) for item in body.get("kept", [])] in ([], [["n", "input", "output"]])


def test_the_checksum_is_that_of_all_before_it() -> None:
    """Anybody can check a line: CRC-32 of the bytes before `,"c"`, as eight hexadecimal digits."""
    text, _, check = write_paid(COST).rpartition(b',"c":"')
    assert check == b'%08x"}\n' % zlib.crc32(text)


@pytest.mark.parametrize("line", [write_settled(ANSWER)[:-1], write_settled(FAILURE)[:-1], write_paid(COST)[:-1]])
def test_no_flipped_bit_passes(line: bytes) -> None:
    """Whichever bit of a line is wrong, the line is damaged."""
    for place in range(len(line)):
        for bit in range(8):
            damaged = bytearray(line)
            damaged[place] ^= 1 << bit
            with pytest.raises(Damaged):
                read(bytes(damaged))


def test_no_cut_passes() -> None:
    """A line that lacks bytes at its end or its start is damaged, wherever it was cut."""
    line = write_settled(ANSWER)[:-1]
    for place in range(1, len(line) + 1):
        for rest in (line[:-place], line[place:]):
            with pytest.raises(Damaged):
                read(rest)


@pytest.mark.parametrize("answer", [ANSWER, FAILURE])
def test_a_settled_line_without_one_of_its_keys_is_damaged(answer: Settled) -> None:
    """A right checksum does not help a line that says too little; replies may be missing where nothing was answered."""
    body = orjson.loads(write_settled(answer))
    for missing in body.keys() - {"c", "replies", "fault"}:
        with pytest.raises(Damaged):
            read(seal({key: value for key, value in body.items() if key not in ("c", missing)})[:-1])


def altered(**changes: Any) -> bytes:
    body = orjson.loads(write_settled(ANSWER)) | changes
    del body["c"]
    return seal(body)[:-1]


@pytest.mark.parametrize(
    "line",
    [
        altered(fault={"kind": "bored", "detail": ""}),
        altered(replies=[{"text": ""}]),
        altered(kept=[{"input": ""}]),
        altered(kept=["text"]),
        altered(dropped=[[1, {}]]),
        altered(shown=3),
        seal({"lease": 1})[:-1],
        b'[1,"c":"%08x"}' % zlib.crc32(b"[1"),
        b',"c":"00000000"}',
    ],
    ids=["fault", "reply", "no place", "no item", "no reason", "number", "other kind", "no object", "nothing"],
)
def test_a_sealed_line_that_says_something_else_is_damaged(line: bytes) -> None:
    """A line with a right checksum whose content is not of this format is refused by the same error."""
    with pytest.raises(Damaged):
        read(line)
