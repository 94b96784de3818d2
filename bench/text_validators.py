"""What the checks of falsifications catch, and how many pairs pass: python -m bench.text_validators

Seeded pairs, good ones and bad ones of each kind, are made of the project's own claims by rules and lists that the
checks do not use (tests/tasks/text/falsifications.py). Then every passage is falsified as the stage does it, with the
text of its page: how many are accepted, why the others are not, and what that costs.
"""

import argparse
import json
import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
ROWS = HERE / "text_validators.json"
CURATED = HERE.parent / "data/curated/claims/claims.parquet"
RAW = HERE.parent / "data/raw/passages"


def measure(wordnet: Path, claims: Path, raw: Path, seed: int) -> dict[str, object]:
    """Return the rows of the seeded pairs and the figures of the run over all passages."""
    from tasks.stage import item_rng
    from tasks.text.falsification import Falsified, Sources
    from tasks.text.falsify_claims import falsify_all
    from tasks.text.parser import load_parser
    from tasks.text.validators import Limits
    from tasks.text.wordnet import WordNet
    from tests.tasks.text.falsifications import Claimed, judged, parsed_claims, seeded, table

    nlp, rows = load_parser(), pq.read_table(claims).to_pylist()
    told = parsed_claims(rows, nlp)
    passages = {row["passage_id"]: row for row in pq.read_table(raw / "passages.parquet").to_pylist()}
    pages = {row["page_id"]: row["text"] for row in pq.read_table(raw / "pages.parquet").to_pylist()}
    begun = time.process_time()
    every = [parsed for group in told.values() for _, parsed in group]
    sources = Sources.of(WordNet(wordnet), every, list(pages.values()))
    sources_s, begun = time.process_time() - begun, time.process_time()
    outcomes = falsify_all(told, passages, pages, sources, nlp, lambda i: item_rng(seed, "falsify_claims", i), Limits())
    found = [outcome for _, outcome in outcomes]
    falsify_s = time.process_time() - begun
    accepted = [outcome for outcome in found if isinstance(outcome, Falsified)]
    reasons = Counter(outcome.reason for outcome in found if not isinstance(outcome, Falsified))
    items = [
        Claimed(i, passages[i]["text"], pages[passages[i]["page_id"]], passages[i]["title"], tuple(p for _, p in group))
        for i, group in told.items()
    ]
    cases = list(seeded(items, np.random.default_rng(seed)))
    return {
        "claims": len(rows),
        "passages": len(told),
        "accepted": len(accepted),
        "reasons": dict(sorted(reasons.items())),
        "relations": dict(sorted(Counter(f"{o.role}, {o.relation}" for o in accepted).items())),
        "value_pairs": len({(o.old_lemma, o.new_lemma) for o in accepted}),
        "sources_cpu_s": round(sources_s, 1),
        "falsify_cpu_s": round(falsify_s, 1),
        "rows": table(cases, judged(cases, sources, nlp, Limits())),
    }


def main() -> None:
    """Measure, print the table, write the rows."""
    from tasks.sources import downloads_folder, fetch
    from tasks.text.wordnet_files import wordnet_folder

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", type=Path, help="folder of WordNet's database files; else those that are fetched")
    parser.add_argument("--claims", type=Path, default=CURATED)
    parser.add_argument("--raw", type=Path, default=RAW, help="folder of pages.parquet and passages.parquet")
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    downloads = downloads_folder(HERE.parent)
    wordnet = told.wordnet or wordnet_folder(downloads, lambda source: fetch(source, downloads))
    load = psutil.getloadavg()[0]
    found = measure(wordnet, told.claims, told.raw, told.seed)
    rows = found["rows"]
    assert isinstance(rows, list)
    print(f"{'kind':16}{'pairs':>7}{'rejected':>10}{'right':>8}{'by the check meant':>20}")
    for row in rows:
        meant = "" if row["by_the_check_meant"] is None else f"{row['by_the_check_meant']:.1%}"
        print(f"{row['kind']:16}{row['pairs']:7}{row['rejected']:10}{row['share']:8.1%}{meant:>20}")
    print(json.dumps({name: value for name, value in found.items() if name != "rows"}, indent=1))
    ROWS.write_text(json.dumps({"cores": os.cpu_count(), "load_before": round(load, 1), **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
