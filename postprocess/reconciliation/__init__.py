"""Cascade error correction between two parties.

`Corrector` is Bob, who asks and corrects, `Reference` is Alice, who answers; the bytes of one go to `feed` of the other until the Corrector gives None.
"""

from .corrector import Corrector
from .reference import Reference
from .schedule import CascadeParameters, FrameLayout

__all__ = ["CascadeParameters", "Corrector", "FrameLayout", "Reference"]
