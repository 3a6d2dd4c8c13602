"""Run the simulation from the command line: `python -m tests.simulation --seeds 10000`.

The last line is a JSON object. A seed that fails is run again by `--first-seed SEED --seeds 1`.
"""

import argparse
import json
import sys
import time
from collections import Counter

from tests.simulation.mutants import MUTANTS
from tests.simulation.scheduler import violations
from tests.simulation.workers import Protocol

MUTANT_SEEDS_MAX = 1_000


def main() -> int:
    """Run the production protocol over the seeds and each mutant until caught; return 0 if all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="runs of the production protocol")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--mutant", default="all", choices=["all", "none", *MUTANTS], help="protocols to be caught")
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    asked = parser.parse_args()

    def say(line: str) -> None:
        if not asked.json:
            sys.stdout.write(line + "\n")

    started = time.monotonic()
    seen: Counter[str] = Counter()
    failed = []
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        found = violations(seed, Protocol(), seen)
        if found:
            failed.append(seed)
            say(f"seed {seed}: " + "\n    ".join(found))
    caught: dict[str, int | None] = {}
    for name in MUTANTS if asked.mutant == "all" else [asked.mutant] * (asked.mutant != "none"):
        caught[name] = seeds_until_caught(name, asked.first_seed)
        say(f"mutant {name}: caught after {caught[name]} seeds")
    holds = not failed and None not in caught.values()
    report = {
        "holds": holds,
        "seeds": asked.seeds,
        "first_seed": asked.first_seed,
        "violations": len(failed),
        "failed_seeds": failed[:20],
        "mutants_seeds_until_caught": caught,
        "seconds": round(time.monotonic() - started, 1),
        "seen": dict(sorted(seen.items())),
    }
    sys.stdout.write(json.dumps(report) + "\n")
    return 0 if holds else 1


def seeds_until_caught(name: str, first_seed: int = 0, seeds_max: int = MUTANT_SEEDS_MAX) -> int | None:
    """Return how many seeds it took to notice a mutant, or None when none of them did."""
    for count in range(1, seeds_max + 1):
        if violations(first_seed + count - 1, MUTANTS[name]()):
            return count
    return None


if __name__ == "__main__":
    sys.exit(main())
