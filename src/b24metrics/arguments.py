"""Options that several commands share, so that they are called and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="B24_CONFIG", help="Settings file (TOML). Everything works without one."),
]
WebhookAddress = Annotated[
    str | None,
    typer.Option(
        "--webhook",
        help="Address of an inbound webhook. Better: the environment variable B24_WEBHOOK.",
        show_default=False,
    ),
]
MirrorFile = Annotated[
    str | None,
    typer.Option(
        "--mirror",
        "-m",
        help="The local copy: a file, or postgresql://… (better in B24_MIRROR__PATH). Default: b24metrics.duckdb",
        show_default=False,
    ),
]
CaFile = Annotated[
    Path | None, typer.Option("--ca", help="Certificates to trust instead of the usual ones (own portal).")
]
