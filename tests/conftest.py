"""Devices to test on, and the core to test: PYMIM_TEST_CORE names another build of pymim._core, such as the one
whose CUDA kernels are emulated on the CPU."""

import importlib.util
import os
import sys

import pytest
import torch

if path := os.environ.get("PYMIM_TEST_CORE"):
    spec = importlib.util.spec_from_file_location("pymim._core", path)
    sys.modules["pymim._core"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["pymim._core"])


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return request.param
