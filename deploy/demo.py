"""The main job on this machine: payments in, one stored decision each out.

Starts a Kafka broker, workers, a learner, the embedded ClickHouse with its page, and a source of payments; shows what
happens, and at the end reads everything back. Exit status: 0 every transaction was answered once and stored and every
label learned, 1 one was not, or a part failed, 2 a flag is wrong, 130 stopped at once.

Ctrl-C stops the source, lets the rest come to its end, and reports; a second one stops everything at once.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from deploy.audit import audit_answers
from deploy.caught import caught_by_slice, truth_labelled, truth_told
from deploy.meter import Meter
from deploy.processes import Process, last_report, log_tail
from deploy.report import report_of, verdict
from deploy.system import ROOT, System
from deploy.warm_up import warm_up
from producers.duration import duration_ms

SUMMARY_INTERVAL_S = 2.0
DRAIN_TIMEOUT_S = 3_600.0
SETTLE_S = 3.0
DOCUMENTS = ROOT / "streams" / "documents"
TRUTH = "truth.jsonl"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOPPED_STATUS = 128 + signal.SIGINT
SIMULATED_SNAPSHOT_RECORDS = 200
"""So that two minutes show several versions."""
RECORDED_SNAPSHOT_RECORDS = 1_000
LIVE_PARTITIONS = 12
COUNT_MAX = 512
"""Most workers and partitions, as `schemas/settings.py` has it."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return the exit status."""
    flags = _parser().parse_args(arguments)
    if problem := _problem(flags):
        sys.stderr.write(f"{problem}\n")
        return 2
    data_dir = flags.data or Path(tempfile.mkdtemp(prefix="fraud-demo-"))
    data_dir.mkdir(parents=True, exist_ok=True)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    try:
        return _run(flags, data_dir)
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        _say("stopped before the end")
        return STOPPED_STATUS
    finally:
        if not flags.data:
            shutil.rmtree(data_dir, ignore_errors=True)


def _problem(flags: argparse.Namespace) -> str | None:
    if not flags.input:
        given = [name for name in ("mapping", "speed", "flat_out") if getattr(flags, name)]
        return f"--{given[0].replace('_', '-')} goes with --input" if given else None
    if not flags.mapping:
        return "--input needs --mapping: a shipped name (handbook) or a TOML file"
    if not flags.input.is_file():
        return f"{flags.input} is no file"
    if flags.rate and (flags.speed or flags.flat_out):
        return "--rate, --speed and --flat-out exclude one another"
    # Here, because only a recording needs pandas, which takes a second and a half to import.
    from schemas.recordings.file_to_rows import read_mapping  # noqa: PLC0415

    try:
        read_mapping(flags.mapping)
    except ValueError as error:
        return str(error)
    return None


def _stop_in_order() -> threading.Event:
    """Return what the first signal to stop sets; the second one ends everything at once."""
    stopping = threading.Event()

    def stop(*_: object) -> None:
        stopping.set()
        for number in STOP_SIGNALS:
            signal.signal(number, signal.default_int_handler)

    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    return stopping


def _run(flags: argparse.Namespace, data_dir: Path) -> int:
    started = time.monotonic()
    with System(
        data_dir,
        workers=flags.workers,
        partitions=_partitions(flags),
        snapshot_records=RECORDED_SNAPSHOT_RECORDS if flags.input else SIMULATED_SNAPSHOT_RECORDS,
        secure=flags.secure,
    ) as system:
        _say(f"Kafka {system.broker.bootstrap}, data and logs in {system.data_dir}")
        for name in ("policy", "rates"):
            system.run(name, ["streams", name, "publish", str(DOCUMENTS / f"{name}.json")])
        system.start_workers()
        system.start_learner()
        system.start_store(page_port=flags.page_port)
        warm_up(system.settings)
        if not system.wait_until_ready(120.0):
            raise RuntimeError(f"the workers did not start: {log_tail(system.workers[0].log_path)}")
        # Compiling, and the sink's first look at its store, go on for a moment after all have answered.
        time.sleep(SETTLE_S)
        page = f"the page is {system.page_url()}" if system.page_url() else "there is no page"
        _say(f"ready after {time.monotonic() - started:.1f} s; {page}; Ctrl-C stops")
        meter = Meter(system.settings)
        stopping = _stop_in_order()
        source = system.process("producer", _source_arguments(flags, data_dir / TRUTH))
        with source:
            _watch(source, meter, stopping, seconds=flags.seconds if flags.input else None)
            source.terminate()
        _say("draining")
        drained = system.wait_until_drained(DRAIN_TIMEOUT_S)
        time.sleep(1.0)
        meter.close()
        for worker in system.workers:
            worker.terminate()
        # Labels that are still to be joined are joined by the store's last run, and then learned.
        system.stop_store()
        learned = system.wait_until_learned(DRAIN_TIMEOUT_S)
        if system.learner:
            system.learner.terminate()
        answers = audit_answers(system)
        truth = truth_labelled(system) if flags.input else truth_told(data_dir / TRUTH)
        report = report_of(system, meter, answers, last_report(source.log_path))
        report["seconds"] = round(time.monotonic() - started, 1)
        report["drained"], report["learned"] = drained, learned
        report["caught"] = caught_by_slice(answers.decided, truth)
    # One that had hardly started does not know how to stop in order.
    published = source.exit_code in {0, -signal.SIGTERM}
    if not published:
        sys.stderr.write(f"the producer failed: {log_tail(source.log_path)}\n")
    for done, what in ((drained, "decided"), (learned, "learned")):
        if not done:
            sys.stderr.write(f"not all was {what} within {DRAIN_TIMEOUT_S:.0f} s\n")
    _say(verdict(report))
    if flags.json:
        sys.stdout.write(json.dumps(report) + "\n")
    return 0 if answers.complete and drained and learned and published else 1


def _partitions(flags: argparse.Namespace) -> int:
    """Return the number of tasks a stage has. Flat out there is one a worker: more would wait for one another.

    A backlog is read in the order of event time, so tasks go in step (`streams/alignment.py`), and where payments are
    sparse most of the time would go into steps of a handful.
    """
    wanted: int = flags.partitions or (flags.workers if flags.flat_out else LIVE_PARTITIONS)
    return wanted


def _source_arguments(flags: argparse.Namespace, truth_path: Path) -> list[str]:
    if flags.input:
        pace = (
            ["--flat-out"] if flags.flat_out
            else ["--rate", str(flags.rate)] if flags.rate
            else ["--speed", str(flags.speed or 1)]
        )  # fmt: skip
        arguments = ["replay", str(flags.input.resolve()), "--mapping", flags.mapping, *pace]
    else:
        arguments = ["simulate", "--rate", str(flags.rate or 50), "--seed", str(flags.seed)]
        arguments += ["--truth", str(truth_path.resolve())]
        arguments += ["--seconds", str(flags.seconds)] if flags.seconds else []
    delay = flags.label_delay or ("7d" if flags.input else "20s")
    return ["producers", *arguments, "--label-delay", delay, "--json"]


def _watch(source: Process, meter: Meter, stopping: threading.Event, *, seconds: float | None) -> None:
    deadline = time.monotonic() + seconds if seconds else float("inf")
    before, shown_at = (0, 0), time.monotonic()
    while source.running and not stopping.is_set() and time.monotonic() < deadline:
        stopping.wait(min(SUMMARY_INTERVAL_S, max(0.05, deadline - time.monotonic())))
        now = time.monotonic()
        rate_in, rate_out = ((new - old) / (now - shown_at) for new, old in zip(
            (meter.published, meter.decided), before, strict=True
        ))  # fmt: skip
        before, shown_at = (meter.published, meter.decided), now
        recent = meter.latency_ms(last=2_000)
        actions = "  ".join(f"{action} {count:,}" for action, count in sorted(meter.actions.items()))
        latency = f"p50 {recent['p50']:.0f} ms  p99 {recent['p99']:.0f} ms"
        _say(f"in {rate_in:.0f}/s  out {rate_out:.0f}/s  {latency}  {actions}")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="deploy/demo", description=first, epilog=rest[rest.index("Exit status") :])
    parser.add_argument(
        "--seconds", type=_positive, help="how long payments come (default: until Ctrl-C or the input's end)"
    )
    parser.add_argument("--rate", type=_positive, metavar="TPS", help="transactions per second (simulated: default 50)")
    parser.add_argument("--workers", type=_count, default=1, help="worker processes (default 1)")
    parser.add_argument(
        "--input", type=Path, metavar="FILE", help="a recorded CSV or Parquet file instead of a simulation"
    )
    parser.add_argument("--mapping", metavar="NAME|FILE", help="how its columns are read: handbook, or a TOML file")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--speed", type=_positive, metavar="X", help="times as fast as it happened (default 1)")
    pace.add_argument("--flat-out", action="store_true", help="as fast as it goes")
    parser.add_argument(
        "--label-delay",
        type=_duration,
        metavar="DURATION",
        help="labels come so long after: 90s, 12h, 7d (default: 20s simulated, 7d recorded)",
    )
    parser.add_argument(
        "--partitions", type=_count, help=f"tasks of a stage (default {LIVE_PARTITIONS}; flat out one a worker)"
    )
    parser.add_argument(
        "--page-port", type=int, default=0, metavar="PORT", help="where the page is served (default: a free port)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the simulation (default 1)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="keep data and logs here (default: removed at the end)"
    )
    parser.add_argument(
        "--secure", action="store_true", help="Kafka with TLS, and a user with its own rights for each process"
    )
    parser.add_argument("--json", action="store_true", help="print the report as the last line, one JSON object")
    return parser


def _positive(text: str) -> float:
    if not 0 < (number := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not more than nothing")
    return number


def _count(text: str) -> int:
    if not 1 <= (number := int(text)) <= COUNT_MAX:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {COUNT_MAX}")
    return number


def _duration(text: str) -> str:
    try:
        duration_ms(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


if __name__ == "__main__":
    sys.exit(main())
