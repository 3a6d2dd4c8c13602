"""Put the access table on a broker, and tell where what the broker holds is another."""

import time
from dataclasses import dataclass
from enum import Enum
from typing import cast

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
ANY = cast("str", None)
"""What the client takes for any name, principal or host."""
EVERYTHING = AclBindingFilter(
    ResourceType.ANY, ANY, ResourcePatternType.ANY, ANY, ANY, AclOperation.ANY, AclPermissionType.ANY
)


class AccessError(Exception):
    """A broker without rights, or rights that our user may not see, or that are not what was given. One line."""


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
    AccessError
        It has no authorizer, or shows no rights at all.
    """
    admin = reached(settings)
    # To a user who may not see them the client shows none, and no error.
    if not _held(admin):
        raise AccessError("the broker shows no rights: none were given yet, or only a super user may see them")
    return _difference(admin, settings)


def apply(settings: Settings, *, prune: bool = False) -> Difference:
    """Give the rights that are missing, with `prune` take the surplus away; return what differed before.

    Safe to repeat. Returns when the broker holds what it was given.

    Raises
    ------
    KafkaException
        The broker refused, for example because our user is no super user, or could not be reached.
    AccessError
        It has no authorizer; or it took the changes and does not hold them after 30 s.
    """
    admin = reached(settings)
    found = _difference(admin, settings)
    if found.missing:
        for given in admin.create_acls([acl_of(each) for each in found.missing]).values():
            given.result(timeout=TIMEOUT_S)
    if prune and found.surplus:
        for taken in admin.delete_acls([filter_of(each) for each in found.surplus]).values():
            taken.result(timeout=TIMEOUT_S)
    deadline = time.monotonic() + TIMEOUT_S
    while (left := _difference(admin, settings)).missing or (prune and left.surplus):
        if time.monotonic() > deadline:
            raise AccessError(f"{len(left.missing) + len(left.surplus)} changes were taken and are not in force")
        time.sleep(LOOK_INTERVAL_S)
    return found


def _difference(admin: AdminClient, settings: Settings) -> Difference:
    wanted, held = bindings(settings.application_id, settings.topic_prefix), _held(admin)
    others = sorted(held.difference(wanted))
    return Difference(
        missing=tuple(each for each in wanted if each not in held),
        surplus=tuple(each for each in others if is_ours(each, wanted)),
        beyond=tuple(each for each in others if reaches_ours(each, wanted)),
    )


def _held(admin: AdminClient) -> set[Binding]:
    try:
        told = admin.describe_acls(EVERYTHING).result(timeout=TIMEOUT_S)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.SECURITY_DISABLED:
            raise AccessError("this broker has no authorizer: it refuses nobody anything") from None
        raise
    return {_binding(each) for each in told}


def _binding(told: AclBinding) -> Binding:
    # To the type checker these could be names or numbers still: what the client returns are members of enumerations.
    words = (told.restype, told.resource_pattern_type, told.operation, told.permission_type)
    kind, pattern, operation, permission = (cast("Enum", word).name.lower() for word in words)
    return Binding(told.principal, kind, told.name, pattern, operation, permission, told.host)


def acl_of(binding: Binding) -> AclBinding:
    """Return a binding as the client takes it."""
    return AclBinding(*_words(binding))


def filter_of(binding: Binding) -> AclBindingFilter:
    """Return what matches a binding and no other."""
    return AclBindingFilter(*_words(binding))


def _words(
    binding: Binding,
) -> tuple[ResourceType, str, ResourcePatternType, str, str, AclOperation, AclPermissionType]:
    return (
        ResourceType[binding.kind.upper()],
        binding.name,
        ResourcePatternType[binding.pattern.upper()],
        binding.principal,
        binding.host,
        AclOperation[binding.operation.upper()],
        AclPermissionType[binding.permission.upper()],
    )
