"""A training step of a masked autoencoder, forward, backward and AdamW, against transformers'
ViTMAEForPreTraining.

Both start from the same weights, and the first step uses the same masks, so its loss is the answer
that must agree.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pymim.bench import Case, Thunk, Work

if TYPE_CHECKING:
    import torch

    from pymim.method import Method


class Size(NamedTuple):
    """An encoder, its predictor, and the size of a batch."""

    batch: int
    image: int
    patch: int
    encoder: tuple[int, int, int]  # dim, depth, heads
    predictor: tuple[int, int, int]

    def __str__(self) -> str:
        (dim, depth, _), (narrow, shallow, _) = self.encoder, self.predictor
        return (
            f"{dim} x {depth} and {narrow} x {shallow}, {self.image}/{self.patch}, B {self.batch}"
        )


SMALL = Size(256, 32, 4, (192, 12, 3), (96, 2, 3))
LARGE = Size(16, 224, 16, (384, 12, 6), (256, 4, 8))


def cases() -> list[Case]:
    bars = {
        ("float32", SMALL): 1.1,
        ("float32", LARGE): 1.0,
        ("bfloat16", SMALL): 1.5,
        ("bfloat16", LARGE): 1.3,
    }
    return [_case(size, kind, bar) for (kind, size), bar in bars.items()]


def _case(size: Size, kind: Any, bar: float) -> Case:
    return Case(
        op=f"training step, {kind}",
        shape=str(size),
        inputs=partial(_images, size),
        contenders={
            "pymim": partial(_ours, size, kind),
            "transformers": partial(_theirs, size, kind),
        },
        agree=partial(np.testing.assert_allclose, rtol=1e-5 if kind == "float32" else 1e-2),
        bars={"transformers": bar},
        work=Work(_operations(size), kind),
        items=(size.batch, "images"),
        between=False,
        rounds=5,
    )


def _images(size: Size) -> Any:
    shape = (size.batch, 3, size.image, size.image)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _operations(size: Size) -> float:
    """Count floating-point operations of the products: three times those of the forward pass."""
    patches = (size.image // size.patch) ** 2
    pixels = 3 * size.patch**2

    def blocks(tokens: int, dim: int, depth: int) -> float:
        return depth * (24 * tokens * dim**2 + 4 * tokens**2 * dim)

    dim, narrow = size.encoder[0], size.predictor[0]
    forward = blocks(patches // 4 + 1, *size.encoder[:2]) + blocks(patches + 1, *size.predictor[:2])
    forward += (
        2 * patches // 4 * (pixels * dim + dim * narrow) + 2 * patches * 3 // 4 * narrow * pixels
    )
    return 3.0 * size.batch * forward


def build(size: Size) -> Method:
    """Build pymim's model, from a fixed seed."""
    import torch

    from pymim import encoders, losses, masks, predictors, targets
    from pymim.method import Method
    from pymim.objective import Objective

    torch.manual_seed(0)
    encoder = encoders.ViT(*size.encoder, image=size.image, patch=size.patch)
    dim, depth, heads = size.predictor
    predictor = partial(predictors.Transformer, dim=dim, depth=depth, heads=heads)
    return Method(
        encoder, [Objective(targets.Pixels, predictor, losses.MSE())], masks.Uniform(0.75)
    )


def build_peer(size: Size, method: Method) -> torch.nn.Module:
    """Build transformers' model with pymim's weights."""
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    config = ViTMAEConfig(
        **dict(
            zip(
                ("hidden_size", "num_hidden_layers", "num_attention_heads"),
                size.encoder,
                strict=True,
            )
        ),
        intermediate_size=4 * size.encoder[0],
        decoder_hidden_size=size.predictor[0],
        decoder_num_hidden_layers=size.predictor[1],
        decoder_num_attention_heads=size.predictor[2],
        decoder_intermediate_size=4 * size.predictor[0],
        image_size=size.image,
        patch_size=size.patch,
        layer_norm_eps=1e-6,
        norm_pix_loss=True,
    )
    peer: torch.nn.Module = ViTMAEForPreTraining(config)
    peer.load_state_dict(_in_their_names(method))
    return peer


def _in_their_names(method: Method) -> dict[str, Any]:
    encoder, predictor = method.encoder.state_dict(), method.objectives[0].predictor.state_dict()
    out = {
        "vit.embeddings.cls_token": encoder.pop("cls_token"),
        "vit.embeddings.position_embeddings": encoder.pop("pos_embed"),
        "decoder.decoder_pos_embed": predictor.pop("pos_embed"),
        "decoder.mask_token": predictor.pop("mask_token"),
    }
    for state, prefix, stem in ((encoder, "vit.", ""), (predictor, "decoder.", "decoder_")):
        for name, value in state.items():
            out |= _one_in_their_names(name, value, prefix, stem)
    return out


def _one_in_their_names(name: str, value: Any, prefix: str, stem: str) -> dict[str, Any]:
    if ".attn.qkv." in name:
        block, kind = name.split(".attn.qkv.")
        block = block.replace("blocks", f"{stem}layers")
        return {
            f"{prefix}{block}.attention.{k}_proj.{kind}": v
            for k, v in zip("qkv", value.chunk(3), strict=True)
        }
    renamed = {
        "blocks.": f"{stem}layers.",
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.o_proj",
        "patch_embed.proj": "embeddings.patch_embeddings.projection",
    }
    if name.startswith(("norm.", "embed.", "head.")):
        part, kind = name.split(".")
        names = {
            "norm": f"{stem}norm" if stem else "layernorm",
            "embed": "decoder_embed",
            "head": "decoder_pred",
        }
        return {f"{prefix}{names[part]}.{kind}": value}
    for ours, theirs in renamed.items():
        name = name.replace(ours, theirs)
    return {prefix + name: value}


def _ours(size: Size, kind: str, images: Any) -> Thunk:
    import torch

    from pymim.contracts import Batch

    method, index = build(size), torch.arange(size.batch)
    batch = Batch([torch.from_numpy(images)], index, torch.full((size.batch,), -1))
    steps = iter(range(10**9))
    return _stepper(method, lambda: method(batch, next(steps)).loss, kind)


def _theirs(size: Size, kind: str, images: Any) -> Thunk:
    import torch

    method, view = build(size), torch.from_numpy(images)
    peer, noises = build_peer(size, method), iter([first_noise(size, method)])
    del method
    return _stepper(peer, lambda: peer(view, noise=next(noises, None)).loss, kind)


def first_noise(size: Size, method: Method) -> torch.Tensor:
    """Give noise whose order makes transformers hide what pymim's first step hides."""
    import torch

    from pymim.contracts import Draw, Mask

    patches, policy = (size.image // size.patch) ** 2, method.mask
    assert policy is not None
    mask = policy(torch.arange(size.batch), (size.image // size.patch,) * 2, Draw(0, 0))
    assert isinstance(mask, Mask)
    return mask.boolean(patches) + torch.arange(patches) / patches / 2


def _stepper(model: torch.nn.Module, loss_of: Any, kind: str) -> Thunk:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)

    def step() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=kind == "bfloat16"):
            loss: torch.Tensor = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step
