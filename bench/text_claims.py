"""Claims of rules beside annotated claims, on passages no rule was tuned on: python -m bench.text_claims

Two annotation passes over 100 passages (tests/fixtures/wikipedia). Alike is ROUGE-1 F1, as in the easiness of LLM-Oasis
(section 3.5 of the sheet): its precision asks how near each claim is to the nearest annotated one, its recall the other
way round. A claim counts as found where the nearest is at least `MATCH` alike.
"""

import json
import os
import re
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tasks.text.claims import extract
from tasks.text.parser import load_parser
from tasks.text.sentences import sentence_spans

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "tests" / "fixtures" / "wikipedia"
ROWS = HERE / "text_claims.json"
MATCH = 0.8

Claims = dict[str, list[tuple[str, str]]]  # (text, construction) by passage


def rouge1(one: str, other: str) -> float:
    """Return the F1 of the two texts' words, counted with repetition."""
    words = [Counter(re.findall(r"\w+", text.lower())) for text in (one, other)]
    return 2 * (words[0] & words[1]).total() / (words[0].total() + words[1].total())


def annotated(name: str) -> Claims:
    """Return the claims of an annotation pass."""
    rows = [json.loads(line) for line in (FIXTURES / f"claims_{name}.jsonl").read_text().splitlines()]
    return {row["passage_id"]: [(c["text"], c["construction"]) for c in row["claims"]] for row in rows}


def extracted() -> tuple[Claims, float]:
    """Return the claims of the rules, and the CPU seconds that they took."""
    passages = [json.loads(line) for line in (FIXTURES / "passages.jsonl").read_text().splitlines()]
    spans = [sentence_spans(row["text"], row["title"]) for row in passages]
    parser = load_parser()
    began = time.process_time()
    found = [extract(row["text"], row["title"], s, parser) for row, s in zip(passages, spans, strict=True)]
    took = time.process_time() - began
    return {
        row["passage_id"]: [(claim.text, claim.construction) for claim in one.claims]
        for row, one in zip(passages, found, strict=True)
    }, took


def nearest(claims: Sequence[tuple[str, str]], among: Sequence[tuple[str, str]]) -> list[float]:
    """Return how alike each claim is to the most alike of the others."""
    return [max((rouge1(text, other) for other, _ in among), default=0.0) for text, _ in claims]


def compared(name: str, found: Claims, truth: Claims) -> dict[str, Any]:
    """Return easiness and shares found.

    Easiness is a mean over passages: its precision over those with claims of `found`, its recall over those with claims
    of `truth`, where a passage of which nothing was found counts as 0.
    """
    forth = {key: nearest(found[key], truth[key]) for key in truth}
    back = {key: nearest(truth[key], found[key]) for key in truth}
    precision = statistics.mean(statistics.mean(values) for values in forth.values() if values)
    recall = statistics.mean(statistics.mean(values) for values in back.values() if values)
    return {
        "claims": name,
        "number": sum(map(len, found.values())),
        "easiness_p": round(precision, 3),
        "easiness_r": round(recall, 3),
        "easiness_f1": round(2 * precision * recall / (precision + recall), 3),
        "of_them_found": round(_share([v for values in forth.values() for v in values]), 3),
        "of_annotated_found": round(_share([v for values in back.values() for v in values]), 3),
    }


def _share(values: Sequence[float]) -> float:
    return sum(value >= MATCH for value in values) / len(values) if values else 0.0


def by_construction(found: Claims, truths: Sequence[Claims], *, of_truth: bool) -> list[dict[str, Any]]:
    """Return for each construction the share that the other side has too."""
    values: dict[str, list[float]] = defaultdict(list)
    for truth in truths:
        for key in truth:
            mine, others = (truth[key], found[key]) if of_truth else (found[key], truth[key])
            for (_, construction), alike in zip(mine, nearest(mine, others), strict=True):
                values[construction].append(alike)
    what = "annotated" if of_truth else "extracted"
    return [
        {"side": what, "construction": name, "number": len(alike) // len(truths), "found": round(_share(alike), 3)}
        for name, alike in sorted(values.items())
    ]


def measured() -> Mapping[str, Any]:
    """Return all rows."""
    load = psutil.getloadavg()[0]
    one, other = annotated("a"), annotated("b")
    found, took = extracted()
    rows = [
        compared("rules beside pass a", found, one),
        compared("rules beside pass b", found, other),
        compared("pass a beside pass b", one, other),
    ]
    constructions = [
        *by_construction(found, (one, other), of_truth=False),
        *by_construction(found, (one, other), of_truth=True),
    ]
    header = {"passages": len(one), "match": MATCH, "passages_per_cpu_s": round(len(one) / took, 1)}
    return {**header, "cores": os.cpu_count(), "load_before": round(load, 1), "rows": rows, "by": constructions}


if __name__ == "__main__":
    result = measured()
    ROWS.write_text(json.dumps(result, indent=1) + "\n")
    json.dump(result, sys.stdout, indent=1)
