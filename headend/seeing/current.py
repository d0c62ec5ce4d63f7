"""The settings that hold now: SIGHUP has the file read again.

The one rule: what can change while sessions go on is changed (schedules, limits of collection, log level); the rest is
named in the log and waits for the next start. A file that is wrong changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from headend.logs import configure_logs
from headend.seeing import systemd
from headend.settings import Settings
from profiles.errors import SettingsError

_AT_START: Final = ("segments_at_once", "reserved_jobs")
"""Of `collection`: how the workers are made."""

log = structlog.get_logger(__name__)


class CurrentSettings:
    """`now` holds; `load` reads them again; `on_change` is called with those that hold from then on."""

    def __init__(self, settings: Settings, load: Callable[[], Settings]) -> None:
        self.now = settings
        self.on_change: Callable[[Settings], None] = lambda settings: None
        self._load = load

    def reload(self) -> None:
        """Read them again and take over what can be; never raises for what is wrong with them."""
        systemd.reloading()
        try:
            new = self._load()
        except SettingsError as error:
            log.error("settings_kept", reason=str(error))
            systemd.ready("running; the settings were not reloaded: the file is wrong")
            return
        collection = new.collection.model_copy(update={key: getattr(self.now.collection, key) for key in _AT_START})
        taken = {"schedules": new.schedules, "collection": collection, "log": new.log}
        changed = [key for key, value in taken.items() if getattr(self.now, key) != value]
        self.now = self.now.model_copy(update=taken)
        waiting = [key for key in Settings.model_fields if getattr(new, key) != getattr(self.now, key)]
        configure_logs(new.log.level, new.log.format)
        self.on_change(self.now)
        log.info("settings_reloaded", changed=changed, at_next_start=waiting)
        systemd.ready("running")
