"""Tables of positions, number by number."""

import pytest
import torch

from pymim.encoders import ViT
from pymim.layers import rotary
from pymim.layers.positions import interleaved, resample, sincos


def test_sincos_has_columns_first_and_sines_before_cosines():
    table = sincos((3, 5), 8)
    assert table[0].tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    assert torch.equal(table[0, 4:], table[1, 4:])  # same row
    assert not torch.equal(table[0, :4], table[1, :4])
    column, row = torch.tensor(3.0), torch.tensor(2.0)  # patch (2, 3)
    frequencies = 10000.0 ** (-torch.arange(2) / 2)
    turns = [column * frequencies, row * frequencies]
    expected = torch.cat([part for turn in turns for part in (turn.sin(), turn.cos())])
    torch.testing.assert_close(table[13], expected)


def test_sincos_of_a_clip_has_three_shares():
    table = sincos((2, 3, 4), 12)
    assert table.shape == (24, 12)
    assert torch.equal(table[0, 4:], table[1, 4:])  # next column
    assert torch.equal(table[0, 8:], table[4, 8:])  # next row
    assert torch.equal(table[0, :8], table[12, :8])  # next frame


def test_interleaved_counts_on_in_raster_order():
    table = interleaved((8, 14, 14), 768)
    assert table.shape == (1568, 768)
    assert table[0, :4].tolist() == [0, 1, 0, 1]
    expected = torch.tensor([0.841471, 0.540302, 0.828431, 0.560091])
    torch.testing.assert_close(table[1, :4], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new"), [((4, 6), (7, 3)), ((2, 4, 4), (4, 6, 3)), ((14, 14), (24, 24))]
)
def test_resample_keeps_constants_and_shapes(old, new):
    rows = torch.ones(1, torch.tensor(old).prod(), 8)
    out = resample(rows, old, new)
    assert out.shape == (1, torch.tensor(new).prod(), 8)
    torch.testing.assert_close(out, torch.ones_like(out))
    assert resample(rows, old, old) is rows


def test_resample_is_bicubic_and_not_a_new_table():
    table = sincos((14, 14), 64)[None]
    out = resample(table, (14, 14), (24, 24))
    expected = torch.nn.functional.interpolate(
        table.view(1, 14, 14, 64).permute(0, 3, 1, 2), (24, 24), mode="bicubic", align_corners=False
    )
    torch.testing.assert_close(out, expected.permute(0, 2, 3, 1).reshape(1, -1, 64))
    assert torch.cosine_similarity(out, sincos((24, 24), 64)[None], dim=-1).mean() < 0.95


def as_released(table, side, cells, **how):
    """DINO's and DINOv2's own steps, for a square table of positions without the class token's."""
    image = table.view(1, side, side, -1).permute(0, 3, 1, 2)
    image = torch.nn.functional.interpolate(image, mode="bicubic", align_corners=False, **how)
    assert image.shape[-2:] == cells
    return image.permute(0, 2, 3, 1).reshape(1, cells[0] * cells[1], -1)


@pytest.mark.parametrize("cells", [(6, 6), (16, 16), (37, 37), (6, 10), (5, 14)])
def test_resample_by_a_factor_with_an_offset(cells):
    table = torch.randn(1, 196, 8)
    factors = tuple((count + 0.1) / 14 for count in cells)
    expected = as_released(table, 14, cells, scale_factor=factors)
    assert torch.equal(resample(table, (14, 14), cells, "offset"), expected)
    assert (resample(table, (14, 14), cells) - expected).abs().max() > 0.01


def test_an_offset_changes_nothing_on_the_same_grid():
    table = torch.randn(1, 16, 8)
    assert resample(table, (4, 4), (4, 4), "offset") is table


def test_resample_with_antialiasing_averages_where_it_shrinks():
    table = torch.randn(1, 37 * 37, 8)
    expected = as_released(table, 37, (16, 16), size=(16, 16), antialias=True)
    assert torch.equal(resample(table, (37, 37), (16, 16), "antialias"), expected)
    assert expected.std() < 0.6 * resample(table, (37, 37), (16, 16)).std()


@pytest.mark.parametrize("how", ["offset", "antialias"])
def test_a_vit_resamples_as_it_is_told(how):
    torch.manual_seed(0)
    vit = ViT(8, 1, 2, image=16, patch=4, positions="learned", resampling=how)
    prefix, rows = vit.positions((3, 6))
    assert torch.equal(prefix, vit.pos_embed[:, :1])
    assert torch.equal(rows, resample(vit.pos_embed[:, 1:], (4, 4), (3, 6), how))
    assert vit(torch.randn(2, 3, 12, 24)).tokens.shape == (2, 18, 8)


def test_a_resampling_without_a_table_or_a_name_is_refused():
    with pytest.raises(
        ValueError, match="resampling: expected one of size, offset, antialias, got 'scale'; name"
    ):
        ViT(8, 1, 2, image=16, patch=4, resampling="scale")
    with pytest.raises(
        ValueError, match="resampling: expected 'size' for rotary positions, which have no table"
    ):
        ViT(8, 1, 2, image=16, patch=4, positions="rotary", resampling="offset")


@pytest.mark.parametrize(("axes", "width"), [(2, 16), (3, 64), (2, 64)])
def test_rotary_is_a_rotation_that_sees_differences_only(axes, width):
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 1, 5, width)
    places, shift = torch.rand(5, axes), torch.rand(axes)

    def turned(at):
        by = rotary.rotation(rotary.angles(at, width))
        return rotary.rotate(query, by), rotary.rotate(key, by)

    near, far = turned(places), turned(places + shift)
    torch.testing.assert_close(near[0].norm(dim=-1), query.norm(dim=-1))
    torch.testing.assert_close(near[0] @ near[1].mT, far[0] @ far[1].mT, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(near[0], far[0])


def test_rotary_coordinates_are_float32_and_reach_the_border():
    with torch.autocast("cpu", torch.bfloat16):
        places = rotary.coordinates((3, 4))
        assert rotary.angles(places, 16).dtype == torch.float32
    assert places[0].tolist() == [0, 0]
    assert places[-1].tolist() == [1, 1]
    assert places[1].tolist() == pytest.approx([0, 1 / 3])


def test_prefix_does_not_turn():
    by = rotary.rotation(rotary.angles(rotary.coordinates((2, 2)), 8), prefix=3)
    heads = torch.randn(1, 2, 7, 8)
    assert torch.equal(rotary.rotate(heads, by)[:, :, :3], heads[:, :, :3])


def coupled(heads, places):
    return rotary.rotate(
        heads, rotary.rotation(rotary.angles(places, heads.shape[-1], "rotary-coupled"))
    )


def test_coupled_form_is_the_released_formula():
    torch.manual_seed(0)
    heads, places = torch.randn(1, 1, 5, 8), torch.rand(5, 2)
    frequencies = torch.zeros(
        2, 8
    )  # two frequencies an axis, each twice; rows on the first half of the channels
    frequencies[0, :4] = frequencies[1, 4:] = 2 * torch.pi * torch.tensor([7, 7e-4, 7, 7e-4])
    turn = places @ frequencies
    half = torch.cat([-heads[..., 4:], heads[..., :4]], -1)
    torch.testing.assert_close(coupled(heads, places), heads * turn.cos() + half * turn.sin())


def test_coupled_form_is_no_rotation_unless_coordinates_are_equal():
    torch.manual_seed(0)
    heads, places = torch.randn(1, 1, 2000, 64), torch.rand(2000, 2)
    ratio = coupled(heads, places).norm(dim=-1) / heads.norm(dim=-1)
    assert ratio.mean() == pytest.approx(0.998, abs=0.003)
    assert ratio.std() == pytest.approx(0.039, abs=0.006)
    equal = places[:, :1].expand(-1, 2)
    torch.testing.assert_close(
        coupled(heads, equal).norm(dim=-1), heads.norm(dim=-1), rtol=1e-6, atol=0
    )
    near = coupled(heads, places) @ coupled(heads, places).mT
    far = coupled(heads, places + 0.3) @ coupled(heads, places + 0.3).mT
    assert (near - far).abs().max() > 5


def test_both_rotary_forms_differ():
    places = torch.tensor([[0.2, 0.7]])
    assert not torch.allclose(
        rotary.angles(places, 16), rotary.angles(places, 16, "rotary-coupled")
    )
    with pytest.raises(
        ValueError,
        match="rotary-coupled: expected 2 axes, and a width of heads divisible by 4, got 3 and 16",
    ):
        rotary.angles(torch.rand(4, 3), 16, "rotary-coupled")


def test_registers_go_round_the_box_of_the_visible_patches():
    square = rotary.border(8, rotary.coordinates((3, 3)))
    assert square.tolist() == [
        [0, 0],
        [0.5, 0],
        [1, 0],
        [1, 0.5],
        [1, 1],
        [0.5, 1],
        [0, 1],
        [0, 0.5],
    ]
    corner = torch.tensor(
        [[[0.0, 0.0], [0.2, 0.1]], [[0.8, 0.4], [0.8, 0.9]]]
    )  # the second is a single row
    placed = rotary.border(8, corner)
    for image, box in enumerate(corner):
        assert (placed[image] >= box.amin(0)).all()
        assert (placed[image] <= box.amax(0)).all()
    assert (placed[1, :, 0] == torch.tensor(0.8)).all()
    assert torch.equal(rotary.border(8, corner[0, :0]), square)
    with pytest.raises(ValueError, match=r"Rotary: placed: expected a multiple of 4, .* got 6"):
        rotary.Rotary(8, placed=6)
    with pytest.raises(ValueError, match="border: places: expected the 2 axes of an image, got 3"):
        rotary.border(4, torch.rand(5, 3))
