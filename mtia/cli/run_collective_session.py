"""A collective on a domain of RTL and golden nodes: as many jobs as it takes, measured beside its bound."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtia import message_profiles
from mtia.collectives import Algorithm, Collective
from mtia.collectives_bounds import bound, choose
from mtia.collectives_geometry import equal_chunk, landing_bytes, split
from mtia.collectives_pieces import best_piece
from mtia.generations import Generation
from mtia.link import LinkParameters
from mtia.message import FLIT_BYTES
from mtia.near_memory import ReduceFormat, ReduceKind
from mtia.switch import of as switch_of
from tb.lane import SimulationError
from tb.message.collective import CollectiveRun, Job, JobResult, first_byte_latency, input_lengths, random_inputs
from tb.message.domain import DomainSettings
from tb.message.port import NodeAndPort
from tb.ports import Design, design_of
from tb.verilator import BuildError

from .common import UserError
from .progress import explain_wait

#: most bytes of landing slots of a rank, for each of two parities
MOST_LANDING = 16 << 20
#: size at which nodes are simulated
PROFILE = "sim"
_BUILDING = "preparing the simulator (the first time it is built, which takes a minute or two)..."


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run. inputs: bytes of each rank, None for random ones; skew: most cycles between the ranks' starts;
    rtl: ranks whose node is RTL, None for all."""

    collective: Collective
    ranks: int
    bytes: int
    algorithm: Algorithm
    format: ReduceFormat
    kind: ReduceKind
    root: int = 0
    seed: int = 1
    skew: int = 0
    error_rate: float = 0.0
    inputs: tuple[NDArray[np.uint8], ...] | None = None
    rtl: tuple[int, ...] | None = None

    @property
    def rtl_nodes(self) -> int:
        """How many nodes are RTL."""
        return self.ranks if self.rtl is None else len(self.rtl)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What became of a request, done by one job or several on end.

    latency: cycles of a first byte; bound: cycles that no algorithm can beat; retransmissions: frames sent again on all
    links, after `errors` on their wires; flits: into the switch; cycles_per_second: system cycles a CPU-second
    of the simulation, without the comparison with golden.
    """

    request: Request
    jobs: Sequence[JobResult]
    cycles: int
    latency: int
    bound: float
    retransmissions: int
    errors: int
    flits: int
    cycles_per_second: float

    @property
    def match(self) -> bool:
        """Whether every byte of every rank is golden's."""
        return all(job.match for job in self.jobs)

    @property
    def ratio(self) -> float:
        """Cycles in units of the bound."""
        return self.cycles / self.bound

    @cached_property
    def outputs(self) -> tuple[NDArray[np.uint8], ...]:
        """Bytes of each rank's output."""
        return tuple(np.concatenate(parts) for parts in zip(*(job.outputs for job in self.jobs), strict=True))

    @cached_property
    def sha256(self) -> str:
        """Of all outputs, the first rank's first."""
        return hashlib.sha256(b"".join(each.tobytes() for each in self.outputs)).hexdigest()


class Session:
    """The node of a generation's domain, built once."""

    def __init__(self, generation: Generation) -> None:
        self._parameters = message_profiles.of(PROFILE)
        self._switch = switch_of(generation)  # only how long a contribution may be matters: as the engine's packets

    @cached_property
    def node(self) -> Design:
        """The Verilog of a node and its ports."""
        return design_of(NodeAndPort(parameters=self._parameters, link=LinkParameters()), name="node")

    @cached_property
    def latency(self) -> int:
        """Cycles of a first byte from doorbell to memory."""
        with _simulation():
            return first_byte_latency(self.node, parameters=self._parameters)

    def choose(self, collective: Collective, *, ranks: int, bytes: int, format: ReduceFormat) -> Algorithm:
        """The algorithm for a size on this domain."""
        return choose(
            collective,
            ranks=ranks,
            bytes=bytes,
            latency=self.latency,
            bytes_per_cycle=FLIT_BYTES,
            switch_formats=tuple(ReduceFormat) if self._switch.reduces else (),
            format=format,
            multicast=self._switch.multicasts,
            landing=MOST_LANDING,
            piece_limit=self._switch.slot_bytes,
        )

    def piece_limit(self, request: Request) -> int:
        """Most bytes of a piece, so that it takes the least time; in the switch one must fit a slot."""
        in_switch = request.algorithm is Algorithm.IN_SWITCH
        return best_piece(
            request.collective,
            request.algorithm,
            ranks=request.ranks,
            bytes=request.bytes,
            mtu=self._switch.slot_bytes if in_switch else self._parameters.mtu,
            lines=self._parameters.lines,
            format=request.format,
        )

    def check(self, algorithm: Algorithm) -> None:
        """UserError for an algorithm that this domain's switch does not have."""
        lacks = {Algorithm.IN_SWITCH: not self._switch.reduces, Algorithm.MULTICAST: not self._switch.multicasts}
        if lacks.get(algorithm):
            raise UserError(f"Algorithm {str(algorithm)!r} needs a switch that this generation does not have")

    def check_size(self, request: Request) -> None:
        """ValueError for bytes that the algorithm cannot do on this domain's memory."""
        if not self.fits(request, request.algorithm, request.bytes):
            slots = landing_bytes(request.collective, request.algorithm, ranks=request.ranks, bytes=request.bytes)
            raise ValueError(
                f"Bytes must fit {MOST_LANDING >> 20} MiB of landing slots a rank, not {request.bytes} "
                f"({request.algorithm} needs {slots >> 20} MiB)"
            )
        split(request.collective, request.algorithm, ranks=request.ranks, bytes=request.bytes)

    def fits(self, request: Request, algorithm: Algorithm, bytes: int) -> bool:
        """Whether the algorithm can do so many bytes here."""
        with contextlib.suppress(UserError):
            self.check(algorithm)
            slots = landing_bytes(request.collective, algorithm, ranks=request.ranks, bytes=bytes)
            return slots <= MOST_LANDING
        return False

    def with_inputs(self, request: Request, inputs: tuple[NDArray[np.uint8], ...]) -> Request:
        """The request with inputs given. UserError where they are not as long as it needs."""
        lengths = input_lengths(request.collective, ranks=request.ranks, bytes=request.bytes, root=request.root)
        for rank, (found, wanted) in enumerate(zip(inputs, lengths, strict=True)):
            if len(found) < wanted:
                raise UserError(f"Input of rank {rank} must have {wanted} bytes, not {len(found)}")
        return replace(request, inputs=tuple(row[:length] for row, length in zip(inputs, lengths, strict=True)))

    def variant(self, request: Request, algorithm: Algorithm, bytes: int) -> Request:
        """The same by another algorithm, of other bytes, of random inputs."""
        return replace(request, algorithm=algorithm, bytes=bytes, inputs=None)

    def measure(
        self,
        request: Request,
        *,
        node: int | None = None,
        waves: Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Measured:
        """Run it; `waves` of `node` into that file. Raises UserError where the simulation fails."""
        settings = DomainSettings(flit_error_rate=request.error_rate, seed=request.seed)
        latency = self.latency
        with _simulation():
            run = CollectiveRun(
                self.node,
                self._jobs(request),
                parameters=self._parameters,
                settings=settings,
                waves=node,
                rtl=request.rtl,
            )
            if waves is not None:
                run.domain.trace(waves)
            started, begun = run.domain.cpu_seconds, run.domain.cycles
            done = run.run(progress=progress)
            speed = (run.domain.cycles - begun) / max(1e-9, run.domain.cpu_seconds - started)
            if waves is not None:
                run.domain.trace(None)
        counts, links = run.domain.counts(), run.domain.links()
        run.domain.close()
        return Measured(
            request=request,
            jobs=done,
            cycles=max(job.ended for job in done) - min(job.begun for job in done),
            latency=latency,
            bound=bound(
                request.collective,
                ranks=request.ranks,
                bytes=request.bytes,
                latency=latency,
                bytes_per_cycle=FLIT_BYTES,
                switch_reduces=request.algorithm is Algorithm.IN_SWITCH,
            ),
            retransmissions=links["retransmitted"],
            errors=counts["errors"],
            flits=counts["flits_in"],
            cycles_per_second=speed,
        )

    def _jobs(self, request: Request) -> list[Job]:
        sizes, limit = None, self.piece_limit(request)
        if request.collective is Collective.ALLTOALLV:
            most = equal_chunk(request.bytes, request.ranks)
            rng = np.random.default_rng([request.seed, 1])
            sizes = rng.integers(0, most + 1, (request.ranks, request.ranks), np.uint32)
        whole = Job(
            collective=request.collective,
            algorithm=request.algorithm,
            ranks=request.ranks,
            bytes=request.bytes,
            root=request.root,
            kind=request.kind,
            format=request.format,
            piece_limit=limit,
            seed=request.seed,
            skew=request.skew,
            sizes=sizes,
        )
        parts = split(
            request.collective,
            request.algorithm,
            ranks=request.ranks,
            bytes=request.bytes,
            piece_limit=limit,
        )
        jobs: list[Job] = []
        at = 0
        given = request.inputs
        if given is None:
            given = random_inputs(
                request.collective,
                ranks=request.ranks,
                bytes=request.bytes,
                root=request.root,
                format=request.format,
                seed=request.seed,
            )
        for length in parts:
            cut = given if len(parts) == 1 else tuple(each[at : at + length] for each in given)
            jobs.append(replace(whole, bytes=length, inputs=cut))
            at += length
        return jobs


@contextlib.contextmanager
def _simulation() -> Iterator[None]:
    """Explain a long build; a simulation that cannot be built or carried out is a UserError."""
    try:
        with explain_wait(_BUILDING):
            yield
    except BuildError as error:
        raise UserError(f"{str(error).splitlines()[0]} (see: mtia doctor)") from error
    except SimulationError as error:
        raise UserError(str(error)) from error
