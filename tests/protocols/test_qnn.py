import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core.errors import DataError, ParameterError
from heliograph.protocols.learning import encoding, reference
from heliograph.protocols.learning.qnn import Ansatz, ring_permutation
from heliograph.protocols.statevector import single_thread

GOLDEN: dict = {
    (2, 1): ([0.9210609940, 0.5725406953], (-0.2420663234, 0, -0.9635581854, 0.7610168276), 0.3742310924),
    (3, 2): ([0.3805417446, 0.3422143125, -0.1510553640], (0.0392925010, 0.0320627227, -1.5520836945, 1.1150200209), 0.0084627318),
    (4, 3): ([-0.3109666184, -0.2011653812, 0.4504450309, -0.1821003187], (0.0671593060, -0.0742163958, -1.8879800358, 0.9668132398), 0.2270824778),
    (8, 3): ([-0.0406017543, *[None] * 6, -0.1268266746], (-0.0373515832, 0.0218576514, -0.8073535227, 0.2824640828), 0.0519725375),
}


def slope(tensor):
    assert tensor.grad is not None
    return tensor.grad


def table_angles(n, layers):
    return torch.arange(1, 2 * n * layers + 1, dtype=torch.float64).reshape(layers, n, 2) / 10


def table_inputs(n):
    return 0.3 * torch.arange(1, n + 1, dtype=torch.float64)[None]


@pytest.mark.parametrize(
    ("n", "permutation"),
    [(2, [0, 1, 3, 2]), (3, [0, 7, 3, 4, 6, 1, 5, 2]), (4, [0, 13, 3, 14, 6, 11, 5, 8, 12, 1, 15, 2, 10, 7, 9, 4])],
)
def test_the_ring_is_the_published_permutation(n, permutation):
    assert ring_permutation(n).tolist() == permutation


@pytest.mark.parametrize(("n", "layers"), GOLDEN)
@pytest.mark.parametrize("engine", ["fused", "gate by gate"])
def test_golden_expectations_and_gradients(n, layers, engine):
    golden, gradients, amplitude = GOLDEN[n, layers]
    theta = table_angles(n, layers).requires_grad_()
    ansatz = Ansatz(n, layers, dtype=torch.complex128)
    run = ansatz.expectations if engine == "fused" else reference.expectations
    f = run(encoding.angle(table_inputs(n), torch.complex128), theta)[0]
    for value, expected in zip(f.tolist(), golden, strict=True):
        assert expected is None or value == pytest.approx(expected, abs=1e-9)
    f[-1].backward()
    first = slope(theta)
    assert [first[0, 0, 0].item(), first[0, 0, 1].item(), first.sum().item(), first.norm().item()] == pytest.approx(gradients, abs=1e-9)
    psi = encoding.amplitude(np.arange(1, 2**n + 1), n, torch.complex128)
    assert run(psi, theta)[0, -1].item() == pytest.approx(amplitude, abs=1e-9)


@pytest.mark.parametrize(("n", "layers"), GOLDEN)
def test_single_precision_agrees_to_five_digits(n, layers):
    f = Ansatz(n, layers).readout(encoding.angle(table_inputs(n).float()), table_angles(n, layers))
    assert f.item() == pytest.approx(GOLDEN[n, layers][0][-1], abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 10), st.integers(1, 3), st.sampled_from(["ry_rz", "rz_ry"]), st.integers(0, 2**31))
def test_fused_and_gate_by_gate_engines_agree(n, layers, rotations, seed):
    draw = torch.Generator().manual_seed(seed)
    theta = torch.rand(layers, n, 2, generator=draw, dtype=torch.float64) * 6.3
    psi = torch.randn(3, 2**n, generator=draw, dtype=torch.complex128)
    psi = psi / psi.norm(dim=1, keepdim=True)
    ansatz = Ansatz(n, layers, rotations=rotations, dtype=torch.complex128)
    assert torch.allclose(ansatz.state(psi, theta), reference.state(psi, theta, rotations), atol=1e-12)
    assert torch.allclose(ansatz.expectations(psi, theta), reference.expectations(psi, theta, rotations), atol=1e-12)


@settings(deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**31))
def test_one_layer_has_its_closed_form(n, seed):
    draw = torch.Generator().manual_seed(seed)
    theta, x = (torch.rand(*shape, generator=draw, dtype=torch.float64) * 6.3 for shape in ((1, n, 2), (1, n)))
    f = Ansatz(n, 1, dtype=torch.complex128).expectations(encoding.angle(x, torch.complex128), theta)[0]
    c = torch.cos(x[0] + theta[0, :, 0])
    expected = torch.cumprod(c, 0)
    if n >= 3:
        expected[0] = c[1:].prod()
    assert torch.allclose(f, expected, atol=1e-12)


@pytest.mark.parametrize("n", range(2, 9))
def test_parameter_shift_equals_autograd_for_angles_and_inputs(n):
    draw = torch.Generator().manual_seed(n)
    theta = (torch.rand(2, n, 2, generator=draw, dtype=torch.float64) * 6.3).requires_grad_()
    x = (torch.rand(1, n, generator=draw, dtype=torch.float64) * 6.3).requires_grad_()
    ansatz = Ansatz(n, 2, dtype=torch.complex128)

    def f(x, theta):
        return ansatz.readout(encoding.angle(x, torch.complex128), theta)

    f(x, theta).sum().backward()
    for tensor, at in ((theta, lambda shifted: f(x, shifted)), (x, lambda shifted: f(shifted, theta))):
        flat = tensor.detach().reshape(-1)
        eye = torch.eye(flat.numel(), dtype=torch.float64) * np.pi / 2
        shift = torch.stack([(at((flat + e).reshape(tensor.shape)) - at((flat - e).reshape(tensor.shape))).sum() / 2 for e in eye])
        assert (shift - slope(tensor).reshape(-1)).abs().max() <= 1e-10


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_the_last_rz_angles_have_no_gradient_at_all_and_rz_first_has_no_dead_angle(dtype):
    theta = torch.rand(3, 6, 2, generator=torch.Generator().manual_seed(1)).requires_grad_()
    psi = encoding.amplitude(np.random.default_rng(0).random((8, 64)), 6, dtype)
    (Ansatz(6, 3, dtype=dtype).readout(psi, theta) ** 2).sum().backward()
    assert torch.count_nonzero(slope(theta)[-1, :, 1]) == 0
    assert torch.count_nonzero(slope(theta)[:-1]) == slope(theta)[:-1].numel()
    theta.grad = None
    (Ansatz(6, 3, rotations="rz_ry", dtype=dtype).readout(psi, theta) ** 2).sum().backward()
    assert slope(theta).abs().min() > 1e-6


def test_the_thread_count_is_given_back():
    before = torch.get_num_threads()
    with single_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_an_empty_sample_is_refused_by_its_number():
    with pytest.raises(DataError, match="sample 1"):
        encoding.amplitude(np.array([[1.0, 0.0], [0.0, 0.0]]), 1)


def test_too_many_values_or_qubits_are_refused():
    with pytest.raises(ParameterError):
        encoding.amplitude(np.ones((1, 5)), 2)
    with pytest.raises(ParameterError):
        Ansatz(1, 1)
