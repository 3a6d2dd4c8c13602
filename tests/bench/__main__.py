"""`python -m tests.bench NAME [--json]`: an acceptance figure; the last line holds figures, bounds and `holds`."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from tests.bench import (
    access,
    adaptation,
    bad_input,
    bootstrap,
    cold_start,
    delays,
    drift,
    evaluate,
    gate,
    hot_merchant,
    live,
    maturity,
    months,
    page,
    pipeline,
    poisoning,
    quality,
    rebuild,
    recompute,
    recovery,
    replay,
    rollback,
    sink_crashes,
    soak,
    store_outage,
    views,
    warehouse,
)

THREE_DAYS, FOUR_MONTHS = "first-3-days.csv", "transactions-2018-04-to-07.parquet"
"""What is read by default, in the folder that HANDBOOK_DATA names."""
TEST_FROM, TEST_TO = date(2018, 6, 1), date(2018, 7, 31)
"""What is tested of the default recording of months: what comes before is learned from."""

Flag = tuple[str, dict[str, Any]]

WORKERS: Flag = ("--workers", {"type": int, "default": 1})
SEED: Flag = ("--seed", {"type": int, "default": 1})
RATE: Flag = ("--rate", {"type": float, "default": 200, "metavar": "TPS"})
MAPPING: Flag = ("--mapping", {"default": "handbook", "help": "a shipped name or a TOML file"})
TESTED: tuple[Flag, ...] = (
    (
        "--test-from",
        {
            "type": date.fromisoformat,
            "metavar": "DATE",
            "help": f"default: {TEST_FROM} of the default input, of another after five weeks",
        },
    ),
    ("--test-to", {"type": date.fromisoformat, "metavar": "DATE", "help": "default: the last day"}),
)


def _input(name: str) -> Flag:
    return "--input", {"type": Path, "metavar": "FILE", "help": f"default: {name} in $HANDBOOK_DATA"}


def _int(name: str, default: int, told: str | None = None) -> Flag:
    return name, {"type": int, "default": default, "help": told}


def _seconds(default: float) -> Flag:
    return "--seconds", {"type": float, "default": default}


class Bench(NamedTuple):
    """One benchmark: what tells of it, the flags it has, and what runs it."""

    module: ModuleType
    flags: tuple[Flag, ...]
    run: Callable[[argparse.Namespace], dict[str, Any]]


def _plain(module: ModuleType, *flags: Flag) -> Bench:
    """Return a benchmark whose `run` takes what its flags say, by their names."""
    names = [name.removeprefix("--").replace("-", "_") for name, _ in flags]
    return Bench(module, flags, lambda given: module.run(**{name: getattr(given, name) for name in names}))


def _bad_input(_flags: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="fraud-bad-input-") as data_dir:
        return bad_input.run(Path(data_dir))


def _rollback(flags: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="fraud-rollback-") as data_dir:
        return rollback.run(Path(data_dir), rate=flags.rate)


def _access(_flags: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="fraud-access-") as data_dir:
        return access.run(Path(data_dir))


def _bootstrap(flags: argparse.Namespace) -> dict[str, Any]:
    return bootstrap.run(
        _recording(flags, "") if flags.input else None,
        mapping=flags.mapping,
        label_delay=flags.label_delay,
        history_days=flags.history,
        live=flags.live,
        partitions=flags.partitions,
    )


def _replay(flags: argparse.Namespace) -> dict[str, Any]:
    recording = _recording(flags, THREE_DAYS)
    return replay.run(recording, workers=flags.workers, label_delay=flags.label_delay, mapping=flags.mapping)


def _recording(flags: argparse.Namespace, default: str) -> Path:
    recording: Path = flags.input or Path(os.environ.get("HANDBOOK_DATA", "")) / default
    if not recording.is_file():
        sys.exit(f"{recording} is no file: pass --input FILE, or set HANDBOOK_DATA to the data set's folder")
    return recording.resolve()  # the processes that read it run in the top folder


def _tested(run: Callable[..., dict[str, Any]]) -> Callable[[argparse.Namespace], dict[str, Any]]:
    def run_on(flags: argparse.Namespace) -> dict[str, Any]:
        test_from, test_to = (None, None) if flags.input else (TEST_FROM, TEST_TO)
        return run(
            _recording(flags, FOUR_MONTHS),
            mapping=flags.mapping,
            test_from=flags.test_from or test_from,
            test_to=flags.test_to or test_to,
        )

    return run_on


def _quality(flags: argparse.Namespace) -> dict[str, Any]:
    # What average precision is possible is a matter of the recording: a bound holds for the default one alone.
    ap_min = 0.0 if flags.input else quality.AP_MIN
    return _tested(partial(quality.run, ap_min=ap_min, ratio_min=flags.ratio_min))(flags)


def _poisoning(flags: argparse.Namespace) -> dict[str, Any]:
    if not flags.input and "HANDBOOK_DATA" not in os.environ:
        return poisoning.run(None)
    test_to = flags.test_to or (None if flags.input else poisoning.TEST_TO)
    return poisoning.run(_recording(flags, FOUR_MONTHS), mapping=flags.mapping, test_to=test_to)


BENCHES: Mapping[str, Bench] = {
    "live": _plain(live, _seconds(120), RATE),
    "pipeline": _plain(pipeline, WORKERS, _int("--transactions", 200_000)),
    "replay": Bench(replay, (_input(THREE_DAYS), MAPPING, WORKERS, ("--label-delay", {"default": "1d"})), _replay),
    "evaluate": Bench(evaluate, (_input(FOUR_MONTHS), MAPPING, *TESTED), _tested(evaluate.run)),
    "quality": Bench(
        quality,
        (
            _input(FOUR_MONTHS),
            MAPPING,
            *TESTED,
            (
                "--ratio-min",
                {"type": float, "default": quality.RATIO_MIN, "metavar": "RATIO", "help": "to XGBoost's AP"},
            ),
        ),
        _quality,
    ),
    "adaptation": Bench(
        adaptation,
        (
            _input(FOUR_MONTHS),
            MAPPING,
            ("--onset", {"type": date.fromisoformat, "default": adaptation.ONSET, "metavar": "DATE"}),
            TESTED[1],
        ),
        lambda flags: adaptation.run(
            _recording(flags, FOUR_MONTHS), mapping=flags.mapping, onset=flags.onset, test_to=flags.test_to
        ),
    ),
    "delays": Bench(
        delays,
        (
            _input(FOUR_MONTHS),
            MAPPING,
            *TESTED,
            (
                "--only",
                {"action": "append", "choices": tuple(delays.VARIANTS), "help": "these rows; default: all"},
            ),
        ),
        lambda flags: _tested(partial(delays.run, variants=flags.only or delays.VARIANTS))(flags),
    ),
    "rebuild": _plain(rebuild, _int("--records", 500_000), SEED),
    "gate": _plain(gate, _int("--payments-a-day", gate.PAYMENTS_A_DAY)),
    "maturity": _plain(maturity, _int("--weeks", maturity.WEEKS), SEED),
    "drift": _plain(
        drift, _int("--weeks", drift.WEEKS), _int("--each", drift.PLANTED_EACH, "planted changes of each kind"), SEED
    ),
    "poisoning": Bench(poisoning, (_input(FOUR_MONTHS), MAPPING, TESTED[1]), _poisoning),
    "months": Bench(months, (_input(FOUR_MONTHS), MAPPING, *TESTED), _tested(months.run)),
    "hot-merchant": _plain(hot_merchant, _int("--events", 1_000_000)),
    "recovery": Bench(
        recovery,
        (
            RATE,
            ("--cards", {"type": int, "default": recovery.CARDS}),
            ("--without-broker", {"action": "store_true", "help": "let the broker be"}),
        ),
        lambda flags: recovery.run(rate=flags.rate, cards=flags.cards, broker=not flags.without_broker),
    ),
    "cold-start": _plain(cold_start, _int("--cards", 1_000_000), _int("--rounds", 2)),
    "soak": _plain(soak, _int("--transactions", 1_500_000)),
    "store-outage": _plain(store_outage, _seconds(60), RATE, _int("--pairs", store_outage.PAIRS)),
    "views": _plain(views, _int("--rows", views.ROWS), _int("--days", views.DAYS)),
    "sink-crashes": _plain(sink_crashes, _int("--seeds", sink_crashes.SEEDS)),
    "warehouse": _plain(warehouse, _int("--rows", warehouse.ROWS)),
    "bad-input": Bench(bad_input, (), _bad_input),
    "access": Bench(access, (), _access),
    "bootstrap": Bench(
        bootstrap,
        (
            (
                "--input",
                {"type": Path, "metavar": "FILE", "help": "default: half a day and more of simulated payments"},
            ),
            MAPPING,
            ("--label-delay", {"default": "7d", "help": "of --input"}),
            ("--history", {"type": float, "metavar": "DAYS", "help": "how much is history (default: 115 of --input)"}),
            ("--live", {"type": int, "metavar": "N", "help": "payments compared (default: 10000, simulated 3000)"}),
            ("--partitions", {"type": int, "default": 1, "help": "tasks of a stage; with more than one order differs"}),
        ),
        _bootstrap,
    ),
    "recompute": _plain(recompute, _int("--transactions", 20_000), RATE),
    "rollback": Bench(rollback, (("--rate", {"type": float, "default": 300, "metavar": "TPS"}),), _rollback),
    "page": Bench(
        page,
        (
            _seconds(100),
            RATE,
            ("--picture", {"type": Path, "default": Path("page.png"), "metavar": "FILE", "help": "where it is kept"}),
        ),
        lambda flags: page.run(flags.picture, seconds=flags.seconds, rate=flags.rate),
    ),
}


def main() -> int:
    """Run one benchmark; exit 0 when its bounds hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    for name, bench in BENCHES.items():
        told = names.add_parser(name, help=(bench.module.__doc__ or "").partition("\n")[0])
        told.add_argument("--json", action="store_true", help="print only the JSON object")
        for option, how in bench.flags:
            told.add_argument(option, **how)
    flags = parser.parse_args()
    figures = BENCHES[flags.name].run(flags)
    if not flags.json:
        sys.stdout.write("".join(f"{name}: {value}\n" for name, value in figures.items()))
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0 if figures["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
