"""What a company may decide about its copy; the configuration fills it, tests hand it in.

Laws: frozen; the defaults copy everything that KPIs need, and of people no more than that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from b24metrics.errors import ConfigError

#: A telephone number as it is typed into a comment. Source: catalogue §11, ``dq_phone_in_comment``.
PHONE_PATTERN = r"(\+7|8)[\s\-(]*\d{3}[\s\-)]*\d{3}[\s\-]*\d{2}[\s\-]*\d{2}"

KINDS_WITH_FIELDS = ("deal", "lead", "contact", "company", "invoice")
"""Kinds of objects whose user fields can be copied."""


@dataclass(frozen=True, slots=True)
class MirrorOptions:
    """Decisions about one copy.

    Attributes:
        user_fields: kind of object (``KINDS_WITH_FIELDS``) → user fields to keep, by their UPPER_CASE names.
        skip: names of feeds that are not copied.
        personal: whether names of contacts, keys of phones and addresses, and whether a comment holds a phone are kept.
        phone_pattern: what a phone in a comment looks like; empty: comments are not even asked for.
        schedules: ids of work schedules, which no method lists.
        directories_every: least time between two readings of users, stages, pipelines …
    """

    user_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    skip: frozenset[str] = frozenset()
    personal: bool = True
    phone_pattern: str = PHONE_PATTERN
    schedules: tuple[int, ...] = ()
    directories_every: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        try:
            re.compile(self.phone_pattern)
        except re.error as error:
            raise ConfigError(f"mirror.phone_pattern is not a regular expression: {error}.") from None
        if unknown := sorted(set(self.user_fields) - set(KINDS_WITH_FIELDS)):
            raise ConfigError(
                f"mirror.user_fields: there are none of {', '.join(unknown)}; kinds: {', '.join(KINDS_WITH_FIELDS)}."
            )

    def fields_of(self, kind: str) -> tuple[str, ...]:
        """User fields to keep of a kind of object."""
        return tuple(self.user_fields.get(kind, ()))


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """When and how the portal's ids are compared with the mirror's.

    Attributes:
        newest_every, newest_rows: how often the newest records of each feed are compared, and how many; 0: never.
        whole_every: how often everything is, preferably in the hours ``night`` (half-open) of the portal's zone.
        cell_rows: records that are counted at once. counts: counts that one step asks for while people work.
        believed_rows, believed_share: when more than both of what was compared is gone, it is not believed at once.
        confirmed_after: least time until a second look may confirm it.
    """

    newest_every: timedelta = timedelta(hours=1)
    newest_rows: int = 2000
    whole_every: timedelta = timedelta(hours=24)
    night: tuple[int, int] = (1, 5)
    cell_rows: int = 25_000
    counts: int = 20
    believed_rows: int = 50
    believed_share: float = 0.02
    confirmed_after: timedelta = timedelta(hours=12)
