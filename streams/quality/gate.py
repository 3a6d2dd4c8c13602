"""Whether a challenger may take the champion's place: both on the same labelled payments, each check with its reason.

Better must be sure and harm must not: the interval of the difference in average precision lies above zero, drawn by
card in pairs; no segment is surely worse, where "surely" is widened for as many segments as are looked at (Bonferroni);
probabilities are right; it is fast; and it is above what the rules alone and no model at all would do.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from streams.quality.probability import log_losses, probabilities_of
from streams.quality.ranking import Array, Codes, Flags, Ranking
from streams.quality.resampling import LEVEL, Interval, clusters_of, draws_of, interval_of
from streams.quality.segments import segments_of


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled payments that both have scored: log-odds of each, and what the rules alone would rank them by.

    `weights` is how many payments each stands for; `columns` what segments are made of; times in microseconds.
    """

    frauds: Flags
    cards: Codes
    weights: Array
    champion: Array
    challenger: Array
    rules: Array
    columns: Mapping[str, Array]
    score_us: Array
    learn_us: float


class Bounds(NamedTuple):
    """What is asked of a challenger."""

    payments_min: int = 1_000
    frauds_min: int = 50
    segment_frauds_min: int = 20
    said_was_off_max: float = 0.05
    score_us_max: float = 200.0
    learn_us_max: float = 2_000.0
    looked_at: float = 0.01
    """Of all payments: those that each ranks highest, among which false alarms are counted."""
    false_alarms_more_max: float = 0.1
    """Of a segment's false alarms, so large a part more is no harm: what one segment loses another gains."""


BOUNDS = Bounds()


class Verdict(NamedTuple):
    """Whether it passes, why not, and on what figures."""

    passes: bool
    reasons: tuple[str, ...]
    figures: dict[str, Any]


def judge(rows: Rows, bounds: Bounds = BOUNDS) -> Verdict:
    """Return the verdict on a challenger.

    >>> nothing = np.zeros(0)
    >>> none = np.zeros(0, dtype=np.int64)
    >>> judge(Rows(none > 0, none, nothing, nothing, nothing, nothing, {}, nothing, 0.0)).reasons
    ('too_few: 0 payments, 0 of them fraud: at least 1000 and 50 are asked for',)
    """
    payments, frauds = len(rows.frauds), int(rows.frauds.sum())
    counted = {"payments": payments, "frauds": frauds}
    if payments < bounds.payments_min or frauds < bounds.frauds_min:
        asked = f"at least {bounds.payments_min} and {bounds.frauds_min} are asked for"
        return Verdict(passes=False, reasons=(f"too_few: {payments} payments, {frauds} of them fraud: {asked}",),
                       figures=counted)  # fmt: skip
    drawn = _Drawn(rows)
    whole, segments = _whole(rows, drawn), list(_segments(rows, drawn, bounds))
    reasons = (*_wrong_whole(whole, bounds), *_wrong_segments(segments, bounds))
    figures = {**counted, **whole, "segments": [asdict(each) for each in segments]}
    return Verdict(not reasons, reasons, figures)


class _Drawn:
    """The paired draws: how often each row counts, as it stands and in each draw of cards."""

    def __init__(self, rows: Rows) -> None:
        places, clusters = clusters_of(rows.cards)
        self.as_it_is = rows.weights
        self.draws = [(draw[places] * rows.weights).astype(np.float64) for draw in draws_of(clusters)]


def _whole(rows: Rows, drawn: _Drawn) -> dict[str, Any]:
    """Return the figures over all payments; differences are the challenger's less the champion's."""
    ours, theirs = Ranking(rows.challenger, rows.frauds), Ranking(rows.champion, rows.frauds)
    probabilities = probabilities_of(rows.challenger)
    losses = log_losses(probabilities, rows.frauds) - log_losses(probabilities_of(rows.champion), rows.frauds)

    def figures(weights: Array) -> tuple[float, float, float]:
        said, was = float(probabilities @ weights), float(rows.frauds @ weights)
        better = ours.average_precision(weights) - theirs.average_precision(weights)
        return better, float(losses @ weights / weights.sum()), said / was if was else float("nan")

    each = np.array([figures(weights) for weights in drawn.draws])
    better, lost, said = figures(drawn.as_it_is)
    return {
        "ap": ours.average_precision(drawn.as_it_is),
        "ap_champion": theirs.average_precision(drawn.as_it_is),
        "ap_rules_only": Ranking(rows.rules, rows.frauds).average_precision(drawn.as_it_is),
        "ap_prior": float(rows.frauds @ drawn.as_it_is / drawn.as_it_is.sum()),
        "ap_difference": better,
        "ap_difference_interval": interval_of(each[:, 0]),
        "log_loss_difference": lost,
        "log_loss_difference_interval": interval_of(each[:, 1]),
        "said_was": said,
        "said_was_interval": interval_of(each[:, 2]),
        "score_us": float(rows.score_us.mean()),
        "learn_us": rows.learn_us,
    }


def _wrong_whole(whole: Mapping[str, Any], bounds: Bounds) -> Iterator[str]:
    low, high = whole["ap_difference_interval"]
    if not low > 0:
        yield f"not_better: its average precision differs by {low:+.4f} to {high:+.4f}"
    for name in ("rules_only", "prior"):
        if not whole["ap"] > whole[f"ap_{name}"]:
            yield f"below_{name}: average precision {whole['ap']:.4f}, {whole[f'ap_{name}']:.4f} without it"
    said: Interval = whole["said_was_interval"]
    # What so few frauds cannot tell from right is not called wrong: the bound is on what is sure.
    if said.low > 1 + bounds.said_was_off_max or said.high < 1 - bounds.said_was_off_max:
        yield f"uncalibrated: its mean probability is {said.low:.3f} to {said.high:.3f} times the rate"
    if whole["log_loss_difference_interval"].low > 0:
        yield f"log_loss: it loses {whole['log_loss_difference']:.6f} more a payment"
    for name, most in (("score_us", bounds.score_us_max), ("learn_us", bounds.learn_us_max)):
        if not whole[name] <= most:
            yield f"too_slow: {name} {whole[name]:.0f}, at most {most:.0f}"


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment: the challenger's average precision less the champion's, and so its false alarms per honest payment.

    `ap_at_most` and `more_alarms_at_least` are what is sure for all segments together. None is what cannot be told.
    """

    name: str
    frauds: int
    ap_difference: float | None = None
    ap_at_most: float | None = None
    alarms: float = 0.0
    more_alarms: float = 0.0
    more_alarms_at_least: float = 0.0


def _segments(rows: Rows, drawn: _Drawn, bounds: Bounds) -> Iterator[Segment]:
    held = [
        (f"{column} {name}", codes == code)
        for column, values in rows.columns.items()
        for codes, names in [segments_of(values)]
        for code, name in enumerate(names)
    ]
    apart = NormalDist().inv_cdf(1 - (1 - LEVEL) / 2 / max(1, 2 * len(held)))
    more = _highest(rows.challenger, rows.weights, bounds.looked_at)
    alarms = _highest(rows.champion, rows.weights, bounds.looked_at)
    for name, at in held:
        frauds, honest = int(rows.frauds[at].sum()), at & ~rows.frauds
        few = frauds < bounds.segment_frauds_min
        value, spread = (None, 0.0) if few else _ap_difference(rows, drawn, at)
        differences = [
            _share(more[honest], weights[honest]) - _share(alarms[honest], weights[honest])
            for weights in (drawn.as_it_is, *drawn.draws)
        ]
        yield Segment(
            name,
            frauds,
            value,
            None if value is None else value + apart * spread,
            _share(alarms[honest], rows.weights[honest]),
            differences[0],
            differences[0] - apart * float(np.nanstd(differences[1:])),
        )


def _ap_difference(rows: Rows, drawn: _Drawn, at: Flags) -> tuple[float, float]:
    """Return how much better the challenger ranks a segment, and by how much that varies from draw to draw."""
    ours, theirs = (Ranking(scores[at], rows.frauds[at]) for scores in (rows.challenger, rows.champion))
    found = [
        ours.average_precision(weights[at]) - theirs.average_precision(weights[at])
        for weights in (drawn.as_it_is, *drawn.draws)
    ]
    return found[0], float(np.nanstd(found[1:]))


def _highest(scores: Array, weights: Array, share: float) -> Flags:
    """Return which payments are among the highest, so large a share of all as they weigh."""
    order = np.argsort(-scores, kind="stable")
    flags = np.zeros(len(scores), dtype=np.bool_)
    flags[order[np.cumsum(weights[order]) <= share * weights.sum()]] = True
    return flags


def _share(flags: Flags, weights: Array) -> float:
    whole = float(weights.sum())
    return float(flags @ weights) / whole if whole else float("nan")


def _wrong_segments(segments: list[Segment], bounds: Bounds) -> Iterator[str]:
    for each in segments:
        if each.ap_at_most is not None and each.ap_at_most < 0:
            yield f"segment {each.name}: its average precision is {-(each.ap_difference or 0.0):.4f} less there"
        if each.more_alarms_at_least > bounds.false_alarms_more_max * each.alarms:
            yield f"segment {each.name}: it raises {each.more_alarms:.5f} more false alarms an honest payment there"
