"""English forms that a claim needs and its sentence does not have: articles, forms of be, finite verbs.

Rules of spelling, and the irregular pasts of the verbs that stand in participles of encyclopedic prose.
"""

import re

_IRREGULAR_PASTS = {
    "be": "was", "bear": "bore", "become": "became", "begin": "began", "bind": "bound", "break": "broke",
    "bring": "brought", "build": "built", "buy": "bought", "catch": "caught", "choose": "chose", "come": "came",
    "cost": "cost", "cut": "cut", "deal": "dealt", "do": "did", "draw": "drew", "drive": "drove", "eat": "ate",
    "fall": "fell", "feed": "fed", "fight": "fought", "find": "found", "flee": "fled", "fly": "flew",
    "forbid": "forbade", "get": "got", "give": "gave", "go": "went", "grow": "grew", "have": "had", "hear": "heard",
    "hit": "hit", "hold": "held", "keep": "kept", "know": "knew", "lay": "laid", "lead": "led", "leave": "left",
    "lend": "lent", "let": "let", "lie": "lay", "lose": "lost", "make": "made", "mean": "meant", "meet": "met",
    "pay": "paid", "put": "put", "read": "read", "rise": "rose", "run": "ran", "say": "said", "see": "saw",
    "seek": "sought", "sell": "sold", "send": "sent", "set": "set", "shake": "shook", "shoot": "shot",
    "show": "showed", "sing": "sang", "sink": "sank", "sit": "sat", "speak": "spoke", "spend": "spent",
    "split": "split", "spread": "spread", "stand": "stood", "steal": "stole", "strike": "struck", "take": "took",
    "teach": "taught", "tell": "told", "think": "thought", "throw": "threw", "understand": "understood",
    "undergo": "underwent", "wear": "wore", "win": "won", "write": "wrote", "oversee": "oversaw",
    "overthrow": "overthrew", "withdraw": "withdrew", "arise": "arose", "swim": "swam", "drink": "drank",
}  # fmt: skip
_DOUBLED = {"ban", "bar", "plan", "ship", "stop", "step", "rob", "tap", "trap", "star", "occur", "refer", "prefer"}
_DOUBLED |= {"transfer", "permit", "admit", "commit", "control", "compel", "expel", "span", "map", "drop", "strip"}
# begins with a vowel letter but a consonant sound, and the other way about
_SOUNDS_CONSONANT = re.compile(
    r"(?:uni(?![nmd])|(?-i:UN(?![a-z]))|use|usu|uti|uto|ur[aeiou]|eu|ew|one\b|once|ubiq|u[.\-\d]|us\b)", re.I
)
_SOUNDS_VOWEL = re.compile(r"(?:hour|heir|honou?r|honest|8|1[18](?:\D|$)|1[18]\d{3}\D|[FHLMNRSX](?:[A-Z\d.]|\b)-?)")


def article(following: str) -> str:
    """Return "a" or "an", as it stands before a word."""
    if _SOUNDS_CONSONANT.match(following):
        return "a"
    if _SOUNDS_VOWEL.match(following) or following[:1].lower() in "aeiou":
        return "an"
    return "a"


def be(*, past: bool, plural: bool) -> str:
    """Return the finite form of be, third person."""
    if past:
        return "were" if plural else "was"
    return "are" if plural else "is"


def present(lemma: str, *, plural: bool) -> str:
    """Return the third person present of a verb."""
    if lemma == "be":
        return be(past=False, plural=plural)
    if plural:
        return lemma
    if lemma == "have":
        return "has"
    if re.search(r"(?:s|x|z|ch|sh|[^aeiou]o)$", lemma):
        return lemma + "es"
    if re.search(r"[^aeiou]y$", lemma):
        return lemma[:-1] + "ies"
    return lemma + "s"


def past(lemma: str, *, plural: bool) -> str:
    """Return the simple past of a verb, third person."""
    if lemma == "be":
        return be(past=True, plural=plural)
    if lemma in _IRREGULAR_PASTS:
        return _IRREGULAR_PASTS[lemma]
    if lemma in _DOUBLED:
        return lemma + lemma[-1] + "ed"
    if lemma.endswith("e"):
        return lemma + "d"
    if re.search(r"[^aeiou]y$", lemma):
        return lemma[:-1] + "ied"
    return lemma + "ed"


_AGREEING = {"is": "are", "was": "were", "has": "have", "does": "do"}
_BACK = {many: one for one, many in _AGREEING.items()}


def agree(form: str, tag: str, lemma: str, *, plural: bool) -> str:
    """Return a finite verb (Penn tag VBZ, VBP or VBD) in the number of its subject, third person."""
    word = form.lower()
    if plural and word in _AGREEING:
        return _AGREEING[word]
    if not plural and word in _BACK:
        return _BACK[word]
    if tag == "VBZ" and plural and word not in ("'s", "isn't", "wasn't", "hasn't", "doesn't"):
        return lemma
    if tag == "VBP" and not plural and word == lemma:
        return present(lemma, plural=False)
    return form


def possessive(name: str, *, plural: bool = False) -> str:
    """Return the genitive of a name."""
    return name + ("'" if plural and name.endswith("s") else "'s")
