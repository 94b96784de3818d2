"""Servers on loopback that tests fetch files from: a package index, an npm registry. They note what they are asked."""

import base64
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest

Served = TypeVar("Served", bound="FileServer")


class FileServer(ThreadingHTTPServer):
    """A server on a free port; `asked` has the path and the authorization of each request."""

    def __init__(self, handler: Any) -> None:
        self.asked: list[tuple[str, str | None]] = []
        super().__init__(("127.0.0.1", 0), handler)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"


@contextmanager
def serving(server: Served) -> Iterator[Served]:
    """Let a server answer until the block ends."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Noted(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("authorization")))
        super().do_GET()  # type: ignore[misc]

    def log_message(self, *args: object) -> None:
        pass


class _Files(_Noted, SimpleHTTPRequestHandler):
    pass


class Index(FileServer):
    """A package index: the files of a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(partial(_Files, directory=str(folder)))

    def downloads(self) -> list[str]:
        return [path for path, _ in self.asked if path.startswith("/files/")]


class _Answers(BaseHTTPRequestHandler):
    server: "Registry"

    def do_GET(self) -> None:
        registry = self.server
        document = registry.documents.get(self.path)
        body = registry.archives.get(self.path) if document is None else json.dumps(document).encode()
        if registry.token and self.headers.get("authorization") != f"Bearer {registry.token}":
            status, body = 401, b""
        elif self.path in registry.moved:
            status, body = 302, b""
        else:
            status = 404 if body is None else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", registry.moved[self.path])
        self.end_headers()
        self.wfile.write(body or b"")


class _RegistryFiles(_Noted, _Answers):
    server: "Registry"


class Registry(FileServer):
    """An npm registry: packages by name, archives by path, both maybe `moved` elsewhere."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.archives: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}
        self.token: str | None = None
        super().__init__(_RegistryFiles)

    def publish(self, name: str, archive: bytes, tarball: str = "", **dist: str) -> None:
        path = f"/{name}/-/{name.rpartition('/')[2]}-1.0.0.tgz"
        self.archives[path] = archive
        digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
        dist = dist or {"integrity": f"sha512-{digest}", "shasum": hashlib.sha1(archive).hexdigest()}
        versions = {"1.0.0": {"dist": {"tarball": tarball or f"{self.url}{path}", **dist}}}
        self.documents["/" + name.replace("/", "%2f")] = {"name": name, "versions": versions}


@pytest.fixture
def no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has no npm and none of its settings; return its home, which is the working directory."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    for name in os.environ:
        if name.lower().startswith("npm_config_") or name.lower() in ("node_extra_ca_certs", "prefix", "no_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("npm_config_globalconfig", str(tmp_path / "no-npmrc"))
    return home
