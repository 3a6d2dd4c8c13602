"""The demo at a steady rate with everything on one machine: how long a decision takes."""

from typing import Any

from tests.bench.replay import run_demo

P50_MS_MAX = 80
P99_MS_MAX = 300


def run(*, seconds: float = 120, rate: float = 200) -> dict[str, Any]:
    """Simulate payments and measure from publishing to the committed decision being readable."""
    demo = run_demo(["--seconds", str(seconds), "--rate", str(rate)])
    latency = demo.get("latency_ms", {"p50": float("inf"), "p99": float("inf")})
    return {
        "demo": demo,
        "bounds": {"p50_ms": P50_MS_MAX, "p99_ms": P99_MS_MAX, "decisions_missing": 0, "decisions_repeated": 0},
        "holds": demo["exit_status"] == 0 and latency["p50"] <= P50_MS_MAX and latency["p99"] <= P99_MS_MAX,
    }
