"""`python -m streams`: host stages, topics, rights, what is in force; evaluate and recompute."""

import argparse
import gc
import logging
import os
import signal
import sys
from pathlib import Path

import faust
from confluent_kafka import KafkaException

from schemas.access import Binding, bindings, topics_of
from schemas.access_to_kafka import AccessError, apply, difference
from schemas.connection import said
from schemas.key_files import KeyFileError, signer_of
from schemas.learning import PolicyVersion, RateTable
from schemas.settings import Settings, settings_or_exit
from schemas.topics import TOPICS, Topic
from schemas.topics_to_kafka import TopicMismatchError, create_topics
from streams.app import DECIDING, STAGES, build_app
from streams.detector.learning_stage import LearningStage
from streams.detector.policy import problems_of
from streams.documents import read_document
from streams.documents_to_kafka import PublishError, publish
from streams.evaluate import add_flags as add_evaluating_flags
from streams.evaluate import run as evaluate
from streams.kafka_signed import NotWrittenError
from streams.models.flags import add_flags as add_registry_flags
from streams.recompute.flags import NAMES as RECOMPUTING
from streams.recompute.flags import add_flags as add_recomputing_flags

PRINCIPAL_OF = {"shadow": "shadow", "retrain": "retrainer"}
"""Processes that are commands of their own: whose topics they are about."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status: 0 done, 1 refused by Kafka, 2 the input or a flag is wrong."""
    flags = _parser().parse_args(arguments)
    settings = settings_or_exit()
    if flags.command == "evaluate":
        return evaluate(flags, settings)
    if flags.command in {"policy", "rates"}:
        return _document(flags, settings)
    if flags.command == "access":
        return _access(flags, settings)
    if flags.command in RECOMPUTING:
        # Here, because a worker that decides does not need River.
        from streams.recompute.command import run  # noqa: PLC0415

        return run(flags, settings)
    if flags.command == "models":
        # MLflow, where it is used, tells its makers about that unless it is told not to before it is imported.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from streams.models.command import run as run_registry  # noqa: PLC0415

        return run_registry(flags, settings)
    try:
        create_topics(settings, _topics(flags))
    except (TopicMismatchError, KafkaException) as error:
        sys.exit(f"topics: {said(error)}")
    return _host(flags, settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m streams", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    worker = commands.add_parser("worker", help="run a worker (settings: FRAUD_* variables)")
    worker.add_argument(
        "--stages", default=",".join(DECIDING), type=_stages, help=f"which to host (default {','.join(DECIDING)})"
    )
    commands.add_parser("shadow", help="run the challengers, which score what was decided and decide nothing")
    commands.add_parser("retrain", help="rebuild and judge challengers unattended, when it is due")
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
    add_evaluating_flags(commands)
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
    if flags.command in PRINCIPAL_OF:
        return topics_of([PRINCIPAL_OF[flags.command]])
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


def _host(flags: argparse.Namespace, settings: Settings) -> int:
    if flags.command == "shadow":
        # Here, because a worker that decides does not need River.
        from streams.shadow import run  # noqa: PLC0415

        return run(settings)
    if flags.command == "retrain":
        from streams.retrain import run as retrain  # noqa: PLC0415

        return retrain(settings)
    if flags.command == "worker":
        _work(settings, tuple(flags.stages.split(",")))
    return 0


def _work(settings: Settings, stages: tuple[str, ...]) -> None:
    logging.captureWarnings(capture=True)
    # Threads that come back from a commit should not wait 5 ms for a step of another task to be interrupted.
    sys.setswitchinterval(0.0005)
    gc.set_threshold(50_000, 20, 20)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app = build_app(settings, stages)
        worker = faust.Worker(app, loglevel="WARNING", redirect_stdouts=False, quiet=True)
        worker.spinner = None
        worker.execute_from_commandline()
    except KeyFileError as error:
        sys.exit(f"keys: {error}")
    except KeyboardInterrupt:
        # Told to stop before Faust listens to signals: nothing has begun, so this is a stop in order.
        logging.getLogger(__name__).info("stopped before it began")


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
        except (KeyFileError, PublishError, NotWrittenError, TopicMismatchError, KafkaException) as error:
            sys.stderr.write(f"{flags.file}: {said(error)}\n")
            return 1
    sys.stdout.write(f"{flags.command} {document.version} is {'in force' if flags.action == 'publish' else 'sound'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
