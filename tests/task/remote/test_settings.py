"""remotes.toml: what may stand in it, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from studiolo.errors import InvalidRequestError, MalformedFileError
from studiolo.task.remote.settings import Remote, key_of, read_remotes

WHOLE = """
[remotes.gpt]
dialect = "openai"
url = "https://api.example.com/v1/"
model = "gpt-9"
key_env = "GPT_KEY"
timeout = { connect = 1, first = 2.5, between = 3 }
retries = 4
breaker = { failures = 2, seconds = 60 }
fallbacks = ["near"]
accepts = ["top_k", "max_completion_tokens"]
prices = { prompt = 3, completion = 15 }

[remotes.near]
dialect = "anthropic"
url = "http://10.0.0.7:8000/v1"
model = "theirs"
"""


def read(path: Path, text: str) -> dict[str, Remote]:
    file = path / "remotes.toml"
    file.write_text(text)
    return read_remotes(file)


def test_a_whole_file(tmp_path: Path) -> None:
    remotes = read(tmp_path, WHOLE)
    gpt, near = remotes["gpt"], remotes["near"]
    assert gpt.url == "https://api.example.com/v1"
    assert (gpt.timeout.first, gpt.retries, gpt.breaker.failures) == (2.5, 4, 2)
    assert gpt.prices is not None
    assert (gpt.prices.prompt, gpt.prices.completion) == (3, 15)
    assert (near.key_env, near.prices, near.fallbacks) == (None, None, ())


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"openai"', '"bedrock"', "remotes.gpt.dialect"),
        ("https://api", "ftp://api", "must be an http or https address"),
        ("https://api.example.com/v1/", "https://", "must be an http or https address"),
        ("https://api.example.com/v1/", "https://a:99999/v1", "must be an http or https address"),
        ("https://api", "https://me:pass@api", "key_env names where a key is"),
        ("/v1/", "/v1/?key=x", "must end with its path"),
        ('"GPT_KEY"', '"sk-123"', "remotes.gpt.key_env"),
        ("key_env", "key", "remotes.gpt.key"),
        ("first = 2.5", "first = 0", "remotes.gpt.timeout.first"),
        ("retries = 4", "retries = 99", "remotes.gpt.retries"),
        ('"near"]', '"nobody"]', "gpt.fallbacks: 'nobody' is no other model of this file"),
        ('"near"]', '"gpt"]', "gpt.fallbacks: 'gpt' is no other model"),
        ('"top_k"', '"magic"', "remotes.gpt.accepts"),
        ("prompt = 3", "prompt = -3", "remotes.gpt.prices.prompt"),
        ("[remotes.near]", '[remotes."../near"]', "cannot name a model"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in WHOLE
    with pytest.raises(MalformedFileError, match=reason):
        read(tmp_path, WHOLE.replace(old, new, 1))


def test_keys_come_from_the_environment_alone(tmp_path: Path) -> None:
    remotes = read(tmp_path, WHOLE)
    assert key_of("near", remotes["near"], {}) is None
    assert key_of("gpt", remotes["gpt"], {"GPT_KEY": " sk-1\n"}) == "sk-1"
    with pytest.raises(InvalidRequestError, match="GPT_KEY should hold the key of gpt, and is not"):
        key_of("gpt", remotes["gpt"], {"GPT_KEY": " "})
    with pytest.raises(InvalidRequestError, match="has characters that no key has") as caught:
        key_of("gpt", remotes["gpt"], {"GPT_KEY": "sk-1\nx: y"})
    assert "sk-1" not in str(caught.value)
