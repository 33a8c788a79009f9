"""Inference without showing data: knobs from the device's error and the wanted accuracy, a prediction, then the secure layers by transfers.

device = characterise("fake:santiago")
found = trained(task, images)
plan = make_plan(found, images, device, shots=2000)
result = infer(plan, images)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, inf, sqrt
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.entropy import RandomSource, SimRandom
from ...core.errors import ParameterError
from ...core.statement import Provenance, SecurityStatement
from ..learning.data import Samples
from .accuracy import MOST_REPETITIONS, Knobs, best_block, deviation_bound, repeated_error, signal
from .characterise import Characterised
from .layer import SecureLayer, evaluate_binomial, evaluate_joint, refuse_without_signal
from .networks import SecureNetwork, features, secure_layers, through
from .opening import DUMMIES_PER_BIT, SEED_BYTES, hidden_to
from .parties import Opening
from .states import DrawnStates
from .tasks import Images, Noise
from .training import Trained, share_right

BITS_OF_TRANSFER = 3
SHOT_S = 250e-6
"""Seconds a shot takes on a superconducting device with its usual pause between shots."""
TRANSFERS_PER_S = 1e7
"""Transfers a second of one core, every gate played."""
MOST_CHECKED = 20_000_000
_CLAMPS = (1.0, 0.8, 0.6)
_TRIES = 5
_NO_BETTER = 0.98
Matrix = NDArray[np.float64]
Held = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Choice:
    """How the secure layers are evaluated.

    knobs, scales: block, repetitions, shots, and S_w, by layer.  deviations: largest sd(u.v) at the device's error.  held: accuracy on the held-out images by
    transfers.  target: that was wanted there.
    """

    knobs: tuple[Knobs, ...]
    scales: tuple[float, ...]
    deviations: tuple[float, ...]
    held: float
    target: float

    @property
    def reached(self) -> bool:
        """Say whether the wanted accuracy is kept."""
        return self.held >= self.target


@dataclass(frozen=True, slots=True)
class Prediction:
    """What an inference will take, known before it starts.

    images.  transfers: of all images.  validation: states spent on the error rate.  key_bits: pads of transfers and openings.  seconds: here, counts drawn at
    once.  every_gate_s: here, every gate played.  device_s: on a device, one state a shot.  accuracy: on held-out images.  usd: for the states, None where
    the back-end does not tell.
    """

    images: int
    transfers: int
    validation: int
    key_bits: int
    seconds: float
    every_gate_s: float
    device_s: float
    accuracy: float
    usd: float | None = None

    @property
    def states(self) -> int:
        """Return the states that will be used, those of the validation included."""
        return self.transfers + self.validation


@dataclass(frozen=True, slots=True)
class Plan:
    """An inference that can start."""

    trained: Trained
    device: Characterised
    choice: Choice
    layers: tuple[SecureLayer, ...]
    opening: Opening
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Checked:
    """Images that were evaluated gate by gate as well.

    agree: share with the class that exact evaluation finds.  z_rms: error of the first secure layer's outputs over its bound, at most about 1.
    """

    images: int
    transfers: int
    agree: float
    z_rms: float


@dataclass(frozen=True, slots=True)
class Inference:
    """What came out. Accuracies are fractions of 1; confusion: int64 (classes, classes), rows are the true ones.

    classical: plain network.  exact: noise-aware network without noise.  secure: by transfers.
    """

    plan: Plan
    classical_accuracy: float
    exact_accuracy: float
    secure_accuracy: float
    confusion: NDArray[np.int64]
    qot_count: int
    states_used: int
    key_bits: int
    seconds: float
    checked: Checked | None
    statement: SecurityStatement

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints; `simulated` and `security` come from the statement."""
        names = ("classical_accuracy", "exact_accuracy", "secure_accuracy", "qot_count", "states_used", "key_bits", "seconds", "confusion")
        plan, task = self.plan, self.plan.trained.task
        knobs = [
            {"block": one.block, "repetitions": one.repetitions, "shots": one.shots, "scale": scale, "deviation": deviation}
            for one, scale, deviation in zip(plan.choice.knobs, plan.choice.scales, plan.choice.deviations, strict=True)
        ]
        epochs = {"classical": plan.trained.classical, "quantum_aided": plan.trained.aided}
        told = {"task": task.name, "data": task.data, "note": task.note, "backend": plan.device.backend, "error": plan.device.error, "opening": plan.opening}
        return {
            **told,
            "job": plan.device.job,
            **{name: getattr(self, name) for name in names},
            "knobs": knobs,
            "predicted": plan.prediction,
            "checked": self.checked,
            "by_epoch": epochs,
        }


def choose(trained: Trained, held: Samples, error: float, shots: int, *, wanted_loss: float = 0.005, seed: int = 0) -> Choice:
    """Return the cheapest knobs that cost at most `wanted_loss` of accuracy on held-out images.

    For several clamps of S_w the repetitions grow, each with the best block of every layer, until counts drawn at the device's error keep the accuracy. Where
    none does, the cheapest knobs are returned that come as near as so few images can tell, and `reached` says so.
    """
    network, y = trained.aware_network(), np.asarray(held.y)
    x, step = features(network, held.x), 1.0 / len(y)
    exact = share_right(_exactly(secure_layers(network, [Knobs(1)] * len(trained.scales), trained.scales), x), y)
    # Fewer images than one cannot tell a loss.
    target = exact - max(wanted_loss, step)
    tried = [one for factor in _CLAMPS for one in _with_clamp(network, (x, y), [factor * scale for scale in trained.scales], error, shots, target, seed)]
    good = [one for one in tried if one.reached] or [one for one in tried if one.held >= max(each.held for each in tried) - step]
    return min(good, key=lambda one: (sum(layer.transfers for layer in secure_layers(network, one.knobs, one.scales)), -one.held))


def _with_clamp(network: SecureNetwork, held: Held, scales: Sequence[float], error: float, shots: int, target: float, seed: int) -> Iterator[Choice]:
    """Yield what more and more repetitions give, up to the first that keeps the accuracy, or after which more of them help no longer."""
    x, y = held
    sizes, before = [layer.in_features + 1 for layer in network.linear()], inf
    for repetitions in range(1, MOST_REPETITIONS + 1, 2):
        knobs = tuple(Knobs(best_block(repeated_error(error, repetitions), m), repetitions, shots) for m in sizes)
        layers, rng = secure_layers(network, knobs, scales), np.random.default_rng([seed, repetitions])
        accuracy = float(np.mean([share_right(_by_counts(layers, x, error, error, rng), y) for _ in range(_TRIES)]))
        choice = Choice(knobs, tuple(scales), tuple(one.deviation(error, m) for one, m in zip(knobs, sizes, strict=True)), accuracy, target)
        yield choice
        noisiest = max(choice.deviations)
        if choice.reached or noisiest > _NO_BETTER * before:
            return
        before = noisiest


def noise_left(device: Characterised, choice: Choice, shots: int) -> Noise:
    """Return the noise that chosen knobs leave in the noisiest layer, for training a network anew that stands it."""
    return Noise(max(repeated_error(device.error, one.repetitions) for one in choice.knobs), shots)


def opening_bits(layer: SecureLayer, opening: Opening) -> int:
    """Return the key bits that opening the outputs of one input vector takes.

    `shots`: one bit a shot and block.  `counted`: both parties' shares with their dummies, and the count.
    """
    shares = 2 * layer.blocks * layer.knobs.shots
    if opening == "shots":
        return shares * layer.outputs
    return (2 * shares * (1 + DUMMIES_PER_BIT) + 64) * layer.outputs


def key_bits(layers: Sequence[SecureLayer], images: int, opening: Opening) -> int:
    """Return the pads that an inference takes: three bits a transfer, those of the openings, and the common key of shuffles; authentication not included."""
    each = sum(BITS_OF_TRANSFER * layer.transfers + opening_bits(layer, opening) for layer in layers)
    return images * each + (8 * SEED_BYTES if opening == "counted" else 0)


def validation_needed(layers: Sequence[SecureLayer], error: float) -> int:
    """Return how many validation states keep the error rate's own error below half the shot noise of every layer.

    With repetitions an error of the rate matters less, by the slope of the majority's.
    """
    needed = [1]
    for layer in layers:
        r, block, step = layer.knobs.repetitions, layer.positive.shape[2], 1e-6
        left = repeated_error(error, r)
        slope = (repeated_error(error + step, r) - left) / step
        allowed = deviation_bound(left, block, layer.knobs.shots) / 2.0 * (1.0 - 2.0 * left) / (block * max(slope, 1e-9))
        needed.append(ceil(error * (1.0 - error) / allowed**2))
    return max(needed)


def make_plan(
    trained: Trained,
    images: Images,
    device: Characterised,
    shots: int = 2000,
    *,
    wanted_loss: float = 0.005,
    opening: Opening = "counted",
    choice: Choice | None = None,
    seed: int = 0,
) -> Plan:
    """Choose the knobs and predict what the inference of the test images takes. No state is used.

    shots: of one inner product.  choice: knobs that are chosen already.  Raises NoSignal for an error of one half or more, and where the noise of an output
    would be as large as its range.
    """
    if shots < 1:
        raise ParameterError(f"{shots} shots make no inner product", where="shots")
    signal(device.error, 1)
    chosen = choice or choose(trained, images.held, device.error, shots, wanted_loss=wanted_loss, seed=seed)
    layers = tuple(secure_layers(trained.aware_network(), chosen.knobs, chosen.scales))
    for layer in layers:
        refuse_without_signal(layer, device.error, layer.scale)
    begin = perf_counter()
    _by_counts(layers, features(trained.aware_network(), images.held.x), device.error, device.error, np.random.default_rng(seed))
    pace = (perf_counter() - begin) / len(images.held)
    n = len(images.test)
    transfers = n * sum(layer.transfers for layer in layers)
    prediction = Prediction(
        n,
        transfers,
        device.shots,
        key_bits(layers, n, opening),
        pace * n,
        transfers / TRANSFERS_PER_S,
        (transfers + device.shots) * SHOT_S,
        chosen.held,
        None if device.usd_per_state is None else device.usd_per_state * (transfers + device.shots),
    )
    return Plan(trained, device, chosen, layers, opening, prediction)


def infer(plan: Plan, images: Images, *, seed: int = 0, check: int | None = None, progress: Callable[[int, int], None] | None = None) -> Inference:
    """Evaluate the test images by transfers, each count drawn at once from the law that transfers have, and some of them gate by gate.

    check: images to play gate by gate, by default as many as take 20 million transfers, ten at most.  seed: of the simulation.  progress: called with images
    done and images there are.
    """
    begin = perf_counter()
    trained, device = plan.trained, plan.device
    network, y = trained.aware_network(), np.asarray(images.test.y)
    x, rng = features(network, images.test.x), np.random.default_rng([seed, 7])
    scores = []
    for first in range(0, len(y), _pieces := 100):
        scores.append(_by_counts(plan.layers, x[first : first + _pieces], device.true_error, device.error, rng))
        if progress is not None:
            progress(min(first + _pieces, len(y)), len(y))
    found = np.concatenate(scores).argmax(axis=1)
    exact = _exactly(plan.layers, x).argmax(axis=1)
    per_image = sum(layer.transfers for layer in plan.layers)
    n = min(10, MOST_CHECKED // per_image) if check is None else check
    checked = _checked(plan, x[:n], seed) if n else None
    confusion = np.zeros((len(trained.task.classes),) * 2, np.int64)
    np.add.at(confusion, (y, found), 1)
    played = checked.transfers if checked else 0
    return Inference(
        plan,
        float((through(trained.plain_network(), images.test.x).argmax(axis=1) == y).mean()),
        float((exact == y).mean()),
        float((found == y).mean()),
        confusion,
        per_image * len(y),
        per_image * len(y) + played + device.shots,
        key_bits(plan.layers, len(y), plan.opening),
        perf_counter() - begin,
        checked,
        statement(plan),
    )


def _by_counts(layers: Sequence[SecureLayer], x: NDArray[np.float32], true: float, believed: float, rng: np.random.Generator) -> Matrix:
    y = np.asarray(x, np.float64)
    for layer in layers:
        y = evaluate_binomial(layer, np.maximum(y, 0.0), true, rng, corrected_by=believed)
    return y


def _exactly(layers: Sequence[SecureLayer], x: NDArray[np.float32]) -> Matrix:
    y = np.asarray(x, np.float64)
    for layer in layers:
        u, sums = layer.draws(np.maximum(y, 0.0))
        y = sums[:, None] * layer.scale * np.einsum("nkb,okb->no", u, layer.positive - layer.negative)
    return y


def _checked(plan: Plan, x: NDArray[np.float32], seed: int) -> Checked:
    """Play every gate of some images, with states drawn from the device's law."""
    sources: list[RandomSource] = [SimRandom(seed, stream) for stream in (1, 2, 3)]
    states = DrawnStates(plan.device.law, sources[0])
    y, z = np.asarray(x, np.float64), np.empty(0)
    for place, layer in enumerate(plan.layers):
        before = np.maximum(y, 0.0)
        y = evaluate_joint(layer, before, plan.device.error, states, sources[1], sources[2])
        if place == 0:
            bound = layer.draws(before)[1][:, None] * layer.deviation(plan.device.error)
            z = (y - _exactly(plan.layers[:1], x)) / bound
    agree = y.argmax(axis=1) == _exactly(plan.layers, x).argmax(axis=1)
    return Checked(len(x), states.cursor.used, float(agree.mean()), float(sqrt((z**2).mean())))


def statement(plan: Plan, *, sealed_images: int = 0, drawn_bits: int = 0, epsilon: float = 0.0) -> SecurityStatement:
    """Return what an inference claims, and what it does not.

    sealed_images, drawn_bits: how many went between machines over sealed lines, and the key that was spent on them.  epsilon: probability that a check of
    their states failed; that of the key is its own.
    """
    counted = plan.opening == "counted"
    bits = max(2 * layer.blocks * layer.knobs.shots for layer in plan.layers)
    opened = (
        (f"the aggregator learns each output's count up to {hidden_to(bits, DUMMIES_PER_BIT * bits):.2f} in total variation, and nothing of single shots",)
        if counted
        else ("every shot's result is opened to Alice, who can read Bob's weights from many of them",)
    )
    claims = (
        "per transfer Bob learns one of two masked bits and Alice nothing of his choice, if the dealer of the states colludes with nobody",
        "Alice learns the outputs of each secure layer; Bob learns nothing of the inputs",
    )
    assumptions = (
        "Alice, Bob and the dealer follow the protocol (honest but curious), and no two of them work together",
        "states are dephased by the dealer (twirled), which makes him a classical dealer: secrecy rests on him and on the keyed channels",
        "the layers before the secure ones are disclosed to Alice; between two secure layers she sees the pre-activations",
        "who may ask often reads the weights off exact answers: queries must be limited",
        *opened,
        *_keyed(sealed_images, drawn_bits, epsilon),
    )
    reasons = ["both parties are played in one process", "counts of most images are drawn from the law that transfers have"]
    if plan.device.simulated:
        reasons.append("states come from a simulation")
    else:
        reasons.append("one processor measured all four qubits: dealer, Alice and Bob in one")
        reasons.append("it measured the law of the states only: those of transfers, sealed ones too, are drawn from that law in a simulation")
    return SecurityStatement(claims, assumptions, epsilon, 0, Provenance(True, tuple(reasons)))


def _keyed(images: int, bits: int, epsilon: float) -> tuple[str, ...]:
    if not bits:
        return ("no key was drawn from a store: key bits are computed only, and no message was hidden under them",)
    return (
        f"{images} of the images went between machines under {bits:,} bits of one-time pads of the key stores; of all others the key bits are computed only",
        "what the dealer announces of his decoys came by no authenticated line",
        "the dealer drew the states of these images from the operating system's generator for this run alone; they are stored nowhere: no seed repeats them",
        f"epsilon holds {epsilon:.2g} for decoys missing somebody who measures and sends on, and tests missing states beyond a limit by twice their margin",
        "which states are tested follows from commitments by SHA-256, which hold computationally",
    )


def more_states(device: Characterised, layers: Sequence[SecureLayer]) -> int:
    """Return how many more validation states make the device's error known well enough for these layers, 0 where it is."""
    return max(0, validation_needed(layers, device.error_high) - device.shots)
