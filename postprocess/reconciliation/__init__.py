"""Cascade error correction between two parties.

`Corrector` is Bob, who asks and corrects, `Reference` is Alice, who answers; the bytes of one go to `feed` of the other until the Corrector gives None.
`reconcile` does the same to two keys in one process, for simulations.
"""

from .corrector import Corrector
from .fused import Reconciled, reconcile
from .reference import Reference
from .schedule import CascadeParameters, FrameLayout

__all__ = ["CascadeParameters", "Corrector", "FrameLayout", "Reconciled", "Reference", "reconcile"]
