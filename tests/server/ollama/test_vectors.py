"""Vectors, asked by Ollama's own client."""

from __future__ import annotations

import asyncio

import ollama
import pytest
import torch

import studiolo
from tests.server.serving import Served


@pytest.fixture(scope="module")
def expected(tiny_encoder: str) -> list[list[float]]:
    vectors: list[list[float]] = (
        studiolo.load_encoder(tiny_encoder, device="cpu").embed(["a cat", "b"]).tolist()
    )
    return vectors


def test_vectors_of_texts(client: ollama.Client, expected: list[list[float]]) -> None:
    made = client.embed("tiny-encoder", ["a cat", "b"])
    assert torch.tensor(made.embeddings).allclose(torch.tensor(expected), atol=1e-6)
    assert made.prompt_eval_count == 2 + 5 + 2 + 1
    assert made.total_duration is not None
    assert made.load_duration is not None
    assert 0 < made.load_duration < made.total_duration
    (one,) = client.embed("tiny-encoder:latest", "a cat", dimensions=32).embeddings
    assert one == made.embeddings[0]


def test_the_older_address(client: ollama.Client, expected: list[list[float]]) -> None:
    made = client.embeddings("tiny-encoder", "a cat").embedding
    assert made == pytest.approx(expected[0], abs=1e-6)
    assert list(client.embeddings("tiny-encoder").embedding) == []


def test_nothing_has_no_vectors(client: ollama.Client) -> None:
    assert list(client.embed("tiny-encoder", "").embeddings) == []
    assert list(client.embed("tiny-encoder", []).embeddings) == []


def test_nothing_is_cut_unasked(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="24") as wrong:
        client.embed("tiny-encoder", "x" * 100)
    assert wrong.value.status_code == 400
    (one,) = client.embed("tiny-encoder", "x" * 100, truncate=True).embeddings
    assert len(one) == 32


def test_what_is_wrong_is_told(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="dimensions: must be 32"):
        client.embed("tiny-encoder", "x", dimensions=8)
    with pytest.raises(ollama.ResponseError, match="makes texts, not vectors"):
        client.embed("tiny", "x")
    with pytest.raises(ollama.ResponseError, match="options"):
        client.embed("tiny-encoder", "x", options={"num_ctx": 10})


def test_asynchronously(served: Served, expected: list[list[float]]) -> None:
    async def ask() -> list[float]:
        async with ollama.AsyncClient(host=served.url) as client:
            return list((await client.embed("tiny-encoder", "b")).embeddings[0])

    assert asyncio.run(ask()) == pytest.approx(expected[1], abs=1e-6)
