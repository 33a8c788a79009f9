"""Federated learning rounds masked with quantum keys.

`learn` runs a task over the key sources of its parties; clients and server are state machines that exchange frames.
"""

from .auditor import Auditor
from .driver import Federation, Settings, Subject, learn
from .result import AbortedRound, LearningResult, PairAccount, RoundRecord

__all__ = ["AbortedRound", "Auditor", "Federation", "LearningResult", "PairAccount", "RoundRecord", "Settings", "Subject", "learn"]
