"""torch's SGD behind a scaling of each tensor's gradient, which includes the weight decay."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor


class ScaledSGD(torch.optim.SGD):
    """Scale the gradients of each parameter group, then step as torch's SGD with momentum."""

    def __init__(self, parts: list[dict[str, Any]], trust: float) -> None:
        super().__init__(parts, lr=0.0)
        self.trust = trust

    @abstractmethod
    def scale(self, parameters: list[Tensor], gradients: list[Tensor], decay: float) -> None:
        """Add the weight decay to these gradients and scale them, in place."""

    def step(self, closure: Any = None) -> Any:
        decays = [part["weight_decay"] for part in self.param_groups]
        for part, decay in zip(self.param_groups, decays, strict=True):
            reached = [parameter for parameter in part["params"] if parameter.grad is not None]
            if reached:
                with torch.no_grad():
                    self.scale(reached, [parameter.grad for parameter in reached], decay)
            part["weight_decay"] = 0.0  # the gradient includes it already
        result = super().step(closure)
        for part, decay in zip(self.param_groups, decays, strict=True):
            part["weight_decay"] = decay
        return result
