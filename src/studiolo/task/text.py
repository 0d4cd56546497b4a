"""A language model as people use it: complete, chat, look at the next token, score.

Text in, text out. Everything below works in token ids; this is where the two meet.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from studiolo.bundle.layout import load_decoder, load_packed
from studiolo.bundle.opening import OpenBundle, blaming
from studiolo.bundle.store import Bundle
from studiolo.errors import ChatTemplateError, InvalidRequestError
from studiolo.evaluation.likelihood import Likelihood, token_log_likelihoods
from studiolo.family.autoregressive import Autoregressive, TokenRequest
from studiolo.modality.text.chat import check_messages, plain
from studiolo.modality.text.conversation import encode_chat
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.modality.text.tool_grammar import call_grammar
from studiolo.modality.text.tool_prompt import knows_tools, told_in_words
from studiolo.modality.text.tools import HERMES, ToolFormat, tool_format
from studiolo.nn.config import DecoderConfig
from studiolo.nn.native import best_player
from studiolo.nn.network import Network
from studiolo.nn.tape import Cached
from studiolo.record.receipt import Engine, Model, Output, Receipt
from studiolo.sampler import json_schema as schemas
from studiolo.sampler.constraint import KINDS, Constraint
from studiolo.sampler.decoding import shape
from studiolo.sampler.guide import Guides
from studiolo.sampler.history import History
from studiolo.sampler.settings import Decoding
from studiolo.sampler.watermark import Watermark
from studiolo.task.adapters import Adapters
from studiolo.task.arguments import check_names, stop_strings, token_ids, whole
from studiolo.task.defaults import recommended
from studiolo.task.generation import Generation, Telling, TextStream

Prompt = str | Sequence[int]
Message = Mapping[str, object]
Schema = Mapping[str, object] | bool | str
MAX_SAMPLES = 128
"""As many as the OpenAI API draws at once; each keeps a cache of its own."""
MAX_TOKENS = 256
_OWN = ("max_tokens", "n", "seed", "stop", "ignore_eos", "log_probs", "adapter", "watermark")
OPTIONS = (*_OWN, *KINDS)
"""What :meth:`LanguageModel.generate` takes besides the fields of :class:`Decoding`."""


@dataclass(frozen=True)
class NextToken:
    """One candidate for the next place."""

    token: str
    id: int
    probability: float


@dataclass(frozen=True)
class Score(Likelihood):
    """The likelihood of a text. ``tokens``: (text, id, log-probability in nats or None)."""

    tokens: tuple[tuple[str, int, float | None], ...] = ()


class LanguageModel:
    """A loaded model and its tokenizer; make one with :func:`studiolo.load`.

    ``watermark``: what every text is marked with that is drawn, if one is set.
    """

    def __init__(
        self,
        bundle: Bundle,
        tokenizer: Tokenizer,
        model: Autoregressive,
        defaults: Decoding,
    ) -> None:
        self.bundle, self.tokenizer, self.model = bundle, tokenizer, model
        self.defaults = defaults
        self.watermark: Watermark | None = None
        self._guides, self._adapters = Guides(tokenizer), Adapters(model.network)

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        *,
        device: torch.device,
        packed: bool = True,
        cached: Cached = "float32",
    ) -> LanguageModel:
        """Read a bundle's weights: packed or float32 on a CPU, bfloat16 on a GPU.

        ``cached``: what a packed network keeps keys and values as.
        """
        with blaming(bundle):
            opened = OpenBundle.of(bundle)
            _ = opened.config  # refuses early what is no language model
            network: Network[Any]
            if device.type == "cpu" and packed:
                network = load_packed(opened.checkpoint, best_player(), cached)
            else:
                dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
                network = load_decoder(opened.checkpoint, dtype=dtype, device=device)
            defaults = recommended(bundle, opened.checkpoint.generation)
            return cls(bundle, opened.tokenizer, Autoregressive(network), defaults)

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.bundle.name

    @property
    def config(self) -> DecoderConfig:
        """The description of the network."""
        return self.model.config

    def generate(
        self,
        prompt: Prompt,
        *,
        max_tokens: int | None = None,
        n: int = 1,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
        ignore_eos: bool = False,
        log_probs: int | None = None,
        json_schema: Schema | None = None,
        regex: str | None = None,
        grammar: str | None = None,
        choices: Sequence[str] | None = None,
        adapter: str | os.PathLike[str] | None = None,
        watermark: Watermark | None = None,
        **decoding: object,
    ) -> Generation:
        """Continue ``prompt`` (text, or token ids), raw: no chat template.

        ``max_tokens``: at most this many new tokens; None means 256, or what the context has
        left if that is less. ``n``: samples to draw, of beams the
        n best; the others are in ``alternatives``. ``seed``: 0 to 2**63 - 1; the i-th sample
        draws with ``seed + i``; None takes a random one, which the result names. ``stop``:
        strings that end the text and are not part of it. ``ignore_eos``: go on past the end
        token. ``log_probs``: record each token's log-probability and this many alternatives,
        as the model gave them. ``json_schema`` (a mapping, or JSON text), ``regex``,
        ``grammar`` (Lark) or ``choices``, one at most: what the text must be. ``adapter``: the name
        or path of a LoRA adapter that changes the model for this text. ``watermark``: what to mark
        the text with (:func:`~studiolo.record.secret.watermark` is this installation's).
        ``decoding``: fields of :class:`Decoding`, over the model's recommended ones.

        Raises :class:`InvalidRequestError`, :class:`ContextOverflowError`, and what
        :func:`~studiolo.bundle.adapter.read_adapter` does.
        """
        stream = self.stream(
            prompt,
            max_tokens=max_tokens,
            n=n,
            seed=seed,
            stop=stop,
            ignore_eos=ignore_eos,
            log_probs=log_probs,
            json_schema=json_schema,
            regex=regex,
            grammar=grammar,
            choices=choices,
            adapter=adapter,
            watermark=watermark,
            **decoding,
        )
        return stream.run()

    def stream(self, prompt: Prompt, **options: Any) -> TextStream:
        """As :meth:`generate`, but the first sample's text arrives piece by piece."""
        return TextStream(self.model, self.prepare(prompt, **options))

    def prepare(
        self,
        prompt: Prompt,
        *,
        max_tokens: int | None = None,
        n: int = 1,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
        ignore_eos: bool = False,
        log_probs: int | None = None,
        json_schema: Schema | None = None,
        regex: str | None = None,
        grammar: str | None = None,
        choices: Sequence[str] | None = None,
        adapter: str | os.PathLike[str] | None = None,
        watermark: Watermark | None = None,
        **decoding: object,
    ) -> Telling:
        """As :meth:`generate`, up to where the work begins: for one who takes the steps."""
        check_names(decoding, OPTIONS)
        settings = self.defaults.replaced(**decoding)
        if max_tokens is not None:
            max_tokens = whole("max_tokens", max_tokens, 1)
        n = whole("n", n, 1, MAX_SAMPLES)
        seed = secrets.randbits(32) if seed is None else whole("seed", seed, 0, 2**63 - 1)
        stops = stop_strings(stop)
        if log_probs is not None:
            log_probs = whole("log_probs", log_probs, 0, self.config.vocabulary)
            if settings.beams > 1:
                raise InvalidRequestError(
                    "log_probs",
                    "are not recorded along a beam search",
                    remedy="Each text has a score; `score` gives the log-probabilities of a text.",
                )
        if watermark is not None:
            watermark.check_drawn(settings)
        constraint = Constraint.asked(
            json_schema=json_schema, regex=regex, grammar=grammar, choices=choices
        )
        ids = tuple(self._encode(prompt))
        if max_tokens is None:
            max_tokens = max(1, min(MAX_TOKENS, self.config.context - len(ids)))
        request = TokenRequest(
            prompt=ids,
            max_tokens=max_tokens,
            decoding=settings,
            stop_ids=frozenset() if ignore_eos else self.tokenizer.eos_ids,
            stops=self._stop_test(stops) if stops and settings.beams > 1 else None,
            log_probs=log_probs,
            best=n if settings.beams > 1 else 1,
            constraint=None if constraint is None else self._guides.compile(constraint),
            adapter=None if adapter is None else self._adapters.get(adapter),
            watermark=watermark or (self.watermark if settings.draws else None),
        )
        count = 1 if settings.beams > 1 else n
        return Telling(self.tokenizer, request, stops, seed, count)

    def chat(self, messages: Sequence[Message], **options: Any) -> Generation:
        """Answer a conversation through the model's chat template.

        ``messages``: ``{"role": …, "content": …}`` in order; ``tools`` among the options goes
        to the template, and ``tool_choice`` (``"required"``, ``"auto"`` or a tool's name) makes
        calls of them right: :func:`~studiolo.modality.text.tool_grammar.call_grammar`; beside
        ``"auto"``, ``json_schema`` is what an answer must be that is no call. The other
        options are those of :meth:`generate`. Raises :class:`ChatTemplateError` when there is
        no template or it rejects the messages.
        """
        return self.stream_chat(messages, **options).run()

    def stream_chat(self, messages: Sequence[Message], **options: Any) -> TextStream:
        """As :meth:`chat`, but the answer arrives piece by piece."""
        return TextStream(self.model, self.prepare_chat(messages, **options))

    def prepare_chat(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Message] | None = None,
        tool_choice: str | None = None,
        **options: Any,
    ) -> Telling:
        """As :meth:`chat`, up to where the work begins."""
        prompt = self.encode_chat(messages, tools=tools)
        if tool_choice is None:
            return self.prepare(prompt, **options)
        schema = options.pop("json_schema", None) if tool_choice == "auto" else None
        for kind in KINDS:
            if options.get(kind) is not None:
                raise InvalidRequestError("tool_choice", f"is a constraint, and so is {kind}")
        if schema is not None:
            schemas.prepare(schema)  # refuses under its own name what cannot be enforced
            schema = schemas.to_text(schema)
        form = self.tool_format
        options["grammar"] = call_grammar(tools or (), tool_choice, form, answer=schema)
        try:
            return self.prepare(prompt, **options)
        except InvalidRequestError as error:
            if error.field != "grammar":
                raise
            message = error.message.removeprefix("grammar: ")
            raise InvalidRequestError("tools", message, remedy=error.remedy) from error

    @property
    def tool_format(self) -> ToolFormat:
        """How this model writes calls of tools; :class:`ToolCallReader` reads them."""
        template = self.tokenizer.chat_template
        return tool_format(template) if knows_tools(template) else HERMES

    def encode_chat(
        self, messages: Sequence[Message], *, tools: Sequence[Message] | None = None
    ) -> list[int]:
        """Token ids of a conversation, up to where the answer begins.

        What the messages say is never a control token: only the template writes those. Where
        that knows no tools, ``tools`` and calls of them are told in words.
        """
        if self.tokenizer.chat_template is None:
            raise ChatTemplateError(
                f"{self.name} has no chat template",
                remedy="It is a base model: use `generate`, or choose an instruct model.",
            )
        if not knows_tools(self.tokenizer.chat_template):
            check_messages(messages)
            messages, tools = told_in_words(plain(messages), plain(tools or ())), None
        return encode_chat(self.tokenizer, messages, tools)

    def receipt(self, generation: Generation) -> Receipt:
        """What it takes to make ``generation``, which is this model's, again to the bit.

        Raises :class:`InvalidRequestError` for one that was cancelled.
        """
        libraries = ["torch"] if generation.asked.constraint is None else ["llguidance", "torch"]
        return Receipt.of(
            Engine(
                studiolo=version("studiolo"),
                arithmetic=self.model.network.identity,
                libraries={name: version(name) for name in libraries},
            ),
            Model(name=self.name, weights=self.bundle.digest),
            generation.asked,
            [
                Output.of(each.token_ids, each.finish_reason, each.text, each.log_probs, each.score)
                for each in (generation, *generation.alternatives)
            ],
        )

    def next_log_probs(self, prompt: Prompt) -> Tensor:
        """Natural-log probability of every token of the vocabulary in the next place: ``[V]``."""
        return self.model.next_log_probs(self._encode(prompt))

    def next_tokens(self, prompt: Prompt, k: int = 10, **decoding: object) -> list[NextToken]:
        """The ``k`` likeliest next tokens, best first.

        ``decoding``: strategies to look through (``temperature=0.5``, ``top_p=0.9`` …); by
        default the model's own probabilities. Tokens that are excluded are left out.
        """
        k = whole("k", k, 1)
        ids = self._encode(prompt)
        check_names(decoding, ("k",))
        settings = Decoding.checked(**decoding)
        if settings.beams > 1:
            raise InvalidRequestError(
                "beams", f"{settings.beams} beams search whole texts, not the next token"
            )
        logits = shape(self.model.next_log_probs(ids), History(ids), settings)
        best = logits.softmax(dim=-1).topk(min(k, len(logits)))
        return [
            NextToken(self._readable(id), id, probability)
            for id, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            if probability > 0
        ]

    def score(self, text: Prompt, report: Callable[[int], None] = lambda done: None) -> Score:
        """How likely the model finds a text: see :mod:`studiolo.evaluation.likelihood`.

        ``report`` is told how many tokens are done. Raises :class:`InvalidRequestError` for a
        text of fewer than two tokens.
        """
        ids = self._encode(text, field="text")
        log_probs = token_log_likelihoods(
            self.model, torch.tensor(ids, dtype=torch.int64), self.config.context, report
        )
        spelled = sum(len(self.tokenizer.token_bytes(id)) for id in ids[1:])
        known = [None, *log_probs.tolist()]
        tokens = [(self._readable(i), i, p) for i, p in zip(ids, known, strict=True)]
        return Score(**vars(Likelihood.of(log_probs, spelled)), tokens=tuple(tokens))

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the model and its tokenizer as a Hugging Face directory.

        ``transformers`` loads it; quantised weights are written as the float32 values they
        stand for. Raises :class:`InvalidRequestError` if the directory is there and not empty,
        and :class:`NoSpaceError`.
        """
        OpenBundle.of(self.bundle).save(Path(directory))

    def _encode(self, prompt: Prompt, *, field: str = "prompt") -> list[int]:
        if isinstance(prompt, str):
            return self.tokenizer.encode(prompt)
        return token_ids(field, prompt, self.config.vocabulary)

    def _readable(self, id: int) -> str:
        # A model's table may have more rows than its tokenizer has tokens.
        return self.tokenizer.token_text(id) if id < self.tokenizer.vocab_size else f"<{id}>"

    def _stop_test(self, stops: Sequence[str]) -> Callable[[Sequence[int]], bool]:
        def met(tokens: Sequence[int]) -> bool:
            text = self.tokenizer.decode(tokens)
            return any(stop in text for stop in stops)

        return met
