"""The one tree of errors.

Every error names the meter, what was asked of it, what came back and what to do next, on one line, so that
an operator can act on a log line alone. No error ever carries a key, a password or an undecrypted secret.
"""

from __future__ import annotations


class HeadEndError(Exception):
    """Something went wrong that a person or a retry can deal with.

    `retry` says whether trying again, unchanged, can help. `exit_code` is what the CLI ends with; the
    table of codes stands in docs/reference.md.
    """

    exit_code = 1
    retry = False
    usual_remedy = ""
    """What to do where the raiser knows nothing better."""

    def __init__(
        self,
        message: str,
        *,
        meter: str = "",
        asked: str = "",
        remedy: str = "",
        retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.meter = meter
        self.asked = asked
        self.remedy = remedy or self.usual_remedy
        if retry is not None:
            self.retry = retry

    def at(self, *, meter: str = "", asked: str = "") -> HeadEndError:
        """Name the meter and the step, where the raiser did not know them; returns itself, to be raised."""
        self.meter = self.meter or meter
        self.asked = self.asked or asked
        return self

    def __str__(self) -> str:
        place = " · ".join(part for part in (self.meter, self.asked) if part)
        text = f"{place}: {self.message}" if place else self.message
        return f"{text} ({self.remedy})" if self.remedy else text


class SettingsError(HeadEndError):
    """A settings file, environment variable, meter list or meter type file is wrong."""

    exit_code = 3


class LinkError(HeadEndError):
    """The meter could not be reached, or the link broke."""

    exit_code = 4
    retry = True
    usual_remedy = "see the meter's power, its network and its address"


class LinkTimeout(LinkError):
    """Nothing came within the deadline."""

    usual_remedy = "see the meter's power and its network; a slow one may need ?timeout= in its address"


class ProtocolError(HeadEndError):
    """What came back is not what DLMS/COSEM allows here: garbage, truncation, a wrong block number."""

    exit_code = 5
    retry = True
    usual_remedy = "if it comes again, the meter is not as its type says, or something else answers at its address"
    octet: int | None = None
    """Where in what was decoded understanding stopped, counted from 0; None where that is not known."""

    def stopped_at(self, octet: int) -> ProtocolError:
        """Say where understanding stopped, where that is not said yet; returns itself, to be raised."""
        self.octet = octet if self.octet is None else self.octet
        return self


class SecurityError(HeadEndError):
    """The receive policy refused an APDU: plaintext, weaker protection, a bad tag, a replay, a wrong title."""

    exit_code = 6
    usual_remedy = "if it comes again, our keys are not the meter's, or someone alters its answers"


class UnbelievableCounter(SecurityError):
    """A meter's word in clear would raise our invocation counter by more than a step: forged, or long out of step."""


class AccessDenied(HeadEndError):
    """The meter answered, and said no: association refused, wrong password, data-access-result."""

    exit_code = 7
    usual_remedy = "see what the meter's association allows, and what its type says of it"


class MeterBusy(HeadEndError):
    """The meter has another association open, or says that it cannot serve now."""

    exit_code = 8
    retry = True
    usual_remedy = "another client holds the meter's one association: try again later"


class IdentityMismatch(HeadEndError):
    """Another meter than the registered one stands at this address: nothing of it is stored."""

    exit_code = 9


class StoreError(HeadEndError):
    """The database refused or is away."""

    exit_code = 10
    retry = True


class SpoolError(StoreError):
    """The spool is full, or its disk refuses: what came in stays where it is until there is room."""

    usual_remedy = "make room on the disk of spool.folder, or raise spool.max_mb"
