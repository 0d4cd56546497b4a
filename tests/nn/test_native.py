"""The compiled library equals the specification bit for bit, at every level, on any threads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from studiolo.bundle.layout import load_packed
from studiolo.nn import native
from studiolo.nn.adapter import Adaptation, Adapter
from studiolo.nn.config import DecoderConfig, LayerConfig, RopeConfig
from studiolo.nn.native import Native, best_player, default_threads, levels, library
from studiolo.nn.network import Piece
from studiolo.nn.packed import pack
from studiolo.nn.packed_decoder import PackedDecoder
from studiolo.nn.specification import Specification
from studiolo.nn.tape import CACHED, Cached, Player
from tests import reference
from tests.nn.packs import (
    ALL_FORMS,
    RandomNetwork,
    bits,
    compiled,
    product,
    random_adapter,
    random_packed,
    read,
    same,
)

IDS = torch.randint(3, 97, (40,), generator=torch.Generator().manual_seed(1)).tolist()


def test_the_library_is_there_where_it_can_be_built() -> None:
    """Skipping all of this unnoticed would be worse than failing."""
    compiler = any(shutil.which(name) for name in ("c++", "g++", "clang++"))
    if compiler and shutil.which("cmake"):
        assert library() is not None, "cmake and a compiler are here: install the package again"
        assert "portable" in levels()


@compiled
def test_the_best_level_is_taken_and_others_are_refused() -> None:
    assert isinstance(best_player(), Native)
    assert Native().level == levels()[0]
    table = pack(torch.randn(4, 32))
    with pytest.raises((MemoryError, RuntimeError)):
        product(Native(level="a level of another processor"), table, table, [0])


def test_without_the_library_the_specification_plays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "library", lambda: None)
    assert isinstance(native.best_player(), Specification)
    assert native.levels() == ()
    with pytest.raises(RuntimeError, match="not installed"):
        Native()


def test_threads_are_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert default_threads() == 3
    for nonsense in ("", "0", "-2", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", nonsense)
        assert default_threads() >= 1


@compiled
@pytest.mark.parametrize("name", reference.MODELS)
def test_every_architecture(name: str) -> None:
    """A prompt, then few tokens at a time: past every window (7) and into a second page."""
    source = reference.checkpoint(reference.make(name))

    def scores(player: Player) -> Tensor:
        decoder = load_packed(source, player)
        return read(decoder, IDS, 25, 26, 27, 38, 39)

    expected = scores(Specification())
    assert expected.abs().max() > 0.5
    for level, threads in [(levels()[0], 2), *((level, 1) for level in levels())]:
        assert same(scores(Native(level=level, threads=threads)), expected), (level, threads)


SIZES = [(1, 1), (16, 32), (37, 90), (130, 64)]


@compiled
@pytest.mark.parametrize("name", ALL_FORMS)
def test_every_kind_of_matrix_times_any_number_of_rows(name: str) -> None:
    """All remainders of tiles and blocks of outputs; inputs that no group divides."""
    form, rng, threads = ALL_FORMS[name], np.random.default_rng(5), cycle((1, 1, 1, 2, 1, 1, 3))
    sizes = [(n, 256 * (1 + k % 3)) for n, k in SIZES] if form.two_levels else SIZES
    for outputs, inputs in sizes:
        weight = random_packed(form, outputs, inputs, rng)
        table = random_packed(form, 30, inputs, rng)
        tokens = rng.permutation(30).tolist()
        expected = product(Specification(), table, weight, tokens)
        for level in levels():
            for rows in range(1, 31):
                player = Native(level=level, threads=next(threads))
                assert same(product(player, table, weight, tokens[:rows]), expected[:rows]), (
                    outputs,
                    inputs,
                    level,
                    rows,
                )


@compiled
@pytest.mark.parametrize("name", ALL_FORMS)
def test_larger_matrices(name: str) -> None:
    rng = np.random.default_rng(6)
    weight = random_packed(ALL_FORMS[name], 603, 768, rng)
    table = random_packed(ALL_FORMS["Q8_0"], 50, 768, rng)
    tokens = rng.integers(0, 50, 61).tolist()
    expected = product(Specification(), table, weight, tokens)
    for level in levels():
        for threads in (1, 3):
            player = Native(level=level, threads=threads)
            assert same(product(player, table, weight, tokens), expected), (level, threads)


@compiled
def test_rows_that_are_no_numbers_spoil_no_other() -> None:
    """Infinite, undefined, huge, tiny and zero rows, each beside ordinary ones."""
    rng = np.random.default_rng(7)
    table, weight = (random_packed(ALL_FORMS["Q8_0"], n, 96, rng) for n in (40, 33))
    table.scale[::4] = torch.tensor(
        [torch.inf, -torch.inf, torch.nan, 65504.0, 0.0, 2.0**-24, -0.0, torch.nan, 1.0, 6e-8]
    )[:, None]
    tokens = list(range(40))
    expected = product(Specification(), table, weight, tokens)
    undefined = expected.isnan().any(1)
    assert undefined.nonzero().flatten().tolist() == [0, 4, 8, 28]
    assert bool(expected[undefined].isnan().all())
    for level in levels():
        for threads in (1, 2):
            assert same(
                product(Native(level=level, threads=threads), table, weight, tokens), expected
            )


@compiled
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_a_network_that_overflows_does_so_alike(value: float) -> None:
    """What is not finite stays so, in its own row and in those that look at it."""
    config = DecoderConfig(
        architecture="test",
        vocabulary=50,
        width=24,
        heads=4,
        kv_heads=2,
        head_size=6,
        mlp_width=40,
        context=64,
        layers=(LayerConfig(), LayerConfig()),
        activation="relu",
        tied=False,
        rope=RopeConfig(),
    )
    network = RandomNetwork(config, 3)
    embed = network.matrices("embed.weight")[0]
    embed.scale[7] = value  # of token 7; float16 makes 3e38 infinite as well
    tokens = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 7, 11]
    expected = read(network.on(Specification()), tokens)
    assert bool(expected[:6].isfinite().all())
    assert bool(expected[6:].isnan().all())
    for level in levels():
        decoder = network.on(Native(level=level, threads=2))
        assert same(read(decoder, tokens), expected)
        assert same(read(decoder, tokens, 3, 8, 9), expected)


@compiled
@pytest.mark.parametrize("part", ["qkv", "embed", "up", "down"])
def test_weights_at_the_ends_of_their_range(part: str) -> None:
    """Scores that overflow: infinite keys and values meet masks, windows and softmax alike."""
    config = DecoderConfig(
        architecture="test",
        vocabulary=30,
        width=32,
        heads=6,
        kv_heads=1,
        head_size=10,
        mlp_width=33,
        context=64,
        layers=(LayerConfig(sliding=True), LayerConfig()),
        window=5,
        rope=RopeConfig(),
        activation="gelu_tanh",
        norm_eps=1e-30,
    )
    for seed in range(4):
        network = RandomNetwork(config, seed)
        rng = np.random.default_rng(seed)
        for name, pieces in network._drawn.items():
            for piece in pieces if part in name else ():
                chosen = torch.from_numpy(rng.random(piece.scale.shape) < 0.05)
                piece.scale[chosen] = float(rng.choice([65504.0, torch.inf, -65504.0]))
        tokens = rng.integers(0, 30, 40).tolist()
        expected = read(network.on(Specification()), tokens)
        for level in levels():
            assert same(read(network.on(Native(level=level, threads=2)), tokens), expected)


@st.composite
def networks(draw: st.DrawFn) -> RandomNetwork:
    """Every choice a description has, in sizes that no block or group divides."""
    size = draw(st.sampled_from([2, 6, 8, 20, 32, 48]))
    kv_heads, group = draw(st.integers(1, 3)), draw(st.integers(1, 9))
    window = draw(st.sampled_from([None, 1, 7, 33, 40]))
    layers = [
        LayerConfig(sliding=window is not None and draw(st.booleans()), rotary=draw(st.booleans()))
        for _ in range(draw(st.integers(1, 2)))
    ]
    rope = draw(st.sampled_from([None, RopeConfig(), RopeConfig(kind="linear", factor=3.0)]))
    biases: dict[str, Any] = {name: draw(st.booleans()) for name in ("qkv_bias", "out_bias")}
    config = DecoderConfig(
        architecture="test",
        vocabulary=draw(st.sampled_from([5, 32, 97])),
        width=draw(st.sampled_from([1, 15, 40, 64, 256])),
        heads=kv_heads * group,
        kv_heads=kv_heads,
        head_size=size,
        mlp_width=draw(st.sampled_from([1, 31, 80, 256])),
        context=128,
        layers=tuple(layers),
        norm=draw(st.sampled_from(["rms", "layer"])),
        norm_after=draw(st.booleans()),
        qk_norm=draw(st.booleans()),
        activation=draw(st.sampled_from(["silu", "gelu", "gelu_tanh", "relu"])),
        gated=draw(st.booleans()),
        mlp_bias=draw(st.booleans()),
        tied=draw(st.booleans()),
        embedding_scale=draw(st.sampled_from([1.0, 6.93, 0.1])),
        window=window,
        rope=rope,
        local_rope=RopeConfig(base=500.0) if rope and window and draw(st.booleans()) else None,
        **biases,
    )
    form = draw(st.sampled_from([None, *ALL_FORMS.values()]))
    return RandomNetwork(config, draw(st.integers(0, 2**32)), form)


@compiled
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    network=networks(),
    length=st.integers(1, 75),
    cut=st.floats(0, 1),
    seed=st.integers(0, 2**32),
    cached=st.sampled_from(CACHED),
)
def test_any_network_at_all(
    network: RandomNetwork, length: int, cut: float, seed: int, cached: Cached
) -> None:
    tokens = np.random.default_rng(seed).integers(0, network.config.vocabulary, length).tolist()
    begin = int(cut * length)
    cuts = [begin] if 0 < begin < length else []
    expected = read(network.on(Specification(), cached), tokens)
    for level, threads in zip(levels(), (2, 1, 1), strict=False):
        decoder = network.on(Native(level=level, threads=threads), cached)
        assert same(read(decoder, tokens, *cuts), expected), level


@compiled
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(network=networks(), seed=st.integers(0, 2**32), value=st.sampled_from([0.0, torch.inf]))
def test_any_adapters_in_one_step(network: RandomNetwork, seed: int, value: float) -> None:
    """Each sequence with its own or none, of any ranks, in any numbers beside each other.

    One of them overflows, and spoils nothing of the others.
    """
    rng = np.random.default_rng(seed)
    adapters = [None, *(random_adapter(network.config, int(rng.integers(1000))) for _ in range(4))]
    overflowing = adapters[-1]
    assert overflowing is not None
    for update in overflowing.updates.values():
        update.up[0, 0] += value
    vocabulary = network.config.vocabulary
    texts = [rng.integers(0, vocabulary, n).tolist() for n in rng.integers(1, 12, 9)]
    wearing = rng.integers(0, len(adapters), len(texts)).tolist()
    exact = network.on(Specification())
    expected = [
        read(exact, text, adapter=worn(exact, adapters[a]))
        for text, a in zip(texts, wearing, strict=True)
    ]
    for level, threads in zip(levels(), (2, 1, 1), strict=False):
        decoder = network.on(Native(level=level, threads=threads))
        forms = [worn(decoder, each) for each in adapters]
        pieces = [
            Piece(text, decoder.new_cache(), len(text), forms[a])
            for text, a in zip(texts, wearing, strict=True)
        ]
        for scores, alone in zip(decoder.step(pieces), expected, strict=True):
            assert same(scores, alone), level


def worn(decoder: PackedDecoder, adapter: Adapter | None) -> Adaptation | None:
    return None if adapter is None else decoder.adapt(adapter)


@compiled
@pytest.mark.parametrize("level", levels())
def test_a_step_that_wants_nothing_still_reads(level: str) -> None:
    network = RandomNetwork(small(), 0)
    decoder, expected = network.on(Native(level=level, threads=2)), None
    for player in (Specification(), decoder.player):
        decoder = PackedDecoder(network.config, network.on(player).tape, player)
        cache = decoder.new_cache()
        (nothing,) = decoder.step([Piece(IDS[:37], cache, 0)])
        assert nothing.shape == (0, 97)
        (scores,) = decoder.step([Piece(IDS[37:], cache, 2)])
        assert scores.shape == (2, 97)
        expected = scores if expected is None else expected
        assert same(scores, expected)
    assert same(read(decoder, IDS)[-2:], bits(scores).view(torch.float32))


def small(**changes: Any) -> DecoderConfig:
    plain: dict[str, Any] = {
        "architecture": "test",
        "vocabulary": 97,
        "width": 40,
        "heads": 4,
        "kv_heads": 2,
        "head_size": 10,
        "mlp_width": 50,
        "context": 512,
        "layers": (LayerConfig(sliding=True), LayerConfig()),
        "window": 20,
        "rope": RopeConfig(),
    }
    return DecoderConfig(**(plain | changes))


@compiled
def test_the_number_of_threads_may_change_from_step_to_step() -> None:
    """Threads that sat one step out join the next once, and once only."""
    network = RandomNetwork(small(), 1)
    players = [Native(threads=n) for n in (1, 2, 3)]
    first = network.on(players[0])
    rng = np.random.default_rng(2)
    expected = read(first, IDS)
    for _ in range(5):
        cache = first.new_cache()
        got = []
        for i in range(0, 40, 4):
            player = players[int(rng.integers(0, 3))]
            decoder = PackedDecoder(network.config, first.tape, player)
            got += decoder.step([Piece(IDS[i : i + 4], cache, 4)])
        assert same(torch.cat(got), expected)


ROOT = Path(__file__).resolve().parents[2]
SANITISED = [
    *("-std=c++17", "-O1", "-g1", "-fPIC", "-shared", "-pthread", "-w"),
    *("-ffp-contract=off", "-fno-math-errno"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"),
]


@pytest.mark.proof
@pytest.mark.timeout(7200)
def test_nothing_outside_its_memory(tmp_path: Path, proof: Callable[..., int]) -> None:
    """Random matrices and networks in the library as sanitisers watch it: nothing out of bounds."""
    cases = proof("native-memory", short=9, full=3000)
    compiler = shutil.which("g++")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no g++ on Linux here, whose sanitisers this takes")
    sources = [ROOT / "native" / f"{name}.cpp" for name in ("player", "pack", "level_portable")]
    if cases > 100 and "avx2" in levels():  # they take long to compile
        parts = {"level_avx2": ["-mavx2", "-mfma", "-mf16c"]}
        parts["level_avx512"] = [f"-mavx512{x}" for x in ("f", "bw", "vl", "dq", "vnni")]
        for name, flags in parts.items():
            out, source = tmp_path / f"{name}.o", ROOT / "native" / f"{name}.cpp"
            subprocess.run([compiler, *SANITISED, *flags, "-c", source, "-o", out], check=True)
            sources.append(out)
        sources.append(Path("-DSTUDIOLO_X86"))
    built = subprocess.run(
        [compiler, *SANITISED, *sources, "-o", tmp_path / "library.so"],
        capture_output=True,
        text=True,
    )
    runtime = subprocess.run(
        [compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if built.returncode or not Path(runtime).is_absolute():
        pytest.skip(f"g++ has no sanitisers here: {built.stderr[-300:]}")
    watched = {
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(ROOT),
    }
    ran = subprocess.run(
        [sys.executable, "-m", "tests.nn.sanitised", str(tmp_path / "library.so"), str(cases)],
        env=os.environ | watched,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert ran.stdout.endswith("clean\n")
