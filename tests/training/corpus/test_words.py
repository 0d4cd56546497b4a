from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from studiolo.training.corpus.words import run_hashes, word_hashes, words

TEXT = "Über den Dächern, 3 Katzen; über DEN dächern!"


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert words(TEXT) == ["über", "den", "dächern", "3", "katzen", "über", "den", "dächern"]


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 6))
def test_runs_have_one_hash_exactly_if_they_are_one(found: list[str], n: int) -> None:
    runs = [tuple(found[i : i + n]) for i in range(len(found) - n + 1)]
    hashes = run_hashes(word_hashes(found), n).tolist()
    assert len(hashes) == max(0, len(runs))
    assert len(set(hashes)) == len(set(runs))
    assert len({*zip(runs, hashes, strict=True)}) == len(set(runs))


def test_hashes_are_the_same_in_another_process() -> None:
    code = (
        "from studiolo.training.corpus.words import *;"
        f"print(run_hashes(word_hashes(words({TEXT!r})), 3).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(run_hashes(word_hashes(words(TEXT)), 3).tolist())
