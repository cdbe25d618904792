"""Taps on the operations through which scripts score tokens and learn from them.

Nothing is found by name: whatever compares predictions with a row of the validation stream (cross-entropy, or looking
up probabilities at the targets) gives losses with known positions; whatever sums them, or takes them out of torch, is
a candidate for *the* score. Which candidate the printed score comes from is decided afterwards, by recomputing it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.overrides import TorchFunctionMode

from .arrays import Watched, known, watch, watched
from .journal import Journal
from .shadow import attach, carry, positions_of
from .stream import UNKNOWN, Ints, Stream

_SUMS = frozenset(("sum", "mean", "nansum", "nanmean"))
_EXITS = frozenset(("item", "tolist", "__float__"))
_LOOKUPS = frozenset(("gather", "take_along_dim", "__getitem__"))
_DEEPEST = 20_000
"""Autograd nodes looked at for one backward pass."""


class Taps(TorchFunctionMode):
    """Writes to the journal which stream positions are scored, and which are trained on."""

    def __init__(self, stream: Stream, journal: Journal) -> None:
        super().__init__()
        self.stream = stream
        self.journal = journal
        self._losses: dict[Any, Ints] = {}
        """Positions behind each loss that can still be trained on, by its autograd node."""

    def install(self) -> None:
        """Start observing: this mode, numpy's sums, backward passes and optimiser steps."""
        watch(lambda places, values: self._score("sum", places, values))
        _patch_conversions()
        backward, grad = torch.autograd.backward, torch.autograd.grad

        def observed_backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:
            self._trained(tensors)
            return backward(tensors, *args, **kwargs)

        def observed_grad(outputs: Any, *args: Any, **kwargs: Any) -> Any:
            self._trained(outputs)
            return grad(outputs, *args, **kwargs)

        torch.autograd.backward = observed_backward
        torch.autograd.grad = observed_grad
        register_optimizer_step_post_hook(lambda *_: self.journal.event("step"))
        super().__enter__()  # type: ignore[no-untyped-call]

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run `func`, then see whether it scored, trained, moved or summed."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func is F.cross_entropy:
            self._cross_entropy(result, *args, **kwargs)
            return result
        if func is F.nll_loss and isinstance(args[1], Tensor):
            self._nll(result, *args, **kwargs)
            return result
        name = getattr(func, "__name__", "")
        if name == "__get__":
            return result
        carry(func, args, kwargs, result)
        if name in _LOOKUPS:
            self._looked_up(args, kwargs, result)
        elif name in _SUMS or name in _EXITS:
            places = positions_of(args[0]) if args else None
            if places is not None:
                self._score("exit" if name in _EXITS else "sum", _array(places), _floats(args[0]))
        elif name == "numpy" and (places := positions_of(args[0])) is not None:
            return watched(result, _array(places))
        return result

    def _cross_entropy(self, result: Tensor, logits: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> None:
        """Losses in nats of `logits` (N, V) or (N, V, ...) for the tokens `target` (N) or (N, ...)."""
        if target.is_floating_point():
            return
        places = self._places(target)
        if not known(places):
            return
        if result.shape != target.shape:
            options = {**kwargs, "reduction": "none"}
            with torch.no_grad():
                each = F.cross_entropy(logits.detach(), target, *args[:1], **options)
        else:
            each = result
            attach(result, torch.from_numpy(places))
        self._scored("cross-entropy", places, each, result)

    def _nll(self, result: Tensor, log_probs: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> None:
        places = self._places(target)
        if not known(places):
            return
        each = -log_probs.detach().gather(-1, target.clamp_min(0).unsqueeze(-1)).squeeze(-1)
        if result.shape == target.shape:
            attach(result, torch.from_numpy(places))
        self._scored("nll", places, each, result)

    def _places(self, ids: Tensor) -> Ints:
        """Where token ids are from: told by themselves, and the last one of a window by the window it is a view of."""
        places = self.stream.places(_array(ids))
        whole = ids.untyped_storage().nbytes() // ids.itemsize
        if whole == ids.numel() or not (places == UNKNOWN).any():
            return places
        around = torch.from_numpy(self.stream.places(_array(ids.as_strided((whole,), (1,), 0))))
        seen = around.as_strided(ids.shape, ids.stride(), ids.storage_offset()).numpy()
        return np.where(places == UNKNOWN, seen, places)

    def _looked_up(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """Values taken at an index that is a row of the stream: predictions for these tokens."""
        if not isinstance(result, Tensor) or not result.is_floating_point() or positions_of(result) is not None:
            return
        index = kwargs.get("index", args[-1] if args else None)
        if isinstance(index, tuple) and index:
            index = index[-1]
        if (
            not isinstance(index, Tensor)
            or index.dtype not in (torch.int64, torch.int32)
            or index.shape != result.shape
        ):
            return
        places = self._places(index)
        if known(places):
            attach(result, torch.from_numpy(places))
            if result.grad_fn is not None:
                self._losses[result.grad_fn] = places

    def _scored(self, kind: str, places: Ints, each: Tensor, result: Tensor) -> None:
        trains = result.grad_fn is not None
        if trains:
            self._losses[result.grad_fn] = places
        self.journal.score(kind, places.reshape(-1), _floats(each).reshape(-1), trains=trains)

    def _score(self, kind: str, places: Ints, values: Any) -> None:
        if known(places):
            self.journal.score(kind, places.reshape(-1), np.asarray(values, dtype=np.float64).reshape(-1), trains=False)

    def _trained(self, outputs: Any) -> None:
        """A gradient is taken: of which losses, and so from which stream positions."""
        roots = [outputs] if isinstance(outputs, Tensor) else list(outputs)
        front = [root.grad_fn for root in roots if isinstance(root, Tensor) and root.grad_fn is not None]
        seen: set[Any] = set(front)
        places: list[Ints] = []
        while front and len(seen) < _DEEPEST:
            node = front.pop()
            if node in self._losses:
                places.append(self._losses[node].reshape(-1))
                continue
            for parent, _ in node.next_functions:
                if parent is not None and parent not in seen:
                    seen.add(parent)
                    front.append(parent)
        self._losses.clear()
        if places:
            found = np.unique(np.concatenate(places))
            self.journal.event("backward", places=found[found != UNKNOWN].tolist())


def _patch_conversions() -> None:
    """`torch.from_numpy` is not seen by function modes; the other ways in are."""
    plain_from_numpy = torch.from_numpy

    def from_numpy(array: Any) -> Tensor:
        if not isinstance(array, Watched):
            return plain_from_numpy(array)
        result = plain_from_numpy(array.view(np.ndarray))
        if array.positions is not None:
            attach(result, plain_from_numpy(np.ascontiguousarray(array.positions)))
        return result

    torch.from_numpy = from_numpy  # type: ignore[assignment]


def _array(value: Tensor) -> Ints:
    return value.detach().to("cpu", torch.int64).contiguous().numpy()


def _floats(value: Tensor) -> Any:
    return value.detach().to("cpu", torch.float64).contiguous().numpy()
