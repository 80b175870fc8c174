"""Check which parts fit together; refuse what does not when a method is built, with the reason."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from pymim.contracts import HOOKS, Draw, Encoder, Mask, Policy
from pymim.errors import ConfigError

if TYPE_CHECKING:
    from pymim.method import Method
    from pymim.objective import Objective

READS = {"predictor": ("mask", "tokens", "pooled"), "target": ("pixels", "features", "prediction")}


def check_encoder(encoder: Encoder) -> None:
    """Refuse an encoder without the attributes that targets and predictors read.

    Raises: ValueError.
    """
    for name in (
        "width",
        "channels",
        "patch",
        "base",
        "prefix",
        "embedding",
        "hidden",
        "dense",
        "grid",
    ):
        if not hasattr(encoder, name):
            kind = type(encoder).__name__
            raise ValueError(
                f"Method: encoder: expected {kind}.{name}, got none; see pymim.contracts.Encoder"
            )


def check(method: Method) -> None:
    """Check every slot of a method.

    Raises: ValueError, naming the part that does not fit and its replacement.
    """
    if method.mask is not None:
        _check_mask(method.mask, method.encoder)
    if method.together:
        _check_together(method)
    for objective in method.objectives:
        _check_members(objective)
        _check_fit(method.encoder, objective, method.mask)
    if method.ranker is not None:
        _check_optional(method.ranker, "ranker", ("loss",))
    for part in method.parts():
        _check_optional(part, "hook", HOOKS)
    if method.mask is not None:
        _try_mask(method)


def masks(drawn: Any, count: int) -> list[Mask | None]:
    """Return a policy's result as `count` masks of a view; None hides nothing.

    Raises: ConfigError for another number or type.
    """
    if drawn is None:
        return [None] * count
    found: list[Mask | None] = [drawn] if isinstance(drawn, Mask) else list(drawn)
    if len(found) != count or not all(mask is None or isinstance(mask, Mask) for mask in found):
        got = ", ".join(type(mask).__name__ for mask in found)
        raise ConfigError(
            f"Method: mask: expected {count} contracts.Mask, as the policy's masks_per_view is "
            f"{count}, got {got}; return as many, each a Mask or None"
        )
    return found


def _check_mask(mask: Policy, encoder: Encoder) -> None:
    kind, eyes = type(mask).__name__, type(encoder).__name__
    if encoder.hidden == "none":
        raise ValueError(
            f"Method: mask: expected None, as {eyes} sees every patch, got {kind}; "
            f"leave the mask out, set {eyes}.hidden, or encode with a ViT"
        )
    if not _takes(mask, 4):
        raise ValueError(
            f"Method: mask: expected {kind}(index, grid, draw, difficulty), got other arguments; "
            "see pymim.contracts.Policy"
        )
    if getattr(mask, "ragged", False) and (not encoder.dense or encoder.hidden == "sparse"):
        how, other = ("computes without", "add") if encoder.dense else ("drops", "token")
        raise ValueError(
            f"Method: mask: expected the same number of hidden patches in each image, as {eyes} "
            f"{how} them, got {kind}, whose number differs by image; "
            f"set {eyes}.hidden = '{other}', or use masks.Block"
        )


def _check_together(method: Method) -> None:
    kind, views = (
        type(method.encoder).__name__,
        {source.view for o in method.objectives for source in o.encoded()},
    )
    if method.mask is not None:
        raise ValueError(
            "Method: together: expected False with a mask, which drops different patches of each "
            f"view, got True with {type(method.mask).__name__}; leave out one of the two"
        )
    if len(views) < 2:
        raise ValueError(
            f"Method: together: expected several encoded views, got only view {min(views)}; leave "
            "together out, or name more views as an objective's source"
        )
    if not hasattr(method.encoder, "together"):
        raise ValueError(
            f"Method: encoder: expected {kind}.together, got none; inherit pymim.contracts.Encoder"
        )


def _check_members(objective: Objective) -> None:
    for slot, part, count in (
        ("target", objective.target, 1),
        ("predictor", objective.predictor, 3),
    ):
        kind, reads = (
            type(part).__name__,
            getattr(part, "reads", READS[slot][0] if slot == "target" else None),
        )
        if reads not in READS[slot]:
            known = ", ".join(READS[slot])
            raise ValueError(
                f"Objective: {slot}: expected {kind}.reads one of {known}, got {reads!r}; name one"
            )
        if not _takes(part.forward, count):
            wanted = "(asked)" if slot == "target" else "(features, mask, grid)"
            raise ValueError(
                f"Objective: {slot}: expected {kind}.forward{wanted}, got other arguments; "
                "see pymim.contracts"
            )


def _check_fit(encoder: Encoder, objective: Objective, mask: Policy | None) -> None:
    reads, on = objective.predictor.reads, objective.on
    reader, eyes = type(objective.predictor).__name__, type(encoder).__name__
    if reads == "mask" and mask is None and not encoder.dense:
        raise ValueError(
            f"Method: mask: expected a policy, as {reader} predicts what is hidden, got None; "
            "set Method.mask, or predict with Linear or Pooled"
        )
    if (reads == "pooled") != (on == "pooled"):
        wanted = "pooled" if reads == "pooled" else "predicted, visible or all"
        raise ValueError(
            f"Objective: on: expected {wanted}, as the predictor is {reader}, got {on}; "
            "change one of the two"
        )
    if on == "visible" and getattr(mask, "ragged", False):
        raise ValueError(
            f"Objective: on: expected predicted or all, as {type(mask).__name__} leaves a "
            "different number of patches visible in each image, got visible; use masks.Block"
        )
    _check_on(objective)
    dense = encoder.dense or objective.before is not None
    if reads == "tokens" and mask is not None and on != "visible" and not dense:
        raise ValueError(
            "Objective: predictor: expected one that makes tokens of hidden patches, as "
            f"{eyes} drops them, got {reader}; set {eyes}.hidden = 'token', or predict with a "
            "Transformer"
        )


def _check_on(objective: Objective) -> None:
    """Refuse parts that need other patches than the objective's `on`."""
    kind, on = type(objective.loss).__name__, objective.on
    if getattr(objective.loss, "whole", False) and on != "all":
        raise ValueError(
            f"Objective: on: expected all, as {kind} needs the whole picture, got {on}; "
            "set on = 'all'"
        )
    if getattr(objective.predictor, "sparse", False) and on not in ("predicted", "pooled"):
        reader = type(objective.predictor).__name__
        raise ValueError(
            f"Objective: on: expected predicted, as {reader}.sparse leaves out every patch that is "
            f"not predicted, got {on}; change one of the two"
        )


def check_beside(objective: Objective, beside: Mapping[str, Any]) -> None:
    """Refuse a loss that does not take what target and predictor return besides values.

    Raises: ConfigError.
    """
    loss, kind = objective.loss, type(objective.loss).__name__
    call = loss.forward if isinstance(loss, torch.nn.Module) else loss
    try:
        inspect.signature(call).bind(None, None, **beside)
    except TypeError as error:
        given, maker = ", ".join(beside) or "nothing", type(objective.target).__name__
        raise ConfigError(
            f"Objective {objective.name}: loss: expected one that takes the further arguments "
            f"of {maker} ({given}), got {kind}: {error}; change the loss, or the target"
        ) from error


def _check_optional(part: Any, slot: str, known: Sequence[str]) -> None:
    """Refuse a method whose name almost matches an optional one: it would never be called."""
    for name in _public(type(part)):
        if name in known:
            continue
        hook = slot == "hook" and name.startswith(("before_", "after_"))
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        if hook or (slot != "hook" and close):
            kind, meant = type(part).__name__, close[0] if close else ", ".join(known)
            raise ValueError(
                f"Method: {kind}.{name}: expected a {slot}'s method {meant}, got {name}; rename it"
            )


def _public(kind: type) -> Iterable[str]:
    """List the public methods that a class adds to torch.nn.Module."""
    plain = set(dir(torch.nn.Module))
    return [
        name
        for name in dir(kind)
        if name not in plain and not name.startswith("_") and callable(getattr(kind, name, None))
    ]


def _takes(function: Any, count: int) -> bool:
    """Say whether `function` can be called with `count` positional arguments."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


def _try_mask(method: Method) -> None:
    """Draw masks once: if one hides nothing, an objective on predicted patches cannot learn."""
    for objective in method.objectives:
        for source in objective.sources:
            mask, kind = _drawn(method, source.view)[source.mask], type(method.mask).__name__
            if mask is None:
                continue
            _check_extra(method.encoder, mask, kind)
            if objective.on == "predicted" and not mask.predicted.shape[1]:
                raise ValueError(
                    f"Objective {objective.name}: on: expected patches to predict, got none, as "
                    f"{kind} hides nothing of a grid of {method.encoder.base}; raise its ratio, or "
                    "set on = 'all'"
                )


def _drawn(method: Method, view: int) -> list[Mask | None]:
    """Draw the masks of one view of two images."""
    assert method.mask is not None
    grid, index = method.encoder.base, torch.arange(2)
    difficulty = None if method.ranker is None else torch.zeros(2, math.prod(grid))
    return masks(
        method.mask(index, grid, Draw(method.seed, 0, view), difficulty), method.masks_per_view
    )


def _check_extra(encoder: Encoder, mask: Mask, kind: str) -> None:
    """Refuse a mask without the `extra` the encoder needs, or with one it would not see."""
    eyes, got = type(encoder).__name__, type(mask.extra).__name__
    if encoder.hidden == "altered":  # the encoder itself raises if something is missing
        sides = [cells * side for cells, side in zip(encoder.base, encoder.patch, strict=True)]
        encoder.seen(torch.zeros(len(mask.visible), encoder.channels, *sides), mask)
    elif encoder.hidden == "mix" and not hasattr(mask.extra, "project"):
        raise ValueError(
            "Method: mask: expected Mask.extra with a method project(tokens), as "
            f"{eyes}.hidden is 'mix', got {got} from {kind}; "
            f"change the mask, or set {eyes}.hidden = 'token'"
        )
    elif encoder.hidden != "mix" and mask.extra is not None and not mask.hidden.shape[1]:
        raise ValueError(
            f"Method: mask: expected one that hides patches, as {eyes}.hidden is "
            f"{encoder.hidden!r}, got {kind}, which hides none and gives {got}; "
            "wrap the encoder in encoders.Altered, or change the mask"
        )
