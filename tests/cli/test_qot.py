import json
import shlex
from pathlib import Path

import pytest

NAMES = {"backend", "error", "error_low", "error_high", "per_input", "shots", "cx_count", "job"}


@pytest.fixture(autouse=True)
def models(monkeypatch, tmp_path_factory):
    """One folder of networks for all tests of this file, trained once."""
    folder = tmp_path_factory.getbasetemp() / "qot-models"
    monkeypatch.setenv("HELIOGRAPH_MODELS", str(folder))
    return folder


def test_a_back_end_is_characterised(heliograph):
    found = heliograph("qot", "characterise", "--backend", "fake:santiago", "--shots", 4000, "--json").json

    assert set(found) >= NAMES
    assert found["backend"] == "fake:santiago"
    assert found["error_low"] < found["error"] < found["error_high"]
    assert len(found["per_input"]) == 8
    assert found["shots"] == 4000
    assert found["cx_count"] == 18
    assert found["simulated"] is True


def test_people_see_error_and_interval(heliograph):
    said = heliograph("qot", "characterise", "--backend", "law:santiago", "--shots", 2000).out

    assert "95 % interval" in said
    assert "b1 b0 s" in said


def test_a_job_is_in_the_ledger_of_its_project(heliograph, tmp_path):
    found = heliograph("qot", "characterise", "--backend", "aer:santiago", "--shots", 500, "--project", tmp_path / "qpu", "--json").json

    jobs = heliograph("qpu", "jobs", "--project", tmp_path / "qpu", "--json").json["jobs"]
    assert [job["job"] for job in jobs] == [found["job"]]


def test_circuit_and_sweep_are_drawn(heliograph, tmp_path):
    found = heliograph("qot", "characterise", "--backend", "fake:santiago", "--shots", 500, "--draw", "--sweep", "--out", tmp_path, "--json").json

    assert {path.name for path in tmp_path.iterdir()} == {"qot-circuits.svg", "qot-sweep.svg"}
    assert found["sweep"]["product"] == pytest.approx(0.3)
    assert len(found["sweep"]["errors"]) == len(found["sweep"]["cx_errors"])


@pytest.mark.parametrize(
    "words", [("characterise", "--backend", "law:nowhere"), ("infer", "--task", "digits", "--backend", "nowhere"), ("infer", "--plots", "/not/here")]
)
def test_wrong_names_are_bad_input(heliograph, words):
    ended = heliograph("qot", *words, "--json")

    assert ended.code == 3
    assert ended.json["error"]["remedy"]


def test_digits_are_inferred_and_what_it_takes_is_said_before(heliograph, tmp_path, models):
    ended = heliograph("qot", "infer", "--task", "digits", "--backend", "law:santiago", "--shots", 1000, "--images", 100, "--plots", tmp_path, "--json")

    found = ended.json
    assert found["classical_accuracy"] > 0.9
    assert found["secure_accuracy"] > 0.85
    assert found["states_used"] > found["qot_count"] == found["predicted"]["transfers"]
    assert found["key_bits"] > 3 * found["qot_count"]
    assert found["seconds"] > 0
    assert found["simulated"] is True
    assert any("dealer" in one for one in found["security"]["assumptions"])
    assert ended.err.index("What it will take") < ended.err.index("Confusion")
    assert "Training digits on first use" in ended.err
    assert {path.name for path in tmp_path.iterdir()} >= {"digits-accuracy.svg", "digits-confusion.svg"}
    assert list(models.glob("qot-digits-*.npz"))


def test_a_network_is_trained_once_and_can_be_adapted(heliograph):
    first = heliograph("qot", "infer", "--task", "digits", "--images", 50, "--json")
    again = heliograph("qot", "infer", "--task", "digits", "--images", 50, "--adapt", "--backend", "law:cx=0.02", "--json")

    assert first.code == again.code == 0
    assert "first use" not in again.err
    assert again.json["error"] == pytest.approx(0.128, abs=0.01)


def test_missing_data_name_what_to_do(heliograph, monkeypatch, tmp_path):
    monkeypatch.setenv("HELIOGRAPH_DATA", str(tmp_path))
    ended = heliograph("qot", "infer", "--task", "cifar10", "--full", "--further-epochs", 20, "--json")

    assert ended.code == 3
    assert ended.json["error"]["type"] == "DataMissing"
    assert "heliograph data fetch cifar10" in ended.json["error"]["remedy"]


def test_an_inference_whose_cloud_takes_long_is_come_back_to_and_pays_for_its_states_once(heliograph, cloud, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("qpu").mkdir()
    Path("qpu", "qpu.toml").write_text("[budget]\nmax_jobs = 3\nmax_shots = 30_000\nmax_qpu_seconds = 200\n")
    cloud.client.script(states=["Queued"])

    ended = heliograph("qot", "infer", "--images", 40, "--backend", "ibm:ibm_disk", "--project", "qpu", "--timeout", 0, "--json")

    assert (ended.code, ended.json["error"]["type"]) == (4, "QpuQueueTimeout")
    job = ended.json["error"]["where"].removeprefix("job ")
    again = f"heliograph qot infer --images 40 --job {job}"
    assert ended.json["error"]["remedy"] == f"Ask again later: {again}"
    assert f"Job {job} is sent. To come back to it: {again}" in ended.err
    other = heliograph("qot", "infer", "--job", job, "--backend", "ibm:ibm_disk", "--json")
    assert "--backend is that of the job" in other.err
    assert heliograph("qot", "infer", "--job", "none", "--json").json["error"]["message"] == "there is no such job"
    for path in cloud.client.folder.glob("job-*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "states": ["Completed"]}))
    found = heliograph(*shlex.split(again.removeprefix("heliograph ")), "--json").json
    assert (found["backend"], found["job"], found["predicted"]["images"]) == ("ibm:ibm_disk", job, 40)
    assert cloud.client.submissions == 1
