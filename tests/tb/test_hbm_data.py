"""Data behind the HBM device model: reads on time, what was written, what was not, bit errors."""

import itertools

import numpy as np
import pytest

from golden import ecc
from golden.hbm_memory import atom_number, default_words
from mtia import hbm
from mtia.hbm_ecc import COLUMNS
from tb.models.hbm import KEY_FIELDS, pack_key, unpack_key

from .hbm_player import HBM3, SETS, Playback, open_bank, shared

pytestmark = pytest.mark.sim


@pytest.fixture
def player():
    return shared("HBM3-6.4")


@pytest.mark.parametrize("name", hbm.names())
def test_read_latency(name):
    timing, found = SETS[name], shared(name)
    start = 10 + timing["RCDRD"]
    reads = [(start + 2 * n, "RD", {"pc": pc}) for n in range(9) for pc in range(2)]
    found.play([open_bank(), open_bank(11, pc=1), *reads], after=60)
    latency = -(-(timing["CL"] + timing["BL"]) // 2)
    assert found.device.read_latency == latency
    for pc in range(2):
        np.testing.assert_array_equal(found.lane.transfer_cycles(f"read_{pc}"), start + 2 * np.arange(9) + latency)


def fresh(timing=HBM3, channel=0, **fields):
    """What unwritten atoms hold: (n, 8) words."""
    place = {name: np.atleast_1d(fields.get(name, 0)) for name in KEY_FIELDS if name != "channel"}
    return default_words(atom_number(place, timing.organization), channel=channel)


def random_places(random, count):
    """Different atoms of HBM3-6.4, two of each bank taken in the bank's row."""
    banks = list(itertools.product(range(2), range(2), range(4), range(4)))
    places = []
    for index in random.permutation(len(banks))[:count]:
        pc, sid, group, bank = banks[index]
        row = int(random.integers(16384))
        for column in random.permutation(32)[:2].tolist():
            places.append({"pc": pc, "sid": sid, "bank_group": group, "bank": bank, "row": row, "column": column})
    return places


def story_of(places, command):
    """Open each place's row and issue the command, one place after the other with room between."""
    story, cycle = [], 10
    for first, second in zip(places[::2], places[1::2], strict=True):
        bank = {name: first[name] for name in ("pc", "sid", "bank_group", "bank")}
        story.append((cycle, "ACT", {**bank, "row": first["row"]}))
        story += [(cycle + 20, command, first), (cycle + 24, command, second)]
        story.append((cycle + 60, "PRE", bank))
        cycle += 80
    return story


def test_round_trip(player, seed):
    random = np.random.default_rng(seed)
    places = random_places(random, 24)
    words = random.integers(0, 1 << 32, (len(places), 8), np.uint32)
    check = random.integers(0, 1024, len(places), np.uint16)  # the device keeps them as they come
    of_pc = {pc: [index for index, place in enumerate(places) if place["pc"] == pc] for pc in range(2)}
    player.play(story_of(places, "WR"), writes={pc: (words[index], check[index]) for pc, index in of_pc.items()})
    player.play(story_of(places, "RD"))
    keys = np.array([player.device.key(**place) for place in places])
    for pc, index in of_pc.items():
        back = player.reads(pc)
        np.testing.assert_array_equal(back["data"], words[index])
        np.testing.assert_array_equal(back["check"], check[index])
    stored, stored_check = player.device.read(keys)
    np.testing.assert_array_equal(stored, words)
    np.testing.assert_array_equal(stored_check, check)
    assert set(keys.tolist()) <= set(player.device.written().tolist())


@pytest.mark.parametrize("name, channel", [("HBM3-6.4", 0), ("HBM3-6.4", 5), ("HBM3E-9.0", 15)])
def test_default_content(seed, name, channel):
    timing = hbm.get(name)
    found = Playback(timing, refresh="off", strict=False, channel=channel)
    places = random_places(np.random.default_rng(seed), 8)
    found.play(story_of(places, "RD"))
    for pc in range(2):
        right = [fresh(timing, channel, **place)[0] for place in places if place["pc"] == pc]
        back = found.reads(pc)
        np.testing.assert_array_equal(back["data"], right)
        octets = np.ascontiguousarray(back["data"]).view(np.uint8)
        assert (ecc.decode(octets, back["check"]).status == ecc.Status.OK).all()
    assert len(found.device.written()) == 0


def test_keys():
    key = (5 << 40) + (1 << 39) + (3 << 36) + (2 << 32) + (7 << 28) + (24575 << 8) + 31
    fields = {"channel": 5, "pc": 1, "sid": 3, "bank_group": 2, "bank": 7, "row": 24575, "column": 31}
    assert pack_key(**fields) == key
    assert unpack_key(key) == fields


def test_back_door(player, seed):
    random = np.random.default_rng(seed)
    keys = pack_key(row=np.arange(50), column=random.integers(0, 32, 50))
    words = random.integers(0, 1 << 32, (50, 8), np.uint32)
    player.device.write(keys, words)
    stored, check = player.device.read(keys)
    np.testing.assert_array_equal(stored, words)
    np.testing.assert_array_equal(check, ecc.encode(words.view(np.uint8)))
    player.device.write(keys[:1], words[:1], check[:1] ^ 5)
    assert player.device.read(keys[:1])[1] == check[0] ^ 5


# Bit errors


def test_every_bit(player):
    """A transient error in each of the 266 positions of an atom, one read each."""
    player.device.set_strict(False)  # one RD after the other to the same bank, and nothing else
    key = player.device.key(row=5, column=2)
    reads = [(100 + 2 * bit, "RD", {"column": 2}) for bit in range(len(COLUMNS))]
    for bit, (cycle, _, _) in enumerate(reads):
        player.device.inject(key, bit=bit, start=2 * cycle, stop=2 * cycle + 1)
    player.play([open_bank(row=5), *reads])
    back = player.reads(0)
    decoded = ecc.decode(np.ascontiguousarray(back["data"]).view(np.uint8), back["check"])
    assert (decoded.status == ecc.Status.CORRECTED).all()
    np.testing.assert_array_equal(decoded.position, np.arange(len(COLUMNS)))
    np.testing.assert_array_equal(decoded.data.view(np.uint32), np.repeat(fresh(row=5, column=2), len(COLUMNS), axis=0))
    assert player.device.violations() == []


def flips(player, column=0, bit=7):
    """Whether each read of row 5 saw the bit flipped."""
    right = fresh(row=5, column=column)[0, 0]
    return [int(word ^ right) >> bit & 1 for word in player.reads(0)["data"][:, 0]]


READS = [(n, "RD", {"column": 0}) for n in (40, 50, 60, 70)]


def test_transient_window(player):
    player.device.inject(player.device.key(row=5), bit=7, start=100, stop=140)
    player.play([open_bank(row=5), *READS])
    assert flips(player) == [0, 1, 1, 0]


def test_once(player):
    player.device.inject(player.device.key(row=5), bit=7, start=90, once=True)
    player.play([open_bank(row=5), *READS])
    assert flips(player) == [0, 1, 0, 0]


def test_everywhere(player):
    player.device.inject(bit=7)
    player.play([open_bank(row=5), (40, "RD", {}), (50, "RD", {"column": 1})])
    back = player.reads(0)["data"]
    assert (back ^ fresh(row=5, column=np.arange(2)))[:, 0].tolist() == [128, 128]
    player.device.clear_faults()
    player.play([open_bank(row=5), (40, "RD", {})])
    assert flips(player) == [0]


def test_upset_lasts_until_written(player):
    key = player.device.key(row=6)
    stored, check = player.device.read(key)
    player.device.inject(key, bit=7, kind="upset", start=90)
    story = [open_bank(row=6), *READS[:3], (100, "WR", {}), (130, "RD", {}), (140, "RD", {})]
    player.play(story, writes={0: (stored, check)})
    back = player.reads(0)["data"][:, 0] ^ stored[0, 0]
    assert back.tolist() == [0, 128, 128, 0, 0]


def test_upset_before_a_write_is_gone(player):
    key = player.device.key(row=8)
    words = np.arange(8, dtype=np.uint32)[None]
    player.device.inject(key, bit=0, kind="upset", start=30)
    player.play([open_bank(row=8), (40, "WR", {}), (100, "RD", {})], writes={0: (words, [1])})
    np.testing.assert_array_equal(player.reads(0)["data"], words)


@pytest.mark.parametrize("value", [0, 1])
def test_stuck(player, value):
    key = player.device.key(row=9)
    player.device.inject(key, bit=257, kind="stuck", value=value)
    writes = (np.zeros((2, 8), np.uint32), [0, 0x3FF])
    story = [open_bank(row=9), (40, "WR", {}), (80, "RD", {}), (110, "WR", {}), (150, "RD", {})]
    player.play(story, writes={0: writes})
    assert player.reads(0)["check"].tolist() == [2 * value, 0x3FF if value else 0x3FD]
    assert player.device.read(key)[1].tolist() == [0x3FF]
