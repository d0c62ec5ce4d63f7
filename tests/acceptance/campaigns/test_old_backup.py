"""An old backup of the database is restored: it knows lower counters than were spent, and some intervals no more.

After `headend db restored` no counter comes twice, and what was forgotten is read again.
"""

from __future__ import annotations

import psycopg
from campaign import Campaign
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo


def test_after_an_old_backup_counters_go_on_and_what_was_forgotten_is_read_again(campaign: Campaign) -> None:
    meters = campaign.terminal.meters(campaign.scale.pick(12, 300), days=campaign.scale.pick(3, 30))
    campaign.register(meters, segments=campaign.scale.pick(2, 10))
    names = [row["name"] for row in meters.rows]
    campaign.run("collect", "--once", *names[::2])
    with_known = campaign.stored()
    backup = Backup(campaign.dsn)
    campaign.run("collect", "--once")
    assert campaign.complete(meters)
    backup.restore()
    assert campaign.stored() == with_known < meters.expected
    assert "system title" in campaign.run("db", "restored")
    daemon = campaign.node()
    campaign.until(lambda: campaign.complete(meters), "every interval")
    campaign.run("collect", "--once", *names)
    assert daemon.stop() == 0
    campaign.figures |= {"intervals in the backup": with_known}
    campaign.check(meters)


class Backup:
    """A copy of a database, file by file, which can take its place."""

    def __init__(self, dsn: str) -> None:
        self._name = str(conninfo_to_dict(dsn)["dbname"])
        self._server = make_conninfo(dsn, dbname="postgres")
        self._execute("CREATE DATABASE {} TEMPLATE {}", f"{self._name}_backup", self._name)

    def restore(self) -> None:
        self._execute("DROP DATABASE {}", self._name)
        self._execute("ALTER DATABASE {} RENAME TO {}", f"{self._name}_backup", self._name)

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
