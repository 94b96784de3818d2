"""Falsifications of real claims whose worth is known, made by rules and word lists that the checks do not use.

Good ones swap a word for one that excludes it, after a list by hand. Bad ones are bad in one way each.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from spacy.language import Language

from tasks.text.falsification import Sources
from tasks.text.salience import ranked
from tasks.text.slots import Corpus, Parsed, parse
from tasks.text.validators import Known, Limits, Pair, Verdict, validate

# one thing is not both: no two professions, since many people have two
EXCLUDING = """
    northern/southern eastern/western largest/smallest longest/shortest large/small public/private male/female
    internal/external novel/poem river/lake bird/mammal mammal/reptile planet/star king/queen father/mother gold/silver
    iron/copper city/province country/city island/peninsula film/novel wide/narrow long/short highest/lowest upper/lower
    cat/dog red/green black/white bird/reptile vertical/horizontal natural/artificial extinct/extant moon/planet
"""
SYNONYMS = """
    writer/author film/movie physician/doctor country/nation large/big lawyer/attorney car/automobile ocean/sea
    infant/baby illness/disease forest/woods gas/petrol small/little major/big region/area town/township method/way
    goal/aim important/significant king/monarch instrument/tool house/dwelling road/route sickness/illness
    species/species disorder/disease religion/faith organism/being study/survey branch/arm ruler/sovereign
"""
KINDS = """
    painter/artist poet/writer dog/animal bird/animal physicist/scientist novel/book river/stream sculptor/artist
    chemist/scientist mammal/animal actor/performer city/municipality king/ruler composer/musician tree/plant
    metal/element mathematician/scientist singer/musician planet/body philosopher/scholar fruit/food
    novelist/writer playwright/writer island/land violin/instrument biologist/scientist economist/scientist
    reptile/animal fish/animal country/region disease/condition language/communication film/show gas/fluid
"""
ODD = "umbrella quagmire photon spreadsheet armpit pedigree doorknob gerund haiku molasses tuxedo quiche".split()  # noqa: SIM905
NOUNS = frozenset(
    re.findall(
        r"\w+",
        "novel poem river lake bird mammal reptile planet star king queen father mother city province country island "
        "peninsula film cat dog moon " + KINDS + SYNONYMS,
    )
) - {"big", "large", "small", "little", "major", "important", "significant"}
VERB = r"\b(?:is|are|was|were|became)\b"
AFTER = "of|in|on|at|to|by|for|from|with|and|or|who|that|which|near|after|since|between|located|known"
MEANT = {
    **{"synonym": ("real_change", "contradiction"), "kind": ("real_change", "contradiction")},
    **{"negation": ("no_negation",), "two_words": ("one_change", "contradiction"), "two_claims": ("one_claim",)},
    **{"name": ("forbidden_spans",), "number": ("forbidden_spans",), "true_elsewhere": ("not_true_elsewhere",)},
    **{
        "low_salience": ("salience",),
        "functional": ("functional",),
        "implausible": ("frequency", "same_type", "same_company"),
    },
}


def parsed_claims(rows: Sequence[Mapping[str, Any]], nlp: Language) -> dict[str, list[tuple[str, Parsed]]]:
    """Return the claims of each passage with their ids, parsed; rows are of claims.parquet, in any order."""
    ordered = sorted(rows, key=lambda row: (row["passage_id"], row["number"]))
    by_passage: dict[str, list[tuple[str, Parsed]]] = defaultdict(list)
    for row, parsed in zip(ordered, parse((row["claim"] for row in ordered), nlp), strict=True):
        by_passage[row["passage_id"]].append((row["claim_id"], parsed))
    return by_passage


@dataclass(frozen=True)
class Claimed:
    """A passage as the table of passages has it, the text of its page, and its claims."""

    passage_id: str
    text: str
    page_text: str
    title: str
    claims: tuple[Parsed, ...]


@dataclass(frozen=True)
class Seeded:
    """A claim of a passage, what was made of it, and in what way that is bad ("good": in none)."""

    kind: str
    passage: Claimed
    number: int
    new: str
    more_text: str = ""  # what the page says besides
    also: str = ""  # another claim was changed too, to this
    told: tuple[str, ...] = ()  # the claims of the corpus, where they are others than those of the passages


def pairs_of(list_of_words: str) -> list[tuple[str, str]]:
    pairs = [tuple(pair.split("/")) for pair in list_of_words.split()]
    return [(a, b) for a, b in pairs if a != b]


def swapped(claim: str, one: str, other: str) -> str | None:
    """Put one word for another where the claim says what its subject is; singular or plural in -s; article mended."""
    pattern = rf"(\b(?:is|are|was|were|became)\b[^,]*?)(\ban? )?(?<![\w-]){one}(s?)(?![\w-])(?! [A-Z])"
    if one in NOUNS:
        pattern += rf"(?=[.,]| (?:{AFTER})\b)"  # and not the first part of a compound
    found = re.search(pattern, claim)
    if not found or re.search(rf"\b{other}", claim) or re.search(r"[A-Z][\w.]* $", found[1] if not found[2] else ""):
        return None
    article = ("an " if other[0] in "aeiou" else "a ") if found[2] else ""
    return claim[: found.start()] + found[1] + article + other + found[3] + claim[found.end() :]


def seeded(passages: Sequence[Claimed], rng: np.random.Generator) -> Iterator[Seeded]:
    """Yield pairs of all kinds from all claims that the rules fit."""
    both_ways = [(a, b) for a, b in pairs_of(EXCLUDING)] + [(b, a) for a, b in pairs_of(EXCLUDING)]
    kinds: Mapping[str, list[tuple[str, str]]] = {
        "synonym": pairs_of(SYNONYMS),
        "kind": pairs_of(KINDS) + [(b, a) for a, b in pairs_of(KINDS)],
    }
    names = sorted({name for p in passages for c in p.claims for name in _names(c)})
    for passage in passages:
        top = ranked([c.text for c in passage.claims], passage.text, passage.title)
        for number, claim in enumerate(passage.claims):
            central = top[number].standing > 0.5
            good = [new for a, b in both_ways if (new := swapped(claim.text, a, b))]
            fresh = [(a, b) for a, b in both_ways if not re.search(rf"\b{b}", passage.page_text.lower())]
            true_good = [new for a, b in fresh if (new := swapped(claim.text, a, b))]
            if central:
                for new in true_good[:1]:
                    yield Seeded("good", passage, number, new)
                    said = new[re.search(VERB, new).start() :]
                    yield Seeded("true_elsewhere", passage, number, new, f"It {said}")
                    if told := _both_of(claim, new):
                        yield Seeded("functional", passage, number, new, told=told)
                for new in good[:1]:
                    twice = [again for a, b in both_ways if (again := swapped(new, a, b))]
                    yield from (
                        Seeded("two_words", passage, number, again) for again in twice if _edits(claim.text, again) == 2
                    )
                    if len(passage.claims) > 1:
                        other = passage.claims[number - 1].text
                        yield Seeded("two_claims", passage, number, new, also=f"{other.rstrip('.')} abroad.")
                for kind, pairs in kinds.items():
                    made = [new for a, b in pairs if (new := swapped(claim.text, a, b))]
                    yield from (Seeded(kind, passage, number, new) for new in made[:1])
                if rng.random() < 0.1:
                    yield from _mechanical(passage, number, names, rng)
            if true_good and _is_aside(passage, number):
                yield Seeded("low_salience", passage, number, true_good[0])
            elif true_good:
                yield from _made_aside(passage, number, true_good[0])


def _edits(one: str, other: str) -> int:
    """Count the words that are other ones, articles aside, of claims with equally many."""
    words = zip(one.split(), other.split(), strict=False)
    return sum(a != b and a not in ("a", "an") for a, b in words)


def _is_aside(passage: Claimed, number: int) -> bool:
    """Say whether a claim has no word of the page's title, and three quarters of four or more have all of them."""
    titles = set(re.findall(r"\w+", passage.title.lower()))
    words = [set(re.findall(r"\w+", c.text.lower())) for c in passage.claims]
    naming = [titles <= of for of in words]
    return titles.isdisjoint(words[number]) and len(naming) - sum(naming) <= len(naming) // 4


def _made_aside(passage: Claimed, number: int, new: str) -> Iterator[Seeded]:
    """Yield the pair as an aside in a passage of another thing: a name that three sentences of the page have.

    They are its other claims, the name its title.
    """
    claim = passage.claims[number]
    sentences = re.split(r"(?<=[.!?])\s+", passage.page_text)
    named = Counter(name for text in sentences for name in {*re.findall(r"(?<=[a-z,] )[A-Z][a-z]{3,}", text)})
    for name, times in sorted(named.items(), key=lambda item: (-item[1], item[0])):
        if times >= 3 and name.lower() not in claim.text.lower():
            others = [Parsed(text, ()) for text in sentences if re.search(rf"\b{name}\b", text)][:3]
            group = (*others, claim)
            yield Seeded("low_salience", replace(passage, title=name, claims=group), len(others), new)
            return


NAMES = ("Anna Berg", "Ole Dahl", "Kari Moe", "Per Lie", "Ida Aas", "Liv Vik", "Jon Moen", "Eva Lund")


def _both_of(claim: Parsed, new: str) -> tuple[str, ...]:
    """Return what a corpus says in which eight subjects are each both what the claim says and what the new one says."""
    found = [re.search(VERB, text) for text in (claim.text, new)]
    if not all(found) or found[0][0] not in ("is", "was"):
        return ()
    said = [text[place.start() :] for text, place in zip((claim.text, new), found, strict=True)]
    return tuple(f"{name} {one}" for name in NAMES for one in said)


def _mechanical(passage: Claimed, number: int, names: Sequence[str], rng: np.random.Generator) -> Iterator[Seeded]:
    claim = passage.claims[number]
    negated = re.sub(r"\b(is|are|was|were|can|has been)\b", r"\1 not", claim.text, count=1)
    if negated == claim.text and claim.root >= 0:
        at = claim.words[claim.root].start
        negated = claim.text[:at] + "never " + claim.text[at:]
    yield Seeded("negation", passage, number, negated)
    own = _names(claim)
    if own:
        others = [name for name in names if name not in claim.text]
        yield Seeded("name", passage, number, claim.text.replace(own[-1], str(rng.choice(others))))
    if re.search(r"\d", claim.text):
        yield Seeded("number", passage, number, re.sub(r"\d+", lambda m: str(int(m[0]) + 3), claim.text, count=1))
    nouns = [w for w in claim.words if w.tag == "NN" and w.dep in ("attr", "dobj", "pobj") and not w.entity]
    if nouns:
        odd = str(rng.choice(ODD))
        yield Seeded("implausible", passage, number, claim.text[: nouns[0].start] + odd + claim.text[nouns[0].end :])


def _names(claim: Parsed) -> list[str]:
    runs = re.findall(r"(?<=[a-z] )[A-Z][a-z]{2,}(?: [A-Z][a-z]+)*", claim.text)
    return [run for run in runs if any(w.pos == "PROPN" and w.text in run for w in claim.words)]


def judged(cases: Sequence[Seeded], sources: Sources, nlp: Language, limits: Limits) -> list[tuple[Verdict, ...]]:
    """Return the verdicts on each case; the new claims are parsed as anyone's would be."""
    news = list(parse([case.new for case in cases], nlp))
    told = parse([text for case in cases for text in case.told], nlp)
    corpora = [
        Corpus([case.passage.claims[case.number], *(next(told) for _ in case.told)], sources.wordnet)
        if case.told
        else sources.corpus
        for case in cases
    ]
    return [_judged(case, new, sources, corpus, limits) for case, new, corpus in zip(cases, news, corpora, strict=True)]


def _judged(case: Seeded, new: Parsed, sources: Sources, corpus: Corpus, limits: Limits) -> tuple[Verdict, ...]:
    passage = case.passage
    told = [claim.text for claim in passage.claims]
    after = [new.text if n == case.number else text for n, text in enumerate(told)]
    if case.also:
        after[case.number - 1] = case.also
    known = Known(
        wordnet=sources.wordnet,
        corpus=corpus,
        contexts=sources.contexts,
        page_text=f"{passage.text}\n{passage.page_text}\n{case.more_text}",
        claims=told,
        new_claims=after,
        standing=ranked(told, passage.text, passage.title)[case.number].standing,
    )
    return validate(Pair(passage.claims[case.number], new), known, limits)


def table(cases: Sequence[Seeded], verdicts: Sequence[tuple[Verdict, ...]]) -> list[dict[str, object]]:
    """Return a row a kind: pairs, how many were rejected, and how many by a check meant for it."""
    rows = []
    for kind in ("good", *MEANT):
        mine = [
            {v.name for v in told if not v.passed} for c, told in zip(cases, verdicts, strict=True) if c.kind == kind
        ]
        meant = set(MEANT.get(kind, ()))
        rejected = sum(bool(names) for names in mine)
        row: dict[str, object] = {"kind": kind, "pairs": len(mine), "rejected": rejected}
        row["share"] = round((len(mine) - rejected if kind == "good" else rejected) / max(len(mine), 1), 4)
        row["by_the_check_meant"] = (
            round(sum(bool(names & meant) for names in mine) / max(len(mine), 1), 4) if meant else None
        )
        rows.append(row)
    return rows
