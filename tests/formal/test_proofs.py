"""The proofs, and that they find what they are for; skipped where SymbiYosys is not installed."""

import importlib.util
import itertools
import random
import shutil

import pytest

from formal import aigbmc
from formal.run import PROOFS, ProofError, environment, main, run
from formal.small import ArbiterProof

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pysat") is None or shutil.which("yowasp-sby", path=environment()["PATH"]) is None,
    reason="needs what `./dev nox -s formal` installs",
)

BY_NAME = {proof.name: proof for proof in PROOFS}


@pytest.mark.parametrize("name", BY_NAME)
def test_proof(name, tmp_path):
    """Each comes out as it must; the one without the replay timer fails, so the others say something."""
    outcome = run(BY_NAME[name], folder=tmp_path)
    assert outcome.holds == BY_NAME[name].holds
    assert outcome.as_expected
    assert outcome.cpu_seconds < 60


def test_missing_timer_is_found_by_the_same_property():
    whole, without = BY_NAME["link-progress"], BY_NAME["link-progress-no-timer"]
    assert (whole.depth, whole.holds, without.holds) == (without.depth, True, False)


def random_circuit(rng: random.Random) -> aigbmc.Circuit:
    inputs, latches, gates = 2, 4, 25
    pairs = []
    for index in range(gates):
        high = 2 * (1 + inputs + latches + index)
        pairs.append((rng.randrange(high), rng.randrange(high)))
    top = 2 * (1 + inputs + latches + gates)
    return aigbmc.Circuit(
        inputs=inputs,
        latches=[(rng.randrange(top), rng.getrandbits(1)) for _ in range(latches)],
        gates=pairs,
        bad=[rng.randrange(top)],
        constraints=[rng.randrange(2, top)] if rng.random() < 0.3 else [],
    )


def evaluate(
    circuit: aigbmc.Circuit, state: tuple[int, ...], inputs: tuple[int, ...]
) -> tuple[tuple[int, ...], bool, bool]:
    """Next state, whether it is bad, whether the constraints hold."""
    values = [0, *inputs, *state]
    for one, other in circuit.gates:
        values.append((values[one >> 1] ^ one & 1) & (values[other >> 1] ^ other & 1))

    def value(literal: int) -> int:
        return values[literal >> 1] ^ literal & 1

    following = tuple(value(literal) for literal, _ in circuit.latches)
    return following, any(map(value, circuit.bad)), all(map(value, circuit.constraints))


def first_bad(circuit: aigbmc.Circuit, depth: int) -> int | None:
    """The same by trying all states that can be reached."""
    states = {tuple(reset for _, reset in circuit.latches)}
    for step in range(depth + 1):
        after = set()
        for state, inputs in itertools.product(states, itertools.product((0, 1), repeat=circuit.inputs)):
            following, is_bad, is_allowed = evaluate(circuit, state, inputs)
            if is_allowed and is_bad:
                return step
            if is_allowed:
                after.add(following)
        states = after
    return None


def test_engine_against_enumeration(seed, capsys):
    """Random circuits: the first bad step is that of a search over all states, and the trace leads there."""
    rng = random.Random(seed)
    found = 0
    for _ in range(300):
        circuit = random_circuit(rng)
        trace = aigbmc.check(circuit, 12)
        step = first_bad(circuit, 12)
        assert (None if trace is None else len(trace) - 1) == step
        if trace is None:
            continue
        found += len(trace) > 1
        state = tuple(reset for _, reset in circuit.latches)
        is_bad = False
        for row in trace:
            state, is_bad, is_allowed = evaluate(circuit, state, tuple(row))
            assert is_allowed
        assert is_bad
    assert found > 10
    assert "u0\n" in capsys.readouterr().out


def test_engine_reads_binary(tmp_path, capsys):
    """A counter of two bits by hand: bad when both are 1, in step 3."""
    # 3 = latch 1, 2; gates: 3 = l1 & l2, 4 = ~l1 & ~l2, 5 = ~3 & ~4 = l1 ^ l2
    text = b"aig 5 0 2 0 3 1\n3\n10\n6\n"
    body = bytes([6 - 4, 4 - 2, 8 - 5, 5 - 3, 10 - 9, 9 - 7])
    path = tmp_path / "count.aig"
    path.write_bytes(text + body)
    assert aigbmc.main(["10", str(path)]) == 0
    assert capsys.readouterr().out.split() == ["u0", "u1", "u2", "1", "b0", "00", "."]
    assert aigbmc.main(["2", str(path)]) == 0
    assert capsys.readouterr().out.split() == ["u0", "u1", "u2", "2"]


def test_engine_wrong(tmp_path):
    path = tmp_path / "x.aig"
    path.write_bytes(b"aag 0 0 0 0 0\n")
    with pytest.raises(ValueError, match="Circuit must be in binary AIGER format, not b'aag'"):
        aigbmc.read(path)
    path.write_bytes(b"aig 1 0 1 0 0\n2 2\n")
    with pytest.raises(ValueError, match="Reset of a latch must be 0 or 1, not 2"):
        aigbmc.read(path)


def test_main(capsys):
    assert main(["arbiter"]) == 0
    out = capsys.readouterr().out
    assert "arbiter" in out.splitlines()[1]
    assert out.splitlines()[1].split()[1:3] == ["holds", "holds"]
    assert main(["nothing"]) == 2
    assert "Proof must be one of link-progress" in capsys.readouterr().err


def test_main_tells_a_proof_that_failed(monkeypatch, capsys):
    import dataclasses

    import formal.run

    wrong = dataclasses.replace(BY_NAME["arbiter"], holds=False)
    monkeypatch.setattr(formal.run, "PROOFS", (wrong,))
    assert main([]) == 1
    assert "holds    fails" in capsys.readouterr().out


def test_no_result(tmp_path):
    import dataclasses

    proof = dataclasses.replace(BY_NAME["arbiter"], design=ArbiterProof, depth=2, induction=True)
    with pytest.raises(ProofError, match="arbiter came to no result"):
        run(proof, folder=tmp_path)
