"""A heavy library that is missing is named, with the line that installs it."""

from __future__ import annotations

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
