"""A recording through the demo, then every feature, decision, stored row and model against the oracle."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from deploy.demo import LIVE_PARTITIONS
from deploy.processes import bound
from deploy.system import ROOT
from tests.bench.audited import ZEROES, audited_directory

LATENESS_P99_MS_MAX = 60_000


def run(recording: Path, *, workers: int = 1, label_delay: str = "1d", mapping: str = "handbook") -> dict[str, Any]:
    """Replay flat out with labels delayed, and compare."""
    data_dir = Path(tempfile.mkdtemp(prefix="fraud-replay-"))
    try:
        arguments = ["--input", str(recording), "--mapping", mapping, "--label-delay", label_delay, "--flat-out"]
        # As many tasks as live, and not the one that flat out has: that they keep in step is what is shown here.
        arguments += ["--partitions", str(LIVE_PARTITIONS)]
        demo = run_demo([*arguments, "--workers", str(workers), "--data", str(data_dir)])
        audit = audited_directory(data_dir)
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    lateness = audit["merchant_lateness_ms"]
    return {
        "workers": workers,
        "demo": demo,
        "audit": audit,
        "bounds": {**dict.fromkeys(ZEROES, 0), "lateness_median_ms": 0, "lateness_p99_ms": LATENESS_P99_MS_MAX},
        "holds": demo["exit_status"] == 0
        and all(audit[name] == 0 for name in ZEROES)
        and lateness["median"] == 0
        and lateness["p99"] <= LATENESS_P99_MS_MAX,
    }


def run_demo(arguments: list[str]) -> dict[str, Any]:
    """Run the demo and return its report with its exit status."""
    command = [sys.executable, "-P", "-m", "deploy.demo", *arguments, "--json"]
    done = subprocess.run(
        bound(command),  # who kills the benchmark leaves no demo behind
        stdout=subprocess.PIPE,
        stderr=None,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    lines = done.stdout.splitlines()
    return {**(json.loads(lines[-1]) if lines else {}), "exit_status": done.returncode}
