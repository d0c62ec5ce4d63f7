"""`headend db restored`: a database that came from a backup has forgotten counters; it spends others from here on."""

from __future__ import annotations

import typer

from headend.cli.options import Config, Dsn, settings_of


def restored(config: Config = None, dsn: Dsn = None) -> None:
    """Say that the database was restored from a backup, before a daemon is started on it.

    Invocation counters that were spent since the backup must not be spent again under the same key and system title.
    So the head-end gets another system title, and each meter is asked for its counter before the next session. What
    was stored since the backup is owed again, and read as far as the meters still hold it.

    Example: `headend db restored --dsn postgresql://headend@127.0.0.1/headend`
    """
    import asyncio

    from headend.store.counters import renew_title
    from headend.store.database import connect
    from headend.store.where import database

    async def renew(place: str) -> bytes:
        async with await connect(place) as connection:
            await connection.execute("ANALYZE")  # a backup brings no statistics
            return await renew_title(connection)

    with database(settings_of(config, dsn), make=False) as place:
        title = asyncio.run(renew(place))
    typer.echo(f"the head-end's system title is {title.hex().upper()} now; meters are asked for their counters")
