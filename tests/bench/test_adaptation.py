from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from rich.console import Console

import studiolo
from bench.adaptation import HOME, PEER, table_of
from bench.adapting import Exercise, Judge, Verdict
from bench.contestants import ADAPTERS
from bench.contestants.peft_adapter import CONTESTANT as PEFT
from bench.contestants.studiolo_adapter import CONTESTANT as STUDIOLO
from bench.synopses import Pair, write_chats
from studiolo.bundle.adapter import read_adapter
from studiolo.modality.text.conversation import encode_chat

PAIRS = [Pair(f"the cat {i} sat on the mat", f"cat {i}") for i in range(60)]


def test_perplexity_is_that_of_the_synopsis_and_its_end(tiny: str) -> None:
    lm = studiolo.load(tiny)
    pair = PAIRS[0]
    told = encode_chat(lm.tokenizer, pair.chat(), ask=False)
    asked = lm.encode_chat([pair.question()])
    end = next(i for i in range(len(asked), len(told)) if told[i] in lm.tokenizer.eos_ids)
    nats = [-float(lm.next_log_probs(told[:i])[told[i]]) for i in range(len(asked), end + 1)]
    found = Judge(lm, PAIRS[1:]).synopses([pair])
    assert found == pytest.approx(math.exp(sum(nats) / len(nats)), rel=1e-6)
    assert found != Judge(lm, PAIRS[1:]).synopses([pair], shots=1)


@pytest.mark.filterwarnings(
    "ignore:.*gradient_checkpointing:FutureWarning"
)  # peft asks the old way
@pytest.mark.parametrize("contestant", [STUDIOLO, PEFT])
def test_each_contestant_leaves_an_adapter_that_has_learnt(
    contestant: type[STUDIOLO], tiny: str, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    chats = write_chats(tmp_path / "chats.jsonl", PAIRS)
    exercise = Exercise(str(chats), str(tmp_path / "out"), rank=4, epochs=8, rate=0.02)
    outcome = contestant(tiny, threads).adapt(exercise)
    assert outcome.seconds > 0
    assert outcome.steps > 2
    lm = studiolo.load(tiny)
    read_adapter(tmp_path / "out", lm.config)
    judge = Judge(lm, PAIRS)
    before = judge.verdict(PAIRS[:2], "the cat sat on the mat")
    after = judge.verdict(PAIRS[:2], "the cat sat on the mat", adapter=tmp_path / "out")
    assert after.synopses < 0.9 * before.synopses
    assert after.descriptions != before.descriptions
    assert 0 <= before.rouge <= 1
    assert len(after.scores) == 2


def test_the_table_has_a_row_for_each_way() -> None:
    verdict = Verdict(20.5, 3.25, 9.75, 0.375, (0.375,))
    console = Console(width=160, record=True)
    console.print(table_of({HOME: ([90.0, 110.0], [verdict] * 2), "as it is": ([], [verdict])}, ""))
    text = console.export_text()
    for part in ("100 (90 – 110)", "0.375", "3.25", "20.50", "9.75", "as it is"):
        assert part in text
    assert {HOME, PEER} == {each.name for each in ADAPTERS}
