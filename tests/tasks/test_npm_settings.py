"""npm's settings are read as npm reads them, with no npm there: files, variables, credentials, certificates."""

import base64
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tasks.npm import PUBLIC_REGISTRY, NpmSettings, npm_settings, parse_npmrc
from tasks.sources import SourceError
from tests.tasks.file_servers import no_npm as no_npm


def test_lines_of_npmrc_are_read_as_npm_reads_them() -> None:
    text = """; a comment
# another
registry = https://one.invalid/npm   ; the company's
@scope:registry=${SCOPED}
//one.invalid/:_authToken="${TOKEN}"
cafile = '/certs with blanks.pem'
unset=${NOBODY}-${NOBODY?}
escaped=a\\;b
ca[]="one\\ntwo"
ca[] = three
fund
[section]
registry=https://not-npms.invalid
"""
    read = parse_npmrc(text, {"TOKEN": "hunter2", "SCOPED": "https://two.invalid"})
    assert read == {
        "registry": "https://one.invalid/npm",
        "@scope:registry": "https://two.invalid",
        "//one.invalid/:_authToken": "hunter2",
        "cafile": "/certs with blanks.pem",
        "unset": "${NOBODY}-",
        "escaped": "a;b",
        "ca": "one\ntwo\nthree",
        "fund": "true",
    }


def test_variables_win_over_the_project_that_over_the_user_that_over_the_installation(tmp_path: Path) -> None:
    project, home, shared = tmp_path / "project", tmp_path / "home", tmp_path / "prefix/etc"
    for folder in (project / "deep", home, shared):
        folder.mkdir(parents=True)
    (project / "package.json").write_text("{}")
    environ = {"HOME": str(home), "NPM_CONFIG_PREFIX": str(tmp_path / "prefix"), "PATH": ""}

    def registry(**more: str) -> str:
        return npm_settings({**environ, **more}, project / "deep").registry("words")

    assert registry() == PUBLIC_REGISTRY
    for folder, name in ((shared / "npmrc", "shared"), (home / ".npmrc", "user"), (project / ".npmrc", "project")):
        folder.write_text(f"registry=https://{name}.invalid")
        assert registry() == f"https://{name}.invalid/"
    assert registry(npm_config_registry="https://variable.invalid/x/") == "https://variable.invalid/x/"
    assert registry(NPM_CONFIG_REGISTRY="https://upper.invalid") == "https://upper.invalid/"
    assert registry(npm_config_registry="") == "https://project.invalid/"
    (tmp_path / "other").write_text("registry=https://other.invalid")
    (project / ".npmrc").unlink()
    assert registry(npm_config_userconfig=str(tmp_path / "other")) == "https://other.invalid/"


def test_credentials_hold_below_their_address() -> None:
    password = base64.b64encode(b"pass").decode()
    settings = NpmSettings(
        {
            "//one.invalid/:_authToken": "whole",
            "//one.invalid/team/:_authToken": "team",
            "//two.invalid:8080/npm/:_auth": "dTpw",
            "//three.invalid/:username": "me",
            "//three.invalid/:_password": password,
        }
    )
    expected = {
        "https://one.invalid/words": "Bearer whole",
        "https://one.invalid/team/words": "Bearer team",
        "https://two.invalid:8080/npm/words": "Basic dTpw",
        "https://two.invalid:8080/elsewhere": None,
        "https://two.invalid/npm/words": None,
        "https://three.invalid/words": "Basic " + base64.b64encode(b"me:pass").decode(),
        "https://one.invalid.evil.invalid/words": None,
    }
    assert {address: settings.authorization(address, PUBLIC_REGISTRY) for address in expected} == expected
    served_beside = settings.authorization("https://two.invalid:8080/files/a.tgz", "https://two.invalid:8080/npm/")
    assert served_beside == "Basic dTpw"
    assert settings.authorization("http://two.invalid:8080/files/a.tgz", "https://two.invalid:8080/npm/") is None


def test_certificates_are_those_of_npms_settings(tmp_path: Path) -> None:
    import certifi

    count = Path(certifi.where()).read_text().count("BEGIN CERTIFICATE")
    context = NpmSettings({"cafile": certifi.where()}).verify()
    assert not isinstance(context, bool)
    assert context.cert_store_stats()["x509_ca"] == count
    one = re.findall(r"-----BEGIN.*?-----END CERTIFICATE-----", Path(certifi.where()).read_text(), re.DOTALL)[0]
    inline = NpmSettings(parse_npmrc("ca=" + json.dumps(one), {})).verify()
    assert not isinstance(inline, bool)
    assert inline.cert_store_stats()["x509_ca"] == 1
    assert NpmSettings({"strict-ssl": "false"}).verify() is False
    assert NpmSettings({}).verify() is True
    with pytest.raises(SourceError, match=r"cafile = /none\.pem cannot be used \(No such file"):
        NpmSettings({"cafile": "/none.pem"}).verify()


@pytest.mark.parametrize("ca", ["garbage", "gürbage"])
def test_certificates_that_are_none_are_told_with_the_file_that_names_them(no_npm: Path, ca: str) -> None:
    (no_npm / ".npmrc").write_text(f"ca={ca}")
    with pytest.raises(SourceError, match=rf"npm's setting ca \({no_npm}/.npmrc\) cannot be used \(.+\): correct it"):
        npm_settings().verify()
    bad = no_npm / "bad.pem"
    bad.write_text(ca)
    with pytest.raises(SourceError, match=rf"NODE_EXTRA_CA_CERTS={bad} cannot be used \(.+\): set it to a PEM file"):
        NpmSettings({}).verify(str(bad))
    (no_npm / ".npmrc").write_text(f"cafile={bad}")
    with pytest.raises(SourceError, match=rf"cafile \({no_npm}/.npmrc\) = {bad} cannot be used"):
        npm_settings().verify()


def test_a_file_of_settings_may_begin_with_a_byte_order_mark(no_npm: Path) -> None:
    (no_npm / ".npmrc").write_bytes(b"\xef\xbb\xbfregistry=https://one.invalid")
    assert npm_settings().registry("words") == "https://one.invalid/"


def test_npm_itself_reads_the_same_settings(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed: nothing to compare with")
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / ".npmrc").write_text(
        "registry = ${HOST}/npm ; a comment\n@scope:registry='https://two.invalid/'\nstrict-ssl=false\n"
    )
    environ = {"HOME": str(tmp_path / "home"), "HOST": "https://one.invalid", "PATH": os.environ["PATH"]}
    ours = npm_settings(environ, tmp_path).values
    for key in ("registry", "@scope:registry", "strict-ssl", "cafile"):
        done = subprocess.run([npm, "config", "get", key], cwd=tmp_path, env=environ, capture_output=True, text=True)
        theirs = done.stdout.strip()
        assert ours.get(key, "null") == theirs, key
