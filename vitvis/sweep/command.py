"""The command line of a trial, word for word what a W&B agent would start.

Same rules as `wandb agent` (wandb.sdk.launch.sweeps.utils and wandb_agent of wandb 0.31): every value goes through
`str()`, a word that is a macro as a whole becomes its arguments, `${envvar:NAME}` is replaced within a word, and
every other word stays. So `out=${oc.env:WANDB_RUN_ID}` reaches the program as it stands.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitvis.errors import VitvisError, nearest
from vitvis.runs.files import atomic_write
from vitvis.sweep.parameters import Parameter

__all__ = ["MACROS", "assemble", "check_macro", "expand", "macro_arguments"]

#: The macros that stand for the values of a trial.
MACROS = (
    "args",
    "args_no_hyphens",
    "args_no_equals",
    "args_no_boolean_flags",
    "args_append_hydra",
    "args_override_hydra",
    "args_json",
    "args_json_file",
)
_ENVIRONMENT = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")


def check_macro(word: str, where: str) -> None:
    """Check a word of a command: W&B leaves out a macro that it does not know, and every trial has the defaults.

    Raises:
        VitvisError: it is no macro, or a macro in the middle of a word, where none is replaced.
    """
    known = (*MACROS, "interpreter", "program", "env")
    for name in re.findall(r"\$\{([A-Za-z_]*)\}", word):
        if name not in known:
            raise VitvisError(f"{where}: command: no macro '${{{name}}}'{nearest(name, known)}")
        if word != f"${{{name}}}":
            raise VitvisError(f"{where}: command: '{word}': the macro ${{{name}}} has to be a word of its own")
    if re.search(r"\$\{[^}]*$", word):
        raise VitvisError(f"{where}: command: '{word}': a macro is not closed with }}")


def assemble(values: Mapping[str, Any], parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Return the values of a trial by the name that W&B gives them: nested parameters as one mapping.

    Args:
        values: Value of each parameter by its dotted name.
        parameters: In the order of the file.
    """
    result: dict[str, Any] = {}
    for parameter in parameters:
        place = result
        for name in parameter.path[:-1]:
            place = place.setdefault(name, {})
        place[parameter.path[-1]] = values[parameter.name]
    return result


def macro_arguments(arguments: Mapping[str, Any], macro: str) -> list[str]:
    """Return what one of `MACROS` but `args_json_file` stands for.

    Args:
        arguments: Value by name, as `assemble` returns them.
        macro: Its name, without `${}`.
    """
    if macro == "args_json":
        return [json.dumps(dict(arguments))]
    if macro == "args_no_equals":
        return [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    if macro == "args_no_boolean_flags":
        return [
            f"--{name}" if value is True else f"--{name}={value}"
            for name, value in arguments.items()
            if value is not False
        ]
    prefix = {"args": "--", "args_no_hyphens": "", "args_append_hydra": "+", "args_override_hydra": "++"}[macro]
    return [f"{prefix}{name}={value}" for name, value in arguments.items()]


def expand(
    command: Sequence[str],
    arguments: Mapping[str, Any],
    *,
    program: str = "",
    json_file: Path | None = None,
    interpreter: str | None = None,
) -> list[str]:
    """Return the words of a trial's command.

    Args:
        command: Words with macros.
        arguments: Value by name, as `assemble` returns them.
        program: What `${program}` stands for.
        json_file: Where `${args_json_file}` is written, when the command holds it.
        interpreter: What `${interpreter}` stands for; this Python when None (W&B takes `python`).
    """
    words: list[str] = []
    for word in command:
        word = _ENVIRONMENT.sub(lambda match: os.environ.get(match.group(1), match.group(1)), word)
        macro = word[2:-1] if word.startswith("${") and word.endswith("}") else None
        if macro is None:
            words.append(word)
        elif macro == "args_json_file":
            if json_file is None:
                raise ValueError("the command holds ${args_json_file}, so it needs json_file")
            atomic_write(json_file, json.dumps(dict(arguments)).encode())
            words.append(str(json_file))
        elif macro in MACROS:
            words += macro_arguments(arguments, macro)
        elif macro == "interpreter":
            words.append(interpreter or sys.executable)
        elif macro == "program":
            words.append(program)
        elif macro == "env" and os.name != "nt":
            words.append("/usr/bin/env")
    return words
