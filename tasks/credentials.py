"""What lets in whoever reads it: one list of the names that such parameters have, and addresses told without them.

An address stands in params.yaml, in runs and in messages, so it may hold no credential; what is told of one is its
scheme, host and path.
"""

import logging
import re
import urllib.parse

# Words of names of parameters. An address with one of them is refused, text that has them anywhere is masked.
_WORDS = {"accesskey", "apikey", "authkey", "key", "secretkey", "subscriptionkey"}
_WORDS |= {"accesstoken", "authtoken", "bearer", "cookie", "jwt", "session", "sessiontoken", "token"}
_WORDS |= {"clientsecret", "pass", "passphrase", "passwd", "password", "pwd", "secret"}
_WORDS |= {"auth", "authorization", "credential", "credentials", "sas", "sig", "signature"}
WORDS = frozenset(_WORDS)
_WHOLE_NAMES = frozenset({"code"})  # of a function app; within a longer name it is a country's or a language's
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

FSSPEC = "fsspec's settings (~/.config/fsspec) or the environment variables of its service"


def is_credential(name: str) -> bool:
    """Say whether a parameter of this name, as x-api-key or AWSAccessKeyId, lets in whoever reads its value."""
    return name.lower() in _WHOLE_NAMES or not WORDS.isdisjoint(word.lower() for word in _WORD.findall(name))


def without_credentials(location: str, *, kept_in: str = FSSPEC) -> str:
    """Return an address as it is. Raises ValueError, which does not repeat it, where it lets in whoever reads it.

    `kept_in` says where the credential belongs instead.
    """
    for part in location.split("::"):  # fsspec chains addresses
        address = urllib.parse.urlsplit(part)
        if "@" in address.netloc:
            raise ValueError(f"no user or password here, it would be recorded: they belong in {kept_in}")
        for name, _ in urllib.parse.parse_qsl(address.query, keep_blank_values=True):
            if is_credential(name):
                raise ValueError(
                    f"no '{name}=' here, it would be recorded: give an address without it, and the credential in "
                    f"{kept_in}"
                )
    return location


def without_queries(text: str) -> str:
    """Return a text with each address in it cut to scheme, host and path."""
    text = re.sub(r"(\w://)[^/\s'\"]*@", r"\1", text)  # up to the last @: a password may hold one
    return re.sub(r"(\w://[^\s'\"?#]*)[?#][^\s'\"]*", r"\1", text)


class _Cut(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(without_queries(str(arg)) if "://" in str(arg) else arg for arg in record.args)
        return True


_CUT = _Cut()


def cut_logged_addresses() -> None:
    """See that the HTTP library, which logs the address of each request, does so without its query."""
    logging.getLogger("httpx2").addFilter(_CUT)
