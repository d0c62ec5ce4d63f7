"""Options that stand once, in a dataclass, and that many commands have.

The one rule: a dataclass says what the options are, `with_options` puts them on a command, and nothing else does.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

P = ParamSpec("P")
Options = TypeVar("Options", bound="DataclassInstance")


def with_options(kind: type[Options], command: Callable[Concatenate[Options, P], None]) -> Callable[..., None]:
    """The command with the first field of `kind` before its own arguments and the others behind its own options.

    The fields are annotated as typer takes them; the command is given them as one `kind`, before its own.
    """
    hints = get_type_hints(kind, include_extras=True)
    shared = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
            annotation=hints[one.name],
        )
        for one in fields(kind)
    ]
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        options = kind(**{one.name: given.pop(one.name) for one in fields(kind)})
        command(options, **given)  # type: ignore[call-arg]

    run.__signature__ = inspect.Signature([shared[0], *own, *shared[1:]])  # type: ignore[attr-defined]
    run.__annotations__ = {}
    return run
