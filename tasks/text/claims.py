"""Claims of a passage by rules on its dependency parse: atomic, self-contained, each with its quote.

Section 3.2, step 1, of LLM-Oasis (arXiv 2411.19655): noun subject, at most 15 words, in the order of the text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from spacy.language import Language
from spacy.tokens import Doc

from tasks.text.assembly import MAX_WORDS, Draft
from tasks.text.clauses import sentence_claims
from tasks.text.mending import mended
from tasks.text.phrases import Piece, render
from tasks.text.pronouns import Discourse, find_topic
from tasks.text.reading import Reading, read

METHOD = "parse"  # the quote's place is known from the tokens, not sought


@dataclass(frozen=True)
class Claim:
    """A claim and the passage's span, [quote_start, quote_end), that holds its words. sentence counts from 0.

    construction is copula, active, passive, coordination (of verbs), object_coordination (of attributes too),
    subject_coordination, apposition, relative, possessive (whose), participle, existential or adverbial_clause.
    """

    text: str
    quote_start: int
    quote_end: int
    construction: str
    method: str
    sentence: int


@dataclass(frozen=True)
class Dropped:
    """A clause or sentence of the passage that gave no claim, or a claim that was not sound."""

    text: str
    reason: str


@dataclass(frozen=True)
class Extraction:
    """The claims of a passage in the order of the text, and what was dropped."""

    claims: list[Claim]
    dropped: list[Dropped]


def extract(text: str, title: str, sentences: Sequence[tuple[int, int]], nlp: Language) -> Extraction:
    """Return the claims of one passage, whose `sentences` are (start, end) characters of its text.

    Raises ValueError where a sentence is no part of the text.
    """
    [found] = extract_all([(text, title, sentences)], nlp)
    return found


def extract_all(passages: Sequence[tuple[str, str, Sequence[tuple[int, int]]]], nlp: Language) -> Iterator[Extraction]:
    """Yield what `extract` returns of each (text, title, sentences): they are parsed in one batch, for less."""
    readings = [read(text, sentences, nlp) for text, _, sentences in passages]
    docs = nlp.pipe(reading.doc for reading in readings)
    for (text, title, sentences), reading, doc in zip(passages, readings, docs, strict=True):
        yield _extracted(text, title, sentences, reading, mended(doc))


def _extracted(text: str, title: str, sentences: Sequence[tuple[int, int]], reading: Reading, doc: Doc) -> Extraction:
    claims: dict[str, Claim] = {}
    dropped = [Dropped(text[slice(*sentences[u.sentence])], u.reason) for u in reading.unread]
    discourse = Discourse(find_topic(doc, title))
    for sentence in doc.sents:
        number = reading.sentences[sentence.start]
        discourse.begin(number)
        drafts, refused = sentence_claims(list(sentence), discourse)
        discourse.heard(sentence)
        for draft in drafts:
            claim, reason = _claim(doc, reading, draft, number)
            if reason:
                dropped.append(Dropped(claim.text, reason))
            else:
                claims.setdefault(claim.text, claim)
        for r in refused:
            dropped.append(Dropped(text[reading.starts[r.first] : reading.ends[r.last]], r.reason))
    ordered = sorted(claims.values(), key=lambda c: (c.sentence, c.quote_start, c.quote_end))
    return Extraction(ordered, dropped)


def _claim(doc: Doc, reading: Reading, draft: Draft, sentence: int) -> tuple[Claim, str | None]:
    """Return a draft as a claim, and why it is no sound one."""
    first = min(p.first for p in draft.phrase if p.first >= 0)
    last = max(p.last for p in draft.phrase)
    phrase = [p if k == 0 else _inside(doc, p) for k, p in enumerate(draft.phrase)]
    text = re.sub(r"(?:\s*,)+(?=\s*[,.]|$)", "", render(doc, phrase)).strip(" ,;:-")
    text = re.sub(r"\s+", " ", text)
    text = text[:1].upper() + text[1:]
    text += "" if text.endswith(".") else "."
    claim = Claim(text, reading.starts[first], reading.ends[last], draft.construction, METHOD, sentence)
    return claim, _unsound(claim)


def _inside(doc: Doc, piece: Piece) -> Piece:
    """Return a word as it stands inside a sentence, where it began one."""
    token = doc[piece.first]
    if (
        piece.first < 0
        or not token.is_sent_start
        or piece.text != token.text
        or token.pos_ == "PROPN"
        or token.ent_type_
    ):
        return piece
    return replace(piece, text=piece.text[:1].lower() + piece.text[1:])


_BETWEEN = re.compile(
    r"\bbetween\b(?:.*(?:\band\b|\btwo\b|\d)|(?: [\w-]+){1,3}(?<!'|\u2019)s\b(?! of))"
)  # two, or several
_BAD_START = re.compile(
    r"(?:(?:In|On|At|Of|By|For|With|From|To|After)(?: which)?|Where|When|Such as .*|The (?:more|less|\w+er)),"
)
_SAYS_ITSELF = re.compile(r"(.+?) (?:is|was|are|were) (?:\w+ )*(?:as|called|named|spelled) \1\.$", re.I)
_BAD_END = re.compile(
    r"\b(?:no|vs|ca|c|and|or|but|of|the|a|an|in|to|by|with|which|that|who|is|are|was|were|as|e\.g|i\.e)\.$", re.I
)


def _unsound(claim: Claim) -> str | None:
    words = claim.text.split()
    if len(words) > MAX_WORDS:
        return "too_long"
    if len(words) < 3:
        return "too_short"
    if _BAD_END.search(claim.text) or _BAD_START.match(claim.text):
        return "ungrammatical"
    if _SAYS_ITSELF.match(claim.text):
        return "tautology"
    if "between" in words and not _BETWEEN.search(claim.text):
        return "correlative"
    if ("both" in words and "and" not in words) or ("either" in words and "or" not in words):
        return "correlative"
    if re.search(r"(?:^|\s)['\u2018]\w", claim.text) and not re.search(r"\w['\u2019](?!\w)", claim.text):
        return "unbalanced"
    if any(claim.text.count(a) != claim.text.count(b) for a, b in ("()", "[]")) or claim.text.count('"') % 2:
        return "unbalanced"
    return None
