from __future__ import annotations

import subprocess
import sys


def test_the_module_is_the_same_door_as_the_script() -> None:
    command = [sys.executable, "-m", "studiolo", "--version"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.startswith("studiolo ")
