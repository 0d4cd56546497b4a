from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.errors import (
    InvalidRequestError,
    MalformedFileError,
    ReplayError,
    StudioloError,
)
from studiolo.family.autoregressive import TokenChoice
from studiolo.record.receipt import (
    Adapter,
    Asked,
    Engine,
    Model,
    Output,
    Receipt,
    Rule,
    difference,
    single,
)
from studiolo.sampler.settings import Decoding

GOLDEN = (
    '{"asked":{"constraint":{"kind":"choices","source":"[\\"a\\", \\"\\u00e9\\"]"},"decoding":'
    '{"beams":1,"frequency_penalty":0.0,"length_penalty":1.0,"logit_bias":{"7":-1.5},'
    '"min_p":0.0,"presence_penalty":0.0,"repetition_penalty":1.0,"temperature":0.1,"top_k":40,'
    '"top_p":1.0,"typical_p":1.0},"ignore_eos":false,"log_probs":1,"max_tokens":8,"n":1,'
    '"prompt":[1,2,3],"seed":9223372036854775807,"stop":["\\n","\\u20ac"]},"digests":{"output":'
    '"OUTPUT","prompt":"a615eeaee21de5179de080de8c3052c8da901138406ba71c38c032845f7d54f4",'
    '"settings":"SETTINGS"},"engine":{"arithmetic":"packed 1","libraries":{"torch":"2.13.0"},'
    '"studiolo":"0.1.0"},"format":1,"model":{"name":"m","weights":"'
    + "ab"
    * 32
    + '"},"outputs":[{"finish_reason":"stop","log_probs":["bf000000","ff800000"],"text":'
    '"9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0","token_ids":[5,6],'
    '"top":[[[5,"bf000000"]],[[7,"80000000"]]]}]}\n'
)
DIGESTS = {
    "OUTPUT": "3055688e361b876098cfc9c0e68157271029d1cbf5f71cd08d8e82d20f8eacc0",
    "SETTINGS": "e0180146b10b355df9109a0e029a1262e41b5c975032ac4e6e1c9ca9e9627c2c",
}


def output(**changes: Any) -> Output:
    given: dict[str, Any] = {
        "token_ids": (5, 6),
        "finish_reason": "stop",
        "text": "aaa",
        "log_probs": (
            TokenChoice(5, -0.5, ((5, -0.5),)),
            TokenChoice(6, -float("inf"), ((7, -0.0),)),
        ),
        "score": None,
        **changes,
    }
    return Output.of(**given)


def asked(**changes: Any) -> Asked:
    decoding = Decoding.checked(temperature=0.1, top_k=40, logit_bias={7: -1.5})
    given: dict[str, Any] = {
        "prompt": (1, 2, 3),
        "max_tokens": 8,
        "decoding": decoding.model_dump(mode="json"),
        "n": 1,
        "seed": 2**63 - 1,
        "stop": ("\n", "€"),
        "ignore_eos": False,
        "log_probs": 1,
        "constraint": Rule(kind="choices", source='["a", "é"]'),
        **changes,
    }
    return Asked(**given)


def receipt(*outputs: Output, **changes: Any) -> Receipt:
    engine = Engine(studiolo="0.1.0", arithmetic="packed 1", libraries={"torch": "2.13.0"})
    model = Model(name="m", weights="ab" * 32)
    return Receipt.of(engine, model, asked(**changes), outputs or (output(),))


def test_golden_bytes() -> None:
    expected = GOLDEN
    for name, digest in DIGESTS.items():
        expected = expected.replace(f'"{name}"', f'"{digest}"')
    assert receipt().to_bytes().decode() == expected


def test_what_was_written_is_read(tmp_path: Path) -> None:
    beams = Decoding.checked(beams=2).model_dump(mode="json")
    first = receipt(
        output(log_probs=None, score=-1 / 3),
        output(log_probs=None, score=float("nan"), finish_reason="length"),
        decoding=beams,
        n=2,
        log_probs=None,
        constraint=None,
    )
    for made in (first, receipt()):
        file = tmp_path / "receipt.json"
        file.write_bytes(made.to_bytes())
        assert Receipt.read(file) == made
        assert Receipt.read(file).digest == made.digest
        laid_out = json.dumps(json.loads(made.to_bytes()), indent=4, ensure_ascii=False)
        assert Receipt.parse(laid_out.encode()) == made


def test_an_adapter_stands_among_what_was_asked() -> None:
    """And one without stays byte for byte what it was."""
    made = receipt(adapter=Adapter(name="poet", weights="cd" * 32))
    assert f'"adapter":{{"name":"poet","weights":"{"cd" * 32}"}}'.encode() in made.to_bytes()
    assert Receipt.parse(made.to_bytes()) == made
    assert made.digests.settings != receipt().digests.settings
    assert made.asked.options() == asked().options()


def test_options_ask_for_the_same_again() -> None:
    options = asked().options()
    assert options["choices"] == ["a", "é"]
    again = Decoding.checked(**{name: options[name] for name in Decoding.model_fields})
    assert again == Decoding.checked(temperature=0.1, top_k=40, logit_bias={7: -1.5})
    assert asked(constraint=Rule(kind="regex", source="a+")).options()["regex"] == "a+"


def test_a_settings_field_that_came_later_is_at_its_default() -> None:
    older = Decoding.checked().model_dump(mode="json")
    del older["typical_p"]
    made = receipt(decoding=older)
    assert Receipt.parse(made.to_bytes()) == made
    assert Decoding.checked(**made.asked.decoding) == Decoding()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["asked"]["prompt"].append(4), "digests.prompt is not that of the content"),
        (lambda v: v["asked"].update(seed=1), "digests.settings is not that"),
        (lambda v: v["asked"]["decoding"].update(top_k=1), "digests.settings is not that"),
        (lambda v: v["outputs"][0]["token_ids"].reverse(), "digests.output is not that"),
        (lambda v: v["outputs"][0]["log_probs"].reverse(), "digests.output is not that"),
        (lambda v: v["outputs"][0]["log_probs"].pop(), "not equally many"),
        (lambda v: v["outputs"].clear(), "outputs"),
        (lambda v: v["asked"]["decoding"].update(top_p=2), "asked.decoding: top_p"),
        (lambda v: v["asked"]["decoding"].update(warmth=2), "no such decoding setting"),
        (lambda v: v["asked"].update(n=0), "asked.n"),
        (lambda v: v["asked"].update(max_tokens=2.5), "asked.max_tokens"),
        (lambda v: v["outputs"][0].update(finish_reason="cancelled"), "finish_reason"),
        (lambda v: v["model"].update(weights="ab"), "model.weights"),
        (lambda v: v.update(adapter="x"), "adapter"),
        (
            lambda v: v["asked"].update(adapter={"name": "a", "weights": "cd" * 32}),
            "settings is not",
        ),
        (lambda v: v["asked"].update(adapter={"name": "a"}), r"asked\.adapter\.weights"),
        (lambda v: v.pop("digests"), "digests"),
        (lambda v: v.update(format=0), "format"),
    ],
)
def test_one_that_contradicts_itself_is_refused(change: Any, message: str) -> None:
    value = json.loads(receipt().to_bytes())
    change(value)
    with pytest.raises(MalformedFileError, match=message):
        Receipt.parse(json.dumps(value).encode())


def test_a_later_format_says_so() -> None:
    with pytest.raises(ReplayError, match=r"format 2, and this Studiolo knows formats up to 1"):
        Receipt.parse(b'{"format": 2}')


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="No such file"):
        Receipt.read(tmp_path / "none")
    with pytest.raises(InvalidRequestError, match="directory"):
        Receipt.read(tmp_path)
    for data in (b"", b"\xff\xfe", b"[" * 200_000, b"1" * 5000, b"[]"):
        with pytest.raises(MalformedFileError):
            Receipt.parse(data)


def test_a_cancelled_text_has_none() -> None:
    with pytest.raises(InvalidRequestError, match="was cancelled"):
        output(finish_reason="cancelled")


def test_the_first_difference_is_found_where_it_is() -> None:
    base = output()
    choices = (TokenChoice(5, -0.5, ((5, -0.5),)), TokenChoice(6, -1.0, ((7, -0.0),)))
    same_value = (TokenChoice(5, -0.5, ((5, -0.5),)), TokenChoice(6, -float("inf"), ((7, 0.0),)))

    def found(*then: Output, now: tuple[Output, ...]) -> tuple[Any, ...] | None:
        first = difference(receipt(*then), receipt(*now))
        return None if first is None else (first.what, first.sample, first.token)

    assert found(base, base, now=(base, base)) is None
    assert found(base, base, now=(base,)) == ("samples", None, None)
    other = output(token_ids=(5, 9))
    assert found(base, base, now=(base, other)) == ("token", 1, 1)
    assert found(base, now=(output(token_ids=(5,), log_probs=choices[:1]),)) == ("token", 0, 1)
    assert found(base, now=(output(log_probs=choices),)) == ("log_prob", 0, 1)
    assert found(base, now=(output(log_probs=same_value),)) == ("top", 0, 1)  # -0 is not 0
    assert found(base, now=(output(log_probs=None),)) == ("log_prob", 0, 0)
    assert found(base, now=(output(finish_reason="length"),)) == ("finish_reason", 0, None)
    assert found(base, now=(output(score=1.0),)) == ("score", 0, None)
    assert found(base, now=(output(text="b"),)) == ("text", 0, None)
    empty = output(token_ids=(), log_probs=())
    assert found(empty, now=(output(token_ids=(), log_probs=None),)) == ("log_probs", 0, None)
    shown = str(difference(receipt(base), receipt(output(log_probs=choices))))
    assert shown == "log_prob of sample 1 at token 2: -inf (ff800000) then, -1 (bf800000) now"


@given(st.floats(width=32))
def test_bits_are_those_of_the_number(value: float) -> None:
    (back,) = struct.unpack(">f", bytes.fromhex(single(value)))
    assert struct.pack(">d", back) == struct.pack(">d", value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_reading_raises_named_errors_alone(data: st.DataObject) -> None:
    """Arbitrary bytes, a receipt with bytes changed, and one with values changed."""
    good = receipt().to_bytes()
    kind = data.draw(st.sampled_from(["bytes", "flip", "value"]))
    if kind == "bytes":
        raw = data.draw(st.binary(max_size=200))
    elif kind == "flip":
        at = data.draw(st.integers(0, len(good) - 1))
        raw = good[:at] + data.draw(st.binary(max_size=3)) + good[at + 1 :]
    else:
        value: Any = json.loads(good)
        place = value
        key: Any = data.draw(st.sampled_from(sorted(value)))
        while isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
            place = place[key]
            key = data.draw(
                st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place)))
            )
        place[key] = data.draw(JSON)
        raw = json.dumps(value).encode()
    try:
        made = Receipt.parse(raw)
    except StudioloError:
        return
    assert Receipt.parse(made.to_bytes()) == made
