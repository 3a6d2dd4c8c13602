"""`python -m streams worker`: host tasks of every stage until stopped; `topics`: create the topics."""

import argparse
import gc
import logging
import signal
import sys

import faust
from confluent_kafka import KafkaException

from schemas.settings import settings_or_exit
from schemas.topics_to_kafka import TopicMismatchError, create_topics
from streams.app import build_app


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m streams", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("worker", help="run a worker (settings: FRAUD_* variables)")
    commands.add_parser("topics", help="create missing topics and check the others")
    arguments = parser.parse_args()
    settings = settings_or_exit()
    try:
        create_topics(settings)
    except (TopicMismatchError, KafkaException) as error:
        sys.exit(f"topics: {error}")
    if arguments.command == "worker":
        logging.captureWarnings(capture=True)
        # Threads that come back from a commit should not wait 5 ms for a step of another task to be interrupted.
        sys.setswitchinterval(0.0005)
        gc.set_threshold(50_000, 20, 20)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        worker = faust.Worker(build_app(settings), loglevel="WARNING", redirect_stdouts=False, quiet=True)
        worker.spinner = None
        worker.execute_from_commandline()


if __name__ == "__main__":
    main()
