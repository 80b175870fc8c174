"""--mode explain: the graph of a configuration, drawn without training and without allocating.

The gin references are the tree; the method is built and run once on the meta device, so that every node can say
what it makes (shapes), holds (parameters) and costs (FLOPs), whatever its size.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import pymim
from pymim.contracts import Batch

if TYPE_CHECKING:
    from pymim.method import Method

ROOT = Path(pymim.__path__[0]).parent


@dataclass(eq=False)
class Node:
    """One component: the slot it fills, its class, where that is written, and what was measured of it."""

    role: str
    name: str
    file: str
    arguments: dict[str, Any]
    made_by: Any = None
    children: list[Node] = field(default_factory=list)
    shapes: str = ""
    parameters: int = 0
    flops: int = 0  # of a forward pass of the example
    memory: int = 0  # bytes, with a whole piece of the batch

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Node]]:
        """The node and all below it, with their depths."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


@dataclass
class Cost:
    """What one training step of `batch` items (images, clips) takes, `piece` of them at a time."""

    items: str
    batch: int
    piece: int
    parameters: int
    trained: int  # of the parameters
    flops: int
    activations: int

    @property
    def memory(self) -> int:
        return _memory(self.parameters, self.trained, self.activations)


def component(role: str, scope: str, target: Any, arguments: dict[str, Any]) -> Node:
    """A node for one gin reference."""
    try:
        file = Path(inspect.getsourcefile(target) or "")
        place = str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else file.name
    except TypeError:
        place = "built in"
    return Node(role, f"{scope}/{target.__name__}" if scope else target.__name__, place, arguments, target)


def measure(method: Method, views: list[Tensor], root: Node) -> Cost:
    """Runs `method` once, there and back, on meta tensors and writes shapes, parameters, FLOPs and memory into the
    nodes below `root`, the run's."""
    modules = _modules(method, root)
    kept: dict[Node, dict[Any, int]] = defaultdict(dict)  # by the innermost that ran: storages, and their bytes
    running = [root]

    def leave(output: Any) -> None:
        node = running.pop()
        node.shapes = node.shapes or _shape(output)

    def keep(tensor: Tensor) -> Tensor:
        kept[running[-1]][tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    handles = []
    for node, (_, module) in modules.items():
        handles += [
            module.register_forward_pre_hook(lambda _module, _inputs, node=node: running.append(node)),
            module.register_forward_hook(lambda _module, _inputs, output: leave(output)),
        ]
    index = torch.zeros(len(views[0]), dtype=torch.int64, device="meta")
    there, back = FlopCounterMode(display=False), FlopCounterMode(display=False)
    with there, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = method(Batch(views, index, index), 0)
    for handle in handles:
        handle.remove()
    with back:
        output.loss.backward()
    own = {p.untyped_storage()._cdata for p in method.parameters()}
    batch, piece = root.arguments["batch"], len(views[0])

    def activations(part: Node) -> int:
        sizes = {key: size for _, node in part.walk() for key, size in kept[node].items() if key not in own}
        return sum(sizes.values())

    counts = there.get_flop_counts()
    for node, (name, module) in modules.items():
        node.parameters = _count(module.parameters())
        node.memory = _memory(node.parameters, _trained(module), activations(node))
        node.flops = sum(counts.get(f"{type(method).__name__}{'.' * bool(name)}{name}", {}).values())
    return Cost(
        method.encoder.items,
        batch,
        piece,
        _count(method.parameters()),
        _trained(method),
        (there.get_total_flops() + back.get_total_flops()) * batch // piece,
        activations(root),
    )


def _count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(p.numel() for p in parameters)


def _trained(module: nn.Module) -> int:
    return _count(p for p in module.parameters() if p.requires_grad)


def _memory(parameters: int, trained: int, activations: int) -> int:
    """Bytes: weights and, of those trained, gradients and AdamW's two moments, in float32; and what the backward
    pass keeps."""
    return 4 * parameters + 12 * trained + activations


def _modules(method: nn.Module, root: Node) -> dict[Node, tuple[str, nn.Module]]:
    """Which module each node of the method became: by class, in the order of the tree."""
    free = list(method.named_modules())
    found = {}
    for _, node in (entry for child in root.children if child.role == "method" for entry in child.walk()):
        kind = node.made_by if inspect.isclass(node.made_by) else ()
        match = next((entry for entry in free if isinstance(entry[1], kind)), None)
        if match is not None:
            free.remove(match)
            found[node] = match
    return found


def _shape(value: Any) -> str:
    """The shapes in what a module gave, by name where it has names."""
    if isinstance(value, Tensor):
        return f"[{' '.join(map(str, value.shape))}]" if value.ndim else "scalar"
    if hasattr(value, "_fields"):
        parts = ((name, getattr(value, name)) for name in value._fields)
        return ", ".join(f"{name} {_shape(part)}" for name, part in parts if isinstance(part, Tensor))
    if isinstance(value, tuple | list):
        return ", ".join(filter(None, map(_shape, value)))
    return ""


def text(root: Node, cost: Cost) -> str:
    """The tree for a terminal: role, class, parameters, FLOPs of a forward pass of all that a step takes at a time,
    memory, what it gives, file."""
    rows = []
    for prefix, node in _indented(root):
        size = f"{count(node.parameters):>8}" if node.parameters else " " * 8
        work = f"{count(node.flops):>8}" if node.flops else " " * 8
        room = f"{count(node.memory):>7}B" if node.memory else " " * 8
        gives = node.shapes or _values(node)
        rows.append((f"{prefix}{node.role}", node.name, size, work, room, gives, node.file))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    heads = ("slot", "component", "  params", "   FLOPs", "  memory", "gives", "file")
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip()
        for row in (heads, *rows)
    ]
    return "\n".join([*lines, "", summary(cost)])


def summary(cost: Cost) -> str:
    """One line: what a training step takes."""
    pieces = "" if cost.piece == cost.batch else f", {cost.piece} at a time"
    return (
        f"one step of {cost.batch} {cost.items}{pieces}: {count(cost.parameters)} parameters, "
        f"{count(cost.flops)} FLOPs (forward and backward), {cost.memory / 2**30:.2f} GiB "
        f"({cost.activations / 2**30:.2f} GiB of it kept for the backward pass, before autocast and recomputation)"
    )


def example(method: Any, root: Node, sizes: Sequence[tuple[int, int]] = ()) -> list[Tensor]:
    """As many views as the method looks at, on the meta device: of as many images as a step takes at a time, and of
    `sizes` (rows, columns), as far as given, else of the size its encoder was built for."""
    images: int = root.arguments.get("micro") or root.arguments["batch"]
    encoder = method.encoder
    sides = [cells * side for cells, side in zip(encoder.base, encoder.patch, strict=True)]
    views = 1 + max(max(o.looked_at()) for o in method.objectives)
    all_sides = [[*sides[:-2], *size] for size in sizes[:views]] + [sides] * (views - len(sizes))
    return [torch.empty(images, encoder.channels, *each, device="meta") for each in all_sides]


def count(number: float) -> str:
    """1234567 -> 1.2 M."""
    for unit in ("", " k", " M", " G", " T"):
        if abs(number) < 1000:
            return f"{number:.0f}" if not unit else f"{number:.1f}{unit}"
        number /= 1000
    return f"{number:.1f} P"


def _values(node: Node) -> str:
    return ", ".join(f"{name} {value}" for name, value in node.arguments.items())


def _indented(node: Node, before: str = "", last: bool = True, top: bool = True) -> Iterator[tuple[str, Node]]:
    yield ("" if top else before + ("└ " if last else "├ ")), node
    inner = "" if top else before + ("  " if last else "│ ")
    for child in node.children:
        yield from _indented(child, inner, child is node.children[-1], top=False)
