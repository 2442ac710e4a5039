"""No cycle in the channel-dependency graph of any generation; each broken rule gives one that is found."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import networkx
import pytest

from mtia import dependencies, generations, switch
from mtia.dependencies import Edge, Node, Rules, edges, find_cycle
from mtia.message import Channel

SMALL = switch.SwitchParameters(ports=4, buses=2)
BROKEN = {
    "separate_credits": Rules(separate_credits=False),
    "responses_sink": Rules(responses_sink=False),
    "answers_on_response": Rules(answers_on_response=False),
    "ordered_multicasts": Rules(ordered_multicasts=False),
    "contributions_wait": Rules(contributions_wait=True),
    "whole_results": Rules(whole_results=False),
}


def graph_of(found: Iterable[Edge]) -> "networkx.DiGraph[Node]":
    return networkx.DiGraph(found)


@pytest.mark.parametrize("generation", generations.GENERATIONS)
def test_no_generation_has_a_cycle(generation):
    """Two judges: networkx, and the topological order of the standard library."""
    parameters = switch.of(generation)
    graph = graph_of(edges(parameters))
    assert networkx.is_directed_acyclic_graph(graph)
    assert not find_cycle(edges(parameters))
    queues = [node for node in graph if node[0] == "queue"]
    assert len(queues) == 2 * parameters.ports * parameters.queues


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_found(rule):
    """The cycle goes along edges of the graph and ends where it began; so does networkx's."""
    found = find_cycle(edges(SMALL, BROKEN[rule]))
    graph = graph_of(edges(SMALL, BROKEN[rule]))
    assert len(found) > 2
    assert found[0] == found[-1]
    assert all(graph.has_edge(*edge) for edge in pairwise(found))
    assert networkx.find_cycle(graph)
    assert not networkx.is_directed_acyclic_graph(graph)


def test_every_rule_is_broken_once():
    assert set(BROKEN) == set(Rules.__dataclass_fields__)
    assert all(rules != Rules() for rules in BROKEN.values())


def test_rules_that_a_plain_switch_does_not_need():
    """One bus needs no order, and no unit is there to wait in."""
    plain = switch.of("mtia300", "sim")
    for rule in ("ordered_multicasts", "contributions_wait", "whole_results"):
        assert not find_cycle(edges(plain, BROKEN[rule]))
    assert not find_cycle(edges(replace(SMALL, buses=1), BROKEN["ordered_multicasts"]))


def test_everything_ends_at_the_endpoints():
    """Only an endpoint's own taking of responses waits for nothing; every other node waits for something."""
    graph = graph_of(edges(switch.of("mtia400", "sim")))
    sinks = {node for node in graph if not graph.out_degree(node)}
    assert sinks == {("receive", Channel.RESPONSE, port) for port in range(72)}


def test_the_smallest_cycle():
    assert find_cycle([(("a",), ("b",)), (("b",), ("a",))]) in ([("a",), ("b",), ("a",)], [("b",), ("a",), ("b",)])
    assert not find_cycle([(("a",), ("b",))])
    assert dependencies.find_cycle([]) == []
