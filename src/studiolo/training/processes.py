"""Several processes as one run: who is first, what they agree on, what they add up.

``torchrun`` starts the same command several times and says to each which it is. All carry out the
same run in step; the first alone writes and speaks. Notable choices: whatever one process decides
that others depend on (to stop, that a loss is no number, that a disk is full) is agreed on before
anything comes of it, so that none waits for another who has left; and a process that was alone in
failing says so itself. With one process everything here is nothing. Deliberately unknown here:
networks, losses, and what is shared out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from studiolo.errors import InvalidRequestError, StudioloError

T = TypeVar("T")
BUCKET = 1 << 24
"""Numbers added up at once; 64 MB of float32."""
FAILED = "studiolo/failed"
PATIENCE = timedelta(seconds=10)
CPU = torch.device("cpu")


class ProcessLostError(StudioloError):
    """Another process of the run has ended, or cannot be reached."""


class FirstFailedError(StudioloError):
    """The first process could not do what it alone does; it has said why."""


@dataclass(frozen=True)
class Processes:
    """``rank``: which this is of ``count``, from 0. ``device``: where what they exchange lies.

    Every method is to be called by all of them, in one order.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = CPU

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def summed(self, *values: float) -> list[float]:
        """Each of ``values`` added up over the processes, in float64; the same for all."""
        if self.count == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return list(total.tolist())

    def any(self, said: bool) -> bool:
        """Whether any of them says so."""
        return self.summed(float(said))[0] > 0

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Make each tensor its sum over the processes, in place; all are of one type."""
        if self.count == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.flatten() for tensor in bucket])
            dist.all_reduce(flat)
            parts = torch.split(flat, [tensor.numel() for tensor in bucket])
            for tensor, part in zip(bucket, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def first_alone(
        self, act: Callable[[], object], meanwhile: Callable[[], object] = lambda: None
    ) -> None:
        """Have the first do something; all go on when it is done.

        ``meanwhile``: what the others do beside it, and the first after it. What ``act`` raises is
        raised in the first, and :class:`FirstFailedError` in the others.
        """
        failed: Exception | None = None
        if self.first:
            try:
                act()
            except Exception as error:
                failed = error
        if self.count > 1:
            meanwhile()
        if self.any(failed is not None):
            raise failed or FirstFailedError("the first process has failed")

    def in_turn(self, make: Callable[[], T]) -> T:
        """What ``make`` gives, called in the first and only then, if all was well, in the others.

        Raises as :meth:`first_alone`.
        """
        made: list[T] = []
        self.first_alone(lambda: made.append(make()))
        return made[0] if made else make()

    def dealt(self, batches: Iterable[T]) -> Iterator[tuple[T, bool]]:
        """Of ``batches``, those of this process, and whether each counts.

        All get equally many, since a sharded network is run by all at once: where they do not come
        out even, some get one that is another's as well and does not count.
        """
        waiting = iter(batches)
        while round := list(islice(waiting, self.count)):
            counts = self.rank < len(round)
            yield round[self.rank if counts else 0], counts


ALONE = Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """Those that ``torchrun`` has started with this one, or :data:`ALONE`.

    They speak by NCCL where there are GPUs, one to each process, else by Gloo. Within, an error
    that the first has had too is told by the first alone: the others leave with the same exit
    code. Raises :class:`ProcessLostError` when another has gone, and :class:`InvalidRequestError`
    for more processes than GPUs.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in os.environ or "MASTER_ADDR" not in os.environ:
        yield ALONE
        return
    rank, device = int(os.environ["RANK"]), CPU
    if torch.cuda.is_available():
        here, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if here >= gpus:
            raise InvalidRequestError(
                "nproc-per-node",
                f"process {here + 1} of this machine has no GPU: it has {gpus}",
                remedy="Start no more processes than GPUs; CUDA_VISIBLE_DEVICES= takes the CPU.",
            )
        torch.cuda.set_device(here)
        device = torch.device("cuda")
    store, _, _ = next(rendezvous("env://"))
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=count)
    try:
        yield Processes(rank, count, device)
    except Exception as error:
        said = _named(error)
        if rank == 0:
            store.set(FAILED, "")
        elif _told(store):
            raise SystemExit(getattr(said, "exit_code", 1)) from None
        raise said from error
    finally:
        dist.destroy_process_group()


def _named(error: Exception) -> Exception:
    """A broken connection as what it means; anything else as it is."""
    words = str(error)
    if isinstance(error, dist.DistError) or "Connection" in words or "gloo" in words:
        return ProcessLostError(
            "another process of this run has ended or cannot be reached",
            remedy="What it said of it, if anything, stands above. Start all again with --resume.",
        )
    return error


def _told(store: Store) -> bool:
    """Whether the first process has failed too, by now or soon."""
    try:
        store.wait([FAILED], PATIENCE)
    except Exception:  # its time has run out, or the store has gone with the first
        return False
    return True


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for tensor in tensors:
        if bucket and sum(each.numel() for each in bucket) + tensor.numel() > BUCKET:
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
