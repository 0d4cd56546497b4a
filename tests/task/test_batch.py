"""Jobs of many lines: every line one result, whatever happens in between."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.errors import (
    BusyError,
    InvalidRequestError,
    MalformedFileError,
    RequestCancelledError,
)
from studiolo.task.answering import Answerer
from studiolo.task.batch import MAX_LINE, Batch, Line, Tally, read_line
from studiolo.task.openai import CHAT, COMPLETIONS, EMBEDDINGS

MEMORY = 500_000_000
Results = dict[str, dict[str, Any]]


def line(custom_id: str, url: str = COMPLETIONS, **body: Any) -> bytes:
    value = {"custom_id": custom_id, "method": "POST", "url": url, "body": body}
    return json.dumps(value).encode()


class Echo:
    """Answers at once, or after some turns of the loop; may break down at the n-th request."""

    def __init__(self, breaks_at: int | None = None) -> None:
        self.breaks_at, self.asked, self.at_once, self.most = breaks_at, 0, 0, 0

    async def answer(
        self, url: str, body: Mapping[str, Any], *, id: str, seed: int, created: int
    ) -> tuple[int, dict[str, Any]]:
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        if self.asked == self.breaks_at:
            raise RequestCancelledError("gone")
        for _ in range(seed % 7):
            await asyncio.sleep(0)
        self.at_once -= 1
        if "status" in body:
            return body["status"], {"error": {}}
        return 200, {"said": body, "seed": seed, "usage": {"total_tokens": 3}}


def open_job(tmp_path: Path, **models: str) -> Batch:
    named = {"model": "m", "encoder": "e", **models}
    return Batch(tmp_path / "in", tmp_path / "out", **named)


def run(
    tmp_path: Path,
    echo: Echo,
    *,
    window: int = 4,
    report: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    with open_job(tmp_path) as job:
        asyncio.run(job.run(echo.answer, window=window, report=report))
        return job.tally


def results(path: Path) -> Results:
    """By id; every line must be whole and every id stand once."""
    data = path.read_bytes()
    assert data.endswith(b"\n")
    found = [json.loads(each) for each in data.splitlines()]
    named = {each["id"]: each for each in found}
    assert len(named) == len(found)
    return named


def test_every_line_has_its_result(tmp_path: Path) -> None:
    lines = [line(f"c{i}", number=i) for i in range(50)]
    (tmp_path / "in").write_bytes(b"\n".join([*lines[:20], b"", b"  ", *lines[20:]]))
    seen: list[int] = []
    echo = Echo()
    tally = run(tmp_path, echo, report=lambda tally: seen.append(tally.done))
    assert (tally.lines, tally.done, tally.failed, tally.tokens) == (50, 50, 0, 150)
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] == 50
    assert echo.most == 4
    by_name = {each["custom_id"]: each for each in results(tmp_path / "out").values()}
    assert set(by_name) == {f"c{i}" for i in range(50)}
    for i in range(50):
        response = by_name[f"c{i}"]["response"]
        assert response["status_code"] == 200
        assert response["body"]["said"] == {"number": i}
    assert len({each["response"]["body"]["seed"] for each in by_name.values()}) == 50


@pytest.mark.parametrize(
    ("data", "code", "custom_id"),
    [
        (b"{", "invalid_json", None),
        (b"\xff\xfe", "invalid_json", None),
        (b"[" * 100_000, "invalid_json", None),
        (b"5", "invalid_line", None),
        (b"{}", "invalid_line", None),
        (b'{"custom_id": 5}', "invalid_line", None),
        (b'{"custom_id": ""}', "invalid_line", None),
        (b'{"custom_id": "a", "methods": "POST"}', "unknown_field", "a"),
        (b'{"custom_id": "a", "method": "GET"}', "invalid_line", "a"),
        (b'{"custom_id": "a", "method": "POST", "url": "/v1/images"}', "invalid_url", "a"),
        (b'{"custom_id": "a", "method": "POST", "url": {}}', "invalid_url", "a"),
        (
            b'{"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": []}',
            "invalid_line",
            "a",
        ),
        (None, "line_too_long", None),
    ],
)
def test_a_wrong_line_says_what_is_wrong(
    data: bytes | None, code: str, custom_id: str | None
) -> None:
    read = read_line(7, data)
    assert read.error is not None
    assert read.error["code"] == code
    assert read.error["message"].startswith("line 7: ")
    assert read.custom_id == custom_id


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(
        st.sampled_from(["custom_id", "method", "url", "body", "x"]), inner | st.just("POST")
    ),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_line_is_read_or_is_an_error(data: bytes) -> None:
    read = read_line(1, data)
    assert isinstance(read, Line)
    assert (read.error is None) == (read.body is not None)


def test_requests_of_two_jobs_are_told_apart_and_draw_alike(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\n".join(line(f"c{i}") for i in range(3)))
    found = []
    for salt in ("", "one ", "two "):
        out = tmp_path / f"out{salt}"
        with Batch(tmp_path / "in", out, model="m", encoder="e", salt=salt) as job:
            asyncio.run(job.run(Echo().answer))
        found.append([each["response"] for each in results(out).values()])
    assert len({each["request_id"] for job in found for each in job}) == 9
    assert len({each["body"]["seed"] for job in found for each in job}) == 3


def test_wrong_lines_do_not_stop_a_job_and_have_their_one_result(tmp_path: Path) -> None:
    lines = [
        line("a"),
        b"rubbish",
        line("a", again=True),
        line("b", status=400),
        b"x" * (MAX_LINE + 5),
        b"y" * MAX_LINE,
        line("c"),
    ]
    (tmp_path / "in").write_bytes(b"\n".join(lines))
    tally = run(tmp_path, Echo())
    assert (tally.done, tally.failed) == (7, 5)
    found = results(tmp_path / "out")
    codes = {id: each["error"] and each["error"]["code"] for id, each in found.items()}
    assert codes == {
        "batch_req_1": None,
        "batch_req_2": "invalid_json",
        "batch_req_3": "duplicate_custom_id",
        "batch_req_4": None,
        "batch_req_5": "line_too_long",
        "batch_req_6": "invalid_json",
        "batch_req_7": None,
    }
    # A duplicate's result must not pass for the first one's.
    assert [each["custom_id"] for each in found.values()].count("a") == 1
    again = run(tmp_path, Echo())
    assert (again.done, again.failed) == (7, 5)


def test_a_job_goes_on_after_a_break_down(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\n".join(line(f"c{i}") for i in range(30)))
    asked = 0
    for breaks_at in (9, 3, 1, None):
        echo = Echo(breaks_at)
        if breaks_at is None:
            assert run(tmp_path, echo).done == 30
        else:
            with pytest.raises(RequestCancelledError):
                run(tmp_path, echo)
        asked += echo.asked
    assert len(results(tmp_path / "out")) == 30
    assert asked < 45


def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\n".join(line(f"c{i}") for i in range(30)))

    def report(tally: Tally) -> None:
        if tally.done >= 10:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Echo(), report=report)
    done = len(results(tmp_path / "out"))
    assert 10 <= done < 30
    second = Echo()
    run(tmp_path, second)
    assert second.asked == 30 - done


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_an_output_torn_anywhere_is_made_whole(tmp_path: Path, data: st.DataObject) -> None:
    (tmp_path / "in").write_bytes(
        b"\n".join([*(line(f"c{i}") for i in range(6)), b"{", line("c1")])
    )
    out = tmp_path / "out"
    run(tmp_path, Echo())
    whole = results(out)
    raw = out.read_bytes()
    out.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    (tmp_path / "out.job.part").write_bytes(b"{")  # killed while the job began
    run(tmp_path, Echo())
    assert results(out) == whole


def test_an_input_that_has_changed_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(line("a") + b"\n" + line("b"))
    with pytest.raises(RequestCancelledError):
        run(tmp_path, Echo(breaks_at=2), window=1)
    source.write_bytes(source.read_bytes() + b"\n" + line("c"))
    with pytest.raises(InvalidRequestError, match=r"is not what .* was begun with"):
        open_job(tmp_path)
    (tmp_path / "out").unlink()
    assert run(tmp_path, Echo()).done == 3


def test_other_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(line("a"))
    run(tmp_path, Echo())
    for field in ("model", "encoder"):
        with pytest.raises(InvalidRequestError, match="was begun with") as caught:
            open_job(tmp_path, **{field: "another"})
        assert caught.value.field == field


def test_an_input_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(line("a") + b"\n" + line("b"))

    with open_job(tmp_path) as job:
        source.write_bytes(line("a") + b"\n" + line("x"))
        with pytest.raises(InvalidRequestError, match="changed while it was read"):
            asyncio.run(job.run(Echo().answer))


def test_an_output_that_is_no_jobs_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(line("a"))
    out = tmp_path / "out"
    out.write_bytes(b"my diary\n")
    with pytest.raises(InvalidRequestError, match="is no job's output"):
        open_job(tmp_path)
    assert out.read_bytes() == b"my diary\n"
    out.unlink()
    run(tmp_path, Echo())
    for extra in (b"my diary\n", b'{"id":"batch_req_0"}\n', out.read_bytes(), b'{"id":5}\n'):
        out.write_bytes(out.read_bytes() + extra)
        with pytest.raises(MalformedFileError, match="a line that this job did not write"):
            open_job(tmp_path)
        out.write_bytes(out.read_bytes()[: -len(extra)])
    (tmp_path / "out.job").write_bytes(b"{}")
    with pytest.raises(MalformedFileError, match="is damaged"):
        open_job(tmp_path)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"input: .* cannot be read"):
        open_job(tmp_path)
    (tmp_path / "in").write_bytes(line("a"))
    with pytest.raises(InvalidRequestError, match=r"output: .* cannot be written"):
        Batch(tmp_path / "in", tmp_path / "no" / "out", model="m", encoder="e")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(line("a"))
    with open_job(tmp_path), pytest.raises(BusyError, match="another process is writing"):
        open_job(tmp_path)
    open_job(tmp_path).close()


def test_what_a_job_wants_is_known_beforehand(tmp_path: Path) -> None:
    lines = [line("a", CHAT, model="x"), line("b", EMBEDDINGS), b"{"]
    (tmp_path / "in").write_bytes(b"\n".join(lines))
    with open_job(tmp_path) as job:
        assert job.wanted == {"e"}


def real_lines() -> Sequence[bytes]:
    """Of all three kinds, sampled and searched, constrained and free, right and wrong."""
    lines = []
    for i in range(24):
        said = [{"role": "user", "content": f"the cat {i}"}]
        lines += [
            line(f"chat-{i}", CHAT, messages=said, max_tokens=5 + i, logprobs=True, n=1 + i % 3),
            line(f"text-{i}", prompt=f"rain {i}", max_tokens=40, logprobs=1, stop="e", seed=i),
            line(f"vector-{i}", EMBEDDINGS, input=[f"wet {i}", "cat"], encoding_format="base64"),
            line(f"choice-{i}", prompt="so", choices=["yes", "no"], ignore_eos=i % 2 == 0),
            line(f"beam-{i}", prompt="the", beams=2, n=2, max_tokens=4 + i),
            line(f"wrong-{i}", prompt="the", top_p=i + 2),
        ]
    return lines


def without_time(found: Results) -> Results:
    for each in found.values():
        if each["response"]:
            each["response"]["body"].pop("created", None)
    return found


@pytest.mark.proof
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_at_any_instant_nothing_is_lost_or_repeated(
    proof: Callable[..., int], tmp_path: Path, tiny: str, tiny_encoder: str
) -> None:
    """SIGKILL at a random moment of a job: in the end every result once, as if undisturbed."""
    kills = proof("batch-kills", short=3, full=100)
    lines = real_lines()
    source, out = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"\n".join(lines))
    with (
        Batch(source, tmp_path / "calm", model=tiny, encoder=tiny_encoder) as job,
        Answerer(
            model=tiny,
            encoder=tiny_encoder,
            device="cpu",
            model_memory=MEMORY,
            request_memory=MEMORY,
        ) as answerer,
    ):
        asyncio.run(job.run(answerer.answer))
    calm = without_time(results(tmp_path / "calm"))
    assert len(calm) == len(lines)
    assert {each["custom_id"] for each in calm.values()} == {
        json.loads(each)["custom_id"] for each in lines
    }
    command = [
        *(sys.executable, "-c", "from studiolo.cli import main; main()", "batch"),
        *(str(source), str(out), "--model", tiny, "--encoder", tiny_encoder, "--device", "cpu"),
    ]
    draw = random.Random(1)

    def size() -> int:
        return out.stat().st_size if out.exists() else 0

    killed = 0
    while killed < kills:
        before = size()
        with subprocess.Popen(command, stderr=subprocess.PIPE) as working:
            # Mostly while results are written; now and then while it begins.
            deadline = time.monotonic() + (120 if draw.random() < 0.8 else draw.uniform(0, 6))
            while working.poll() is None and time.monotonic() < deadline and size() == before:
                time.sleep(0.001)
            time.sleep(draw.expovariate(20))
            working.kill()
            ended = working.wait()
            assert working.stderr is not None
            said = working.stderr.read().decode()
        assert ended in (0, -9), said
        killed += ended == -9
        if ended == 0:
            assert without_time(results(out)) == calm
            out.unlink()
    last = subprocess.run(command, capture_output=True, check=False)
    assert last.returncode == 0, last.stderr
    assert without_time(results(out)) == calm
