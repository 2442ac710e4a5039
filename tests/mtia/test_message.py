"""Layouts of messages: widths, words and their fields, and what does not fit."""

import numpy as np
import pytest

from mtia import message
from mtia.message import Channel, Layout, PacketOp

LAYOUTS = {
    "HEADER": 8 * message.HEADER_BYTES,
    "WINDOW": 256,
    "COMMUNICATOR": 256,
    "DESCRIPTOR": 512,
    "COMPLETION": 128,
    "ENTRY": 128,
    "PROGRAM": 39,
    "EVENT": 16,
}


@pytest.mark.parametrize(("name", "bits"), LAYOUTS.items())
def test_widths(name: str, bits: int) -> None:
    layout: Layout = getattr(message, name)
    assert message.width(layout) == bits
    assert len(dict(layout)) == len(layout)


@pytest.mark.parametrize("name", LAYOUTS)
def test_pack_and_unpack_are_inverse(name: str, seed: int) -> None:
    layout: Layout = getattr(message, name)
    generator = np.random.default_rng(seed)
    for _ in range(50):
        word = int.from_bytes(generator.bytes(64), "little") % (1 << message.width(layout))
        values = message.unpack(layout, word)
        assert list(values) == [field for field, _ in layout]
        assert message.pack(layout, **values) == word


def test_fields_lie_from_the_lowest_bit_up() -> None:
    layout: Layout = (("a", 4), ("b", 1), ("c", 11))
    assert message.pack(layout, a=5, b=1, c=3) == 5 | 1 << 4 | 3 << 5
    assert message.pack(layout) == 0
    assert message.pack(layout, a=-1) == 0xF
    assert message.pack(layout, c=-2) == 0x7FE << 5


def test_answers_never_wait_behind_requests() -> None:
    answers = {PacketOp.READY, PacketOp.RESULT, PacketOp.DONE, PacketOp.REFUSED}
    assert {op for op, channel in message.CHANNEL_OF.items() if channel is Channel.RESPONSE} == answers
    assert set(message.CHANNEL_OF) == set(PacketOp)


def test_codes_fit_their_fields() -> None:
    bits = dict(message.ENTRY)
    for field, codes in {
        "op": message.WorkOp,
        "sync": message.Sync,
        "expect": message.Expect,
        "predicate": message.Predicate,
        "repeat": message.Repeat,
        "extent": message.Extent,
        "source_base": message.Base,
        "target_base": message.Base,
    }.items():
        assert [int(code) for code in codes] == list(range(len(codes)))
        assert len(codes) <= 1 << bits[field]
    assert max(PacketOp) < 1 << dict(message.HEADER)["op"]
    assert max(message.Reason) < 1 << dict(message.COMPLETION)["detail"]
    assert 1 << dict(message.EVENT)["piece"] == message.MAX_PIECES
    assert max(message.Right) | 3 < 1 << dict(message.WINDOW)["rights"]


def test_flits_of_a_packet() -> None:
    """A flit takes 32 bytes of payload beside the header, each further one 64."""
    for length in range(message.MAX_PACKET + 1):
        assert message.flits(length) == max(1, -(-(length + message.HEADER_BYTES) // message.FLIT_BYTES))
    assert message.flits(message.MAX_PACKET) == 64


def test_wrong() -> None:
    layout: Layout = (("a", 4), ("b", 1))
    with pytest.raises(ValueError, match="Field must be one of a, b, not 'c'"):
        message.pack(layout, c=1)
    with pytest.raises(ValueError, match="a must fit 4 bits, not 16"):
        message.pack(layout, a=16)
    with pytest.raises(ValueError, match="a must fit 4 bits, not -9"):
        message.pack(layout, a=-9)
    for word in (-1, 32):
        with pytest.raises(ValueError, match=rf"Word must be from 0 to 2\^5 - 1, not {word}"):
            message.unpack(layout, word)
