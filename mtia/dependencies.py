"""What waits for what between the endpoints and the switch of a domain: the channel-dependency graph.

A node is something that a packet may hold: a buffer, a turn, a bus. An edge from one to another says that a packet
that holds the first may wait for the second. Without a cycle no packets can wait for each other for ever, whatever is
sent. The graph follows from the parameters of the switch and from the `Rules` that the endpoints, the links and the
switch keep; each rule can be broken here to see what it is for.

Ref: W. Dally, C. Seitz, "Deadlock-Free Message Routing in Multiprocessor Interconnection Networks", IEEE Transactions
on Computers C-36(5), 1987.

>>> from mtia import dependencies, switch
>>> size = switch.SwitchParameters(ports=3)
>>> dependencies.find_cycle(dependencies.edges(size))
[]
>>> wrong = dependencies.Rules(contributions_wait=True)
>>> len(dependencies.find_cycle(dependencies.edges(size, wrong))) > 2
True
"""

import graphlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .message import Channel
from .switch import SwitchParameters

#: A node: what it is, and its channel, port, queue or bus as far as it has them.
Node = tuple[str | int, ...]
Edge = tuple[Node, Node]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What endpoints, links and switch keep to; the defaults are theirs.

    separate_credits: a link's credits are counted for each channel; responses_sink: an endpoint takes packets of
    channel RESPONSE without waiting to send; answers_on_response: it answers on channel RESPONSE; ordered_multicasts:
    multicasts begin one at a time and outputs serve them in that order; contributions_wait: a contribution waits in
    the unit for a place, which others behind it may have to make free; whole_results: a unit's packet is offered to
    its bus when all of it is there.
    """

    separate_credits: bool = True
    responses_sink: bool = True
    answers_on_response: bool = True
    ordered_multicasts: bool = True
    contributions_wait: bool = False
    whole_results: bool = True


def edges(parameters: SwitchParameters, rules: Rules | None = None) -> Iterator[Edge]:
    """The edges of the graph, each once or more.

    Nodes: ``send``, ``receive`` of an endpoint; ``up``, ``down``: buffers of the link to and from the switch, which
    credits stand for; ``queue``: a virtual queue; ``exit``: what is past the
    crossbar; ``turn``: the output's turn, held by a unicast packet; ``bus``; ``multicast``: parts of the outputs, by
    the age of the packet; ``refusals``: answers of an input; ``unit``, ``place``, ``results``: of a reduction unit.
    """
    rules = rules or Rules()
    for port in range(parameters.ports):
        yield from _endpoint(port, rules)
        for channel in Channel:
            yield from _input(parameters, port, channel)
            yield from _output(parameters, port, channel)
        yield ("refusals", port), ("turn", Channel.RESPONSE, port)
    if parameters.multicasts:
        yield from _multicasts(parameters, rules)
    if parameters.reduces:
        for port in range(parameters.ports):
            yield from _unit(parameters, port, rules)


def _endpoint(port: int, rules: Rules) -> Iterator[Edge]:
    answers = Channel.RESPONSE if rules.answers_on_response else Channel.REQUEST
    yield ("receive", Channel.REQUEST, port), ("send", answers, port)
    if not rules.responses_sink:
        yield ("receive", Channel.RESPONSE, port), ("send", Channel.REQUEST, port)
    for channel in Channel:
        for other in [channel] if rules.separate_credits else Channel:
            yield ("send", channel, port), ("up", other, port)
            yield ("down", channel, port), ("receive", other, port)


def _input(parameters: SwitchParameters, port: int, channel: Channel) -> Iterator[Edge]:
    """A flit waits for room in its queue, the queue for its output. No packet holds the reader while it waits."""
    for queue in range(parameters.queues):
        place = ("queue", channel, port, queue)
        yield ("up", channel, port), place
        yield place, _behind(parameters, channel, queue)
    if channel is Channel.REQUEST:
        yield ("up", channel, port), ("refusals", port)


def _behind(parameters: SwitchParameters, channel: Channel, queue: int) -> Node:
    """What a virtual queue is for."""
    if queue < parameters.ports:
        return ("exit", channel, queue)
    return ("bus", channel, queue - parameters.ports)


def _output(parameters: SwitchParameters, port: int, channel: Channel) -> Iterator[Edge]:
    yield ("exit", channel, port), ("turn", channel, port)
    yield ("turn", channel, port), ("down", channel, port)
    for age in range(parameters.buses):
        yield ("exit", channel, port), ("multicast", channel, age)


def _multicasts(parameters: SwitchParameters, rules: Rules) -> Iterator[Edge]:
    """A packet on a bus waits for the turns under way, the links, and the multicasts that outputs serve before it."""
    for channel in Channel:
        for age in range(parameters.buses):
            here = ("multicast", channel, age)
            yield from ((("bus", channel, bus), here) for bus in range(parameters.buses))
            for port in range(parameters.ports):
                yield here, ("turn", channel, port)
                yield here, ("down", channel, port)
            for other in range(parameters.buses):
                if other < age or (other > age and not rules.ordered_multicasts):
                    yield here, ("multicast", channel, other)
    if parameters.reduces:
        yield from (
            (("refusals", port), ("multicast", Channel.RESPONSE, age))
            for port in range(parameters.ports)
            for age in range(parameters.buses)
        )


def _unit(parameters: SwitchParameters, port: int, rules: Rules) -> Iterator[Edge]:
    """A contribution waits for room to refuse it, a result for its bus."""
    yield ("exit", Channel.REQUEST, port), ("unit", port)
    yield ("unit", port), ("results", port)
    for bus in range(parameters.buses):
        yield ("results", port), ("bus", Channel.RESPONSE, bus)
        if not rules.whole_results:
            yield ("bus", Channel.RESPONSE, bus), ("results", port)
    if rules.contributions_wait:
        yield ("unit", port), ("place", port)
        yield ("place", port), ("exit", Channel.REQUEST, port)


def find_cycle(edges: Iterable[Edge]) -> list[Node]:
    """Nodes of a cycle, the first again at the end; none where the graph has no cycle."""
    waits: dict[Node, set[Node]] = {}
    for source, target in edges:
        waits.setdefault(source, set()).add(target)
    try:
        graphlib.TopologicalSorter(waits).prepare()
    except graphlib.CycleError as error:
        return list(reversed(error.args[1]))  # the sorter takes what is waited for as what comes before
    return []
