from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from studiolo.family.contract import Loss
from studiolo.training.checkpoint import Checkpoints
from studiolo.training.loop import Course, DivergedError, Loop, Pace, Player
from studiolo.training.optimiser import AdamW

TARGET = torch.tensor([1.0, -2.0, 3.0])
PACE = Pace(steps=40, factor=lambda step: 1.0, evaluate=10, checkpoint=4)


def batch(number: int) -> Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(number))


def player(name: str, loss: object = None, rate: float = 0.1) -> Player[Tensor]:
    weight = nn.Parameter(torch.zeros(3))

    def own(x: Tensor) -> Loss:
        # A draw of torch's own stream, as dropout makes one, which must be resumed as well.
        noise = torch.randn(()) * 0.01
        return Loss((x @ weight - x @ TARGET).square().mean() + noise * weight.sum())

    optimiser = AdamW({"w": weight}, rate=rate, betas=(0.9, 0.9), weight_decay=0.0)
    return Player(name, {"w": weight}, loss or own, optimiser)  # type: ignore[arg-type]


def make(
    folder: Path, pace: Pace = PACE, players: Sequence[Player[Tensor]] | None = None
) -> Loop[Tensor]:
    mine = players or [player("one")]
    weight = mine[0].parameters["w"]
    return Loop(
        players=mine,
        batch=batch,
        size=len,
        pace=pace,
        evaluate=lambda: float((weight.detach() - TARGET).square().sum()),
        checkpoints=Checkpoints(folder),
    )


def weight(loop: Loop[Tensor]) -> Tensor:
    return loop.players[0].parameters["w"].detach()


class Seen:
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.evaluations: list[tuple[int, float]] = []

    def step(self, course: Course, loss: float, norm: float, rate: float) -> None:
        self.steps.append(course.step)

    def evaluated(self, course: Course, validation: float) -> None:
        self.evaluations.append((course.step, validation))


def test_it_learns_and_tells(tmp_path: Path) -> None:
    loop, seen = make(tmp_path), Seen()
    loop.watchers = [seen]
    assert loop.run()
    assert seen.steps == list(range(1, 41))
    assert [step for step, _ in seen.evaluations] == [10, 20, 30, 40]
    assert seen.evaluations[-1][1] < 0.5 * seen.evaluations[0][1]
    assert loop.course.tokens == 200
    assert loop.course.best == min(loss for _, loss in seen.evaluations)
    assert loop.checkpoints.steps()[-1] == 40


@pytest.mark.parametrize("average", [None, 0.9])
@pytest.mark.parametrize("at", [1, 7, 10, 39])
def test_a_stopped_run_goes_on_to_the_same_bits(
    tmp_path: Path, at: int, average: float | None
) -> None:
    pace = replace(PACE, average=average, accumulate=2, clip=1.0)
    torch.manual_seed(5)
    whole = make(tmp_path / "whole", pace)
    assert whole.run()
    torch.manual_seed(5)
    first = make(tmp_path / "parts", pace)
    first.stop = lambda: first.course.step == at
    assert not first.run()
    torch.manual_seed(6)
    second = make(tmp_path / "parts", pace)
    saved = second.checkpoints.newest()
    assert saved is not None
    assert saved.step == at
    second.resume(saved)
    assert second.run()
    assert torch.equal(weight(second), weight(whole))
    assert replace(second.course, seconds=0) == replace(whole.course, seconds=0)
    for loop in (whole, second):
        loop.keep_best()
    assert torch.equal(weight(second), weight(whole))


def test_accumulated_batches_are_one_large_one(tmp_path: Path) -> None:
    def plain(own: nn.Parameter, x: Tensor) -> Loss:
        return Loss((x @ own - x @ TARGET).square().mean())

    found = []
    for accumulate in (1, 4):
        mine = player("one")
        mine = replace(mine, loss=partial(plain, mine.parameters["w"]))
        loop = make(
            tmp_path / str(accumulate), replace(PACE, steps=1, accumulate=accumulate), [mine]
        )
        if accumulate == 1:
            loop.batch = lambda number: torch.cat([batch(i) for i in range(4)])
        loop.run()
        found.append(weight(loop))
    torch.testing.assert_close(found[0], found[1])


def test_players_move_in_turn_each_its_own_weights(tmp_path: Path) -> None:
    """A game with a saddle: one lowers what the other raises."""
    one, two = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    losses = {"one": lambda x: Loss((one * two).sum()), "two": lambda x: Loss((-one * two).sum())}
    players = [
        Player(
            name,
            {"w": own},
            losses[name],
            AdamW({"w": own}, rate=0.01, betas=(0.0, 0.9), weight_decay=0.0),
        )
        for name, own in (("one", one), ("two", two))
    ]
    loop = make(tmp_path, replace(PACE, steps=1), players)
    loop.run()
    assert float(one.detach()) == pytest.approx(0.99)
    assert float(two.detach()) == pytest.approx(1.01)
    saved = loop.checkpoints.newest()
    assert saved is not None
    assert {"weights.one.w", "weights.two.w", "optimiser.two.w.exp_avg"} <= set(saved.tensors)


def test_a_loss_that_is_no_number_stops_with_its_batch_and_the_last_good_checkpoint(
    tmp_path: Path,
) -> None:
    mine = player("one")

    def breaking(x: Tensor) -> Loss:
        loss = mine.loss(x)
        return Loss(loss.total * (math.nan if torch.equal(x, batch(13)) else 1.0))

    loop = make(tmp_path, replace(PACE, accumulate=2), [replace(mine, loss=breaking)])
    with pytest.raises(DivergedError, match=r"step 7, batch 13: the loss of one is nan.*step 4"):
        loop.run()
    assert loop.checkpoints.steps() == [4]
    saved = loop.checkpoints.newest()
    assert saved is not None
    assert all(
        bool(torch.isfinite(t).all()) for t in saved.tensors.values() if t.is_floating_point()
    )


def test_a_gradient_that_is_no_number_stops_before_it_moves_anything(tmp_path: Path) -> None:
    mine = player("one")
    own = mine.parameters["w"]
    broken = replace(mine, loss=lambda x: Loss(own.square().sum().sqrt()))
    with pytest.raises(DivergedError, match=r"batch 0: the gradient of one has the norm nan.*none"):
        make(tmp_path, players=[broken]).run()
    assert own.tolist() == [0.0] * 3


def test_weights_that_are_no_numbers_are_never_saved(tmp_path: Path) -> None:
    loop = make(tmp_path)
    loop.run()
    with torch.no_grad():
        loop.players[0].parameters["w"][0] = math.inf
    loop.course.step = 99
    with pytest.raises(DivergedError, match="a weight"):
        loop.save()
    assert loop.checkpoints.steps()[-1] == 40


def test_it_gives_up_when_nothing_is_gained_and_the_best_are_kept(tmp_path: Path) -> None:
    loop = make(tmp_path, replace(PACE, evaluate=1, patience=3))
    losses = iter([3.0, 2.0, 5.0, 5.0, 5.0, 1.0])
    loop.evaluate = lambda: next(losses)
    assert loop.run()
    assert (loop.course.step, loop.course.best_step, loop.course.best) == (5, 2, 2.0)
    last = weight(loop).clone()
    loop.keep_best()
    assert not torch.equal(weight(loop), last)
    assert 2 in loop.checkpoints.steps()


def test_what_is_evaluated_and_kept_is_the_average_where_there_is_one(tmp_path: Path) -> None:
    loop = make(tmp_path, replace(PACE, average=0.99))
    seen: list[Tensor] = []

    def evaluate() -> float:
        seen.append(weight(loop).clone())
        return 1.0 / len(seen)

    loop.evaluate = evaluate
    loop.run()
    assert loop.average is not None
    assert torch.equal(seen[-1], loop.average.values["one.w"])
    assert not torch.equal(seen[-1], weight(loop))
    loop.keep_best()
    assert torch.equal(seen[-1], weight(loop))


def test_mixed_precision_is_that_of_the_loss_and_weights_stay_float32(tmp_path: Path) -> None:
    seen: list[torch.dtype] = []
    own = nn.Parameter(torch.zeros(3, 1))

    def loss(x: Tensor) -> Loss:
        product = x @ own
        seen.append(product.dtype)
        return Loss((product.float() - 1).square().mean())

    optimiser = AdamW({"w": own}, rate=0.1, betas=(0.9, 0.9), weight_decay=0.0)
    pace = replace(PACE, steps=2, precision=torch.bfloat16)
    make(tmp_path, pace, [Player("one", {"w": own}, loss, optimiser)]).run()
    assert set(seen) == {torch.bfloat16}
    assert own.dtype == torch.float32
    assert bool((own != 0).all())
