"""What a meter says instead of an answer: exception-response, confirmed-service-error (Green Book, clause 9.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from drivers.dlms import results
from drivers.dlms.apdu.fields import Readers
from drivers.dlms.axdr import Reader


@dataclass(frozen=True, slots=True)
class ExceptionResponse:
    """The meter did not even begin; with service error 6 it may name the invocation counter that it expects."""

    name: ClassVar[str] = "exception-response"

    state_error: int
    service_error: int
    invocation_counter: int | None = None

    def encode(self) -> bytes:
        counter = self.invocation_counter
        tail = b"" if counter is None else counter.to_bytes(4, "big")
        return bytes([0xD8, self.state_error, self.service_error]) + tail

    @property
    def text(self) -> str:
        """Both errors in words."""
        return results.exception_text(self.state_error, self.service_error)


@dataclass(frozen=True, slots=True)
class ConfirmedServiceError:
    """`service` that failed (1 initiate, 5 read, 6 write), the kind of error and its code."""

    name: ClassVar[str] = "confirmedServiceError"

    service: int
    category: int
    code: int

    def encode(self) -> bytes:
        return bytes([0x0E, self.service, self.category, self.code])

    @property
    def text(self) -> str:
        """The error in words."""
        return results.confirmed_service_error_text(self.category, self.code)


def _read_exception(reader: Reader) -> ExceptionResponse:
    state, service = reader.octet(), reader.octet()
    counter = reader.uint(4) if service == results.INVOCATION_COUNTER_ERROR and reader.left else None
    return ExceptionResponse(state, service, counter)


Refusal: TypeAlias = ExceptionResponse | ConfirmedServiceError

READERS: Final[Readers[Refusal]] = {
    b"\x0e": (
        ConfirmedServiceError.name,
        lambda reader: ConfirmedServiceError(reader.octet(), reader.octet(), reader.octet()),
    ),
    b"\xd8": (ExceptionResponse.name, _read_exception),
}
