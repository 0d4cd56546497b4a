"""The same bits alone and in any company; near the float decoder; pages that forks share."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from studiolo.bundle.layout import load_decoder, load_packed
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.store import open_installed
from studiolo.errors import InterruptedStepError
from studiolo.nn.adapter import Adaptation
from studiolo.nn.config import DecoderConfig, LayerConfig, RopeConfig
from studiolo.nn.native import Native, best_player, levels
from studiolo.nn.network import PAGE, Piece
from studiolo.nn.packed_decoder import ROWS, PackedDecoder, PagedCache
from studiolo.nn.tape import CACHED, Player
from tests import reference
from tests.nn.packs import FORMS, RandomNetwork, merged, random_adapter, read, same
from tests.texts import prose, real_texts

CONFIG = DecoderConfig(
    architecture="test",
    vocabulary=60,
    width=40,
    heads=6,
    kv_heads=2,
    head_size=10,
    mlp_width=50,
    context=512,
    layers=(LayerConfig(sliding=True), LayerConfig()),
    qk_norm=True,
    window=40,
    rope=RopeConfig(kind="dynamic", factor=2.0, original_context=30),
    local_rope=RopeConfig(base=300.0),
)


def players() -> list[Player]:
    """Every level, on one thread and on two; the specification where there is no library."""
    return [Native(level=level, threads=n) for level in levels() for n in (1, 2)] or [best_player()]


def network(player: Player) -> PackedDecoder:
    return RandomNetwork(CONFIG, 0, FORMS["Q4_1"]).on(player)


@dataclass
class Reader:
    """A request on its way: what it reads, how far it is, and what it must come to."""

    tokens: list[int]
    adapter: Adaptation | None
    expected: Tensor
    cache: PagedCache
    at: int = 0


class Company:
    """Requests that are read together in random portions by random players, with adapters and
    without; every score is held to what the request gets alone, read at once."""

    def __init__(self, decoder: PackedDecoder, texts: list[list[int]], seed: int) -> None:
        self.decoder, self.rng = decoder, np.random.default_rng(seed)
        self.players = players()
        adapters = [decoder.adapt(random_adapter(decoder.config, i)) for i in range(3)]
        worn = [None, *adapters, None]
        self.alone = [
            (text, worn[i % 5], read(decoder, text, adapter=worn[i % 5]))
            for i, text in enumerate([*texts, *texts])
        ]
        self.readers: list[Reader] = []
        self.compared = 0

    def join(self) -> None:
        text, worn, expected = self.alone[int(self.rng.integers(len(self.alone)))]
        self.readers.append(Reader(text, worn, expected, self.decoder.new_cache()))

    def fork(self, reader: Reader) -> None:
        """At the end, or at a boundary of pages somewhere before it."""
        pages = reader.at // PAGE
        at = None if self.rng.random() < 0.5 or not pages else int(self.rng.integers(pages + 1))
        cache = reader.cache.fork(None if at is None else at * PAGE)
        self.readers.append(replace(reader, cache=cache, at=cache.length))

    def step(self, most: int) -> None:
        """``most``: requests in one step. Half of them decode, half read some of a prompt."""
        chosen = self.rng.permutation(len(self.readers))[:most]
        pieces, readers = [], []
        for reader in (self.readers[i] for i in chosen):
            left = len(reader.tokens) - reader.at
            count = 1 if self.rng.random() < 0.5 else int(self.rng.integers(1, left + 1))
            wanted = int(self.rng.integers(0, count + 1))
            tokens = reader.tokens[reader.at : reader.at + count]
            pieces.append(Piece(tokens, reader.cache, wanted, reader.adapter))
            readers.append(reader)
        player = self.players[int(self.rng.integers(len(self.players)))]
        decoder = PackedDecoder(self.decoder.config, self.decoder.tape, player)
        for reader, piece, scores in zip(readers, pieces, decoder.step(pieces), strict=True):
            reader.at += len(piece.tokens)
            assert reader.cache.length == reader.at
            assert scores.shape == (piece.wanted, self.decoder.config.vocabulary)
            assert same(scores, reader.expected[reader.at - piece.wanted : reader.at])
            self.compared += piece.wanted
        for reader in readers:
            if self.rng.random() < 0.1 and len(self.readers) < 80:
                self.fork(reader)
        self.readers = [r for r in self.readers if r.at < len(r.tokens)]

    def run(self, steps: int, sizes: tuple[int, ...]) -> None:
        for _ in range(steps):
            size = int(self.rng.choice(sizes))
            while len(self.readers) < size:
                self.join()
            self.step(size)


@pytest.fixture(scope="module")
def tiny_network() -> PackedDecoder:
    return network(best_player())


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), size=st.sampled_from([1, 2, 7, 16, 64]))
def test_a_request_is_the_same_in_any_company(
    seed: int, size: int, tiny_network: PackedDecoder
) -> None:
    rng = np.random.default_rng(seed)
    lengths = [1, 2, PAGE - 1, PAGE, PAGE + 1, 90]
    texts = [rng.integers(0, CONFIG.vocabulary, n).tolist() for n in lengths]
    company = Company(tiny_network, texts, seed)
    company.run(6, (size,))
    assert company.compared > 0


@pytest.mark.proof
@pytest.mark.timeout(7200)
def test_the_starter_in_company(starter: Path, proof: Callable[..., int]) -> None:
    """Random steps of the starter, in any company, cutting, forking: bits as when alone."""
    steps = proof("batch-invariance", short=5, full=3000)
    opened = OpenBundle.of(open_installed(starter))
    decoder = load_packed(opened.checkpoint, best_player())
    ids = opened.tokenizer.encode("".join(real_texts(2)))
    texts = [ids[at : at + n] for at, n in ((0, 45), (60, 33), (200, 64))]
    if steps > 1000:
        texts += [ids[at : at + n] for at, n in ((300, 200), (500, 131), (700, 1))]
    company = Company(decoder, texts, steps)
    company.run(steps, (1, 2, 7, 16) if steps < 1000 else (1, 2, 7, 16, 64))
    assert company.compared > steps


@pytest.mark.parametrize("cut", [1, PAGE - 1, PAGE, PAGE + 1, 69])
def test_every_cutting_of_a_prompt(cut: int, tiny_network: PackedDecoder) -> None:
    tokens = np.random.default_rng(1).integers(0, CONFIG.vocabulary, 70).tolist()
    assert same(read(tiny_network, tokens, cut), read(tiny_network, tokens))


def test_a_fork_shares_full_pages_and_goes_its_own_way(tiny_network: PackedDecoder) -> None:
    rng = np.random.default_rng(2)
    tokens, others = (rng.integers(0, CONFIG.vocabulary, 100).tolist() for _ in range(2))
    cache = tiny_network.new_cache()
    read(tiny_network, tokens[:70], cache=cache)
    fork, early = cache.fork(), cache.fork(PAGE)
    assert (cache.length, fork.length, early.length) == (70, 70, PAGE)
    shared = set(cache.parts) & set(fork.parts)
    assert len(shared) == 2
    assert set(early.parts) < shared
    page = tiny_network.cache_bytes(1)
    assert cache.parts == dict.fromkeys(cache.parts, page)
    assert sum(cache.parts.values()) == tiny_network.cache_bytes(70) == 3 * page
    # Each goes on with something else; none disturbs another.
    got = read(tiny_network, others[70:], cache=fork)
    assert same(got, read(tiny_network, tokens[:70] + others[70:])[70:])
    got = read(tiny_network, others[PAGE:], cache=early)
    assert same(got, read(tiny_network, tokens[:PAGE] + others[PAGE:])[PAGE:])
    got = read(tiny_network, tokens[70:], cache=cache)
    assert same(got, read(tiny_network, tokens)[70:])


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_pasts_that_are_cut_anywhere_write_to_no_page_of_others(
    seed: int, tiny_network: PackedDecoder
) -> None:
    rng = np.random.default_rng(seed)

    def text(count: int) -> list[int]:
        return [int(token) for token in rng.integers(0, CONFIG.vocabulary, count)]

    pasts: list[tuple[list[int], PagedCache]] = [([], tiny_network.new_cache())]
    for _ in range(14):
        tokens, cache = pasts[int(rng.integers(len(pasts)))]
        match rng.integers(3):
            case 0:
                new = text(int(rng.integers(1, 50)))
                read(tiny_network, new, cache=cache)
                tokens += new
            case 1:
                pages = int(rng.integers(len(tokens) // PAGE + 2)) * PAGE
                length = pages if pages <= len(tokens) else None
                pasts.append((tokens[:length], cache.fork(length)))
            case 2:
                length = int(rng.integers(max(0, len(tokens) - 40), len(tokens) + 1))
                cache.truncate(length)
                del tokens[length:]
        assert cache.length == len(tokens)
        assert sum(cache.parts.values()) == tiny_network.cache_bytes(len(tokens))
    for tokens, cache in pasts:
        new = text(3)
        expected = read(tiny_network, [*tokens, *new])[len(tokens) :]
        assert same(read(tiny_network, new, cache=cache), expected)


def test_more_rows_than_are_played_at_once(tiny_network: PackedDecoder) -> None:
    """Three prompts in one step whose borders do not fall on those of the rows' batches."""
    rng = np.random.default_rng(3)
    texts = [rng.integers(0, CONFIG.vocabulary, n).tolist() for n in (300, 490, 5)]
    assert sum(map(len, texts)) > ROWS
    caches = [tiny_network.new_cache() for _ in texts]
    pieces = [Piece(t, c, w) for t, c, w in zip(texts, caches, (1, 300, 0), strict=True)]
    for text, scores, piece in zip(texts, tiny_network.step(pieces), pieces, strict=True):
        assert piece.cache.length == len(text)
        whole = read(tiny_network, text, 7, 131 % len(text)) if len(text) > 131 else None
        assert scores.shape == (piece.wanted, CONFIG.vocabulary)
        assert whole is None or same(scores, whole[len(text) - piece.wanted :])


@pytest.mark.parametrize("name", reference.MODELS)
def test_near_the_float_decoder(name: str) -> None:
    """Weights rounded to 8 bits, everything else exact enough: 1 to 3 % of the spread."""
    source = reference.checkpoint(reference.make(name))
    ids = torch.randint(3, 97, (40,), generator=torch.Generator().manual_seed(1))
    # Where angles depend on the length, floats take those of the whole prompt, we of each prefix.
    ids = ids[:16] if "dynamic" in name or "longrope" in name else ids
    exact = load_decoder(source)
    with torch.no_grad():
        expected = exact.logits(exact(ids[None]))[0]
    got = read(load_packed(source, best_player()), ids.tolist())
    error = (got - expected).square().mean().sqrt() / expected.std()
    assert 1e-4 < float(error) < 0.04
    divergence = torch.nn.functional.kl_div(
        got.log_softmax(-1), expected.log_softmax(-1), log_target=True, reduction="batchmean"
    )
    assert float(divergence) < 1e-3


@pytest.mark.parametrize("name", ["gpt2", "llama-biased-untied", "qwen2", "qwen3", "gemma3"])
def test_an_adapter_is_near_weights_that_it_was_added_to(name: str) -> None:
    """The float decoder's, with weights that are not rounded: as near as without an adapter."""
    source = reference.checkpoint(reference.make(name))
    ids = torch.randint(3, 97, (40,), generator=torch.Generator().manual_seed(1))
    exact, packed = load_decoder(source), load_packed(source, best_player())
    adapter = random_adapter(packed.config, 7)
    changed = merged(exact, adapter)
    with torch.no_grad():
        plain, expected = (model.logits(model(ids[None]))[0] for model in (exact, changed))
    got = read(packed, ids.tolist(), adapter=packed.adapt(adapter))
    error, change = ((x - expected).norm() / expected.norm() for x in (got, plain))
    assert 1e-4 < float(error) < 0.05
    assert float(change) > 0.3


def test_rows_with_adapters_that_are_not_played_at_once(tiny_network: PackedDecoder) -> None:
    """A prompt that goes on in the next batch of rows, with its adapter and without neighbours'."""
    rng = np.random.default_rng(4)
    texts = [rng.integers(0, CONFIG.vocabulary, n).tolist() for n in (300, 400, 130)]
    one, two = (tiny_network.adapt(random_adapter(CONFIG, seed)) for seed in (1, 2))
    worn = [one, None, two]
    pieces = [
        Piece(text, tiny_network.new_cache(), len(text), each)
        for text, each in zip(texts, worn, strict=True)
    ]
    for text, each, scores in zip(texts, worn, tiny_network.step(pieces), strict=True):
        assert same(scores, read(tiny_network, text, 99, adapter=each))


def test_an_adapter_that_changes_nothing_changes_nothing(tiny_network: PackedDecoder) -> None:
    tokens = np.random.default_rng(5).integers(0, CONFIG.vocabulary, 20).tolist()
    plain = read(tiny_network, tokens)
    silent = random_adapter(CONFIG, 3, (8,))
    for update in silent.updates.values():
        update.up.zero_()
    assert same(read(tiny_network, tokens, adapter=tiny_network.adapt(silent)), plain)
    heard = tiny_network.adapt(random_adapter(CONFIG, 3, (8,)))
    assert (read(tiny_network, tokens, adapter=heard) - plain).abs().max() > 0.1


def test_keys_and_values_in_bfloat16_take_half_and_change_little() -> None:
    whole, half = (
        RandomNetwork(CONFIG, 0, FORMS["Q4_1"]).on(best_player(), cached) for cached in CACHED
    )
    assert half.cache_bytes(70) * 2 == whole.cache_bytes(70)
    assert (whole.identity, half.identity) == ("packed 2", "packed 2 bfloat16 cache")
    tokens = np.random.default_rng(1).integers(0, CONFIG.vocabulary, 70).tolist()
    expected, got = read(whole, tokens), read(half, tokens)
    error = (got - expected).norm() / expected.norm()
    assert 1e-5 < float(error) < 0.02
    for player in players():
        decoder = RandomNetwork(CONFIG, 0, FORMS["Q4_1"]).on(player, "bfloat16")
        assert same(read(decoder, tokens, 1, 33, 40), got)


@pytest.mark.proof
@pytest.mark.timeout(7200)
def test_the_starter_loses_nothing(starter: Path, proof: Callable[..., int]) -> None:
    """Perplexity of the starter's packed integers over real prose: within 0.05 % of float32's."""
    count = proof("packed-quality", short=500, full=20_000)
    opened = OpenBundle.of(open_installed(starter))
    packed = load_packed(opened.checkpoint, best_player())
    exact = load_decoder(opened.checkpoint)
    ids = opened.tokenizer.encode(prose(max(10_000, 6 * count)))[:count]
    assert len(ids) == count
    losses: list[tuple[float, float, float]] = []
    for start in range(0, count, 500):
        window = ids[start : start + 500]
        target = torch.tensor(window[1:])[:, None]
        with torch.inference_mode():
            expected = exact.logits(exact(torch.tensor([window])))[0, :-1].log_softmax(-1)
        got = read(packed, window)[:-1].log_softmax(-1)
        kl = (expected.exp() * (expected - got)).sum(-1)
        pair = (-x.gather(1, target).sum().item() for x in (expected, got))
        losses.append((*pair, kl.sum().item()))  # type: ignore[arg-type]
    floats, integers, divergence = (sum(column) / count for column in zip(*losses, strict=True))
    assert 5 < math.exp(floats) < 100
    assert abs(math.exp(integers - floats) - 1) < 5e-4
    assert 0 <= divergence < 1e-5


def test_a_step_that_was_broken_off_leaves_no_trace() -> None:
    if not levels():
        pytest.skip("no compiled library")
    tokens = [i * 7 % CONFIG.vocabulary for i in range(500)]
    for player in players():
        whole = network(player)
        (wanted,) = whole.step([Piece(tokens, whole.new_cache(), wanted=3)])
        broken = network(player)
        cache = broken.new_cache()
        broken.step([Piece(tokens[:50], cache)])
        twin = cache.fork()
        piece = Piece(tokens[50:], cache, wanted=3)
        broken.interrupt()
        with pytest.raises(InterruptedStepError):
            broken.step([piece])
        assert cache.length == 50
        stop = threading.Event()

        def nag(network: PackedDecoder = broken, stop: threading.Event = stop) -> None:
            while not stop.wait(0.0005):
                network.interrupt()

        nagging = threading.Thread(target=nag)
        nagging.start()
        try:
            for _ in range(30):
                with suppress(InterruptedStepError):
                    broken.step([Piece(tokens[50:], twin.fork())])
        finally:
            stop.set()
            nagging.join()
        with suppress(InterruptedStepError):  # what was asked last
            broken.step([Piece(tokens[50:], twin.fork())])
        assert same(broken.step([piece])[0], wanted)
        assert same(broken.step([Piece(tokens[50:], twin, wanted=3)])[0], wanted)
