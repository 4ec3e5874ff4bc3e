"""The door of the dashboard wing: `b24grafana build | check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from b24grafana.build import GENERATED, stale, write

app = typer.Typer(help="Dashboards and alert rules as code.", no_args_is_help=True, add_completion=False)
Folder = Annotated[Path, typer.Option(help="Where the generated files stand.")]


@app.command()
def build(folder: Folder = GENERATED) -> None:
    """Write the dashboards and rules that the declarations make."""
    touched = write(folder)
    for path in touched:
        typer.echo(path)
    typer.echo(f"{len(touched)} files changed in {folder}." if touched else f"Everything in {folder} is fresh.")


@app.command()
def check(folder: Folder = GENERATED) -> None:
    """Build again in memory and compare with the files; fails where they differ."""
    old = stale(folder)
    if old:
        names = ", ".join(str(path.relative_to(folder)) for path in old)
        typer.echo(f"Not fresh: {names}. Run `b24grafana build` and commit the result.", err=True)
        raise typer.Exit(1)
    typer.echo("All generated files are fresh.")


def main() -> None:
    """Entry point."""
    app()
