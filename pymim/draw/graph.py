"""Draw the tree of a configuration as an SVG, left to right: slots on the lines, components in
boxes.
"""

from __future__ import annotations

from html import escape

from pymim.config.graph import Node
from pymim.explain import Cost, count, summary

BOX, ROW = 210, 62
GAP, MARGIN = 60, 24
COLOURS = {
    "encoders": "#dbeafe",
    "masks": "#fde68a",
    "targets": "#dcfce7",
    "predictors": "#fce7f3",
    "losses": "#fee2e2",
    "rankers": "#ffedd5",
    "data": "#e5e7eb",
    "views": "#e5e7eb",
    "optim": "#ede9fe",
    "probes": "#ccfbf1",
}


def svg(root: Node, cost: Cost, title: str) -> str:
    """Give the graph as a complete SVG page, for a browser."""
    places: dict[Node, tuple[float, float]] = {}
    rows = _place(root, 0, 0.0, places)
    width = MARGIN * 2 + (max(depth for depth, _ in root.walk()) + 1) * (BOX + GAP)
    height = MARGIN * 2 + 40 + rows * ROW
    parts = [
        _edge(places[node], places[child]) for _, node in root.walk() for child in node.children
    ]
    parts += [_box(node, *place) for node, place in places.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="{MARGIN}" y="{MARGIN + 4}" font-size="16" font-weight="bold">'
        f'{escape(title)}</text><text x="{MARGIN}" y="{MARGIN + 22}" font-size="11" fill="#555">'
        f"{escape(summary(cost))}</text>"
        f"{''.join(parts)}</svg>\n"
    )


def _place(node: Node, depth: int, top: float, places: dict[Node, tuple[float, float]]) -> float:
    """Place every node of a subtree, and give the rows it takes. A parent is centred on its
    children.
    """
    below = top
    for child in node.children:
        below += _place(child, depth + 1, below, places)
    rows = max(1.0, below - top)
    places[node] = (MARGIN + depth * (BOX + GAP), MARGIN + 40 + (top + rows / 2 - 0.5) * ROW)
    return rows


def _edge(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1 = start[0] + BOX, start[1] + 24
    x2, y2 = end[0], end[1] + 24
    middle = (x1 + x2) / 2
    curve = f"M{x1} {y1:.0f} C{middle} {y1:.0f} {middle} {y2:.0f} {x2} {y2:.0f}"
    return f'<path d="{curve}" fill="none" stroke="#999"/>'


def _box(node: Node, x: float, y: float) -> str:
    stage = node.file.split("/")[1] if node.file.count("/") > 1 else ""
    sizes = [f"{count(node.parameters)} parameters"] * bool(node.parameters)
    sizes += [f"{count(node.flops)} FLOPs"] * bool(node.flops)
    sizes += [f"{count(node.memory)}B"] * bool(node.memory)
    lines = [
        (f"{node.role}: {node.name}", 12, "bold", "#111"),
        (
            ", ".join(sizes) or ", ".join(f"{k} {v}" for k, v in node.arguments.items()),
            9,
            "normal",
            "#333",
        ),
        (node.shapes or node.file, 9, "normal", "#666"),
    ]
    texts = "".join(
        f'<text x="{x + 8}" y="{y + 15 + 14 * i:.0f}" font-size="{size}" font-weight="{weight}" '
        f'fill="{colour}">{escape(text[:44])}<title>{escape(text)}</title></text>'
        for i, (text, size, weight, colour) in enumerate(lines)
    )
    fill = COLOURS.get(stage, "#f8fafc")
    return (
        f'<g><rect x="{x}" y="{y:.0f}" width="{BOX}" height="50" rx="7" fill="{fill}" '
        f'stroke="#bbb"/>{texts}</g>'
    )
