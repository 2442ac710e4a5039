"""How a product is cut into passes of a tensor engine.

C = A B^T: some rows of one operand are held in the engine's units while rows of the other stream past
them. The roles are free, for each part of C anew, and the result's bits do not depend on them. So a
product whose sizes an engine does not divide is cut where it does: 64 streamed rows in beats of three
leave two places of 22 beats empty, 48 leave none, and the other 16 are held while what was held streams.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hdl.tensor.accumulate import AccumulatorBank
from hdl.tensor.shape import SliceShape
from mtia.formats import Format
from mtia.generations import EngineParameters

#: the first and the one after the last
Span = tuple[int, int]
#: indices of rows
Rows = Sequence[int]

#: results of a row that are quantised together, where they are
_BLOCK = 32


@dataclass(frozen=True, kw_only=True)
class Job:
    """Rows that stream past one block of held rows, in a pass for each step along K.

    swapped:  rows of A are held and rows of B stream, not the other way round
    held:     rows of the block
    streamed: rows that go past it, in the order of the beats
    late:     beats at the end whose last pass waits until all other jobs are done
    """

    swapped: bool
    held: Rows
    streamed: Rows
    late: int = 0

    @property
    def rows(self) -> tuple[Rows, Rows]:
        """Rows of A and of B."""
        return (self.held, self.streamed) if self.swapped else (self.streamed, self.held)


@dataclass(frozen=True, kw_only=True)
class Step:
    """Successive passes of a job.

    beats:   of the job's beats those that stream
    passes:  steps along K
    last:    whether the last of them completes the results
    address: accumulator of the first beat
    """

    job: Job
    beats: Span
    passes: Span
    last: bool
    address: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A product as jobs, one after the other.

    rows_per_beat: streamed rows of a beat
    passes_k:      passes along K, each of `slices` groups
    units, depth, interval: of the engine
    """

    jobs: tuple[Job, ...]
    rows_per_beat: int
    passes_k: int
    units: int
    depth: int
    interval: int

    @property
    def roles(self) -> set[bool]:
        """`Job.swapped` of the jobs."""
        return {job.swapped for job in self.jobs}

    def streamed(self, step: Step) -> Rows:
        """Rows that stream in a step, of which those of the last beat may be fewer than `rows_per_beat`."""
        first, last = step.beats
        return step.job.streamed[first * self.rows_per_beat : last * self.rows_per_beat]

    @property
    def steps(self) -> Iterator[Step]:
        """Every pass, in order. Accumulators that wait for a late pass are the highest ones."""
        late = []
        end = self.passes_k
        for job in self.jobs:
            beats = -(-len(job.streamed) // self.rows_per_beat)
            if not job.late:
                yield Step(job=job, beats=(0, beats), passes=(0, end), last=True, address=0)
                continue
            address, early = self.depth - beats, beats - job.late
            if end > 1:
                yield Step(job=job, beats=(0, beats), passes=(0, end - 1), last=False, address=address)
            yield Step(job=job, beats=(0, early), passes=(end - 1, end), last=True, address=address)
            late.append(Step(job=job, beats=(early, beats), passes=(end - 1, end), last=True, address=address + early))
        yield from late

    @property
    def estimate(self) -> int:
        """Cycles of all passes.

        A pass takes as long as its beats, as loading the next block, or as its accumulators take to be used again.
        """
        total = 0
        for step, following in itertools.pairwise([*self.steps, None]):
            assert step is not None
            beats, load = step.beats[1] - step.beats[0], len(step.job.held)
            total += (step.passes[1] - step.passes[0] - 1) * max(beats, load, self.interval)
            if following is None:
                total += beats
            else:
                again = self.interval if following.job is step.job else 0
                total += max(beats, len(following.job.held), again)
        return total


def plan(parameters: EngineParameters, a: Format, b: Format, m: int, n: int, k: int) -> Plan:
    """The plan of fewest cycles: the better of both roles, or a mixture of roles where that is better still.

    Operands of different formats keep one role each.
    """
    planner = Planner(parameters, a, b, m, n, k)
    plans = [planner.one_role(swapped=swapped) for swapped in (False, True)]
    if a == b:
        plans += [planner.both_roles(swapped=swapped) for swapped in (False, True)]
    return min(plans, key=lambda candidate: candidate.estimate)


class Planner:
    """Plans of a product of A (m, k) and B (n, k) in formats `a` and `b`."""

    def __init__(self, parameters: EngineParameters, a: Format, b: Format, m: int, n: int, k: int):
        groups = -(-k // a.group)
        self._rows = (m, n)
        self._units = parameters.units
        self._depth = parameters.depth
        self._interval = AccumulatorBank.interval_of(groups=parameters.slices, deep=parameters.deep)
        self._per_beat = parameters.dense_rows if SliceShape.is_dense(a, b) else 1
        self._passes_k = -(-groups // parameters.slices)

    def one_role(self, *, swapped: bool) -> Plan:
        """A streams, or B if `swapped`; the sets of accumulators are as even as can be."""
        streamed, held = self._rows[::-1] if swapped else self._rows
        jobs = [
            Job(swapped=swapped, held=block, streamed=rows)
            for rows in self._chunks(range(streamed), self._depth)
            for block in self._blocks(held)
        ]
        return self._plan(jobs)

    def both_roles(self, *, swapped: bool) -> Plan:
        """As `one_role`, but in some parts of the result the roles are exchanged.

        The result is seen as tiles of `units` x `units`. Of each row of tiles `crossed` are computed the
        other way round, so that the rest fills its beats; they lie in as few columns of tiles as is best,
        whose lengths fill beats too. Rows that fill no block may all stream.

        The exchanged parts come first. Of the last block, whose results would all be complete in one cycle,
        a few exchanged beats wait until the end: then some complete before the others.
        """
        streamed, held = self._rows[::-1] if swapped else self._rows
        choice = min(self._choices(streamed, held), key=lambda choice: self._cost(streamed, held, *choice))
        return self._plan(self._crossed(streamed, held, swapped, *choice))

    def _plan(self, jobs: Sequence[Job]) -> Plan:
        return Plan(
            jobs=tuple(jobs),
            rows_per_beat=self._per_beat,
            passes_k=self._passes_k,
            units=self._units,
            depth=self._depth,
            interval=self._interval,
        )

    def _blocks(self, held: int) -> list[range]:
        """Rows of each block; one that is not full comes first, as the engine waits for the first."""
        full = range(0, held - held % self._units, self._units)
        blocks = [range(row, row + self._units) for row in full]
        return [range(full.stop, held), *blocks] if held % self._units else blocks

    def _chunks(self, rows: Rows, limit: int) -> list[Rows]:
        """Rows cut into sets of at most `limit` beats."""
        beats = -(-len(rows) // self._per_beat)
        count = -(-beats // limit)
        edges = [beats * index // count * self._per_beat for index in range(count + 1)]
        return [rows[begin:end] for begin, end in itertools.pairwise(edges)]

    @property
    def _late(self) -> int:
        """Beats that may wait until the end: those of a block, without its first row, and half the accumulators."""
        return min((self._units - 1) // self._per_beat, self._depth // 2)

    def _choices(self, streamed: int, held: int) -> Iterator[tuple[int, int, bool]]:
        """Crossed tiles of each row, columns that they lie in, and whether the rows of no full block stream."""
        columns = streamed // self._units
        for crossed in range(min(columns, 3 * self._per_beat) + 1):
            if crossed * self._units < streamed:
                for wide in {*range(crossed, min(columns, crossed + 3 * self._per_beat) + 1), columns}:
                    yield crossed, wide, False
                    if held % self._units and columns:
                        yield crossed, wide, True

    def _counts(self, rows: int, crossed: int, wide: int) -> list[int]:
        """Crossed tiles of each of the `wide` columns, out of `rows`: full beats but for one column."""
        left = rows * crossed
        most = -(-left // max(wide, 1))
        most = min(rows, most + -most % self._per_beat)
        counts = []
        for _ in range(wide):
            counts.append(min(most, left))
            left -= counts[-1]
        return counts

    def _cost(self, streamed: int, held: int, crossed: int, wide: int, odd: bool) -> int:
        """Cycles of a pass along K of everything."""
        rows, rest = divmod(held, self._units)
        columns = streamed // self._units
        cost = rows * self._cycles(streamed - crossed * self._units)
        for count in self._counts(rows, crossed, wide) + [0] * (columns - wide):
            cost += self._cycles(count * self._units + (rest if odd else 0))
        if rest:
            cost += self._cycles(streamed % self._units if odd else streamed)
        return cost

    def _cycles(self, rows: int) -> int:
        """Cycles in which so many rows stream past a block, while as full a block is loaded."""
        beats = -(-rows // self._per_beat)
        least = max(self._units, self._interval if self._passes_k > 1 else 0)
        return max(beats, -(-beats // (self._depth - self._late)) * least) if rows else 0

    def _crossed(self, streamed: int, held: int, swapped: bool, crossed: int, wide: int, odd: bool) -> list[Job]:
        """The jobs of `both_roles` for one of `_choices`."""
        units = self._units
        rows, rest = divmod(held, units)
        columns = self._spread(streamed // units)
        odd_rows = range(rows * units, held)
        left = dict(zip(columns, self._counts(rows, crossed, wide), strict=False))
        picked: list[list[int]] = [[] for _ in range(rows)]
        for row in reversed(range(rows)):
            picked[row] = sorted(left, key=lambda column: -left[column])[:crossed]
            for column in picked[row]:
                left[column] -= 1
        jobs = []
        for column in sorted(columns):
            past = list(odd_rows) if odd else []
            for row in range(rows):
                past += self._tile(row) if column in picked[row] else []
            late = rows > 0 and column == max(picked[-1], default=None)
            jobs += self._jobs(not swapped, self._tile(column), past, late=late)
        if rest:
            jobs += self._jobs(swapped, odd_rows, range(len(columns) * units * odd, streamed))
        for row in range(rows):
            past = [index for index in range(streamed) if index // units not in picked[row]]
            jobs += self._jobs(swapped, self._tile(row), past)
        return jobs

    def _tile(self, index: int) -> range:
        """Rows of a tile."""
        return range(index * self._units, index * self._units + self._units)

    def _spread(self, columns: int) -> list[int]:
        """Columns of tiles in the order in which they are crossed: the last of each block of results, then others."""
        per = max(_BLOCK // self._units, 1)
        return sorted(range(columns), key=lambda column: (column % per, column), reverse=True)

    def _jobs(self, swapped: bool, held: Rows, streamed: Rows, *, late: bool = False) -> list[Job]:
        """A job for each set of accumulators; of the last, if `late`, a few beats wait if enough others do not."""
        if not streamed:
            return []
        jobs = [
            Job(swapped=swapped, held=held, streamed=rows) for rows in self._chunks(streamed, self._depth - self._late)
        ]
        beats = -(-len(jobs[-1].streamed) // self._per_beat)
        if late and beats - self._late >= self._units:
            jobs[-1] = dataclasses.replace(jobs[-1], late=self._late)
        return jobs
