"""Parses mended where the words alone tell that the parser was wrong: lists that lost a member, sentences without verb.

Only the tree is changed, and only to one that the tagger's parts of speech allow; the words stay.
"""

from itertools import pairwise

from spacy.tokens import Doc, Span, Token

_INSIDE = {"DET", "ADJ", "NOUN", "PROPN", "NUM", "PART"}  # of a plain noun phrase
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
        for token in sentence:
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


def _mend_list(tree: _Tree, sentence: Span, word: Token) -> None:
    """Hang "A, B, C and D" together where one of them was lost to another reading."""
    doc = sentence.doc
    last = _item_after(word, sentence.end)
    if last is None:
        return
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
    if all(t.dep_ == "conj" and t.head in chain for t in chain[1:]):
        return
    kinds = {t.pos_ for t in chain}
    if kinds - {"NOUN", "PROPN"} or any(c.dep_.startswith("nsubj") for t in chain[1:] for c in [t]):
        return
    if any(t.ent_type_ in ("GPE", "LOC", "FAC") for t in chain) and len(chain) < 4:
        return  # "in Paris, France, and Rome"
    for before, item in pairwise(chain):
        if any(tree.is_under(before.i, item.i) for before in chain if before.i < item.i):
            return
        tree.hang(item.i, before.i, "conj")
    tree.hang(word.i, chain[-2].i, "cc")
    for comma in commas:
        tree.hang(comma, max(t.i for t in chain if t.i < comma), "punct")


def _is_inside(token: Token) -> bool:
    return token.pos_ in _INSIDE or token.text == "-" or (token.tag_ in ("VBN", "VBG") and token.dep_ == "amod")


def _head_of(doc: Doc, start: int, end: int) -> Token | None:
    if end <= start or doc[end - 1].pos_ not in ("NOUN", "PROPN"):
        return None
    return doc[end - 1]


def _item_after(word: Token, stop: int) -> Token | None:
    """Return the noun that ends the plain noun phrase after a conjunction, where the clause goes on no further."""
    doc = word.doc
    end = word.i + 1
    while end < stop and _is_inside(doc[end]):
        end += 1
    return _head_of(doc, word.i + 1, end)
