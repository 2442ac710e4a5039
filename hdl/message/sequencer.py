"""The sequencer of a message engine: from doorbells to jobs, and to completions."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from mtia.message import DIRECTORY_ENTRIES, SUBGRAPHS, TIMEOUT_CYCLES

from ..core.arbiter import Arbiter
from ..core.checks import require_int, stream_in, stream_out
from ..core.clock_gate import ClockGated
from ..core.connect import connect
from ..core.fifo import Queue
from .admission import Admission
from .arrivals import Arrivals
from .command_table import CommandTable
from .completion import Completions
from .fetch import Fetch
from .issue import Issue
from .jobs import Configure, Done, Loaded, LoadRequest, MemoryJob
from .layouts import Completion, Descriptor
from .loads import Loads
from .operand import Operands
from .ports import Acknowledged, Answer, Query, ReadyAnswer, ReadyQuery, SendJob, Sent
from .ring import Rings
from .semaphore import Semaphores
from .sizes import Sizes
from .starter import DIRECT, Starter
from .tables import Tables
from .thread_table import ThreadTable

#: parameters, and the least and most of each
_PARAMETERS = {
    "partitions": (1, 8),
    "depth": (2, None),
    "commands": (1, 16),
    "communicators": (1, 16),
    "programs": (1, 256),
    "entries": (2, 512),
    "threads": (4, 16),
    "sends": (2, 64),
    "works": (2, 16),
    "completion_depth": (1, None),
    "interval": (1, None),
}


class Sequencer(wiring.Component):
    """Runs commands: PUT, COPY and programs on communicators.

    A descriptor waits in the ring of its partition, is checked in a command slot, and starts in the order of its
    communicator. A program's subgraphs are threads; a thread runs until it has to wait and is taken up again when
    what it waits for is there, so nothing spins. A malformed descriptor does nothing and is completed as such.

    Latency: 4 cycles from a doorbell to the offer of a PUT's job. Steps of one entry follow each other every cycle,
    those of two entries after 4; a thread every 3 cycles where several are ready.

    Parameters
    ----------
    partitions : 1 to 8. depth : descriptors of a ring, at least 2. commands : command slots of a partition; 2 to 16
        in all.
    communicators : 1 to 16. programs : 1 to 256. entries : of the context RAM, 2 to 512. threads : 4 to 16.
    sends, works : jobs that may wait for the sender (2 to 64) and for the reducer (2 to 16).
    completion_depth : records of the completion queue. interval : cycles between two reads of a semaphore.

    Members
    -------
    doorbell : array of `partitions` streams of `Descriptor`. completion : stream of `Completion`.
    configure : stream of `Configure`, always taken.
    send, sent : streams of `SendJob` and `Sent`. work, done : streams of `MemoryJob` and `Done`; load, loaded : of
        `LoadRequest` and `Loaded`.
    acknowledged : stream of `Acknowledged`.
    query, answer, ready_query, ready_answer, arrived, arrived_event, ready_arrived : see `Arrivals`.
    link_down : 1 ends every command that needs the link.
    """

    def __init__(
        self,
        *,
        partitions: int = 1,
        depth: int = 4,
        commands: int = 4,
        communicators: int = 4,
        programs: int = DIRECTORY_ENTRIES,
        entries: int = 512,
        threads: int = 16,
        sends: int = 16,
        works: int = 4,
        completion_depth: int = 64,
        interval: int = 32,
    ):
        given = locals()
        for name, (low, high) in _PARAMETERS.items():
            require_int(name.replace("_", " ").capitalize(), given[name], low=low, high=high)
        if not 2 <= partitions * commands <= DIRECT:
            raise ValueError(f"Partitions times commands must be in 2 to {DIRECT}, not {partitions * commands!r}")
        self._values = {name: given[name] for name in _PARAMETERS}
        super().__init__(
            {
                "doorbell": stream_in(Descriptor).array(partitions),
                "completion": stream_out(Completion),
                "configure": stream_in(Configure),
                **{name: stream_out(shape) for name, shape in _GIVEN.items()},
                **{name: stream_in(shape) for name, shape in _TAKEN.items()},
                "arrived": In(1),
                "arrived_event": In(16),
                "ready_arrived": In(1),
                "link_down": In(1),
            }
        )

    @property
    def parameters(self) -> dict[str, int]:
        """What it was built from."""
        return dict(self._values)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        own, slots = self._values, self._values["partitions"] * self._values["commands"]
        now = Signal(32)
        m.d.sync += now.eq(now + 1)
        m.submodules.rings = rings = Rings(partitions=own["partitions"], depth=own["depth"])
        counts = {name: own[name] for name in ("communicators", "programs")}
        m.submodules.tables = tables = Tables(**counts, entries=own["entries"])
        m.submodules.admission = admission = Admission(partitions=own["partitions"], slots=own["commands"], **counts)
        m.submodules.commands = commands = CommandTable(slots=slots)
        m.submodules.starter = starter = Starter(slots=slots)
        m.submodules.threads = threads = ThreadTable(threads=own["threads"], slots=slots)
        m.submodules.fetch = fetch = Fetch(threads=own["threads"], slots=slots)
        issue, operands = Issue(slots=slots, sends=own["sends"], works=own["works"]), Operands()
        m.submodules.issue, m.submodules.operands = gates = ClockGated(issue), ClockGated(operands)
        m.submodules.arrivals = arrivals = Arrivals(threads=own["threads"])
        m.submodules.semaphores = semaphores = Semaphores(slots=slots, interval=own["interval"])
        m.submodules.sizes = sizes = Sizes(threads=own["threads"])
        m.submodules.loads = loads = Loads(inputs=2)
        m.submodules.completions = completions = Completions(depth=own["completion_depth"])
        self._admit(m, now, rings, tables, admission, commands)
        self._start(m, commands, starter, threads)
        self._fetch(m, tables, commands, threads, fetch, arrivals)
        self._issue(m, commands, threads, fetch, issue, arrivals, operands)
        # Threads that wait need nothing of what makes steps.
        awake = threads.active | operands.busy | issue.send_left | issue.work_left
        m.d.comb += [gate.awake.eq(awake) for gate in gates]
        self._queues(m, starter, issue, operands)
        self._returns(m, commands, threads, semaphores)
        self._wait(m, commands, threads, semaphores, arrivals)
        self._read(m, threads, issue, semaphores, sizes, loads)
        connect(m, commands.report, completions.i)
        m.d.comb += [completions.now.eq(now), commands.tick.eq(now[: ceil_log2(TIMEOUT_CYCLES)].all())]
        connect(m, completions.completion, wiring.flipped(self.completion))
        return m

    def _admit(
        self, m: Module, now: Signal, rings: Rings, tables: Tables, admission: Admission, commands: CommandTable
    ) -> None:
        """From the rings into the command slots."""
        for index in range(rings.partitions):
            connect(m, wiring.flipped(self.doorbell[index]), rings.doorbell[index])
        connect(m, wiring.flipped(self.configure), tables.configure)
        connect(m, rings.o, admission.i)
        m.d.comb += [
            *(rings.now.eq(now), rings.room.eq(admission.room)),
            tables.admit_communicator_index.eq(admission.communicator_index),
            *(tables.admit_communicator_enable.eq(admission.look), tables.program_enable.eq(admission.look)),
            tables.program_index.eq(admission.program_index),
            *(admission.communicator.eq(tables.admit_communicator), admission.program.eq(tables.program)),
            *(admission.restart.eq(tables.restart), admission.used.eq(commands.used)),
            *(given.eq(used) for given, used in zip(admission.generations, commands.generations, strict=True)),
            *(admission.hold.eq(commands.leaving), commands.allocate.eq(admission.allocate)),
            *(commands.admit.eq(admission.admit), commands.link_down.eq(self.link_down)),
        ]

    def _start(self, m: Module, commands: CommandTable, starter: Starter, threads: ThreadTable) -> None:
        """From the command slots to threads."""
        connect(m, starter.thread, threads.start)
        m.d.comb += [
            *(starter.startable.eq(commands.startable), starter.collective.eq(commands.collective)),
            starter.room.eq(threads.free >= SUBGRAPHS),
            *(commands.start_slot.eq(starter.slot), commands.start_enable.eq(starter.look)),
            starter.command.eq(commands.start_command),
            *(getattr(commands, name).eq(getattr(starter, name)) for name in ("held", "start", "parts", "asks")),
        ]

    def _fetch(
        self,
        m: Module,
        tables: Tables,
        commands: CommandTable,
        threads: ThreadTable,
        fetch: Fetch,
        arrivals: Arrivals,
    ) -> None:
        """From threads to their entries."""
        m.d.comb += [
            *(fetch.pick.eq(threads.pick), threads.take.eq(fetch.take), threads.block.eq(fetch.block)),
            *(getattr(threads, name).eq(getattr(fetch, name)) for name in ("passes", "closes", "next_place")),
            *(commands.fetch_slot.eq(fetch.slot), commands.fetch_enable.eq(fetch.look)),
            *(tables.entry_index.eq(fetch.entry_index), tables.entry_enable.eq(fetch.look)),
            tables.fetch_communicator_index.eq(fetch.communicator_index),
            tables.fetch_communicator_enable.eq(fetch.look),
            *(fetch.command.eq(commands.fetch_command), fetch.entry.eq(tables.entry)),
            fetch.communicator.eq(tables.fetch_communicator),
            *(getattr(fetch, name).eq(getattr(threads, name)) for name in ("idle", "last_idle")),
            *(getattr(part, name).eq(getattr(commands, name)) for part in (fetch, threads) for name in _OF_COMMANDS),
        ]

    def _issue(
        self,
        m: Module,
        commands: CommandTable,
        threads: ThreadTable,
        fetch: Fetch,
        issue: Issue,
        arrivals: Arrivals,
        operands: Operands,
    ) -> None:
        """From entries to steps."""
        connect(m, fetch.visit, issue.visit)
        m.d.comb += [
            issue.failed.eq(commands.failed),
            *(getattr(threads, name).eq(getattr(issue, name)) for name in ("release", "place", "advance")),
            *(getattr(threads, name).eq(getattr(issue, name)) for name in ("begin", "begin_work")),
            *(getattr(threads, name).eq(getattr(issue, name)) for name in ("can_send", "can_work")),
            *(commands.begin.eq(issue.acknowledge), commands.messages.eq(issue.messages)),
            operands.i.eq(issue.step),
            arrivals.wait.eq(Mux(issue.wait.valid, issue.wait, fetch.wait)),
            fetch.hold.eq(issue.release.valid),
        ]

    def _queues(self, m: Module, starter: Starter, issue: Issue, operands: Operands) -> None:
        """From steps, and from PUT and COPY, to the sender and the reducer."""
        for name, shape, made, direct, port, left, depth in (
            ("send", SendJob, operands.send, starter.send, self.send, issue.send_left, self._values["sends"]),
            ("work", MemoryJob, operands.work, starter.work, self.work, issue.work_left, self._values["works"]),
        ):
            queue, arbiter = Queue(shape=shape, depth=depth), Arbiter(shape=shape, inputs=2)
            m.submodules[f"{name}_queue"], m.submodules[f"{name}_arbiter"] = queue, arbiter
            first, passed = arbiter.i[0], Signal(name=f"{name}_passed")
            m.d.comb += [
                passed.eq(made.valid & ~queue.o.valid & first.ready),
                *(queue.i.valid.eq(made.valid & ~passed), Value.cast(queue.i.payload).eq(Value.cast(made.job))),
                *(first.valid.eq(queue.o.valid | made.valid), queue.o.ready.eq(first.ready)),
                Value.cast(first.payload).eq(Mux(queue.o.valid, queue.o.payload, Value.cast(made.job))),
                left.eq(queue.credit | passed),
            ]
            connect(m, direct, arbiter.i[1])
            connect(m, arbiter.o, wiring.flipped(port))

    def _returns(self, m: Module, commands: CommandTable, threads: ThreadTable, semaphores: Semaphores) -> None:
        """Jobs that are done, to their threads or commands; what is acknowledged."""
        sent, done = self.sent, self.done
        is_direct = Signal()
        m.d.comb += [
            is_direct.eq(sent.valid & sent.payload.thread[-1]),
            *(self.sent.ready.eq(1), self.acknowledged.ready.eq(1)),
            # A PUT and a COPY that end in the same cycle: the COPY waits.
            done.ready.eq(~(is_direct & done.payload.thread[-1])),
            *(threads.sent.valid.eq(sent.valid & ~is_direct), threads.sent.thread.eq(sent.payload.thread)),
            threads.worked.valid.eq(done.valid & ~done.payload.thread[-1]),
            threads.worked.thread.eq(done.payload.thread),
            commands.job_ended.valid.eq(is_direct | (done.valid & done.payload.thread[-1])),
            commands.job_ended.slot.eq(Mux(is_direct, sent.payload.thread, done.payload.thread)),
            *(commands.part_ended.eq(threads.ended), commands.acknowledged.valid.eq(self.acknowledged.valid)),
            commands.acknowledged.answer.eq(self.acknowledged.payload),
        ]

    def _wait(
        self,
        m: Module,
        commands: CommandTable,
        threads: ThreadTable,
        semaphores: Semaphores,
        arrivals: Arrivals,
    ) -> None:
        """What threads and commands wait for."""
        for name in ("query", "ready_query"):
            connect(m, getattr(arrivals, name), wiring.flipped(getattr(self, name)))
        for name in ("answer", "ready_answer"):
            connect(m, wiring.flipped(getattr(self, name)), getattr(arrivals, name))
        m.d.comb += [
            *(semaphores.admit.eq(commands.admit), semaphores.wanted.eq(commands.wanted | threads.wanted)),
            *(commands.met.eq(semaphores.met), threads.met.eq(semaphores.met)),
            *(getattr(arrivals, name).eq(getattr(threads, name)) for name in ("waits_event", "waits_token")),
            *(getattr(arrivals, name).eq(getattr(self, name)) for name in ("arrived", "arrived_event")),
            arrivals.ready_arrived.eq(self.ready_arrived),
            *(threads.wake.eq(arrivals.wake), threads.asked.eq(arrivals.asked)),
        ]

    def _read(
        self, m: Module, threads: ThreadTable, issue: Issue, semaphores: Semaphores, sizes: Sizes, loads: Loads
    ) -> None:
        """What is read from memory for semaphores and for sizes."""
        for index, (load, loaded) in enumerate(((semaphores.load, semaphores.loaded), (sizes.load, sizes.loaded))):
            connect(m, load, loads.i[index])
            connect(m, loads.o[index], loaded)
        connect(m, loads.load, wiring.flipped(self.load))
        connect(m, wiring.flipped(self.loaded), loads.loaded)
        m.d.comb += [
            *(sizes.look.eq(issue.look), sizes.want.eq(issue.want)),
            *(issue.hit.eq(sizes.hit), issue.word.eq(sizes.word)),
            *(threads.sized.eq(sizes.sized), threads.asked_size.eq(sizes.asked)),
        ]


_GIVEN: dict[str, ShapeLike] = {
    "send": SendJob,
    "work": MemoryJob,
    "load": LoadRequest,
    "query": Query,
    "ready_query": ReadyQuery,
}
_TAKEN: dict[str, ShapeLike] = {
    "sent": Sent,
    "done": Done,
    "loaded": Loaded,
    "acknowledged": Acknowledged,
    "answer": Answer,
    "ready_answer": ReadyAnswer,
}
#: what threads and fetch know of the command slots
_OF_COMMANDS = ("settled", "failed")
