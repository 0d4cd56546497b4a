"""A process that appends to the log until it is killed, and prints the number of what is safe.

``python -m tests.record.appending COUNT``; 0 is without end.
"""

from __future__ import annotations

import itertools
import sys

from studiolo.record.chain import Log


def main(count: int) -> None:
    log = Log()
    for i in range(count) if count else itertools.count():
        print(log.append(f"{i:064x}", [f"{i:064x}"] * (i % 4)).number, flush=True)
    log.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
