"""A page of examples, to be looked at: passage, true and false claim, both texts, evidence and verdicts. No network."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from tasks.tables import write_whole
from tasks.text.decision import Decision, text_is_factual
from tasks.text.evaluation import Found, Text
from tasks.text.highlights import best_sentence

_STYLE = """
:root { --ink: #1d2433; --soft: #5b6578; --line: #dde2ea; --true: #d3efdb; --false: #f9d0cd; --none: #e6e9ef; }
body { font: 15px/1.55 system-ui, sans-serif; color: var(--ink); background: #f5f6f9; margin: 0; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 24px; margin: 8px 0 4px; }
h2 { font-size: 18px; margin: 0; }
h3 { font-size: 12px; letter-spacing: .06em; text-transform: uppercase; color: var(--soft); margin: 18px 0 6px; }
p { margin: 0; }
.lead, .facts { color: var(--soft); }
.lead { max-width: 76ch; }
.facts { font-size: 13px; overflow-wrap: anywhere; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px; }
section { padding: 18px 22px 20px; margin-top: 20px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 22px; }
mark { color: inherit; border-radius: 3px; padding: 1px 2px; }
mark { box-decoration-break: clone; -webkit-box-decoration-break: clone; }
.entailment { background: var(--true); }
.contradiction { background: var(--false); }
.neutral { background: var(--none); }
.quote { background: #fff1bf; }
.swap { font-weight: 700; text-decoration: underline; text-decoration-thickness: 2px; text-underline-offset: 3px; }
.badge { font-size: 12px; padding: 2px 9px; border-radius: 99px; white-space: nowrap; }
.right { background: #1f7a44; color: #fff; }
.wrong { background: #b3261e; color: #fff; }
table { width: 100%; border-collapse: collapse; font-size: 13.5px; table-layout: fixed; }
th { text-align: left; font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--line); }
th { padding: 4px 10px 4px 0; }
td { vertical-align: top; border-bottom: 1px solid var(--line); padding: 6px 10px 6px 0; overflow-wrap: anywhere; }
tr:last-child td { border-bottom: 0; }
col.claim { width: 34%; } col.verdict { width: 15%; }
@media (max-width: 760px) { .pair { grid-template-columns: 1fr; } }
"""
_VERDICTS = {"entailment": "entailed", "contradiction": "contradicted", "neutral": "no evidence"}


@dataclass(frozen=True)
class Example:
    """A passage with F and U, what was extracted from each, and what was decided."""

    falsified: Mapping[str, Any]  # row of CLAIM_FALSIFICATION
    unfactual: Mapping[str, Any]  # row of UNFACTUAL_TEXT_GENERATION
    texts: tuple[Text, Text]
    found: tuple[Sequence[Found], Sequence[Found]]
    decisions: tuple[Sequence[Decision], Sequence[Decision]]
    documents: Mapping[str, Mapping[str, Any]]  # rows of DOCUMENTS by id


def write_page(path: Path, examples: Iterable[Example], judge: str) -> None:
    """Write the page, whole or not at all; `judge` is what people call who decided."""
    body = "\n".join(_section(one) for one in examples) or "<section><p>There is no test text.</p></section>"
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Factuality: examples</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main><h1>Factuality of texts: examples</h1>"
        '<p class="lead">Test passages, evenly spread. The claims of each text are coloured by what '
        f'the {escape(judge)} says of them: <mark class="entailment">entailed</mark> or '
        '<mark class="contradiction">contradicted</mark> '
        'by the first window that says anything, or <mark class="neutral">no evidence</mark>. A text is factual where '
        "no claim is contradicted.</p>"
        f"{body}</main></body></html>\n"
    )
    write_whole(path, page.encode())


def _section(one: Example) -> str:
    row = one.falsified
    quote = (row["quote_start"], row["quote_end"], "quote")
    true = _swapped(row["factual_claim"][0], row["old_start"], row["old_end"])
    false = _swapped(row["unfactual_claim"][0], row["new_start"], row["new_end"])
    windows = (one.unfactual["old_window"], one.unfactual["new_window"])
    columns = "".join(_text(*parts) for parts in zip(one.texts, one.found, one.decisions, windows, strict=True))
    tables = "".join(
        f"<h3>{name} text, claim by claim</h3>{_table(found, decisions, one.documents)}"
        for name, found, decisions in zip(("Factual", "Unfactual"), one.found, one.decisions, strict=True)
    )
    return (
        f"<section><h2>{escape(row['title'])}</h2>"
        f'<p class="facts">{escape(row["topic"])} &middot; swap by {escape(row["relation"])} of the '
        f"{escape(row['role'])} &middot; {escape(row['credit'])}, {escape(row['licence'])}, {escape(row['url'])}</p>"
        f"<h3>Passage</h3><p>{_marked(row['text'], [quote])}</p>"
        f'<div class="pair"><div><h3>True claim</h3><p>{true}</p></div>'
        f"<div><h3>False claim</h3><p>{false}</p></div></div>"
        f'<div class="pair">{columns}</div>{tables}</section>'
    )


def _text(text: Text, found: Sequence[Found], decisions: Sequence[Decision], window: Mapping[str, int]) -> str:
    told = text_is_factual(decisions)
    verdict = f"judged {'factual' if told else 'not factual'}"
    badge = "right" if told == text.factual else "wrong"
    spans = [(one.start, one.end, _label(decision)) for one, decision in zip(found, decisions, strict=True)]
    return (
        f"<div><h3>{'Factual' if text.factual else 'Unfactual'} text "
        f'<span class="badge {badge}" style="text-transform:none;letter-spacing:0">{verdict}: {badge}</span></h3>'
        f"<p>{_marked(text.text, spans, (window['start'], window['end']))}</p></div>"
    )


def _table(found: Sequence[Found], decisions: Sequence[Decision], documents: Mapping[str, Mapping[str, Any]]) -> str:
    if not found:
        return '<p class="facts">No claim was extracted.</p>'
    rows = []
    for claim, decision in zip(found, decisions, strict=True):
        label = _label(decision)
        rank = decision.rank
        evidence = f"none of {len(decision.labels)} windows says anything"
        if rank is not None:
            row = documents[claim.documents[rank]]
            sentence = best_sentence(claim.claim, row["text"])
            evidence = f"<b>{escape(row['title'])}</b>, window {rank + 1}: {escape(sentence)}"
        rows.append(
            f"<tr><td>{escape(claim.claim)}</td>"
            f'<td><mark class="{label}">{_VERDICTS[label]}</mark></td><td>{evidence}</td></tr>'
        )
    head = "<tr><th>Claim</th><th>Verdict</th><th>Evidence</th></tr>"
    columns = '<colgroup><col class="claim"><col class="verdict"><col></colgroup>'
    return f"<table>{columns}{head}{''.join(rows)}</table>"


def _label(decision: Decision) -> str:
    return "neutral" if decision.rank is None else decision.labels[decision.rank]


def _swapped(claim: str, start: int, end: int) -> str:
    return f'{escape(claim[:start])}<span class="swap">{escape(claim[start:end])}</span>{escape(claim[end:])}'


def _marked(text: str, spans: Sequence[tuple[int, int, str]], swapped: tuple[int, int] | None = None) -> str:
    """Return a text with spans in their colours; where several lie over each other, contradicted ones show."""
    kinds = ["" for _ in text]
    for start, end, kind in sorted(spans, key=lambda span: span[2] == "contradiction"):
        kinds[start:end] = [kind] * (end - start)
    under = [swapped is not None and swapped[0] <= place < swapped[1] for place in range(len(text))]
    parts, first = [], 0
    for place in range(1, len(text) + 1):
        if place == len(text) or (kinds[place], under[place]) != (kinds[first], under[first]):
            piece = escape(text[first:place])
            piece = f'<span class="swap">{piece}</span>' if under[first] else piece
            parts.append(f'<mark class="{kinds[first]}">{piece}</mark>' if kinds[first] else piece)
            first = place
    return "".join(parts)
