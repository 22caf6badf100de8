"""A run reaches no network."""

import socket

import pytest
from small_run import quietly_in, write_survey

import geospde as gs


def test_a_run_opens_no_socket(tmp_path, monkeypatch):
    def refuse(*arguments, **named):
        pytest.fail(f"a connection was opened: {arguments}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with quietly_in(tmp_path):
        result = gs.run(write_survey(tmp_path))
    assert (tmp_path / result.folder / "report.html").is_file()
