"""Print the requirements of setup.cfg, those of the extras that are named too, each at its lowest version.

A requirement without a version is printed as it stands: pip then takes the newest that goes with the others.
"""

from __future__ import annotations

import configparser
import sys
from pathlib import Path

parser = configparser.ConfigParser()
parser.read(Path(__file__).resolve().parents[1] / "setup.cfg", encoding="utf-8")
texts = [
    parser["options"]["install_requires"],
    *(parser["options.extras_require"][name] for name in sys.argv[1:]),
]
for line in dict.fromkeys(line for text in texts for line in text.split("\n") if line):
    print(line.replace(">=", "=="))
