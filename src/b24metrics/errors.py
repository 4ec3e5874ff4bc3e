"""The error tree: grouped by what the caller can do.

    B24Error
    ├── ConfigError (ValueError)         a setting is wrong: mend the file or the variable that it names
    ├── PortalError                      the portal refused: .method .code .status .host .description
    │   ├── TryLater                     waiting helps: .until
    │   ├── NotAuthorised                the webhook or token is wrong, revoked or expired: make a new one
    │   ├── NotAllowed                   ask an administrator: .missing_scope
    │   ├── NoSuchRecord (LookupError)   the record or type does not exist
    │   ├── NoSuchMethod                 this portal does not offer the method
    │   ├── BadRequest (ValueError)      the portal could not make sense of the parameters
    │   ├── PortalClosed                 deleted, unpaid or blocked by hand: waiting does not help
    │   └── PortalFault                  the portal failed inside, also after repeats
    ├── Unreachable (ConnectionError)    no answer at all: name, network, certificate, time-out
    ├── UnreadableReply                  neither JSON nor an envelope (a web page, a cut body)
    ├── UnreadableRow                    a record that is not what the vendor describes: .method .record_id .fields
    ├── LostReply                        a write was sent and its answer lost: it may have happened
    ├── NotRun                           a command of a batch that was left out because another one failed: .method
    ├── BatchFailed                      some commands of a batch failed: .failed, .done
    ├── WalkCut                          a walk over a listing could not finish: .cursor, .listing; __cause__ says why
    ├── MirrorError                      the local database
    │   ├── UnreadableMirror             not a mirror, damaged, or made by another program
    │   ├── NewerMirror                  made by a newer version: upgrade
    │   ├── MirrorBusy                   another process holds the file, or the same rows
    │   │   └── PortalKept               another process keeps this portal: .portal .holder .until
    │   ├── MirrorAway                   the database server does not answer, or went away in the middle
    │   ├── UnwritableMirror             its directory is missing or forbidden, or the disk is full
    │   └── NothingMirrored              the mirror has no such portal or feed yet: sync first
    └── CalendarError (ValueError)       a schedule that cannot be meant
        └── HorizonError                 an instant outside the compiled years

Every message says what happened, where, and the next step. None carries a secret: addresses are printed as
host and user id.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


class B24Error(Exception):
    """Root of everything that this library raises on purpose."""


class ConfigError(B24Error, ValueError):
    """A setting is wrong; the text names each one and its mend."""


class PortalError(B24Error):
    """The portal refused a method.

    Attributes:
        method: REST method as called. code: the portal's code, stripped, as spelled (may be empty).
        status: HTTP status. host: portal host. description: the portal's own words.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        code: str = "",
        status: int = 0,
        host: str = "",
        description: str = "",
    ) -> None:
        super().__init__(message)
        self.method = method
        self.code = code
        self.status = status
        self.host = host
        self.description = description


class TryLater(PortalError):
    """Waiting helps. ``until``: epoch seconds from which a repeat makes sense, or None when unknown."""

    def __init__(self, message: str, *, until: float | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.until = until


class NotAuthorised(PortalError):
    """The credential is wrong, revoked or expired."""


class NotAllowed(PortalError):
    """The credential is good and may not do this. ``missing_scope``: the scope to tick, when known."""

    def __init__(self, message: str, *, missing_scope: str | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.missing_scope = missing_scope


class NoSuchRecord(PortalError, LookupError):
    """The record, or the entity type, does not exist or is hidden from this credential."""


class NoSuchMethod(PortalError):
    """This portal does not offer the method."""


class BadRequest(PortalError, ValueError):
    """The portal could not make sense of the parameters."""


class PortalClosed(PortalError):
    """Deleted, unpaid, or blocked by hand: neither waiting nor another credential helps."""


class PortalFault(PortalError):
    """The portal failed inside, and repeating did not help."""


class Unreachable(B24Error, ConnectionError):
    """No answer at all. ``host``: where we called."""

    def __init__(self, message: str, *, host: str = "") -> None:
        super().__init__(message)
        self.host = host


class UnreadableReply(B24Error):
    """An answer that is neither JSON nor an envelope. ``status``, ``host``, ``excerpt``: its first characters."""

    def __init__(self, message: str, *, status: int = 0, host: str = "", excerpt: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.host = host
        self.excerpt = excerpt


class UnreadableRow(B24Error):
    """A record that is not what the vendor describes. It shows names only: values may be personal data.

    Attributes:
        method: REST method that answered. record_id: the record's own id, or None when that is unreadable too.
        fields: its fields at fault, as spelled on the wire; empty when the record is no map at all.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        record_id: int | str | None = None,
        fields: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.method = method
        self.record_id = record_id
        self.fields = fields


class LostReply(B24Error):
    """A write was sent and its answer was lost: look whether it happened before you repeat it. ``method``, ``host``."""

    def __init__(self, message: str, *, method: str = "", host: str = "") -> None:
        super().__init__(message)
        self.method = method
        self.host = host


class NotRun(B24Error):
    """A command of a batch that was left out, because it needs the result of one that failed. ``method``."""

    def __init__(self, message: str, *, method: str = "") -> None:
        super().__init__(message)
        self.method = method


class BatchFailed(B24Error):
    """Some commands of a batch failed. ``failed``: name → error; ``done``: name → decoded result."""

    def __init__(self, message: str, *, failed: Mapping[str, B24Error], done: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.failed = failed
        self.done = done


class WalkCut(B24Error):
    """A walk over a listing could not finish; nothing before ``cursor`` is missing.

    Attributes:
        cursor: where to go on: hand it to the listing's ``after``. listing: what is left, ready to be walked.
        __cause__: what stopped it.
    """

    def __init__(self, message: str, *, cursor: int, listing: Any = None) -> None:
        super().__init__(message)
        self.cursor = cursor
        self.listing = listing


class MirrorError(B24Error):
    """Something is wrong with the local database."""


class UnreadableMirror(MirrorError):
    """The file is not a mirror, is damaged, or belongs to another program."""


class NewerMirror(MirrorError):
    """The mirror was written by a newer version. ``found``, ``known``: schema versions."""

    def __init__(self, message: str, *, found: int, known: int) -> None:
        super().__init__(message)
        self.found = found
        self.known = known


class MirrorBusy(MirrorError):
    """Another process holds the file, or was changing the same rows."""


class PortalKept(MirrorBusy):
    """Another process keeps the mirror of this portal up to date. ``portal``, ``holder``; ``until``: when its lease lapses."""

    def __init__(self, message: str, *, portal: str, holder: str = "", until: datetime | None = None) -> None:
        super().__init__(message)
        self.portal = portal
        self.holder = holder
        self.until = until


class MirrorAway(MirrorError):
    """The database server does not answer, or went away in the middle; what was committed stays."""


class UnwritableMirror(MirrorError):
    """The directory is missing or may not be written, or the disk is full; what was committed stays."""


class NothingMirrored(MirrorError, LookupError):
    """The mirror has no such portal or feed yet."""


class CalendarError(B24Error, ValueError):
    """A schedule that cannot be meant: the text names the day and the shift."""


class HorizonError(CalendarError):
    """An instant, or a deadline, lies outside the compiled years."""
