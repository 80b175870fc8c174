"""The tree of components that a configuration is."""

from __future__ import annotations

from typing import Any

from gin import config as gin_config

from pymim.config.words import resolved


def graph(selector: str) -> Any:
    """The tree of components that `selector` is the root of, as `pymim.explain` nodes, without building any."""
    from pymim.explain import component

    def node(role: str, scope: str, full: str) -> Any:
        bound = {**gin_config._CONFIG.get(("", full), {}), **gin_config._CONFIG.get((scope, full), {})}
        values = {name: resolved(value) for name, value in bound.items()}
        references = {name: found for name, value in values.items() if (found := _references(value))}
        plain = {name: value for name, value in values.items() if name not in references}
        made = component(role, scope, gin_config._REGISTRY[full].wrapped, plain)
        for name, found in references.items():
            for reference in found:
                inner = reference.scoped_selector.rpartition("/")[0] or scope
                made.children.append(node(name, inner, reference.configurable.selector))
        return made

    return node("run", "", gin_config._REGISTRY.get_match(selector).selector)


def _references(value: Any) -> list[Any]:
    if isinstance(value, gin_config.ConfigurableReference):
        return [value]
    if isinstance(value, tuple | list):
        return [found for item in value for found in _references(resolved(item))]
    return []
