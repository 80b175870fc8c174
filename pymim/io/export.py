"""pymim export RUN --to DIR: write the encoder for other libraries, as safetensors and JSON.

DIR/ is read by timm, if timm has such an encoder: timm.create_model("local-dir:DIR",
pretrained=True). Plain torch reads it by safetensors.torch.load_file("DIR/model.safetensors").
DIR/transformers/ is the same encoder with the names of transformers' ViT:
AutoModel.from_pretrained("DIR/transformers"), with AutoImageProcessor. DIR/pymim.json says how
pictures are prepared and features read, and why a library cannot load the encoder.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import save as to_bytes
from torch import Tensor

from pymim.contracts import Encoder
from pymim.errors import ConfigError
from pymim.io.disk import write_whole
from pymim.io.libraries import Refused, Shown, built_for
from pymim.io.to_timm import timm_config
from pymim.io.to_transformers import for_transformers, preprocessor, transformers_config

LOADS = "loads it"


def export(encoder: Encoder, folder: Path, mean: list[float], std: list[float]) -> list[Path]:
    """Write `encoder.bare` for an evaluation at its own size with its own pooling: see `written`.

    mean, std: of each channel, or one number for all.
    """
    return list(written(encoder, folder, Shown(mean, std))[0])


def written(encoder: Encoder, folder: Path, shown: Shown) -> tuple[list[Path], dict[str, str]]:
    """Write `encoder.bare`, also for timm and transformers if they have such an encoder.

    Returns the folders that hold weights, and for each library "loads it" or why it does not.
    """
    encoder = getattr(encoder, "bare", encoder)
    shown = _each_channel(shown, encoder.channels)
    weights = {
        name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()
    }
    weights.pop("mask_token", None)
    folders, said = [folder], {"timm": LOADS, "transformers": LOADS}
    config = _config(timm_config, encoder, shown, "timm", said)
    other = _config(transformers_config, encoder, shown, "transformers", said)
    _write(folder, weights, config, encoder.traits)
    if other is not None:
        inside = folder / "transformers"
        _write(inside, for_transformers(encoder, weights), other, {})  # type: ignore[arg-type] # it is a ViT
        prepared = _config(preprocessor, encoder, shown, "transformers", said)
        if prepared is not None:
            _write_json(inside / "preprocessor_config.json", prepared)
        folders.append(inside)
    _write_json(folder / "pymim.json", _described(encoder, shown) | said)
    return folders, said


def _config(
    make: Any, encoder: Encoder, shown: Shown, library: str, said: dict[str, str]
) -> dict[str, Any] | None:
    try:
        made: dict[str, Any] = make(encoder, shown)
    except Refused as reason:
        said[library] = str(reason)
        return None
    return made


def _each_channel(shown: Shown, channels: int) -> Shown:
    """Repeat a single mean or deviation for every channel, as other libraries expect."""
    mean, std = (
        list(one) * channels if len(one) == 1 else list(one) for one in (shown.mean, shown.std)
    )
    return shown._replace(mean=mean, std=std)


def _described(encoder: Encoder, shown: Shown) -> dict[str, Any]:
    """Collect what a reader of the weights must know."""
    return {
        "encoder": type(encoder).__name__,
        "channels": encoder.channels,
        "built for": built_for(encoder),
        "patch": list(encoder.patch),
        **encoder.traits,
        "size": list(shown.size or built_for(encoder)),
        "share of the shorter side": shown.share,
        "interpolation": shown.kernel,
        "mean": shown.mean,
        "deviation": shown.std,
        "range": list(shown.range or (0, 1)),
        "pool": shown.pool,
        "layer": shown.layer,
    }


def _write(
    folder: Path, weights: dict[str, Tensor], config: dict[str, Any] | None, traits: dict[str, str]
) -> None:
    write_whole(
        folder / "model.safetensors", to_bytes(weights, metadata={"format": "pt", **traits})
    )
    if config is not None:
        _write_json(folder / "config.json", config)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    write_whole(path, json.dumps(value, indent=1) + "\n")


def _shown(encoder: Encoder) -> Shown:
    """Read how the loaded configuration evaluates its run, or how it trains if it does not."""
    from pymim import config

    evaluated = "evaluate.Evaluation"
    views = (
        config.parts(evaluated, "view")
        if config.value("train.Trainer", "evaluate", None) is not None
        else []
    )
    pool, layer = "encoder", None
    if views:
        pool, layer = (
            config.value(evaluated, "pool", "mean"),
            config.value(evaluated, "layer", None),
        )
    view = next((one for one in views if hasattr(one, "normalise")), None)
    normalise = (view or config.parts("data.Loader", "views")[0]).normalise
    size = None if view is None else tuple(view.size)
    if size is not None and len(encoder.base) == 3:
        size = (built_for(encoder)[0], *size)  # frames
    share = getattr(view, "share", 1.0)
    kernel = getattr(view, "kernel", "bicubic")
    mean, std = normalise.mean.tolist(), normalise.std.tolist()
    return Shown(mean, std, size, share, pool, layer, normalise.range, kernel)


def main(words: list[str]) -> int:
    """Run the command line; return the exit code."""
    from pymim import config
    from pymim.io import measured, weights

    parser = argparse.ArgumentParser(prog="pymim export", description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--trust", action="store_true", help="let its config.gin run code that is not pymim's"
    )
    args = parser.parse_args(words)
    if not (args.run / "config.gin").exists():
        raise ConfigError(
            f"export: {args.run}: expected a run's folder, got one without config.gin; "
            "name another folder"
        )
    root = "train.Trainer"
    with config.trusting(args.trust):
        measured.once(config.load([str(args.run / "config.gin")]), root, args.run / "config.gin")
    encoder: Encoder = config.build(root, "method").encoder
    # Load the encoder alone: the data may have moved since the run.
    weights.load(encoder, args.run, whole=True)
    folders, said = written(encoder, args.to, _shown(encoder))
    print("\n".join(str(path / "model.safetensors") for path in folders))  # noqa: T201
    for library, found in said.items():
        if found != LOADS:
            print(f"export: not for {library}: {found}", file=sys.stderr)  # noqa: T201
    return 0
