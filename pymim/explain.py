"""--mode explain: draw the graph of a configuration without training or allocating memory.

The gin references form the tree. The method is built and run once on the meta device, so that every
node can show its output shapes, its parameters and its FLOPs at any size.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pymim.config.graph import Node
from pymim.contracts import Batch

if TYPE_CHECKING:
    from pymim.method import Method


@dataclass
class Cost:
    """The cost of one training step of `batch` items (images, clips), `piece` of them at a time."""

    items: str
    batch: int
    piece: int
    parameters: int
    trained: int  # parameters that are trained
    flops: int
    activations: int

    @property
    def memory(self) -> int:
        """Bytes of weights, gradients, the optimiser's state and activations."""
        return _memory(self.parameters, self.trained, self.activations)


def measure(method: Method, views: list[Tensor], root: Node) -> Cost:
    """Run `method` forward and backward on meta tensors, and measure the nodes below `root`.

    Shapes, parameters, FLOPs and memory (bytes) are written into the nodes. root: the run's node.
    """
    modules = _modules(method, root)
    # For each node, the storages kept for the backward pass while it was the innermost one running,
    # and their bytes. Storages are counted once: several tensors may share one.
    kept: dict[Node, dict[Any, int]] = defaultdict(dict)
    running = [root]  # the nodes being run, innermost last

    def leave(output: Any) -> None:
        node = running.pop()
        node.shapes = node.shapes or _shape(output)

    def keep(tensor: Tensor) -> Tensor:
        kept[running[-1]][tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    handles = []
    for node, (_, module) in modules.items():
        handles += [
            module.register_forward_pre_hook(
                lambda _module, _inputs, node=node: running.append(node)
            ),
            module.register_forward_hook(lambda _module, _inputs, output: leave(output)),
        ]
    there, back = FlopCounterMode(display=False), FlopCounterMode(display=False)
    with there, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = method(_batch(views), 0)
    for handle in handles:
        handle.remove()
    with back:
        output.loss.backward()
    own = {p.untyped_storage()._cdata for p in method.parameters()}
    batch, piece = root.arguments["batch"], len(views[0])

    def activations(part: Node) -> int:
        sizes = {
            key: size
            for _, node in part.walk()
            for key, size in kept[node].items()
            if key not in own
        }
        return sum(sizes.values())

    counts = there.get_flop_counts()
    for node, (name, module) in modules.items():
        node.parameters = _count(module.parameters())
        node.memory = _memory(node.parameters, _trained(module), activations(node))
        node.flops = sum(
            counts.get(f"{type(method).__name__}{'.' * bool(name)}{name}", {}).values()
        )
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
    """Return bytes: float32 weights, gradients and AdamW's two moments, and the activations."""
    return 4 * parameters + 12 * trained + activations


def _modules(method: nn.Module, root: Node) -> dict[Node, tuple[str, nn.Module]]:
    """Match each node of the method to its module, by class, in the order of the tree."""
    free = list(method.named_modules())
    found = {}
    for _, node in (
        entry for child in root.children if child.role == "method" for entry in child.walk()
    ):
        kind = node.made_by if inspect.isclass(node.made_by) else ()
        match = next((entry for entry in free if isinstance(entry[1], kind)), None)
        if match is not None:
            free.remove(match)
            found[node] = match
    return found


def _shape(value: Any) -> str:
    """Write the shapes of a module's output, with names if it has them."""
    if isinstance(value, Tensor):
        return f"[{' '.join(map(str, value.shape))}]" if value.ndim else "scalar"
    if hasattr(value, "_fields"):
        parts = ((name, getattr(value, name)) for name in value._fields)
        return ", ".join(
            f"{name} {_shape(part)}" for name, part in parts if isinstance(part, Tensor)
        )
    if isinstance(value, tuple | list):
        return ", ".join(filter(None, map(_shape, value)))
    return ""


def text(root: Node, cost: Cost) -> str:
    """Write the tree for a terminal.

    Columns: role, class, parameters, FLOPs of a forward pass of one piece, memory, output, file.
    """
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
    """Write in one line what a training step costs."""
    pieces = "" if cost.piece == cost.batch else f", {cost.piece} at a time"
    return (
        f"one step of {cost.batch} {cost.items}{pieces}: {count(cost.parameters)} parameters, "
        f"{count(cost.flops)} FLOPs (forward and backward), {cost.memory / 2**30:.2f} GiB "
        f"({cost.activations / 2**30:.2f} GiB of it kept for the backward pass, before autocast "
        "and recomputation)"
    )


def example(method: Any, root: Node, views: Sequence[Any] = ()) -> list[Tensor]:
    """Make one piece of a batch on the meta device: a tensor for each view of the loader.

    A view's `size` (rows, columns) and `channels` (how many, or which) are used if it has them;
    otherwise, and if no views are given, the encoder's.
    """
    images: int = root.arguments.get("micro") or root.arguments["batch"]
    encoder = method.encoder
    sides = [cells * side for cells, side in zip(encoder.base, encoder.patch, strict=True)]
    needed = 1 + max((max(objective.needed_views()) for objective in method.objectives), default=0)
    made = []
    for view in [*views, *[None] * (needed - len(views))]:
        own = [*sides[:-2], *getattr(view, "size", sides[-2:])]
        made.append(torch.empty(images, _channels(view, encoder), *own, device="meta"))
    return made


def _batch(views: list[Tensor]) -> Batch:
    """Make a batch of these views without notes; every view drew a crop."""
    index = torch.zeros(len(views[0]), dtype=torch.int64, device="meta")
    drawn = [{"box": torch.zeros(len(view), 4, device="meta")} for view in views]
    return Batch(views=views, index=index, label=index, notes={}, drawn=drawn)


def _channels(view: Any, encoder: Any) -> int:
    channels = getattr(view, "channels", None)
    if channels is None:
        return int(encoder.channels)
    return channels if isinstance(channels, int) else len(channels)


def count(number: float) -> str:
    """Write 1234567 as 1.2 M."""
    for unit in ("", " k", " M", " G", " T"):
        if abs(number) < 1000:
            return f"{number:.0f}" if not unit else f"{number:.1f}{unit}"
        number /= 1000
    return f"{number:.1f} P"


def _values(node: Node) -> str:
    return ", ".join(f"{name} {value}" for name, value in node.arguments.items())


def _indented(
    node: Node, before: str = "", last: bool = True, top: bool = True
) -> Iterator[tuple[str, Node]]:
    branch, trunk = ("└ ", "  ") if last else ("├ ", "│ ")
    yield "" if top else before + branch, node
    inner = "" if top else before + trunk
    for child in node.children:
        yield from _indented(child, inner, child is node.children[-1], top=False)
