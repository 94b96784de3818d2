"""The text of VISTA's items: written by a language model where that is wished, and judged without the video."""

from collections.abc import Mapping
from dataclasses import replace

from tasks.llm import Ledger, estimate
from tasks.llm_asking import asking_in
from tasks.stage import Stage
from tasks.tables import Reject
from tasks.video.items import Item
from tasks.video.synthesis_llm import LlmSynthesiser, first_request
from tasks.video.text_only import solved
from tasks.video.vista_plan import Planned
from tasks.video.vista_settings import AugmentVista


def told(
    stage: Stage, planned: Mapping[str, Planned], chosen: AugmentVista
) -> tuple[dict[str, Planned], dict[str, Reject]]:
    """Return the items with their text, and why others have none: templates wrote it, or a language model does now."""
    if chosen.text.backend == "templates":
        return dict(planned), {}
    found: dict[str, Planned] = {}
    rejects: dict[str, Reject] = {}
    cases = [replace(one.case, form=None) for one in planned.values()]
    setting, remedy = "augment_vista.text.backend is 'llm'", "set augment_vista.text.backend to templates"
    settings, ledger = chosen.text.sampling.settings, Ledger(stage.knobs.llm.limits)
    with asking_in(stage, settings, ledger, "answers", setting=setting, remedy=remedy) as answers:
        written = list(LlmSynthesiser(chosen.seed, answers, chosen.mcq_share).write(cases))
    for (item_id, one), item in zip(planned.items(), written, strict=True):
        if isinstance(item, Reject):
            rejects[item_id] = item
        else:
            found[item_id] = replace(one, item=item)
    return found, rejects


def calls_note(stage: Stage, planned: Mapping[str, Planned], chosen: AugmentVista) -> str:
    """Return what a language model would be asked, for a plan; conversions to options come on top."""
    first = [first_request(one.case) for one in planned.values()]
    return estimate(first, chosen.text.sampling.settings, stage.store, stage.knobs.llm.limits).note()


def repeated(planned: Mapping[str, Planned]) -> dict[str, Reject]:
    """Return the items that show and ask what one before them does."""
    first: dict[tuple[str, ...], str] = {}
    rejects = {}
    for item_id, one in planned.items():
        item = text_of(one)
        key = one.plan_id, item.subset, item.question if item.subset != "long_video_caption" else ""
        if first.setdefault(key, item_id) != item_id:
            rejects[item_id] = Reject("repeated", f"shows and asks what {first[key]} does")
    return rejects


def solved_by_text(planned: Mapping[str, Planned], chosen: AugmentVista) -> dict[str, Reject]:
    """Return the choices that are dropped so that text alone solves no more of the others than the limit."""
    choices = [text_of(one) for one in planned.values() if text_of(one).options]
    limit = chosen.text_only_limit
    if limit is None or not choices:
        return {}
    detail = "a classifier that sees question and options alone finds the right one"
    return {
        item_id: Reject("text_alone", detail, "probability", round(probability, 6), limit)
        for item_id, probability in solved(choices, limit, chosen.seed).items()
    }


def text_of(one: Planned) -> Item:
    """Return the text of an item that has one."""
    assert one.item is not None
    return one.item
