"""Where the database is: at the DSN of the settings, or the embedded one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from headend.settings import Settings
from headend.store.embedded import EmbeddedPostgres
from profiles.errors import SettingsError


@contextlib.contextmanager
def database(settings: Settings, *, make: bool = True) -> Iterator[str]:
    """The DSN of the settings, or of the embedded PostgreSQL, running for as long as this lasts.

    Who only looks makes no cluster (`make`): SettingsError where there is none. Raises StoreError.
    """
    if settings.database.dsn:
        yield settings.database.dsn
        return
    server = EmbeddedPostgres(settings.database.folder)
    if not make and not server.exists():
        raise SettingsError(
            f"no database is named, and there is no embedded one in {settings.database.folder}",
            remedy="set database.dsn by --config, HEADEND_DATABASE__DSN or --dsn",
        )
    with server as dsn:
        yield dsn
