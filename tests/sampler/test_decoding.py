"""Frequencies against closed forms, composition against ``transformers``, and seeds."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from studiolo.errors import StudioloError
from studiolo.sampler.decoding import adjust, draw, generator, pick, shape
from studiolo.sampler.history import History
from studiolo.sampler.settings import Decoding

# "After the rain, the streets were ...": the probabilities of docs/sampler.md.
STREETS = {
    "wet": 0.40,
    "flooded": 0.25,
    "slippery": 0.15,
    "empty": 0.05,
    "quiet": 0.05,
    "shining": 0.04,
    "muddy": 0.03,
    "purple": 0.03,
}
WORDS = list(STREETS)
P = torch.tensor(list(STREETS.values()), dtype=torch.float64)
LOGITS = P.log().float()
WET, FLOODED, SLIPPERY, EMPTY = range(4)
# "wet" was in the prompt and was generated once, "flooded" was generated twice.
SAID = History([WET], [WET, FLOODED, FLOODED])


def only(*kept: int) -> Tensor:
    mask = torch.zeros(len(WORDS), dtype=torch.float64)
    mask[list(kept)] = 1
    return mask


def factors(**by_word: float) -> Tensor:
    return torch.tensor([by_word.get(word, 1.0) for word in WORDS], dtype=torch.float64)


# Settings, and what a word's frequency is proportional to, worked out by hand.
CLOSED_FORMS: dict[str, tuple[dict[str, object], Tensor]] = {
    "plain": ({}, P),
    "greedy": ({"temperature": 0}, only(WET)),
    "cold": ({"temperature": 0.5}, P**2),
    "hot": ({"temperature": 2.0}, P**0.5),
    "top_k": ({"top_k": 3}, P * only(WET, FLOODED, SLIPPERY)),
    "top_k_tie": ({"top_k": 4}, P * only(WET, FLOODED, SLIPPERY, EMPTY)),
    "top_p": ({"top_p": 0.6}, P * only(WET, FLOODED)),
    "min_p": ({"min_p": 0.2}, P * only(WET, FLOODED, SLIPPERY)),
    # Entropy is 1.64 nats; the surprise of "flooded" is 1.39, of "slippery" 1.90, of "wet" 0.92.
    "typical": ({"typical_p": 0.35}, P * only(FLOODED, SLIPPERY)),
    "logit_bias": ({"logit_bias": {WET: -100, EMPTY: 2}}, P * factors(wet=0, empty=math.e**2)),
    # The logits are ln p < 0, so a seen word's probability is raised to the penalty.
    "repetition": ({"repetition_penalty": 1.5}, P * factors(wet=0.4**0.5, flooded=0.25**0.5)),
    "presence": ({"presence_penalty": 1.0}, P * factors(wet=1 / math.e, flooded=1 / math.e)),
    "frequency": ({"frequency_penalty": 0.5}, P * factors(wet=math.e**-0.5, flooded=1 / math.e)),
    # Squared, the three are 0.16 : 0.0625 : 0.0225, so the first two hold 0.91 of them;
    # without the temperature, or with top-p first, three would stay.
    "in order": (
        {"temperature": 0.5, "top_k": 3, "top_p": 0.9},
        P**2 * only(WET, FLOODED),
    ),
}


@pytest.mark.proof
@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_frequencies_are_the_closed_form(name: str, proof: Callable[..., int]) -> None:
    """Each strategy's draws on a toy distribution, within sampling error of the closed form."""
    count = proof("sampling-frequencies", short=20_000, full=100_000)
    values, form = CLOSED_FORMS[name]
    settings = Decoding.checked(**values)
    expected = form / form.sum()
    rng, again = (torch.Generator().manual_seed(2024) for _ in range(2))
    # The history stands still, so one shaping serves for all draws, as `pick` confirms.
    shaped = shape(LOGITS, SAID, settings)
    tokens = [draw(shaped, rng) for _ in range(count)]
    assert [pick(LOGITS, SAID, settings, again) for _ in range(200)] == tokens[:200]
    drawn = Counter(tokens)
    for token, probability in enumerate(expected.tolist()):
        error = 4.5 * math.sqrt(count * probability * (1 - probability))
        assert abs(drawn[token] - count * probability) <= error, WORDS[token]
    squares = sum(
        (drawn[token] - count * probability) ** 2 / (count * probability)
        for token, probability in enumerate(expected.tolist())
        if probability > 1e-6
    )
    freedom = int((expected > 1e-6).sum()) - 1
    # Wilson and Hilferty 1931: the chi-square's quantile at 4 standard deviations.
    ninth = 2 / (9 * max(freedom, 1))
    assert squares <= freedom * (1 - ninth + 4 * math.sqrt(ninth)) ** 3


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_shape_is_the_closed_form(name: str) -> None:
    values, form = CLOSED_FORMS[name]
    shaped = shape(LOGITS, SAID, Decoding.checked(**values)).double().softmax(-1)
    torch.testing.assert_close(shaped, form / form.sum(), atol=1e-6, rtol=1e-5)


def test_the_page_shows_these_numbers() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sampler.md").read_text(encoding="utf-8")
    assert "| setting | " + " | ".join(WORDS) + " |" in page
    rows = re.findall(r"^\| (all off|`[a-z_]+=.*`) \|(.*)\|$", page, flags=re.MULTILINE)
    assert len(rows) == 13
    for setting, cells in rows:
        values = {} if setting == "all off" else eval(f"dict({setting.strip('`')})")
        shaped = shape(LOGITS, SAID, Decoding.checked(**values)).double().softmax(-1)
        shown = [float(cell) for cell in cells.split("|")]
        assert shown == pytest.approx(shaped.tolist(), abs=0.00051), setting


def test_composition_equals_generate_of_transformers() -> None:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=97, n_embd=16, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=96)
    ).eval()
    # Random tiny models are near uniform; make the distribution one worth cutting.
    model.transformer.wte.weight.data *= 12
    prompt = torch.randint(97, (1, 8))
    out = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=24,
        min_new_tokens=24,
        pad_token_id=0,
        eos_token_id=96,
        do_sample=True,
        temperature=0.8,
        top_k=30,
        top_p=0.95,
        min_p=0.01,
        typical_p=0.97,
        repetition_penalty=1.2,
        sequence_bias=[[[5], 1.5], [[96], -100.0]],
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
    )
    settings = Decoding.checked(
        temperature=0.8,
        top_k=30,
        top_p=0.95,
        min_p=0.01,
        typical_p=0.97,
        repetition_penalty=1.2,
        logit_bias={5: 1.5, 96: -100.0},
    )
    history = History(prompt[0].tolist())
    kept = []
    for step, (raw, processed) in enumerate(zip(out.logits, out.scores, strict=True)):
        raw = raw[0].clone()
        raw[96] = -torch.inf  # min_new_tokens
        ours = shape(raw, history, settings)
        torch.testing.assert_close(ours, processed[0], msg=f"step {step}")
        kept.append(int((ours > -torch.inf).sum()))
        history.append(int(out.sequences[0, 8 + step]))
    assert len(set(kept)) > 3, "the cuts hardly differed: the comparison shows little"


def test_greedy_takes_the_first_of_equals_and_no_uniform() -> None:
    rng = torch.Generator().manual_seed(5)
    state = rng.get_state()
    logits = torch.zeros(1000)
    logits[[400, 300, 900]] = 2.0
    settings = Decoding.checked(temperature=0, top_p=0.5)
    assert pick(logits, History(), settings, rng) == 300
    assert torch.equal(rng.get_state(), state)
    assert torch.nonzero(shape(logits, History(), settings) > -torch.inf).tolist() == [[300]]


def test_greedy_heeds_bias_and_penalties() -> None:
    settings = Decoding.checked(temperature=0, frequency_penalty=0.5)
    rng = torch.Generator()
    # wet 0.40·e^-0.5 = 0.24 > slippery 0.15 > flooded 0.25·e^-1 = 0.09
    assert pick(LOGITS, SAID, settings, rng) == WET
    settings = Decoding.checked(temperature=0, logit_bias={WET: -100})
    assert pick(LOGITS, SAID, settings, rng) == FLOODED


def test_a_draw_takes_exactly_one_uniform() -> None:
    ours, theirs = (torch.Generator().manual_seed(11) for _ in range(2))
    for values in ({}, {"top_k": 1}, {"temperature": 0.7, "top_k": 3, "top_p": 0.95}):
        pick(LOGITS, History(), Decoding.checked(**values), ours)
        torch.rand((), dtype=torch.float64, generator=theirs)
        assert torch.equal(ours.get_state(), theirs.get_state())


@pytest.mark.parametrize("size", [3, 512, 513, 5_000])
def test_a_draw_inverts_the_distribution_function(size: int) -> None:
    logits = torch.randn(size, generator=torch.Generator().manual_seed(size)) * 2
    logits[::3] = -torch.inf
    running = logits.double().softmax(-1).cumsum(-1)
    ours, theirs = (torch.Generator().manual_seed(3) for _ in range(2))
    for _ in range(300):
        uniform = torch.rand((), dtype=torch.float64, generator=theirs)
        assert draw(logits, ours) == int(torch.searchsorted(running, uniform, right=True))


@given(
    st.lists(st.sampled_from([-math.inf, -800.0, -50.0, 0.0, 88.0]), min_size=1, max_size=1200),
    st.sampled_from([0.0, 0.25, 1 - 2**-53]),
)
def test_no_uniform_draws_what_has_no_probability(values: list[float], uniform: float) -> None:
    logits = torch.tensor(values)
    if logits.max() == -torch.inf:
        return
    probabilities = logits.double().softmax(-1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "rand", lambda *_, **__: torch.tensor(uniform, dtype=torch.float64))
        assert probabilities[draw(logits, torch.Generator())] > 0


def test_what_cannot_be_drawn_from_says_so() -> None:
    rng, settings = torch.Generator(), Decoding()
    for bad in (math.nan, math.inf):
        logits = torch.tensor([0.0, bad, 1.0])
        for values in ({"temperature": 0}, {}, {"top_k": 1}):
            with pytest.raises(StudioloError, match=f"the largest of .* is {bad}"):
                pick(logits, History(), Decoding.checked(**values), rng)
        with pytest.raises(StudioloError, match="no token can be chosen"):
            draw(logits, rng)
    nothing = torch.full((4,), -torch.inf)
    for attempt in (
        lambda: pick(nothing, History(), settings, rng),
        lambda: draw(nothing, rng),
        lambda: shape(nothing, History(), settings),
        lambda: adjust(torch.empty(0), History(), settings),
    ):
        with pytest.raises(StudioloError, match="every one is excluded"):
            attempt()


def test_inputs_are_left_alone() -> None:
    logits = LOGITS.clone()
    for values, _ in CLOSED_FORMS.values():
        pick(logits, SAID, Decoding.checked(**values), torch.Generator().manual_seed(0))
    assert torch.equal(logits, LOGITS)
    assert list(SAID.generated) == [WET, FLOODED, FLOODED]


DRAWS = """
import torch
from studiolo.sampler.decoding import pick
from studiolo.sampler.history import History
from studiolo.sampler.settings import Decoding

def text(seed, **values):
    settings, history = Decoding.checked(**values), History([1, 2, 3])
    rng = torch.Generator().manual_seed(seed)
    noise = torch.Generator().manual_seed(99)
    for _ in range(24):
        logits = torch.randn(50_000, generator=noise) * 4
        history.append(pick(logits, history, settings, rng))
    return list(history.generated)

SETTINGS = [
    {},
    {"temperature": 0.7, "top_k": 40, "top_p": 0.95},
    {"typical_p": 0.9, "repetition_penalty": 1.2},
    {"top_p": 0.999, "temperature": 2.0},
    {"min_p": 0.05, "frequency_penalty": 0.4},
]
result = [text(seed, **values) for values in SETTINGS for seed in (0, 1)]
"""


def test_a_seed_draws_the_same_in_every_process_and_with_any_threads() -> None:
    scope: dict[str, list[list[int]]] = {}
    exec(DRAWS, scope)
    here = scope["result"]
    threads = "1" if torch.get_num_threads() > 1 else "2"
    there = subprocess.run(
        [sys.executable, "-c", DRAWS + "print(result)"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": threads},
    )
    assert there.stdout.strip() == repr(here)
    assert here[0] != here[1], "two seeds drew the same"


def test_a_seed_draws_what_it_drew_in_earlier_releases() -> None:
    """Receipts promise replay: a change that moves these must be deliberate and announced."""
    rng = torch.Generator().manual_seed(7)
    drawn = [pick(LOGITS, History(), Decoding(), rng) for _ in range(20)]
    assert drawn == GOLDEN


GOLDEN = [0, 0, 4, 2, 5, 3, 0, 1, 2, 2, 0, 0, 0, 0, 0, 3, 0, 6, 0, 7]


def test_every_bit_of_a_seed_counts() -> None:
    """PyTorch's generator looks at 32 of them."""

    def first(seed: int) -> list[float]:
        return torch.rand(4, generator=generator(seed)).tolist()

    seeds = [1, 1 + 2**32, 1 + 2**33, 1 + 2**62, 2**63 - 1, 2**64 - 1, 2**32 - 1]
    assert len({tuple(first(seed)) for seed in seeds}) == len(seeds)
    assert first(7) == torch.rand(4, generator=torch.Generator().manual_seed(7)).tolist()
    assert first(2**63 - 1) == first(2**63 - 1)
