"""What nodes and workers tell is published only if every field is as declared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from heliograph.control.topics import (
    BlockFigures,
    ClientFigures,
    Debit,
    KeyProgress,
    LearningProgress,
    QpuJobs,
    QpuJobState,
    StoreState,
    StoreStates,
)
from heliograph.control.topics.payloads import checked
from heliograph.core.errors import ParameterError

changed: Any = replace
BLOCK = BlockFigures("A-B", 1, "run", 1.0, 2.0, 1000, 0.01, 0.02, 0.1, 10, 1.1, 500, 250.0, {"total": 1e-10}, "simulated", 40)
KEY = KeyProgress("live", "done", "A-B", n_needed=5.0, blocks=(BLOCK,), limits={"qber": 0.1})
CLIENT = ClientFigures("A", True, np.zeros(2), np.ones(2), 60)
LEARNING = LearningProgress("digits", "running", 1, 2, (CLIENT,), np.zeros(2), np.ones(2), {"A-B": np.zeros(2, np.int64)}, 4, True)
STORES = StoreStates("store", 1, (StoreState("A-B", "A", 9, 8, 1, 0, 0, 8192, 1e-10, "simulated", ("k",)),), (Debit(1.0, "A-B", "A", "round 1", 64),))
QPU = QpuJobs("project", (QpuJobState("id", "backend", "DONE", 10, 0.0),), 0.5, None)
GOOD = {"key": KEY, "stores": STORES, "learning": LEARNING, "qpu": QPU}
WRONG: list[tuple[Any, Any]] = [
    ("stores", KEY),
    ("safety", KEY),
    (None, KEY),
    (["key"], KEY),
    ("key", None),
    ("key", changed(KEY, progress="half")),
    ("key", changed(KEY, events=True)),
    ("key", changed(KEY, stage="no stage")),
    ("key", changed(KEY, blocks=None)),
    ("key", changed(KEY, blocks=(KEY,))),
    ("key", changed(KEY, blocks=(changed(BLOCK, block=[1]),))),
    ("key", changed(KEY, limits={"qber": "high"})),
    ("key", changed(KEY, limits={1: 0.1})),
    ("key", changed(KEY, n_needed="many")),
    ("learning", changed(LEARNING, loss=[1.0])),
    ("learning", changed(LEARNING, loss=np.zeros((2, 2)))),
    ("learning", changed(LEARNING, key_bits={"A-B": 7})),
    ("learning", changed(LEARNING, clients=(changed(CLIENT, accuracy=None),))),
    ("stores", changed(STORES, folder=7)),
    ("stores", changed(STORES, stores=[])),
    ("qpu", changed(QPU, cap="none")),
]


@pytest.mark.parametrize("topic", GOOD)
def test_a_payload_as_declared_is_published(topic):
    assert checked(topic, GOOD[topic]) is GOOD[topic]


@pytest.mark.parametrize("topic, told", WRONG)
def test_another_one_is_refused_in_our_words(topic, told):
    with pytest.raises(ParameterError):
        checked(topic, told)
