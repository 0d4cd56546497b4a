"""The proof ``readers-fuzz``: mutated files give tensors or a named error, fast and small."""

from __future__ import annotations

import json
import random
import resource
import shutil
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from studiolo.bundle.adapter import CONFIG, WEIGHTS, read_adapter
from studiolo.bundle.gguf import GGUFFile
from studiolo.bundle.gguf_names import gguf_checkpoint
from studiolo.bundle.huggingface import read_directory, read_json
from studiolo.bundle.layout import decoder_config
from studiolo.errors import StudioloError
from tests.adapters import TARGETS, drawn, write
from tests.bundle.gguf_files import write_gguf

MAX_SECONDS = 1.0
MAX_BYTES = 200 << 20

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
GIANTS = [0, 1, 7, 255, 2**16, 2**24 + 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1]
JSON_VALUES: list[Any] = [
    None, True, 0, -1, 1, 3, 2**31, 2**63, 2**70, 10**400, 0.5, 1e308, float("inf"), float("nan"),
    "", "F32", "F64", "I8", "BOOL", "F8_E4M3", "BF16", "yarn", "../x.safetensors", "\0", "\ud800",
    [], [0], [0, 0], [-1, 2], [2**62, 2**62], [1] * 100, {}, {"a": {}}, {"rope_type": "longrope"},
]  # fmt: skip
MODELS = ("llama", "gemma3_text", "gpt2")


def tiny(kind: str) -> Any:
    sizes = dict(SIZES)
    if kind == "gpt2":
        sizes = {"vocab_size": 40, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}
    elif kind == "gemma3_text":
        sizes |= {"head_dim": 8, "sliding_window": 16, "query_pre_attn_scalar": 8}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three GGUF files and two directories, one of them sharded."""
    root = tmp_path_factory.mktemp("seeds")
    quantize = (gguf.GGMLQuantizationType.Q8_0, None, gguf.GGMLQuantizationType.Q4_0)
    for kind, type_ in zip(MODELS, quantize, strict=True):
        write_gguf(root / f"{kind}.gguf", tiny(kind), quantize=type_)
    tiny("llama").save_pretrained(root / "single")
    tiny("gemma3_text").save_pretrained(root / "sharded", max_shard_size=20_000)
    llama = tiny("llama")
    write(root / "adapter", drawn(llama, *TARGETS["llama"], rank=4), r=4, alpha_pattern={"o": 3})
    return root


# -- mutations of bytes: each takes and returns a file's content ------------------------------


def flip(data: bytearray, rng: random.Random, reach: int) -> None:
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(reach)] ^= 1 << rng.randrange(8)


def truncate(data: bytearray, rng: random.Random, reach: int) -> None:
    del data[rng.randrange(rng.choice((reach, len(data)))) :]


def splice(data: bytearray, rng: random.Random, reach: int) -> None:
    begin, to, size = rng.randrange(reach), rng.randrange(reach), rng.randint(1, 64)
    data[to : to + rng.choice((0, size))] = data[begin : begin + size]


def inflate(data: bytearray, rng: random.Random, reach: int) -> None:
    """Overwrite what may be a count or a length with an extreme number."""
    width, code = rng.choice(((4, "I"), (8, "Q")))
    at = rng.choice((8, 16, rng.randrange(reach)))
    data[at : at + width] = struct.pack("<" + code, rng.choice(GIANTS) % 2 ** (8 * width))


def inflate_a_length(data: bytearray, rng: random.Random, reach: int) -> None:
    """Find a plausible eight-byte length of a string and make it an extreme one."""
    start = rng.randrange(max(1, reach - 8))
    for at in range(start, min(reach, start + 400)):
        if 0 < data[at] < 64 and not any(data[at + 1 : at + 8]):
            data[at : at + 8] = struct.pack("<Q", rng.choice(GIANTS))
            return


def cut_out(data: bytearray, rng: random.Random, reach: int) -> None:
    at = rng.randrange(reach)
    del data[at : at + rng.randint(1, 40)]


BYTE_MUTATIONS: list[Callable[[bytearray, random.Random, int], None]] = [
    flip, truncate, splice, inflate, inflate_a_length, cut_out,
]  # fmt: skip


def mutate_bytes(data: bytes, rng: random.Random, header: int) -> bytes:
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if result:
            reach = min(len(result), header if rng.random() < 0.9 else len(result))
            rng.choice(BYTE_MUTATIONS)(result, rng, reach)
    return bytes(result)


# -- mutations of JSON -------------------------------------------------------------------------


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    result = []
    for key, child in pairs:
        result.append((value, key))
        if isinstance(child, dict | list):
            result += places(child)
    return result


def mutate_json(value: Any, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 5))):
        container, key = rng.choice(places(value) or [({}, "x")])
        action = rng.randrange(5)
        if action == 0:
            del container[key]
        elif action == 1 and isinstance(container, dict):
            container[rng.choice(["x", "", "__metadata__", *map(str, container)])] = container[key]
        elif action == 2:
            container[key] = rng.choice(places(value))[0]  # another part, perhaps a cycle
            try:
                json.dumps(value)
            except (ValueError, RecursionError):
                container[key] = {"a": [{}]}
        elif isinstance(container[key], int) and action == 3:
            container[key] += rng.choice((-9, -1, 1, 8, 2**33))
        else:
            container[key] = json.loads(json.dumps(rng.choice(JSON_VALUES)))
    text = json.dumps(value).encode()
    if rng.random() < 0.05:
        text = b'{"a":' * rng.randint(1, 50_000) + text
    if rng.random() < 0.1:
        text = text[: rng.randrange(len(text) + 1)]
    return text


# -- one case each -----------------------------------------------------------------------------


def gguf_case(seeds: Path, work: Path, rng: random.Random) -> Callable[[], None]:
    source = seeds / f"{rng.choice(MODELS)}.gguf"
    path = work / "model.gguf"
    path.write_bytes(mutate_bytes(source.read_bytes(), rng, header=4_000))

    def read() -> None:
        checkpoint = gguf_checkpoint(GGUFFile.open(path))
        for name in checkpoint.names:
            checkpoint.tensor(name)
        decoder_config(checkpoint.config)

    return read


def mutated(file: Path, rng: random.Random) -> bytes:
    """The content of a file of JSON, or of safetensors, as it might be damaged or forged."""
    data = file.read_bytes()
    if rng.random() < 0.3:
        return mutate_bytes(data, rng, header=3_000)
    if file.suffix == ".safetensors":
        (length,) = struct.unpack_from("<Q", data)
        header = mutate_json(json.loads(data[8 : 8 + length]), rng)
        return struct.pack("<Q", len(header)) + header + data[8 + length :]
    return mutate_json(json.loads(data), rng)


def directory_case(seeds: Path, work: Path, rng: random.Random) -> Callable[[], None]:
    path = work / "model"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(seeds / rng.choice(("single", "sharded")), path)
    victim = rng.choice(
        [path / "config.json", path / "generation_config.json", *path.glob("model*")]
    )
    victim.write_bytes(mutated(victim, rng))

    def read() -> None:
        checkpoint = read_directory(path)
        for name in checkpoint.names:
            checkpoint.tensor(name)
        decoder_config(checkpoint.config)

    return read


def adapter_case(seeds: Path, work: Path, rng: random.Random) -> Callable[[], None]:
    path = work / "adapter"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(seeds / "adapter", path)
    config = decoder_config(read_json(seeds / "single" / "config.json"))
    victim = path / rng.choice((CONFIG, WEIGHTS))
    victim.write_bytes(mutated(victim, rng))

    def read() -> None:
        read_adapter(path, config)

    return read


CASES = (gguf_case, directory_case, adapter_case)


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_mutated_files_give_tensors_or_a_named_error(
    seeds: Path, tmp_path: Path, proof: Callable[..., int]
) -> None:
    """Mutated GGUF files and directories: only StudioloError, each under 1 s and 200 MB."""
    count = proof("readers-fuzz", short=600, full=20_000)
    outcomes = {"read": 0, "refused": 0}
    for make in CASES:  # warm-up: imports are no part of a case
        make(seeds, tmp_path, random.Random(-1))
    gguf_checkpoint(GGUFFile.open(seeds / "llama.gguf"))
    read_directory(seeds / "sharded")
    read_adapter(seeds / "adapter", decoder_config(read_json(seeds / "single" / "config.json")))
    tracemalloc.start()
    try:
        for case in range(count):
            rng = random.Random(case)
            read = CASES[case % len(CASES)](seeds, tmp_path, rng)
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            begin = time.perf_counter()
            try:
                read()
                outcomes["read"] += 1
            except StudioloError as error:
                outcomes["refused" if error.message else "refused without a word"] += 1
            except BaseException as error:
                raise AssertionError(f"case {case}: {type(error).__name__}: {error}") from error
            seconds = time.perf_counter() - begin
            traced = tracemalloc.get_traced_memory()[1] - before
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident) * 1024
            assert seconds < MAX_SECONDS, f"case {case} took {seconds:.2f} s"
            assert max(traced, grown) < MAX_BYTES, f"case {case} took {max(traced, grown):,} bytes"
    finally:
        tracemalloc.stop()
    # Mutations that only ever broke the first bytes, or never anything, would prove nothing.
    assert min(outcomes.values()) > count / 20, outcomes
