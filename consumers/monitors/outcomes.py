"""Judges of what was decided and of what labels say of it: decision mix, recall, calibration, label rates, errors.

Labels come late, so nothing here compares payments of two times: frauds that became known lately are compared with
frauds that became known before, which are as old.
"""

from collections import defaultdict
from math import sqrt

from consumers.monitors.chance import share_of, z_of
from consumers.monitors.finding import Columns, Fact, Finding

PAYMENTS_MIN, REFERENCE_PAYMENTS_MIN, BUCKETS_MIN = 200, 2_000, 6
MIX_TIMES = 1.5
POLICY_SHARE_MIN, POLICY_TIMES = 0.05, 5.0
"""A version has come where it decided so many of the recent payments, and so many times as many as before."""

FRAUDS_MIN, REFERENCE_FRAUDS_MIN = 30, 100
RECALL_DROP = 0.1
LOSS_RISE = 0.4
"""Nats of log loss a fraud: a probability two thirds of what it was."""

CALIBRATION_TIMES = 2.0
CALIBRATION_SPREAD = 4.0
"""Variance of the sum over that of independent labels: frauds come in campaigns."""

MIX_LOOKS = 12
"""Two sides, at six looks in an hour."""

WEEKS = 4
LABELS_JUMP_TIMES, LABELS_JUMP_MIN = 2.5, 20
LABELS_EXPECTED_MIN, LABELS_SILENCE = 20, 0.2

ERRORS_MIN = 200
LOSS_MAX = 7.0
"""Log loss of a fraud that the model gave 0.1 %: ADWIN needs values from 0 to 1."""
ADWIN_DELTA = 2e-5
"""How often a window without change may be cut, by ADWIN's bound (Bifet and Gavaldà, SDM 2007)."""


def decisions_moved(columns: Columns) -> Finding | None:
    """Judge the share of payments that were acted on: `decisions_moved`; and whether another policy decides."""
    payments: defaultdict[int, int] = defaultdict(int)
    acted: defaultdict[int, int] = defaultdict(int)
    versions: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for age, version, rows, hits in zip(
        columns["age"], columns["policy_version"], columns["payments"], columns["acted"], strict=True
    ):
        payments[age] += rows
        acted[age] += hits
        versions[version][age > 0] += rows
    recent = payments.pop(0, 0)
    reference = sum(payments.values())
    if recent < PAYMENTS_MIN or reference < REFERENCE_PAYMENTS_MIN or len(payments) < BUCKETS_MIN:
        return None
    share = share_of(acted.pop(0, 0), recent, [acted[age] for age in payments], list(payments.values()))
    times = max(share.recent, 0.5 / recent) / share.reference
    over = abs(share.z) > z_of(MIX_LOOKS) and not 1 / MIX_TIMES < times < MIX_TIMES
    facts: set[Fact] = {"decisions_moved"} if over else set()
    news = [
        version
        for version, (now, before) in versions.items()
        if now / recent >= max(POLICY_SHARE_MIN, POLICY_TIMES * before / reference)
    ]
    if news:
        facts.add("policy_changed")
    text = f"{share.recent:.2%} of payments were acted on, {share.reference:.2%} before"
    return Finding(
        over=over,
        value=round(share.recent, 6),
        bound=round(share.reference * (MIX_TIMES if times > 1 else 1 / MIX_TIMES), 6),
        rows=recent,
        subject=news[0] if news else "decisions",
        text=f"{text}; policy {news[0]} is new" if news else text,
        facts=frozenset(facts),
    )


def quality_dropped(columns: Columns) -> Finding | None:
    """Judge frauds that became known: the share that was acted on, and the log loss of each."""
    sides: dict[bool, list[tuple[int, int, float, float]]] = {False: [], True: []}
    for recent, *figures in zip(
        columns["recent"], columns["frauds"], columns["caught"], columns["loss"], columns["squares"], strict=True
    ):
        sides[bool(recent)].append((figures[0], figures[1], figures[2], figures[3]))
    rows, before_rows = (sum(each[0] for each in sides[side]) for side in (True, False))
    if rows < FRAUDS_MIN or before_rows < REFERENCE_FRAUDS_MIN:
        return None
    caught = sum(each[1] for each in sides[True])
    share = share_of(caught, rows, [each[1] for each in sides[False]], [each[0] for each in sides[False]])
    facts: set[Fact] = set()
    if share.z < -z_of(2) and share.reference - share.recent >= RECALL_DROP:
        facts.add("recall_down")
    loss, before = (sum(each[2] for each in sides[side]) / n for side, n in ((True, rows), (False, before_rows)))
    variances = (
        max(0.0, sum(each[3] for each in sides[side]) / n - mean**2) / n
        for side, n, mean in ((True, rows, loss), (False, before_rows, before))
    )
    if loss - before >= LOSS_RISE and loss - before > z_of(2) * sqrt(share.spread * sum(variances)):
        facts.add("loss_up")
    text = f"of {rows} frauds that became known {share.recent:.0%} had been acted on, {share.reference:.0%} before"
    return Finding(
        over=bool(facts),
        value=round(share.recent, 4),
        bound=round(share.reference - RECALL_DROP, 4),
        rows=rows,
        subject="recall" if "recall_down" in facts else "log_loss",
        text=f"{text}; log loss of each {loss:.2f}, {before:.2f} before",
        facts=frozenset(facts),
    )


def miscalibrated(columns: Columns) -> Finding | None:
    """Judge labels joined lately: frauds that there were, beside those that the probabilities say."""
    labels = dict(zip(columns["verdict"], zip(*(columns[name] for name in _SUMS), strict=True), strict=True))
    if {"fraud", "legitimate"} - labels.keys() or min(row[0] for row in labels.values()) < FRAUDS_MIN:
        return None
    observed = labels["fraud"][1]
    expected = sum(row[2] for row in labels.values())
    variance = sum(row[3] for row in labels.values())
    times = observed / max(expected, 1e-9)
    far = abs(observed - expected) > z_of(2) * sqrt(CALIBRATION_SPREAD * variance)
    over = far and not 1 / CALIBRATION_TIMES < times < CALIBRATION_TIMES
    return Finding(
        over=over,
        value=round(times, 4),
        bound=CALIBRATION_TIMES if times > 1 else 1 / CALIBRATION_TIMES,
        rows=int(sum(row[0] for row in labels.values())),
        subject="probability",
        text=f"{observed:.0f} frauds where the probabilities say {expected:.0f}",
        facts=frozenset({"miscalibrated"}) if over else frozenset(),
    )


_SUMS = ("labels", "weights", "expected", "variance")


def labels_jumped(columns: Columns) -> Finding | None:
    """Judge each source's labels of the last day beside those of the same day of the four weeks before."""
    sources: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for source, age, labels in zip(columns["source"], columns["age"], columns["labels"], strict=True):
        sources[source][age] = labels
    if max(columns["age"], default=0) < WEEKS * 7:
        return None
    z = z_of(2 * len(sources))
    judged = [_source(source, days, z) for source, days in sorted(sources.items())]
    return max(judged, key=lambda each: (each.over, abs(each.value - each.bound) / max(each.bound, 1.0)))


def _source(source: str, days: dict[int, int], z: float) -> Finding:
    count = days.get(0, 0)
    means = [sum(days.get(weekday + 7 * week, 0) for week in range(1, WEEKS + 1)) / WEEKS for weekday in range(7)]
    squares = sum(
        (days.get(weekday + 7 * week, 0) - mean) ** 2 / max(mean, 1.0)
        for weekday, mean in enumerate(means)
        for week in range(1, WEEKS + 1)
    )
    spread = max(1.0, squares / (7 * (WEEKS - 1)))
    expected = means[0]
    deviation = sqrt(spread * max(expected, 1.0) * (1 + 1 / WEEKS))
    jump = count >= max(LABELS_JUMP_TIMES * expected, LABELS_JUMP_MIN) and count - expected > z * deviation
    silent = expected >= LABELS_EXPECTED_MIN and count <= LABELS_SILENCE * expected
    silent = silent and expected - count > z * deviation
    facts: set[Fact] = {"labels_jumped"} if jump else {"missing"} if silent else set()
    return Finding(
        over=jump or silent,
        value=float(count),
        bound=round(expected * (LABELS_JUMP_TIMES if count >= expected else LABELS_SILENCE), 2),
        rows=sum(days.values()),
        subject=source,
        text=f"{count} labels of {source} in a day, {expected:.0f} usually on such a day",
        facts=frozenset(facts),
    )


def errors_rose(columns: Columns) -> Finding | None:
    """Fold ADWIN over the log loss of known frauds, in the order in which they became known.

    It is over where the last change that ADWIN finds is one for the worse, and lies among those marked recent.
    """
    losses = [min(loss, LOSS_MAX) / LOSS_MAX for loss in columns["loss"]]
    if len(losses) < ERRORS_MIN:
        return None
    from river.drift import ADWIN  # noqa: PLC0415 - two seconds that a look into the store need not wait for

    detector = ADWIN(delta=ADWIN_DELTA)
    over, before, after = False, 0.0, 0.0
    total, rows = 0.0, 0
    for loss, recent in zip(losses, columns["recent"], strict=True):
        detector.update(loss)
        total, rows = total + loss, rows + 1
        if detector.drift_detected:
            before, after = total / rows, float(detector.estimation)
            over = bool(recent) and after > before
            total, rows = after * detector.width, int(detector.width)
    before, after = before * LOSS_MAX, total / rows * LOSS_MAX
    return Finding(
        over=over,
        value=round(after, 4),
        bound=round(before, 4),
        rows=len(losses),
        subject="log_loss",
        text=f"log loss of a fraud rose from {before:.2f} to {after:.2f}" if over else "no change for the worse",
        facts=frozenset({"loss_up"}) if over else frozenset(),
    )
