"""Models as Anthropic's client lists them, at an address that is OpenAI's too."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import anthropic
import pytest

from tests.server.serving import Served, serving


def test_models_are_listed(client: anthropic.Anthropic) -> None:
    page = client.models.list()
    assert sorted(model.id for model in page.data) == ["tiny", "tiny-encoder"]
    assert page.has_more is False
    for model in page.data:
        assert (model.type, model.lifecycle, model.display_name) == ("model", "active", model.id)
        assert datetime(2020, 1, 1, tzinfo=UTC) < model.created_at <= datetime.now(UTC)


def test_pages_follow_each_other(client: anthropic.Anthropic) -> None:
    every = [model.id for model in client.models.list()]
    assert [model.id for model in client.models.list(limit=1)] == every
    first = client.models.list(limit=1)
    assert (first.has_more, first.first_id, first.last_id) == (True, every[0], every[0])
    before = client.models.list(before_id=every[1], limit=1)
    assert ([model.id for model in before.data], before.has_more) == ([every[0]], False)
    assert client.models.list(lifecycle=["retired"]).data == []
    assert len(client.models.list(lifecycle=["active", "retired"]).data) == 2


def test_one_model(client: anthropic.Anthropic) -> None:
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(anthropic.NotFoundError, match="no model is called 'nobody'") as missing:
        client.models.retrieve("nobody")
    assert missing.value.type == "not_found_error"
    assert (missing.value.request_id or "").startswith("req_")


def test_what_is_wrong_is_named(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="limit: must be a whole number"):
        client.models.list(limit=0)
    with pytest.raises(anthropic.BadRequestError, match="after_id: 'nobody' is no model's name"):
        client.models.list(after_id="nobody")


def test_who_may_not_hears_it_in_his_own_words(tiny_home: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "records.db") as guarded:
        keys = guarded.studio.records.keys
        watcher = keys.create(name="n", scopes=("usage",)).secret
        for key, status, kind in (
            ("none", 401, "authentication_error"),
            (watcher, 403, "permission_error"),
        ):
            with (
                anthropic.Anthropic(base_url=guarded.url, api_key=key, max_retries=0) as client,
                pytest.raises(anthropic.APIStatusError) as refused,
            ):
                client.models.list()
            assert (refused.value.status_code, refused.value.type) == (status, kind)
            assert guarded.entry(refused.value.request_id).dialect == "anthropic"
            answer = guarded.http(headers={"x-api-key": key}).get("/v1/models")
            assert answer.json()["error"]["type"] == kind
            assert "type" not in answer.json()


def test_other_clients_see_openais_list(served: Served) -> None:
    assert served.http().get("/v1/models").json()["object"] == "list"
    assert served.http().get("/v1/models/tiny").json()["object"] == "model"


def test_asynchronously(served: Served) -> None:
    async def ask() -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=served.url, api_key="none") as client:
            return [model.id async for model in client.models.list(limit=1)]

    assert sorted(asyncio.run(ask())) == ["tiny", "tiny-encoder"]
