"""Join the processes of a run through the store that the environment names."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from pymim.errors import Lost
from pymim.peers import Peers

_met = 0  # how often this process has joined the others; equal in all processes


def joined(backend: str, patience: float) -> Peers:
    """Join the others by RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, and listen to them.

    Unlike torch's own way, a stop is noticed while waiting, and missing processes are named.

    Raises: Lost if one does not come within `patience` seconds.
    """
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    hosts = rank == 0 and not _is_launched()
    if not hosts:
        _wait_for_the_store(patience)
    peers = Peers(_store("peers", size, hosts), rank, size, patience, hosts)
    peers.begin()
    peers.meet()
    dist.init_process_group(
        backend,
        store=_store("group", size, False),
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=patience),
    )
    return peers


def _is_launched() -> bool:
    """Say whether the launcher hosts the store, and not the first process."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def _address() -> tuple[str, int]:
    return os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])


def _store(name: str, size: int, hosts: bool) -> Any:
    """Open a connection of its own to the store, so that a waiting request blocks no other."""
    global _met
    _met += name == "peers"
    again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.TCPStore(*_address(), size, hosts, wait_for_workers=False, multi_tenant=True)  # type: ignore[attr-defined]
    return dist.PrefixStore(  # type: ignore[attr-defined]
        f"pymim/{again}/{_met}/{name}", store
    )


def _wait_for_the_store(patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(_address(), timeout=1).close()
            return
        if time.monotonic() >= until:
            address, port = _address()
            raise Lost(
                f"rank 0: expected an answer at {address}:{port} within {patience:g} s, got none; "
                "start rank 0, set MASTER_ADDR and MASTER_PORT to its address, or raise "
                "train.Trainer.patience"
            )
        time.sleep(0.1)
