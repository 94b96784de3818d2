"""Questions by templates: right by an independent look at the facts, four-way choices valid, nothing told before."""

import itertools
import json
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from tasks.tables import Reject
from tasks.video.captions import Fact
from tasks.video.conversations import conversation
from tasks.video.items import SUBSETS, Case, Item, Subset
from tasks.video.question_forms import ASKED, INSTRUCTIONS, WHERE, clause, forms_of, sort_of
from tasks.video.questions import TemplateSynthesiser
from tasks.video.sightings import Shown, sighting
from tasks.video.text_only import text_only
from tasks.video.two_part_questions import needs_both
from tests.tasks.video.captioned import chains, clip_row, whole

Row = dict[str, Any]
NIAH: tuple[Subset, ...] = ("temporal_niah", "spatial_niah", "spatiotemporal_niah", "hr_video_grid")
SOURCES = 90


def cases(film: bool, form: Any, subsets: tuple[Subset, ...] = NIAH) -> list[Case]:
    """Return cases of needles in haystacks of other sources, of sources as they are, and of grids."""
    haystacks, needles = ([whole(source) for source in chains(seed, SOURCES, film=film)] for seed in (1, 2))
    rng = np.random.default_rng(7)
    found = []
    for number, subset in itertools.product(range(SOURCES), subsets):
        for clip in range(3):
            needle, hay = needles[number][clip], haystacks[(number + 7 * clip) % SOURCES]
            shown: tuple[Shown, ...] = (needle,)
            others, cell = hay, None
            if subset in ("long_video_caption", "event_relationship"):
                shown, others = hay, ()
            elif subset == "two_needle_niah":
                shown = (Shown(needle.clip, 0.0, 2.0), Shown(needle.clip, 2.0, 5.0))
            elif subset == "hr_video_grid":
                others = tuple(haystacks[(number + n) % SOURCES][n % 6] for n in range(63))
                cell = (int(rng.integers(1, 9)), int(rng.integers(1, 9)))
            found.append(
                Case(f"{subset}-{number}-{clip}-{'film' if film else 'drawn'}", subset, shown, others, cell, form)
            )
    return found


def clips_of(film: bool) -> list[Row]:
    return [clip for seed in (1, 2) for source in chains(seed, SOURCES, film=film) for clip in source]


def written(cases: list[Case], film: bool, **more: Any) -> list[tuple[Case, Item]]:
    told = TemplateSynthesiser(0, clips_of(film), **more).write(cases)
    return [(case, item) for case, item in zip(cases, told, strict=True) if isinstance(item, Item)]


@pytest.fixture(scope="module")
def choices() -> list[tuple[Case, Item]]:
    """At least 2,000 four-way choices on needles and cells, drawn and film."""
    return [pair for film in (False, True) for pair in written(cases(film, "mcq"), film)]


@pytest.fixture(scope="module")
def events() -> list[tuple[Case, Item]]:
    found = []
    for film in (False, True):
        for form in ("qa", "mcq"):
            found += written(cases(film, form, ("event_relationship",))[::2], film)
    return found


def said_of(clip: Row) -> list[tuple[str, str, str]]:
    """Every fact of a clip and of its segments, read from the row."""
    rows = [*clip["facts"], *(fact for segment in clip["segments"] for fact in segment["facts"])]
    return [(row["kind"], row["subject"], row["value"]) for row in rows]


def plain(text: str) -> str:
    """Another way to compare options: letters and digits alone, numbers as digits, no article."""
    numbers = {"one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6"}
    words = [numbers.get(word, word) for word in re.sub(r"[^a-z0-9 ]", " ", text.lower()).split()]
    return " ".join(word for word in words if word not in ("a", "an", "the"))


# --- four-way choices ---


def test_wrong_answers_come_from_kinds_of_the_same_sort_too() -> None:
    """A thing that was drawn, in front of film that has colours but no things: values that no thing has are no use."""
    needle = clip_row("n", [Fact("object_colour", "the circle", "red")])
    things = [
        clip_row(f"t{n}", [Fact("object_colour", "the star", one)]) for n, one in enumerate(("green", "blue", "pink"))
    ]
    film = [
        clip_row(f"h{n}", [Fact("dominant_colour", "the picture", one)]) for n, one in enumerate(("green", "brown"))
    ]
    film += [clip_row(f"i{n}", [Fact("background_colour", "the sky", one)]) for n, one in enumerate(("blue", "pink"))]
    case = Case("1", "temporal_niah", (Shown(needle),), whole(film), form="mcq")
    (item,) = TemplateSynthesiser(0, [needle, *things]).write([case])
    assert isinstance(item, Item)
    assert set(item.options) == {"Red", "Green", "Blue", "Pink"}
    (none,) = TemplateSynthesiser(0, [needle]).write([case])
    assert isinstance(none, Reject)


def test_exactly_one_option_is_right_and_the_others_come_from_the_allowed_captions(choices: Any) -> None:
    assert len(choices) >= 2000
    for case, item in choices:
        needle = case.shown[0].clip
        (fact,) = item.facts
        true = {plain(value) for kind, _, value in said_of(needle) if kind == fact.kind}
        right = [n for n, option in enumerate(item.options) if plain(option) in true]
        assert ["ABCD"[n] for n in right] == [item.key], item
        assert plain(item.options[right[0]]) == plain(fact.value) == plain(item.answer)
        assert len({plain(option) for option in item.options}) == 4
        allowed = {row.clip["clip_id"]: row.clip for row in case.others}
        assert needle["clip_id"] not in allowed
        for option, clip_id in zip(item.options, item.option_clips, strict=True):
            if option != item.options[right[0]]:
                assert plain(option) in {
                    plain(v) for k, _, v in said_of(allowed[clip_id]) if sort_of(k) == sort_of(fact.kind)
                }
            else:
                assert clip_id == needle["clip_id"]


def test_what_is_asked_has_one_answer_in_the_needle(choices: Any) -> None:
    for case, item in choices:
        (fact,) = item.facts
        values = {plain(v) for k, s, v in said_of(case.shown[0].clip) if (k, s) == (fact.kind, fact.subject)}
        assert values == {plain(fact.value)}
        assert plain(fact.value) not in plain(item.question).split(), item.question


def test_letters_are_uniform(choices: Any) -> None:
    counts = Counter(item.key for _, item in choices)
    assert chisquare([counts[letter] for letter in "ABCD"]).pvalue > 0.01
    assert sum(counts.values()) == len(choices)


def test_text_alone_does_not_solve_them(choices: Any, events: Any) -> None:
    for film in ("drawn", "film"):
        items = [item for case, item in choices if case.item_id.endswith(film)]
        assert text_only(items).classifier <= 0.30
    asked = [item for case, item in events if item.options and case.item_id.endswith("drawn")]
    assert text_only(asked).classifier <= 0.30


def test_too_few_distractors_are_a_reason_and_another_fact_is_tried() -> None:
    needle = clip_row("n", [Fact("object_colour", "the circle", "red"), Fact("glyph", "the letter", "K")])
    letters = [clip_row(f"h{n}", [Fact("glyph", "the letter", letter)]) for n, letter in enumerate("ABC")]
    case = Case("1", "temporal_niah", (Shown(needle),), whole(letters), form="mcq")
    found = [TemplateSynthesiser(seed, []).write([case])[0] for seed in range(12)]
    assert {item.style for item in found if isinstance(item, Item)} == {"glyph"}
    skipped = {item.skipped for item in found if isinstance(item, Item)}
    assert (("object_colour", "the circle", "few_distractors"),) in skipped
    (none,) = TemplateSynthesiser(0, [needle]).write([Case("1", "temporal_niah", (Shown(needle),), form="mcq")])
    assert isinstance(none, Reject)
    assert none.reason == "few_distractors"
    assert "glyph of the letter: few_distractors" in none.detail


def test_a_value_that_is_or_may_be_true_of_the_needle_is_no_distractor() -> None:
    needle = clip_row("n", [Fact("object_colour", "the circle", "red"), Fact("object_colour", "the star", "blue")])
    values = ("dark red", "Blue", "light blue", "green", "grey", "gray", "pink")
    hay = [clip_row(f"h{n}", [Fact("object_colour", "the square", value)]) for n, value in enumerate(values)]
    (item,) = TemplateSynthesiser(0, hay).write([Case("1", "temporal_niah", (Shown(needle),), whole(hay), form="mcq")])
    assert isinstance(item, Item)
    assert set(item.options) - {item.answer} == {"Green", "Grey", "Pink"}


def test_a_value_that_nearly_all_clips_have_is_seldom_asked() -> None:
    """Nine of ten needles are static: asked evenly, "static" would be right nine times of ten, and never wrong."""
    sources = []
    motions = ("static", "pan left", "pan right", "tilt up", "tilt down")
    colours = ("red", "blue", "green", "brown", "white")
    for number in range(100):
        rare = motions[1 + number // 10 % 4]
        rows = [
            clip_row(
                f"c{number}-{n}",
                [
                    Fact("camera_motion", "the camera", rare if n == number % 10 else "static"),
                    Fact("dominant_colour", "the picture", colours[(number + n) % 5]),
                ],
                source=f"s{number}",
            )
            for n in range(10)
        ]
        sources.append(rows)
    clips = [row for rows in sources for row in rows]
    hay = whole([clip_row(f"h{n}", [Fact("camera_motion", "the camera", m)]) for n, m in enumerate(motions)])
    hay += whole([clip_row(f"g{n}", [Fact("dominant_colour", "the picture", c)]) for n, c in enumerate(colours)])
    asked = [Case(row["clip_id"], "temporal_niah", (Shown(row),), hay, form="mcq") for row in clips]
    items = [item for item in TemplateSynthesiser(0, clips).write(asked) if isinstance(item, Item)]
    right = Counter(item.answer for item in items if item.style == "camera_motion")
    assert len(items) == 1000
    assert right["Static"] < 0.1 * sum(item.style == "dominant_colour" for item in items)
    assert sum(count for answer, count in right.items() if answer != "Static") > 20


# --- what can be asked ---


def test_what_changes_is_cut_or_names_its_answer_is_not_asked() -> None:
    early, late = [Fact("glyph", "the letter", "K")], [Fact("glyph", "the letter", "B")]
    facts = [
        Fact("object_colour", "the red circle", "red"),
        Fact("object_shape", "the circle", "circle"),
        Fact("change", "the star", "from red to blue"),
        Fact("brightness", "the picture", "dim"),
    ]
    clip = clip_row("n", facts, [early, early, late, late])
    seen = sighting(Shown(clip))
    assert seen.facts == (Fact("change", "the star", "from red to blue"), Fact("brightness", "the picture", "dim"))
    assert set(seen.unclear) == {
        ("object_colour", "the red circle", "told_by_name"),
        ("object_shape", "the circle", "told_by_name"),
        ("glyph", "the letter", "changes"),
    }
    part = sighting(Shown(clip, 0.0, 1.2))
    assert Fact("glyph", "the letter", "K") in part.facts
    assert ("change", "the star", "cut") in part.unclear
    assert Fact("glyph", "the letter", "B") in sighting(Shown(clip, 3.8, 5.0)).facts
    # up to 2.5 s only centre frames are known to show K: B may begin a little earlier
    assert ("glyph", "the letter", "changes") in sighting(Shown(clip, 0.0, 2.5)).unclear
    assert ("glyph", "the letter", "not_shown") in sighting(Shown(clip, 1.9, 2.4)).unclear


def test_what_blinks_is_not_counted_by_single_frames() -> None:
    blink = [Fact("change", "the star", "blinks")]
    clip = clip_row("n", blink, [[Fact("object_count", "the shapes", count)] for count in ("two", "two", "one")])
    assert ("object_count", "the shapes", "changes") in sighting(Shown(clip, 0.0, 1.0)).unclear
    assert not needs_both(Case("1", "two_needle_niah", (Shown(clip, 0.0, 2.0), Shown(clip, 2.0, 5.0))))


def test_two_facts_of_one_subject_are_ambiguous() -> None:
    clip = clip_row("n", [Fact("text", "the sign", "STOP"), Fact("text", "the sign", "EXIT")])
    assert sighting(Shown(clip)).unclear == (("text", "the sign", "ambiguous"),)


@pytest.mark.parametrize("subset", ["temporal_niah", "event_relationship", "two_needle_niah"])
def test_kind_without_a_form_is_an_error_that_names_it(subset: Subset) -> None:
    clip = clip_row("n", [Fact("smell", "the rose", "sweet")])
    shown = {"event_relationship": whole([clip, clip_row("m", [], source="source-n", start_s=6.0)])}
    parts = (Shown(clip, 0.0, 2.0), Shown(clip, 2.0, 5.0))
    case = Case("1", subset, shown.get(subset, parts if subset == "two_needle_niah" else (Shown(clip),)))
    with pytest.raises(ValueError, match="kind 'smell' have no question form"):
        TemplateSynthesiser(0, [clip]).write([case])


@pytest.mark.parametrize("kind", sorted(ASKED))
def test_every_kind_has_several_forms_and_a_clause(kind: str) -> None:
    fact = Fact(kind, "the large circle", "three")
    assert len(forms_of(fact)) >= 2
    assert clause(fact)
    assert not clause(fact).endswith(".")


# --- events ---


def first_frames(case: Case, item: Item) -> dict[str, float]:
    """When each clause of an event question's options or list is true: the start of the one clip that has the fact."""
    found: dict[str, float] = {}
    for shown in case.shown:
        for kind, subject, value in said_of(shown.clip):
            for name in (subject, "the picture"):
                found.setdefault(plain(clause(Fact(kind, name, value))), shown.clip["start_s"])
    return found


def listed_of(text: str) -> list[str]:
    return [plain(part) for part in re.findall(r"\(\d\) (.*?)(?:;|\.$)", text)]


def test_events_are_in_the_order_of_the_clips(events: Any) -> None:
    """A brute-force look: when each clause is true, and which of the answers the question then asks for."""
    styles = Counter()
    for case, item in events:
        starts = first_frames(case, item)
        styles[item.style, bool(item.options)] += 1
        if item.style == "order":
            listed = listed_of(item.question)
            true = sorted(range(3), key=lambda n: starts[listed[n]])
            wanted = ", ".join(f"({n + 1})" for n in true)
            answers = list(item.options) or [item.answer.partition(":")[0]]
            right = [answer for answer in answers if answer == wanted]
        else:
            answers = list(item.options) or listed_of(item.question)
            times = {plain(answer): starts[plain(answer)] for answer in answers}
            named = [starts[plain(part)] for part in re.findall(_NAMED, item.question)]
            right = [answer for answer in answers if fits(item.style, times[plain(answer)], times, named, case)]
        assert len(right) == 1, (item, right)
        if item.options:
            assert right[0] == item.options["ABCD".index(item.key)]
        else:
            assert plain(right[0]) in plain(item.answer)
    assert {style for style, _ in styles} == {"first", "last", "before", "after", "between", "order"}
    assert len(events) >= 400


_NAMED = r"part (?:of the video )?in which (.*?)(?= and (?:before|the later)|\?)"


def fits(style: str, time: float, times: dict[str, float], named: list[float], case: Case) -> bool:
    clips = [shown.clip["start_s"] for shown in case.shown]
    if style == "first":
        return time == min(times.values())
    if style == "last":
        return time == max(times.values())
    if style == "before":
        return time == max(start for start in clips if start < named[0])
    if style == "after":
        return time == min(start for start in clips if start > named[0])
    return named[0] < time < named[1]


def test_an_event_is_true_of_one_clip_alone(events: Any) -> None:
    for case, item in events:
        for fact in item.facts:
            clips = [s.clip["clip_id"] for s in case.shown if tuple(fact) in said_of(s.clip)]
            assert len(clips) == 1, (fact, clips)


def test_brightness_tells_clips_apart_only_where_all_state_it() -> None:
    rows = [
        clip_row(f"c{n}", [Fact("brightness", "the picture", value)] if value else [], source="s", start_s=6.0 * n)
        for n, value in enumerate(("dim", "bright", "dark", ""))
    ]
    ask = TemplateSynthesiser(0, rows)
    (none,) = ask.write([Case("1", "event_relationship", whole(rows))])
    assert isinstance(none, Reject)
    assert none.reason == "few_events"
    (item,) = ask.write([Case("1", "event_relationship", whole(rows[:3]), form="qa")])
    assert isinstance(item, Item)


# --- two parts ---


def test_two_parts_are_compared_counted_and_ordered() -> None:
    early = [Fact("object_colour", "the star", "red"), Fact("glyph", "the letter", "K")]
    late = [Fact("object_colour", "the star", "blue"), Fact("glyph", "the letter", "B")]
    clip = clip_row("n", [Fact("camera_motion", "the camera", "static")], [early, early, early, late, late])
    parts = (Shown(clip, 0.0, 3.0), Shown(clip, 3.0, 5.0))
    found = [TemplateSynthesiser(seed, [clip]).write([Case("1", "two_needle_niah", parts)])[0] for seed in range(40)]
    styles = {item.style for item in found if isinstance(item, Item)}
    assert styles == {"change", "order", "count", "same"}
    for item in found:
        assert isinstance(item, Item)
        words = plain(item.answer).split()
        times = [words.index(word) for pair in (("red", "k"), ("blue", "b")) for word in pair if word in words]
        assert len(times) == 2 or item.style == "same", item.answer
        assert times == sorted(times) or item.style == "count"
        assert item.subset == "two_needle_niah_qa"
        assert item.options == ()


def test_parts_that_are_alike_are_refused_and_told_so_beforehand() -> None:
    clip = clip_row("n", [Fact("camera_motion", "the camera", "static")])
    case = Case("1", "two_needle_niah", (Shown(clip, 0.0, 3.0), Shown(clip, 3.0, 5.0)))
    (none,) = TemplateSynthesiser(0, [clip]).write([case])
    assert isinstance(none, Reject)
    assert none.reason == "parts_alike"
    assert not needs_both(case)


def test_what_stays_is_asked_now_and_then_where_something_else_changes() -> None:
    parts = [[Fact("brightness", "the picture", value)] for value in ("dim", "dim", "bright", "bright")]
    clip = clip_row("n", [Fact("camera_motion", "the camera", "static")], parts)
    case = Case("1", "two_needle_niah", (Shown(clip, 0.0, 2.5), Shown(clip, 2.5, 5.0)))
    assert needs_both(case)
    found = [TemplateSynthesiser(seed, [clip]).write([case])[0] for seed in range(60)]
    same = [item for item in found if isinstance(item, Item) and item.style == "same"]
    assert 5 < len(same) < 30
    assert {item.answer for item in same} == {"Yes: in both parts the camera is static."}


def test_a_change_somewhere_in_the_clip_is_told_from_begin_to_end() -> None:
    """The change may fall within a part, so that neither value need hold all through it."""
    facts = [Fact("colour_before", "the large circle", "red"), Fact("colour_after", "the large circle", "blue")]
    colours = ("red", "red", "red", "blue", "blue")
    clip = clip_row("n", facts, [[Fact("object_colour", "the circle", colour)] for colour in colours])
    for cut in (1.0, 2.4, 3.0):
        case = Case("1", "two_needle_niah", (Shown(clip, 0.0, cut), Shown(clip, cut, 5.0)))
        found = [TemplateSynthesiser(seed, [clip]).write([case])[0] for seed in range(20)]
        for item in found:
            assert isinstance(item, Item)
            words = plain(item.answer).split()
            assert item.style == "count" or words.index("red") < words.index("blue")
            assert item.style != "change" or ("part begins" in item.answer and "part ends" in item.answer)


# --- long captions ---


def captions(*texts: str, facts: Any = ()) -> tuple[Shown, ...]:
    return whole([clip_row(f"c{n}", facts, source="s", start_s=6.0 * n, caption=t) for n, t in enumerate(texts)])


def told(shown: tuple[Shown, ...]) -> str:
    (item,) = TemplateSynthesiser(0, []).write([Case("1", "long_video_caption", shown)])
    assert isinstance(item, Item)
    return re.sub(r"\b(Then|Next|After that|Afterwards|Later on), ", "+ ", item.answer)


def test_long_caption_says_once_what_repeats_and_calls_things_by_one_name() -> None:
    thing = [Fact("object_shape", "the red object", "circle")]
    text = told(
        captions(
            "On a white background there is a red circle. It rains.",
            "On a white background there is a red circle. It rains. A red circle grows.",
            "A red circle shrinks. A lamp is on.",
            "It rains. The red circle grows.",
            facts=thing,
        )
    )
    assert text == (
        "On a white background there is a red circle. It rains. + the red circle grows. + the red circle shrinks. "
        "A lamp is on. + it rains again. The red circle grows again."
    )


def test_long_caption_of_facts_tells_what_is_new() -> None:
    rows = [
        clip_row("a", [Fact("object_colour", "the circle", "red"), Fact("camera_motion", "the camera", "pan left")]),
        clip_row(
            "b", [Fact("object_colour", "the big circle", "blue"), Fact("camera_motion", "the camera", "pan left")]
        ),
        clip_row("c", [Fact("object_colour", "the circle", "red"), Fact("brightness", "the picture", "dark")]),
    ]
    for n, row in enumerate(rows):
        row |= {"caption": "", "source_id": "s", "start_s": 6.0 * n, "end_s": 6.0 * n + 5}
    assert told(whole(rows)) == (
        "The circle is red. The camera pans left. + the circle is blue. + the circle is red again. The picture is dark."
    )


# --- what a question tells ---

_LEAK = re.compile(r"\d|seconds|minute|corner|top|bottom|caption|left side|right side|middle|begins", re.IGNORECASE)


def test_instructions_and_places_tell_no_time_place_or_answer() -> None:
    for subset in SUBSETS:
        assert len(INSTRUCTIONS[subset]) >= 5
        for text in (*INSTRUCTIONS[subset], *WHERE.get(subset, ())):
            # how rows are counted is told, and which cell is asked of
            counted = text.replace("top to bottom", "").replace("from the top", "")
            assert not _LEAK.search(counted if subset == "hr_video_grid" else text), text


@pytest.mark.parametrize("film", [False, True])
def test_no_question_tells_a_time_or_mentions_captions(film: bool) -> None:
    every = written(cases(film, None, SUBSETS)[::3], film)
    assert {item.subset for _, item in every} == {
        *("long_video_caption", "event_relationship_qa", "event_relationship_mcq", "two_needle_niah_qa"),
        *(f"{name}_{form}" for name in NIAH for form in ("qa", "mcq")),
    }
    for case, item in every:
        asked = f"{item.instruction} {item.question}"
        assert not re.search(r"\d+:\d\d|\d ?(s|sec|seconds|frames)\b|caption", asked), asked
        assert item.question[0].isupper()
        assert item.question[-1] in "?."
        assert "  " not in asked
        if case.cell:
            ordinals = ("", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
            row, column = case.cell
            assert re.search(rf"\b{ordinals[row]} row\b", item.question)
            assert re.search(rf"\b{ordinals[column]} column\b", item.question)


# --- records ---


def test_an_item_is_the_same_alone_and_among_others() -> None:
    every = cases(False, None, SUBSETS)[:120]
    ask = TemplateSynthesiser(3, clips_of(False))
    among = ask.write(every)
    assert [ask.write([case])[0] for case in reversed(every)] == among[::-1]
    assert TemplateSynthesiser(3, clips_of(False)[::-1]).write(every) == among
    assert TemplateSynthesiser(4, clips_of(False)).write(every) != among


def test_about_half_have_options_where_the_form_is_drawn() -> None:
    items = [item for _, item in written(cases(False, None), False)]
    share = sum(bool(item.options) for item in items) / len(items)
    assert 0.45 < share < 0.55
    none = [item for _, item in written(cases(False, None)[:40], False, mcq_share=0.0)]
    assert not any(item.options for item in none)


def test_conversation_has_the_video_first_and_the_letter_as_answer(choices: Any) -> None:
    _, item = choices[0]
    human, gpt = conversation(item)
    assert (human["from"], gpt) == ("human", {"from": "gpt", "value": item.key})
    lines = human["value"].split("\n")
    assert lines[0] == "<video>"
    assert lines[1] == f"{item.instruction} {item.question}"
    assert lines[2:6] == [f"{letter}. {option}" for letter, option in zip("ABCD", item.options, strict=True)]
    assert json.loads(json.dumps([human, gpt])) == conversation(item)


def test_impossible_cases_are_refused() -> None:
    one, other = clip_row("a", []), clip_row("b", [])
    with pytest.raises(ValueError, match="different sources"):
        Case("1", "long_video_caption", whole([one, other]))
    with pytest.raises(ValueError, match="order of their starts"):
        Case(
            "1",
            "event_relationship",
            whole([clip_row("a", [], source="s", start_s=9.0), clip_row("b", [], source="s")]),
        )
    with pytest.raises(ValueError, match="asked as"):
        Case("1", "two_needle_niah", (Shown(one, 0, 2), Shown(one, 2, 5)), form="mcq")
    with pytest.raises(ValueError, match="a cell is given"):
        Case("1", "hr_video_grid", (Shown(one),))
