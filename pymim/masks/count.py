"""Turn a ratio into a count, by each rounding that papers use.

One ratio means different counts in different code bases: 0.9 of 196 patches keeps 19 in MAE and 20
in VideoMAE. Here roundings have names, and use binary floating point as the releases do, errors
included: keep-floor of 100 patches at 0.9 is 9, since 100 * (1 - 0.9) is 9.999999999999998.
"""

from __future__ import annotations

import math
from typing import Literal

from pymim.errors import ConfigError

Rounding = Literal["keep-floor", "mask-floor", "ceil", "round"]


def some_visible(of: object, patches: int, ratio: float, rounding: Rounding) -> int:
    """Give `visible_count`, and refuse 0.

    Raises:
        ConfigError: all patches would be hidden; names the policy `of`.
    """
    found = visible_count(patches, ratio, rounding)
    if patches and not found:
        raise ConfigError(
            f"{type(of).__name__}: ratio: expected one that leaves some of {patches} patches "
            f"visible, got {ratio:g}, which hides all; lower it"
        )
    return found


def visible_count(patches: int, ratio: float, rounding: Rounding = "keep-floor") -> int:
    """Give how many of `patches` stay visible when `ratio` of them is hidden.

    - "keep-floor": int(patches * (1 - ratio)) visible (MAE, He et al. 2022; HPM; ConvNeXt V2, Woo
      et al. 2023).
    - "mask-floor": int(ratio * patches) hidden (VideoMAE, Tong et al. 2022; SIGMA).
    - "ceil": ceil(patches * ratio) hidden (SimMIM, Xie et al. 2022).
    - "round": round(patches * (1 - ratio)) visible, halves to even (SparK, Tian et al. 2023).

    Raises:
        ValueError: a ratio outside [0, 1], a negative count, or an unknown rounding.
    """
    if not 0 <= ratio <= 1:
        raise ValueError(
            f"visible_count: ratio: expected 0 to 1, got {ratio}; give the share that is hidden"
        )
    if patches < 0:
        raise ValueError(
            f"visible_count: patches: expected 0 or more, got {patches}; give those of the grid"
        )
    if rounding == "keep-floor":
        return int(patches * (1 - ratio))
    if rounding == "mask-floor":
        return patches - int(ratio * patches)
    if rounding == "ceil":
        return patches - min(math.ceil(patches * ratio), patches)
    if rounding == "round":
        return round(patches * (1 - ratio))
    known = "'keep-floor', 'mask-floor', 'ceil' or 'round'"
    raise ValueError(f"visible_count: rounding: expected {known}, got {rounding!r}; choose one")
