"""The initialisation that MAE-family models start from."""

from torch import nn


def init_weights(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases on every linear map, and on a patch convolution seen as the matrix
    [D, C p p] that it is (torch's own bound for a convolution is another)."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.Conv3d):
            nn.init.xavier_uniform_(part.weight.data.flatten(1))
            if part.bias is not None:
                nn.init.zeros_(part.bias)
