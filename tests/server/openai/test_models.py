"""Models, listed and looked up by OpenAI's own client."""

from __future__ import annotations

import openai
import pytest

from tests.server.serving import Served


def test_models_are_listed_and_looked_up(client: openai.OpenAI) -> None:
    page = client.models.list()
    assert [each.id for each in page] == [each.id for each in page.data]
    assert {"tiny", "tiny-encoder"} <= {each.id for each in page.data}
    model = client.models.retrieve("tiny")
    assert model in page.data
    assert (model.object, model.owned_by) == ("model", "studiolo")
    assert model.created > 0


@pytest.mark.parametrize("name", ["gpt-5.5", "hf:owner/name", "../tiny", "a/b/c", "%00", "é"])
def test_what_is_no_model_is_not_found(client: openai.OpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as wrong:
        client.models.retrieve(name)
    assert (wrong.value.code, wrong.value.param) == ("model_not_found", "model")


def test_a_key_sees_what_it_may_use(keeper: Served) -> None:
    key = keeper.studio.records.keys.create(name="narrow", models=("tiny-enc*",)).secret
    with openai.OpenAI(base_url=f"{keeper.url}/v1", api_key=key, max_retries=0) as narrow:
        assert [each.id for each in narrow.models.list()] == ["tiny-encoder"]
        with pytest.raises(openai.NotFoundError):
            narrow.models.retrieve("tiny")


def test_clients_of_anthropic_are_answered_in_their_words(served: Served) -> None:
    headers = {"anthropic-version": "2023-06-01"}
    for path in ("/v1/models", "/v1/models/tiny"):
        theirs = served.http().get(path, headers=headers).json()
        ours = served.http().get(path).json()
        assert "object" in ours
        assert "object" not in theirs
