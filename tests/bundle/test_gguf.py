from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.bundle import gguf as reader
from studiolo.bundle.gguf import READABLE, GGUFFile
from studiolo.errors import MalformedFileError, SourceError, StudioloError, UnsupportedModelError
from tests.bundle.gguf_files import container, key, tensor, text

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)

# Version 3; keys "a" = uint32 7 and "b" = ["é"]; tensor "t" [2, 1] float32 = [[1.0], [-2.0]].
GOLDEN = bytes.fromhex(
    "47475546" "03000000" "0100000000000000" "0200000000000000"
    "0100000000000000" "61" "04000000" "07000000"
    "0100000000000000" "62" "09000000" "08000000" "0100000000000000" "0200000000000000" "c3a9"
    "0100000000000000" "74" "02000000" "0100000000000000" "0200000000000000"
    "00000000" "0000000000000000"
    "0000000000000000000000"
    "0000803f" "000000c0"
)  # fmt: skip


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    return path


def test_golden_bytes(tmp_path: Path) -> None:
    file = GGUFFile.open(write(tmp_path, GOLDEN))
    assert (file.version, file.metadata) == (3, {"a": 7, "b": ["é"]})
    info = file.tensors["t"]
    assert (info.shape, info.type.name, info.offset, info.nbytes) == ((2, 1), "F32", 128, 8)
    assert file.read("t").tolist() == [[1.0], [-2.0]]


def test_golden_bytes_are_what_the_library_writes(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "theirs.gguf", "", use_temp_file=False)
    writer.kv_data[0].clear()
    writer.add_uint32("a", 7)
    writer.add_array("b", ["é"])
    writer.add_tensor("t", np.array([[1.0], [-2.0]], np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    theirs = (tmp_path / "theirs.gguf").read_bytes()
    assert theirs[: len(GOLDEN)] == GOLDEN
    assert not theirs[len(GOLDEN) :].strip(b"\0")


def test_every_kind_of_value(tmp_path: Path) -> None:
    keys = [
        key("u8", U8, struct.pack("<B", 200)),
        key("i8", I8, struct.pack("<b", -3)),
        key("u16", U16, struct.pack("<H", 60_000)),
        key("i16", I16, struct.pack("<h", -4)),
        key("i32", I32, struct.pack("<i", -5)),
        key("u64", U64, struct.pack("<Q", 2**63)),
        key("i64", I64, struct.pack("<q", -(2**62))),
        key("f32", F32, struct.pack("<f", 0.5)),
        key("f64", F64, struct.pack("<d", 0.1)),
        key("yes", BOOL, b"\1"),
        key("text", STRING, text("grüß")),
        key("none", ARRAY, struct.pack("<IQ", STRING, 0)),
        key("ints", ARRAY, struct.pack("<IQ3i", I32, 3, 1, -2, 3)),
        key("bools", ARRAY, struct.pack("<IQ2B", BOOL, 2, 1, 0)),
        key(
            "nested",
            ARRAY,
            struct.pack("<IQ", ARRAY, 2)
            + struct.pack("<IQ2B", U8, 2, 1, 2)
            + (struct.pack("<IQ", STRING, 1) + text("x")),
        ),
    ]
    metadata = GGUFFile.open(write(tmp_path, container(keys))).metadata
    expected = {
        "u8": 200, "i8": -3, "u16": 60_000, "i16": -4, "i32": -5, "u64": 2**63, "i64": -(2**62),
        "f32": 0.5, "f64": 0.1, "yes": True, "text": "grüß", "none": [],
    }  # fmt: skip
    assert {name: metadata[name] for name in expected} == expected
    assert metadata["yes"] is True
    ints, bools, nested = metadata["ints"], metadata["bools"], metadata["nested"]
    assert isinstance(ints, np.ndarray)
    assert (ints.tolist(), ints.dtype) == ([1, -2, 3], np.int32)
    assert isinstance(bools, np.ndarray)
    assert (bools.tolist(), bools.dtype) == ([True, False], np.bool_)
    assert isinstance(nested, list)
    assert (nested[0].tolist(), nested[1]) == ([1, 2], ["x"])


def test_version_2_and_alignment(tmp_path: Path) -> None:
    head = container([key("general.alignment", U32, struct.pack("<I", 64))], version=2)
    file = GGUFFile.open(write(tmp_path, head))
    assert file.version == 2
    keys = [key("general.alignment", U32, struct.pack("<I", 128))]
    head = container(keys, [tensor("t", [2])]).rstrip(b"\0")
    data = head + bytes(-len(head) % 128) + struct.pack("<2f", 3, 4)
    file = GGUFFile.open(write(tmp_path, data))
    assert file.tensors["t"].offset % 128 == 0
    assert file.read("t").tolist() == [3.0, 4.0]


@pytest.mark.parametrize("type_", sorted(READABLE), ids=lambda type_: type_.name)
def test_dequantisation_equals_the_library(
    tmp_path: Path, type_: gguf.GGMLQuantizationType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random blocks, infinite and undefined scales included; in many chunks and in one."""
    block, block_bytes = gguf.GGML_QUANT_SIZES[type_]
    rng = np.random.default_rng(type_)
    shape = (3, 5, 4 * block)
    blocks = rng.integers(0, 256, (3, 5, 4 * block_bytes), np.uint8)
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tensor("t", blocks, raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with np.errstate(all="ignore"):
        expected = gguf.dequantize(blocks, type_)
    for chunk_bytes in (1, 4 * 7 * block, 1 << 17):
        monkeypatch.setattr(reader, "CHUNK_BYTES", chunk_bytes)
        file = GGUFFile.open(tmp_path / "model.gguf")
        assert file.tensors["t"].shape == shape
        assert np.array_equal(file.raw("t"), blocks)
        assert not file.raw("t").flags.writeable
        ours = file.read("t").numpy()
        assert ours.dtype == np.float32
        assert np.array_equal(ours, expected.reshape(shape), equal_nan=True)


@pytest.mark.parametrize("name", ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "BF16", "F16"])
def test_quantised_values_come_back_near(tmp_path: Path, name: str) -> None:
    """Closed form beside the library: the error is below half a step of the quantiser."""
    type_ = gguf.GGMLQuantizationType[name]
    values = np.linspace(-1, 1, 4096, dtype=np.float32).reshape(8, 512)
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tensor("t", gguf.quantize(values, type_), raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    ours = GGUFFile.open(tmp_path / "model.gguf").read("t").numpy()
    assert np.abs(ours - values).max() < 2 / 16


def test_a_type_without_arithmetic_is_named_on_reading_only(tmp_path: Path) -> None:
    data = container(
        tensors=[tensor("odd", [256], gguf.GGMLQuantizationType.IQ4_XS)], data=bytes(136)
    )
    file = GGUFFile.open(write(tmp_path, data))
    with pytest.raises(UnsupportedModelError, match=r"'odd' has type IQ4_XS"):
        file.read("odd")


DEEP = b"".join(struct.pack("<IQ", ARRAY, 1) for _ in range(8)) + struct.pack("<IQ", U8, 0)
MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "at least 24 bytes"),
    "short": (b"GGUF" + bytes(8), "at least 24 bytes"),
    "magic": (container(magic=b"GGML"), r"begins with b'GGML'"),
    "giant key count": (container(key_count=2**63), "claims 9,223,372,036,854,775,808 metadata"),
    "giant tensor count": (container(tensor_count=2**40), "tensors; the limit is 65,536"),
    "more keys than bytes": (container(key_count=60_000), "header of 60,000 metadata keys needs"),
    "giant key": (container([struct.pack("<Q", 2**62)], data=bytes(32)), "metadata key 0 is"),
    "key beyond the end": (container([struct.pack("<Q", 9_000)], data=bytes(32)), "9,000 bytes"),
    "key not UTF-8": (container([key(b"\xff", U8, b"\0")]), "key 0 is not valid UTF-8"),
    "key twice": (container([key("k", U8, b"\0")] * 2), "'k' stands twice"),
    "unknown type": (container([key("k", 13, b"\0")]), "'k' has type 13"),
    "giant string": (
        container([key("k", STRING, struct.pack("<Q", 2**50))], data=bytes(32)),
        r"metadata 'k' needs 1,125,899,906,842,624 bytes",
    ),
    "string not UTF-8": (container([key("k", STRING, text(b"\xc3"))]), "'k' is not valid UTF-8"),
    "truth value": (container([key("k", BOOL, b"\7")]), "truth value of 7"),
    "truth values": (
        container([key("k", ARRAY, struct.pack("<IQ2B", BOOL, 2, 1, 9))]),
        "truth value of 9",
    ),
    "giant array": (
        container([key("k", ARRAY, struct.pack("<IQ", U8, 2**40))]),
        "'k' claims 1,099,511,627,776 elements",
    ),
    "array beyond the end": (
        container([key("k", ARRAY, struct.pack("<IQ", F64, 1_000))]),
        "'k' needs 8,000 bytes",
    ),
    "array of unknown type": (
        container([key("k", ARRAY, struct.pack("<IQ", 99, 1))]),
        "elements of type 99",
    ),
    "strings beyond the end": (
        container([key("k", ARRAY, struct.pack("<IQ", STRING, 1_000))]),
        "'k' needs 8,000 bytes",
    ),
    "string of an array beyond the end": (
        container([key("k", ARRAY, struct.pack("<IQQ", STRING, 1, 2**60))]),
        "string 0 of 1 claims",
    ),
    "string of an array begins beyond the end": (
        container([key("k", ARRAY, struct.pack("<IQQ", STRING, 3, 39) + bytes(39))]),
        "string 1 of 3 begins beyond",
    ),
    "string of an array not UTF-8": (
        container([key("k", ARRAY, struct.pack("<IQ", STRING, 1) + text(b"\x80"))]),
        "string 0 is not valid UTF-8",
    ),
    "nested arrays": (container([key("k", ARRAY, DEEP)]), "nests arrays deeper than 4"),
    "arrays beyond the end": (
        container([key("k", ARRAY, struct.pack("<IQ", ARRAY, 1_000))]),
        "'k' needs 12,000 bytes",
    ),
    "alignment of zero": (
        container([key("general.alignment", U32, struct.pack("<I", 0))]),
        "alignment is 0",
    ),
    "alignment of 24": (
        container([key("general.alignment", U32, struct.pack("<I", 24))]),
        "alignment is 24",
    ),
    "alignment of the wrong type": (
        container([key("general.alignment", U64, struct.pack("<Q", 32))]),
        "must be a uint32",
    ),
    "no dimensions": (container(tensors=[tensor("t", [])], data=bytes(64)), "0 dimensions"),
    "five dimensions": (container(tensors=[tensor("t", [1] * 5)], data=bytes(64)), "5 dimensions"),
    "giant number of dimensions": (
        container(tensors=[text("t") + struct.pack("<I", 2**31)], data=bytes(64)),
        "2147483648 dimensions",
    ),
    "dimension of zero": (container(tensors=[tensor("t", [0])], data=bytes(64)), "cannot lie in"),
    "negative dimension": (
        container(tensors=[tensor("t", [2**64 - 1])], data=bytes(64)),
        "cannot lie in",
    ),
    "overflowing product": (
        container(tensors=[tensor("t", [2**32, 2**32])], data=bytes(64)),
        "cannot lie in",
    ),
    "row of half a block": (container(tensors=[tensor("t", [48], 2)], data=bytes(64)), "48, not"),
    "unaligned": (container(tensors=[tensor("t", [1], 0, 4)], data=bytes(64)), "multiple of 32"),
    "beyond the end": (container(tensors=[tensor("t", [9])], data=bytes(32)), "claims bytes"),
    "offset beyond the end": (
        container(tensors=[tensor("t", [1], 0, 2**63)], data=bytes(32)),
        "claims bytes",
    ),
    "overlap": (
        container(tensors=[tensor("t", [16]), tensor("u", [8], 0, 32)], data=bytes(96)),
        "'t' and 'u' overlap",
    ),
    "same place": (
        container(tensors=[tensor("t", [8]), tensor("u", [8])], data=bytes(96)),
        "'t' and 'u' overlap",
    ),
    "tensor twice": (
        container(tensors=[tensor("t", [8]), tensor("t", [8], 0, 32)], data=bytes(96)),
        "'t' stands twice",
    ),
    "tensor name not UTF-8": (
        container(tensors=[tensor(b"\xfe", [8])], data=bytes(96)),
        "name of tensor 0 is not valid UTF-8",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_files_are_named(tmp_path: Path, case: str) -> None:
    data, message = MALFORMED[case]
    path = write(tmp_path, data)
    begin = time.perf_counter()
    with pytest.raises(MalformedFileError, match=message) as caught:
        GGUFFile.open(path)
    assert time.perf_counter() - begin < 1
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (container(version=1), "version 1"),
        (container(version=4), "version 4"),
        (container(version=3 << 24), "big-endian"),
        (container(tensors=[tensor("t", [8], 4)], data=bytes(64)), "'t' has unknown type 4"),
        (container(tensors=[tensor("t", [8], 999)], data=bytes(64)), "'t' has unknown type 999"),
    ],
)
def test_unsupported_files_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        GGUFFile.open(write(tmp_path, data))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be opened"):
        GGUFFile.open(tmp_path / "missing.gguf")
    with pytest.raises(SourceError, match="cannot be opened"):
        GGUFFile.open(tmp_path)


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    for length in range(len(GOLDEN)):
        with pytest.raises(MalformedFileError):
            GGUFFile.open(write(tmp_path, GOLDEN[:length]))


SCALARS: list[tuple[int, str, st.SearchStrategy[int | float]]] = [
    (U32, "I", st.integers(0, 2**32 - 1)),
    (I64, "q", st.integers(-(2**63), 2**63 - 1)),
    (F64, "d", st.floats(allow_nan=False)),
]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8"), max_size=9),
            st.one_of(
                *[st.tuples(st.just(t), st.just(c), values) for t, c, values in SCALARS],
                st.tuples(
                    st.just(STRING), st.just(""), st.text(st.characters(codec="utf-8"), max_size=30)
                ),
            ),
        ),
        max_size=8,
        unique_by=lambda pair: pair[0],
    )
)
def test_metadata_round_trip(
    tmp_path: Path, pairs: list[tuple[str, tuple[int, str, object]]]
) -> None:
    keys, expected = [], {}
    for name, (type_, code, value) in pairs:
        if name == "general.alignment":
            continue
        data = text(str(value)) if type_ == STRING else struct.pack("<" + code, value)
        keys.append(key(name, type_, data))
        expected[name] = value
    assert GGUFFile.open(write(tmp_path, container(keys))).metadata == expected


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_give_a_file_or_a_named_error(tmp_path: Path, data: bytes, headed: bool) -> None:
    path = write(tmp_path, container(key_count=2, tensor_count=1)[:24] + data if headed else data)
    with contextlib.suppress(StudioloError):
        file = GGUFFile.open(path)
        for name, info in file.tensors.items():
            assert file.read(name).shape == info.shape


def test_the_starter_opens_quickly(
    starter: Path, record_property: Callable[[str, object], None]
) -> None:
    path = next(starter.glob("*.gguf"))
    begin = time.perf_counter()
    file = GGUFFile.open(path)
    seconds = time.perf_counter() - begin
    record_property("seconds", seconds)
    tokens = file.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list)
    assert (len(tokens), len(file.tensors)) == (49_152, 272)
    assert seconds < 1  # 0.05 s on an idle machine
