from __future__ import annotations

import torch

from studiolo.family.autoregressive import Autoregressive
from studiolo.nn.config import DecoderConfig, LayerConfig, RopeConfig
from studiolo.sampler.settings import Decoding
from studiolo.training.language import new_decoder
from studiolo.training.samples import continuation

CONFIG = DecoderConfig(
    architecture="llama",
    vocabulary=11,
    width=8,
    heads=2,
    kv_heads=2,
    head_size=4,
    mlp_width=16,
    context=16,
    layers=(LayerConfig(),),
    rope=RopeConfig(),
)


def model() -> Autoregressive:
    return Autoregressive(new_decoder(CONFIG, 3, torch.device("cpu")))


def test_as_many_tokens_as_were_asked_for_also_beyond_the_context() -> None:
    for count in (1, 15, 100):
        made = continuation(model(), [1, 2, 3], count, 5)
        assert len(made) == count
        assert all(0 <= token < CONFIG.vocabulary for token in made)


def test_a_seed_says_what_is_written() -> None:
    assert continuation(model(), [1], 40, 5) == continuation(model(), [1], 40, 5)
    assert continuation(model(), [1], 40, 5) != continuation(model(), [1], 40, 6)


def test_a_prompt_longer_than_the_context_is_gone_on_from_its_end() -> None:
    greedy = Decoding(temperature=0.0)
    long, end = [1] * 50 + [2, 3, 4, 5, 6, 7, 8, 9], [2, 3, 4, 5, 6, 7, 8, 9]
    assert continuation(model(), long, 8, 0, greedy) == continuation(model(), end, 8, 0, greedy)
