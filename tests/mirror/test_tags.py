"""Of the comment of a call only its tags are kept."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from b24metrics.crm.activities import phone_calls
from b24metrics.mirror.feeds import tags_of


@pytest.mark.parametrize(
    ("comment", "kept"),
    [
        ("#Yes, he will pay tomorrow #later", " #yes #later "),
        ("call 8 912 345-67-89", None),
        ("#да#нет", " #да "),
        ("#yes #YES", " #yes "),
        ("issue#5, # alone", None),
        ("", None),
        (None, None),
    ],
)
def test_tags_of_a_comment(comment: str | None, kept: str | None) -> None:
    """Words that begin with #, lower case, each once; not a word of the rest."""
    call = phone_calls().decode({"ID": "1", "COMMENT": comment})

    assert kept == tags_of(call, datetime(2025, 3, 14, tzinfo=UTC))
