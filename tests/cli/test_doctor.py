import shutil
from importlib import metadata
from types import SimpleNamespace

import pytest

from heliograph.cli import doctor
from heliograph.protocols.learning.catalogue import find


def test_this_machine_is_fit(heliograph):
    ended = heliograph("doctor", "--json")

    found = ended.json
    names = {check["name"] for check in found["checks"]}
    assert ended.code == 0
    assert found["healthy"] is True
    assert {"python", "torch", "numba compiles", "qt loads", "pseudo-terminals", "working folder", "HELIOGRAPH_DATA"} <= names
    assert all(check["state"] in ("ok", "warn", "fail") for check in found["checks"])
    assert all(check["remedy"] for check in found["checks"] if check["state"] != "ok")


def test_every_package_of_a_plain_install_is_looked_at():
    named = {check.name for check in doctor.packages()}

    assert {"numpy", "torch", "qiskit-aer", "PySide6-Essentials", "pyzmq", "h5py"} <= named
    assert "pytest" not in named


def test_a_missing_package_and_one_of_the_wrong_version_are_named(monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda _: ["numpy<1", "no-such-package>=2", 'pytest; extra == "test"'])

    numpy, missing = doctor.packages()

    assert (numpy.state, missing.state) == ("fail", "fail")
    assert "does not fit" in numpy.detail
    assert "pip install" in missing.remedy


def test_a_data_folder_that_is_not_there_is_a_failure(heliograph, monkeypatch, tmp_path):
    monkeypatch.setenv("HELIOGRAPH_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setattr(doctor, "CHECKS", (doctor.data_folder,))

    ended = heliograph("doctor", "--json")

    (check,) = ended.json["checks"]
    assert ended.code == 1
    assert ended.json["healthy"] is False
    assert check["state"] == "fail"
    assert "HELIOGRAPH_DATA" in check["remedy"]


def test_a_data_folder_lists_what_it_holds(monkeypatch, tmp_path):
    monkeypatch.setenv("HELIOGRAPH_DATA", str(tmp_path))
    for file in find("mnist").files:
        (tmp_path / file.path).parent.mkdir(exist_ok=True)
        (tmp_path / file.path).touch()

    (check,) = doctor.data_folder()

    assert check.state == "ok"
    assert "(mnist)" in check.detail


def test_the_data_folder_is_the_one_that_the_list_of_data_sets_tells(heliograph, monkeypatch, tmp_path):
    monkeypatch.delenv("HELIOGRAPH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    (check,) = doctor.data_folder()

    assert heliograph("data", "list", "--json").json["folder"] in check.detail
    assert "none yet" in check.detail


@pytest.mark.parametrize(("free", "state"), [(10**8, "fail"), (10**9, "warn"), (10**11, "ok")])
def test_little_room_on_the_disk_is_told(monkeypatch, tmp_path, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    monkeypatch.chdir(tmp_path)

    assert [check.state for check in doctor.folders()] == [state, state]


def test_a_folder_that_cannot_be_written_is_a_failure(monkeypatch):
    monkeypatch.chdir("/proc")

    working, _ = doctor.folders()

    assert working.state == "fail"
    assert "/proc" in working.detail


def test_a_library_that_crashes_is_named_and_the_look_goes_on():
    check = doctor._loads("torch", "import os; os.abort()", "fail", "Install it again.")

    assert check.state == "fail"
    assert "-6" in check.detail
    assert check.remedy == "Install it again."
