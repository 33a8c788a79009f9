"""Reading OpenQASM files, version 2 or 3."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import QpuConfigError
from .vendors import vendor

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

_VERSION = re.compile(r"OPENQASM\s+(\d)")


def load_qasm(path: Path) -> QuantumCircuit:
    """Return the circuit of a file. Raises QpuConfigError naming file and line where it cannot be read."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise QpuConfigError(f"the circuit cannot be read ({error})", where=str(path), remedy="Name an OpenQASM file.") from error
    return parse_qasm(text, str(path))


def parse_qasm(text: str, where: str) -> QuantumCircuit:
    """Return the circuit of a text. Raises QpuConfigError where it cannot be understood."""
    vendor("qiskit_qasm3_import", "qiskit-qasm3-import")
    from qiskit import QiskitError, qasm2, qasm3

    version = _VERSION.search(text)
    if version is None or version[1] not in "23":
        raise QpuConfigError("this is neither OpenQASM 2 nor 3", where=where, remedy="Begin with `OPENQASM 3.0;` or `OPENQASM 2.0;`.")
    try:
        circuit = qasm2.loads(text, custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS) if version[1] == "2" else qasm3.loads(text)
    except QiskitError as error:
        raise QpuConfigError(f"the circuit cannot be understood ({error})", where=where, remedy="Mend the line that is named.") from error
    return circuit
