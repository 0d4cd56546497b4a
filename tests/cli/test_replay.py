from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.adapters import for_directory
from tests.cli.conftest import Run

ASK = ("--max-tokens", "8", "--seed", "5", "--temperature", "1", "--ignore-eos")


@pytest.fixture
def receipt(run: Run, tiny: str, tmp_path: Path) -> Path:
    file = tmp_path / "receipt.json"
    assert run("generate", "the cat", "-m", tiny, *ASK, "--receipt", str(file)).code == 0
    return file


def test_what_agrees_exits_with_0(run: Run, tiny: str, receipt: Path) -> None:
    ended = run("replay", str(receipt), "-m", tiny)
    assert ended.code == 0
    assert ended.out == "The same to the bit: 8 tokens in one text of tiny\n"
    assert run("replay", str(receipt), "-m", tiny, "--json").json["agrees"] is True


def test_every_way_to_print_writes_the_same_receipt(
    run: Run, tiny: str, receipt: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    run("generate", "the cat", "-m", tiny, *ASK, "--json", "--receipt", str(other))
    assert other.read_bytes() == receipt.read_bytes()
    run("generate", "the cat", "-m", tiny, *ASK, "--n", "3", "--receipt", str(other))
    assert len(json.loads(other.read_bytes())["outputs"]) == 3
    assert "24 tokens in 3 texts" in run("replay", str(other), "-m", tiny).out
    run("generate", "the cat", "-m", tiny, *ASK, "--chat", "--receipt", str(other))
    assert run("replay", str(other), "-m", tiny).code == 0


def test_what_differs_exits_with_1_and_says_where(run: Run, tiny: str, receipt: Path) -> None:
    from studiolo.record.receipt import Receipt

    made = Receipt.read(receipt)
    (first,) = made.outputs
    tokens = (*first.token_ids[:3], first.token_ids[3] ^ 1, *first.token_ids[4:])
    engine = made.engine.model_copy(update={"studiolo": "0.0.1", "libraries": {"torch": "1"}})
    forged = Receipt.of(
        engine, made.model, made.asked, [first.model_copy(update={"token_ids": tokens})]
    )
    receipt.write_bytes(forged.to_bytes())
    ended = run("replay", str(receipt), "-m", tiny)
    assert ended.code == 1
    assert ended.out.startswith(f"Not the same: token of sample 1 at token 4: {tokens[3]} then, ")
    assert "studiolo was 0.0.1 and is " in ended.out
    assert "torch was 1 and is 2" in ended.out
    said = run("replay", str(receipt), "-m", tiny, "--json")
    assert said.code == 1
    assert said.json["difference"]["token"] == 3


def test_an_adapter_is_generated_and_replayed_with(
    run: Run, tiny: str, receipt: Path, tmp_path: Path, home: Path
) -> None:
    poet = str(for_directory(tiny, tmp_path / "poet"))
    file = tmp_path / "poem.json"
    made = run("generate", "the cat", "-m", tiny, *ASK, "--adapter", poet, "--receipt", str(file))
    assert made.code == 0
    assert made.out != run("generate", "the cat", "-m", tiny, *ASK).out
    assert run("replay", str(file), "-m", tiny, "--adapter", poet).code == 0
    missing = run("replay", str(file), "-m", tiny)
    assert missing.code == 3
    assert "no installed adapter has the weights of the receipt's 'poet'" in missing.err
    assert run("replay", str(receipt), "-m", tiny, "--adapter", poet).code == 3
    unknown = run("generate", "x", "-m", tiny, "--adapter", "bard")
    assert unknown.code == 2
    assert "adapter: none is called 'bard'" in unknown.err


def test_what_cannot_be_compared_exits_with_3(
    run: Run, tiny: str, receipt: Path, tmp_path: Path, home: Path
) -> None:
    missing = run("replay", str(receipt))
    assert missing.code == 3
    assert "no installed model has the weights" in missing.err
    broken = tmp_path / "broken.json"
    broken.write_bytes(receipt.read_bytes()[:100])
    assert run("replay", str(broken), "-m", tiny).code == 3
    broken.write_bytes(b'{"format": 9}')
    later = run("replay", str(broken), "-m", tiny, "--json")
    assert later.code == 3
    assert later.out == ""
    assert "Update Studiolo" in later.err
    assert run("replay", str(tmp_path / "none"), "-m", tiny).code == 2


def test_a_receipt_that_cannot_be_written_is_said_before_or_after(
    run: Run, tiny: str, tmp_path: Path
) -> None:
    early = run("generate", "x", "-m", tiny, *ASK, "--receipt", str(tmp_path / "no" / "r.json"))
    assert (early.code, early.out) == (2, "")
    assert "--receipt: there is no folder" in early.err
    late = run("generate", "x", "-m", tiny, *ASK, "--receipt", str(tmp_path))
    assert late.code == 2
    assert "cannot be written: Is a directory" in late.err


def test_a_marked_text_is_replayed_where_its_key_is(
    run: Run, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIOLO_HOME", str(tmp_path / "home"))
    file, plain = tmp_path / "marked.json", tmp_path / "plain.json"
    ask = ("generate", "the cat", "-m", tiny, *ASK, "--max-tokens", "40")
    assert run(*ask, "--watermark", "--receipt", str(file)).code == 0
    assert run(*ask, "--receipt", str(plain)).code == 0
    tokens = [json.loads(each.read_bytes())["outputs"][0]["token_ids"] for each in (file, plain)]
    assert tokens[0] != tokens[1]
    assert run("replay", str(file), "-m", tiny).code == 0
    monkeypatch.setenv("STUDIOLO_HOME", str(tmp_path / "another"))
    ended = run("replay", str(file), "-m", tiny)
    assert ended.code == 3
    assert "marked with the key of another installation" in ended.err
    assert run("replay", str(plain), "-m", tiny).code == 0
