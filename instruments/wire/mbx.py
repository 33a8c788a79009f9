r"""Text of the Thorlabs MBX modulator bias controllers.

Commands and replies end with ``\r``. Questions end with ``?`` and are answered by one number; settings have a colon before their value and are not answered,
but for ``MZM:RESET`` and ``VOA:MODE:``, whose answer must be read, or every later answer is taken for its predecessor's.

==========================  =========  ==================================================================================
command                     reply      meaning
==========================  =========  ==================================================================================
``MZM:MODE: n``             none       bias mode (`BiasMode`); asked by ``MZM:MODE?``
``MZM:RESET``               ``1``      calibrate the bias anew
``MZM:CALIBRATING?``        ``0|1``    calibrating now
``MZM:SETPOINT?``           ``0|1``    bias at its set-point
``MZM:HOLD:VOLTAGE: -2500`` none       voltage (mV) of the manual mode; asked by ``MZM:HOLD:VOLTAGE?``
``MZM:HOLD:RATIO: 350``     none       100 times the input to output power ratio of the power modes; ``MZM:HOLD:RATIO?``
``MZM:VOLTAGE?``            ``-2.5``   bias voltage now (V)
``MZM:TAP:MW?``             ``0.998``  optical power behind the modulator (mW)
``VOA:ATTEN: 7.25``         none       attenuation (dB, 0.5 to 20); asked by ``VOA:ATTEN?``
``VOA:MEASURED?``           ``7.24``   attenuation measured (dB); ``VOA:ERROR?`` its distance from the set-point
``VOA:SETPOINT?``           ``0|1``    within 0.1 dB of the set-point
``VOA:TAP:MW?``             ``0.188``  optical power behind the attenuator (mW)
``VOA:OUTPUT:MW: 0.5``      none       power (mW) of the power mode; asked by ``VOA:OUTPUT:MW?``
``VOA:MODE: 0|1``           ``1``      hold the attenuation (0) or the power (1); asked by ``VOA:MODE?``
``VOA:POWER: 0|1``          none       attenuator off or on; asked by ``VOA:POWER?``
``*IDN?``                   4 fields   vendor, model, serial number, firmware
==========================  =========  ==================================================================================
"""

from __future__ import annotations

from enum import IntEnum

END = "\r"
ANSWERED_SETTINGS = ("MZM:RESET", "VOA:MODE:")
"""Settings that are answered."""
LOWEST_DB, HIGHEST_DB = 0.5, 20.0
MOST_BIAS_V = 10.0


class BiasMode(IntEnum):
    """What a bias controller holds, numbered as on the wire. The automatic ones are PEAK to QUAD_NEG and the POWER modes."""

    OFF = 0
    PEAK = 1
    NULL = 2
    QUAD_POS = 3
    QUAD_NEG = 4
    HOLD_QUAD_POS = 5
    HOLD_QUAD_NEG = 6
    MANUAL = 7
    POWER_POS = 8
    POWER_NEG = 9


def is_answered(command: str) -> bool:
    """Say whether a command has a reply."""
    return "?" in command or command.startswith(ANSWERED_SETTINGS)
