"""Put the access table on a broker, and tell where what the broker holds is another."""

import time
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from schemas.access import Binding, bindings, is_ours, reaches_ours
from schemas.connection import reached
from schemas.settings import Settings

TIMEOUT_S = 30.0
LOOK_INTERVAL_S = 0.05


class AccessError(Exception):
    """The broker does not hold what it was given. One line."""


@dataclass(frozen=True)
class Difference:
    """Where a broker and the table differ.

    `missing` is not on the broker; `surplus` is there about our users or our resources alone, and not in the table;
    `beyond` is about our resources and others as well, so it is somebody else's to take away.
    """

    missing: tuple[Binding, ...]
    surplus: tuple[Binding, ...]
    beyond: tuple[Binding, ...]


def difference(settings: Settings) -> Difference:
    """Compare the table with the broker.

    Raises
    ------
    KafkaException
        The broker refused or could not be reached.
    """
    return _difference(reached(settings), settings)


def apply(settings: Settings, *, prune: bool = False) -> Difference:
    """Give the rights that are missing, with `prune` take the surplus away; return what differed before.

    Safe to repeat. Returns when the broker holds what it was given.

    Raises
    ------
    KafkaException
        The broker refused, for example because our user is no super user, or could not be reached.
    AccessError
        It took the changes and does not hold them after 30 s.
    """
    admin = reached(settings)
    found = _difference(admin, settings)
    if found.missing:
        for given in admin.create_acls([_told(each, AclBinding) for each in found.missing]).values():
            given.result(timeout=TIMEOUT_S)
    if prune and found.surplus:
        for taken in admin.delete_acls([_told(each, AclBindingFilter) for each in found.surplus]).values():
            taken.result(timeout=TIMEOUT_S)
    deadline = time.monotonic() + TIMEOUT_S
    while (left := _difference(admin, settings)).missing or (prune and left.surplus):
        if time.monotonic() > deadline:
            raise AccessError(f"{len(left.missing) + len(left.surplus)} changes were taken and are not in force")
        time.sleep(LOOK_INTERVAL_S)
    return found


def _difference(admin: AdminClient, settings: Settings) -> Difference:
    wanted, held = bindings(settings), _held(admin)
    others = sorted(held.difference(wanted))
    return Difference(
        missing=tuple(each for each in wanted if each not in held),
        surplus=tuple(each for each in others if is_ours(each, wanted)),
        beyond=tuple(each for each in others if reaches_ours(each, wanted)),
    )


def _held(admin: AdminClient) -> set[Binding]:
    everything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )  # fmt: skip
    try:
        told = admin.describe_acls(everything).result(timeout=TIMEOUT_S)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.SECURITY_DISABLED:
            raise AccessError("this broker has no authorizer: it refuses nobody anything") from None
        raise
    return {
        Binding(
            each.principal,
            each.restype.name.lower(),
            each.name,
            each.resource_pattern_type.name.lower(),
            each.operation.name.lower(),
            each.permission_type.name.lower(),
            each.host,
        )
        for each in told
    }


def _told(binding: Binding, kind: type[AclBinding]) -> AclBinding:
    return kind(
        ResourceType[binding.kind.upper()],
        binding.name,
        ResourcePatternType[binding.pattern.upper()],
        binding.principal,
        binding.host,
        AclOperation[binding.operation.upper()],
        AclPermissionType[binding.permission.upper()],
    )
