"""Files that are whole or not there at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from b24metrics.errors import ConfigError


@contextmanager
def replaced(path: Path, *, private: bool = False) -> Iterator[IO[str]]:
    """A text file that gets its name when it is whole: a failure leaves the old one, or none.

    Args:
        path: its name; the folder must be there.
        private: only its owner may read it; otherwise who may is up to the umask, as for every file.

    Raises:
        ConfigError: it cannot be written there.
    """
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                yield file
                file.flush()
                os.fsync(descriptor)
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}). Name another file.") from None
