"""Quantum processors, local ones and those in clouds, behind one interface: circuits in, samples shot by shot out, in one bit order.

    from heliograph.protocols.qpu import Work, open_backend

    backend = open_backend("fake:santiago", "my-project")
    (samples,) = backend.run([Work(circuit)], shots=4000)
    samples.bits                                   # uint8 (4000, classical bits), column j is the circuit's classical bit j

A job is in the project's ledger before it is sent and its samples are on disk before they are returned; a client that dies resumes by the job's name, and
nothing is ever submitted twice. Clouds get nothing until the project's budget says so. No vendor's library is imported before a back-end of it is opened.
"""

from .factory import open_backend
from .interface import Backend, Cost, Job, JobStatus, Limits, Work
from .projects import Project
from .samples import Samples
from .settings import Budget, Settings

__all__ = ["Backend", "Budget", "Cost", "Job", "JobStatus", "Limits", "Project", "Samples", "Settings", "Work", "open_backend"]
