from __future__ import annotations

from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from studiolo.cli.decoding import parse_logit_bias, with_decoding
from studiolo.cli.group import load
from studiolo.errors import InvalidRequestError
from studiolo.sampler.settings import Decoding


def received(*args: str) -> dict[str, Any]:
    """What a command decorated with all the dials is called with."""
    seen: dict[str, Any] = {}

    @with_decoding()
    def command(own: Annotated[int, typer.Option()] = 3, **decoding: Any) -> None:
        seen.update(own=own, **decoding)

    app = typer.Typer(add_completion=False)
    app.command()(command)
    result = CliRunner().invoke(app, list(args))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return seen


def test_what_is_not_given_is_not_passed_on() -> None:
    assert received() == {"own": 3}


def test_every_dial_has_an_option_that_arrives_with_its_type() -> None:
    given = {
        name: 2 if field.annotation is int else 0.5 for name, field in Decoding.model_fields.items()
    }
    del given["logit_bias"]
    args = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    for dial in ("temperature", "top_k", "top_p", "min_p", "typical_p"):  # no draw beside beams
        given.pop(dial)
        args = [a for a in args if not a.startswith(f"--{dial.replace('_', '-')}=")]
    seen = received(*args, "--logit-bias", "5=-100", "--logit-bias", "7=1.5")
    assert seen == {"own": 3, **given, "logit_bias": {5: -100.0, 7: 1.5}}
    assert all(type(seen[name]) is type(value) for name, value in given.items())


def test_a_bad_value_is_refused_before_the_command_is_called() -> None:
    with pytest.raises(InvalidRequestError, match="temperature") as refused:
        received("--temperature", "-1")
    assert refused.value.field == "temperature"
    with pytest.raises(InvalidRequestError, match="beam search"):
        received("--beams", "2", "--top-k", "5")


@pytest.mark.parametrize("pair", ["5", "x=1", "5=y", "=", "5=1=2"])
def test_a_bias_is_an_id_and_a_number(pair: str) -> None:
    with pytest.raises(InvalidRequestError, match="logit_bias"):
        parse_logit_bias([pair])


@pytest.mark.parametrize("name", ["generate", "chat"])
def test_the_help_text_is_the_fields_own(name: str) -> None:
    helps = {p.name: p.help for p in load(name).params}
    for dial, field in Decoding.model_fields.items():
        assert helps[dial] == field.description
