"""Settings: what is refused, how it is said, and what a request may put over defaults."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from studiolo.errors import InvalidRequestError
from studiolo.sampler.settings import Decoding, allowed, check_vocabulary


def test_every_dial_is_off_by_default_and_described() -> None:
    settings = Decoding.checked()
    assert settings == Decoding()
    assert (settings.temperature, settings.top_k, settings.top_p, settings.beams) == (1, 0, 1, 1)
    for name, field in Decoding.model_fields.items():
        assert field.description, name
        assert allowed(name), name


@pytest.mark.parametrize(
    ("name", "value", "range_"),
    [
        ("temperature", -0.1, "a number from 0 to 100"),
        ("temperature", 100.5, "a number from 0 to 100"),
        ("temperature", math.nan, "a number from 0 to 100"),
        ("temperature", math.inf, "a number from 0 to 100"),
        ("temperature", "warm", "a number from 0 to 100"),
        ("temperature", True, "a number from 0 to 100"),
        ("top_k", -1, "a whole number from 0 to 1,000,000"),
        ("top_k", 2.5, "a whole number from 0 to 1,000,000"),
        ("top_p", 95, "a number from 0 to 1"),
        ("min_p", 1.01, "a number from 0 to 1"),
        ("typical_p", -math.inf, "a number from 0 to 1"),
        ("repetition_penalty", 0.05, "a number from 0.1 to 10"),
        ("presence_penalty", 2.1, "a number from -2 to 2"),
        ("frequency_penalty", -3, "a number from -2 to 2"),
        ("beams", 0, "a whole number from 1 to 64"),
        ("beams", None, "a whole number from 1 to 64"),
        ("length_penalty", 11, "a number from -10 to 10"),
        ("logit_bias", 5, "a mapping from token ids to numbers from -100 to 100"),
    ],
)
def test_a_bad_value_is_named_with_its_range(name: str, value: object, range_: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Decoding.checked(**{name: value})
    assert caught.value.field == name
    assert caught.value.message == f"{name}: {value!r} is not {range_}"


@pytest.mark.parametrize("bias", [{7: 101.0}, {7: math.nan}, {7: math.inf}, {"seven": 1.0}])
def test_a_bad_bias_shows_its_entry(bias: dict[object, float]) -> None:
    (key,) = bias
    with pytest.raises(InvalidRequestError, match=f"logit_bias: {key!r}: "):
        Decoding.checked(logit_bias=bias)


def test_a_long_value_is_cut_short_in_the_message() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Decoding.checked(temperature="x" * 10_000)
    assert len(caught.value.message) < 200


def test_bias_takes_the_string_keys_of_json() -> None:
    assert Decoding.checked(logit_bias={"7": -100}).logit_bias == {7: -100.0}


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(InvalidRequestError, match="Did you mean temperature") as caught:
        Decoding.checked(temprature=0.5)
    assert caught.value.field == "temprature"
    with pytest.raises(InvalidRequestError, match="The settings are temperature, top_k"):
        Decoding.checked(zzz=1)


def test_a_temperature_that_would_overflow_is_refused() -> None:
    assert Decoding.checked(temperature=1e-6).temperature == 1e-6
    with pytest.raises(InvalidRequestError, match="temperature: 1e-07 is neither 0 nor from 1e-06"):
        Decoding.checked(temperature=1e-7)


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 0.7), ("top_k", 40), ("top_p", 0.9), ("min_p", 0.1), ("typical_p", 0.5)],
)
def test_beam_search_refuses_what_shapes_a_draw(name: str, value: float) -> None:
    with pytest.raises(InvalidRequestError, match="beam search") as caught:
        Decoding.checked(beams=4, **{name: value})
    assert caught.value.field == name


def test_beam_search_accepts_the_rest() -> None:
    for temperature in (0, 1):
        settings = Decoding.checked(
            beams=4,
            temperature=temperature,
            length_penalty=0.5,
            repetition_penalty=1.2,
            presence_penalty=0.5,
            frequency_penalty=0.5,
            logit_bias={3: 1.0},
        )
        assert settings.beams == 4


def test_a_request_stands_over_recommended_defaults() -> None:
    defaults = Decoding.checked(temperature=0.7, top_k=40, top_p=0.95, repetition_penalty=1.1)
    assert defaults.replaced() == defaults
    assert defaults.replaced(top_k=5) == Decoding.checked(
        temperature=0.7, top_k=5, top_p=0.95, repetition_penalty=1.1
    )
    # The recommended sampling does not stand in the way of a wish for beams …
    assert defaults.replaced(beams=3) == Decoding.checked(beams=3, repetition_penalty=1.1)
    # … but what is asked for beside beams is refused.
    with pytest.raises(InvalidRequestError, match="top_k"):
        defaults.replaced(beams=3, top_k=5)
    with pytest.raises(InvalidRequestError, match="beams"):
        defaults.replaced(beams=1000)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Decoding().temperature = 0.5  # type: ignore[misc]


def test_biased_ids_must_be_in_the_vocabulary() -> None:
    settings = Decoding.checked(logit_bias={0: 1.0, 99: 1.0})
    check_vocabulary(settings, 100)
    with pytest.raises(InvalidRequestError, match=r"token id 99 is not in .* 0 to 98"):
        check_vocabulary(settings, 99)
    with pytest.raises(InvalidRequestError, match="token id -1"):
        check_vocabulary(Decoding.checked(logit_bias={-1: 1.0}), 100)


def test_whether_there_is_chance() -> None:
    assert Decoding.checked().draws
    assert not Decoding.checked(temperature=0).draws
    assert not Decoding.checked(beams=2).draws
