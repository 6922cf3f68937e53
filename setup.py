"""The packages: what lies below ``surgeon``, and the two top-level folders that are installed inside it."""

import re
from configparser import ConfigParser
from pathlib import Path
from typing import Any

from setuptools import find_packages, setup
from setuptools.command.editable_wheel import editable_wheel


class EditableWheel(editable_wheel):
    """An editable install that type checkers understand.

    They do not run the hook by which Python finds the packages, but read path files that name a folder.
    """

    def _run_build_commands(self, name: str, unpacked: str, *folders: str) -> Any:
        (Path(unpacked) / "__editable__.trt_surgeon.checkout.pth").write_text(f"{Path().resolve()}\n")
        return super()._run_build_commands(name, unpacked, *folders)


def long_description() -> str:
    """Return the README with links that work outside the repository, too."""
    settings = ConfigParser()
    settings.read("setup.cfg", encoding="utf-8")
    repository = settings["metadata"]["url"]
    text = Path("README.md").read_text(encoding="utf-8")
    text = re.sub(r"(!\[[^\]]*\]\()(?![\w+.-]+:|#)", rf"\g<1>{repository}/raw/main/", text)
    return re.sub(r"((?<!!)\[[^\]]*\]\()(?![\w+.-]+:|#)", rf"\g<1>{repository}/blob/main/", text)


setup(
    long_description=long_description(),
    packages=[*find_packages(include=["surgeon", "surgeon.*"]), "surgeon.plugins", "surgeon.recipes"],
    cmdclass={"editable_wheel": EditableWheel},
)
