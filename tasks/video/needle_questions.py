"""Questions on one fact of a needle or of a grid's cell, free-form or with options out of the other captions."""

import numpy as np

from tasks.tables import Reject
from tasks.video.captions import Fact, facts_of
from tasks.video.choices import choice
from tasks.video.distractors import NEEDED, Distractor, Shares, drawn, usable
from tasks.video.items import Case, Form, Item, subset_name
from tasks.video.question_forms import (
    IN_FRONT,
    INSTRUCTIONS,
    VERBATIM,
    WHERE,
    asked_core,
    by_noun,
    clause,
    forms_of,
    is_whole,
)
from tasks.video.sightings import sighting
from tasks.video.wording import capitalised, normalised, ordinal


def needle_item(case: Case, form: Form, shares: Shares, rng: np.random.Generator) -> Item | Reject:
    """Return a question on one fact of what is shown.

    Facts are tried in a random order, rare values rather than common ones. Reject "no_question" where none can
    be asked, "few_distractors" where none has three wrong options; the detail names each fact and why.
    """
    shown = case.shown[0]
    seen = sighting(shown)
    skipped = list(seen.unclear)
    for fact in _in_random_order(case, seen.facts, shares, rng):
        wrong: tuple[Distractor, ...] = ()
        if form == "mcq":
            found = usable(fact, shown, case.others, shares.known(fact.kind))
            if len(found) < NEEDED:
                skipped.append((fact.kind, fact.subject, "few_distractors"))
                continue
            wrong = drawn(found, rng)
        return _item(case, form, fact, wrong, tuple(skipped), rng)
    told = "; ".join(f"{kind} of {subject}: {reason}" for kind, subject, reason in skipped) or "the clip has no facts"
    few = any(reason == "few_distractors" for _, _, reason in skipped)
    return Reject("few_distractors" if few else "no_question", f"clip {shown.clip['clip_id']}: {told}")


def option_text(kind: str, value: str) -> str:
    """Return a value as an option: what is read stands as it is read."""
    return value if kind in VERBATIM else capitalised(value)


def where_of(case: Case, rng: np.random.Generator) -> str:
    """Return how a question calls what it is about: "the inserted clip", "the cell in the third row, sixth column"."""
    pool = WHERE[case.subset]
    phrase = pool[int(rng.integers(len(pool)))]
    if case.cell is None:
        return phrase
    row, column = case.cell
    return phrase.format(row=ordinal(row), column=ordinal(column))


def _item(
    case: Case,
    form: Form,
    fact: Fact,
    wrong: tuple[Distractor, ...],
    skipped: tuple[tuple[str, str, str], ...],
    rng: np.random.Generator,
) -> Item:
    clip = case.shown[0].clip
    where = where_of(case, rng)
    pool = INSTRUCTIONS[case.subset]
    instruction = pool[int(rng.integers(len(pool)))]
    spoken = by_noun(fact, facts_of(clip))
    question = question_text(spoken, where, rng)
    if form == "mcq":
        right = (option_text(fact.kind, fact.value), clip["clip_id"])
        options = choice(right, [(option_text(fact.kind, one.value), one.clip_id) for one in wrong], rng)
        answer = right[0]
    else:
        options, answer = None, _answer(spoken, where, rng)
    return Item(
        item_id=case.item_id,
        subset=subset_name(case.subset, form),
        group=clip["group"],
        style=fact.kind,
        instruction=instruction,
        question=question,
        answer=answer,
        facts=(fact,),
        options=options.options if options else (),
        key=options.key if options else "",
        option_clips=options.sources if options else (),
        skipped=skipped,
    )


def question_text(fact: Fact, where: str, rng: np.random.Generator) -> str:
    """Return what is asked of a fact, said of `where`."""
    forms = forms_of(fact)
    form = forms[int(rng.integers(len(forms)))]
    in_front = rng.random() < 0.5 or fact.kind in IN_FRONT
    if is_whole(fact.subject) and "{s}" in form:
        return f"{capitalised(asked_core(fact._replace(subject=where), form))}?"
    core = asked_core(fact, form)
    return f"In {where}, {core}?" if in_front else f"{capitalised(core)} in {where}?"


def _answer(fact: Fact, where: str, rng: np.random.Generator) -> str:
    """Return a free-form answer: the value, or a sentence."""
    if rng.random() < 0.5:
        return f'"{fact.value}"' if fact.kind == "text" else f"{option_text(fact.kind, fact.value)}."
    told = fact._replace(subject=where) if is_whole(fact.subject) else fact
    return f"{capitalised(clause(told))}."


def _in_random_order(case: Case, facts: tuple[Fact, ...], shares: Shares, rng: np.random.Generator) -> list[Fact]:
    """Return the facts kind by kind, kinds in random order: how many facts a kind or a clip has is of no matter.

    Too common values stand aside as often as they are too common, and are asked if nothing else can be; within a kind
    the others are drawn by how readily each is asked.
    """
    kinds = sorted({fact.kind for fact in facts})
    turn = dict(zip(kinds, rng.permutation(len(kinds)).tolist(), strict=True))
    needle = case.shown[0].clip["kind"]
    case_kinds = (needle, case.others[0].clip["kind"] if case.others else needle)
    weights: dict[tuple[str, str], float] = {}
    for kind in kinds:
        values = sorted({normalised(fact.value) for fact in facts if fact.kind == kind})
        found = shares.weights(kind, values, case_kinds, grid=case.subset == "hr_video_grid")
        weights |= {(kind, value): weight for value, weight in found.items()}
    aside = {one: bool(rng.random() >= weight) for one, weight in weights.items()}
    keyed = []
    for place, fact in enumerate(facts):
        one = (fact.kind, normalised(fact.value))
        # the order of exponential times with these rates is a draw without replacement
        time = float(rng.exponential()) / max(weights[one], 1.0)
        keyed.append((aside[one], turn[fact.kind], time, place))
    return [facts[place] for _, _, _, place in sorted(keyed)]
