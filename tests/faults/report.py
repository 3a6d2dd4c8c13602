"""What a fault run says: its figures, its bounds, what broke them, and each fault with the pauses it led to. Pure."""

import signal
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tests.bench.audited import ZEROES as AUDITED_ZEROES
from tests.faults.acts import Strike
from tests.faults.plan import KINDS
from tests.faults.refusals import ZEROES as REFUSAL_ZEROES
from tests.faults.waits import Wait, longest_by_kind, longest_s, pauses, summary, told_by_fault

ZEROES = (*AUDITED_ZEROES, *REFUSAL_ZEROES, "labels_left_waiting")
"""Figures of which every one must be 0."""
LONG_RUN_S = 600.0
STRUCK_MIN = {"sigkills": 15, "pauses": 5}
"""What must have happened in a long run; in a shorter one in proportion."""
IN_ORDER = frozenset([0, -signal.SIGTERM])
"""How a process may end that is asked to: one that has only just been started again has not learned to return 0."""
MODELS_MIN = 2
"""Versions of the model that must have decided, or a run has shown nothing of learning while deciding."""
PAIRS = (
    ("transactions", "published"), ("decisions", "transactions"), ("stored", "predictions"),
    ("duplicates", "repeats_published"), ("duplicates_counted", "duplicates"), ("refused", "refused_sent"),
    ("dead_letters", "refused_sent"), ("dead_letters_counted", "dead_letters"),
)  # fmt: skip
"""Figures that must be equal."""
TOLD = (
    "seconds", "transactions", "published", "decisions", "predictions", "repeats_published", "duplicates",
    "duplicates_counted", "refused_sent", "refused", "dead_letters", "dead_letters_counted", "labels_published",
    "labels", "labels_accepted", "training_records", "snapshots", "models_that_decided", "modes", "stored",
    "rows_by_view", "figures_compared", *ZEROES, "drained", "learned", "stages_restarted", "stopped_themselves",
    "store_restarted", "learner_restarted", "exit_codes", "examples",
)  # fmt: skip


class Ran(NamedTuple):
    """What was found, done and waited for in a run."""

    found: dict[str, Any]
    strikes: list[Strike]
    failed: list[str]
    waits: list[Wait]


def report_of(ran: Ran, kinds: Sequence[str], seconds: float) -> dict[str, Any]:
    """Return the report of a run that was to last so many seconds."""
    faults = told_by_fault(ran.strikes, ran.waits)
    all_pauses, partitions = pauses(ran.waits), {wait.partition for wait in ran.waits}
    figures = {name: ran.found[name] for name in TOLD} | {
        "faults": dict(sorted(Counter(strike.fault.kind for strike in ran.strikes).items())),
        "sigkills": sum(KINDS[strike.fault.kind].kills for strike in ran.strikes),
        "pauses": sum(KINDS[strike.fault.kind].pauses for strike in ran.strikes),
        "points_reached": sum("killed at pass" in strike.happened for strike in ran.strikes),
        "longest_pause": summary(longest_s(all_pauses, partitions)),
        "longest_pause_s_by_partition": longest_s(all_pauses, partitions),
        "longest_pause_s_by_kind": longest_by_kind(faults),
    }
    least = least_of(kinds, seconds)
    problems = problems_of(figures, kinds, least) + ran.failed
    return {
        "figures": figures,
        "bounds": {**dict.fromkeys(ZEROES, 0), **{f"{name}_min": number for name, number in least.items()}},
        "problems": problems,
        "faults": faults,
        "holds": not problems,
    }


def least_of(kinds: Iterable[str], seconds: float) -> dict[str, int]:
    """Return what must have happened at least in a run of these kinds and of so many seconds.

    >>> least_of(KINDS, 600)
    {'snapshots': 2, 'models_that_decided': 2, 'sigkills': 15, 'pauses': 5}
    >>> least_of(["learner-kill"], 60)
    {'snapshots': 2, 'models_that_decided': 2}
    """
    # A short run may end before the first model knows enough to decide.
    least = {"snapshots": MODELS_MIN, "models_that_decided": MODELS_MIN} if seconds else {"snapshots": 1}
    if set(kinds) >= KINDS.keys():
        least |= {name: int(number * min(1.0, seconds / LONG_RUN_S)) for name, number in STRUCK_MIN.items()}
    return least


def problems_of(figures: dict[str, Any], kinds: Iterable[str], least: dict[str, int]) -> list[str]:
    """Return what was lost, repeated or different, and what kept the run from showing that nothing is."""
    problems = [f"{name}: {figures[name]}" for name in ZEROES if figures[name]]
    problems += [f"{kind} never happened" for kind in kinds if not figures["faults"].get(kind)]
    problems += [
        f"{figures[one]} {one} and {figures[other]} {other}" for one, other in PAIRS if figures[one] != figures[other]
    ]
    problems += [f"only {figures[name]} {name}" for name, number in least.items() if figures[name] < number]
    problems += [f"no {name}" for name in ("decisions", "training_records", "figures_compared") if not figures[name]]
    if any("point" in kind for kind in kinds) and not figures["points_reached"]:
        problems.append("nothing died at a named point")
    problems += [f"not {name} in time" for name in ("drained", "learned") if not figures[name]]
    if not IN_ORDER.issuperset(figures["exit_codes"]):
        problems.append(f"a process did not end in order: {figures['exit_codes']}")
    return problems


def table_of(report: dict[str, Any]) -> str:
    """Return each fault in a line: when, what and whom, how long decisions paused, what happened."""
    lines = ["   at s  lasted  kind           pause: median     max  what happened"]
    for each in report["faults"]:
        pause = each["pause"]
        lines.append(
            f"{each['at_s']:7.1f} {each['lasted_s']:7.1f}  {each['kind']:<14} {pause['median_s']:11.2f} s"
            f" {pause['max_s']:5.2f} s  {each['happened']}"
        )
    longest = report["figures"]["longest_pause"]
    lines.append(f"    all  of each partition's longest {longest['median_s']:11.2f} s {longest['max_s']:5.2f} s")
    return "\n".join(lines) + "\n"
