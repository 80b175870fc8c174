"""The examples in the docstrings of the ops run, and show what they return."""

import doctest
import importlib

import pytest
import torch

EXAMPLES = {
    "block.hide": 2,
    "derived": 3,
    "guided": 2,
    "kmeans.balance": 2,
    "kmeans.steps": 2,
    "mask": 2,
    "rank": 4,
    "sinkhorn.transport": 2,
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_return_what_they_show(name):
    module = importlib.import_module(f"pymim.ops.{name}")
    failed, tried = doctest.testmod(module, extraglobs={"torch": torch})
    assert (failed, tried) == (0, EXAMPLES[name])
