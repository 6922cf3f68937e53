"""Show the settings that hold here, and where each comes from: an option, the environment, the project's
file, your own file, or the default. The first of these that says something counts; folders of all of them
are searched.

The project's file is surgeon.toml, or the table [tool.surgeon] of pyproject.toml, in the working folder or
the nearest folder above it. It sets target, recipe-path and display only. Your own file is
~/.config/surgeon/config.toml; it may also set plugin-path and plugin-library, which name code.

    surgeon config
    surgeon config --target onnx@tensorrt-10
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from surgeon.cli import console
from surgeon.cli.options import add_paths, add_plugin_libraries, add_target
from surgeon.cli.settings import CODE, COLORS, Settings, Value, user_file
from surgeon.display import short_file

NAME = "config"
SUMMARY = "Show the current settings, and where each comes from."
TASK = "look"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    add_paths(parser)
    add_plugin_libraries(parser)


def run(args: argparse.Namespace) -> int:
    settings: Settings = args.settings
    values = _values(args, settings)
    if args.json:
        console.show_json(
            {
                "settings": [
                    {
                        "key": value.key,
                        "value": value.value if isinstance(value.value, bool | None) else str(value.value),
                        "source": value.source,
                        "place": None if value.place is None else str(value.place),
                    }
                    for value in values
                ],
                "files": [str(path) for path in settings.files],
                "own_file": str(user_file() or ""),
                "diagnostics": [warning.to_json() for warning in settings.warnings],
            }
        )
    else:
        console.table(
            [(value.key, _shown(value.value), value.source, _place(value)) for value in values], indent=""
        )
        console.say(f"your own file: {user_file() or 'none, as there is no home folder'}")
    return 1 if any(each.code != "E134" for each in settings.warnings) else 0


def _values(args: argparse.Namespace, settings: Settings) -> list[Value]:
    """Return every setting, the ones that count first; folders in the order in which they are looked into."""
    from surgeon.request import DEFAULT_TARGET

    target = settings.first("target")
    values = [
        Value("target", args.target, "option")
        if args.target
        else target or Value("target", f"{DEFAULT_TARGET}, or by the output's suffix", "default")
    ]
    for key in ("recipe-path", *CODE):
        name = key.replace("-path", "_paths").replace("-library", "_libraries")
        configured = settings.paths(key)
        given = getattr(args, name)
        options = [Value(key, path, "option") for path in given[: len(given) - _added(given, configured)]]
        values += [*options, *configured] or [Value(key, None, "default")]
    return [*values, _color(settings), _progress(settings)]


def _added(given: list[Any], configured: list[Value]) -> int:
    """Return how many of the paths came from files."""
    return sum(any(value.value is path for value in configured) for path in given)


def _color(settings: Settings) -> Value:
    if os.environ.get("NO_COLOR"):
        return Value("display.color", "never", "the environment: NO_COLOR")
    return settings.first("display.color") or Value("display.color", COLORS[0], "default")


def _progress(settings: Settings) -> Value:
    return settings.first("display.progress") or Value("display.progress", True, "default")


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _place(value: Value) -> str:
    return "" if value.place is None else f"{short_file(value.place.file)}:{value.place.line}"
