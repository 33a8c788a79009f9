"""`python -m benchmarks [--only NAME] [--out FILE]`: run the rows and write their results."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def on_one_core() -> None:
    """Keep this process and every library in it on one core. Libraries read their settings when they are imported, so this comes first."""
    os.environ.update(dict.fromkeys(THREADS, "1"))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def main() -> int:
    on_one_core()
    from .harness import PeerMissing, names, run, save

    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure ratios against peers and write them as JSON.")
    parser.add_argument("--only", metavar="NAME", action="append", choices=names(), help=f"one of {', '.join(names())}; may be repeated")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    asked = parser.parse_args()
    code = 0
    for name in asked.only or names():
        try:
            result = run(name)
        except PeerMissing as error:
            print(error, file=sys.stderr)
            code = 1
            continue
        save(asked.out, result)
        peer = f"{result.peer} {result.peer_version}".strip()
        print(f"{name:24}{result.ours:10.4g} {result.unit:9} {peer}: {result.theirs:.4g}, ratio {result.ratio:.2f}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
