"""Run all benchmarks, each in a process of its own.

python benchmarks/run.py
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ORDER = (
    "loop", "journal", "query", "ppt", "timetags", "tags_store", "ptu", "tagger", "network",
    "qkd", "magnomechanics", "phonon_pair", "sweep", "kill", "gui",
)  # fmt: skip


def main() -> int:
    failed = []
    for name in ORDER:
        print(f"\n{name}", flush=True)
        path = Path(__file__).with_name(f"bench_{name}.py")
        if subprocess.run([sys.executable, str(path)], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
