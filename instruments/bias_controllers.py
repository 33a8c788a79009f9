"""Bias controllers of intensity modulators in SI units."""

from __future__ import annotations

from ..core.errors import DeviceFault
from .mbx_units import MbxPart
from .roles import Scalar
from .wire.mbx import MOST_BIAS_V, BiasMode

TOLERANCE_V = 0.02


class MbxBias(MbxPart):
    """The modulator bias of a Thorlabs MBX as a `BiasController`. Safe: it holds the darkest point."""

    safe_step = 5

    @property
    def mode(self) -> BiasMode:
        """What the controller holds."""
        return BiasMode(self._driver.mzm.mode)

    @mode.setter
    def mode(self, mode: BiasMode) -> None:
        wanted = BiasMode(mode)
        self.approach("bias_v", self.bias_v, lambda _: self._set_mode(wanted))

    def _set_mode(self, mode: BiasMode) -> None:
        self._driver.mzm.mode = mode
        found = self.mode
        if found is not mode:
            raise DeviceFault(f"the mode {mode.name} was asked for, {found.name} reads back", where=self.place, remedy="Check the bias controller.")

    def calibrate(self) -> None:
        """Find the working point anew and wait for the end; raises DeviceFault if there is none."""
        self._driver.mzm.calibrate()

    @property
    def stable(self) -> bool:
        """Whether the bias is where the mode wants it; never without light."""
        return bool(self._driver.mzm.is_stable)

    @property
    def bias_v(self) -> float:
        """Bias voltage now (V); setting it goes to the manual mode and reads back. Raises LimitError, DeviceFault."""
        return self.reading(self._driver.mzm.voltage, "bias", (-1.1 * MOST_BIAS_V, 1.1 * MOST_BIAS_V))

    @bias_v.setter
    def bias_v(self, bias_v: float) -> None:
        asked = self.within(bias_v, self.range_v, "V")
        self.approach("bias_v", asked, self._set_bias)

    def _set_bias(self, bias_v: float) -> None:
        self._driver.mzm.voltage_setpoint = bias_v
        self._set_mode(BiasMode.MANUAL)
        if abs(self.bias_v - bias_v) > TOLERANCE_V:
            raise DeviceFault(f"{bias_v:.3f} V were asked for, {self.bias_v:.3f} V read back", where=self.place, remedy="Check the bias electrode.")

    @property
    def range_v(self) -> tuple[float, float]:
        """Lowest and highest bias (V) allowed."""
        return self.rules.limits.volts_v or (-MOST_BIAS_V, MOST_BIAS_V)

    @property
    def tap_w(self) -> float:
        """Power behind the modulator (W), by the controller's own tap."""
        return self.reading(self._driver.mzm.power, "power at the tap") * 1e-3

    def snapshot(self) -> dict[str, Scalar]:
        """Read mode, bias, power at the tap and whether it is stable."""
        return {"mode": self.mode.name, "bias_v": self.bias_v, "tap_w": self.tap_w, "stable": self.stable}

    def _make_safe(self) -> None:
        self._driver.mzm.mode = BiasMode.NULL

    def is_safe(self) -> bool:
        """Read back that the darkest point is held."""
        return self.mode is BiasMode.NULL
