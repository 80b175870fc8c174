"""The vision transformer (Dosovitskiy et al. 2021).

It sees visible patches only (MAE, He et al. 2022); every patch, with a learned token in place of
hidden ones (BEiT, Bao et al. 2022; SimMIM, Xie et al. 2022) or added to them (A2MIM, Li et al.
2023); or random projections of all patches (ROPIM, Haghighat et al. 2024).

Parameters have timm's names, so its checkpoints load without changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import finite, given, positive, share, whole
from pymim.contracts import Encoder, Features, Grid, Mask
from pymim.layers.block import TransformerBlock, make_norm
from pymim.layers.gather import rows
from pymim.layers.init import check_init, init_weights
from pymim.layers.patch import PatchEmbed, patch_grid, sides
from pymim.layers.positions import Positioned

if TYPE_CHECKING:
    from jaxtyping import Float


class ViT(Positioned, Encoder):
    """Embed patches, add positions, drop or replace hidden ones, and run `depth` pre-norm blocks.

    Gives tokens [B V D] (V = N if hidden patches are kept) and a prefix of class token and
    registers [B R D].

    Args:
        dim: width D of the tokens.
        depth: number of blocks.
        heads: attention heads per block; divides `dim`.
        image: pixels of a view per axis, (rows, columns) or (frames, rows, columns), or one number
            for a square. Views of other sizes work too: positions are resampled.
        patch: pixels of a patch per axis, or one number for square patches of an image.
        channels: channels of a view.
        mlp_ratio: width of the MLP over `dim`.
        positions: "sincos", "interleaved", "learned", "separable", "rotary", "rotary-coupled" or
            "none".
        class_token: prepend a class token.
        registers: number of register tokens to prepend.
        place_registers: rotate the registers too, at positions around the border of the visible
            patches; for rotary positions.
        hidden: what hidden patches become: "drop", no token; "token", a learned token; "add", a
            learned token added to their own; or "mix", the result of `mask.extra.project` on all
            tokens [B N D]. Positions are added afterwards.
        pool: what `Features.pooled` is: the "class" token or the "mean" of the patch tokens, after
            the final norm; or "mean-norm", the norm of the mean, without a final norm (MAE's
            fine-tuning).
        norm: "layer" or "rms".
        norm_affine: give the final norm weights.
        bias: give the linear maps of the blocks biases.
        layer_scale: initial gain of each residual branch; None: no gains.
        drop_path: rate of stochastic depth.
        drop: "ramp", rates rise from 0 in the first block to `drop_path` in the last, and each
            image draws for itself; or "subset", the same rate in every block, which then runs on a
            random part of the batch.
        taps: blocks to keep the tokens of, from 1.
        resampling: how positions are resampled to another grid: "size", "offset" or "antialias";
            see `layers.positions.resample`.
        qkv_init: initial bound of queries, keys and values: "joint", or "apart" (MAE-ST, CAPI); see
            `layers.init`.
        patch_init: initial patch convolution: "xavier", or "torch", torch's default: weights and
            biases within 1 / sqrt(values of a patch) (VideoMAE, Tong et al. 2022).

    Raises:
        ValueError: a choice or a size is out of range; when called: a view with other channels, or
            with sides that the patch does not divide.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        image: int | tuple[int, ...] = 224,
        patch: int | tuple[int, ...] = 16,
        channels: int = 3,
        mlp_ratio: float = 4.0,
        positions: str = "sincos",
        class_token: bool = True,
        registers: int = 0,
        place_registers: bool = False,
        hidden: str = "drop",
        pool: str = "class",
        norm: str = "layer",
        norm_affine: bool = True,
        bias: bool = True,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
        drop: str = "ramp",
        taps: Sequence[int] = (),
        resampling: str = "size",
        qkv_init: str = "joint",
        patch_init: str = "xavier",
    ):
        super().__init__()
        whole(
            self, 1, dim=dim, depth=depth, heads=heads, image=image, patch=patch, channels=channels
        )
        whole(self, 1, depth, taps=taps)
        whole(self, 0, registers=registers)
        positive(self, mlp_ratio=mlp_ratio)
        finite(self, 0, **given(layer_scale=layer_scale))
        share(self, "from 0 to below 1", drop_path=drop_path)
        check_init(self, qkv_init=qkv_init, patch_init=patch_init)
        _check_choice("hidden", hidden, ("drop", "token", "add", "mix"))
        _check_choice("drop", drop, ("ramp", "subset"))
        _check_choice(
            "pool", pool, ("class", "mean", "mean-norm") if class_token else ("mean", "mean-norm")
        )
        axes = max(len(v) for v in (image, patch, (0, 0)) if isinstance(v, tuple))
        self.width, self.channels = dim, channels
        self.hidden, self.pool = hidden, pool
        self.taps = tuple(taps)
        self.norm_affine = norm_affine
        self.patch, self.heads = sides(patch, axes), heads
        self.placed = registers * place_registers
        base = patch_grid((1, channels, *sides(image, axes)), self.patch)
        self.patch_embed = PatchEmbed(self.patch, channels, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if class_token else None
        self.reg_token = nn.Parameter(torch.zeros(1, registers, dim)) if registers else None
        self.mask_token = (
            nn.Parameter(torch.zeros(1, 1, dim)) if hidden in ("token", "add") else None
        )
        prefix = int(class_token) + registers
        self.make_positions(positions, base, dim, prefix, heads, self.placed, resampling)
        subset = drop == "subset"
        rates = [
            drop_path * (1 if subset else number / max(1, depth - 1)) for number in range(depth)
        ]
        self.blocks = nn.ModuleList(
            TransformerBlock(dim, heads, mlp_ratio, bias, norm, layer_scale, rate, subset)
            for rate in rates
        )
        self.norm = nn.Identity() if pool == "mean-norm" else make_norm(norm, dim, norm_affine)
        self.fc_norm = make_norm(norm, dim, norm_affine) if pool == "mean-norm" else nn.Identity()
        init_weights(self, qkv_init, [self.patch_embed.proj] if patch_init == "torch" else ())
        for token in (*self._prefix_tokens(), self.mask_token):
            if token is not None:
                nn.init.normal_(token, std=0.02)

    @property
    def traits(self) -> dict[str, str]:
        rotary = self.rotary.form if self.rotary else "none"
        return {"heads": str(self.heads), "rotary": rotary, "placed registers": str(self.placed)}

    def forward(self, view: Float[Tensor, "B C *S"], mask: Mask | None = None) -> Features:
        if view.shape[1] != self.channels:
            got, channels = view.shape[1], self.channels
            raise ValueError(
                f"ViT: view: expected {channels} channels, got {got}; set ViT.channels = {got}"
            )
        grid = self.grid(view.shape)
        ids = mask.visible if mask is not None and self.hidden == "drop" else None
        tokens = self._embed(view, grid, ids, mask)
        turn = self.rotary and self.rotary.tokens(grid, ids, view.device)
        taps = {}
        for number, block in enumerate(self.blocks, 1):
            tokens = block(tokens, turn)
            if number in self.taps:
                taps[number] = tokens
        return self._features(self.norm(tokens), taps, ids)

    def grid(self, shape: Sequence[int]) -> Grid:
        """Give the patch grid of a view of this shape, [B C *sides]."""
        return patch_grid(tuple(shape), self.patch)

    def _embed(self, view: Tensor, grid: Grid, ids: Tensor | None, mask: Mask | None) -> Tensor:
        tokens = self._hide(self.patch_embed(view, ids), mask)
        prefix = torch.cat([view.new_empty(1, 0, self.width), *self._prefix_tokens()], 1)
        if (table := self.positions(grid)) is not None:
            prefix = prefix + table[0]
            tokens = tokens + rows(table[1], ids)
        return torch.cat([prefix.expand(len(tokens), -1, -1), tokens], 1)

    def _hide(self, tokens: Tensor, mask: Mask | None) -> Tensor:
        """Replace the tokens of hidden patches as `hidden` says."""
        if mask is None or self.hidden == "drop":
            return tokens
        if self.mask_token is None:
            projected: Tensor = mask.extra.project(tokens)
            return projected
        hidden, token = mask.boolean(tokens.shape[1])[..., None], self.mask_token.to(tokens.dtype)
        return (
            tokens + hidden * token if self.hidden == "add" else torch.where(hidden, token, tokens)
        )

    def _prefix_tokens(self) -> list[Tensor]:
        return [token for token in (self.cls_token, self.reg_token) if token is not None]

    def _features(self, tokens: Tensor, taps: dict[int, Tensor], ids: Tensor | None) -> Features:
        prefix, tokens = tokens[:, : self.prefix], tokens[:, self.prefix :]
        pooled = prefix[:, 0] if self.pool == "class" else self.fc_norm(tokens.mean(1))
        return Features(tokens, prefix, taps, pooled, ids=ids)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(
            f"ViT: {name}: expected one of {', '.join(choices)}, got {value!r}; name one of them"
        )
