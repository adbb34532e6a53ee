"""What the person's page may say: four messages, each checked as a whole. Nothing else is understood."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from pipeline.errors import UsageError

MOST_BYTES: Final = 4096
"""Longest message; the form with the longest name takes a quarter of it."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Seen(_Message):
    """The preview was taken in; the next one may be sent."""

    type: Literal["seen"]


class Painted(_Message):
    """A colour of the flash is on the screen."""

    type: Literal["painted"]
    number: int = Field(ge=1, le=1_000_000)


class Stop(_Message):
    """The person wants no check."""

    type: Literal["stop"]


class PersonForm(_Message):
    """Name, certificate number and a tick."""

    type: Literal["person"]
    name: str = Field(min_length=1, max_length=128, repr=False)
    number: str = Field(min_length=1, max_length=64, repr=False)
    consent: bool

    @field_validator("consent")
    @classmethod
    def _ticked(cls, value: bool) -> bool:
        if value is not True:
            raise ValueError("the box is not ticked")
        return value


Message = Seen | Painted | Stop | PersonForm
_ADAPTER: Final[TypeAdapter[Message]] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def parse(text: str) -> Message:
    """Read a message.

    Raises:
        UsageError: it is none of the four. What it held is not told.
    """
    try:
        if len(text.encode()) > MOST_BYTES:
            raise UsageError("the page's message is too long")
        return _ADAPTER.validate_json(text)
    except (ValidationError, UnicodeEncodeError):
        raise UsageError("the page's message is not understood") from None
