"""Collectives on a simulated domain: memories filled, tables configured, doorbells rung, every byte compared.

A `Job` is one collective; a `CollectiveRun` is a domain with the memory for its jobs, which are started one after the
other on one communicator, or side by side on several. Whatever a job does not write must stay as it was.
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from golden import collectives as golden
from mtia import message
from mtia.collectives import PROGRAMS, Algorithm, Collective
from mtia.collectives_entries import encode
from mtia.collectives_geometry import LONGEST_TIMEOUT, Geometry, descriptor, equal_chunk, geometry
from mtia.message_profiles import MessageParameters
from mtia.near_memory import ReduceFormat, ReduceKind

from ..ports import Design
from .domain import Completion, Domain, DomainSettings

Bytes = NDArray[np.uint8]

#: numbers under which every rank opens its windows, and the key to them
LANDING_WINDOW, OUTPUT_WINDOW, KEY = 0, 1, 0x6B65_7931
#: what memory holds where nothing was written
BLANK = 0xA5
_PAGE = 4096


@dataclass(frozen=True, kw_only=True)
class Job:
    """One collective over the ranks of a communicator.

    bytes, root, kind, format: as in `mtia.collectives_geometry`; piece_limit: most bytes of a piece; seed: of the
    random inputs, if there are none; inputs: bytes of each rank; sizes: of an ALLTOALLV; start: cycle before which no
    rank is told of it; skew: most cycles by which a rank hears of it later, by the seed; timeout: of its descriptor.
    """

    collective: Collective
    algorithm: Algorithm
    ranks: int
    bytes: int
    root: int = 0
    kind: ReduceKind = ReduceKind.SUM
    format: ReduceFormat = ReduceFormat.FP32
    piece_limit: int = message.MAX_PACKET
    seed: int = 1
    inputs: tuple[Bytes, ...] | None = field(default=None, compare=False)
    sizes: NDArray[np.uint32] | None = field(default=None, compare=False)
    start: int = 0
    skew: int = 0
    communicator: int = 0
    timeout: int = LONGEST_TIMEOUT

    @property
    def cut(self) -> Geometry:
        """Chunks and pieces."""
        return geometry(
            self.collective,
            self.algorithm,
            ranks=self.ranks,
            bytes=self.bytes,
            piece_limit=self.piece_limit,
            format=self.format,
        )

    def given(self) -> tuple[Bytes, ...]:
        """The inputs: those of the job, or random bytes (of numbers where it adds: finite and of like size)."""
        if self.inputs is not None:
            return self.inputs
        return random_inputs(
            self.collective, ranks=self.ranks, bytes=self.bytes, root=self.root, format=self.format, seed=self.seed
        )

    def expected(self, given: Sequence[Bytes]) -> list[dict[int, Bytes]]:
        """What every rank's output must hold."""
        return golden.outcome(
            self.collective,
            given,
            chunk=self.cut.chunk,
            root=self.root,
            kind=self.kind,
            format=self.format,
            sizes=self.sizes,
        )

    @property
    def output_room(self) -> int:
        """Bytes of an output's place."""
        cut = self.cut
        exchanged = self.collective in (Collective.ALLTOALL, Collective.ALLTOALLV)
        return _page(max(cut.bytes, self.ranks * cut.chunk if exchanged else 0) + 2 * _PAGE)


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What became of a job.

    begun, ended: cycles of the first rank's doorbell and of the last rank's completion; begun_at, rank_cycles: cycle of
    each rank's doorbell, and cycles from there to its completion; outputs: bytes of each rank's
    output, blank where it must not write; sha256 of all outputs; mismatches: bytes that differ from golden's, the first
    of them as (rank, place, found, golden); failures: completions of commands that did not end well.
    """

    job: Job
    begun: int
    ended: int
    begun_at: tuple[int, ...]
    rank_cycles: tuple[int, ...]
    outputs: tuple[Bytes, ...]
    sha256: str
    mismatches: int
    first_mismatch: tuple[int, int, int, int] | None
    failures: tuple[Completion, ...]

    @property
    def cycles(self) -> int:
        """From the first rank's doorbell to the last rank's completion."""
        return self.ended - self.begun

    @property
    def match(self) -> bool:
        """Whether all bytes are golden's and every rank's command ended well."""
        return self.mismatches == 0 and not self.failures


class CollectiveRun:
    """A domain whose memory holds the inputs, outputs and landing slots of its jobs.

    Parameters
    ----------
    node : of the domain, or its design.
    jobs : in the order in which each communicator starts them.
    parameters : of the node's message engine: how many windows, communicators and partitions it has.
    first_ports : port of rank 0 of each communicator, its other ranks at the next ones; by default all from port 0.
    nodes, settings, waves, rtl : of the `Domain`; by default as many nodes as there are ranks, all of them RTL.

    Raises what `Domain` raises, and ValueError for jobs that do not fit the engine's tables.
    """

    def __init__(
        self,
        node: Design,
        jobs: Sequence[Job],
        *,
        parameters: MessageParameters,
        first_ports: Sequence[int] | None = None,
        nodes: int | None = None,
        settings: DomainSettings | None = None,
        waves: int | None = None,
        rtl: Collection[int] | None = None,
    ) -> None:
        self._jobs = tuple(jobs)
        self._parameters = parameters
        communicators = sorted({job.communicator for job in jobs})
        if not communicators or communicators[-1] >= parameters.communicators:
            raise ValueError(f"Communicators must be from 0 to {parameters.communicators - 1}, not {communicators!r}")
        self._first = dict(zip(communicators, first_ports or [0] * len(communicators), strict=True))
        self._ranks = {number: max(job.ranks for job in jobs if job.communicator == number) for number in communicators}
        needed = max(self._first[number] + self._ranks[number] for number in communicators)
        self._place(communicators)
        self.domain = Domain(
            node,
            nodes=nodes or needed,
            memory_bytes=self._bytes,
            settings=settings,
            waves=waves,
            rtl=rtl,
            parameters=parameters,
        )
        self._given = [job.given() for job in self._jobs]
        for node_index in range(self.domain.nodes):
            self.domain.memory(node_index)[:] = BLANK
        self._fill()
        self._configure(communicators)
        # the engine clears its tables of arrivals after reset, an entry a cycle
        self.domain.run(cycles=parameters.communicators << 8 | 0xFF)

    def run(self, *, quiet: int = 50_000, progress: Callable[[int, int], None] | None = None) -> list[JobResult]:
        """Ring the doorbells, run until every rank has completed every job, and compare; `progress` as `Domain.run`."""
        rng = np.random.default_rng(self._jobs[0].seed)
        base = self.domain.cycles
        for number, job in enumerate(self._jobs):
            for rank in range(job.ranks):
                late = int(rng.integers(0, job.skew + 1))
                word = message.pack(message.DESCRIPTOR, **self._descriptor(number, job))
                partition = job.communicator % self._parameters.partitions
                port = self._first[job.communicator] + rank
                self.domain.doorbell(port, partition | word << 8, not_before=base + job.start + late)
        self.domain.run(completions=sum(job.ranks for job in self._jobs), quiet=quiet, progress=progress)
        completions = self.domain.completions()
        return [self._result(number, job, completions) for number, job in enumerate(self._jobs)]

    def reopen(self) -> None:
        """Write all tables again: windows are open and communicators begin anew, as is needed after a failure."""
        self._configure(sorted(self._first))
        self.domain.run(cycles=self._parameters.communicators << 8 | 0xFFF)

    def _place(self, communicators: Sequence[int]) -> None:
        """Addresses, the same at every node."""
        at = _PAGE
        self._input: list[int] = []
        self._sizes: list[int] = []
        self._output = [0] * len(self._jobs)
        self._window: dict[int, tuple[int, int]] = {}
        self._landing: dict[int, tuple[int, int]] = {}
        for number in communicators:
            jobs = [job for job in self._jobs if job.communicator == number]
            parity = _page(max(job.cut.landing_bytes for job in jobs))
            self._landing[number] = (at, parity)
            at += 2 * parity + _PAGE
        for job in self._jobs:
            self._input.append(at)
            at += _page(job.cut.bytes + _PAGE)
            self._sizes.append(at)
            at += _PAGE if job.sizes is not None else 0
        for number in communicators:
            first = at
            for index, job in enumerate(self._jobs):
                if job.communicator == number:
                    self._output[index] = at
                    at += job.output_room
            self._window[number] = (first, at - first)
        self._bytes = at + _PAGE

    def _fill(self) -> None:
        for number, job in enumerate(self._jobs):
            for rank, given in enumerate(self._given[number]):
                memory = self.domain.memory(self._first[job.communicator] + rank)
                memory[self._input[number] : self._input[number] + len(given)] = given
                if job.sizes is not None:
                    row = job.sizes[rank].astype("<u4").view(np.uint8)
                    memory[self._sizes[number] : self._sizes[number] + len(row)] = row

    def _configure(self, communicators: Sequence[int]) -> None:
        image = encode(list(PROGRAMS.values()))
        for node in range(self.domain.nodes):
            for space, words in ((2, image.context), (3, image.directory)):
                for index, word in enumerate(words):
                    self._table(node, space, index, word)
        for number in communicators:
            ranks, first = self._ranks[number], self._first[number]
            self.domain.group(number, range(first, first + ranks))
            sources = ((1 << ranks) - 1) << first
            for rank in range(ranks):
                for window, (base, size) in self._windows(number):
                    fields = {"valid": 1, "rights": message.Right.WRITE | message.Right.EVENT, "key": KEY + number}
                    fields |= {"partition": number % self._parameters.partitions, "base": base, "size": size}
                    self._table(
                        first + rank, 0, window, message.pack(message.WINDOW, sources=sources, epoch=number, **fields)
                    )
                self._table(first + rank, 1, number, message.pack(message.COMMUNICATOR, **self._member(number, rank)))

    def _windows(self, number: int) -> list[tuple[int, tuple[int, int]]]:
        landing, parity = self._landing[number]
        return [
            (2 * number + LANDING_WINDOW, (landing, 2 * parity)),
            (2 * number + OUTPUT_WINDOW, self._window[number]),
        ]

    def _member(self, number: int, rank: int) -> dict[str, int]:
        landing, parity = self._landing[number]
        return {
            "valid": 1,
            "rank": rank,
            "ranks": self._ranks[number],
            "group": number,
            "partition": number % self._parameters.partitions,
            "landing_window": 2 * number + LANDING_WINDOW,
            "output_window": 2 * number + OUTPUT_WINDOW,
            "epoch": number,
            "key": KEY + number,
            "landing": landing,
            "parity_bytes": parity,
            "first_port": self._first[number],
            "output": self._window[number][0],
        }

    def _table(self, node: int, space: int, index: int, word: int) -> None:
        self.domain.configure(node, space | index << 3 | word << 15)

    def _descriptor(self, number: int, job: Job) -> dict[str, int]:
        return descriptor(
            job.collective,
            job.algorithm,
            job.cut,
            command=number,
            communicator=job.communicator,
            partition=job.communicator % self._parameters.partitions,
            root=job.root,
            kind=job.kind,
            format=job.format,
            input=self._input[number],
            output=self._output[number],
            sizes=self._sizes[number] if job.sizes is not None else 0,
            timeout=job.timeout,
        )

    def _result(self, number: int, job: Job, completions: Sequence[Completion]) -> JobResult:
        first = self._first[job.communicator]
        mine = [each for each in completions if each.command == number]
        mine = sorted(mine, key=lambda each: each.node)
        outputs, mismatches, place = [], 0, None
        for rank, parts in enumerate(job.expected(self._given[number])):
            start = self._output[number]
            found = self.domain.memory(first + rank)[start : start + job.output_room].copy()
            wanted = np.full(job.output_room, BLANK, np.uint8)
            for at, part in parts.items():
                wanted[at : at + len(part)] = part
            wrong = np.flatnonzero(found != wanted)
            if len(wrong) and place is None:
                at = int(wrong[0])
                place = (rank, at, int(found[at]), int(wanted[at]))
            mismatches += len(wrong)
            outputs.append(found[: max((at + len(part) for at, part in parts.items()), default=0)])
        digest = hashlib.sha256(b"".join(each.tobytes() for each in outputs)).hexdigest()
        return JobResult(
            job=job,
            begun=min(each.cycle - each.cycles for each in mine),
            ended=max(each.cycle for each in mine),
            begun_at=tuple(each.cycle - each.cycles for each in mine),
            rank_cycles=tuple(each.cycles for each in mine),
            outputs=tuple(outputs),
            sha256=digest,
            mismatches=mismatches,
            first_mismatch=place,
            failures=tuple(each for each in mine if each.status is not message.Status.OK),
        )


def first_byte_latency(node: Design, *, parameters: MessageParameters, settings: DomainSettings | None = None) -> int:
    """Cycles from the doorbell of a PUT of one atom to its write at the peer, with nothing else under way."""
    domain, begun = _put(node, parameters, settings)
    return (domain.first_write(1) or 0) - begun


def first_flit_latency(node: Design, *, parameters: MessageParameters, settings: DomainSettings | None = None) -> int:
    """Cycles from the doorbell of a PUT of one atom to its first flit at the switch, with nothing else under way."""
    domain, begun = _put(node, parameters, settings)
    return (domain.first_flit(0) or 0) - begun


def _put(node: Design, parameters: MessageParameters, settings: DomainSettings | None) -> tuple[Domain, int]:
    """A domain of two after a PUT from the first to the second, and the cycle of its doorbell."""
    domain = Domain(node, nodes=2, memory_bytes=2 * _PAGE, settings=settings)
    window = {"valid": 1, "rights": message.Right.WRITE, "base": _PAGE, "size": _PAGE, "sources": 1}
    domain.configure(1, message.pack(message.WINDOW, **window) << 15)
    domain.run(cycles=parameters.communicators << 8 | 0xFF)
    put = {"op": message.DescriptorOp.PUT, "peer": 1, "bytes": message.ATOM_BYTES, "acknowledge": 1}
    domain.doorbell(0, message.pack(message.DESCRIPTOR, **put) << 8)
    domain.run(completions=1, quiet=2000)
    (completion,) = domain.completions()
    if completion.status is not message.Status.OK:
        raise RuntimeError(f"PUT must be written at its peer, not end as {completion!r}")
    return domain, completion.cycle - completion.cycles


def last_byte_to_completion(node: Design, *, parameters: MessageParameters, bytes: int = 2048) -> int:
    """Cycles from the last write of a message of so many bytes at its receiver to the completion there."""
    job = Job(collective=Collective.SENDRECV, algorithm=Algorithm.RENDEZVOUS, ranks=2, bytes=bytes)
    run = CollectiveRun(node, [job], parameters=parameters)
    (result,) = run.run()
    return result.begun_at[1] + result.rank_cycles[1] - (run.domain.last_write(1) or 0)


def random_inputs(
    collective: Collective,
    *,
    ranks: int,
    bytes: int,
    root: int = 0,
    format: ReduceFormat = ReduceFormat.FP32,
    seed: int,
) -> tuple[Bytes, ...]:
    """Random inputs of every rank, of numbers of the format; they do not depend on how the collective is done."""
    rng = np.random.default_rng(seed)
    lengths = input_lengths(collective, ranks=ranks, bytes=bytes, root=root)
    return tuple(random_numbers(rng, length, format) for length in lengths)


def input_lengths(collective: Collective, *, ranks: int, bytes: int, root: int = 0) -> list[int]:
    """Bytes of every rank's input; they do not depend on how the collective is done."""
    chunk = equal_chunk(bytes, ranks)
    return [
        golden.input_bytes(collective, rank=rank, ranks=ranks, bytes=bytes, chunk=chunk, root=root)
        for rank in range(ranks)
    ]


def random_numbers(rng: np.random.Generator, length: int, format: ReduceFormat) -> Bytes:
    """Bytes of random numbers of a format, of like size and both signs; of an MX operand with scales near 1."""
    if format.operand is not None:
        atoms = rng.integers(0, 256, (-(-length // message.ATOM_BYTES), message.ATOM_BYTES), np.uint8)
        atoms[:, message.ATOM_BYTES - 1] = rng.integers(120, 135, len(atoms))
        return atoms.reshape(-1)[:length].copy()
    values = rng.standard_normal(-(-length // 2)).astype(np.float32)
    width = format.memory.width
    if width == 32:
        raw: Bytes = values.view(np.uint8)
    elif format is ReduceFormat.BF16:
        raw = np.ascontiguousarray(values.view(np.uint16)[1::2]).view(np.uint8)
    else:
        raw = values.astype(np.float16).view(np.uint8)
    return raw[:length].copy()


def _page(bytes: int) -> int:
    return -(-bytes // _PAGE) * _PAGE
