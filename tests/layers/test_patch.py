"""Patches: their order, and the way back."""

import pytest
import torch

from pymim.layers.patch import PatchEmbed, patchify, unpatchify


def test_orders_within_a_patch():
    image = torch.arange(48.0).view(1, 3, 4, 4)
    assert patchify(image, (2, 2), last=True)[0, 0].tolist() == [
        0,
        16,
        32,
        1,
        17,
        33,
        4,
        20,
        36,
        5,
        21,
        37,
    ]
    assert patchify(image, (2, 2))[0, 0].tolist() == [0, 1, 4, 5, 16, 17, 20, 21, 32, 33, 36, 37]


@pytest.mark.parametrize("channels", [1, 3, 4, 12])
@pytest.mark.parametrize(
    ("sides", "patch"), [((4, 6), (2, 3)), ((4, 4, 8), (2, 2, 4)), ((5, 5), (5, 1))]
)
def test_unpatchify_inverts_patchify(channels, sides, patch):
    view = torch.randn(2, channels, *sides)
    grid = tuple(s // p for s, p in zip(sides, patch, strict=True))
    assert torch.equal(unpatchify(patchify(view, patch, last=True), grid, patch), view)


@pytest.mark.parametrize(("sides", "patch"), [((4, 6), (2, 3)), ((4, 4, 8), (2, 2, 4))])
def test_embedding_equals_the_convolution(sides, patch):
    embed, view = PatchEmbed(patch, 3, 5), torch.randn(2, 3, *sides)
    whole = embed.proj(view).flatten(2).transpose(1, 2)
    torch.testing.assert_close(embed(view), whole)
    ids = torch.tensor([[2, 0], [1, 3]])
    torch.testing.assert_close(embed(view, ids), torch.stack([whole[0, ids[0]], whole[1, ids[1]]]))


def test_uneven_views_are_refused():
    with pytest.raises(
        ValueError, match=r"patches: view: expected sides divisible by \(2, 3\), got \(4, 5\)"
    ):
        patchify(torch.randn(1, 3, 4, 5), (2, 3))
    with pytest.raises(ValueError, match="patches: view: expected sides divisible by"):
        patchify(torch.randn(1, 3, 2, 4, 6), (2, 3))
