"""Deterministic lines of every sort of text that a tokenizer may meet.

One seed gives one list of lines, on every machine: the generator is our own
arithmetic over fixed tables, and the code lines are this Python's standard library.
"""

from __future__ import annotations

import random
import sysconfig
from functools import cache
from itertools import islice
from pathlib import Path

SCRIPTS = {
    "latin": "the quick brown fox jumps over Straße façade naïve Łódź İstanbul Ærøskøbing "
    "coöperate don't we'll THEY'RE it'S I'm you've he'd ŒUVRE ﬁne ﬂow Ångström dž Ǆ ſ",
    "cyrillic": "Съешь же ещё этих мягких французских булок да выпей чаю Ґанок їжак Ћирилица қазақ",
    "greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία ὀρθογραφία ΟΔΥΣΣΕΥΣ ἄνθρωπος",
    "arabic": "السلام عليكم ورحمة الله مُحَمَّد ٱلْقُرْآن پارسی اردو ١٢٣ ۴۵۶ لا ﷺ",
    "hebrew": "שלום עולם בְּרֵאשִׁית יידיש ״ציטוט״ ש״ח",
    "devanagari": "नमस्ते दुनिया क्षत्रिय ज्ञान हिन्दी में १२३ श्री ड़ क़",
    "thai": "สวัสดีชาวโลก ภาษาไทยไม่มีการเว้นวรรค น้ำ ๑๒๓ เก้าอี้",
    "cjk": "天地玄黃 宇宙洪荒 你好，世界！ 日本語テキスト ｶﾀｶﾅ ひらがな 々 𠮷野家 ㍻ １２３ "
    "一二三 〇",
    "korean": "안녕하세요 세계 한국어 토큰 ᄒᆞᆫ글 각 ㄱㄴㄷ 뷁",
    "other": "ქართული Հայերեն አማርኛ ភាសាខ្មែរ မြန်မာ বাংলা தமிழ் ᚠᚢᚦ 𐍈 ⠓⠑⠇ བོད་ཡིག ߒߞߏ 𝔘𝔫𝔦 𝟙𝟚",
    "emoji": "😀 👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪🇫🇷 ❤️ ☕ 1️⃣ 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🧑🏿‍🚀 ©️ ™ ♾️",
    "marks": "é ñ ö ḍ̣̇ Z̷̢̛a̸l̷g̶o̵ q̣̇ Å ẛ ạ̈ क̐ ﬀ ½ ² Ⅷ ①",
    "numbers": "0 7 42 1999 3.14159 -273.15 1,234,567.89 1e-9 0xDEADBEEF 192.168.0.1 2024-02-29 "
    "12:34:56 ٣٤٥ ५६७ ½ ² ⅷ １０ 00000000 123456789012345678901234567890",
    "signs": "… — – “quoted” «guillemets» ¿qué? ¡olé! € £ ¥ № § ¶ † ‰ → ∀x∈ℝ ∑ ≤ ≠ \\ / | ~ ^ `a` "
    "$x$ #tag @name <b>bold</b> </s> <br/> <|im_start|> <|im_end|> <|endoftext|> <bos> <eos> <unk> "
    "<s> [INST] [MASK] [UNK] [CLS] <0x41> <0xFF> [PAD151700] <unused7> <start_of_turn> <tool_call>",
}
CONTROLS = (
    "".join(map(chr, range(32)))
    + "\x7f\x80\x85\x9f\xa0\xad\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202e\u2060\ufeff\ufffd"
    + "\ufffe\uffff\ue000\U0010fffd\U0010ffff\u3000\u2003\u2009\u202f\u1680\u180e\u2581\u0120\u010a"
)
SURROGATES = "\ud800\udbff\udc00\udfff\ud83d\ude00"
SPACES = (
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\r\n",
    "\r",
    " \n",
    "\n ",
    "\u3000",
    "\u00a0",
    "\x0b",
    "\x0c",
)


@cache
def _code_lines() -> tuple[str, ...]:
    library = Path(sysconfig.get_paths()["stdlib"])
    lines: list[str] = []
    for name in ("ast", "inspect", "argparse", "turtle", "locale", "html/entities", "decimal"):
        file = library / f"{name}.py"
        if file.is_file():
            lines += file.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line.strip())


def _words(rng: random.Random, script: str) -> str:
    words = SCRIPTS[script].split(" ")
    return " ".join(rng.choices(words, k=rng.randint(1, 12)))


def _code(rng: random.Random) -> str:
    lines = _code_lines()
    at = rng.randrange(len(lines))
    return "\n".join(lines[at : at + rng.choice((1, 1, 1, 3, 6))])


def _scrambled(rng: random.Random) -> str:
    """Characters of all scripts without regard to sense."""
    pool = "".join(SCRIPTS.values()) + CONTROLS
    return "".join(rng.choices(pool, k=rng.randint(1, 60)))


def _any_codepoints(rng: random.Random) -> str:
    tops = rng.choices((0x80, 0x800, 0x3000, 0x10000, 0x110000), weights=(4, 3, 3, 2, 1), k=24)
    points = (rng.randrange(top) for top in tops)
    return "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000)


def _spaced(rng: random.Random) -> str:
    """Words between runs of white space of every sort, at both ends too."""
    parts = []
    for _ in range(rng.randint(1, 8)):
        parts.append(rng.choice(SPACES) * rng.choice((1, 1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64)))
        parts.append(rng.choice(("", "a", "if", "12", "ж", ".", "天", "'s")))
    return "".join(parts)


def _long_word(rng: random.Random) -> str:
    length = rng.choice((50, 200, 1000, 3000))
    pool = rng.choice(
        (
            "a",
            "ab",
            "abcdefghijklmnopqrstuvwxyz",
            "0123456789",
            "жшщ",
            "天地玄黃宇宙",
            "=-",
            "ACGT",
            "😀",
            "é",
        )
    )
    return "".join(rng.choices(pool, k=length))


def _with_controls(rng: random.Random) -> str:
    text = list(_words(rng, rng.choice(sorted(SCRIPTS))))
    for _ in range(rng.randint(1, 6)):
        text.insert(rng.randint(0, len(text)), rng.choice(CONTROLS + SURROGATES))
    return "".join(text)


def mixed_lines(count: int, seed: int = 20240229) -> list[str]:
    """``count`` lines; the first ``n`` do not depend on ``count``."""

    def lines() -> object:
        rng = random.Random(seed)
        yield from ("", " ", "\x00", "\n", "a", "\ud800", "\ufeffa", " a", "a ", "▁", "▁▁a", "Ġ")
        makers = (_scrambled, _any_codepoints, _spaced, _with_controls, _code, _code)
        while True:
            for script in sorted(SCRIPTS):
                yield _words(rng, script)
            for maker in makers:
                yield maker(rng)
            yield " ".join(_words(rng, script) for script in rng.sample(sorted(SCRIPTS), 3))
            if rng.random() < 0.2:
                yield _long_word(rng)

    return list(islice(lines(), count))  # type: ignore[call-overload]
