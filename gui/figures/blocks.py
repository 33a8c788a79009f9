"""Key blocks one after the other: error rates with their uncertainty and limits, gain, and key rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10, sqrt

import numpy as np
import pyqtgraph as pg

from ...control.topics import BlockFigures, KeyProgress
from .. import theme, words
from ..guarded import guarded
from .live import LiveChart
from .room import whole_ticks, with_labels, with_names

_MOST_PAIRS = 5


def sigma(error_rate: float, bits: int) -> float:
    """Return the standard deviation of an error rate that was counted in so many bits; NaN where their number is not known."""
    return sqrt(max(error_rate * (1.0 - error_rate), 0.0) / bits) if bits > 0 else float("nan")


def percent(error_rate: float, bits: int) -> str:
    """Return an error rate in words: "0.762(4) %"."""
    return words.uncertain(100.0 * error_rate, 100.0 * sigma(error_rate, bits), "%")


def pairs(blocks: Sequence[BlockFigures]) -> list[str]:
    """Return the pairs that have blocks, by name."""
    return sorted({one.pair for one in blocks})


class BlockChart(LiveChart):
    """A chart over the blocks of one pair."""

    def __init__(self, name: str, **axes: str | bool) -> None:
        self._blocks: tuple[BlockFigures, ...] = ()
        super().__init__(name, x="Block", si=False, ends_right=True, **axes)

    def _number(self, blocks: tuple[BlockFigures, ...], names: Sequence[str]) -> None:
        """Mark whole block numbers on the axis, and leave room for the names of the curves."""
        self._blocks = blocks
        numbers = [one.block for one in blocks] or [0]
        whole_ticks(self, numbers[0], numbers[-1])
        self.set_ranges(x=with_names(self, numbers[0] - 0.5, numbers[-1] + 0.4, names))


class QberChart(BlockChart):
    """Error rates of both bases, with one standard deviation, and the limits above which light is suspended."""

    def __init__(self) -> None:
        self._errors: dict[str, pg.ErrorBarItem] = {}
        super().__init__("QBER", y="QBER", y_unit="%")
        for name in ("X", "Y"):
            self._errors[name] = pg.ErrorBarItem()
            self.plot.addItem(self._errors[name])
        self.retheme()
        self.describe_by(self._told)

    @guarded
    def show_blocks(self, blocks: tuple[BlockFigures, ...], limits: Mapping[str, float]) -> None:
        """Draw the blocks of one pair."""
        self._number(blocks, "XY")
        x = np.array([one.block for one in blocks], float)
        highest = 0.0
        for series, (name, rates, bits) in enumerate(_columns(blocks)):
            y, spread = 100.0 * np.array(rates), np.array([100.0 * sigma(rate, n) for rate, n in zip(rates, bits, strict=True)])
            self.set_curve(name, x, y, series=series, points=True)
            known = np.isfinite(spread)
            self._errors[name].setData(x=x[known], y=y[known], height=2.0 * spread[known])
            highest = max(highest, *(y + np.nan_to_num(spread)).tolist(), 0.0)
        for metric, label in (("qber", "limit"), ("qber_x", "limit X"), ("qber_y", "limit Y")):
            limit = 100.0 * limits.get(metric, float("nan"))
            self.set_limit_line(metric, limit, label, series=1)
            highest = max(highest, limit) if np.isfinite(limit) else highest
        self.set_ranges(y=with_labels(self, 0.0, highest or 1.0))

    def retheme(self) -> None:
        """Take the colours and the text size of the present theme."""
        super().retheme()
        for series, item in enumerate(self._errors.values()):
            item.setOpts(pen=theme.current().muted if self._stale else theme.current().series[series])

    def _told(self) -> str:
        if not self._blocks:
            return "no block yet"
        last, lows = self._blocks[-1], [f"{name} {words.percent(min(rates))} to {words.percent(max(rates))}" for name, rates, _ in _columns(self._blocks)]
        now = f"QBER X {percent(last.qber_x, last.sifted_bits)}, Y {percent(last.qber_y, last.y_bits)}"
        return f"pair {last.pair}, block {last.block}: {now}; {len(self._blocks)} blocks, {', '.join(lows)}"


def _columns(blocks: Sequence[BlockFigures]) -> list[tuple[str, list[float], list[int]]]:
    """Return name, error rates, and numbers of bits of both bases."""
    return [("X", [one.qber_x for one in blocks], [one.sifted_bits for one in blocks]), ("Y", [one.qber_y for one in blocks], [one.y_bits for one in blocks])]


class GainChart(BlockChart):
    """Events a pulse."""

    def __init__(self) -> None:
        super().__init__("Gain", y="Gain", y_unit="%")
        self.describe_by(self._told)

    @guarded
    def show_blocks(self, blocks: tuple[BlockFigures, ...]) -> None:
        """Draw the blocks of one pair."""
        name = blocks[-1].pair if blocks else ""
        self._number(blocks, [name])
        gains = [100.0 * one.gain for one in blocks]
        self.drop_curves([name])
        self.set_curve(name, [one.block for one in blocks], gains, series=2, points=True)
        self.set_ranges(y=(0.0, 1.3 * max(gains, default=1.0) or 1.0))

    def _told(self) -> str:
        return f"pair {self._blocks[-1].pair}: {words.percent(self._blocks[-1].gain)} of the pulses give an event" if self._blocks else "no block yet"


class KeyRateChart(LiveChart):
    """Key rate of every pair, by the time when the block was made; the last block of all stands at zero."""

    def __init__(self) -> None:
        super().__init__("Key rate", x="Time", x_unit="min", y="Key rate", y_unit="kbit/s", si=False, ends_right=True)
        self._blocks: tuple[BlockFigures, ...] = ()
        self.describe_by(self._told)

    @guarded
    def show_blocks(self, blocks: tuple[BlockFigures, ...]) -> None:
        """Draw the blocks of all pairs, at most five of them."""
        self._blocks = blocks
        names, last = pairs(blocks)[:_MOST_PAIRS], max((one.t for one in blocks), default=0.0)
        self.drop_curves(names)
        for series, name in enumerate(names):
            own = [one for one in blocks if one.pair == name]
            self.set_curve(name, [(one.t - last) / 60.0 for one in own], [one.key_rate_bps * 1e-3 for one in own], series=series, points=True)
        first = min((one.t for one in blocks), default=0.0)
        span = max((last - first) / 60.0, 0.5)
        self.plot.getAxis("bottom").setTicks([[(-at, f"{-at:g}" if at else "0") for at in _steps(span)]])
        self.set_ranges(x=with_names(self, -1.05 * span, 0.02 * span, names), y=(0.0, 1.3e-3 * max((one.key_rate_bps for one in blocks), default=1e3) or 1.0))

    def _told(self) -> str:
        latest = {one.pair: one for one in self._blocks}
        return "; ".join(f"{pair} {words.rate(latest[pair].key_rate_bps)}" for pair in sorted(latest)) or "no block yet"


def _steps(span: float) -> list[float]:
    """Return 0 and up to six round numbers up to a span."""
    least = span / 5.0
    scale = 10.0 ** floor(log10(least))
    step = next(scale * factor for factor in (1.0, 2.0, 5.0, 10.0) if scale * factor >= least)
    return [step * at for at in range(int(span / step) + 1)]


def chosen(progress: KeyProgress, pair: str) -> tuple[BlockFigures, ...]:
    """Return the blocks of a pair, or of the one that made key last where none is named."""
    if not pair:
        pair = progress.blocks[-1].pair if progress.blocks else ""
    return tuple(sorted((one for one in progress.blocks if one.pair == pair), key=lambda one: one.block))
