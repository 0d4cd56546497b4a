"""Two independent tokenizers of the same file: ``transformers`` and llama.cpp.

Neither is right everywhere. :data:`DIFFERENCES` lists what each does otherwise than the
model's own ``tokenizer.json`` would, as an edit that takes the cause out of a line: on a
line that holds no cause all must agree, and on one that does they must agree again once
the cause is out. The counts are of 10,000 lines (those from the standard library vary a
little with Python's version).
"""

from __future__ import annotations

import http.client
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import xllamacpp
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer

Edit = Callable[[str], str]

_SMOLLM2_LACKS = frozenset(
    {0x04, 0x06, 0x13, 0x14, 0x16, 0x1D, 0xC0, 0xC1, 0xF1, 0xF2, *range(0xF5, 0x100)}
)


def without_numbers(line: str) -> str:
    return "".join("x" if unicodedata.category(c).startswith("N") else c for c in line)


def without_bytes_that_have_no_token(line: str) -> str:
    return "".join(c for c in line if not _SMOLLM2_LACKS & set(c.encode()))


def without_closing_strike_tag(line: str) -> str:
    return line.replace("</s>", "(s)")


def without_long_runs_of_spaces(line: str) -> str:
    return re.sub("[ ▁]{32,}", " ", line)


def without_space_marks(line: str) -> str:
    return line.replace("▁", "_")


DIFFERENCES: Mapping[tuple[str, str], tuple[Edit, ...]] = {
    # Its GGUF reader cuts by GPT-2's rule alone; SmolLM2 sets digits apart first ("9 ½"): 1,165.
    ("smollm2-135m-instruct", "transformers"): (without_numbers,),
    # Both drop a byte that has no token, but llama.cpp lets it keep its neighbours apart: 10.
    ("smollm2-135m-instruct", "llama.cpp"): (without_bytes_that_have_no_token,),
    # llama.cpp makes any token spelled "</s>" a control token; here it is an HTML tag: 65.
    ("qwen2.5-coder-1.5b-instruct", "llama.cpp"): (without_closing_strike_tag,),
    # llama.cpp takes 31 spaces first, as SentencePiece does; tokenizer.json joins 16 and 16: 174.
    # And it takes a written "▁" for no space, where tokenizer.json knows no difference: 10.
    ("gemma-3-270m", "llama.cpp"): (
        without_closing_strike_tag,
        without_long_runs_of_spaces,
        without_space_marks,
    ),
}


class Transformers:
    """``AutoTokenizer`` of a GGUF file or a directory; ``corrected`` cuts as SmolLM2 does."""

    def __init__(self, path: Path, *, corrected: bool = False) -> None:
        if path.is_dir():
            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(path))
        else:
            self._tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
        if corrected:
            self._tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
                [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
            )

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        ids = self._tokenizer(text, split_special_tokens=not parse_special)["input_ids"]
        return [int(i) for i in ids]

    def decode(self, ids: list[int]) -> str:
        return str(
            self._tokenizer.decode(
                ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )


class LlamaCpp:
    """llama.cpp's own tokenizer, asked through the server that ``xllamacpp`` starts."""

    def __init__(self, path: Path) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = params.n_batch = params.n_ubatch = 64
        params.n_parallel, params.n_gpu_layers, params.port = 1, 0, 0
        params.warmup, params.verbosity = False, -1
        self._server = xllamacpp.Server(params)
        self._connection = http.client.HTTPConnection(
            self._server.listening_address.removeprefix("http://")
        )

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        body = json.dumps({"content": text, "add_special": True, "parse_special": parse_special})
        try:
            answer = self._ask(body)
        except (http.client.HTTPException, OSError):
            # The server hangs up after a while of silence, or of talk.
            self._connection.close()
            answer = self._ask(body)
        return [int(i) for i in json.loads(answer)["tokens"]]

    def _ask(self, body: str) -> bytes:
        self._connection.request("POST", "/tokenize", body, {"Content-Type": "application/json"})
        return self._connection.getresponse().read()

    def close(self) -> None:
        self._connection.close()
