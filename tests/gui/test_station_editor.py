"""The station file in the window: edited, checked by the program itself, saved so that nothing is lost."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from PySide6.QtCore import QProcess, Qt
from PySide6.QtWidgets import QApplication, QMessageBox, QPushButton
from shiboken6 import isValid

from heliograph.core.errors import ConfigError, StorageError
from heliograph.gui import hold
from heliograph.gui.hold import HoldButton
from heliograph.gui.station_editor import StationEditor
from heliograph.gui.station_file import Checked, StationFile, checked
from heliograph.instruments.station import default_text

from . import payloads
from .finding import clipped, control, focused, press

CHECK_MS = 20_000


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "lab.toml"
    found.write_bytes(default_text())
    return found


@pytest.fixture
def editor(qtbot, desk, path):
    made = StationEditor(desk)
    qtbot.addWidget(made)
    made.resize(700, 500)
    made.show()
    made.show_station(payloads.station_state(path=str(path), sha256=hashlib.sha256(default_text()).hexdigest()))
    QApplication.processEvents()
    return made


def edit(editor, old, new):
    editor.text.setPlainText(editor.text.toPlainText().replace(old, new))


@pytest.fixture
def quick(editor, monkeypatch):
    """What every check finds from now on, at once: that all is well, until something else is put there."""
    found = [Checked(True, "No fault found.")]
    monkeypatch.setattr(editor, "check", lambda: editor._judge(editor.text.toPlainText(), found[0]))
    return found


def answered(qtbot, parent, button):
    """Answer the question that is open, by a button that is held if it destroys something; a mere press of that does nothing."""
    (box,) = [one for one in parent.findChildren(QMessageBox) if one.isVisible()]
    (found,) = [one for one in box.findChildren(QPushButton) if one.text().replace("&", "").removesuffix(" (hold)") == button]
    qtbot.mouseClick(found, Qt.MouseButton.LeftButton)
    if isinstance(found, HoldButton):
        assert box.isVisible()
        found.setFocus()
        qtbot.keyPress(found, Qt.Key.Key_Space)
        qtbot.waitUntil(lambda: not isValid(box))
    QApplication.processEvents()


@pytest.fixture(autouse=True)
def _short_hold(monkeypatch):
    monkeypatch.setattr(hold, "HOLD_MS", 60)


def test_the_file_of_the_owner_is_opened_as_it_is(editor, path):
    assert editor.text.toPlainText() == default_text().decode()
    assert editor.path.text() == str(path)
    assert not editor.buttons["Save the station file"].isEnabled()
    assert clipped(editor) == []


def test_a_fault_is_marked_at_its_line_with_what_to_do(qtbot, editor):
    edit(editor, '["0 mW", "15 mW"]', '["0 mW", "15"]')
    line = next(at for at, text in enumerate(editor.text.toPlainText().splitlines(), 1) if '"15"' in text)

    press(qtbot, editor, "Check the station file")
    qtbot.waitUntil(lambda: editor.state.word == "fault", timeout=CHECK_MS)

    assert editor.text.fault_line == line
    assert editor.text.textCursor().blockNumber() + 1 == line
    assert "lab.toml" in editor.told.text()
    assert "'15' is not a number with a unit" in editor.told.text()
    assert "decimal point" in editor.told.text() or "station new" in editor.told.text()
    assert "heliograph-" not in editor.told.text(), "the copy that was checked is told as the file itself"
    assert editor.text.extraSelections()


def test_a_file_without_fault_is_said_to_be_good_and_nothing_is_written(qtbot, editor, path):
    edit(editor, "demo-lab", "my-lab")

    press(qtbot, editor, "Check the station file")
    qtbot.waitUntil(lambda: editor.state.word == "good", timeout=CHECK_MS)

    assert "No fault found" in editor.told.text()
    assert path.read_bytes() == default_text(), "a check saves nothing"


def test_saving_keeps_the_old_file_and_says_that_the_owner_must_start_again(qtbot, editor, path):
    edit(editor, "demo-lab", "my-lab")

    press(qtbot, editor, "Save the station file")
    assert path.read_bytes() == default_text(), "it is checked first"
    qtbot.waitUntil(lambda: editor.state.detail == "saved", timeout=CHECK_MS)

    (backup,) = path.parent.glob("lab.toml.*.bak")
    assert b"my-lab" in path.read_bytes()
    assert backup.read_bytes() == default_text()
    assert backup.name in editor.told.text()
    assert "start it again for this file to hold" in editor.path.text()
    assert not editor.edited


def test_a_text_with_a_fault_is_saved_after_a_question_only_and_said_to_have_it(qtbot, editor, path, quick):
    quick[0] = Checked(False, "lab.toml, line 67: this is no TOML. Mend that place.", 67)
    edit(editor, "demo-lab", "my-lab")

    press(qtbot, editor, "Save the station file")
    assert path.read_bytes() == default_text(), "nothing is written before the answer"
    (box,) = [one for one in editor.findChildren(QMessageBox) if one.isVisible()]
    assert "this is no TOML" in box.text()
    answered(qtbot, editor, "Cancel")
    assert path.read_bytes() == default_text()
    assert (editor.state.word, editor.text.fault_line) == ("fault", 67)

    press(qtbot, editor, "Save the station file")
    answered(qtbot, editor, "Save it with its fault")

    assert b"my-lab" in path.read_bytes()
    assert editor.state.told == "fault, saved with its fault"
    assert "this is no TOML" in editor.told.text()


def test_what_is_edited_while_it_is_checked_is_not_saved_and_the_operator_is_told(qtbot, editor, path, desk, monkeypatch):
    monkeypatch.setattr(editor, "check", lambda: None)
    edit(editor, "demo-lab", "my-lab")
    press(qtbot, editor, "Save the station file")
    before = editor.text.toPlainText()
    editor.text.setPlainText(f"{before}# more")

    editor._judge(before, Checked(True, "No fault found."))

    assert path.read_bytes() == default_text()
    assert (editor.state.word, editor.state.detail) == ("warning", "not saved")
    assert editor.told.text() == "Not saved: the text was changed while it was checked. Save it again."
    editor._judge(before, Checked(True, "No fault found."))
    assert editor.state.detail == "edited, not checked", "a check that was for no save says nothing of one"


def test_a_save_while_another_text_is_checked_is_of_the_text_as_it_is_now(qtbot, editor, path, monkeypatch):
    wanted = []
    monkeypatch.setattr(editor, "check", lambda: wanted.append(editor.text.toPlainText()))
    monkeypatch.setattr(editor, "_check", QProcess(editor))
    for typed in ("# one ", "# two "):
        editor.text.setFocus()
        qtbot.keyClicks(editor.text, typed)
        qtbot.keyClick(editor.text, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    first, now = wanted
    editor._check = None

    editor._judge(first, Checked(True, "No fault found."))

    assert path.read_bytes() == default_text(), "what it is now is checked first"
    assert wanted[2:] == [now]
    editor._judge(now, Checked(True, "No fault found."))
    assert path.read_text().startswith("# one # two ")


def test_a_file_that_somebody_else_changed_is_overwritten_after_a_question_only(qtbot, editor, path, quick):
    edit(editor, "demo-lab", "my-lab")
    path.write_text("theirs = 1\n")

    press(qtbot, editor, "Save the station file")
    assert path.read_text() == "theirs = 1\n", "nothing is written before the answer"
    answered(qtbot, editor, "Cancel")
    assert path.read_text() == "theirs = 1\n"

    press(qtbot, editor, "Save the station file")
    answered(qtbot, editor, "Overwrite it")

    assert b"my-lab" in path.read_bytes()
    assert [one.read_text() for one in path.parent.glob("*.bak")] == ["theirs = 1\n"], "theirs is kept"


def test_reading_anew_asks_before_it_loses_what_was_edited(qtbot, editor):
    edit(editor, "demo-lab", "my-lab")

    press(qtbot, editor, "Read the station file anew")
    answered(qtbot, editor, "Cancel")
    assert "my-lab" in editor.text.toPlainText()

    press(qtbot, editor, "Read the station file anew")
    answered(qtbot, editor, "Read it anew")
    assert editor.text.toPlainText() == default_text().decode()


def test_a_folder_that_cannot_be_written_leaves_file_and_text_as_they_are(qtbot, editor, path, desk, monkeypatch, quick):
    edit(editor, "demo-lab", "my-lab")

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("heliograph.gui.station_file.write_private", full)

    press(qtbot, editor, "Save the station file")

    assert "No space left on device" in desk.notices[0]
    assert path.read_bytes() == default_text()
    assert "my-lab" in editor.text.toPlainText()


def test_an_edit_takes_the_mark_of_an_old_fault_away(qtbot, editor):
    editor.text.mark(5)

    control(editor, "Station file").setFocus()
    qtbot.keyClicks(editor.text, "#")

    assert editor.text.fault_line == 0
    assert editor.state.detail == "edited, not checked"


def test_tab_leaves_the_text_and_ctrl_s_saves(qtbot, editor, path, quick):
    editor.text.setFocus()
    qtbot.keyClicks(editor.text, "# mine ")
    qtbot.keyClick(editor.text, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    assert path.read_text().startswith("# mine ")

    qtbot.keyClick(editor.text, Qt.Key.Key_Tab)
    assert focused() is not editor.text


def test_the_station_of_a_later_message_does_not_replace_what_is_being_edited(editor, tmp_path):
    edit(editor, "demo-lab", "my-lab")
    other = tmp_path / "other.toml"
    other.write_bytes(default_text())

    editor.show_station(payloads.station_state(path=str(other)))

    assert "my-lab" in editor.text.toPlainText()


def test_mode_and_line_ends_of_a_file_are_kept(path):
    path.write_bytes(b"a = 1\r\nb = 2\r\n")
    path.chmod(0o640)
    file = StationFile(path)

    file.save(file.text.replace("2", "3"))

    assert file.text == "a = 1\nb = 3\n"
    assert path.read_bytes() == b"a = 1\r\nb = 3\r\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert not file.changed_by_others()


def test_two_saves_within_a_second_keep_both_old_files(path):
    file = StationFile(path)

    kept = {file.save("one"), file.save("two")}

    assert {one.read_bytes() for one in kept if one} == {default_text(), b"one"}


def test_what_is_no_text_or_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        StationFile(tmp_path / "none.toml")
    (tmp_path / "raw.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        StationFile(tmp_path / "raw.toml")
    gone = StationFile(_written(tmp_path / "deep" / "x.toml"))
    (tmp_path / "deep" / "x.toml").unlink()
    (tmp_path / "deep").rmdir()
    assert gone.changed_by_others()
    with pytest.raises(StorageError):
        gone.save("text")


def test_a_toml_fault_is_found_at_the_line_that_the_message_names():
    error = {"error": {"where": "/data/new/lab.toml", "message": "this is no TOML: Expected '=' (at line 3, column 5)", "remedy": "Mend that place."}}

    found = checked(json.dumps(error), b"", Path("/data/new/lab.toml"), Path("/data/lab/lab.toml"))

    assert (found.valid, found.line) == (False, 3)
    assert found.text == "lab.toml: this is no TOML: Expected '=' (at line 3, column 5). Mend that place."


def test_a_check_that_says_nothing_is_told_with_its_last_complaint():
    found = checked(b"", b"Traceback\nMemoryError", Path("/data/new/lab.toml"), Path("/data/lab/lab.toml"))

    assert not found.valid
    assert found.text == "the check ended without a result that can be read: MemoryError. Run `heliograph station check` in a terminal."


def _written(path):
    path.parent.mkdir(exist_ok=True)
    path.write_text("a = 1\n")
    return path
