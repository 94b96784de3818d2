"""Try the video question-answering model on VISTA's test choices: data/reports/evaluate_videoqa/.

answers.parquet (answered.ANSWERS) and heat_map.png: by subset, pairing of film and generated clips, length and place of
the needle, and HRVideoBench's types (arXiv 2412.00927). Beside it what one frame and no video tell. A vision model
behind an endpoint may be asked the same in the trained one's place; its replies are read as HRVideoBench reads them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from tasks.keys import StoredFunction
from tasks.learning.exact import choose_device, exactly
from tasks.llm import Ledger
from tasks.llm_asking import Asking, asking_in
from tasks.stage import Plan, Report, Stage, StageError, StrictModel, stage_main
from tasks.tables import REJECTED, Reject, rejected_rows, write_table
from tasks.video.answered import ANSWERS, answer_rows, draw_heat_map, figures_of
from tasks.video.choice_items import VISTA, ChoiceItem, read_choices
from tasks.video.choice_views import Looked, Seen, Sights, SightSize, look, right_of, scores_of, seen_in, unreadable
from tasks.video.clip_roots import clip_roots
from tasks.video.endpoint_answers import choice_request, letters_of, right_letters
from tasks.video.glimpses import Glimpses, wanted
from tasks.video.manifest import Own
from tasks.video.videoqa import MODEL, Words, chosen_letters, load_videoqa, sights_of

STORED = StoredFunction("video.evaluate_videoqa", "1", "tasks.video.evaluate_videoqa", ("torch", "numpy", "av"))
OUT = "data/reports/evaluate_videoqa"


class EvaluateVideoqa(StrictModel):
    judge: Literal["model", "llm"] = Field(description="model: the trained one; llm: a vision model at an endpoint")
    threads: int = Field(ge=1, le=64, description="threads on CPU: sums depend on it")
    shown: SightSize = Field(description="frames that an endpoint is shown")
    sampling: Asking

    @model_validator(mode="after")
    def _a_model_where_one_is_asked(self) -> "EvaluateVideoqa":
        if self.judge == "llm":
            self.sampling.require_model("judge 'llm'", "evaluate_videoqa")
        return self


class Params(StrictModel):
    own: Own
    evaluate_videoqa: EvaluateVideoqa


@dataclass(frozen=True)
class Answered:
    """What was chosen by the whole video, how right that is, and by one frame and none; and answers that failed."""

    letters: list[str]
    right: dict[str, np.ndarray]  # video, one_frame, no_video
    failed: dict[str, Reject]


def run(stage: Stage, params: Params) -> Report:
    """Answer all test choices, then write answers, map and figures."""
    chosen = params.evaluate_videoqa
    by_model, trained = chosen.judge == "model", stage.dep(MODEL)
    sights = Sights(**sights_of(trained)) if by_model else Sights(wide=chosen.shown, fine=chosen.shown)
    items = _items(stage)
    shown = list(zip(items, seen_in(items, "vista", sights), strict=True))
    rejects = unreadable(stage, shown, clip_roots(stage, params.own.video))
    stage.check_rejects("choice", len(items), len(rejects))
    kept = [item for item in items if item.item_id not in rejects]
    if not kept:
        raise StageError(f"none of the {len(items)} test choices of {VISTA} has clips that can be read")
    seen = seen_in(kept, "vista", sights)
    glimpses = Glimpses(stage.store, wanted([one for _, one in shown]))
    answered = (_by_model if by_model else _by_endpoint)(stage, chosen, kept, seen, glimpses)
    rows = answer_rows(kept, answered.letters, answered.right)
    out = stage.out(OUT)
    out.mkdir(parents=True)
    write_table(out / "answers.parquet", rows, ANSWERS)
    parents = {name: name.partition("/")[0] for name in (*rejects, *answered.failed)}
    bad = rejected_rows({**rejects, **answered.failed}, stage=stage.name, unit="choice", parents=parents)
    write_table(out / "rejected.parquet", bad, REJECTED)
    draw_heat_map(rows, out / "heat_map.png")
    stage.figure(out / "heat_map.png", "heat_map.png")
    stage.metrics(figures_of(rows, failed_answers=len(answered.failed)))
    reasons = Counter(reject.reason for reject in rejects.values())
    return Report("choice", len(items), len(kept), dict(reasons), f"{OUT}/heat_map.png")


def plan(stage: Stage, params: Params) -> Plan:
    """Count the choices that are asked."""
    calls = "" if params.evaluate_videoqa.judge == "model" else "three calls each at most: whole, one frame, no video"
    return Plan("choice", len(_items(stage)), 0, notes=(calls,) if calls else ())


def _items(stage: Stage) -> list[ChoiceItem]:
    try:
        found = [item for item in read_choices(stage.dep(VISTA)) if item.split == "test"]
    except ValueError as error:
        raise StageError(str(error)) from None
    if not found:
        raise StageError(f"{VISTA} has no choices of split test: raise augment_vista.items or test_share")
    return found


# --- the trained model ------------------------------------------------------------------------------------------


def _by_model(
    stage: Stage, chosen: EvaluateVideoqa, items: Sequence[ChoiceItem], seen: Sequence[Seen], glimpses: Glimpses
) -> Answered:
    device = choose_device(stage.knobs.device)
    model = load_videoqa(stage.dep(MODEL)).to(device)
    words = Words(model.design.words)
    looked = look(glimpses, seen)
    shown = {"video": looked, "one_frame": look(glimpses, seen, still=True), "no_video": no_video(looked)}
    with exactly(chosen.threads, device):
        scores = {name: scores_of(model, of, items, words) for name, of in shown.items()}
    right = {name: right_of(of, items) for name, of in scores.items()}
    return Answered(chosen_letters(scores["video"]), right, {})


def no_video(looked: Sequence[Looked]) -> list[Looked]:
    """Return the same choices with features that are all zero: what no picture has, a black one neither."""
    return [one._replace(patches_NTRCF=np.zeros_like(one.patches_NTRCF)) for one in looked]


# --- a model behind an endpoint ---------------------------------------------------------------------------------


def _by_endpoint(
    stage: Stage, chosen: EvaluateVideoqa, items: Sequence[ChoiceItem], seen: Sequence[Seen], glimpses: Glimpses
) -> Answered:
    ledger = Ledger(stage.knobs.llm.limits)
    taken = {"video": slice(None), "one_frame": slice(chosen.shown.frames // 2, chosen.shown.frames // 2 + 1)}
    taken["no_video"] = slice(0, 0)
    setting, remedy = "evaluate_videoqa.judge is 'llm'", "set evaluate_videoqa.judge to model"
    found: dict[str, list[str]] = {}
    failed: dict[str, Reject] = {}
    with asking_in(stage, chosen.sampling.settings, ledger, "answers", setting=setting, remedy=remedy) as answers:
        for what, frames in taken.items():
            requests = [
                choice_request(item, glimpses.video(*one)[frames], what) for item, one in zip(items, seen, strict=True)
            ]
            found[what], more = letters_of(answers(requests))
            failed |= more
    right = {what: right_letters(letters, items) for what, letters in found.items()}
    return Answered(found["video"], right, failed)


if __name__ == "__main__":
    stage_main(run, Params, plan=plan)
