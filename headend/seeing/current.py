"""The settings that hold now: SIGHUP has the file read again.

The one rule: what can change while sessions go on is changed; the rest is named in the log and waits for the next
start. A file that is wrong changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from pydantic import BaseModel

from headend.logs import configure_logs
from headend.push import listener
from headend.seeing import systemd
from headend.settings import Settings
from profiles.errors import SettingsError

AT_START: Final[Mapping[str, Sequence[str]]] = {
    "collection": ("segments_at_once", "reserved_jobs"),
    "push": listener.AT_START,
    "seeing": ("host", "port"),
    **dict.fromkeys(("schedules", "clock", "outages", "upkeep", "acts", "log"), ()),
}
"""The sections that are taken over, each with its settings that are not: what is made with them stands."""

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
        taken = {
            section: _merged(getattr(self.now, section), getattr(new, section), AT_START[section])
            for section in AT_START
        }
        before, self.now = self.now, self.now.model_copy(update=taken)
        changed, waiting = _different(before, self.now), _different(self.now, new)
        configure_logs(new.log.level, new.log.format)
        self.on_change(self.now)
        log.info("settings_reloaded", changed=changed, at_next_start=waiting)
        systemd.ready("running")


def _merged(now: BaseModel, new: BaseModel, kept: Sequence[str]) -> BaseModel:
    """The new settings of a section, but for some that stay."""
    return new.model_copy(update={key: getattr(now, key) for key in kept})


def _different(one: BaseModel, other: BaseModel) -> list[str]:
    """The keys whose values differ, with their sections."""
    found = []
    for key in type(one).model_fields:
        ours, theirs = getattr(one, key), getattr(other, key)
        if isinstance(ours, BaseModel):
            found += [f"{key}.{name}" for name in _different(ours, theirs)]
        elif ours != theirs:
            found.append(key)
    return found
