"""Where key exchange stands, what the block still needs, and what the last block was made of."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QProgressBar, QSplitter, QVBoxLayout, QWidget

from ...control.topics import BlockFigures, KeyProgress
from .. import words
from ..badges import Badge, Value, plain
from ..guarded import guarded
from ..tables import Column, Table
from .areas import scrolled
from .blocks import percent
from .facts import Facts, Lines
from .gauge import bits

_ENDS = ("idle", "done", "failed")
LIGHT_DONE = "light: done, key is made of it afterwards"
NOT_REPLAYED = f"{words.UNKNOWN}, it is not in a run file"


class Stage(Lines):
    """The stage in words with its progress, and how many sifted bits there are of those that a key needs."""

    def __init__(self) -> None:
        super().__init__("Stage of the key exchange")
        self.state, self.source = Badge("Key exchange", "idle"), Badge("Data", "unknown")
        self.why = Value("What is done", "")
        self.why.setWordWrap(True)
        self.bar, self.have = _bar("Progress of the stage"), _bar("Sifted bits of those needed")
        self.pair, self.events, self.budget = Value("Pair"), Value("Events"), Value("Sifted X bits")
        self.visibility = Value("Visibility of each user", NOT_REPLAYED)
        for value in (self.budget, self.visibility):
            value.setWordWrap(True)
        self._reached = ("", 0.0)
        self.add_line("Stage", self.state)
        self.add_wide(self.why)
        for name, widget in (("Data", self.source), ("Pair", self.pair), ("This stage", self.bar), ("Events", self.events)):
            self.add_line(name, widget)
        self.add_wide(plain("Sifted X bits, have and need"))
        self.add_wide(self.budget)
        self.add_wide(self.have)
        self.add_wide(plain("Visibility of each user"))
        self.add_wide(self.visibility)

    def note(self, now: KeyProgress) -> None:
        """Note how far the stage is, also while nothing is drawn: what failed does not tell."""
        if now.stage not in _ENDS:
            self._reached = now.run, now.progress

    @guarded
    def show_progress(self, now: KeyProgress) -> None:
        """Show where it stands."""
        state, why = _standing(now)
        self.state.set_state(state)
        self.why.show_text(why)
        self.source.set_state(now.source)
        self.pair.show_text(now.pair or words.UNKNOWN)
        self._show_bar(now)
        self.events.show_text(words.count(now.events))
        self.budget.show_text(have_and_need(now))
        self.have.setEnabled(now.n_needed is not None)
        self.have.setValue(round(100 * min(1.0, now.n_x / now.n_needed)) if now.n_needed else 0)

    @guarded
    def show_visibility(self, told: str) -> None:
        """Show how well the light of each user interferes."""
        self.visibility.show_text(told)

    def _show_bar(self, now: KeyProgress) -> None:
        """Show how far the stage is; of an exchange that failed, how far it had come."""
        self.note(now)
        failed = now.stage == "failed"
        come = self._reached[1] if failed and self._reached[0] == now.run else None if failed and now.progress >= 1.0 else now.progress
        self.bar.setValue(round(100 * (come or 0.0)))
        self.bar.setFormat("%p %" if not failed else "failed" if come is None else f"failed at {100 * come:.0f} %")
        self.bar.setAccessibleDescription(self.bar.text())

    @guarded
    def show_age(self, word: str, age_s: float | None) -> None:
        """Say whether the figures are live, a replay or stale, and how old."""
        self.source.set_state(word, "" if age_s is None or word == "replay" else words.duration(age_s))

    @guarded
    def show_over(self, now: KeyProgress) -> None:
        """Say that nothing more comes, and when the last block was made; a stage that nobody goes on with does not run."""
        if now.stage not in _ENDS:
            self.state.set_state("idle")
            self.why.show_text(f"{now.stage}: over, no key was made of it")
        made = max((block.t for block in now.blocks), default=0.0)
        self.source.set_state(now.stage if now.stage in _ENDS else "idle", f"last block at {words.clock(made)}" if made else "")


def _standing(now: KeyProgress) -> tuple[str, str]:
    """Return the state, and what there is to say of it."""
    if now.stage == "light" and now.progress >= 1.0:
        # Neither on the bench, nor in a run file, is that key already.
        return "idle", LIGHT_DONE
    if now.stage in _ENDS:
        # The end itself stands beside "Stage".
        return now.stage, f"{now.stage}: {now.why}" if now.why else ""
    return "running", f"{now.stage}: {now.why}" if now.why else now.stage


def have_and_need(now: KeyProgress) -> str:
    """Return the finite-key budget in words: "61.00 kbit, 45.00 kbit needed"."""
    need = "no number of them would give a key" if now.n_needed is None else f"{bits(now.n_needed)} needed"
    return f"{bits(now.n_x)}, {need}"


def _bar(name: str) -> QProgressBar:
    bar = QProgressBar()
    bar.setRange(0, 100)
    bar.setFormat("%p %")
    bar.setMinimumHeight(24)
    bar.setAccessibleName(name)
    return bar


class BlockTables(QWidget):
    """The last block of a pair: its figures, and each part of the failure probability."""

    def __init__(self) -> None:
        super().__init__()
        self.figures = Facts("Last block")
        self.epsilons = Table("Failure probability of the last block", ["part", Column("epsilon", number=True)])
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(scrolled(self.figures))
        split.addWidget(self.epsilons)
        split.setSizes([300, 180])
        split.setChildrenCollapsible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(split)

    @guarded
    def show_block(self, block: BlockFigures | None) -> None:
        """Show a block; None while there is none."""
        self.figures.show_facts(figures_of(block) if block is not None else [])
        self.epsilons.set_rows([[name, f"{value:.3g}"] for name, value in block.epsilons.items()] if block is not None else [])


def figures_of(block: BlockFigures) -> list[tuple[str, str]]:
    """Return what a block was made of, and what was found, in words."""
    return [
        ("Pair and block", f"{block.pair}, {block.block}"),
        ("Key rate", words.rate(block.key_rate_bps)),
        ("Final length", bits(block.key_bits)),
        ("QBER X", percent(block.qber_x, block.sifted_bits)),
        ("QBER Y", percent(block.qber_y, block.y_bits)),
        ("Gain", words.percent(block.gain)),
        ("Sifted X bits", bits(block.sifted_bits)),
        ("Leak", bits(block.leak_bits)),
        ("f of correction", words.UNKNOWN if block.f_ec is None else f"{block.f_ec:.3f}"),
        ("Light", words.duration(block.seconds)),
        ("Made at", words.clock(block.t)),
        ("Run", block.run),
        ("Provenance", block.provenance),
    ]
