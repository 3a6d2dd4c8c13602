"""The house rules hold for this tree, and each rule catches what it forbids."""

from collections.abc import Callable

import pytest

from tests.house.imports import rooms_never_import_one_another, the_detector_imports_nothing_of_the_world
from tests.house.purity import (
    HOSTS,
    arrows_join_known_places,
    nouns_do_no_input_or_output,
    only_main_reads_the_environment,
)
from tests.house.shape import (
    OVER_BUDGET,
    TOP_LEVEL,
    every_producer_loses_nothing,
    every_topic_is_in_the_table,
    migrations_have_numbers_of_their_own,
    modules_and_functions_are_short,
    modules_say_what_they_are,
    no_shell_is_started,
    no_test_is_left_out,
    nothing_is_unpickled,
    one_place_says_how_kafka_is_reached,
    rooms_do_not_print,
    the_top_level_is_fixed,
)
from tests.house.text import (
    no_card_number_is_written,
    no_path_is_of_one_machine,
    no_registry_is_named,
    no_work_is_left_open,
)
from tests.house.tree import Tree, real_tree

Rule = Callable[[Tree], list[str]]

COMPLETE = {name if "." in name else f"{name}/__init__.py": '"""A room."""' for name in TOP_LEVEL}
PURE = "producers/world.py"
CORE = "streams/detector/score.py"
LONG = "\n".join(["def long():", *["    pass"] * 70])

# A rule, and files that break it. Words that no file may hold are put together here.
PLANTED: list[tuple[Rule, Tree]] = [
    (the_top_level_is_fixed, COMPLETE | {"notes.txt": ""}),
    (the_top_level_is_fixed, COMPLETE | {"util/__init__.py": ""}),
    (the_top_level_is_fixed, {name: text for name, text in COMPLETE.items() if name != "README.md"}),
    (rooms_never_import_one_another, {PURE: "import streams.detector"}),
    (rooms_never_import_one_another, {PURE: "def late():\n    from consumers.rows import Record"}),
    (rooms_never_import_one_another, {"schemas/label.py": "from producers import world"}),
    (rooms_never_import_one_another, {"consumers/rows.py": "from ..streams import inputs"}),
    (rooms_never_import_one_another, {"streams/tasks.py": "from tests.simulation import broker"}),
    (the_detector_imports_nothing_of_the_world, {CORE: "import faust"}),
    (the_detector_imports_nothing_of_the_world, {CORE: "from time import monotonic"}),
    (the_detector_imports_nothing_of_the_world, {CORE: "from random import Random"}),
    (the_detector_imports_nothing_of_the_world, {CORE: "from datetime import datetime as moment"}),
    (the_detector_imports_nothing_of_the_world, {CORE: "from schemas.settings import Settings"}),
    (the_detector_imports_nothing_of_the_world, {CORE: "from schemas import topics_to_kafka"}),
    (the_detector_imports_nothing_of_the_world, {CORE: "from streams.tasks import now_ms"}),
    (the_detector_imports_nothing_of_the_world, {CORE: "import clickhouse_driver.client"}),
    (nouns_do_no_input_or_output, {PURE: "import time"}),
    (nouns_do_no_input_or_output, {PURE: "from time import time as t"}),
    (nouns_do_no_input_or_output, {PURE: "from datetime import datetime as d\nd.now()"}),
    (nouns_do_no_input_or_output, {PURE: "import datetime as dt\nclock = dt.datetime.utcnow"}),
    (nouns_do_no_input_or_output, {PURE: "import random\nrandom.random()"}),
    (nouns_do_no_input_or_output, {PURE: "from random import choice as pick"}),
    (nouns_do_no_input_or_output, {PURE: "from random import Random\nRandom()"}),
    (nouns_do_no_input_or_output, {PURE: "import numpy as np\nnp.random.rand(3)"}),
    (nouns_do_no_input_or_output, {PURE: "from uuid import uuid4\nuuid4()"}),
    (nouns_do_no_input_or_output, {PURE: "open('f')"}),
    (nouns_do_no_input_or_output, {PURE: "from pathlib import Path"}),
    (nouns_do_no_input_or_output, {PURE: "import pandas as pd\npd.read_csv('f')"}),
    (nouns_do_no_input_or_output, {PURE: "__import__('os')"}),
    (nouns_do_no_input_or_output, {"consumers/batch.py": "from consumers import kafka_reader"}),
    (nouns_do_no_input_or_output, {"streams/inputs.py": "from streams.tasks import now_ms"}),
    (only_main_reads_the_environment, {"streams/tasks.py": "import os\nos.environ['A']"}),
    (only_main_reads_the_environment, {"streams/tasks.py": "from os import getenv as ask"}),
    (only_main_reads_the_environment, {"streams/app.py": "from schemas.settings import Settings\nSettings()"}),
    (only_main_reads_the_environment, {"streams/app.py": "from schemas.settings import settings_or_exit as s"}),
    (arrows_join_known_places, {"consumers/topics_to_nowhere.py": ""}),
    (arrows_join_known_places, {"consumers/topics_to_kafka_to_rows.py": ""}),
    (modules_and_functions_are_short, {"deploy/long.py": "\n" * 301}),
    (modules_and_functions_are_short, {"tests/long.py": LONG}),
    (modules_say_what_they_are, {"tests/new.py": "x = 1"}),
    (modules_say_what_they_are, {"producers/new/thing.py": '"""A thing."""'}),
    (no_test_is_left_out, {"tests/pure/test_a.py": "import pytest\npytest.skip('later')"}),
    (no_test_is_left_out, {"tests/pure/test_a.py": "from pytest import mark as m\n@m.xfail\ndef test(): ..."}),
    (no_test_is_left_out, {"tests/contract/test_a.py": "import pytest\ndef test():\n    pytest.skip('later')"}),
    (nothing_is_unpickled, {"tests/a.py": "from pickle import loads as read"}),
    (nothing_is_unpickled, {"deploy/a.py": "import pandas\npandas.read_pickle('f')"}),
    (nothing_is_unpickled, {"deploy/a.py": "import numpy as np\nnp.load('f', allow_pickle=True)"}),
    (rooms_do_not_print, {"consumers/__main__.py": "print(1)"}),
    (one_place_says_how_kafka_is_reached, {"tests/a.py": "Producer({'bootstrap.servers': 'broker:9092'})"}),
    (every_producer_loses_nothing, {PURE: "from confluent_kafka import Producer\nProducer(connection(settings))"}),
    (no_shell_is_started, {"deploy/a.py": "import subprocess\nsubprocess.run('ls', shell=True)"}),
    (no_shell_is_started, {"deploy/a.py": "from os import system as run\nrun('ls')"}),
    (every_topic_is_in_the_table, {"schemas/topics.py": "A = Topic('a')\nB = Topic('b')\nTOPICS = (A,)"}),
    (migrations_have_numbers_of_their_own, {f"schemas/clickhouse/0001_{name}.sql": "" for name in "ab"}),
    (migrations_have_numbers_of_their_own, {"schemas/clickhouse/1_a.sql": ""}),
    (no_work_is_left_open, {"README.md": "# " + "TO" + "DO: more"}),
    (no_path_is_of_one_machine, {"deploy/run": f"cd /{'home'}/me"}),
    (no_registry_is_named, {"deploy/requirements.txt": "--index" + "-url https://mirror.example/simple"}),
    (no_registry_is_named, {"README.md": "see https://" + "pypi" + ".org/project/a"}),
    (no_card_number_is_written, {"README.md": "pay with 4111 1111 1111 " + "1111"}),
    (no_card_number_is_written, {PURE: "# 411111111111" + "1111"}),
    (no_card_number_is_written, {"tests/a.py": "CARD = '4000056655" + "665556'"}),
]
RULES = list(dict.fromkeys(rule for rule, _ in PLANTED))

# What a rule must let through.
ALLOWED: list[tuple[Rule, Tree]] = [
    (the_top_level_is_fixed, COMPLETE | {".ci/run": ""}),
    (rooms_never_import_one_another, {"deploy/demo.py": "import streams.app, consumers.rows"}),
    (the_detector_imports_nothing_of_the_world, {CORE: "import math\nfrom schemas.topics import DECISIONS"}),
    (nouns_do_no_input_or_output, {PURE: "import random\nrandom.Random(7).random()"}),
    (nouns_do_no_input_or_output, {"streams/tasks.py": "import time"}),
    (every_producer_loses_nothing, {PURE: "Producer({**writing(settings), 'linger.ms': 5})"}),
    (only_main_reads_the_environment, {"streams/__main__.py": "import os\nos.environ['A']"}),
    (
        only_main_reads_the_environment,
        {"streams/models/pyfunc.py": "from schemas.settings import Settings\nSettings()"},
    ),
    (
        no_test_is_left_out,
        {"tests/contract/test_a.py": "import os, pytest\ndef f():\n    os.environ.get('CI')\n    pytest.skip('none')"},
    ),
    (no_card_number_is_written, {PURE: '"""\n>>> card("4111111111111111")\n"""', "tests/a.py": "'378282246310005'"}),
]


@pytest.fixture(scope="module")
def tree() -> Tree:
    return real_tree()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps_the_rule(rule: Rule, tree: Tree) -> None:
    """Each rule of the house holds for every file that is committed or would be."""
    assert rule(tree) == []


@pytest.mark.parametrize(("rule", "planted"), PLANTED)
def test_the_rule_catches_what_it_forbids(rule: Rule, planted: Tree) -> None:
    """A rule that finds nothing anywhere proves nothing: each finds its planted violation."""
    assert rule(planted)


@pytest.mark.parametrize(("rule", "fine"), ALLOWED)
def test_the_rule_lets_through_what_it_allows(rule: Rule, fine: Tree) -> None:
    """A rule forbids no more than it says."""
    assert rule(fine) == []


def test_the_tables_name_what_exists(tree: Tree) -> None:
    """An exception goes when its file goes."""
    assert {*HOSTS, *(row.split(":")[0] for row in OVER_BUDGET)} <= tree.keys()
