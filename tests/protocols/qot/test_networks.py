"""Networks and their training: shapes of the published ones, the noise that is added, rows that stay below their scale, what is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from heliograph.core.errors import DataMissing, ParameterError
from heliograph.protocols.qot.accuracy import Knobs
from heliograph.protocols.qot.layer import evaluate_binomial
from heliograph.protocols.qot.networks import LayerNoise, SecureNetwork, clamp, features, row_sums, secure_layers
from heliograph.protocols.qot.plots import accuracy_figure
from heliograph.protocols.qot.tasks import TASKS, Noise, find_task
from heliograph.protocols.qot.training import adapted, load, model_path, save, train, trained

PUBLISHED = {
    "mnist01": ((1, 28, 28), [784, 512, 128, 5, 2], [(5, 2)]),
    "cifar10": ((3, 32, 32), [4096, 100, 84, 10], [(100, 84), (84, 10)]),
    "mednist": ((1, 64, 64), [2704, 120, 84, 12, 6], [(84, 12), (12, 6)]),
}


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_networks_are_the_published_ones(name):
    image, sizes, secure = PUBLISHED[name]

    network = SecureNetwork(find_task(name, full=True), image)

    linear = [one for one in network.modules() if isinstance(one, torch.nn.Linear)]
    assert [linear[0].in_features, *(one.out_features for one in linear)] == sizes
    assert [(one.in_features, one.out_features) for one in network.linear()] == secure
    assert network(torch.zeros(2, *image)).shape == (2, sizes[-1])


def test_convolutions_of_the_full_task_are_as_wide_as_said():
    network = SecureNetwork(find_task("cifar10", full=True), (3, 32, 32))

    assert [one.out_channels for one in network.body if isinstance(one, torch.nn.Conv2d)] == [64, 192, 384, 256, 256]
    assert "a quarter" in TASKS["cifar10"].note


def test_an_unknown_task_names_those_there_are():
    with pytest.raises(ParameterError, match="mnist01"):
        find_task("imagenet")


def test_missing_data_are_told_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("HELIOGRAPH_DATA", str(tmp_path))
    with pytest.raises(DataMissing, match=r"heliograph data fetch mednist.*HELIOGRAPH_DATA"):
        find_task("mednist").load()


def test_noise_of_training_is_that_of_transfers():
    """The bound is met where u.v is one half; elsewhere transfers scatter less."""
    network = SecureNetwork(find_task("digits"), (1, 8, 8))
    layer = network.linear()[0]
    clamp(layer, 1.0)
    knobs, error = Knobs(3, 1, 500), 0.2
    x = np.random.default_rng(1).random((1, 32)).repeat(4000, axis=0)
    (secure, _) = secure_layers(network, [knobs, Knobs(1)], [1.0, float(row_sums(network.linear()[1]).max())])

    transferred = evaluate_binomial(secure, x, error, np.random.default_rng(2)).std(axis=0)
    noise = LayerNoise([1.0, 1.0], [knobs.deviation(error, 33)] * 2, torch.Generator().manual_seed(3))
    drawn = noise.drawn(0, torch.from_numpy(x), torch.zeros(4000, 16)).std(dim=0).numpy()

    np.testing.assert_allclose(transferred, drawn, rtol=0.1)


def test_rows_above_the_scale_are_put_back_onto_it_and_others_left():
    layer = torch.nn.Linear(4, 3)
    before = row_sums(layer).clone()
    scale = float(before.median())

    clamp(layer, scale)

    np.testing.assert_allclose(row_sums(layer), np.minimum(before.numpy(), scale), rtol=1e-6)


@pytest.fixture(scope="module")
def small():
    """The digits, trained briefly."""
    task = find_task("digits").cut(epochs=12, aided=12)
    images = task.load()
    return task, images, train(task, images)


def test_parts_of_the_data_do_not_overlap(small):
    _, images, _ = small
    rows = [part.x.reshape(len(part), -1) for part in (images.train, images.held, images.test)]

    assert [len(part) for part in rows] == [1097, 300, 400]
    # A few of the 1797 digits are drawn alike; a shared part would be seen at once.
    seen = {row.tobytes() for row in rows[0]}
    assert sum(row.tobytes() in seen for part in rows[1:] for row in part) < 5


def test_training_tells_accuracies_by_epoch_and_keeps_rows_below_the_scale(small):
    task, images, found = small

    assert len(found.classical) == len(found.aided) == 24
    assert found.classical[-1] > 0.85
    assert found.aided[-1] > 0.8
    # A network that knows of no noise stands it badly; from the middle on one is trained to.
    assert found.aided[11] < found.aided[-1]
    for layer, scale in zip(found.aware_network().linear(), found.scales, strict=True):
        assert float(row_sums(layer).max()) <= scale * (1 + 1e-6)
    assert features(found.aware_network(), images.test.x).min() >= 0.0
    assert "12 epochs and 12 with noise" in task.note
    assert accuracy_figure(found).axes[0].get_xlim()[1] > 24


def test_noise_and_scale_are_all_that_sets_the_compared_networks_apart(small):
    """Same start, images in the same order, rates and epochs: with no noise to speak of, and no row above its scale, they are one network."""
    task, images, _ = small
    found = train(task.cut(epochs=1, aided=2), images)

    quiet = adapted(replace(found, scales=(50.0, 50.0)), images, Noise(0.0, 10**18))

    for name, value in found.plain.items():
        np.testing.assert_allclose(quiet.aware[name], value, atol=1e-3)
        assert not np.allclose(found.start[name], value, atol=1e-3)
        assert not np.allclose(found.aware[name], value, atol=1e-3)


def test_training_repeats_itself_for_a_seed(small):
    task, images, found = small

    again = train(task.cut(epochs=1, aided=1), images)
    other = train(task.cut(epochs=1, aided=1), images)

    assert all(np.array_equal(again.aware[name], other.aware[name]) for name in found.aware)


def test_networks_are_kept_and_found_again(small, monkeypatch, tmp_path):
    monkeypatch.setenv("HELIOGRAPH_MODELS", str(tmp_path))
    task, images, found = small
    assert load(task) is None

    save(found)
    kept = trained(task, images, progress=lambda *_: pytest.fail("trained again"))

    assert kept.aided == found.aided
    assert kept.scales == found.scales
    assert all(np.array_equal(kept.plain[name], found.plain[name]) for name in found.plain)
    assert load(task.cut(epochs=13)) is None


def test_a_damaged_file_is_named(small, monkeypatch, tmp_path):
    monkeypatch.setenv("HELIOGRAPH_MODELS", str(tmp_path))
    task, _, found = small
    path = save(found)
    path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(ParameterError, match="trained again"):
        load(task)
    assert path == model_path(task, 0)


def test_a_network_is_trained_anew_for_other_noise_from_the_plain_one(small):
    _, images, found = small

    other = adapted(found, images, Noise(0.05))

    assert other.task.noise == Noise(0.05)
    assert other.plain is found.plain
    assert not np.array_equal(other.aware["secure.0.weight"], found.aware["secure.0.weight"])
