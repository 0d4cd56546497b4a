from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from studiolo.guard.credentials import sign
from studiolo.guard.marks import label_png, label_text
from studiolo.record.signing import SigningKey
from tests.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("home")
# Of a model without sense, letters: other bytes it makes are no characters, and lost in the file.
LETTERS = ("--regex", "[a-z ]{200,400}")
ASK = ("--max-tokens", "90", "--seed", "5", "--temperature", "1", *LETTERS)
NOTHING = "So nothing is known. It may have been made by anybody, or by any machine.\n"


def certainties(value: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {each["about"]: each["certainty"] for each in value["statements"]}


def test_a_text_that_was_made_and_marked_here(run: Run, tiny: str, tmp_path: Path) -> None:
    file = tmp_path / "made.txt"
    file.write_text(run("generate", "the cat", "-m", tiny, *ASK, "--watermark").out)
    value = run("detect", str(file), "-m", tiny, "--json").json
    assert certainties(value) == {"log": "proven", "watermark": "strong"}
    assert value["log"][0]["entry"] == 1
    assert value["watermark"]["log10_p"] < -10
    # What an editor does to a text, a label, and a change of words.
    file.write_text(label_text("\r\n" + file.read_text().replace("\n", "\r\n"), "tiny"))
    value = run("detect", str(file), "-m", tiny, "--json").json
    assert certainties(value) == {"log": "proven", "watermark": "strong", "label": "claimed"}
    file.write_text(file.read_text() + " And more.")
    value = run("detect", str(file), "-m", tiny, "--json").json
    assert certainties(value)["log"] == "none"
    assert certainties(value)["watermark"] == "strong"


def test_a_text_that_was_made_here_without_a_mark(run: Run, tiny: str, tmp_path: Path) -> None:
    file = tmp_path / "made.txt"
    file.write_text(run("generate", "the cat", "-m", tiny, *ASK).out)
    ended = run("detect", str(file), "-m", tiny)
    assert ended.code == 0
    first, second = ended.out.splitlines()
    assert first.startswith("proven   A text of these words was made here at 20")
    assert second.startswith("-        No watermark of this installation's was found (p = ")


def test_a_mark_of_another_installation_is_not_ours(
    run: Run, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "made.txt"
    file.write_text(run("generate", "the cat", "-m", tiny, *ASK, "--watermark").out)
    monkeypatch.setenv("STUDIOLO_HOME", str(tmp_path / "another"))
    ended = run("detect", str(file), "-m", tiny)
    assert ended.out == f"-        No receipt in this installation's log tells of it.\n{NOTHING}"
    run("generate", "the cat", "-m", tiny, *ASK)  # now it has a key, and that is another one
    value = run("detect", str(file), "-m", tiny, "--json").json
    assert certainties(value) == {"log": "none", "watermark": "none"}


def test_looking_makes_no_keys(run: Run, tmp_path: Path, home: Path) -> None:
    file = tmp_path / "some.txt"
    file.write_text("After the rain, the streets were wet.")
    assert run("detect", str(file)).out.endswith(NOTHING)
    assert list(home.iterdir()) == []


def test_pictures(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("c2pa")
    file, out = tmp_path / "picture.png", io.BytesIO()
    Image.effect_noise((64, 48), 60).save(out, "PNG")
    file.write_bytes(out.getvalue())
    assert run("detect", str(file)).out.endswith(NOTHING)
    file.write_bytes(label_png(out.getvalue(), "smol"))
    assert certainties(run("detect", str(file), "--json").json)["label"] == "claimed"
    file.write_bytes(sign(file.read_bytes(), SigningKey.installed(), receipt="e" * 64))
    ended = run("detect", str(file))
    assert ended.out.startswith(
        "proven   This installation signed that it was made by a generative model"
    )
    assert f"Its receipt: {'e' * 64}." in ended.out
    value = run("detect", str(file), "--json").json
    assert (value["kind"], value["credentials"]["state"]) == ("image/png", "ours")


def test_without_the_extra_pictures_are_not_all_that_can_be_said(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    file, out = tmp_path / "picture.png", io.BytesIO()
    Image.effect_noise((64, 48), 60).save(out, "PNG")
    file.write_bytes(label_png(out.getvalue()))
    ended = run("detect", str(file))
    assert ended.code == 0
    assert ended.out.startswith("claimed  It says itself that it was made by AI.")
    assert "needs the extra 'marks', which is not installed" in ended.out


def test_what_is_neither(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bytes"
    file.write_bytes(bytes(range(256)))
    value = run("detect", str(file), "--json").json
    assert (value["kind"], value["credentials"]) == ("unknown", None)


@pytest.mark.parametrize("data", [b"", b"\n", "Zoë".encode()])
def test_very_little(run: Run, tmp_path: Path, data: bytes, tiny: str) -> None:
    run("generate", "the cat", "-m", tiny, "--max-tokens", "1")
    file = tmp_path / "little.txt"
    file.write_bytes(data)
    ended = run("detect", str(file), "-m", tiny)
    assert ended.code == 0
    assert "It is too short to carry a watermark." in ended.out


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("nowhere.txt",), 2, "file: 'nowhere.txt' cannot be read"),
        (("there.txt", "-m", "nobody"), 2, "no model is called 'nobody'"),
        ((".",), 2, "cannot be read"),
    ],
)
def test_what_is_not_there(
    run: Run,
    arguments: tuple[str, ...],
    code: int,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.txt").write_text("a text")
    ended = run("detect", *arguments)
    assert ended.code == code
    assert why in ended.err
