from __future__ import annotations

from pathlib import Path

import pytest
import torch

from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.nn.decoder import Decoder
from studiolo.training.check import Trial
from studiolo.training.reward import EPSILON, Trials, Trier
from studiolo.training.start import read_start


@pytest.fixture(scope="module")
def spelt(tiny: str) -> Tokenizer:
    return Tokenizer.from_directory(Path(tiny))


@pytest.fixture
def decoder(tiny: str) -> Decoder:
    return read_start(tiny).decoder(torch.device("cpu"))


def trier(decoder: Decoder, spelt: Tokenizer, seed: int = 1) -> Trier:
    return Trier(decoder, spelt, longest=6, temperature=1.0, seed=seed)


def trials(spelt: Tokenizer) -> list[Trial]:
    prompts = ["the cat", "after the rain the", "sat"]
    return [Trial(tuple(spelt.encode(p)), lambda text: "t" in text) for p in prompts]


def test_the_gradient_is_that_of_the_paper(decoder: Decoder, spelt: Tokenizer) -> None:
    batch = Trials(trials(spelt), batch=2, group=6, seed=1).at(0)
    learner = trier(decoder, spelt)
    found = learner.loss(batch)
    total, count, rewards = torch.zeros(()), 0, []
    for trial, group in learner._answered(batch, learner._drawn):
        gains = torch.tensor([float(trial.right(spelt.decode(ids))) for ids in group])
        rewards.append(gains)
        gains = (gains - gains.mean()) / (gains.std(correction=0) + EPSILON)
        for gain, ids in zip(gains, group, strict=True):
            whole = torch.tensor([[*trial.prompt, *ids]])
            scores = decoder.logits(decoder(whole[:, :-1]))[0].log_softmax(-1)
            each = scores.gather(1, whole[0, 1:, None]).squeeze(1)[len(trial.prompt) - 1 :]
            total = total - gain * each.sum()
            count += len(ids)
    reference = total / count
    assert 0 < float(torch.cat(rewards).mean()) < 1
    assert float(found.parts["reward"]) == pytest.approx(float(torch.cat(rewards).mean()))
    torch.testing.assert_close(found.total, reference, rtol=1e-4, atol=1e-5)
    parameters = list(decoder.parameters())
    ours = torch.autograd.grad(found.total, parameters)
    theirs = torch.autograd.grad(reference, parameters)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)


def test_answers_are_drawn_by_seed_and_number(decoder: Decoder, spelt: Tokenizer) -> None:
    reading = Trials(trials(spelt), batch=2, group=4, seed=1)

    def answers(seed: int, number: int) -> list[list[tuple[int, ...]]]:
        learner = trier(decoder, spelt, seed)
        return [group for _, group in learner._answered(reading.at(number), learner._drawn)]

    assert answers(1, 0) == answers(1, 0)
    assert answers(1, 0) != answers(2, 0)
    assert len({ids for group in answers(1, 0) for ids in group}) > 4


def test_all_alike_teaches_nothing(decoder: Decoder, spelt: Tokenizer) -> None:
    known = [Trial(each.prompt, lambda text: True) for each in trials(spelt)]
    found = trier(decoder, spelt).loss(Trials(known, batch=2, group=4, seed=1).at(0))
    assert found.total.item() == 0.0
    assert float(found.parts["reward"]) == 1.0


def test_it_is_judged_by_the_likeliest_answer(decoder: Decoder, spelt: Tokenizer) -> None:
    (batch,) = Trials(trials(spelt), batch=3, group=1, seed=1).sweep()
    learner = trier(decoder, spelt)
    assert learner.judged(batch) == learner.judged(batch)
    assert 3 * learner.judged(batch)["loss"] == pytest.approx(
        round(3 * learner.judged(batch)["loss"])
    )
