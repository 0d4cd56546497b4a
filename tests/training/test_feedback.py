"""What becomes of ratings, told by hand; that it is what training reads; and that it trains."""

from __future__ import annotations

import errno
import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError, NoSpaceError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.record.feedback import Rated, Rating
from studiolo.training import feedback as module
from studiolo.training.examples import example, pair, read_all
from studiolo.training.feedback import Counts, Kind, export_feedback, feedback_lines
from studiolo.training.run import Run
from tests.training.tuned import tuning

CHAT = {"messages": [{"role": "user", "content": "where is the cat?"}]}
LATER = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "where is the cat?"},
        {"role": "assistant", "content": "here"},
        {"role": "user", "content": "where?"},
    ]
}
PLAIN = {"prompt": "the cat"}


def output(*texts: str, reason: str = "stop", **more: Any) -> dict[str, Any]:
    """An answer of one sample or several, as the server keeps it."""
    choices = [
        {"index": i, "text": text, "finish_reason": reason, **more} for i, text in enumerate(texts)
    ]
    return {"choices": choices}


def rated(
    prompt: object,
    answer: object,
    rating: float = 1,
    correction: str | None = None,
    consent: bool = True,
) -> Rated:
    said = Rating("r", None, rating, "", correction, consent, 0.0)
    return Rated(said, "m", "w", prompt, output(answer) if isinstance(answer, str) else answer)


def counted(counts: Counts) -> dict[str, int]:
    """Those that are not 0, but for what they sum up to."""
    parts = {name: n for name, n in vars(counts).items() if name not in ("ratings", "lines")}
    assert sum(parts.values()) == counts.ratings
    return {name: n for name, n in parts.items() if n}


def test_a_correction_is_chosen_over_the_answer() -> None:
    given = [rated(CHAT, "there", -1, "on the mat"), rated(PLAIN, " ran", 0.5, " sat")]
    lines, counts = feedback_lines(given, "preferences")
    assert lines == [
        {"prompt": CHAT["messages"], "chosen": "on the mat", "rejected": "there"},
        {"prompt": "the cat", "chosen": " sat", "rejected": " ran"},
    ]
    assert (counts.lines, counted(counts)) == (2, {"used": 2})
    lines, counts = feedback_lines(given, "answers")
    assert lines == [
        {"messages": [*CHAT["messages"], {"role": "assistant", "content": "on the mat"}]},
        {"prompt": "the cat", "completion": " sat"},
    ]
    assert counted(counts) == {"used": 2}
    same = [rated(CHAT, "there", 1, "there")]
    assert counted(feedback_lines(same, "preferences")[1]) == {"unpaired": 1}
    assert counted(feedback_lines(same, "answers")[1]) == {"used": 1}


def test_good_answers_are_learnt_and_others_are_not() -> None:
    given = [rated(CHAT, "a", 1), rated(LATER, "b", 0.1), rated(CHAT, "c", 0), rated(CHAT, "d", -1)]
    lines, counts = feedback_lines(given, "answers")
    assert [line["messages"][-1]["content"] for line in lines] == ["a", "b"]
    assert lines[1]["messages"][:-1] == LATER["messages"]
    assert counted(counts) == {"used": 2, "not_good": 2}


def test_good_and_bad_answers_to_one_prompt_are_pairs() -> None:
    """Each of the greater side once, in the order in which they were rated."""
    given = [
        *(rated(CHAT, "bad 1", -1), rated(CHAT, "good", 1), rated(CHAT, "bad 2", -0.5)),
        *(rated(PLAIN, "lonely", 1), rated(LATER, "sad", -1), rated(CHAT, "bad 3", -1)),
        *(rated(CHAT, "fine", 1), rated(CHAT, "so so", 0)),
    ]
    lines, counts = feedback_lines(given, "preferences")
    assert [(line["chosen"], line["rejected"]) for line in lines] == [
        ("good", "bad 1"),
        ("fine", "bad 2"),
        ("good", "bad 3"),
    ]
    assert all(line["prompt"] == CHAT["messages"] for line in lines)
    assert counted(counts) == {"used": 5, "unpaired": 3}


def test_ratings_of_one_answer_count_together() -> None:
    given = [rated(CHAT, "a", 1), rated(CHAT, "a", -1), rated(CHAT, "a", 0.5), rated(CHAT, "b", -1)]
    lines, counts = feedback_lines(given, "preferences")
    assert [(line["chosen"], line["rejected"]) for line in lines] == [("a", "b")]
    assert counted(counts) == {"used": 4}
    lines, counts = feedback_lines(given, "answers")
    assert (len(lines), counted(counts)) == (1, {"used": 3, "not_good": 1})
    undecided = [*given[:2], given[3]]
    assert counted(feedback_lines(undecided, "preferences")[1]) == {"unpaired": 3}
    assert counted(feedback_lines(undecided, "answers")[1]) == {"not_good": 3}


def test_without_consent_or_content_nothing_is_written() -> None:
    given = [
        rated(CHAT, "a", 1, consent=False),
        rated(CHAT, "b", -1, "never", consent=False),
        rated(None, None, 1, "but for what?"),
        rated(CHAT, None, 1),
    ]
    for kind in get_args(Kind):
        lines, counts = feedback_lines(given, kind)
        assert lines == []
        assert counted(counts) == {"without_consent": 2, "without_content": 2}


TOOL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
UNFIT: Sequence[tuple[object, object]] = [
    ({**CHAT, "tools": [{"type": "function"}]}, "a"),
    ({**CHAT, "begun": "The"}, "a"),
    ({**PLAIN, "suffix": "mat"}, "a"),
    ({"prompt": ["one", "two"]}, "a"),
    ({"prompt": [1, 2]}, "a"),
    ({"prompt": ""}, "a"),
    ({"messages": []}, "a"),
    ({"messages": [*CHAT["messages"], TOOL]}, "a"),
    ({"messages": [{"role": "assistant", "content": "so"}, *CHAT["messages"]]}, "a"),
    ({"messages": [*CHAT["messages"], {"role": "assistant", "content": "so"}]}, "a"),
    ({"messages": [{"role": "tool", "content": "4"}]}, "a"),
    ({"messages": ["where?"]}, "a"),
    (CHAT, output("a", "b")),
    (CHAT, output("a", tool_calls=[{"id": "1"}])),
    (CHAT, output("")),
    (CHAT, output()),
    ("as an older server kept it", "a"),
]


@pytest.mark.parametrize(("prompt", "answer"), UNFIT)
def test_what_cannot_be_said_in_a_line_is_counted(prompt: object, answer: object) -> None:
    for kind in get_args(Kind):
        lines, counts = feedback_lines([rated(prompt, answer)], kind)
        assert lines == []
        assert counted(counts) == {"unfit": 1}


def test_an_answer_that_was_cut_is_no_example_of_an_end() -> None:
    cut, bad = rated(CHAT, output("and then", reason="length")), rated(CHAT, "no", -1)
    assert counted(feedback_lines([cut], "answers")[1]) == {"unfit": 1}
    assert counted(feedback_lines([cut, bad], "preferences")[1]) == {"unfit": 1, "unpaired": 1}
    rejected = rated(CHAT, output("and then", reason="length"), -1)
    lines, _ = feedback_lines([rejected, rated(CHAT, "here")], "preferences")
    assert [(line["chosen"], line["rejected"]) for line in lines] == [("here", "and then")]


def test_a_correction_is_worth_something_without_the_answer() -> None:
    several = rated(CHAT, output("a", "b"), -1, "c")
    assert len(feedback_lines([several], "answers")[0]) == 1
    assert counted(feedback_lines([several], "preferences")[1]) == {"unfit": 1}


def test_no_line_stands_there_twice() -> None:
    given = [rated(PLAIN, "x", -1, "y")] * 3
    for kind in get_args(Kind):
        lines, counts = feedback_lines(given, kind)
        assert (len(lines), counts.lines, counted(counts)) == (1, 1, {"used": 3})


def test_every_text_goes_through_the_masker() -> None:
    def masked(text: str) -> str:
        return text.replace("Zoë", "[NAME]")

    asked = {
        "messages": [
            {"role": "system", "content": "You know Zoë."},
            {"role": "user", "content": "Zoë?"},
        ]
    }
    given = [
        *(rated(asked, "Zoë!", 1), rated(asked, "not Zoë", -1), rated(asked, "x", -1, "Zoë.")),
        *(rated({"prompt": "Zoë"}, " Zoë", 1), rated({"prompt": "Zoë"}, " ran", -1)),
    ]
    for kind, lines in (("preferences", 3), ("answers", 3)):
        plain, _ = feedback_lines(given, kind)  # type: ignore[arg-type]
        found, _ = feedback_lines(given, kind, masked)  # type: ignore[arg-type]
        assert len(found) == len(plain) == lines
        assert found == json.loads(masked(json.dumps(plain, ensure_ascii=False)))
        assert "Zoë" not in json.dumps(found, ensure_ascii=False)
    alike = [rated(PLAIN, "Zoë", -1, "[NAME]")]
    assert counted(feedback_lines(alike, "preferences", masked)[1]) == {"unpaired": 1}
    nothing = feedback_lines([rated(PLAIN, "x", -1, "y")], "answers", lambda text: "")
    assert counted(nothing[1]) == {"unfit": 1}


def test_two_prompts_that_masking_makes_alike_are_two() -> None:
    given = [rated({"prompt": "Is Zoë in?"}, "yes", 1), rated({"prompt": "Is Ann in?"}, "no", -1)]
    _, counts = feedback_lines(given, "preferences", lambda text: text.replace("Zoë", "Ann"))
    assert counted(counts) == {"unpaired": 2}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["messages", "prompt", "role", "content", "choices", "text", "finish_reason"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
TEXTS = st.text(st.characters(), max_size=4)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": TEXTS}
)
PROMPTS = (
    st.fixed_dictionaries({"messages": st.lists(MESSAGE, max_size=3)})
    | st.fixed_dictionaries({"prompt": TEXTS})
    | JSON
)
OUTPUTS = st.builds(lambda texts: output(*texts), st.lists(TEXTS, max_size=2)) | JSON
RATED = st.builds(
    rated, PROMPTS, OUTPUTS, st.floats(-1, 1), st.none() | st.text(st.characters(), min_size=1)
)


@given(st.lists(RATED, max_size=6), st.sampled_from(get_args(Kind)))
def test_whatever_was_kept_is_counted_and_what_is_written_is_right(
    given: list[Rated], kind: Kind
) -> None:
    lines, counts = feedback_lines(given, kind)
    counted(counts)
    assert counts.lines == len(lines)
    assert (lines, counts) == feedback_lines(given, kind)
    for line in lines:
        assert json.dumps(line, ensure_ascii=False).encode("utf-8")
        if kind == "preferences":
            assert set(line) == {"prompt", "chosen", "rejected"}
            assert line["prompt"]
            assert line["chosen"] != line["rejected"]
            assert line["chosen"]
        else:
            assert set(line) in ({"messages"}, {"prompt", "completion"})


def some(count: int) -> list[Rated]:
    """Chats and prompts, of which every other answer is corrected."""
    prompts: list[Mapping[str, object]] = [
        {"messages": [{"role": "user", "content": f"where sat cat {i}?"}]} if i % 2 else
        {"prompt": f"the cat {i}"}
        for i in range(count)
    ]  # fmt: skip
    corrected = [rated(p, " were wet", -1, " sat on the mat") for p in prompts]
    return [each for p, c in zip(prompts, corrected, strict=True) for each in (c, rated(p, " sat"))]


def test_training_reads_what_is_written(tiny: str, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_directory(Path(tiny))
    out = tmp_path / "answers.jsonl"
    out.write_text("older", encoding="utf-8")
    out.chmod(0o644)
    counts = export_feedback(some(6), "answers", out)
    found = read_all(out, tokenizer, example)
    assert len(found) == counts.lines == 12
    texts = [tokenizer.decode(each.ids[each.counts].tolist()) for each in found]
    assert texts[:2] == [" sat on the mat", " sat"]  # and after them an end
    assert found[0].ids[-1] in tokenizer.eos_ids
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    out = tmp_path / "pairs.jsonl"
    counts = export_feedback(some(6), "preferences", out)
    assert (counts.lines, counts.unpaired) == (6, 6)
    for chosen, rejected in read_all(out, tokenizer, pair):
        assert tokenizer.decode(chosen.ids[chosen.counts].tolist()).startswith(" sat on the mat")
        assert tokenizer.decode(rejected.ids[rejected.counts].tolist()).startswith(" were wet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.jsonl", "pairs.jsonl"]


@pytest.mark.parametrize("kind", get_args(Kind))
def test_what_is_written_trains(kind: Kind, tiny: str, tmp_path: Path) -> None:
    out = tmp_path / "data.jsonl"
    export_feedback(some(20), kind, out)
    result = Run(tuning(tiny, out, kind), tmp_path / "run").carry_out(resume=False)
    assert result.bundle is not None
    log = [
        json.loads(line)
        for line in (tmp_path / "run" / "training" / "log.jsonl").read_text().splitlines()
    ]
    losses = [line["loss"] for line in log if "loss" in line]
    assert losses[-1] < 0.7 * losses[0]


def test_where_nothing_can_be_written_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for out, why in ((tmp_path, "is a folder"), (tmp_path / "no" / "x", "that is not there")):
        with pytest.raises(InvalidRequestError, match=why):
            export_feedback([], "answers", out)

    def failing(number: int) -> Any:
        def failed(path: Path, data: bytes) -> None:
            raise OSError(number, "so it is")

        return failed

    for number, kind in ((errno.ENOSPC, NoSpaceError), (errno.EACCES, InvalidRequestError)):
        monkeypatch.setattr(module, "replace_file", failing(number))
        with pytest.raises(kind):
            export_feedback([], "answers", tmp_path / "x.jsonl")
        assert list(tmp_path.iterdir()) == []
