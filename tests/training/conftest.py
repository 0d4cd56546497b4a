"""Two processes, started once for all tests that look at what they did."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import several
from tests.training.small import text_file

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Several:
    """``folder``: of all runs, each by its name. ``told``: by process and scenario."""

    folder: Path
    told: tuple[dict[str, Any], dict[str, Any]]

    def losses(self, name: str) -> list[float]:
        return several.losses(self.folder / name)


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory, tiny: str) -> Several:
    """What one process did, and two."""
    folder = tmp_path_factory.mktemp("two")
    text_file(folder)
    several.prepare(folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    known = several.recipes(folder, tiny)
    for name, recipe in known.items():
        several.trained(recipe, folder / name)
    several.trained(several.halved(known["muon"]), folder / "halves")
    for parallel in ("copies", "shards"):
        out = folder / f"began-alone-{parallel}"
        assert several.trained(known["average"], out, steps=7) == 7
    torch.set_num_threads(threads)
    command = [*LAUNCH, "tests.training.several", str(folder), tiny]
    root = Path(__file__).parents[2]
    subprocess.run(command, check=True, timeout=300, cwd=root, env=ENVIRONMENT)
    told = [json.loads((folder / f"told-{rank}.json").read_text()) for rank in (0, 1)]
    return Several(folder, (told[0], told[1]))
