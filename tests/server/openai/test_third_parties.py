"""Programs that others wrote for OpenAI's API: ``llm`` and ``litellm``, each in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import studiolo
from tests.server.serving import Served

SAID = [{"role": "user", "content": "the rain"}]
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"wet": {"type": "boolean"}},
        "required": ["wet"],
        "additionalProperties": False,
    }
)
Llm = Callable[..., str]


@pytest.fixture(scope="module")
def lm(tiny: str) -> studiolo.LanguageModel:
    return studiolo.load(tiny, device="cpu")


def run(command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, check=False, env={**os.environ, **environment}, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture
def llm(served: Served, tmp_path: Path) -> Llm:
    """``llm(*args)``: what the program prints, for models of the served ones."""
    kinds = {"chat": "", "old": "  completion: true\n", "new": "  responses: true\n"}
    (tmp_path / "extra-openai-models.yaml").write_text(
        "".join(
            f"- model_id: {name}\n  model_name: tiny\n  api_base: {served.url}/v1\n"
            f"  supports_schema: true\n  supports_tools: true\n{more}"
            for name, more in kinds.items()
        )
    )

    def called(*args: str) -> str:
        program = [sys.executable, "-m", "llm", *args]
        return run(program, LLM_USER_PATH=str(tmp_path), OPENAI_API_KEY="none")

    return called


@pytest.mark.parametrize("streaming", [(), ("--no-stream",)])
def test_llm_chats(llm: Llm, lm: studiolo.LanguageModel, streaming: tuple[str, ...]) -> None:
    options = ("-o", "max_tokens", "9", "-o", "temperature", "0")
    said = llm("-m", "chat", *options, *streaming, "the rain")
    expected = lm.chat(SAID, max_tokens=9, temperature=0).text
    assert said == f"{expected}\n"
    again = llm("-m", "chat", *options, *streaming, "-c", "so")
    talk = [*SAID, {"role": "assistant", "content": expected}, {"role": "user", "content": "so"}]
    assert again == f"{lm.chat(talk, max_tokens=9, temperature=0).text}\n"
    (logged, *_) = json.loads(llm("logs", "list", "--json", "-n", "1"))
    assert logged["output_tokens"] == 9


def test_llm_asks_the_newer_address_and_the_older(llm: Llm, lm: studiolo.LanguageModel) -> None:
    newer = llm("-m", "new", "-o", "max_tokens", "9", "-o", "temperature", "0", "the rain")
    assert newer == f"{lm.chat(SAID, max_tokens=9, temperature=0).text}\n"
    older = llm("-m", "old", "-o", "max_tokens", "9", "-o", "temperature", "0", "the rain")
    assert older == f"{lm.generate('the rain', max_tokens=9, temperature=0).text}\n"


def test_llm_asks_for_a_schema_and_offers_tools(llm: Llm) -> None:
    said = llm("-m", "chat", "--schema", SCHEMA, "-o", "temperature", "0", "the rain")
    assert set(json.loads(said)) == {"wet"}
    code = "def weather(city: str) -> str:\n    return 'wet'\n"
    assert llm("-m", "chat", "--functions", code, "-o", "max_tokens", "5", "the rain")


LITELLM = """
import asyncio, json, sys
import litellm
base = {"api_base": sys.argv[1] + "/v1", "api_key": "none"}
ask = {
    "model": "openai/tiny", "messages": [{"role": "user", "content": "the rain"}],
    "max_tokens": 9, "temperature": 0, **base,
}
whole = litellm.completion(**ask)
pieces = list(litellm.completion(**ask, stream=True, stream_options={"include_usage": True}))

async def later():
    made = await litellm.acompletion(**ask)
    text = ""
    async for each in await litellm.acompletion(**ask, stream=True):
        text += each.choices[0].delta.content or ""
    return made.choices[0].message.content, text

vectors = litellm.embedding(model="openai/tiny-encoder", input=["a cat", "b"], **base)
response = litellm.responses(
    model="openai/tiny", input="the rain", max_output_tokens=16, temperature=0, **base
)
prompt = litellm.text_completion(
    model="text-completion-openai/tiny", prompt="the rain", max_tokens=9, temperature=0, **base
)
try:
    litellm.completion(**{**ask, "temperature": -1})
except litellm.BadRequestError as error:
    wrong = str(error)
try:
    litellm.completion(**{**ask, "max_tokens": 9999})
except litellm.ContextWindowExceededError as error:
    large = str(error)
print(json.dumps({
    "whole": whole.choices[0].message.content,
    "tokens": whole.usage.completion_tokens,
    "streamed": "".join(
        choice.delta.content or "" for each in pieces for choice in each.choices
    ),
    "streamed_tokens": pieces[-1].usage.completion_tokens,
    "later": asyncio.run(later()),
    "vectors": [each["embedding"] for each in vectors.data],
    "response": response.output[0].content[0].text,
    "prompt": prompt.choices[0].text,
    "wrong": wrong,
    "large": large,
}))
"""


def test_litellm(served: Served, lm: studiolo.LanguageModel, tiny_encoder: str) -> None:
    said = run([sys.executable, "-c", LITELLM, served.url], LITELLM_LOCAL_MODEL_COST_MAP="True")
    found = json.loads(said.splitlines()[-1])
    text = lm.chat(SAID, max_tokens=9, temperature=0).text
    assert found["whole"] == found["streamed"] == text
    assert found["response"] == lm.chat(SAID, max_tokens=16, temperature=0).text
    assert found["later"] == [text, text]
    assert found["tokens"] == found["streamed_tokens"] == 9
    assert found["prompt"] == lm.generate("the rain", max_tokens=9, temperature=0).text
    expected = studiolo.load_encoder(tiny_encoder, device="cpu").embed(["a cat", "b"])
    for each, vector in zip(found["vectors"], expected.tolist(), strict=True):
        assert each == pytest.approx(vector, abs=1e-6)
    assert "temperature" in found["wrong"]
    assert "max_tokens" in found["large"]
