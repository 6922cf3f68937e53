"""Programs of one file, made of this package's own functions: for a device, a client and Triton."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import cache
from string import Template

from surgeon.engine.known_messages import known_messages
from surgeon.packaging.closure import Closure
from surgeon.packaging.detector import stand_ins
from surgeon.packaging.source import read_module
from surgeon.runners.image import SUFFIXES
from surgeon.version import __version__

NAME = stand_ins.PROGRAM
CLIENT = "client.py"

_ROOTS = (
    ("surgeon.packaging.detector.main", "main"),
    ("surgeon.engine.child.server", "main"),
    ("surgeon.engine.child.creators", "main"),
)
"""What the program calls by name: its commands, and what runs in TensorRT's process."""

_LIBRARIES = {
    "pydantic": "surgeon.packaging.detector.models",
    "dataclasses": "surgeon.packaging.detector.dataclasses36",
    "contextvars": "surgeon.packaging.detector.contextvars36",
}
"""Modules that stand in the place of libraries; the last two where Python itself has none."""

_CARRIER = Template('''\
import importlib.abc
import importlib.util
import sys

SOURCES = {
$sources}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules in SOURCES; what Python has itself is taken from there."""

    def find_spec(self, fullname, path, target=None):
        is_package = any(name.startswith(fullname + ".") for name in SOURCES)
        if not is_package and fullname not in SOURCES:
            return None
        if fullname in ("dataclasses", "contextvars") and sys.version_info >= (3, 7):
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=is_package)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        source = SOURCES.get(module.__name__, "")
        exec(compile(source, "$name: " + module.__name__, "exec", dont_inherit=True), module.__dict__)

    def get_source(self, fullname):
        return SOURCES.get(fullname, "")
''')
"""Carries the sources of modules, and lets Python import them."""

_COMMANDS = Template("""

if __name__ == "__main__":
    if sys.version_info < (3, 6):
        sys.exit("error[E108]: this is Python %d.%d; expected 3.6 or later" % sys.version_info[:2])
    if importlib.util.find_spec("numpy") is None:
        sys.exit("error[E108]: this Python has no NumPy; install it (apt install python3-numpy)")
    sys.meta_path.insert(0, Finder())
    sys.exit(importlib.import_module("$module").main())
""")
"""Runs the commands of a module."""

_DETECTOR = Template('''\
#!/usr/bin/env python3
"""Build, run, measure and verify the engine of the model in this folder, with the TensorRT of this device.

    python3 $name build
    python3 $name run PICTURE... -o found
    python3 $name bench
    python3 $name verify
    python3 $name doctor

It needs Python 3.6 or later, NumPy and TensorRT's Python module; pictures need Pillow or OpenCV, arrays
(.npy) neither. surgeon $version wrote it: SOURCES holds the functions of that package that the commands
need. Copyright The surgeon authors; under the Apache License 2.0.
"""

''')

_CLIENT = Template('''\
#!/usr/bin/env python3
"""Detect objects in pictures with the model of this folder, which Triton Inference Server serves.

    python3 $name PICTURE...
    python3 $name --url http://server:8000 --on-server PICTURE... -o found

It needs Python 3.6 or later and NumPy; pictures need Pillow or OpenCV, arrays (.npy) neither. surgeon
$version wrote it: SOURCES holds the functions of that package that it needs; surgeon.packaging.client.kserve
is how Triton is asked. Copyright The surgeon authors; under the Apache License 2.0.
"""

''')

_PREPARATION = Template('''\
"""Prepare pictures for the network: a model of Triton's Python backend.

It needs Python 3.6 or later and NumPy. surgeon $version wrote it: SOURCES holds the functions of that package
that it needs; surgeon.packaging.triton.preparation is what Triton calls, and config.pbtxt says how pictures
are prepared. Copyright The surgeon authors; under the Apache License 2.0.
"""

''')

_MODEL = """

sys.meta_path.insert(0, Finder())
TritonPythonModel = importlib.import_module("surgeon.packaging.triton.preparation").TritonPythonModel
"""


@cache
def detector_program() -> str:
    """Return the text of the program of a device."""
    heading = _DETECTOR.substitute(name=NAME, version=__version__)
    return heading + _carrier(NAME, _ROOTS) + _COMMANDS.substitute(module=_ROOTS[0][0])


@cache
def client_program() -> str:
    """Return the text of the client of a served model."""
    module = "surgeon.packaging.client.main"
    heading = _CLIENT.substitute(name=CLIENT, version=__version__)
    return heading + _carrier(CLIENT, ((module, "main"),)) + _COMMANDS.substitute(module=module)


@cache
def preparation_program() -> str:
    """Return the text of Triton's model that prepares pictures."""
    root = ("surgeon.packaging.triton.preparation", "TritonPythonModel")
    return _PREPARATION.substitute(version=__version__) + _carrier("model.py", (root,)) + _MODEL


def _carrier(name: str, roots: Sequence[tuple[str, str]]) -> str:
    closure = Closure(_replaced())
    for module, root in roots:
        closure.add(module, root)
    texts = closure.texts()
    for library, module in _LIBRARIES.items():
        texts[library] = read_module(module).text
    texts["pydantic_core"] = "from pydantic import ValidationError, from_json\n"
    sources = "".join(f'    "{name}": {_quoted(text)},\n' for name, text in sorted(texts.items()))
    return _CARRIER.substitute(name=name, sources=sources)


def _quoted(text: str) -> str:
    """Return the literal of a text, as it is where that can be."""
    plain = f"r'''{text}'''"
    try:
        same = ast.literal_eval(plain) == text
    except (SyntaxError, ValueError):
        same = False
    return plain if same else repr(text)


def _replaced() -> dict[tuple[str, str], str]:
    """Return the definitions that others take the place of."""
    own = read_module(stand_ins.__name__)
    found = {
        (module, name): ast.get_source_segment(own.text, own.definitions[name]) or ""
        for name, module in stand_ins.IN_PLACE_OF.items()
    }
    found["surgeon.runners.image", "SUFFIXES"] = f"SUFFIXES = {(*SUFFIXES, '.npy')!r}\n"
    found["surgeon.engine.known_messages", "known_messages"] = _messages()
    return found


def _messages() -> str:
    """Return a function that gives the known messages, which stand here in a file of YAML."""
    rows = "".join(
        f"        {(m.name, m.contains, m.pattern.pattern, m.kind, m.means, m.do, m.see)!r},\n"
        for m in known_messages()
    )
    return (
        f"def known_messages():\n    rows = (\n{rows}    )\n"
        "    return tuple(\n"
        "        KnownMessage(\n"
        '            name, contains, re.compile(pattern), kind, means, do, "", see, (), (), (), ()\n'
        "        )\n"
        "        for name, contains, pattern, kind, means, do, see in rows\n    )\n"
    )
