"""A heavy library that is missing is named, with the line that installs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.installation import install_command
from surgeon.optional import require


def test_a_missing_library_is_e108() -> None:
    with pytest.raises(SurgeonError) as caught:
        require("no_such_library.part", "reading a picture")
    assert caught.value.diagnostics[0].code == "E108"
    assert install_command("dev") in str(caught.value)


def test_a_library_that_is_there_is_returned() -> None:
    assert require("json", "reading").loads("1") == 1


@pytest.mark.slow
def test_tensorflow_is_loaded_without_keras_which_stays_at_hand() -> None:
    pytest.importorskip("tensorflow", reason="it is what is loaded")
    code = (
        "import sys; from surgeon.optional import require; tf = require('tensorflow', 'running a graph'); "
        "print('keras.src' in sys.modules, tf.keras.layers.Dense.__name__, 'keras.src' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "Dense", "True"], done.stderr
