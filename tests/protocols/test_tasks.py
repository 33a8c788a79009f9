import statistics

import numpy as np
import pytest
import torch

from heliograph.core.errors import ConfigError, DataError, ParameterError
from heliograph.protocols.learning import catalogue
from heliograph.protocols.learning.adam import Adam
from heliograph.protocols.learning.models import QnnModel
from heliograph.protocols.learning.tasks import Hyperparameters, digits_task, mnist_task
from heliograph.protocols.learning.training import Evaluator, LocalTrainer
from heliograph.protocols.qunetqfl.driver import Settings, learn


def rows(samples):
    return {row.tobytes() for row in np.asarray(samples.x)}


@pytest.mark.parametrize("names", ["ABC", "ABCD"])
@pytest.mark.parametrize("iid", [True, False])
def test_clients_and_test_set_are_disjoint_and_of_the_stated_size(names, iid):
    dealt, test = digits_task().split(names, 1, iid=iid)
    assert {len(samples) for samples in dealt.values()} == {60}
    assert (len(test), test.y.sum()) == (100, 0)
    everyone = [rows(samples) for samples in (*dealt.values(), test)]
    assert len(set.union(*everyone)) == sum(map(len, everyone))


def test_the_uneven_split_has_the_stated_shares():
    dealt, _ = digits_task(0, 1).split("ABCD", 0, iid=False)
    assert [int((samples.y == 1).sum()) for samples in dealt.values()] == [54, 42, 18, 6]


def test_a_split_follows_its_seed():
    first, again, other = (digits_task().split("ABC", seed)[0]["A"].x.tobytes() for seed in (1, 1, 2))
    assert first == again != other


def test_too_many_clients_for_the_data_are_refused():
    with pytest.raises(DataError, match="fewer clients"):
        digits_task().split("ABCDEFGH", 0)


def test_two_equal_classes_are_refused():
    with pytest.raises(DataError, match="cannot be told apart"):
        digits_task(3, 3).split("ABC", 0)


def test_model_sizes_are_the_published_ones():
    assert digits_task().model().d == 36
    assert mnist_task().model().d == 48
    assert QnnModel(8, 4, head="affine").d == 66
    assert QnnModel(6, 3, drop_dead=True).d == 30


def test_leaving_dead_angles_out_changes_no_score():
    whole, short = QnnModel(4, 2, inputs="angle", dtype=torch.complex128), QnnModel(4, 2, inputs="angle", drop_dead=True, dtype=torch.complex128)
    theta = torch.rand(16, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    live = [i for i in range(16) if i not in (9, 11, 13, 15)]
    states = whole.encode(np.random.default_rng(0).normal(size=(5, 4)))
    assert torch.allclose(whole.scores(states, theta), short.scores(states, theta[live]), atol=1e-12)


def test_the_affine_head_starts_as_published_and_is_trained():
    model = QnnModel(3, 1, head="affine", dtype=torch.complex128)
    start = model.initial(np.random.default_rng(0))
    assert start[-2:].tolist() == [2.0, 0.0]
    theta = torch.from_numpy(start).requires_grad_()
    states = model.encode(np.ones((2, 8)) + np.eye(2, 8))
    model.scores(states, theta).sum().backward()
    assert theta.grad is not None
    assert theta.grad[-2:].abs().min() > 0


def test_dropping_dead_angles_needs_dead_angles():
    with pytest.raises(ConfigError):
        QnnModel(3, 1, rotations="rz_ry", drop_dead=True)


def trainer(settings=None):
    task = digits_task()
    dealt, _ = task.split("ABC", 0)
    return LocalTrainer(task.model(), dealt["A"], settings or task.training, 0), task.start(0)


def test_dead_angles_are_left_exactly_alone_by_training():
    local, start = trainer()
    update = local.train(0, 0, start, {}).update
    dead = np.zeros((3, 6, 2), dtype=bool)
    dead[-1, :, 1] = True
    assert not update[dead.reshape(-1)].any()
    assert (update[~dead.reshape(-1)] != 0).all()


def test_training_follows_round_and_client_and_nothing_else():
    local, start = trainer()
    base = local.train(3, 1, start, {}).update
    assert np.array_equal(base, local.train(3, 1, start, {}).update)
    assert not np.array_equal(base, local.train(4, 1, start, {}).update)
    assert not np.array_equal(base, local.train(3, 2, start, {}).update)


@pytest.mark.parametrize(("optimizer", "matters"), [("keep", True), ("reset", False)])
def test_moments_are_kept_or_reset_as_the_task_says(optimizer, matters):
    local, start = trainer(Hyperparameters(0.02, 10, 1, optimizer))
    first = local.train(0, 0, start, {})
    assert first.state["step"] == 6
    fresh, kept = local.train(1, 0, start, {}).update, local.train(1, 0, start, first.state).update
    assert np.array_equal(fresh, kept) != matters


@pytest.mark.filterwarnings("default")
def test_our_adam_takes_the_steps_of_torchs():
    goal = torch.linspace(-1, 1, 7)
    mine, theirs = (torch.zeros(7, requires_grad=True) for _ in range(2))
    reference = torch.optim.Adam([theirs], lr=0.05)
    state: dict = {}
    for step in range(40):
        adam = Adam(mine, 0.05, state)
        adam.step(torch.autograd.grad(((mine - goal) ** 2).sum() * (step + 1), mine)[0])
        state = dict(adam.state)
        theirs.grad = torch.autograd.grad(((theirs - goal) ** 2).sum() * (step + 1), theirs)[0]
        reference.step()
    assert torch.allclose(mine, theirs, atol=1e-6)


def test_a_diverging_training_is_an_error():
    local, start = trainer(Hyperparameters(float("inf"), 10, 1))
    with pytest.raises(ParameterError, match="not finite"):
        local.train(0, 0, start, {})


def test_the_evaluator_counts_scores_of_zero_as_the_first_class():
    task = digits_task()
    _, test = task.split("ABC", 0)

    class Zero(QnnModel):
        def scores(self, states, theta):
            return torch.zeros(len(states))

    assert Evaluator(Zero(6, 3), test)(np.zeros(36)) == (0.5, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "target"), [((0, 1), 0.97), ((3, 9), 0.94)])
@pytest.mark.parametrize("iid", [True, False])
def test_four_clients_reach_the_published_median(network, classes, target, iid):
    results = [learn(digits_task(*classes), network("ABCD", chunk_bits=640).sources, Settings(seed=seed, iid=iid)) for seed in range(5)]
    assert statistics.median(result.final_accuracy for result in results) >= target - (0 if iid else 0.03)


@pytest.mark.slow
@pytest.mark.skipif(not (catalogue.data_root() / "mnist").is_dir(), reason="MNIST is not under HELIOGRAPH_DATA")
@pytest.mark.parametrize(("classes", "target"), [((0, 1), 0.99), ((3, 6), 0.95), ((3, 9), 0.90)])
def test_mnist_reaches_the_published_median(network, classes, target):
    results = [learn(mnist_task(*classes), network("ABCD", chunk_bits=768).sources, Settings(seed=seed)) for seed in range(3)]
    assert statistics.median(result.final_accuracy for result in results) >= target
