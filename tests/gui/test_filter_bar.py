"""The fields above a table: they say when they change, are emptied together, and take new values once."""

from __future__ import annotations

from PySide6.QtWidgets import QComboBox, QLineEdit

from heliograph.gui.filter_bar import FilterBar, offer_values


def test_fields_tell_of_changes_and_are_emptied_together(qtbot):
    text, kind, heard = QLineEdit(), QComboBox(), list[int]()
    offer_values(kind, ["b", "a", ""])
    bar = FilterBar("things", [("Te&xt", "Text of the things", text, "words"), ("&Kind", "Kind of the things", kind, "")], {text: 30})
    qtbot.addWidget(bar)
    bar.changed.connect(lambda: heard.append(1))

    text.setText("x")
    kind.setCurrentIndex(kind.findData("b"))
    assert len(heard) == 2
    bar.all.click()

    assert (text.text(), kind.currentData(), len(heard)) == ("", "", 4)
    assert bar.all.accessibleName() == "Show all things"
    assert text.minimumWidth() == 30 * text.fontMetrics().averageCharWidth()


def test_values_are_offered_once_in_order_and_what_is_chosen_stays(qtbot):
    kind = QComboBox()
    qtbot.addWidget(kind)
    offer_values(kind, ["PhaseScan", "BiasScan"], as_names=True)
    kind.setCurrentIndex(kind.findData("PhaseScan"))
    offer_values(kind, ["PhaseScan", "CountRates", ""], as_names=True)

    assert [kind.itemText(at) for at in range(kind.count())] == ["all", "Bias scan", "Phase scan", "Count rates"]
    assert kind.currentData() == "PhaseScan"
