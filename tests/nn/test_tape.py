"""What the tape and ``native/tape.h`` both say, they say alike."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from studiolo.nn import native
from studiolo.nn.network import PAGE
from studiolo.nn.tape import ACTIVATIONS, BLOCK, Kind, Tape, padded

NATIVE = Path(__file__).resolve().parents[2] / "native"


def enumerators(name: str) -> list[str]:
    """The members of an enumeration of the header, in order."""
    header = re.sub(r"//.*", "", (NATIVE / "tape.h").read_text(encoding="utf-8"))
    found = re.search(rf"enum {name} {{(.*?)}}", header, re.S)
    assert found is not None
    return [member.strip() for member in found[1].split(",") if member.strip()]


def test_operations_have_the_same_numbers() -> None:
    assert enumerators("Kind") == [kind.name for kind in Kind]
    assert list(Kind) == list(range(len(Kind)))


def test_activations_and_codes_have_the_same_numbers() -> None:
    assert enumerators("Activation") == [name.upper() for name in ACTIVATIONS]
    assert enumerators("Codes") == list(native.KINDS)


@pytest.mark.parametrize(
    ("struct", "ours"),
    [("Op", native._Op), ("Matrix", native._Matrix), ("Update", native._Update)],
)
def test_structures_have_the_same_fields(struct: str, ours: type) -> None:
    header = re.sub(r"//.*", "", (NATIVE / "tape.h").read_text(encoding="utf-8"))
    body = header[: header.index(f"}} {struct};")].rsplit("typedef struct {", 1)[1]
    declared = [re.sub(r"[*\s]", "", part).rsplit("_t", 1)[-1] for part in re.split("[;,]", body)]
    names = [re.sub(r"^(constfloat|float|constvoid)", "", part) for part in declared if part]
    assert names == [field[0] for field in ours._fields_]  # type: ignore[attr-defined]


def test_a_block_is_as_long_there() -> None:
    kernels = (NATIVE / "kernels.h").read_text(encoding="utf-8")
    for name, ours in (("BLOCK", BLOCK), ("RANKS", native.RANKS)):
        found = re.search(rf"{name} = (\d+)", kernels)
        assert found is not None
        assert int(found[1]) == ours
    assert PAGE % BLOCK == 0


def test_padding_is_to_whole_blocks() -> None:
    assert [padded(n) for n in (0, 1, 15, 16, 17, 48)] == [0, 16, 16, 16, 32, 48]


def test_a_page_holds_keys_and_padded_values_of_every_layer() -> None:
    tape = Tape((), (), (), layers=3, heads=4, kv_heads=2, head_size=10, scores=5)
    assert tape.page_size == 3 * 2 * PAGE * (10 + 16)
