# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""A command from its descriptor to its completion: turns, conditions, failures, late answers."""

import pytest

from hdl.message.admission import Admission
from hdl.message.command_slot import CommandSlot
from hdl.message.command_table import CommandTable
from hdl.message.starter import Starter
from hdl.message.tables import Tables
from mtia.message import Fault, Status
from tests.hdl.pysim import simulate

FLAGS = ("startable", "wanted", "settled", "failed", "finished", "freeable")


def on_slot(body):
    dut = CommandSlot()

    async def bench(ctx):
        async def tick(*names, **values):
            for name, value in {**dict.fromkeys(names, 1), **values}.items():
                ctx.set(getattr(dut, name), value)
            await ctx.tick()
            for name in (*names, *values):
                ctx.set(getattr(dut, name), 0)
            return {name for name in FLAGS if ctx.get(getattr(dut, name))}

        await body(tick, lambda name: ctx.get(getattr(dut, name)))

    simulate(dut, bench)


def test_life():
    """One part, two messages to be acknowledged."""

    async def body(tick, get):
        assert await tick("allocate") == {"settled"}
        assert get("used")
        assert await tick("admit", "is_collective", communicator=3) == {"settled", "startable"}
        assert get("collective")
        assert get("on") == 3
        assert await tick("start", parts=1) == {"settled"}
        assert await tick("begin", messages=2) == set()
        assert await tick("part_ended") == set()
        assert await tick("acknowledged") == set()
        assert await tick("acknowledged") == {"settled", "finished"}
        assert get("status") == Status.OK
        assert await tick("reported") == {"settled", "freeable"}
        assert await tick("free") == {"settled"}
        assert not get("used")
        assert not get("collective")
        assert get("generation") == 1

    on_slot(body)


def test_turn_then_semaphore():
    async def body(tick, get):
        await tick("allocate")
        assert await tick("admit", "is_collective", "has_condition", ahead=2) == {"settled"}
        assert await tick("met", "passed") == {"settled"}, "before its turn no condition counts"
        assert "wanted" in await tick("passed")
        assert "startable" in await tick("met")

    on_slot(body)


def test_condition_is_wanted_when_it_is_its_turn():
    async def body(tick, get):
        await tick("allocate")
        assert await tick("admit", "is_collective", "has_condition", ahead=1) == {"settled"}
        assert await tick("passed") == {"settled", "wanted"}
        assert await tick("met") == {"settled", "startable"}

    on_slot(body)


def test_only_a_collective_waits_for_those_ahead():
    """A PUT or COPY names a communicator that means nothing to it, and no collective that leaves is told to it."""

    async def body(tick, get):
        await tick("allocate")
        assert "startable" in await tick("admit", ahead=1)

    on_slot(body)


def test_fault():
    async def body(tick, get):
        await tick("allocate")
        assert await tick("admit", "is_collective", fault=Fault.ROOT) == {"settled", "failed", "finished"}
        assert (get("status"), get("detail")) == (Status.MALFORMED, Fault.ROOT)
        assert not get("collective")

    on_slot(body)


def test_refused_ends_at_once_but_waits_for_its_parts():
    """The first reason counts; the slot is not free while something of it runs."""

    async def body(tick, get):
        await tick("allocate")
        await tick("admit", "is_remote")
        await tick("start", "asks", parts=1)
        assert await tick("refused", reason=5) == {"failed", "finished"}
        await tick("refused", "link_down", reason=6)
        assert (get("status"), get("detail")) == (Status.REFUSED, 5)
        assert "freeable" not in await tick("reported")
        assert "freeable" in await tick("part_ended")

    on_slot(body)


@pytest.mark.parametrize("remote", [0, 1])
def test_link_down(remote):
    """Ends what needs the link, before it starts too; nothing else."""

    async def body(tick, get):
        await tick("allocate")
        await tick("admit", is_remote=remote)
        assert ("failed" in await tick("link_down")) == bool(remote)
        assert get("status") == (Status.LINK_DOWN if remote else Status.OK)

    on_slot(body)


@pytest.mark.parametrize("timeout", [0, 1, 3])
def test_timeout(timeout):
    """Units count from the start; after so many the next tick ends it. None without a timeout."""

    async def body(tick, get):
        await tick("allocate")
        await tick("admit", timeout=timeout)
        await tick("tick")
        await tick("tick")
        await tick("start", parts=1)
        for _ in range(timeout if timeout else 9):
            assert "failed" not in await tick("tick")
            assert "failed" not in await tick()
        assert ("failed" in await tick("tick")) == bool(timeout)
        assert (get("status"), get("detail")) == (Status.TIMEOUT if timeout else Status.OK, 0)
        assert "freeable" not in await tick("reported")
        assert "freeable" in await tick("part_ended") or not timeout

    on_slot(body)


def test_timeout_is_too_late():
    async def body(tick, get):
        await tick("allocate")
        await tick("admit", timeout=1)
        await tick("start", parts=1)
        await tick("tick")
        assert "finished" in await tick("part_ended")
        assert "failed" not in await tick("tick")
        assert get("status") == Status.OK

    on_slot(body)


def test_finished_stays_ok():
    """What fails after the last part has ended and before the completion is taken is too late."""

    async def body(tick, get):
        await tick("allocate")
        await tick("admit", "is_remote")
        await tick("start", parts=1)
        await tick("part_ended")
        assert await tick("refused", "link_down", reason=3) == {"settled", "finished"}
        assert get("status") == Status.OK

    on_slot(body)


def test_held():
    """Failed before it started, but about to: it cannot become free."""

    async def body(tick, get):
        await tick("allocate")
        await tick("admit", "is_remote")
        await tick("link_down", "held")
        await tick("reported", "held")
        assert "freeable" in await tick()
        assert "failed" in await tick("start", "held", parts=2)
        for left in (1, 0):
            assert ("freeable" in await tick("part_ended")) == (left == 0)

    on_slot(body)


@pytest.mark.parametrize(
    ("build", "parameters", "words"),
    [
        (CommandTable, {"slots": 1}, r"^Command slots must be in 2 to 16, not 1$"),
        (Starter, {"slots": 17}, r"^Command slots must be in 2 to 16, not 17$"),
        (
            Admission,
            {"partitions": 9, "slots": 1, "communicators": 1, "programs": 1},
            r"^Partitions must be in 1 to 8, not 9$",
        ),
        (
            Admission,
            {"partitions": 4, "slots": 5, "communicators": 1, "programs": 1},
            r"^Command slots must be in 1 to 4, not 5$",
        ),
        (Tables, {"communicators": 17, "programs": 1, "entries": 2}, r"^Communicators must be in 1 to 16, not 17$"),
        (Tables, {"communicators": 1, "programs": 0, "entries": 2}, r"^Programs must be in 1 to 256, not 0$"),
        (Tables, {"communicators": 1, "programs": 1, "entries": 513}, r"^Entries must be in 2 to 512, not 513$"),
    ],
)
def test_wrong_parameters(build, parameters, words):
    with pytest.raises(ValueError, match=words):
        build(**parameters)
