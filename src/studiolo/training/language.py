"""A language model as something to train: next-token loss, start values, who optimises what.

Loss: the mean surprise of each next token of packed blocks, in nats, by the fused cross-entropy.
Start: normal with standard deviation :math:`1/\\sqrt{inputs}` for what reads the residual stream,
zero for what writes into it (the output of attention and of the MLP), so that every block begins
as the identity (as in T-Fixup and muP); the embedding table 0.02 (Radford et al. 2019). Drawn
by one generator in a fixed order: a seed means the same everywhere. Knows the decoder; does not
know text, data files or the loop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from studiolo.family.contract import Loss
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.nn.config import DecoderConfig
from studiolo.nn.decoder import Decoder
from studiolo.training.data import TokenBatch
from studiolo.training.losses import IGNORED, fused_cross_entropy, token_surprise
from studiolo.training.muon import Matrix, Muon
from studiolo.training.objective import Reading
from studiolo.training.optimiser import AdamW, Optimiser, Together
from studiolo.training.recipe import OptimiserRecipe

EMBEDDING_DEVIATION = 0.02


class NextToken:
    """The contract's ``Trainable`` over a decoder and batches of :class:`TokenBatch`."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    def loss(self, batch: TokenBatch) -> Loss:
        """Mean cross-entropy in nats per predicted token."""
        decoder = self.decoder
        batch = batch.to(decoder.device)
        hidden = decoder.forward(batch.inputs, documents=batch.documents)
        weight = scores_weight(decoder)
        return Loss(fused_cross_entropy(hidden.flatten(0, 1), weight, batch.targets.flatten()))

    @torch.no_grad()
    def judged(self, batch: TokenBatch) -> dict[str, float]:
        """The same, as a number."""
        return {"loss": float(self.loss(batch).total)}


def scores_weight(decoder: Decoder) -> Tensor:
    """``[V, width]``: what hidden states are multiplied by."""
    return decoder.embed.weight if decoder.head is None else decoder.head.weight


def summed_log_probs(decoder: Decoder, batch: TokenBatch) -> Tensor:
    """Nats ``[B]``: how likely each row's targets are together, given what is before them."""
    return -surprises(decoder, batch).sum(1)


def surprises(decoder: Decoder, batch: TokenBatch) -> Tensor:
    """Nats ``[B, T]``: of each target, 0 where there is none."""
    batch = batch.to(decoder.device)
    hidden = decoder.forward(batch.inputs, documents=batch.documents).flatten(0, 1)
    targets = batch.targets.flatten()
    at = (targets != IGNORED).nonzero().squeeze(1)
    found = token_surprise(hidden[at], scores_weight(decoder), targets[at])
    every = torch.zeros(len(targets), device=found.device).index_put((at,), found)
    return every.view(batch.targets.shape)


def surprise(reading: Reading[TokenBatch], tokenizer: Tokenizer, nats: float) -> dict[str, float]:
    """A mean loss of all targets of ``reading``, in ``nats`` a token, and in bits a byte."""
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    for batch in reading.sweep():
        targets = batch.targets[batch.targets != IGNORED].numpy()
        counts += np.bincount(targets, minlength=len(counts))
    spelt = sum(int(counts[i]) * len(tokenizer.token_bytes(int(i))) for i in counts.nonzero()[0])
    found = {"validation_loss": nats}
    if spelt:
        found["validation_bits_per_byte"] = nats / math.log(2) * int(counts.sum()) / spelt
    return found


def new_decoder(config: DecoderConfig, seed: int, device: torch.device) -> Decoder:
    """A decoder with start values drawn by ``seed``; float32."""
    rng = torch.Generator().manual_seed(seed)
    decoder = Decoder(config)
    for name, parameter in decoder.named_parameters():
        with torch.no_grad():
            if parameter.ndim < 2:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            elif name.endswith(("attention.out.weight", "mlp.down.weight")):
                parameter.zero_()
            elif "blocks" in name:
                parameter.normal_(0, parameter.shape[0] ** -0.5, generator=rng)
            else:
                parameter.normal_(0, EMBEDDING_DEVIATION, generator=rng)
    return decoder.to(device)


def optimiser_for(
    parameters: Mapping[str, nn.Parameter],
    matrices: Mapping[str, Matrix],
    recipe: OptimiserRecipe,
    *,
    rate: float,
    matrix_rate: float,
) -> Optimiser:
    """AdamW over all ``parameters``, but Muon over the ``matrices`` among them."""
    adamw = AdamW(
        {name: p for name, p in parameters.items() if name not in matrices},
        rate=rate,
        betas=(recipe.beta1, recipe.beta2),
        weight_decay=recipe.weight_decay,
    )
    if not matrices:
        return adamw
    muon = Muon(
        matrices,
        rate=matrix_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    return Together({"muon": muon, "adamw": adamw})


def matrices_of(decoder: Decoder) -> dict[str, Matrix]:
    """The matrices between hidden states, by name, with the parts fused in each."""
    found = {}
    for block in range(len(decoder.blocks)):
        for product, (_, outputs) in decoder.config.products.items():
            name = f"blocks.{block}.{product}.weight"
            parameter = decoder.get_parameter(name)
            found[name] = Matrix(parameter, outputs)
    return found
