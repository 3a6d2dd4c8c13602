"""Judges of the pipeline itself: latency, what is stored, what is refused, how old the model is, and silence."""

from math import sqrt

from consumers.monitors.chance import z_of
from consumers.monitors.finding import Columns, Fact, Finding

PAYMENTS_MIN = 100
LATENCY_MS_MAX = 2_000.0
LAG_MS_MAX = 300_000.0
EXPECTED_MIN = 20.0
"""So many payments must have been due in a gap, or nothing is said: silence at night is no fault."""
QUIET_TIMES = 0.1
DAYS_MIN = 3
REFUSED_SHARE_MAX, REFUSED_MIN = 0.01, 10
MODEL_AGE_MS_MAX = 86_400_000.0
LEARNABLE_MIN = 2_000
"""Training records since the newest model: two snapshots' worth at the default of a thousand each."""


def slow(columns: Columns) -> Finding | None:
    """Judge the 99th percentile of the time from payment to decision, ms."""
    rows, p99_ms = columns["payments"][0], columns["p99_ms"][0]
    if rows < PAYMENTS_MIN:
        return None
    text = f"p99 of decisions is {p99_ms:.0f} ms"
    return _of(p99_ms > LATENCY_MS_MAX, p99_ms, LATENCY_MS_MAX, rows, "latency", text, "late")


def stored_late(columns: Columns) -> Finding | None:
    """Judge the time since anything was stored, where payments were due meanwhile."""
    if not columns["lag_ms"] or columns["days"][0] < DAYS_MIN:
        return None
    lag_ms, due = columns["lag_ms"][0], columns["due"][0]
    over = lag_ms > LAG_MS_MAX and due >= EXPECTED_MIN
    text = f"nothing was stored for {lag_ms / 1_000:.0f} s, {due:.0f} payments were due"
    return _of(over, float(lag_ms), LAG_MS_MAX, int(due), "store", text, "missing")


def quiet(columns: Columns) -> Finding | None:
    """Judge the payments of the last minutes beside those of the same minutes of the days before."""
    counts = dict(zip(columns["age"], columns["payments"], strict=True))
    days = [counts.get(age, 0) for age in range(1, max(counts, default=0) + 1)]
    if len(days) < DAYS_MIN or sum(days) / len(days) < EXPECTED_MIN:
        return None
    expected, count = sum(days) / len(days), counts.get(0, 0)
    spread = max(1.0, sum((each - expected) ** 2 for each in days) / expected / (len(days) - 1))
    far = expected - count > z_of() * sqrt(spread * expected)
    over = count <= QUIET_TIMES * expected and (far or count == 0)
    text = f"{count} payments, {expected:.0f} at this time of other days"
    return _of(over, float(count), round(QUIET_TIMES * expected, 2), int(expected), "payments", text, "missing")


def refused(columns: Columns) -> Finding | None:
    """Judge the share of records that became dead letters."""
    letters, payments = columns["letters"][0], columns["payments"][0]
    if letters + payments < PAYMENTS_MIN:
        return None
    share = letters / (letters + payments)
    over = share > REFUSED_SHARE_MAX and letters >= REFUSED_MIN
    reason = columns["reason"][0] or "dead_letters"
    text = f"{letters} dead letters beside {payments} payments, most of them {reason}"
    return _of(over, round(share, 6), REFUSED_SHARE_MAX, letters, reason, text, "refused")


def stale(columns: Columns) -> Finding | None:
    """Judge the age of the newest model, where there was something to learn since."""
    age_ms, learnable = columns["age_ms"][0], columns["learnable"][0]
    if age_ms is None:
        return None
    over = age_ms > MODEL_AGE_MS_MAX and learnable >= LEARNABLE_MIN
    text = f"the newest model is {age_ms / 3_600_000:.1f} h old, {learnable} records were learnable since"
    return _of(over, float(age_ms), MODEL_AGE_MS_MAX, learnable, "model", text, "late")


def _of(over: bool, value: float, bound: float, rows: int, subject: str, text: str, fact: Fact) -> Finding:  # noqa: FBT001
    return Finding(over, value, bound, rows, subject, text, frozenset({fact}) if over else frozenset())
