"""Pictures of pixels in any range are neither white nor black."""

import pytest
import torch

from pymim.draw.pictures import ranged
from pymim.views import Normalise

PIXELS = torch.linspace(0, 1, 48).view(1, 3, 4, 4)


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 255.0), (-1024.0, 3071.0), (0.0, 1.0), (0.0, 65535.0)]
)
@pytest.mark.parametrize("known", [True, False])
def test_pixels_of_any_range_are_drawn_from_black_to_white(low, high, known, capsys):
    view = PIXELS * (high - low) + low
    normalise = Normalise(((100.0,), (7.0,), (low, high)) if known else ((100.0,), (7.0,)))
    found = ranged(normalise, normalise(view.clone()))
    torch.testing.assert_close(found.undo(normalise(view.clone())), PIXELS, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.to_unit(view), PIXELS, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.from_unit(PIXELS), view, atol=0.1, rtol=0)
    said = "the range of the pixels is unknown" in capsys.readouterr().err
    assert said == (not known and high > 1)
    assert normalise.range == ((low, high) if known else None)
