"""`headend vault …`: the key-encryption key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The vault: the key under which meters' keys are stored.")


@app.callback()
def _group() -> None:
    """The vault: the key under which meters' keys are stored."""


@app.command()
def init(file: Annotated[Path, typer.Argument(help="Where to write it; there must be no such file yet.")]) -> None:
    """Draw a key-encryption key and write it to a new file that only you can read.

    Keep a copy apart from the database: without it, no stored key can be read again.

    Example: `headend vault init /etc/headend/kek`
    """
    from headend.vault import create_kek

    kek = create_kek(file)
    typer.echo(
        f"key-encryption key {kek.id} is in {file}: name that file as vault.kek_file in the settings, "
        "or in HEADEND_VAULT__KEK_FILE, and keep a copy elsewhere"
    )
