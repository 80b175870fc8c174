"""Linear maps against torch's, and the mean of their outputs."""

import pytest
import torch
import torch.nn.functional as F

from pymim.layers.linear import JointLinear, LinearMean


@pytest.mark.parametrize("shape", [(1, 1), (0, 8), (7, 33), (2, 17, 192)])
@pytest.mark.parametrize("bias", [True, False])
def test_maps_in_one_product_equal_torchs(shape, bias, device):
    torch.manual_seed(0)
    layer = JointLinear(shape[-1], 24, bias, maps=3).to(device)
    x = torch.randn(shape, device=device, requires_grad=True)
    up = torch.randn(*shape[:-1], 24, device=device)
    inputs = [x, *layer.parameters()]
    expected = F.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)
    found = torch.autograd.grad(layer(x), inputs, up)
    torch.testing.assert_close(
        found, torch.autograd.grad(expected, inputs, up), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("bias", [True, False])
def test_the_mean_of_outputs_and_its_gradients_equal_those_of_all_outputs(bias):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(5, 48, bias=bias), torch.randn(2, 7, 5, requires_grad=True)
    inputs = [x, *layer.parameters()]
    expected, found = layer(x).mean(-1, keepdim=True), LinearMean.of(layer)(x)
    torch.testing.assert_close(found, expected)
    grads = (torch.autograd.grad(out.square().sum(), inputs) for out in (found, expected))
    torch.testing.assert_close(*grads)
    with torch.autocast("cpu", torch.bfloat16):
        halved = LinearMean.of(layer)(x.bfloat16())
    assert halved.dtype == torch.float32
    torch.testing.assert_close(halved, LinearMean.of(layer)(x.bfloat16().float()))


def test_a_frozen_weight_gets_no_gradient():
    layer, x = (
        JointLinear(5, 3, maps=3).requires_grad_(False),
        torch.randn(2, 5, requires_grad=True),
    )
    layer(x).sum().backward()
    assert layer.weight.grad is None
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(2, 5))


def test_a_product_has_the_type_that_torch_gives_it():
    layer = JointLinear(5, 3, maps=3)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(2, 5)).dtype == torch.bfloat16
    assert layer.double()(torch.randn(2, 5).double()).dtype == torch.double
