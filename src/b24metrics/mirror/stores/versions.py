"""Which migrations a mirror still needs, or why it is refused: the same rules for every database.

Laws: forward only; a migration is one transaction together with its number; what is newer, or another program's, is left
as it is; looking changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from b24metrics.errors import MirrorError, NewerMirror, UnreadableMirror
from b24metrics.mirror import schema

#: One row for every migration that was carried out. Its presence says that a database is a mirror.
VERSION_TABLE = "b24metrics_schema"


def pending(
    where: str, found: int | None, tables: Collection[str], *, read_only: bool
) -> Sequence[tuple[int, Iterable[str]]]:
    """Migrations to carry out, in order: (number, statements).

    Args:
        where: the mirror, as messages name it.
        found: the last number that was carried out; None where there is no ``VERSION_TABLE``.
        tables: every table that is there.
        read_only: nothing may be changed.

    Raises:
        UnreadableMirror: a database of another program. NewerMirror: made by a newer version.
        MirrorError: it is older, and may only be looked at.
    """
    known = len(schema.MIGRATIONS)
    if found is None and tables:
        raise UnreadableMirror(
            f"{where} is a database of another program (it has the table {min(tables)}). "
            "It was left as it is: name another place for the mirror."
        )
    found = found or 0
    if found > known:
        raise NewerMirror(
            f"{where} was written by a newer b24metrics (its tables have version {found}, this one knows {known}). "
            "Upgrade b24metrics, or name another place for the mirror.",
            found=found,
            known=known,
        )
    if read_only and found < known:
        raise MirrorError(
            f"{where} was written by an older b24metrics (its tables have version {found}, now {known}). "
            "Run b24metrics sync once: it brings the mirror up to date."
        )
    return list(enumerate(schema.MIGRATIONS, start=1))[found:]
