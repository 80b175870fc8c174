"""timm's ViT and ResNet in plain torch, from an export; what timm cannot load is refused."""

import json

import torch
import torch.nn.functional as F
from safetensors.torch import load_file


def timm_vit(folder, view):
    """Return the tokens and pooled features of timm's VisionTransformer with its own defaults."""
    made = json.loads((folder / "config.json").read_text())
    assert made["architecture"].startswith("vit_") and made["num_classes"] == 0
    a, left = made["model_args"], load_file(folder / "model.safetensors")

    def take(name):
        return left.pop(name)

    def linear(x, name, bias):
        return F.linear(x, take(f"{name}.weight"), take(f"{name}.bias") if bias else None)

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], take(f"{name}.weight"), take(f"{name}.bias"), 1e-6)

    qkv_bias, proj_bias, heads = a.get("qkv_bias", True), a.get("proj_bias", True), a["num_heads"]
    scaled, registers, start = a.get("init_values"), a.get("reg_tokens", 0), []
    assert list(view.shape[2:]) == a["img_size"] and view.shape[1] == a["in_chans"]
    x = F.conv2d(
        view, take("patch_embed.proj.weight"), take("patch_embed.proj.bias"), a["patch_size"]
    )
    x = x.flatten(2).mT
    start += [take("cls_token")] if a.get("class_token", True) else []
    start += [take("reg_token")] if registers else []
    x = torch.cat([*(token.expand(len(x), -1, -1) for token in start), x], 1)
    x = x if a.get("pos_embed") == "none" else x + take("pos_embed")
    for n in range(a["depth"]):
        at = f"blocks.{n}."
        qkv = linear(norm(x, f"{at}norm1"), f"{at}attn.qkv", qkv_bias)
        q, k, v = qkv.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        mixed = linear(mixed, f"{at}attn.proj", proj_bias)
        x = x + (mixed * take(f"{at}ls1.gamma") if scaled else mixed)
        inside = linear(norm(x, f"{at}norm2"), f"{at}mlp.fc1", proj_bias)
        assert inside.shape[-1] == int(a["embed_dim"] * a["mlp_ratio"])
        inside = linear(F.gelu(inside), f"{at}mlp.fc2", proj_bias)
        x = x + (inside * take(f"{at}ls2.gamma") if scaled else inside)
    pool, prefix = a["global_pool"], a.get("class_token", True) + registers
    behind = pool == "avg" if a.get("fc_norm") is None else a["fc_norm"]
    assert pool != "token" or a.get("class_token", True)
    tokens = x if behind else norm(x, "norm")
    pooled = {"token": tokens[:, 0], "avg": tokens[:, prefix:].mean(1), "": tokens}[pool]
    pooled = norm(pooled, "fc_norm") if behind else pooled
    assert not left, f"timm refuses what it does not know: {list(left)}"
    return tokens, pooled


def timm_resnet(folder, view):
    """Read a folder as timm's ResNet does."""
    made = json.loads((folder / "config.json").read_text())
    a, left = made["model_args"], load_file(folder / "model.safetensors")
    convolutions = {"resnet18": 2, "resnet50": 3}[made["architecture"]]

    def conv(x, name, norm, stride, kernel):
        x = F.conv2d(x, left.pop(f"{name}.weight"), stride=stride, padding=kernel // 2)
        left.pop(f"{norm}.num_batches_tracked")
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(left.pop(f"{norm}.{name}") for name in names))

    x = F.max_pool2d(F.relu(conv(view, "conv1", "bn1", 2, 7)), 3, 2, 1)
    for stage, blocks in enumerate(a["layers"], 1):
        for n in range(blocks):
            at, stride, y = f"layer{stage}.{n}", 2 if stage > 1 and n == 0 else 1, x
            for k in range(1, convolutions + 1):
                kernel = 1 if convolutions == 3 and k != 2 else 3
                step = stride if k == convolutions - 1 else 1
                y = conv(y, f"{at}.conv{k}", f"{at}.bn{k}", step, kernel)
                y = F.relu(y) if k < convolutions else y
            if f"{at}.downsample.0.weight" in left:
                x = conv(x, f"{at}.downsample.0", f"{at}.downsample.1", stride, 1)
            x = F.relu(x + y)
    assert not left and a["global_pool"] == "avg"
    return x.mean((2, 3))
