from __future__ import annotations

from pathlib import Path

import pytest

from studiolo.errors import ConflictError, MalformedFileError, NotFoundError
from studiolo.guard.published import open_policy, publish


def test_a_version_never_changes(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("name: support\nversion: 3\nwords: {exact: [a]}\n")
    done = publish(path)
    assert open_policy("support@3") == done
    assert (home / "policies" / "support" / "3.yaml").read_bytes() == path.read_bytes()
    path.write_text('name: support\nversion: 3\nwords: {exact: ["a"]} # the same\n')
    assert publish(path).digest == done.digest
    path.write_text("name: support\nversion: 3\nwords: {exact: [b]}\n")
    with pytest.raises(ConflictError, match="is published, with other rules") as caught:
        publish(path)
    assert "version: 4" in str(caught.value.remedy)
    assert open_policy("support@3") == done


def test_what_was_changed_behind_our_back_is_refused(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("name: support\n")
    publish(path)
    place = home / "policies" / "support" / "1.yaml"
    place.chmod(0o644)
    place.write_text("name: support\nmode: detect\n")
    with pytest.raises(MalformedFileError, match="is not what was published"):
        open_policy("support@1")


def test_paths_and_what_is_not_there(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("name: support\n")
    assert open_policy(str(path)).name == "support"
    with pytest.raises(NotFoundError, match="no policy support@1 is published"):
        open_policy("support@1")
