"""Small vocabularies of each kind, made by hand."""

from __future__ import annotations

from studiolo.modality.text.spelling import byte_alphabet

CONTROLS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byte_level() -> dict[str, object]:
    """Every byte, a few merges, three control tokens, one user-defined and one unused token."""
    letters = sorted(byte_alphabet(), key=byte_alphabet().__getitem__)
    merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "Ã ©", "ð Ł", "ðŁ ĺ", "Ġ Ġ"]
    tokens = [*CONTROLS, *letters, *(merge.replace(" ", "") for merge in merges)]
    tokens += ["<tool>", "[PAD0]"]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3] * 3 + [1] * (len(tokens) - 5) + [4, 5],
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": "{{ messages[0].content }}",
    }


def sentence_pieces(prefix: bool = True) -> dict[str, object]:
    """Llama-like: byte tokens, pieces with scores, one piece of two raw spaces."""
    pieces = ["▁", *"abcdehlorw", "é", "天", "he", "ll", "▁w", "hell", "hello", "▁he", "▁hello"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "  ", *pieces]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * 260 + [-float(i) for i in range(len(pieces))],
        "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [4] + [1] * len(pieces),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_space_prefix": prefix,
    }


WORD_PIECE = {
    "version": "1.0",
    "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
    "padding": None,
    "added_tokens": [
        {
            "id": i,
            "content": text,
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for i, text in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    ],
    "normalizer": {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    },
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            text: {"id": text, "ids": [i], "tokens": [text]}
            for i, text in ((2, "[CLS]"), (3, "[SEP]"))
        },
    },
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {
            token: i
            for i, token in enumerate(
                ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "##s", ".", "n't", "do", "é"]
            )
        },
    },
}
