"""`python -m streams`: host stages, topics, rights, what is in force; evaluate and recompute."""

import argparse
import gc
import json
import logging
import signal
import sys
from datetime import date
from pathlib import Path

import faust
from confluent_kafka import KafkaException

from schemas.access import Binding, bindings, topics_of
from schemas.access_to_kafka import AccessError, apply, difference
from schemas.connection import said
from schemas.fields import DAY_MS
from schemas.key_files import KeyFileError, signer_of
from schemas.learning import PolicyVersion, RateTable
from schemas.recordings.mapping import RecordingError
from schemas.settings import Settings, settings_or_exit
from schemas.topics import TOPICS, Topic
from schemas.topics_to_kafka import TopicMismatchError, create_topics
from streams.app import DECIDING, STAGES, build_app
from streams.detector.learning_stage import LearningStage
from streams.detector.policy import problems_of
from streams.documents import read_document, shipped_rates
from streams.documents_to_kafka import PublishError, publish
from streams.models.flags import add_flags as add_registry_flags
from streams.recompute.flags import NAMES as RECOMPUTING
from streams.recompute.flags import add_flags as add_recomputing_flags


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status: 0 done, 1 refused by Kafka, 2 the input or a flag is wrong."""
    flags = _parser().parse_args(arguments)
    settings = settings_or_exit()
    if flags.command == "evaluate":
        return _evaluate(flags, settings)
    if flags.command in {"policy", "rates"}:
        return _document(flags, settings)
    if flags.command == "access":
        return _access(flags, settings)
    if flags.command in RECOMPUTING:
        # Here, because a worker that decides does not need River.
        from streams.recompute.command import run  # noqa: PLC0415

        return run(flags, settings)
    if flags.command == "models":
        from streams.models.command import run as run_registry  # noqa: PLC0415

        return run_registry(flags, settings)
    try:
        create_topics(settings, _topics(flags))
    except (TopicMismatchError, KafkaException) as error:
        sys.exit(f"topics: {said(error)}")
    if flags.command == "worker":
        _work(settings, tuple(flags.stages.split(",")))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m streams", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    worker = commands.add_parser("worker", help="run a worker (settings: FRAUD_* variables)")
    worker.add_argument(
        "--stages", default=",".join(DECIDING), type=_stages, help=f"which to host (default {','.join(DECIDING)})"
    )
    commands.add_parser("topics", help="create missing topics and check the others")
    rights = commands.add_parser("access", help="which user may do what").add_subparsers(dest="action", required=True)
    rights.add_parser("show", help="print the table for this deployment")
    rights.add_parser("check", help="say where the broker differs from it; exit 1 where it does")
    giving = rights.add_parser("apply", help="give the rights that are missing; as a super user")
    giving.add_argument("--prune", action="store_true", help="also take away what our users and topics have beside it")
    for name, what in (("policy", "rules and thresholds"), ("rates", "what amounts are compared by")):
        actions = commands.add_parser(name, help=f"{what}: check or publish a document").add_subparsers(
            dest="action", required=True
        )
        for action, says in (("check", "say what is wrong with it"), ("publish", "put it in force")):
            actions.add_parser(action, help=says).add_argument("file", type=Path, metavar="FILE")
    evaluate = commands.add_parser("evaluate", help="what the model's scores are worth on a recording, without Kafka")
    evaluate.add_argument("file", type=Path, metavar="FILE", help="CSV or Parquet, in order of time, with labels")
    evaluate.add_argument("--mapping", required=True, help="a shipped name (handbook) or a TOML file: column to field")
    evaluate.add_argument("--label-delay-days", type=int, default=7, metavar="DAYS", help="(default 7)")
    evaluate.add_argument("--test-from", type=date.fromisoformat, metavar="DATE", help="(default: after five weeks)")
    evaluate.add_argument("--test-to", type=date.fromisoformat, metavar="DATE", help="(default: the last day)")
    evaluate.add_argument("--json", action="store_true", help="print the figures as one object")
    add_registry_flags(commands)
    add_recomputing_flags(commands)
    return parser


def _stages(text: str) -> str:
    unknown = [name for name in text.split(",") if name not in STAGES]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no stage {unknown[0]!r}, only {', '.join(STAGES)}")
    return text


def _topics(flags: argparse.Namespace) -> tuple[Topic, ...]:
    """Return the topics that the command is about: a worker's user may see no others."""
    if flags.command == "topics":
        return TOPICS
    return topics_of("learner" if name == LearningStage.name else "worker" for name in flags.stages.split(","))


def _access(flags: argparse.Namespace, settings: Settings) -> int:
    rights = bindings(settings.application_id, settings.topic_prefix)
    if flags.action == "show":
        _tell("", rights)
        return 0
    try:
        found = apply(settings, prune=flags.prune) if flags.action == "apply" else difference(settings)
    except (AccessError, KafkaException) as error:
        sys.stderr.write(f"access: {said(error)}\n")
        return 1
    if flags.action == "check":
        _tell("missing: ", found.missing)
    else:
        sys.stdout.write(f"{len(found.missing)} of {len(rights)} rights were missing and are given\n")
    pruned = flags.action == "apply" and flags.prune
    _tell("taken away: " if pruned else "not in the table: ", found.surplus)
    _tell("not in the table, and not only about our topics: ", found.beyond)
    return int(flags.action == "check" and any((found.missing, found.surplus, found.beyond)))


def _tell(beginning: str, rights: tuple[Binding, ...]) -> None:
    for each in rights:
        star = "*" if each.pattern == "prefixed" else ""
        denied = "" if each.permission == "allow" else f"{each.permission} "
        sys.stdout.write(f"{beginning}{each.principal} {denied}{each.operation} {each.kind} {each.name}{star}\n")


def _work(settings: Settings, stages: tuple[str, ...]) -> None:
    logging.captureWarnings(capture=True)
    # Threads that come back from a commit should not wait 5 ms for a step of another task to be interrupted.
    sys.setswitchinterval(0.0005)
    gc.set_threshold(50_000, 20, 20)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app = build_app(settings, stages)
    except KeyFileError as error:
        sys.exit(f"keys: {error}")
    worker = faust.Worker(app, loglevel="WARNING", redirect_stdouts=False, quiet=True)
    worker.spinner = None
    worker.execute_from_commandline()


def _document(flags: argparse.Namespace, settings: Settings) -> int:
    document: PolicyVersion | RateTable
    problems: list[str] = []
    if flags.command == "policy":
        document = read_document(PolicyVersion, flags.file)
        problems = problems_of(document)
    else:
        document = read_document(RateTable, flags.file)
    for problem in problems:
        sys.stderr.write(f"{flags.file}: {problem}\n")
    if problems:
        return 2
    if flags.action == "publish":
        try:
            create_topics(settings, topics_of(["publisher"]))
            publish(settings, document, signer_of(settings))
        except (KeyFileError, PublishError, TopicMismatchError, KafkaException) as error:
            sys.stderr.write(f"{flags.file}: {said(error)}\n")
            return 1
    sys.stdout.write(f"{flags.command} {document.version} is {'in force' if flags.action == 'publish' else 'sound'}\n")
    return 0


def _evaluate(flags: argparse.Namespace, settings: Settings) -> int:
    # Here, because only an evaluation needs pandas, which takes a second and a half to import.
    from tqdm import tqdm  # noqa: PLC0415

    from schemas.recordings import recording  # noqa: PLC0415
    from schemas.recordings.file_to_rows import read_frames, read_mapping  # noqa: PLC0415
    from streams.file_to_quality import WARM_UP_DAYS, Costs, cost_figures, figures_of, score_all  # noqa: PLC0415

    gc.disable()
    costs = Costs()
    try:
        mapping = read_mapping(flags.mapping)
        cases = recording.cases(read_frames(flags.file, mapping), mapping, flags.label_delay_days * DAY_MS)
        with tqdm(unit=" transactions", unit_scale=True, disable=None) as bar:
            scored = score_all(
                cases,
                shipped_rates(),
                kept_one_in=settings.legitimate_kept_one_in,
                snapshot_records=settings.snapshot_records,
                costs=costs,
                progress=bar.update,
            )
    except (RecordingError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not len(scored.days):
        sys.stderr.write(f"{flags.file}: holds no payments\n")
        return 2
    first = _day(flags.test_from) if flags.test_from else int(scored.days[0]) + WARM_UP_DAYS
    last = _day(flags.test_to) if flags.test_to else int(scored.days[-1])
    figures = {
        **figures_of(scored, first_day=first, last_day=last, delay_days=flags.label_delay_days),
        **cost_figures(costs),
    }
    sys.stdout.write((json.dumps(figures) if flags.json else _told(figures)) + "\n")
    return 0


def _day(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _told(figures: dict[str, object]) -> str:
    lines = ["week                     transactions  frauds    AUC     AP  CP@100 (ceiling)"]
    weeks = figures["weeks"]
    assert isinstance(weeks, list)
    rows = [(f"{week['from']} to {week['to']}", week) for week in weeks]
    rows += [("overall", figures["overall"]), ("with known cards", figures["overall_with_known_cards"])]
    for name, row in rows:
        auc, ap, found, possible = (
            "    -" if row[key] is None else f"{row[key]:.3f}" for key in ("auc", "ap", "cp100", "cp100_ceiling")
        )
        lines.append(f"{name:24} {row['transactions']:12,} {row['frauds']:7,}  {auc}  {ap}   {found} ({possible})")
    costs = figures["microseconds"]
    assert isinstance(costs, dict)
    lines.append("microseconds: " + ", ".join(f"{name} {value}" for name, value in costs.items()))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
