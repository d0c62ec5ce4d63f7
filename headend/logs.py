"""Logs: one event, one line; for people on a terminal, as JSON elsewhere."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog

LIBRARIES = ("procrastinate", "psycopg")
"""Whose own logs become ours: they keep trying while the database is away, and say so with a traceback each time."""


def configure_logs(level: str = "info", form: Literal["auto", "console", "json"] = "auto") -> None:
    """Send logs to stderr from `level` on; `auto` is console on a terminal, else JSON."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    for library in LIBRARIES:
        logging.getLogger(library).handlers = [_FromLibrary(logging.WARNING)]


class _FromLibrary(logging.Handler):
    """One line for each warning of a library; with a traceback only where the database is not the cause."""

    def emit(self, record: logging.LogRecord) -> None:
        import psycopg

        error = cause = record.exc_info[1] if record.exc_info else None
        while cause is not None and cause.__cause__ is not None:
            cause = cause.__cause__
        known = cause is None or isinstance(cause, psycopg.Error)
        structlog.get_logger(record.name).log(
            record.levelno,
            "library_warns",
            library=record.name,
            reason=_line(record.getMessage()),
            cause=None if cause is None else _line(str(cause)),
            exc_info=None if known else error,
        )


def _line(text: str) -> str:
    return " ".join(text.split())
