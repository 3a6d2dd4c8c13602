"""What the model's scores are worth on a recording, and what the core costs a transaction, without Kafka."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from deploy.system import ROOT

AP_MIN = 0.72
MICROSECONDS_MAX = {"predict": 25, "learn": 150, "transaction": 200}
BOUNDS = {"ap_min": AP_MIN, **{f"{name}_us_max": bound for name, bound in MICROSECONDS_MAX.items()}}


def run(
    recording: Path, *, mapping: str = "handbook", test_from: date | None = None, test_to: date | None = None
) -> dict[str, Any]:
    """Evaluate in a process of its own."""
    evaluated = evaluation(recording, mapping=mapping, test_from=test_from, test_to=test_to)
    return {**evaluated, "bounds": BOUNDS, "holds": holds(evaluated)}


def evaluation(recording: Path, *, mapping: str, test_from: date | None, test_to: date | None) -> dict[str, Any]:
    """Return what `python -m streams evaluate` prints.

    Raises
    ------
    subprocess.CalledProcessError
        It failed, and has said why.
    """
    command = [sys.executable, "-P", "-m", "streams", "evaluate", str(recording), "--mapping", mapping, "--json"]
    command += ["--test-from", str(test_from)] if test_from else []
    command += ["--test-to", str(test_to)] if test_to else []
    # As the demo's processes, without what the shell is set up for.
    env = {name: value for name, value in os.environ.items() if not name.startswith("FRAUD_")}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env={**env, "PYTHONPATH": str(ROOT)}
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def holds(evaluated: Mapping[str, Any]) -> bool:
    """Return whether scores are good enough and the core is fast enough.

    >>> fast = {"predict": 20, "learn": 100, "transaction": 150}
    >>> holds({"overall": {"ap": 0.73}, "microseconds": fast}), holds({"overall": {"ap": None}, "microseconds": fast})
    (True, False)
    """
    ap, costs = evaluated["overall"]["ap"], evaluated["microseconds"]
    return (ap or 0.0) >= AP_MIN and all(costs[name] <= bound for name, bound in MICROSECONDS_MAX.items())
