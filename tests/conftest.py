"""What every test may ask for: a home of its own, the starter and a tiny model, and proofs.

A *proof* is a test whose full count takes too long for every run. It asks
``proof(name, short=..., full=...)`` how much to do: the short count as a rule, the full
one under ``--prove NAME`` (``make prove NAME=...``), which then writes the outcome into
the row of that name in ``docs/proofs.md``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proofs import Outcome, record

# Before torch is first imported: its pools ask for this once. A test machine may show
# many cores and lend few, and threads that fight for them make times meaningless.
os.environ.setdefault("OMP_NUM_THREADS", str(min(4, os.cpu_count() or 1)))
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
HOME = os.environ.get("STUDIOLO_HOME")
# Tests send Ctrl-C to processes of theirs, which would never come to those that a shell has put
# into the background: they inherit that it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
ROOT = Path(__file__).resolve().parent.parent
OUTCOME = pytest.StashKey[Outcome]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--prove", metavar="NAME", help="run the proof NAME in full and record it")


def pytest_configure(config: pytest.Config) -> None:
    name = config.getoption("--prove")
    if name:
        config.stash[OUTCOME] = Outcome(name, time.monotonic())


@pytest.fixture
def proof(request: pytest.FixtureRequest) -> Callable[..., int]:
    """``proof(name, *, short, full) -> int``: how many cases this run should do."""
    if request.node.get_closest_marker("proof") is None:
        pytest.fail("a test that uses `proof` must be marked @pytest.mark.proof")
    outcome = request.config.stash.get(OUTCOME, None)

    def count(name: str, *, short: int, full: int) -> int:
        if outcome is None:
            return short
        if name != outcome.name:
            pytest.skip(f"this is the proof {name!r}")
        outcome.asked[request.node.nodeid] = full
        outcome.what = outcome.what or (request.function.__doc__ or "").strip().split("\n")[0]
        return full

    return count


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    outcome = item.config.stash.get(OUTCOME, None)
    if outcome is not None and call.when == "call" and item.nodeid in outcome.asked:
        outcome.passed[item.nodeid] = report.passed  # type: ignore[attr-defined]
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    outcome = session.config.stash.get(OUTCOME, None)
    if outcome is None:
        return
    if not outcome.asked:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
        return
    record(ROOT / "docs" / "proofs.md", outcome)


@pytest.fixture(scope="session")
def starter() -> Path:
    """The directory of the installed starter model, pulled once if it is not there.

    It lives in the user's ordinary home, so that it is not fetched for every run.
    """
    from studiolo.bundle.catalogue import DEFAULT_MODEL

    return _at_home(DEFAULT_MODEL)


@pytest.fixture(scope="session")
def encoder() -> Path:
    """The directory of the catalogue's default encoder, pulled once if it is not there."""
    from studiolo.bundle.catalogue import DEFAULT_ENCODER

    return _at_home(DEFAULT_ENCODER)


def _at_home(name: str) -> Path:
    """A model's directory in the ordinary home, whatever home tests have been given by now."""
    from studiolo.bundle.pull import ensure

    with pytest.MonkeyPatch.context() as patch:
        if HOME is None:
            patch.delenv("STUDIOLO_HOME", raising=False)
        else:
            patch.setenv("STUDIOLO_HOME", HOME)
        return ensure(name).path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty STUDIOLO_HOME that this test alone sees."""
    path = tmp_path / "studiolo-home"
    path.mkdir()
    monkeypatch.setenv("STUDIOLO_HOME", str(path))
    return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a Hugging Face directory: a random Llama of two layers with a tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    path = tmp_path_factory.mktemp("models") / "tiny"
    spelled = Tokenizer(models.BPE())
    spelled.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    spelled.decoder = decoders.ByteLevel()
    spelled.train_from_iterator(
        ["the cat sat on the mat", "after the rain the streets were wet"] * 8,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=["<|eos|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=spelled, eos_token="<|eos|>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(path)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=spelled.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    return str(path)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a Hugging Face directory: a random BERT of two layers, one token a byte."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    path = tmp_path_factory.mktemp("models") / "tiny-encoder"
    letters = ["[PAD]", "[CLS]", "[SEP]", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    spelled = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    spelled.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    spelled.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=spelled, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )
    tokenizer.save_pretrained(path)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(letters),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=24,
    )
    BertModel(config).save_pretrained(path)
    return str(path)
