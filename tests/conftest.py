"""Choose the devices and the core to test.

PYMIM_TEST_CORE names another build of pymim._core, such as the one whose CUDA kernels are emulated
on the CPU.
"""

import importlib.util
import os
import signal
import sys

import pytest
import torch

from tests.fast import is_fast

if path := os.environ.get("PYMIM_TEST_CORE"):
    spec = importlib.util.spec_from_file_location("pymim._core", path)
    sys.modules["pymim._core"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["pymim._core"])

# Background jobs of a shell and nohup ignore these signals; tests and their children inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_ignore_collect(collection_path, config):
    """Leave the files unread that have no fast test, where no other is asked for."""
    only = config.option.markexpr == "fast" and collection_path.name.startswith("test_")
    return True if only and not is_fast(collection_path) else None


def pytest_collection_modifyitems(items):
    """Mark what is fast: python -m pytest -m fast."""
    for item in items:
        if is_fast(item.path) and "slow" not in item.keywords:
            item.add_marker("fast")


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return request.param
