"""Collectives of a world of one, without a process group: each leaves the one rank's data where all ranks' would be."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.parallel

from .device import ignored, nothing
from .job import RuntimeLimit


class Work:
    """A collective that is done already."""

    def wait(self, *args: Any) -> bool:
        """Nothing to wait for."""
        return True

    def is_completed(self) -> bool:
        """It is."""
        return True

    def get_future(self) -> Work:
        """Itself."""
        return self


def _done(async_op: bool) -> Work | None:
    return Work() if async_op else None


def in_place(tensor: Any, *args: Any, async_op: bool = False, **kwargs: Any) -> Work | None:
    """`all_reduce`, `broadcast`, `reduce`: the sum, mean or copy over one rank is what it has."""
    return _done(async_op)


def into(output: Any, source: Any, *args: Any, async_op: bool = False, **kwargs: Any) -> Work | None:
    """`all_gather_into_tensor`, `reduce_scatter_tensor`, `all_to_all_single`: a copy."""
    with torch.no_grad():
        output.copy_(source.reshape(output.shape))
    return _done(async_op)


def into_list(outputs: Any, source: Any, *args: Any, async_op: bool = False, **kwargs: Any) -> Work | None:
    """`all_gather`, `gather`: a copy into the first of the list."""
    if outputs is not None:
        into(outputs[0], source)
    return _done(async_op)


def from_list(output: Any, sources: Any = None, *args: Any, async_op: bool = False, **kwargs: Any) -> Work | None:
    """`reduce_scatter`, `scatter`: a copy from the first of the list."""
    if sources is not None:
        into(output, sources[0])
    return _done(async_op)


def objects_into(outputs: Any, source: Any, *args: Any, **kwargs: Any) -> None:
    """`all_gather_object`, `gather_object`."""
    if outputs is not None:
        outputs[0] = source


def pointless(*args: Any, **kwargs: Any) -> None:
    """`send`, `recv`: there is nobody to talk to."""
    raise RuntimeLimit("the script sends to another rank, and there is one rank here")


class DataParallel(torch.nn.Module):
    """`DistributedDataParallel` of one rank: the module itself, called through."""

    require_backward_grad_sync = True

    def __init__(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's forward."""
        return self.module(*args, **kwargs)

    def no_sync(self) -> Any:
        """There is nothing to synchronise."""
        return nothing()

    def register_comm_hook(self, *args: Any) -> None:
        """There is no communication."""


_started = False


def _start(*args: Any, **kwargs: Any) -> None:
    global _started
    _started = True


def _stop(*args: Any) -> None:
    global _started
    _started = False


ANSWERS: dict[str, Any] = {
    "init_process_group": _start,
    "destroy_process_group": _stop,
    "is_available": lambda: True,
    "is_initialized": lambda: _started,
    "is_nccl_available": lambda: True,
    "get_rank": lambda *args: 0,
    "get_world_size": lambda *args: 1,
    "get_local_rank": lambda *args: 0,
    "get_node_local_rank": lambda *args: 0,
    "get_backend": lambda *args: "nccl",
    "barrier": in_place,
    "monitored_barrier": ignored,
    "new_group": lambda *args, **kwargs: None,
    "all_reduce": in_place,
    "broadcast": in_place,
    "reduce": in_place,
    "all_reduce_coalesced": in_place,
    "all_gather_into_tensor": into,
    "reduce_scatter_tensor": into,
    "all_to_all_single": into,
    "_all_gather_base": into,
    "_reduce_scatter_base": into,
    "all_gather": into_list,
    "gather": lambda source, outputs=None, *args, **kwargs: into_list(outputs, source, *args, **kwargs),
    "reduce_scatter": from_list,
    "scatter": from_list,
    "broadcast_object_list": ignored,
    "all_gather_object": objects_into,
    "gather_object": lambda source, outputs=None, *args, **kwargs: objects_into(outputs, source),
    "send": pointless,
    "recv": pointless,
    "isend": pointless,
    "irecv": pointless,
}


def install() -> None:
    """Replace the collectives of `torch.distributed`, and data parallelism."""
    module: Any = dist
    barrier = in_place
    for name, answer in ANSWERS.items():
        setattr(module, name, answer)
    module.barrier = lambda *args, async_op=False, **kwargs: barrier(None, async_op=async_op)
    parallel: Any = torch.nn.parallel
    parallel.DistributedDataParallel = parallel.distributed.DistributedDataParallel = DataParallel
