"""A snapshot of a model outside Kafka: what of its record must go with the bytes, so that they are believed elsewhere.

It is no record of a topic: it lies beside the record's value in a model directory (`streams/models/pyfunc.py`).
"""

from typing import Annotated

from pydantic import Field

from schemas.fields import Identifier, Message, TimeMs


class Sealed(Message):
    """Place, key and headers of a record of the models' topic; its value is a file of its own, byte for byte."""

    version: Identifier = Field(description="The record's key.")
    offset: Annotated[int, Field(ge=0)] = Field(description="Its place in the models' topic.")
    written_at_ms: TimeMs
    headers: dict[str, Annotated[str, Field(pattern=r"^([0-9a-f]{2})*$")]] = Field(
        description="Name -> value in hexadecimal: the signature, whose it is, and when."
    )
