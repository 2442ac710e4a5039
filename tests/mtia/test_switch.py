"""Parameters of switches: those of the generations, and what is refused."""

import pytest

from mtia import generations, message, switch
from mtia.switch import SwitchParameters


@pytest.mark.parametrize("generation", generations.GENERATIONS)
def test_the_generations(generation):
    """Ports from the domain; multicast and reduction where a switch joins it."""
    network = generations.get(generation).structure.network
    for size in switch.SIZES:
        parameters = switch.of(generation, size)
        assert parameters.ports == network.domain
        assert parameters.multicasts == parameters.reduces == network.switched
        assert parameters.slot_bytes == switch.MTU[size]
        assert parameters.queues == parameters.ports + parameters.buses


def test_longest_contributions():
    assert switch.of("mtia400").slot_flits == 64
    assert switch.of("mtia400", "sim").slot_flits == 17
    assert SwitchParameters(ports=2, slot_bytes=32).slot_flits == 1
    assert switch.MTU["full"] == message.MAX_PACKET


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"ports": 1}, ValueError, r"^Switch ports must be in 2 to 72, not 1$"),
        ({"ports": 73}, ValueError, r"^Switch ports must be in 2 to 72, not 73$"),
        ({"ports": "8"}, TypeError, r"^Switch ports must be an integer, not '8'$"),
        ({"ports": True}, TypeError, r"^Switch ports must be an integer, not True$"),
        ({"queue_flits": 3}, ValueError, r"^Switch queue_flits must be in 4 to 4096, not 3$"),
        ({"queue_flits": 24}, ValueError, r"^Switch queue_flits must be a power of two, not 24$"),
        ({"groups": 0}, ValueError, r"^Switch groups must be in 1 to 256, not 0$"),
        ({"buses": 3}, ValueError, r"^Switch buses must be a power of two, not 3$"),
        ({"buses": 16}, ValueError, r"^Switch buses must be in 0 to 8, not 16$"),
        ({"pieces": 1}, ValueError, r"^Switch pieces must be 0 or at least 2, not 1$"),
        ({"pieces": 33}, ValueError, r"^Switch pieces must be in 0 to 32, not 33$"),
        ({"buses": 0}, ValueError, r"^Switch pieces must be 0 where there is no bus, not 4$"),
        ({"slot_bytes": 64}, ValueError, r"^Switch slot_bytes must be 32 \+ 64 k, not 64$"),
        ({"slot_bytes": 4096}, ValueError, r"^Switch slot_bytes must be in 32 to 4064, not 4096$"),
    ],
)
def test_wrong(parameters, error, words):
    with pytest.raises(error, match=words):
        SwitchParameters(**{"ports": 8, **parameters})


def test_wrong_size():
    with pytest.raises(ValueError, match=r"^Size must be one of full, sim, not 'big'"):
        switch.of("mtia400", "big")
    with pytest.raises(ValueError, match=r"mtia400"):
        switch.of("mtia4000")
