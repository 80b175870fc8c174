"""The data path: random resized crops of pixels and of JPEGs, against a loop of Pillow."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import numpy as np

from pymim.bench import Case, Thunk

SMALL, LARGE = (0.2, 1.0), (3 / 4, 4 / 3)  # area and aspect of a crop


def _pixels(b: int, size: int) -> Any:
    coarse = np.random.default_rng(0).integers(64, 192, (b, size // 4, size // 4, 3), np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def _files(b: int) -> list[bytes]:
    """Give JPEGs of 500 x 375 as bytes."""
    from PIL import Image

    files = []
    for pixels in _pixels(b, 64):
        file = io.BytesIO()
        Image.fromarray(pixels).resize((500, 375), Image.Resampling.BICUBIC).save(file, "jpeg")
        files.append(file.getvalue())
    return files


def _draw(b: int) -> tuple[Any, Any]:
    import torch

    from pymim.contracts import Draw

    return torch.arange(b), Draw(0, 0, 0)


def _ours(size: int, prepare: Any, inputs: Any) -> Thunk:
    from pymim.views import Pretrain

    view, named = Pretrain(size, statistics="none"), _draw(len(inputs))
    images = prepare(inputs)
    return lambda: view(images() if callable(images) else images, *named)


def _decoded(files: list[bytes]) -> Any:
    from pymim.data.decode import decode

    return lambda: [decode(file, 3) for file in files]


def _stacked(pixels: Any) -> Any:
    import torch

    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def _pillow(size: int, inputs: Any) -> Thunk:
    """Crop the same boxes, one picture after another."""
    import torch
    from PIL import Image

    from pymim import philox
    from pymim.views.crop import random_boxes
    from pymim.views.view import CHANGE, named

    name = named(*_draw(len(inputs)))
    mirrored = philox.uniforms(name, 1, first=CHANGE - 1)[:, 0, 0] < 0.5

    def one(given: Any, number: int, box: list[int]) -> Any:
        encoded = isinstance(given, bytes)
        image = (
            Image.open(io.BytesIO(given), formats=["JPEG"]) if encoded else Image.fromarray(given)
        )
        top, left, height, width = box
        edges = (left, top, left + width, top + height)
        image = image.crop(edges).resize((size, size), Image.Resampling.BICUBIC)
        if mirrored[number]:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div_(255)

    def run() -> Any:
        shape = torch.tensor([_shape(given) for given in inputs])
        boxes = random_boxes(shape, name, SMALL, LARGE).tolist()
        return torch.stack(
            [one(given, number, boxes[number]) for number, given in enumerate(inputs)]
        )

    return run


def _shape(given: Any) -> tuple[int, int]:
    return (375, 500) if isinstance(given, bytes) else given.shape[:2]


def _same(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, atol=5 / 255)


def _case(
    op: str, shape: str, b: int, size: int, inputs: Any, prepare: Any, bars: dict[str, float]
) -> Case:
    return Case(
        op=op,
        shape=shape,
        inputs=inputs,
        contenders={"pymim": partial(_ours, size, prepare), "Pillow": partial(_pillow, size)},
        agree=_same,
        bars=bars,
        items=(b, "images"),
        between=False,
    )


def cases() -> list[Case]:
    return [
        _case(
            "random resized crop",
            "B 256, 32 x 32",
            256,
            32,
            partial(_pixels, 256, 32),
            _stacked,
            {"Pillow": 1.0},
        ),
        _case("JPEG to crop", "B 16, 500 x 375 to 224", 16, 224, partial(_files, 16), _decoded, {}),
    ]
