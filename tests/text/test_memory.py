"""What memory there is, and what is refused for want of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from geospde.errors import InputError
from geospde.text import memory
from geospde.text.memory import limited_memory, memory_limit, read_size, refuse_beyond_memory

PACKAGE = str(Path(__file__).parents[2])


def test_the_least_of_all_limits_holds(monkeypatch):
    monkeypatch.delenv(memory.LIMIT, raising=False)
    monkeypatch.setattr(memory, "memory_of_machine", lambda: 5_000)
    monkeypatch.setattr(memory, "_of_container", lambda: 4_000)
    monkeypatch.setattr(memory, "_address_space", lambda: None)
    assert memory_limit() == 4_000
    with limited_memory(3_000):
        assert memory_limit() == 3_000
        with pytest.raises(InputError, match="a mesh needs about 9 kB of memory, and there are 3 kB: be modest"):
            refuse_beyond_memory(9_000, "a mesh", "be modest")
    assert memory_limit() == 4_000


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0", "4 parsecs", "1e400", "9" * 5000, "nan"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="such as 4GB"):
        read_size(text)


@pytest.mark.skipif(memory.resource is None, reason="no such limits")
def test_an_address_space_without_room_for_the_libraries_is_a_sentence():
    ended = subprocess.run(
        ["sh", "-c", f"ulimit -v 600000; {sys.executable} -m geospde info"],
        check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": PACKAGE},
    )  # fmt: skip
    assert ended.returncode == 3 and ended.stderr.startswith("geospde: out of memory: the address space is limited")
    assert len(ended.stderr.splitlines()) == 1
