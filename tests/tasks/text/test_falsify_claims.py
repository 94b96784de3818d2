"""The stage: one claim of a passage is made false, each check stands beside it, and no passage is lost."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from spacy.language import Language

from tasks.report import Report
from tasks.stage import StageError, item_rng
from tasks.tables import REJECTED, Reject, read_table, write_table
from tasks.text.falsify_claims import Params, plan, run
from tasks.text.parser import load_parser
from tasks.text.records import CLAIMS, FALSIFIED, PAGES, PASSAGES, VERDICTS
from tasks.text.validators import Limits
from tests.conftest import Project
from tests.stages import run_stage, set_params, stage_of
from tests.tasks import llm_server
from tests.tasks.llm_cases import ASKING
from tests.tasks.text import small_language_model
from tests.tasks.text.databases import LICENCE, write_database
from tests.tasks.text.test_falsification import ENTRIES, TEXTS
from tests.tasks.text.test_nli import model_folder

DVC_YAML = """stages:
  falsify_claims:
    cmd: python -m tasks.text.falsify_claims
    deps: [data/raw/passages, data/curated/claims, data/own/models]
    params: [falsify_claims, generator, own.models]
    outs: [data/curated/falsified]
    metrics: [{data/metrics/falsify_claims.json: {cache: false}}]
"""
TOLD = {
    "Anna Berg": ["Anna Berg was a painter.", "Berg lived in Oslo in 1890."],
    "Ole Dahl": ["Ole Dahl was a sculptor."],
    "Kari Moe": ["Kari Moe was a painter."],
    "Tower": ["The tower was built in 1890."],
}
LIMITS = {
    "edit_ratio": 0.5,
    "zipf_distance": 1.8,
    "steps_apart": 4,
    "functional": 0.8,
    "standing": 0.25,
    "strict": True,
}
NONE = {"backend": "none", "model": "", "threshold": 0.5}
NOWHERE = {"kind": "url", "name": "nowhere", "location": "file:///nowhere", "sha256": "0" * 64}
NO_MODEL: dict[str, Any] = {
    **{"candidates": 0, "max_rise_nats": 1.0, "threads": 1},
    "weights": {**NOWHERE, "licence": "x", "credit": "x", "url": "x"},
}
CHOSEN: dict[str, Any] = {
    "falsify_claims": {"seed": 0, **LIMITS, "nli": NONE, "language_model": NO_MODEL},
    "generator": {"backend": "rules", "sampling": ASKING | {"model": ""}},
    "own": {"models": "data/own/models"},
}
FACTS = {**dict.fromkeys(("topic", "source", "credit", "url"), "x"), "licence": "CC | BY"}


@pytest.fixture(scope="module")
def nlp() -> Language:
    return load_parser()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has the parses of the claims, once a test has run."""
    return tmp_path_factory.mktemp("stored") / "store"


@pytest.fixture
def filled(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nlp: Language, stored: Path) -> Project:
    project.write("dvc.yaml", DVC_YAML)
    project.write("data/own/models/.gitignore", "*\n")
    monkeypatch.setattr("tasks.text.falsify_claims.load_parser", lambda: nlp)
    wordnet = write_database(tmp_path / "wordnet", ENTRIES)
    monkeypatch.setattr("tasks.text.falsify_claims.wordnet_folder", lambda downloads, fetch: wordnet)
    set_params(project, CHOSEN)
    pages, passages, claims = [], [], []
    for title, told in TOLD.items():
        text = " ".join(told)
        pages.append({"page_id": title, "name": title, "title": title, "text": text, "sentences": [], **FACTS})
        spans = [{"start": text.index(one), "end": text.index(one) + len(one)} for one in told]
        mine = {"passage_id": f"{title}-0", "page_id": title, "title": title, "sentences": spans, **FACTS}
        passages.append({**mine, "text": text})
        for number, (claim, span) in enumerate(zip(told, spans, strict=True)):
            place = {"quote": claim, "quote_start": span["start"], "quote_end": span["end"], "sentence": number}
            claims.append(
                {
                    "claim_id": f"{title}-0-{number}",
                    **dict.fromkeys(("licence", "credit", "url"), "x"),
                    "passage_id": f"{title}-0",
                    "page_id": title,
                    "number": number,
                    "claim": claim,
                    **place,
                    "construction": "copula",
                    "method": "parse",
                }
            )
    trades = {"page_id": "Trades", "name": "Trades", "title": "Trades", "text": " ".join(TEXTS * 3), "sentences": []}
    pages.append({**trades, **FACTS})  # what the words are used for, on a page without a passage
    write_table(project.root / "data/raw/passages/pages.parquet", pages, PAGES)
    write_table(project.root / "data/raw/passages/passages.parquet", passages, PASSAGES)
    write_table(project.root / "data/curated/claims/claims.parquet", claims, CLAIMS)
    if not stored.exists():
        falsified(project)
        shutil.copytree(project.root / "data/store", stored)
    else:
        shutil.copytree(stored, project.root / "data/store", dirs_exist_ok=True)
    return project


def falsified(project: Project) -> Report:
    params = Params.model_validate(CHOSEN)
    assert plan(stage_of(project, "falsify_claims"), params).items_todo == len(TOLD)
    return run_stage(project, "falsify_claims", run, params)[0]


def rows(project: Project, name: str, schema: Any) -> list[dict[str, Any]]:
    return read_table(project.root / f"data/curated/falsified/{name}.parquet", schema).to_pylist()


def test_exactly_one_word_is_swapped_every_check_is_told_and_no_passage_is_lost(filled: Project) -> None:
    report = falsified(filled)
    pairs, rejected = rows(filled, "falsified", FALSIFIED), rows(filled, "rejected", REJECTED)
    assert report.items_in == len(TOLD) == len(pairs) + len(rejected)
    assert {row["item_id"] for row in rejected} | {row["passage_id"] for row in pairs} == {f"{t}-0" for t in TOLD}
    assert {(row["item_id"], row["reason"]) for row in rejected} >= {("Tower-0", "no_candidate")}
    anna = next(row for row in pairs if row["page_id"] == "Anna Berg")
    assert (anna["claim_id"], anna["claim"]) == ("Anna Berg-0-0", "Anna Berg was a painter.")
    assert (anna["old"], anna["relation"]) == ("painter", "sibling")
    assert anna["new"] in ("sculptor", "illustrator")
    for row in pairs:
        assert row["claim"][row["old_start"] : row["old_end"]] == row["old"]
        assert row["false_claim"][row["new_start"] : row["new_end"]] == row["new"]
        before, after = (
            [word for word in row[name].split() if word not in ("a", "an")] for name in ("claim", "false_claim")
        )
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    verdicts = rows(filled, "verdicts", VERDICTS)
    assert all(verdict["passed"] for verdict in verdicts)
    assert len({verdict["check"] for verdict in verdicts}) == 14
    assert len(verdicts) == 14 * len(pairs)


def test_each_passage_has_its_own_generator_its_page_and_the_limits_of_params(
    filled: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def recorded(text: str, title: str, claims: Any, sources: Any, nlp: Any, rng: Any, **options: Any) -> Reject:
        seen[title] = text, rng.bit_generator.state, options["page_text"], options["limits"]
        return Reject("no_candidate", "")

    monkeypatch.setattr("tasks.text.falsify_claims.falsify", recorded)
    limits = {**LIMITS, "edit_ratio": 0.25, "zipf_distance": 1.5, "steps_apart": 3, "functional": 0.7, "strict": False}
    pages = read_table(filled.root / "data/raw/passages/pages.parquet", PAGES).to_pylist()
    longer = [{**page, "text": f"{page['text']} More of {page['title']}."} for page in pages]
    write_table(filled.root / "data/raw/passages/pages.parquet", longer, PAGES)
    chosen = CHOSEN | {"falsify_claims": {**CHOSEN["falsify_claims"], "seed": 7, **limits}}
    set_params(filled, chosen)
    run_stage(filled, "falsify_claims", run, Params.model_validate(chosen))
    assert set(seen) == set(TOLD)
    for title, (text, state, page, kept) in seen.items():
        assert text == " ".join(TOLD[title])
        assert state == item_rng(7, "falsify_claims", f"{title}-0").bit_generator.state
        assert page == f"{text} More of {title}."
        assert kept == Limits(**limits)


def test_what_the_page_says_beyond_the_passage_is_not_made_a_falsehood(filled: Project) -> None:
    pages = read_table(filled.root / "data/raw/passages/pages.parquet", PAGES).to_pylist()
    said = [
        {**p, "text": p["text"] + " The sculptor and illustrator died."} if p["title"] in TOLD else p for p in pages
    ]
    write_table(filled.root / "data/raw/passages/pages.parquet", said, PAGES)
    falsified(filled)
    told = {row["item_id"]: row["reason"] for row in rows(filled, "rejected", REJECTED)}
    assert told["Anna Berg-0"] == told["Kari Moe-0"] == "not_true_elsewhere"


def test_the_order_of_the_claims_in_their_table_changes_nothing(filled: Project) -> None:
    falsified(filled)
    out, table = filled.root / "data/curated/falsified", filled.root / "data/curated/claims/claims.parquet"
    first = {name: (out / f"{name}.parquet").read_bytes() for name in ("falsified", "verdicts", "rejected")}
    write_table(table, read_table(table, CLAIMS).to_pylist()[::-1], CLAIMS)
    falsified(filled)
    assert {name: (out / f"{name}.parquet").read_bytes() for name in first} == first


def test_metrics_say_that_nothing_forbidden_was_done(filled: Project) -> None:
    falsified(filled)
    told = json.loads((filled.root / "data/metrics/falsify_claims.json").read_text())["oasis"]
    assert (told["negation_rate"], told["forbidden_edit_rate"]) == (0.0, 0.0)
    assert told["accepted"] == len(rows(filled, "falsified", FALSIFIED))


def test_the_card_credits_and_loads_what_lies_beside_it(
    filled: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    falsified(filled)
    out = filled.root / "data/curated/falsified"
    card, pairs = (out / "README.md").read_text(), rows(filled, "falsified", FALSIFIED)
    assert f"{len(pairs)} claims" in card and f"({len(TOLD)} passages had claims)" in card
    assert f"| CC \\| BY | x | x | {len(pairs)} |" in card  # no cell ends early
    assert all(f"> {' '.join(line.split())}" in card for line in LICENCE if line)
    assert "| falsify_claims.steps_apart | 4 |" in card
    assert "language_model" not in card  # it is off
    stage = stage_of(filled, "falsify_claims")
    assert f"| data/curated/claims | {stage.dep_hash('data/curated/claims')} |" in card
    monkeypatch.chdir(out)
    exec(compile(card.partition("```python\n")[2].partition("```")[0], "card", "exec"), {})
    assert pairs[0]["false_claim"] in capsys.readouterr().out


def test_the_same_seed_gives_the_same_bytes(filled: Project) -> None:
    out = filled.root / "data/curated/falsified"
    falsified(filled)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    falsified(filled)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_a_language_models_pair_is_judged_by_the_same_checks_and_asked_for_again(filled: Project) -> None:
    falsified(filled)
    sound = {row["claim"]: row["false_claim"] for row in rows(filled, "falsified", FALSIFIED)}
    assert sound

    def negated(handler: llm_server.Handler, body: dict[str, Any]) -> None:
        claims = llm_server.passage_texts(body)["claims"].split("\n")
        said = {"original": claims[0], "altered": claims[0].replace(" was ", " was not ")}
        llm_server.answer(json.dumps(said))(handler, body)

    def altered(handler: llm_server.Handler, body: dict[str, Any]) -> None:
        claims = llm_server.passage_texts(body)["claims"].split("\n")
        original = next((claim for claim in claims if claim in sound), claims[0])
        said = {"original": original, "altered": sound.get(original, original)}
        llm_server.answer(json.dumps(said))(handler, body)

    chosen = CHOSEN | {"generator": {"backend": "multi_call", "sampling": ASKING | {"repairs": 0}}}
    with llm_server.running() as server:
        server.default, server.plan = altered, [negated] * len(TOLD)
        set_params(filled, chosen, llm={"endpoint": {"base_url": server.url, "concurrency": 1}})
        report = run_stage(filled, "falsify_claims", run, Params.model_validate(chosen))[0]
    found = rows(filled, "falsified", FALSIFIED)
    assert {row["claim"]: row["false_claim"] for row in found} == sound
    for row in found:
        assert (row["relation"], row["tried"]) == ("language_model", 1)
        old, new = (
            row[text][row[f"{name}_start"] : row[f"{name}_end"]]
            for text, name in (("claim", "old"), ("false_claim", "new"))
        )
        assert (old, new) == (row["old"], row["new"])
        assert row["claim"].replace(old, new) == row["false_claim"]
    assert report.items_in == len(TOLD) == report.kept + sum(report.rejected.values())


def test_an_entailment_model_takes_the_place_of_contradiction_by_construction(filled: Project) -> None:
    labels = {0: "entailment", 1: "neutral", 2: "contradiction"}
    for winner, kept in ((2, True), (0, False)):
        model_folder(filled.root / f"data/own/models/nli{winner}", labels, winner)
        nli = {"backend": "folder", "model": f"nli{winner}", "threshold": 0.5}
        chosen = CHOSEN | {"falsify_claims": {**CHOSEN["falsify_claims"], "nli": nli}}
        set_params(filled, chosen)
        report = run_stage(filled, "falsify_claims", run, Params.model_validate(chosen))[0]
        assert (report.kept > 0) == kept
        verdicts = {row["check"] for row in rows(filled, "verdicts", VERDICTS)}
        assert ({"nli_contradiction", "nli_not_entailed"} <= verdicts) == kept
        figures = json.loads((filled.root / "data/metrics/falsify_claims.json").read_text())["nli"]
        assert figures["judged"] > 0
        assert (figures["agreement"] > 0.5) == kept


def test_a_folder_without_a_model_stops_the_stage(filled: Project) -> None:
    nli = {"backend": "folder", "model": "none there", "threshold": 0.5}
    chosen = CHOSEN | {"falsify_claims": {**CHOSEN["falsify_claims"], "nli": nli}}
    with pytest.raises(StageError, match=r"data/own/models/none there: no config\.json in it"):
        run_stage(filled, "falsify_claims", run, Params.model_validate(chosen))


def test_a_language_model_judges_what_is_natural_and_reads_each_claim_once(
    filled: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gguf")
    pytest.importorskip("accelerate")
    out = filled.root / "data/curated/falsified"
    network = small_language_model.network()
    weights = small_language_model.write_gguf(tmp_path / "model", network)

    def run_with(**changed: Any) -> Report:
        model = {"candidates": 3, "max_rise_nats": 100.0, "threads": 1, "weights": weights, **changed}
        chosen = CHOSEN | {"falsify_claims": {**CHOSEN["falsify_claims"], "language_model": model}}
        set_params(filled, chosen)
        return run_stage(filled, "falsify_claims", run, Params.model_validate(chosen))[0]

    run_with()
    pairs, verdicts = rows(filled, "falsified", FALSIFIED), rows(filled, "verdicts", VERDICTS)
    told = {row["passage_id"]: row for row in verdicts if row["check"] == "plausibility"}
    assert set(told) == {row["passage_id"] for row in pairs} and len(pairs) == 3
    for row in pairs:
        old, new = (_nats_per_token(network, row[name]) for name in ("claim", "false_claim"))
        assert told[row["passage_id"]]["value"] == pytest.approx(new - old, abs=1e-4)
        assert (told[row["passage_id"]]["passed"], told[row["passage_id"]]["threshold"]) == (True, 100.0)
    figures = json.loads((filled.root / "data/metrics/falsify_claims.json").read_text())["language_model"]
    assert (figures["judged"], figures["implausible"]) == (3, 0)
    card = (out / "README.md").read_text()
    assert "| falsify_claims.language_model.max_rise_nats | 100.0 |" in card
    assert "test; CC0-1.0" in card
    first = {path.name: path.read_bytes() for path in out.iterdir()}

    def unwanted(*args: Any) -> Any:
        raise AssertionError("all is stored")

    monkeypatch.setattr("tasks.text.falsify_claims.scorer_of", unwanted)
    run_with()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    report = run_with(max_rise_nats=-100.0)  # the stored figures, compared with another limit
    assert (report.kept, report.rejected["implausible"]) == (0, 3)


def _nats_per_token(network: Any, text: str) -> float:
    ids = torch.tensor([small_language_model.tokens_of(text)])
    with torch.inference_mode():
        logs = network(ids).logits[0].log_softmax(-1)
    return -sum(float(logs[place - 1, token]) for place, token in enumerate(ids[0].tolist()) if place) / (
        ids.shape[1] - 1
    )


def test_weights_that_cannot_be_read_stop_the_stage(filled: Project, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"no model")
    weights = NO_MODEL["weights"] | {
        "location": (tmp_path / "model").as_uri(),
        "sha256": hashlib.sha256(b"no model").hexdigest(),
    }
    chosen = CHOSEN | {
        "falsify_claims": {
            **CHOSEN["falsify_claims"],
            "language_model": NO_MODEL | {"candidates": 3, "weights": weights},
        }
    }
    set_params(filled, chosen)
    with pytest.raises(StageError, match=r"falsify_claims.language_model: .*one GGUF file"):
        run_stage(filled, "falsify_claims", run, Params.model_validate(chosen))
