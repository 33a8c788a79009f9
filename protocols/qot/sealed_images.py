"""Images of a task classified by the machines of a plan's parties, under key of the stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ParameterError
from ...core.statement import SecurityStatement, combined
from .inference import Plan, statement
from .networks import features, through
from .sealed_inference import EPSILON, Dealt, Lines, Role, Sealing, Sources, evaluate_sealed, pad_bits
from .tasks import Images


@dataclass(frozen=True, slots=True)
class SealedImages:
    """Test images that went through the machines.

    names: of the parties, by role.  images.  classes: int64 (images,), as found.  correct, agree: share in the true class, and in that of the same network
    without noise.  task_bits: pads that all test images of the task would take the same way.
    """

    names: Mapping[Role, str]
    images: int
    classes: NDArray[np.int64]
    correct: float
    agree: float
    task_bits: int
    sealing: Sealing
    statement: SecurityStatement

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints under `sealed`."""
        took = self.sealing
        own = {name: getattr(self, name) for name in ("images", "classes", "correct", "agree", "task_bits")}
        bits = {"drawn_bits": sum(took.drawn_bits.values()), "predicted_bits": sum(took.predicted_bits.values()), "by_pair": took.drawn_bits}
        used = {name: getattr(took, name) for name in ("tags", "transfers", "states", "seconds")}
        return {**{str(role): name for role, name in self.names.items()}, **own, **bits, **used, "error": took.tested.error, "x_pass": took.tested.x_pass}


def infer_sealed(
    plan: Plan,
    images: Images,
    n: int,
    lines: Lines,
    *,
    sources: Sources | None = None,
    statements: Sequence[SecurityStatement] = (),
    progress: Callable[[int, int], None] | None = None,
) -> SealedImages:
    """Classify the first n test images by the machines of a plan's parties, over sealed lines.

    statements: of the key in the stores, which becomes part of what is claimed.  Raises what `evaluate_sealed` raises; ParameterError.
    """
    if not 1 <= n <= len(images.test):
        raise ParameterError(f"{n} of {len(images.test)} test images", where="samples")
    network, task = plan.trained.aware_network(), plan.trained.task.name
    x, y = images.test.x[:n], np.asarray(images.test.y[:n])
    dealt = Dealt(plan.device.law, plan.device.error, plan.device.error_high)
    scores, sealing = evaluate_sealed(
        plan.layers, features(network, x), dealt, lines, opening=plan.opening, purpose=f"qot infer {task}", sources=sources, progress=progress
    )
    found = scores.argmax(axis=1)
    same = float((found == through(network, x).argmax(axis=1)).mean())
    own = statement(plan, sealed_images=n, drawn_bits=sum(sealing.drawn_bits.values()), epsilon=EPSILON)
    whole = combined([own, *statements], claims=own.claims)
    return SealedImages(lines.names, n, found, float((found == y).mean()), same, pad_bits(plan.layers, len(images.test), plan.opening), sealing, whole)
