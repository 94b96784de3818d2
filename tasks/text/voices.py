"""A claim turned from active to passive and back, where every form of the verb is sure."""

import re
from typing import Final

from spacy.tokens import Token

from tasks.text import inflection
from tasks.text.frames import MODAL, PAST, PRESENT, Frame, Part, Word, Wording

_PARTICIPLES: Final = {
    "be": "been", "bear": "borne", "become": "become", "begin": "begun", "break": "broken", "bring": "brought",
    "build": "built", "buy": "bought", "catch": "caught", "choose": "chosen", "come": "come", "cut": "cut",
    "draw": "drawn", "drive": "driven", "eat": "eaten", "fight": "fought", "find": "found", "forbid": "forbidden",
    "give": "given", "grow": "grown", "hold": "held", "keep": "kept", "know": "known", "lead": "led",
    "leave": "left", "lose": "lost", "make": "made", "arise": "arisen", "overthrow": "overthrown", "put": "put",
    "read": "read", "say": "said", "see": "seen", "sell": "sold", "send": "sent", "set": "set", "sing": "sung",
    "speak": "spoken", "split": "split", "spread": "spread", "strike": "struck", "take": "taken", "teach": "taught",
    "tell": "told", "think": "thought", "throw": "thrown", "wear": "worn", "win": "won", "write": "written",
    "oversee": "overseen", "have": "had", "show": "shown",
}  # fmt: skip
_REGULAR: Final = re.compile(r"[a-z]{3,}")
_DOUBLED: Final = {"dub", "stop", "plan", "ship", "refer", "occur", "control"}
# verbs whose object may as well be the subject: what somebody does to something, no state or measure
_PASSIVE_WORDS: Final = """
    abolish adopt attack build buy capture cause choose coin commission compose conquer construct create cultivate
    defeat describe design destroy develop direct discover edit establish explore form found govern illustrate influence
    inspire introduce invade invent launch lead manufacture name occupy organize overthrow paint perform pioneer play
    popularize produce promote propose publish reform record release replace revolutionize rule sponsor support
    surround use speak house employ defend study treat detect transmit generate emit absorb protect maintain inhabit
    threaten reject accept criticize praise sign cross border regulate explain hunt damage visit
    transform translate unify win write dominate govern administer operate own manage orbit host
    """
_PASSIVE: Final = frozenset(_PASSIVE_WORDS.split())
# passives with "by" that do not tell who does it
_NO_AGENT: Final = frozenset({"know", "follow", "precede", "mean", "accompany", "characterize", "mark", "bear"})
_BOUND: Final = frozenset({"all", "each", "every", "no", "few", "any", "most", "own"})  # these change with their place
_LONGEST: Final = 8  # tokens of what changes place


def participle(lemma: str) -> str | None:
    """Return the past participle of a verb, or None where it is not sure."""
    if lemma in _PARTICIPLES:
        return _PARTICIPLES[lemma]
    past = inflection.past(lemma, plural=False)
    if not past.endswith("ed") or not _REGULAR.fullmatch(lemma):
        return None
    if lemma in _DOUBLED:
        return lemma + lemma[-1] + "ed"
    short = re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", lemma)
    return None if short and past == lemma + "ed" else past


def present_participle(lemma: str) -> str | None:
    """Return the form in -ing of a verb, or None where it is not sure."""
    if lemma.endswith("ie") or re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", lemma) or lemma in _DOUBLED:
        return lemma + lemma[-1] + "ing" if lemma in _DOUBLED or lemma in ("split", "cut", "put", "win") else None
    if lemma.endswith("e") and not lemma.endswith(("ee", "oe", "ye")):
        return lemma[:-1] + "ing"
    return lemma + "ing"


def _simple_past(verb: Token) -> str | None:
    """Return the past of a verb that stands as a participle."""
    lemma = verb.lemma_.lower()
    if verb.lower_.endswith("ed"):
        return verb.lower_
    past = inflection.past(lemma, plural=False)
    return past if not past.endswith("ed") and participle(lemma) == verb.lower_ else None


def _is_plain(tokens: list[Token]) -> bool:
    """Say whether a noun phrase may change its place: short, without pronoun, clause or insertion."""
    return len(tokens) <= _LONGEST and not any(
        t.pos_ == "PRON" or t.tag_ == "PRP$" or t.dep_ in ("relcl", "advcl", "acl", "appos", "neg")
        or t.text in (",", ";", "(", ":") or t.tag_ in ("JJR", "RBR") or t.lower_ in _BOUND
        for t in tokens
    )  # fmt: skip


def is_plural_phrase(head: Token) -> bool:
    """Say whether a noun phrase that is no subject has a plural verb as one."""
    many = head.tag_ in ("NNS", "NNPS") and not head.lower_.endswith("ics")  # mathematics
    return many or any(c.dep_ == "conj" for c in head.children)


def active(wording: Wording) -> list[Word] | None:
    """Return "Y painted X in 1890" of "X was painted by Y in 1890", or None."""
    frame = wording.frame
    root, doc = frame.root, frame.doc
    agents = [p for p in frame.parts if p.dep == "agent"]
    if not frame.sure or len(agents) != 1 or wording.is_touched(frame.verb) or root.lemma_ in _NO_AGENT:
        return None
    agent = agents[0]
    head = next((c for c in agent.root.children if c.dep_ == "pobj"), None)
    if head is None or head.pos_ not in ("NOUN", "PROPN") or head.ent_type_ in ("DATE", "TIME") or _is_act(head):
        return None
    if head.tag_ == "NN" and not any(c.dep_ in ("det", "poss", "amod", "compound") for c in head.lefts):
        return None  # "by hand"
    phrase = list(doc[agent.first + 1 : agent.end])
    others = [p for p in frame.parts if p != agent]
    if any(t.dep_ == "prep" and t.lower_ != "of" for t in phrase) and others:
        return None  # where these belong is not sure
    if not _is_plain(phrase) or any(p.dep not in ("prep", "npadvmod") for p in others):
        return None
    if not _is_plain(list(doc[slice(*frame.subject)])) or any(t.dep_ == "neg" for t in root.children):
        return None
    told = _active_verb(wording, plural=is_plural_phrase(head))
    if told is None:
        return None
    rest = [w for p in others for w in wording.words((p.first, p.end))]
    return [*_lead(wording), *wording.words((agent.first + 1, agent.end)), *told, *wording.subject, *rest]


def _is_act(head: Token) -> bool:
    return head.tag_ == "VBG" or head.lower_.endswith("ing")


def _active_verb(wording: Wording, *, plural: bool) -> list[Word] | None:
    frame = wording.frame
    root = frame.root
    group = [t for t in frame.doc[slice(*frame.verb)]]
    aux = [t for t in group if t.dep_ in ("aux", "auxpass")]
    adverbs = [
        w for t in group if t.dep_ not in ("aux", "auxpass") and t != root for w in wording.words((t.i, t.i + 1))
    ]
    if root.tag_ not in ("VBN", "VBD") or group[-1] != root or not aux or aux[-1].lemma_ != "be":
        return None
    forms = [t.lower_ for t in aux]
    lemma = root.lemma_.lower()
    if forms in (["was"], ["were"]):
        past = _simple_past(root)
        return [*adverbs, Word(past, (frame.number,), root.i, new=True)] if past else None
    if forms in (["is"], ["are"]):
        form = inflection.present(lemma, plural=plural)
        return [*adverbs, Word(form, (frame.number,), root.i, new=True)]
    if len(forms) == 2 and forms[0] in ("has", "have") and forms[1] == "been":
        have = "have" if plural else "has"
        return [*wording.put(have), *adverbs, *wording.words((root.i, root.i + 1))]
    if len(forms) == 2 and aux[0].tag_ == "MD" and forms[1] == "be":
        return [*wording.words((aux[0].i, aux[0].i + 1)), *adverbs, Word(lemma, (frame.number,), root.i, new=True)]
    return None


def passive(wording: Wording) -> list[Word] | None:
    """Return "X was painted by Y in 1890" of "Y painted X in 1890", or None."""
    frame = wording.frame
    if not frame.sure or wording.is_touched(frame.verb) or frame.root.lemma_.lower() not in _PASSIVE:
        return None
    doc, root, parts = frame.doc, frame.root, frame.parts
    if not parts or parts[0].dep != "dobj" or parts[0].root.pos_ not in ("NOUN", "PROPN"):
        return None
    if any(p.dep not in ("prep", "npadvmod") or p.root.lower_ == "by" for p in parts[1:]):
        return None
    if parts[0].root.ent_type_ in ("QUANTITY", "CARDINAL", "PERCENT", "MONEY", "DATE"):
        return None
    if not _is_plain(list(doc[parts[0].first : parts[0].end])) or not _is_plain(list(doc[slice(*frame.subject)])):
        return None
    if any(t.dep_ == "neg" for t in root.children) or _is_own_role(parts[0]):
        return None
    lead = doc[slice(*frame.lead)]
    if len(lead) and not any(t.ent_type_ in ("DATE", "GPE", "LOC") for t in lead):
        return None  # it may be said of the subject: "as a city"
    told = _passive_verb(frame, wording, plural=is_plural_phrase(parts[0].root))
    if told is None:
        return None
    rest = [w for p in parts[1:] for w in wording.words((p.first, p.end))]
    thing = wording.words((parts[0].first, parts[0].end))
    return [*_lead(wording), *thing, *told, *wording.put("by"), *wording.subject, *rest]


def _is_own_role(part: Part) -> bool:
    """Say whether the object is no thing: "plays a role", "leads the way"."""
    return part.root.lemma_.lower() in ("role", "part", "way", "place", "action", "basis", "series")


def _passive_verb(frame: Frame, wording: Wording, *, plural: bool) -> list[Word] | None:
    root = frame.root
    group = list(frame.doc[slice(*frame.verb)])
    done = (
        root.lower_ if root.tag_ in ("VBD", "VBN") and root.lower_.endswith("ed") else participle(root.lemma_.lower())
    )
    if done is None or group[-1] != root:
        return None
    aux = [t for t in group if t.dep_ == "aux"]
    adverbs = [w for t in group if t.dep_ != "aux" and t != root for w in wording.words((t.i, t.i + 1))]
    verb = Word(done, (frame.number,), root.i, new=True)
    if not aux and frame.tense in (PAST, PRESENT):
        return [*wording.put(inflection.be(past=frame.tense == PAST, plural=plural)), *adverbs, verb]
    if len(aux) == 1 and aux[0].lower_ in ("has", "have") and root.tag_ == "VBN":
        return [*wording.put("have" if plural else "has", "been"), *adverbs, verb]
    if len(aux) == 1 and frame.tense == MODAL:
        return [*wording.words((aux[0].i, aux[0].i + 1)), *adverbs, *wording.put("be"), verb]
    return None


def _lead(wording: Wording) -> list[Word]:
    lead = wording.words(wording.frame.lead)
    return [*lead, *wording.put(",")] if lead else []
