from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from torch.nn.functional import log_softmax

from studiolo.bundle.gguf import GGUFFile
from studiolo.bundle.gguf_writer import WeightType, export_gguf
from studiolo.bundle.huggingface import write_directory
from studiolo.bundle.layout import load_decoder
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.store import find
from studiolo.errors import InvalidRequestError, MalformedFileError, UnsupportedModelError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.characters import UNKNOWN, character_tokenizer
from tests.bundle.gguf_models import MODELS, make
from tests.bundle.llama import running
from tests.modality.text import small
from tests.reference import LLAMA3, SIZES, YARN

CHARACTERS = [*map(chr, range(32, 127)), "é", UNKNOWN]  # as many as the models have rows
PROMPT = "What (a) rainy día, café?"
MORE: dict[str, dict[str, Any]] = {
    "llama-linear": {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    "llama-yarn": {"rope_scaling": YARN},
    "llama-llama3": {"rope_scaling": LLAMA3},
    "mistral-narrower-than-nothing": {"model_type": "mistral", "sliding_window": 64},
}
ALL = MODELS | {name: {"model_type": "llama", **SIZES, **more} for name, more in MORE.items()}


def opened(folder: Path, config: dict[str, Any], tokenizer: Tokenizer | None = None) -> OpenBundle:
    """A random model of ``config`` as a directory, with its tokenizer."""
    model = make(dict(config))
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight")
    own = {key: value for key, value in model.config.to_dict().items() if "token_id" not in key}
    write_directory(folder, own, state, tokenizer or character_tokenizer(CHARACTERS))
    return read(folder)


def read(path: Path) -> OpenBundle:
    bundle = find(path)
    assert bundle is not None
    return OpenBundle.of(bundle)


@pytest.mark.parametrize("name", ALL)
def test_llama_cpp_and_we_read_the_same_model(tmp_path: Path, name: str) -> None:
    source = opened(tmp_path / "model", ALL[name])
    out = tmp_path / "model.gguf"
    export_gguf(source, out, WeightType.F32)
    again = read(out)
    assert {*again.checkpoint.names} == {*source.checkpoint.names}
    for tensor in source.checkpoint.names:
        ours, theirs = source.checkpoint.tensor(tensor), again.checkpoint.tensor(tensor)
        if name == "gemma3" and "norm" in tensor:  # 1 is added there, which rounds
            assert torch.allclose(ours, theirs, atol=1e-6)
        else:
            assert torch.equal(ours, theirs)
    ids = source.tokenizer.encode(PROMPT)
    assert again.tokenizer.encode(PROMPT) == ids
    decoder = load_decoder(source.checkpoint)
    with running(out) as llama:
        assert llama.encoded(PROMPT) == source.tokenizer.encode(PROMPT)
        assert llama.decoded(ids) == source.tokenizer.decode(ids)
        for place in llama.greedy(ids, 12, top=5):
            row = decoder.logits(decoder.forward(torch.tensor([ids])))[0, -1]
            scores = log_softmax(row.float(), dim=-1)
            assert all(abs(float(scores[i]) - told) < 3e-3 for i, told in place.items())
            assert max(place, key=place.__getitem__) == int(scores.argmax())
            scores[CHARACTERS.index(UNKNOWN)] = -torch.inf  # the end, which is asked not to come
            ids.append(int(scores.argmax()))


@pytest.mark.parametrize("kind", WeightType)
def test_matrices_get_the_type_that_is_asked_for(tmp_path: Path, kind: WeightType) -> None:
    config = {**MODELS["llama"], "hidden_size": 64, "num_attention_heads": 4, "head_dim": 16}
    source = opened(tmp_path / "model", config)
    told: list[int] = []
    made = export_gguf(source, tmp_path / "model.gguf", kind, told.append)
    file = GGUFFile.open(made.path)
    wanted = gguf.GGMLQuantizationType[kind.name]
    for info in file.tensors.values():
        # Of 80 columns there are no whole blocks of 32.
        narrow = kind is WeightType.Q8_0 and info.shape[-1] == 80
        exact = len(info.shape) == 1 or kind is WeightType.F32
        assert info.type.name == ("F32" if exact else "F16" if narrow else kind.name)
    assert made.types == {
        each: [info.type.name for info in file.tensors.values()].count(each)
        for each in sorted({info.type.name for info in file.tensors.values()})
    }
    assert made.bytes == made.path.stat().st_size
    assert told == [*range(1, len(file.tensors) + 1)]
    head = source.checkpoint.tensor("lm_head.weight").numpy()
    rounded = gguf.quants.dequantize(gguf.quants.quantize(head, wanted), wanted)
    assert torch.equal(file.read("output.weight"), torch.from_numpy(rounded))


def test_a_byte_level_vocabulary_with_an_end_and_a_template(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_gguf(small.byte_level())
    config = {**MODELS["qwen3"], "vocab_size": tokenizer.vocab_size + 3}
    source = opened(tmp_path / "model", config, tokenizer)
    out = export_gguf(source, tmp_path / "model.gguf").path
    again = read(out).tokenizer
    assert again.eos_ids == tokenizer.eos_ids
    assert again.chat_template == tokenizer.chat_template
    assert GGUFFile.open(out).metadata["general.name"] == "model"
    with running(out) as llama:
        for text in ("hello wé  12 😀", "  hello\n<|im_end|>", ""):
            assert llama.encoded(text) == tokenizer.encode(text)
            assert llama.decoded(tokenizer.encode(text)) == text


def test_what_is_a_gguf_already_keeps_its_own_facts(tmp_path: Path) -> None:
    source = opened(tmp_path / "model", MODELS["llama"])
    first = export_gguf(source, tmp_path / "first.gguf", WeightType.F32).path
    second = export_gguf(read(first), tmp_path / "second.gguf", WeightType.F32).path
    before, after = GGUFFile.open(first), GGUFFile.open(second)
    for name in before.tensors:
        assert torch.equal(before.read(name), after.read(name))
    assert after.metadata["studiolo.source.digest"] == read(first).bundle.digest
    assert before.metadata["studiolo.source.digest"] == source.bundle.digest
    told = {key: str(value) for key, value in after.metadata.items() if "digest" not in key}
    assert told == {key: str(before.metadata[key]) for key in told}


@pytest.mark.parametrize(
    ("weight", "kind", "error"),
    [
        (1e6, WeightType.F16, InvalidRequestError),
        (1e7, WeightType.Q8_0, InvalidRequestError),
        (float("nan"), WeightType.F32, MalformedFileError),
        (float("inf"), WeightType.BF16, MalformedFileError),
    ],
)
def test_a_weight_that_cannot_be_kept_leaves_no_file(
    tmp_path: Path, weight: float, kind: WeightType, error: type[Exception]
) -> None:
    source = opened(tmp_path / "model", {**MODELS["llama"], "intermediate_size": 96})
    tensor = source.checkpoint.tensor("model.layers.2.mlp.down_proj.weight")
    tensor[0, 0] = weight
    state = {name: source.checkpoint.tensor(name) for name in source.checkpoint.names}
    state["model.layers.2.mlp.down_proj.weight"] = tensor
    config = source.checkpoint.config
    write_directory(tmp_path / "other", config, state, source.tokenizer)
    (tmp_path / "out").mkdir()
    with pytest.raises(error, match=r"blk\.2\.ffn_down\.weight"):
        export_gguf(read(tmp_path / "other"), tmp_path / "out" / "model.gguf", kind)
    assert not list((tmp_path / "out").iterdir())


def test_a_tensor_of_another_shape_is_named(tmp_path: Path) -> None:
    source = opened(tmp_path / "model", MODELS["llama"])
    state = {name: source.checkpoint.tensor(name) for name in source.checkpoint.names}
    state["model.layers.0.self_attn.q_proj.weight"] = torch.ones(40, 48)
    write_directory(tmp_path / "other", source.checkpoint.config, state, source.tokenizer)
    with pytest.raises(MalformedFileError, match=r"q_proj.*\[40, 48\].*\[48, 48\]"):
        export_gguf(read(tmp_path / "other"), tmp_path / "model.gguf")


def test_places_that_cannot_be_written_to_are_refused(tmp_path: Path) -> None:
    source = opened(tmp_path / "model", MODELS["llama"])
    for out in (tmp_path, tmp_path / "no" / "model.gguf", tmp_path / "model" / "config.json"):
        with pytest.raises(InvalidRequestError, match="out: "):
            export_gguf(source, out)


def test_an_interrupted_export_leaves_what_was_there(tmp_path: Path) -> None:
    source = opened(tmp_path / "model", MODELS["llama"])
    out = tmp_path / "model.gguf"
    out.write_bytes(b"before")

    def interrupted(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_gguf(source, out, report=interrupted)
    assert out.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.gguf"]


def test_an_encoder_is_refused(tiny_encoder: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="encoder"):
        export_gguf(read(Path(tiny_encoder)), tmp_path / "model.gguf")


def test_characters_that_are_unknown_end_and_are_one_together_there(tmp_path: Path) -> None:
    source = opened(tmp_path / "model", MODELS["llama"])
    out = export_gguf(source, tmp_path / "model.gguf").path
    unknown = CHARACTERS.index(UNKNOWN)
    with running(out) as llama:
        # "í" begins with the byte that "é" begins with.
        for text in ("í", "éí", "a í b€c", "天"):
            assert llama.encoded(text) == source.tokenizer.encode(text)
        assert llama.encoded("a天天") == [CHARACTERS.index("a"), unknown]
