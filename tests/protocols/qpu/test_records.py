"""Records and their replay, settings, and jobs that somebody else runs."""

import base64
import hashlib
import json
import tracemalloc
import zlib
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit, qasm2
from qiskit.circuit import Parameter

from heliograph.core.errors import ParameterError, QpuConfigError, QpuJobFailed, QpuQueueTimeout, QpuUnsupported, StorageError
from heliograph.protocols.qpu import Budget, JobStatus, Project, Samples, Settings, Work, open_backend
from heliograph.protocols.qpu.circuits import circuit_hash
from heliograph.protocols.qpu.exchange import Imported, export_job, import_result
from heliograph.protocols.qpu.notice import NOTICE
from heliograph.protocols.qpu.qasm import load_qasm
from heliograph.protocols.qpu.records import Record, for_others, parse_record, read_record, versions, write_record
from heliograph.protocols.qpu.settings import load_settings


def record(bits, **changes):
    given: dict[str, Any] = {"backend": "local", "created": "2026-01-01T00:00:00+00:00", "qasm3": "", "hash": "h", "params": {}, "shots": len(bits), "seed": 1}
    given |= {"cregs": (("c", bits.shape[1]),), "ordered": True, "provider_ids": (), "versions": {}, "bits": bits}
    return Record(**(given | changes))


def test_the_golden_record():
    found = record(np.array([[1, 0, 1, 0], [0, 1, 1, 1]], np.uint8)).as_dict()

    assert zlib.decompress(base64.b64decode(found["bits"]["data"])) == b"\xe5"
    assert found["bits"]["sha256"] == "ab61ba11a38b007ff98baa3ab20e2a584e15269fd428db3c857e2a2d568b5725"
    assert found["bits"]["n"] == 8
    assert found["format"] == "heliograph-qpu-record/1"


@given(shots=st.integers(1, 40), clbits=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_a_record_comes_back_bit_by_bit(shots, clbits, seed):
    made = record(np.random.default_rng(seed).integers(0, 2, (shots, clbits), dtype=np.uint8))

    back = parse_record(json.loads(made.text()))

    assert (back.bits == made.bits).all()
    assert back.sha256 == made.sha256
    assert back.text() == made.text()


ARN = "arn:aws:braket:us-east-1:123456789012:quantum-task/1"
DIGITS = st.one_of(st.text("0123456789abcdef", max_size=64), st.just("a123456789012b"), st.just("123456789012"))


@given(
    digest=DIGITS,
    value=st.floats(allow_nan=False, allow_infinity=False) | st.just(0.123456789012),
    text=DIGITS,
    seed=st.integers(0, 2**31) | st.just(123456789012),
)
def test_a_record_for_others_hides_account_numbers_and_nothing_else(digest, value, text, seed):
    """Digests, parameters and circuits may hold twelve digits, too, and must come out as they went in."""
    bits = np.random.default_rng(seed).integers(0, 2, (3, 3), dtype=np.uint8)
    made = record(bits, hash=digest, params={"a": value}, qasm3=f"// {text}", seed=seed, calibration=digest, provider_ids=(ARN,), backend=f"braket:{ARN}")

    given_away = for_others(made)
    back = parse_record(json.loads(given_away))

    assert ARN not in given_away
    assert back.provider_ids == ("arn:aws:braket:us-east-1:************:quantum-task/1",)
    assert (back.bits == made.bits).all()
    for name in ("created", "qasm3", "hash", "params", "shots", "seed", "cregs", "ordered", "versions", "sha256", "calibration", "simulated"):
        assert getattr(back, name) == getattr(made, name)


@pytest.mark.parametrize("first", [160, 220])
def test_every_record_that_is_exported_replays(tmp_path, first):
    """The hashes of circuits 171, 221 and 233 hold twelve digits between letters."""
    circuits = []
    for number in range(first, first + 20):
        circuit = QuantumCircuit(1, 1)
        circuit.rx(number / 10, 0)
        circuit.measure(0, 0)
        circuits.append(Work(circuit))
    job = open_backend("local", tmp_path / "mine").submit(circuits, 20, seed=1)
    for work, samples in enumerate(job.result()):
        path = tmp_path / f"{job.uuid}-{work}.json"
        path.write_text(for_others(read_record(Project(tmp_path / "mine").record_path(job.uuid, work))))
        import_result(Project(tmp_path / "theirs"), path)
        (again,) = open_backend(f"recorded:{tmp_path / 'theirs'}").run([circuits[work]], 20)
        assert (again.bits == samples.bits).all()


def _flip(raw):
    raw["bits"]["sha256"] = hashlib.sha256(b"other").hexdigest()


def _bomb(raw):
    raw["bits"]["data"] = base64.b64encode(zlib.compress(bytes(10_000_000))).decode()


def _padding(raw):
    plain = b"\xff"
    raw["bits"] |= {"data": base64.b64encode(zlib.compress(plain)).decode(), "sha256": hashlib.sha256(plain).hexdigest()}


@pytest.mark.parametrize(
    "alter",
    [
        _flip,
        _bomb,
        _padding,
        lambda raw: raw.update(shots=3),
        lambda raw: raw.update(format="other/1"),
        lambda raw: raw.pop("hash"),
        lambda raw: raw["bits"].update(data="###"),
        lambda raw: raw["bits"].update(codec="plain"),
        lambda raw: raw.update(cregs=[["c", 2]]),
        lambda raw: raw["bits"].update(data=base64.b64encode(b"no zlib").decode()),
        lambda raw: raw.update(params=[]),
        lambda raw: raw.update(shots=float("inf")),
        lambda raw: raw.update(shots=None),
        lambda raw: raw.update(cregs=5),
        lambda raw: raw.update(bits=[]),
    ],
)
def test_an_altered_record_is_refused_by_its_name(tmp_path, alter):
    path = tmp_path / "x-0.json"
    write_record(path, record(np.array([[1, 0, 1]], np.uint8)))
    raw = json.loads(path.read_text())
    alter(raw)
    path.write_text(json.dumps(raw))

    with pytest.raises(QpuConfigError) as caught:
        read_record(path)
    with pytest.raises(QpuConfigError):
        open_backend(f"recorded:{tmp_path}")
    with pytest.raises(QpuConfigError):
        import_result(Project(tmp_path / "other"), path)

    assert caught.value.where == str(path)


def test_no_file_and_no_json_are_refused(tmp_path):
    with pytest.raises(QpuConfigError, match="cannot be read"):
        read_record(tmp_path / "none.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(QpuConfigError, match="damaged"):
        read_record(tmp_path / "x.json")
    with pytest.raises(QpuConfigError, match="no such folder"):
        open_backend(f"recorded:{tmp_path / 'nowhere'}")


def test_samples_that_are_no_table_are_none():
    with pytest.raises(ParameterError):
        Samples(np.zeros(4, np.uint8), (("c", 4),), {})


def test_samples_that_do_not_fit_their_registers_are_none():
    with pytest.raises(ParameterError):
        Samples(np.zeros((3, 2), np.uint8), (("c", 3),))
    with pytest.raises(ParameterError, match="62"):
        Samples(np.zeros((3, 63), np.uint8), (("c", 63),)).codes()


def protocol(backend, circuit):
    """What a protocol does with any back-end: two jobs, and the share of ones of each."""
    first = backend.run([Work(circuit)] * 2, 200)
    second = backend.run([Work(circuit)], 200)
    return [samples.bits for samples in (*first, *second)]


def test_a_protocol_gets_the_same_bits_from_a_device_and_from_its_recording(tmp_path, paper):
    live = protocol(open_backend("local", tmp_path), paper)
    replayed = protocol(open_backend(f"recorded:{tmp_path}"), paper)

    for one, other in zip(live, replayed, strict=True):
        assert (one == other).all()


def test_a_recording_ends_and_says_so(tmp_path, paper):
    protocol(open_backend("local", tmp_path), paper)
    recorded = open_backend(f"recorded:{tmp_path}")
    protocol(recorded, paper)

    with pytest.raises(QpuConfigError, match="recording exhausted"):
        recorded.run([Work(paper)], 200)
    with pytest.raises(QpuConfigError, match="no recording of this circuit with 7 shots"):
        recorded.run([Work(paper)], 7)


def test_a_job_that_is_only_partly_recorded_takes_nothing(tmp_path, paper):
    open_backend("local", tmp_path).run([Work(paper)], 200)
    recorded = open_backend(f"recorded:{tmp_path}")

    with pytest.raises(QpuConfigError, match="exhausted"):
        recorded.run([Work(paper)] * 2, 200)

    assert recorded.run([Work(paper)], 200)[0].shots == 200


def test_a_recording_that_was_exchanged_for_another_is_noticed(tmp_path, paper):
    backend = open_backend("local", tmp_path)
    job, other = (backend.submit([Work(paper)], 20) for _ in range(2))
    assert backend.project is not None
    backend.project.record_path(other.uuid, 0).replace(backend.project.record_path(job.uuid, 0))

    with pytest.raises(QpuConfigError, match="not the one"):
        open_backend("local", tmp_path).resume(job.uuid).result()
    with pytest.raises(QpuConfigError, match="cannot be read"):
        open_backend("local", tmp_path).resume(other.uuid).result()


def test_a_simulation_whose_process_ended_has_failed(tmp_path, paper):
    backend = open_backend("local", tmp_path)
    job = backend.submit([Work(paper)], 20)
    ledger = tmp_path / "qpu-ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().splitlines(keepends=True)[0])

    with pytest.raises(QpuJobFailed, match="process"):
        open_backend("local", tmp_path).resume(job.uuid)


@pytest.mark.parametrize("name", ["local", "aer", "braket:sv"])
def test_samples_that_ended_with_their_process_are_told(tmp_path, paper, name):
    job = open_backend(name, tmp_path).submit([Work(paper)], 20)
    ledger = tmp_path / "qpu-ledger.jsonl"
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:2]))
    (tmp_path / "records" / f"{job.uuid}-0.json").unlink()
    assert not (tmp_path / "records" / f"{job.uuid}.calibration.json").exists()

    with pytest.raises(QpuJobFailed, match="ended with the process"):
        open_backend(name, tmp_path).resume(job.uuid).result()


def test_a_seed_of_the_project_is_used(tmp_path, paper):
    (tmp_path / "qpu.toml").write_text('backend = "local"\nseed = 5\n')

    first, second = (open_backend(None, tmp_path).run([Work(paper)], 50)[0] for _ in range(2))

    assert (first.bits == second.bits).all()
    assert first.meta["seed"] == 5


def test_settings_have_safe_defaults(tmp_path):
    assert load_settings(tmp_path) == Settings()
    assert Settings().budget == Budget(0, 0, None, None)


@pytest.mark.parametrize(
    "text",
    [
        "nope = 1",
        "[budget]\nnope = 1",
        "budget = 3",
        "seed = -1",
        "seconds_per_job = 0",
        "minutes_per_task = 0",
        "minutes_per_task = 0.0",
        'seed = "x"',
        "backend = 3",
        "[budget]\nmax_usd = inf",
        "[budget]\nmax_jobs = true",
        "= 3",
        'token = "secret"',
    ],
)
def test_settings_that_are_wrong_are_named(tmp_path, text):
    (tmp_path / "qpu.toml").write_text(text)

    with pytest.raises(QpuConfigError, match=r"qpu\.toml"):
        Project(tmp_path)


@pytest.mark.parametrize("name", ["seconds_per_job", "minutes_per_task"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_that_is_none_is_refused_from_python_too(name, value):
    with pytest.raises(QpuConfigError, match=f"{name} is {value}"):
        Settings(**{name: value})


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError):
        Project(tmp_path / "file" / "project")


# Jobs for others.


@pytest.fixture
def swept():
    angle = Parameter("a")
    circuit = QuantumCircuit(2, 2)
    circuit.ry(angle, 0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [1, 0])
    return circuit


@pytest.fixture
def job(tmp_path, swept):
    return open_backend("outside:quafu", tmp_path).submit([Work.of(swept, {"a": 0.3}), Work.of(swept, {"a": 0.7})], 4)


def filled(tmp_path, of, **changes):
    raw = {"format": "heliograph-qpu-result/1", "job": of.uuid, "bit_order": "c0-first"}
    raw |= {"results": [{"work": 0, "bitstrings": ["01", "01", "10", "00"]}, {"work": 1, "bitstrings": ["11", "01", "10", "00"]}]} | changes
    path = tmp_path / "result.json"
    path.write_text(json.dumps(raw))
    return path


@pytest.mark.parametrize("language", ["qasm2", "qasm3"])
def test_circuits_go_out_with_their_parameters_bound(tmp_path, job, swept, language):
    *circuits, form = export_job(Project(tmp_path), job.uuid[:8], tmp_path, language)

    for path, angle in zip(circuits, (0.3, 0.7), strict=True):
        assert path.read_text().startswith("OPENQASM 2.0;" if language == "qasm2" else "OPENQASM 3.0;")
        assert load_qasm(path).data[0].operation.params == [angle]
    assert json.loads(form.read_text())["results"] == [{"work": 0, "bitstrings": []}, {"work": 1, "bitstrings": []}]


def test_what_openqasm_2_cannot_say_is_refused(tmp_path, dynamic_goldens):
    job = open_backend("local", tmp_path).submit([Work(dynamic_goldens["branch"][0])], 4)

    with pytest.raises(QpuUnsupported) as caught:
        export_job(Project(tmp_path), job.uuid, tmp_path, "qasm2")

    assert "--qasm3" in caught.value.remedy
    assert qasm2.loads('OPENQASM 2.0;include "qelib1.inc";') is not None


def test_a_result_comes_in_and_replays(tmp_path, job, swept):
    assert job.status() is JobStatus.QUEUED
    with pytest.raises(QpuQueueTimeout):
        job.result(timeout=0)

    taken = import_result(Project(tmp_path), filled(tmp_path, job))

    assert taken == Imported(job.uuid, 2, in_ledger=True)
    first, second = open_backend("outside:quafu", tmp_path).resume(job.uuid).result()
    assert first.bits.tolist() == [[0, 1], [0, 1], [1, 0], [0, 0]]
    assert second.ordered
    assert not second.meta["simulated"]
    replayed = open_backend(f"recorded:{tmp_path}").run([Work.of(swept, {"a": 0.3})], 4)[0]
    assert (replayed.bits == first.bits).all()
    assert not open_backend(f"recorded:{tmp_path}").simulated
    with pytest.raises(QpuConfigError, match="result already"):
        import_result(Project(tmp_path), filled(tmp_path, job))


def test_the_other_bit_order_is_turned_round(tmp_path, job):
    import_result(Project(tmp_path), filled(tmp_path, job, bit_order="c0-last"))

    assert job.result()[0].bits.tolist() == [[1, 0], [1, 0], [0, 1], [0, 0]]


def test_counts_are_taken_but_marked_as_without_order(tmp_path, job, swept):
    results = [{"work": work, "counts": {"00": 3, "11": 1}} for work in range(2)]
    import_result(Project(tmp_path), filled(tmp_path, job, results=results))

    assert not job.result()[0].ordered
    assert not open_backend(f"recorded:{tmp_path}").run([Work.of(swept, {"a": 0.3})], 4)[0].ordered


def test_counts_of_more_shots_than_the_job_are_refused_before_they_fill_the_memory(tmp_path, job):
    path = filled(tmp_path, job, results=[{"work": 0, "counts": {"00": 10**8}}])

    tracemalloc.start()
    with pytest.raises(QpuConfigError, match="4 strings"):
        import_result(Project(tmp_path), path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 10_000_000


def test_the_beginning_of_a_name_is_enough_for_a_result(tmp_path, job):
    taken = import_result(Project(tmp_path), filled(tmp_path, job, job=job.uuid[:8]))

    assert taken == Imported(job.uuid, 2, in_ledger=True)
    assert job.result()[1].bits.tolist() == [[1, 1], [0, 1], [1, 0], [0, 0]]


def test_half_a_result_leaves_the_job_waiting(tmp_path, job):
    import_result(Project(tmp_path), filled(tmp_path, job, results=[{"work": 1, "bitstrings": ["11", "01", "10", "00"]}]))

    assert job.status() is JobStatus.QUEUED


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bit_order": ""}, "which end"),
        ({"results": [{"work": 0, "bitstrings": ["01"] * 3}]}, "4 strings of 2"),
        ({"results": [{"work": 0, "bitstrings": ["012"] * 4}]}, "4 strings of 2"),
        ({"results": [{"work": 0, "bitstrings": ["0x"] * 4}]}, "4 strings of 2"),
        ({"results": [{"work": 5, "bitstrings": ["01"] * 4}]}, "2 works"),
        ({"results": [{"bitstrings": []}]}, "missing"),
        ({"job": "f" * 32}, "no such job"),
        ({"format": "other"}, "unknown"),
        ({"results": [{"work": float("inf"), "bitstrings": []}]}, "wrong"),
        ({"results": [{"work": 0.9, "bitstrings": ["01"] * 4}]}, "work 0.9"),
        ({"results": [{"work": True, "bitstrings": ["01"] * 4}]}, "work True"),
        ({"results": [{"work": "0", "bitstrings": ["01"] * 4}]}, "work '0'"),
        ({"results": [{"work": 0, "bitstrings": ["01"] * 4}, {"work": 0, "bitstrings": ["10"] * 4}]}, "comes twice"),
        ({"results": [{"work": 0, "bitstrings": 5}]}, "4 strings of 2"),
        ({"results": [{"work": 0, "bitstrings": None}]}, "4 strings of 2"),
        ({"results": [{"work": 0, "bitstrings": [5] * 4}]}, "4 strings of 2"),
        ({"results": [{"work": 0, "counts": "x"}]}, "4 strings of 2"),
        ({"results": [{"work": 0, "counts": {"00": "x"}}]}, "4 strings of 2"),
        ({"results": [{"work": 0, "counts": {"00": 4.5}}]}, "4 strings of 2"),
        ({"results": [{"work": 0, "counts": {"00": float("inf")}}]}, "4 strings of 2"),
        ({"results": [{"work": 0, "counts": {"00": -1, "11": 5}}]}, "4 strings of 2"),
    ],
)
def test_a_result_that_does_not_fit_is_refused(tmp_path, job, changes, says):
    with pytest.raises(QpuConfigError, match=says):
        import_result(Project(tmp_path), filled(tmp_path, job, **changes))

    assert job.status() is JobStatus.QUEUED


def test_results_of_other_back_ends_and_broken_files_are_refused(tmp_path, paper):
    job = open_backend("local", tmp_path).submit([Work(paper)], 4)
    with pytest.raises(QpuConfigError, match="ran on local"):
        import_result(Project(tmp_path), filled(tmp_path, job))
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(QpuConfigError, match="cannot be read"):
        import_result(Project(tmp_path), tmp_path / "x.json")
    with pytest.raises(QpuConfigError, match="project"):
        open_backend("outside:quafu")


def test_a_record_of_another_project_is_taken_in(tmp_path, paper):
    made = open_backend("local", tmp_path / "a").submit([Work(paper)], 30)
    path = Project(tmp_path / "a").record_path(made.uuid, 0)

    taken = import_result(Project(tmp_path / "b"), path)

    assert (taken.works, taken.in_ledger) == (1, False)
    assert Project(tmp_path / "b").record_path(taken.name, 0).exists()
    assert Project(tmp_path / "b").ledger.jobs() == {}
    replayed = open_backend(f"recorded:{tmp_path / 'b'}").run([Work(paper)], 30)[0]
    assert (replayed.bits == made.result()[0].bits).all()
    path.write_text(path.read_text().replace('"sha256": "', '"sha256": "0'))
    with pytest.raises(QpuConfigError, match="altered"):
        import_result(Project(tmp_path / "b"), path)


def measured_two():
    circuit = QuantumCircuit(2, 2)
    circuit.measure([0, 1], [0, 1])
    return circuit


def measured_elsewhere(tmp_path, of, work=0, shots=4, **changes):
    """A record of a work as somebody else's device would give it."""
    sent = Project(tmp_path).read_job(of.uuid).works[work]
    bits = np.array([[n % 2, 1] for n in range(shots)], np.uint8)
    given = {"backend": "ibm:theirs", "hash": sent.hash, "cregs": sent.cregs, "simulated": False, "seed": None, "provider_ids": ("job-7",)}
    path = tmp_path / "theirs.json"
    write_record(path, record(bits, **(given | changes)))
    return path


def rows(tmp_path, kind):
    found = [json.loads(line) for line in (tmp_path / "qpu-ledger.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] == f"qpu_{kind}"]


def test_a_result_leaves_a_row_in_the_ledger_that_tells_it_was_taken_in_by_hand(tmp_path, job):
    import_result(Project(tmp_path), filled(tmp_path, job, results=[{"work": 1, "bitstrings": ["11", "01", "10", "00"]}]))
    import_result(Project(tmp_path), filled(tmp_path, job, results=[{"work": 0, "bitstrings": ["11", "01", "10", "00"]}]), job.uuid[:7])

    history = Project(tmp_path).ledger.job(job.uuid)
    assert [[*row["sha256"]] for row in rows(tmp_path, "imported")] == [["1"], ["0"]]
    assert history.imported == history.sha256
    assert (history.state, history.recorded) == ("DONE", True)


class Killed(BaseException):
    """The client dies here."""


@pytest.mark.parametrize("by_record", [False, True])
@pytest.mark.parametrize("at", ["JobLedger.append", "store"])
def test_an_import_that_is_cut_off_leaves_a_job_that_waits_and_takes_it_again(tmp_path, job, monkeypatch, at, by_record):
    def import_it():
        both = [partial(measured_elsewhere, tmp_path, job, work) for work in range(2)] if by_record else [partial(filled, tmp_path, job)]
        for make in both:
            import_result(Project(tmp_path), make(), job.uuid)

    def die(*_args, **_fields):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"heliograph.protocols.qpu.exchange.{at}" if at == "store" else f"heliograph.protocols.qpu.ledger.{at}", die)
        with pytest.raises(Killed):
            import_it()
    assert job.status() is JobStatus.QUEUED
    assert Project(tmp_path).ledger.job(job.uuid).state == "QUEUED"

    import_it()

    history = Project(tmp_path).ledger.job(job.uuid)
    assert history.state == "DONE"
    assert history.imported == history.sha256
    told = [work for row in rows(tmp_path, "imported") for work in row["sha256"]]
    assert sorted(told) == ["0", "1"]


def test_a_result_in_the_inbox_that_the_ledger_does_not_know_is_none(tmp_path, job):
    results = [{"work": work, "bitstrings": ["11", "01", "10", "00"], "bit_order": "c0-first"} for work in range(2)]
    inbox = tmp_path / "imported"
    inbox.mkdir()
    for one in results:
        (inbox / f"{job.uuid}-{one['work']}.json").write_text(json.dumps(one))

    assert job.status() is JobStatus.QUEUED
    import_result(Project(tmp_path), measured_elsewhere(tmp_path, job, 0), job.uuid)
    import_result(Project(tmp_path), measured_elsewhere(tmp_path, job, 1), job.uuid)
    assert job.status() is JobStatus.DONE


def test_a_second_result_of_a_work_does_not_take_the_place_of_the_first(tmp_path, job):
    first, other = ({"work": 0, "bitstrings": bits} for bits in (["01", "01", "10", "00"], ["11"] * 4))
    import_result(Project(tmp_path), filled(tmp_path, job, results=[first]))

    with pytest.raises(QpuConfigError, match="another result was taken in before"):
        import_result(Project(tmp_path), filled(tmp_path, job, results=[other, {"work": 1, "bitstrings": ["11"] * 4}]))
    assert len(rows(tmp_path, "imported")) == 1
    assert job.status() is JobStatus.QUEUED

    import_result(Project(tmp_path), filled(tmp_path, job, results=[first, {"work": 1, "bitstrings": ["11"] * 4}]))
    assert job.result()[0].bits.tolist() == [[0, 1], [0, 1], [1, 0], [0, 0]]


def altered(tmp_path, job):
    inbox = tmp_path / "imported" / f"{job.uuid}-0.json"
    inbox.write_text(inbox.read_text().replace('"01", "01"', '"10", "01"'))


def test_what_was_altered_in_the_inbox_is_not_what_was_imported(tmp_path, job):
    """Neither another import nor a job that the ledger calls DONE takes it; the first result mends it."""
    first, second = ({"work": work, "bitstrings": ["01", "01", "10", "00"]} for work in range(2))
    import_result(Project(tmp_path), filled(tmp_path, job, results=[first]))
    altered(tmp_path, job)

    import_result(Project(tmp_path), filled(tmp_path, job, results=[second]))
    assert job.status() is JobStatus.QUEUED

    Project(tmp_path).ledger.append("state", uuid=job.uuid, state="DONE", reason="", parts={"0": "DONE"})
    with pytest.raises(QpuConfigError, match="not what the ledger knows"):
        open_backend("outside:quafu", tmp_path).resume(job.uuid).result()
    assert rows(tmp_path, "result") == []

    import_result(Project(tmp_path), filled(tmp_path, job, results=[first]))
    history = Project(tmp_path).ledger.job(job.uuid)
    assert history.imported == history.sha256
    assert (history.state, history.recorded) == ("DONE", True)


def test_records_of_somebody_else_complete_the_job_they_are_given_for(tmp_path, job):
    name = measured_elsewhere(tmp_path, job, 1).rename(tmp_path / f"{job.uuid}-1.json")
    first = import_result(Project(tmp_path), name)
    assert job.status() is JobStatus.QUEUED
    second = import_result(Project(tmp_path), measured_elsewhere(tmp_path, job, 0, ordered=False), job.uuid[:8])

    assert first == second == Imported(job.uuid, 1, in_ledger=True)
    samples = open_backend("outside:quafu", tmp_path).resume(job.uuid).result()
    assert samples[1].bits.tolist() == [[0, 1], [1, 1], [0, 1], [1, 1]]
    assert samples[0].counts() == {"01": 2, "11": 2}
    assert not samples[0].ordered
    assert not samples[0].meta["simulated"]
    assert {(row["made_with"], *row["made_as"]) for row in rows(tmp_path, "imported")} == {("ibm:theirs", "job-7")}
    assert Project(tmp_path).ledger.job(job.uuid).state == "DONE"


@pytest.mark.parametrize("language", ["qasm2", "qasm3"])
def test_a_record_of_the_circuit_as_it_was_exported_is_known(tmp_path, job, language):
    text, *_ = export_job(Project(tmp_path), job.uuid, tmp_path, language)
    exported = circuit_hash(load_qasm(text))
    assert exported != Project(tmp_path).read_job(job.uuid).works[0].hash

    taken = import_result(Project(tmp_path), measured_elsewhere(tmp_path, job, hash=exported), job.uuid)

    assert taken.in_ledger
    assert rows(tmp_path, "imported")[0]["sha256"].keys() == {"0"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"simulated": True}, "was simulated"),
        ({"hash": "0" * 64}, "none of the job's works"),
        ({"shots": 3}, "none of the job's works"),
        ({"cregs": (("d", 2),)}, "none of the job's works"),
    ],
)
def test_a_record_that_does_not_fit_the_job_is_refused(tmp_path, job, changes, says):
    with pytest.raises(QpuConfigError, match=says):
        import_result(Project(tmp_path), measured_elsewhere(tmp_path, job, **changes), job.uuid)

    assert rows(tmp_path, "imported") == []
    assert job.status() is JobStatus.QUEUED


def test_a_second_record_of_one_work_and_a_result_of_another_job_are_refused(tmp_path, job):
    import_result(Project(tmp_path), measured_elsewhere(tmp_path, job), job.uuid)
    other = open_backend("outside:quafu", tmp_path).submit([Work(measured_two())], 4)

    with pytest.raises(QpuConfigError, match="none of the job's works that still wait"):
        import_result(Project(tmp_path), measured_elsewhere(tmp_path, job), job.uuid)
    with pytest.raises(QpuConfigError, match="of another job"):
        import_result(Project(tmp_path), filled(tmp_path, job), other.uuid)


def test_a_record_of_a_dynamic_circuit_is_known_by_the_one_language_that_has_words_for_it(tmp_path, dynamic_goldens):
    waiting = open_backend("outside:quafu", tmp_path).submit([Work(dynamic_goldens["branch"][0])], 4)

    assert import_result(Project(tmp_path), measured_elsewhere(tmp_path, waiting), waiting.uuid).in_ledger


def test_a_record_that_the_ledger_knows_is_put_back_where_it_was_lost(tmp_path, paper):
    made = open_backend("local", tmp_path).submit([Work(paper)] * 2, 30)
    kept = Project(tmp_path).record_path(made.uuid, 0)
    copy = tmp_path / "copies" / kept.name
    copy.parent.mkdir()
    copy.write_bytes(kept.read_bytes())
    kept.unlink()
    with pytest.raises(QpuConfigError, match="cannot be read"):
        open_backend("local", tmp_path).resume(made.uuid).result()

    first, again = (import_result(Project(tmp_path), copy) for _ in range(2))

    assert first == again == Imported(made.uuid, 1, in_ledger=True)
    assert (open_backend("local", tmp_path).resume(made.uuid).result()[0].bits == made.result()[0].bits).all()
    assert rows(tmp_path, "imported") == []


def test_another_record_under_the_name_of_a_job_that_was_run_here_is_refused(tmp_path, paper):
    made = open_backend("local", tmp_path).submit([Work(paper)], 4)
    path = tmp_path / f"{made.uuid}-0.json"
    write_record(path, record(np.zeros((4, 4), np.uint8)))

    with pytest.raises(QpuConfigError, match="ran on local"):
        import_result(Project(tmp_path), path)


def test_versions_of_what_is_not_installed_are_left_out(monkeypatch):
    monkeypatch.setattr("heliograph.protocols.qpu.records._PACKAGES", ("qiskit", "no-such-package"))

    assert versions().keys() == {"qiskit"}


def test_what_is_said_beside_cloud_runs_says_who_sees_what():
    for words in ("operator", "hides nothing between the parties", "not signed"):
        assert words in NOTICE


def test_a_job_for_others_cannot_be_cancelled_from_here(job):
    with pytest.raises(QpuUnsupported, match="cancelling"):
        job.cancel()


def test_a_recording_of_other_registers_is_refused(tmp_path, paper):
    job = open_backend("local", tmp_path).submit([Work(paper)], 5)
    path = Project(tmp_path).record_path(job.uuid, 0)
    path.write_text(path.read_text().replace('"c"', '"d"'))

    with pytest.raises(QpuConfigError, match="other classical registers"):
        open_backend(f"recorded:{tmp_path}").run([Work(paper)], 5)


def test_a_job_for_others_survives_a_kill_between_intent_and_sending(tmp_path, job):
    ledger = tmp_path / "qpu-ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().splitlines(keepends=True)[0])
    backend = open_backend("outside:quafu", tmp_path)
    assert backend.unanswered() == [job.uuid]

    resumed = backend.resume(job.uuid)

    assert resumed.status() is JobStatus.QUEUED
    assert backend.unanswered() == []
