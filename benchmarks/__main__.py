"""`make bench [ONLY=<prefix>]`: every figure of docs/roadmap.md, one JSON line each.

A benchmark is a module here with `FIGURES` (the names it prints) and `run(bench)`; the others are what it measures against.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil

import benchmarks
from benchmarks.bench import Bench

FRAME = {"__main__", "bench"}


def modules() -> list[str]:
    return sorted(name for _, name, _ in pkgutil.iter_modules(benchmarks.__path__) if name not in FRAME)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure, and print one JSON line a figure.")
    parser.add_argument("--only", default="", metavar="PREFIX", help="figures whose name starts so")
    parser.add_argument("--list", action="store_true", help="say which figures there are")
    args = parser.parse_args()
    bench = Bench()
    for name in modules():
        module = importlib.import_module(f"benchmarks.{name}")
        figures: tuple[str, ...] = getattr(module, "FIGURES", ())
        if args.list:
            print(*([f"{name}:", *figures] if figures else []), end="\n" if figures else "")
        elif any(figure.startswith(args.only) for figure in figures):
            module.run(bench)


if __name__ == "__main__":
    main()
