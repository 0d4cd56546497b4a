from __future__ import annotations

import torch
import torch.nn.functional as F

from studiolo.training.distil import Pupil
from studiolo.training.language import NextToken, new_decoder
from tests.training.test_language import CPU, blocks, config
from tests.training.test_preference import decoder


def test_loss_and_gradients_are_those_of_whole_distributions() -> None:
    student, teacher = new_decoder(config(), 3, CPU), decoder()
    (batch, *_) = blocks([0, 5, 6, 12, 100]).sweep()
    found = Pupil(student, teacher, 2.0).loss(batch).total
    counted = batch.targets >= 0
    with torch.no_grad():
        taught = teacher.logits(teacher(batch.inputs, documents=batch.documents))[counted]
    made = student.logits(student(batch.inputs, documents=batch.documents))[counted]
    reference = 4.0 * F.kl_div(
        (made / 2).log_softmax(-1), (taught / 2).softmax(-1), reduction="batchmean"
    )
    torch.testing.assert_close(found, reference, rtol=1e-5, atol=1e-5)
    parameters = list(student.parameters())
    ours = torch.autograd.grad(found, parameters)
    theirs = torch.autograd.grad(reference, parameters)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_it_is_judged_by_the_text_itself() -> None:
    student = new_decoder(config(), 3, CPU)
    batch = blocks([0]).at(0)
    assert Pupil(student, decoder(), 2.0).judged(batch) == NextToken(student).judged(batch)
