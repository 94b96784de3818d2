"""Parses mended where the words alone tell that the parser was wrong: lists that lost a member, sentences without verb.

Only the tree is changed, and only to one that the tagger's parts of speech allow; the words stay.
"""

from itertools import pairwise

from spacy.tokens import Doc, Span, Token

from tasks.text.phrases import conjuncts
from tasks.text.pronouns import is_person_noun

_INSIDE = {"DET", "ADJ", "NOUN", "PROPN", "NUM", "PART"}  # of a plain noun phrase
_RANKS = {"family", "order", "genus", "class", "phylum", "subfamily", "suborder", "superfamily", "tribe", "species"}
_ROLES = {"attr", "dobj", "pobj", "oprd"}


class _Tree:
    """Heads, labels and tags of a parse that may be changed before a Doc is made of them."""

    def __init__(self, doc: Doc) -> None:
        self.doc = doc
        self.heads = [t.head.i for t in doc]
        self.deps = [t.dep_ for t in doc]
        self.tags = [t.tag_ for t in doc]
        self.pos = [t.pos_ for t in doc]
        self.changed = False

    def hang(self, token: int, head: int, dep: str) -> None:
        """Give a token another head."""
        self.changed |= (self.heads[token], self.deps[token]) != (head, dep)
        self.heads[token], self.deps[token] = head, dep

    def is_under(self, token: int, above: int) -> bool:
        """Say whether a token is another or hangs under it."""
        while token != above and self.heads[token] != token:
            token = self.heads[token]
        return token == above

    def doc_of_it(self) -> Doc:
        """Return the mended parse."""
        doc = self.doc
        ents = [f"{t.ent_iob_}-{t.ent_type_}" if t.ent_type_ else "O" for t in doc]
        new = Doc(
            doc.vocab, [t.text for t in doc], [bool(t.whitespace_) for t in doc], tags=self.tags, pos=self.pos,
            lemmas=[t.lemma_ for t in doc], heads=self.heads, deps=self.deps, ents=ents,
        )  # fmt: skip
        same = [t.is_sent_start for t in doc] == [t.is_sent_start for t in new]
        return new if same else doc


def mended(doc: Doc) -> Doc:
    """Return a parse in which plain lists hang together and a noun is no main clause where a verb can be one."""
    tree = _Tree(doc)
    for sentence in doc.sents:
        _mend_root(tree, sentence)
        _mend_tag(tree, sentence.root)
        for token in sentence:
            _mend_insertion(tree, token)
            _mend_attributes(tree, token)
            _mend_same_kind(tree, token)
            if token.lower_ in _RANKS and token.i + 1 < sentence.end and token.nbor().is_title:
                name = token.nbor()
                if name.head != token and name.head.i < token.i and token.i not in [t.i for t in name.subtree]:
                    tree.hang(name.i, token.i, "appos")  # "in the family Felidae"
            if token.lower_ == "and" and token.pos_ == "CCONJ":
                _mend_list(tree, sentence, token)
    return tree.doc_of_it() if tree.changed else doc


def _mend_root(tree: _Tree, sentence: Span) -> None:
    """Make a verb in -ed the main one where a noun before it was: "the style endured throughout the century."."""
    root = sentence.root
    whole = sentence[-1].text == "." and (sentence.start == 0 or sentence.doc[sentence.start - 1].text != ";")
    if root.pos_ not in ("NOUN", "PROPN") or not whole or any(t.dep_.startswith("nsubj") for t in root.children):
        return
    clause = next((c for c in root.rights if c.dep_ in ("acl", "relcl")), None)
    if clause is None or clause.pos_ != "VERB" or any(t.text == "," for t in sentence.doc[root.i : clause.i]):
        return
    name = next((c for c in clause.lefts if c.dep_ == "nsubj"), None)
    if clause.dep_ == "acl":
        others = [c for c in root.rights if c.i > clause.i and c.dep_ not in ("punct", "cc") and c.pos_ != "ADP"]
        if clause.i != root.i + 1 or not clause.lower_.endswith("ed") or others:
            return
        if any(c.dep_ == "agent" for c in clause.children) or any(c.lower_ in ("a", "an") for c in root.lefts):
            return
        tree.tags[clause.i] = "VBD"
    elif name is not None and name.i == root.i + 1 and name.pos_ == "PROPN" and not list(name.children):
        tree.hang(name.i, root.i, "appos")
    else:
        return
    tree.hang(clause.i, clause.i, "ROOT")
    for child in root.children:
        fronted = child.i < root.i and child.dep_ in ("prep", "advmod", "npadvmod", "cc")
        after = child.i > clause.i
        comma = child.dep_ == "punct" and child.i < root.left_edge.i + 30 and child.text == ","
        if child != clause and (fronted or after or comma):
            tree.hang(child.i, clause.i, child.dep_)
    tree.hang(root.i, clause.i, "nsubj")


def _mend_same_kind(tree: _Tree, token: Token) -> None:
    """Hang the second star in "the brightest star in the constellation and the second star in the sky" to the first."""
    inner = token.head
    if token.dep_ == "appos" and token.pos_ == "NOUN":
        above = inner.head.head if inner.dep_ == "pobj" and inner.lemma_ != token.lemma_ else inner
        listed = any(c.dep_ == "conj" and c.lemma_ == token.lemma_ for t in (above, inner, token) for c in t.children)
        if above.dep_ == "attr" and above.lemma_ == token.lemma_ and listed:
            tree.hang(token.i, above.i, "conj")
        return
    if token.dep_ != "conj" or inner.dep_ != "pobj" or inner.head.dep_ != "prep" or token.pos_ != "NOUN":
        return
    outer = inner.head.head
    word = next((c for c in inner.children if c.dep_ == "cc"), None)
    same = outer.lemma_ == token.lemma_ != inner.lemma_
    office = inner.pos_ == "PROPN" and outer.dep_ in ("attr", "appos") and _determiner(outer) == _determiner(token)
    parallel = inner.head.lower_ == "of" and not _has_of(inner) and _has_of(token) and _determiner(token) == ""
    parallel &= outer.dep_ in ("attr", "appos", "pobj") and token.tag_ == outer.tag_ == "NN"
    if outer.pos_ == "NOUN" and (same or office or parallel) and word is not None and word.lower_ == "and":
        tree.hang(token.i, outer.i, "conj")
        tree.hang(word.i, outer.i, "cc")


def _has_of(noun: Token) -> bool:
    return any(c.lower_ == "of" for c in noun.rights)


def _determiner(noun: Token) -> str:
    return next((c.lower_ for c in noun.lefts if c.dep_ == "det"), "")


def _mend_tag(tree: _Tree, root: Token) -> None:
    """Make a verb of a main word that has a subject in the plural: "large communities live in the north"."""
    subject = next((c for c in root.lefts if c.dep_ == "nsubj"), None)
    many = subject is not None and subject.tag_ in ("NNS", "NNPS")
    noun = any(c.dep_ in ("aux", "det", "amod", "compound") for c in root.children) or root.tag_ == "NNS"
    if root.pos_ in ("NOUN", "ADJ") and many and not noun:
        tree.tags[root.i], tree.pos[root.i], tree.changed = "VBP", "VERB", True


def _mend_insertion(tree: _Tree, verb: Token) -> None:
    """Make a modifier of "also spelled Y" in "X, also spelled Y, is Z", where it was taken for what X did."""
    subject = next((c for c in verb.lefts if c.dep_ in ("nsubj", "nsubjpass")), None)
    if subject is None or verb.tag_ not in ("VBD", "VBN") or any(c.dep_.startswith("aux") for c in verb.children):
        return
    doc = verb.doc
    inner = [c for c in verb.lefts if c.i > subject.i and c.dep_ == "advmod"]
    start = min([verb.i, *(c.left_edge.i for c in inner)])
    if doc[start - 1].text != "," or start - 2 < 0 or doc[start - 2].i < subject.left_edge.i:
        return
    main = verb.head if verb.dep_ in ("advcl", "parataxis", "ccomp", "dep", "relcl") else None
    if main is None and verb.dep_ == "ROOT":
        main = next((c for c in verb.rights if c.dep_ in ("conj", "ccomp") and c.tag_ in ("VBZ", "VBP", "VBD")), None)
    if main is None or main.i < verb.i or any(c.dep_.startswith("nsubj") for c in main.children):
        return
    first = min(t.i for t in (main, *main.lefts) if t.i > verb.i and not t.is_punct)
    if doc[first - 1].text != "," or any(c.dep_ == "cc" and verb.i < c.i < main.i for c in verb.children):
        return
    if main.tag_ not in ("VBZ", "VBP", "VBD") and not any(c.dep_.startswith("aux") for c in main.children):
        return
    if verb.dep_ == "ROOT":
        tree.hang(main.i, main.i, "ROOT")
        for child in verb.children:
            if child.i > main.i or (child.i < subject.left_edge.i):
                tree.hang(child.i, main.i, child.dep_)
    passive = any(c.dep_ == "auxpass" for c in main.children)
    tree.hang(subject.i, main.i, "nsubjpass" if passive else "nsubj")
    tree.hang(verb.i, subject.i, "acl")
    tree.tags[verb.i] = "VBN"
    for child in verb.children:
        if child.is_punct and child.i in (start - 1, first - 1):
            tree.hang(child.i, subject.i, "punct")


def _mend_attributes(tree: _Tree, verb: Token) -> None:
    """Hang a noun that a copula has beside its attribute to the attribute: "is the A, the B and one of the Cs"."""
    if verb.lemma_ != "be" or verb.pos_ not in ("AUX", "VERB"):
        return
    attribute = next((c for c in verb.rights if c.dep_ == "attr"), None)
    if attribute is None:
        return
    last = conjuncts(attribute)[-1]
    for other in verb.rights:
        if other.i <= last.i or other.pos_ not in ("NOUN", "PROPN", "NUM") or other.dep_ not in ("attr", "conj"):
            continue
        if any(c.dep_.startswith("nsubj") for c in other.children):
            continue
        word = next((c for c in verb.rights if c.dep_ == "cc" and last.i < c.i < other.i), None)
        listed = any(c.dep_ == "cc" for t in conjuncts(other) for c in t.children)
        near = verb.doc[other.left_edge.i - 1]
        if (near.text == "," and (word is not None or listed)) or near == word:
            if attribute.pos_ == "ADJ" and any(c.lower_ in ("a", "an") for c in attribute.lefts):
                tree.pos[attribute.i], tree.tags[attribute.i] = "NOUN", "NN"  # "a luthier"
            elif attribute.pos_ not in ("NOUN", "PROPN", "NUM"):
                return
            tree.hang(other.i, last.i, "conj")
            if word is not None:
                tree.hang(word.i, last.i, "cc")
            last = conjuncts(other)[-1]


def _mend_list(tree: _Tree, sentence: Span, word: Token) -> None:
    """Hang "A, B, C and D" together where one of them was lost to another reading."""
    doc = sentence.doc
    last = _item_after(word, sentence.end)
    if last is None:
        return
    if last.pos_ == "ADJ":
        return _mend_last_noun(tree, word, last)
    items = [last]
    commas: list[int] = []
    end = word.i  # where the item before ends
    if doc[end - 1].text == ",":
        commas.append(end - 1)
        end -= 1
    while True:
        start = end
        while start > sentence.start and _is_inside(doc[start - 1]):
            start -= 1
        head = _head_of(doc, start, end)
        if head is None:
            return
        if doc[start - 1].text == "," and start > sentence.start:
            items.append(head)
            commas.append(start - 1)
            end = start - 1
            continue
        if head.pos_ == "NUM" or head.ent_type_ == "DATE":
            return
        break
    if len(items) < 2 or any(t.ent_type_ == "DATE" for t in items):
        return
    first = head
    if items[-1].left_edge.pos_ == "DET" and doc[start].pos_ != "DET" and doc[start - 1].lower_ == "of":
        above = doc[start - 2]
        if above.pos_ in ("NOUN", "PROPN") and any(c.dep_ == "det" for c in above.lefts):
            first = above
    chain = [first, *items[::-1]]
    if first.dep_ not in _ROLES or (first.dep_ == "pobj" and first.head.i < sentence.root.i):
        return
    adjectives = [t for t in chain if t.pos_ == "ADJ"]
    if not adjectives and all(t.dep_ == "conj" and t.head in chain for t in chain[1:]):
        return
    indefinite = first.dep_ == "attr" and any(c.lower_ in ("a", "an") for c in first.lefts)
    enough = 3 if is_person_noun(first.lemma_.lower()) else 4
    if (adjectives and (not indefinite or len(chain) < enough)) or any(t.dep_.startswith("nsubj") for t in chain[1:]):
        return
    if any(t.ent_type_ in ("GPE", "LOC", "FAC") for t in chain) and len(chain) < 4:
        return  # "in Paris, France, and Rome"
    for before, item in pairwise(chain):
        if any(tree.is_under(before.i, item.i) for before in chain if before.i < item.i):
            return
        tree.hang(item.i, before.i, "conj")
    for token in adjectives:
        tree.pos[token.i], tree.tags[token.i], tree.changed = "NOUN", "NN", True
    tree.hang(word.i, chain[-2].i, "cc")
    for comma in commas:
        tree.hang(comma, max(t.i for t in chain if t.i < comma), "punct")


def _mend_last_noun(tree: _Tree, word: Token, last: Token) -> None:
    """Make a noun of the adjective that ends "a general, revolutionary and republican"."""
    above = last.head
    if last.dep_ == "conj" and above.pos_ in ("NOUN", "PROPN", "ADJ") and word.head == above:
        first = above
        while first.dep_ == "conj":
            first = first.head
        nouns = [t for t in conjuncts(first) if t.pos_ in ("NOUN", "PROPN")]
        if (
            first.dep_ == "attr"
            and first.pos_ == "NOUN"
            and any(c.lower_ in ("a", "an") for c in first.lefts)
            and nouns
        ):
            for token in conjuncts(first):
                if token.pos_ == "ADJ":
                    tree.pos[token.i], tree.tags[token.i], tree.changed = "NOUN", "NN", True


def _is_inside(token: Token) -> bool:
    return token.pos_ in _INSIDE or token.text == "-" or (token.tag_ in ("VBN", "VBG") and token.dep_ == "amod")


def _head_of(doc: Doc, start: int, end: int) -> Token | None:
    if end <= start:
        return None
    if doc[end - 1].pos_ == "ADJ" and end - start == 1 and start and doc[start - 1].text == ",":
        return doc[end - 1]  # "an activist, reformer, and author"
    return doc[end - 1] if doc[end - 1].pos_ in ("NOUN", "PROPN") else None


def _item_after(word: Token, stop: int) -> Token | None:
    """Return the noun that ends the plain noun phrase after a conjunction, or an adjective that is all of it."""
    doc = word.doc
    end = word.i + 1
    while end < stop and _is_inside(doc[end]):
        end += 1
    if end == word.i + 2 and doc[end - 1].pos_ == "ADJ" and (end == stop or doc[end].is_punct):
        return doc[end - 1]
    return _head_of(doc, word.i + 1, end)
