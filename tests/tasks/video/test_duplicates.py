"""Near-duplicates among made-up takes: copies with known changes are found, takes that only look alike are not."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import cv2
import numpy as np
import pyarrow as pa
import pytest

from tasks.lineage import StageInfo, Tracker
from tasks.parameters import Knobs
from tasks.stage import Stage
from tasks.store import Store
from tasks.tables import read_table, write_table
from tasks.video import detect_shots, fingerprints, scan_video
from tasks.video.duplicates import Match, Quality, Rules, Samples, clusters, compare, distance, rank_key, search
from tasks.video.find_duplicates import DUPLICATES, MATCHES, FindDuplicates, Params, run
from tasks.video.fingerprints import (
    FULL,
    HEIGHT,
    RATE,
    WIDTH,
    FingerprintJob,
    Span,
    active_area,
    levels,
    make_fingerprints,
    pictures_of,
    query_table,
    read_pictures,
    sample_times,
    signature_table,
    signs_of,
    stored_fingerprints,
)
from tasks.video.floor import FloorParams
from tasks.video.frames import run_pass
from tasks.video.thumbnails import ColorDifference, Thumbnails, read_thumbnails
from tests.tasks.video.clips import write_clip
from tests.tasks.video.scenes import Image, Scene

RULES = Rules(max_distance=0.25, min_overlap_s=2, min_overlap_share=0.6)
FPS = 24
Change = Callable[[list[Image]], list[Image]]


# --- takes and what happens to them ---


def take(seed: int, seconds: float = 5, **how: Any) -> list[Image]:
    rng = np.random.default_rng(seed)
    how = {"pan_px": float(rng.choice([0, 0.3, 1, 3])), "zoom": float(rng.choice([1, 1.15])), "things": 4} | how
    return Scene(seed, round(seconds * FPS), height=108, width=192, **how).images


def cropped(left: float, right: float, top: float, bottom: float) -> Change:
    def change(images: list[Image]) -> list[Image]:
        h, w = images[0].shape[:2]
        rows, columns = slice(round(top * h), round((1 - bottom) * h)), slice(round(left * w), round((1 - right) * w))
        return [cv2.resize(image[rows, columns], (160, 90), interpolation=cv2.INTER_AREA) for image in images]

    return change


def mirrored(images: list[Image]) -> list[Image]:
    return [np.ascontiguousarray(image[:, ::-1]) for image in images]


def lit(gain: float, more: float) -> Change:
    return lambda images: [np.clip(image * gain + more, 0, 255).astype(np.uint8) for image in images]


def with_logo(images: list[Image]) -> list[Image]:
    h, w = images[0].shape[:2]
    found = [image.copy() for image in images]
    for image in found:
        cv2.rectangle(
            image, (round(0.84 * w), round(0.06 * h)), (round(0.95 * w), round(0.15 * h)), (250, 250, 250), -1
        )
    return found


def boxed(top: float, side: float) -> Change:
    def change(images: list[Image]) -> list[Image]:
        h, w = images[0].shape[:2]
        rows, columns = round(top * h), round(side * w)
        return [cv2.copyMakeBorder(image, rows, rows, columns, columns, cv2.BORDER_CONSTANT) for image in images]

    return change


def coarse(images: list[Image]) -> list[Image]:
    small = [cv2.resize(image, (128, 72), interpolation=cv2.INTER_AREA) for image in images]
    return [cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 1) for image in small]


def part(first_s: float, end_s: float) -> Change:
    return lambda images: images[round(first_s * FPS) : round(end_s * FPS)]


def every(other: int) -> Change:
    return lambda images: images[::other]


def grey(images: list[Image]) -> list[Image]:
    return [np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2) for image in images]


def both(*changes: Change) -> Change:
    def change(images: list[Image]) -> list[Image]:
        for one in changes:
            images = one(images)
        return images

    return change


CHANGES: dict[str, tuple[Change, int]] = {  # what happens, and frames a second after it
    "copy": (lambda images: images, FPS),
    "coarse": (coarse, FPS),
    "half the frame rate": (every(2), FPS // 2),
    "crop": (cropped(0.08, 0.08, 0.08, 0.08), FPS),
    "crop off centre": (cropped(0.1, 0, 0.02, 0.1), FPS),
    "crop of the sides": (cropped(0.1, 0.1, 0, 0), FPS),
    "mirror": (mirrored, FPS),
    "mirror and crop": (both(mirrored, cropped(0, 0.1, 0.05, 0)), FPS),
    "starts later": (part(1.6, 5), FPS),
    "ends earlier": (part(0, 3.2), FPS),
    "middle": (part(1, 4.2), FPS),
    "logo": (with_logo, FPS),
    "letterbox": (boxed(0.16, 0), FPS),
    "pillarbox": (boxed(0, 0.17), FPS),
    "brighter": (lit(1.1, 15), FPS),
    "less contrast": (lit(0.75, 10), FPS),
}


@dataclasses.dataclass
class Prints:
    """A take as the search and the comparison see it."""

    pictures: np.ndarray
    samples: Samples


def printed(images: Sequence[Image], fps: float = FPS, start_s: float = 0.0) -> Prints:
    frames = np.stack([cv2.resize(image[..., ::-1], (48, 27), interpolation=cv2.INTER_AREA) for image in images])
    span = Span(0, start_s + np.arange(len(frames) + 1) / fps)
    pictures, _ = pictures_of(lambda first, end: frames[first:end], span)
    times = sample_times(span)
    return Prints(pictures, Samples(start_s, start_s + len(frames) / fps, float(times[0]), levels(pictures)))


def tables(takes: Iterable[Prints]) -> tuple[pa.Table, pa.Table]:
    takes = list(takes)
    return (
        pa.concat_tables([signature_table(i, one.pictures) for i, one in enumerate(takes)]).combine_chunks(),
        pa.concat_tables([query_table(i, one.pictures) for i, one in enumerate(takes)]).combine_chunks(),
    )


def matched(takes: Sequence[Prints]) -> dict[tuple[int, int], Match]:
    index, queries = tables(takes)
    found = search(index, [queries])
    matches: dict[tuple[int, int], Match] = {}
    for one, other, view in zip(found.take.tolist(), found.other.tolist(), found.view.tolist(), strict=True):
        match = compare(takes[one].samples, takes[other].samples, view, RULES)
        pair = min(one, other), max(one, other)
        if match and (pair not in matches or match.distance < matches[pair].distance):
            matches[pair] = match
    return matches


@pytest.fixture(scope="module")
def originals() -> list[list[Image]]:
    return [take(seed) for seed in range(20)]


@pytest.fixture(scope="module")
def prints(originals: list[list[Image]]) -> list[Prints]:
    return [printed(images) for images in originals]


# --- copies are found, others are not ---


@pytest.mark.parametrize("name", CHANGES)
def test_copies_are_found_and_nothing_else(name: str, originals: list[list[Image]], prints: list[Prints]) -> None:
    change, fps = CHANGES[name]
    rng = np.random.default_rng(1)
    copies = [printed(change(images), fps, float(rng.uniform(0, 20))) for images in originals]
    found = set(matched([*prints, *copies]))
    right = {(i, i + len(prints)) for i in range(len(prints))}
    assert len(found & right) >= 0.95 * len(right)
    assert len(found & right) >= 0.95 * len(found)


def test_takes_before_one_backdrop_at_other_times_are_no_duplicates() -> None:
    # the same set, the same light, the camera at rest: only what moves before it tells
    scenes = [take(100 + i, 12, pan_px=0, zoom=1, things=5) for i in range(12)]
    found = matched([printed(part(*span)(images)) for images in scenes for span in ((0, 5), (7, 12))])
    assert found == {}


def test_slow_pans_over_one_backdrop_are_no_duplicates() -> None:
    scenes = [take(200 + i, 16, pan_px=1, zoom=1, things=0) for i in range(8)]
    found = matched([printed(part(*span)(images)) for images in scenes for span in ((0, 5), (11, 16))])
    assert found == {}


def test_dark_takes_match_their_copies_alone() -> None:
    dark = [lit(0.2, 4)(take(300 + i)) for i in range(8)]
    found = matched([*map(printed, dark), *(printed(coarse(images)) for images in dark)])
    assert {pair for pair in found if pair[1] - pair[0] != 8} == set()
    assert len(found) >= 7


@pytest.mark.parametrize("change", [cropped(0.05, 0.1, 0, 0.05), mirrored], ids=["crop", "mirror"])
def test_grey_takes_match_their_copies_alone(change: Change, originals: list[list[Image]]) -> None:
    films = [grey(images) for images in originals[:10]]
    found = matched([*map(printed, films), *(printed(change(images)) for images in films)])
    assert {pair for pair in found if pair[1] - pair[0] != 10} == set()
    assert len(found) >= 9


def test_flat_takes_are_left_out() -> None:
    black = [np.zeros((108, 192, 3), np.uint8)] * 96
    assert matched([printed(black), printed(black), printed(lit(1, 128)(black))]) == {}


def test_a_match_tells_where_and_when(originals: list[list[Image]], prints: list[Prints]) -> None:
    images = take(7, 6, pan_px=1.0, things=5)
    later = printed(both(part(1.5, 5.5), cropped(0.1, 0, 0, 0.1))(images), start_s=30.0)
    (match,) = matched([printed(images, start_s=3.0), later]).values()
    assert match.offset_s == pytest.approx(-1.5, abs=0.1)
    assert match.overlap_s == pytest.approx(4.0, abs=0.1)
    np.testing.assert_allclose(match.window, (0.1, 1.0, 0.0, 0.9), atol=0.02)


def test_too_little_in_common_is_no_match() -> None:
    images = take(8, 9, things=5)
    assert matched([printed(part(0, 5)(images)), printed(part(3.5, 8.5)(images))]) == {}  # 1.5 of 5 s
    assert matched([printed(part(0, 5)(images)), printed(part(1.5, 6.5)(images))]) != {}  # 3.5 of 5 s


# --- parts ---


def test_signs_of_a_mirrored_picture_are_turned_by_the_mirror(prints: list[Prints]) -> None:
    pictures = np.concatenate([one.pictures for one in prints])
    plain, _, _ = signs_of(pictures.reshape(len(pictures), -1) @ fingerprints.basis(FULL), 0)
    turned, _, _ = signs_of(pictures[:, :, ::-1].reshape(len(pictures), -1) @ fingerprints.basis(FULL), 0)
    assert np.bitwise_count(fingerprints.mirrored(plain) ^ turned).mean() < 0.2


def test_coefficients_are_those_of_a_cosine_transform() -> None:
    luma = np.random.default_rng(0).uniform(0, 255, (32, 32)).astype(np.float32)
    square = cv2.resize(luma, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    picture = np.stack([square, np.zeros_like(square), np.zeros_like(square)], axis=-1)
    found = picture.reshape(1, -1) @ fingerprints.basis(FULL)
    wanted = cv2.dct(cv2.resize(square, (256, 144), interpolation=cv2.INTER_NEAREST)) / np.sqrt(256 * 144)
    places = fingerprints._lowest(36)
    np.testing.assert_allclose(found[0, :36], [wanted[v, u] for v, u in places], atol=0.02)


def test_bars_are_left_out() -> None:
    brightest = np.full((27, 48), 200, np.uint8)
    brightest[:3] = brightest[25:] = 16
    brightest[:, :4] = 20
    assert active_area(brightest) == (5, 48, 4, 24)  # and what they may cover in part
    assert active_area(np.full((27, 48), 10, np.uint8)) == (0, 48, 0, 27)


def test_samples_are_what_a_triangle_sees_of_frames() -> None:
    grey_levels = np.random.default_rng(3).integers(0, 256, 60)
    frames = np.repeat(grey_levels.astype(np.uint8), 27 * 48 * 3).reshape(60, 27, 48, 3)
    span = Span(0, np.arange(61) / 30)
    pictures, _ = pictures_of(lambda first, end: frames[first:end], span)
    times, middles = sample_times(span), (np.arange(60) + 0.5) / 30
    assert times.tolist() == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
    for time, picture in zip(times, pictures, strict=True):
        weights = np.clip(0.25 - abs(middles - time), 0, None)
        assert picture[..., 0].mean() == pytest.approx((weights * grey_levels).sum() / weights.sum(), abs=1e-3)


def test_distance_is_the_worse_of_place_and_time() -> None:
    rng = np.random.default_rng(5)
    scene, moves = rng.normal(0, 40, (1, 18, 32)), rng.normal(0, 10, (20, 18, 32))
    assert distance(scene + moves, 0.8 * (scene + moves) + 12) == pytest.approx(0, abs=0.01)
    assert distance(scene + moves, scene + rng.normal(0, 10, moves.shape)) > 0.8  # the same set, other action
    assert distance(moves, rng.normal(0, 40, (1, 18, 32)) + moves) > 0.5  # the same action, another set
    still = np.repeat(scene, 20, axis=0)
    assert distance(still, still + rng.normal(0, 0.3, moves.shape)) < 0.15  # what coding changes


def test_a_bucket_leads_to_no_more_than_its_share() -> None:
    one = printed(take(9, 3, pan_px=0, things=0, zoom=1))
    found = search(*(lambda index, queries: (index, [queries]))(*tables([one] * 100)))
    of_each = np.bincount(found.take, minlength=100)
    assert of_each.max() <= 32
    assert of_each.min() >= 31  # and each finds the first ones, so that all are linked


@pytest.mark.slow
def test_each_of_many_changed_copies_finds_the_best_one() -> None:
    images, rng = take(9, 3), np.random.default_rng(6)
    copies = [printed(images)]
    for number in range(40):
        light = lit(float(rng.uniform(0.8, 1.1)), float(rng.uniform(0, 12)))
        copies.append(printed(both(light, coarse, *[mirrored][: number % 2])(images)))
    matches = matched(copies)
    assert {(0, number) for number in range(1, len(copies))} <= set(matches)
    names = [quality(f"{number:02}") for number in range(len(copies))]
    assert {centre for centre, _, _ in clusters(names, list(matches))} == {0}


def test_an_intro_of_many_takes_hides_no_copies_and_leads_to_few() -> None:
    rng = np.random.default_rng(7)

    def shots(count: int) -> np.ndarray:
        places = rng.normal(0, 1, (1, 4, 6, 3)) + 0.3 * rng.normal(0, 1, (count, 4, 6, 3))
        return np.stack(
            [128 + 40 * cv2.resize(place, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for place in places]
        )

    def seen(pictures: np.ndarray) -> Prints:
        pictures = (pictures + rng.normal(0, 0.5, pictures.shape)).astype(np.float32)
        return Prints(pictures, Samples(0.0, (len(pictures) + 1) / RATE, 1 / RATE, levels(pictures)))

    intro = np.repeat(shots(1), 6, axis=0)
    films = [np.concatenate([intro, shots(14)]) for _ in range(80)]
    takes = [*map(seen, films), seen(films[70])]
    index, queries = tables(takes)
    of_each = np.bincount(search(index, [queries]).take)
    assert 32 <= of_each.max() <= 2 * 32
    assert set(matched(takes)) == {(70, 80)}


def test_queries_in_parts_find_the_same(prints: list[Prints]) -> None:
    index, queries = tables([*prints[:6], *prints[:6]])
    whole = search(index, [queries])
    parts = search(index, [queries.slice(at, 100).combine_chunks() for at in range(0, len(queries), 100)])
    for name in ("take", "other", "view", "signs"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


# --- the search, beside a loop over all pairs ---


@dataclasses.dataclass
class Signed:
    """Takes of one signature each, in the index and looked up."""

    band: np.ndarray
    signature: np.ndarray
    beside: np.ndarray
    weak: np.ndarray  # (N, 8)

    def tables(self) -> tuple[pa.Table, pa.Table]:
        columns = {
            "take": np.arange(len(self.band), dtype=np.int32),
            "band": self.band.astype(np.uint8),
            "signature": self.signature,
            "beside": self.beside,
            "window": np.zeros(len(self.band), np.uint8),
            "weak": np.ascontiguousarray(self.weak, np.uint8).view("<u8")[:, 0],
        }
        queries = pa.table(columns).cast(fingerprints.QUERIES)
        return queries.select(fingerprints.SIGNATURES.names), queries

    def turned(self) -> "Signed":
        signature, beside = map(fingerprints.mirrored, (self.signature, self.beside))
        return dataclasses.replace(self, signature=signature, beside=beside)


LUMA, RED = np.uint64((1 << 36) - 1), np.uint64(0xFFFF << 36)
RED_OF_TOKEN = RED & fingerprints.MASKS[0]


def drawn(rng: np.random.Generator, count: int, band: int = 0) -> Signed:
    signature, beside = rng.integers(0, 1 << 64, (2, count), np.uint64) & (LUMA if band & 1 else ~np.uint64(0))
    weak = np.stack([rng.permutation(fingerprints.TOKENS[band & 1])[:8] for _ in range(count)])
    return Signed(np.full(count, band), signature, beside, weak)


def copied(rng: np.random.Generator, takes: Signed, most: int) -> Signed:
    """Return copies in which up to `most` signs have changed, of a token only such as are in doubt; mirror half."""
    signature, beside = takes.signature.copy(), takes.beside.copy()
    for i, band in enumerate(takes.band):
        signs = [bit for bit in range(36 if band & 1 else 64)]
        of_token = set(fingerprints.TOKENS[band & 1].tolist())
        may = [
            *(bit for bit in signs if bit not in of_token),
            *takes.weak[i, :5].tolist(),
            *(64 + bit for bit in signs),
        ]
        for bit in rng.choice(may, rng.integers(0, most + 1), replace=False).tolist():
            if bit < 64:
                signature[i] ^= np.uint64(1 << bit)
            else:
                beside[i] ^= np.uint64(1 << bit - 64)
    plain = dataclasses.replace(takes, signature=signature, beside=beside)
    mirror = rng.random(len(signature)) < 0.5
    turned = plain.turned()
    plain.signature, plain.beside = (
        np.where(mirror, getattr(turned, name), getattr(plain, name)) for name in ("signature", "beside")
    )
    return plain


def joined(*parts: Signed) -> Signed:
    fields = dataclasses.fields(Signed)
    return Signed(**{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields})


def looked_for(takes: Signed, most_signs: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Return (take, other, view, signs) of what a search should find: each take is held beside each."""
    found = []
    both = (takes, takes.turned())
    for i, band in enumerate(takes.band):
        in_doubt = sum(1 << int(bit) for bit in takes.weak[i, :5])
        sure = fingerprints.MASKS[band & 1] & ~np.uint64(in_doubt)
        ways = []
        for view, one in enumerate(both):
            differing = one.signature[i] ^ takes.signature
            signs = np.bitwise_count(differing).astype(int) + np.bitwise_count(one.beside[i] ^ takes.beside)
            hit = (differing & sure == 0) & (takes.band == band) & (signs <= most_signs[band & 1])
            ways.append(np.where(hit, 2 * signs + view, 1000))
        best = np.min(ways, axis=0)
        best[i] = 1000
        found += [(i, int(other), int(best[other] % 2), int(best[other] // 2)) for other in np.flatnonzero(best < 1000)]
    return found


@pytest.mark.parametrize(("times", "most_signs"), [(0.5, (20, 11)), (1.5, (20, 11)), (2.5, (19, 10)), (9, (17, 8))])
def test_search_finds_what_a_loop_over_all_pairs_finds(
    times: float, most_signs: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(11)
    takes = joined(*(drawn(rng, 150, band) for band in range(4)))
    takes.signature[:40] &= ~RED  # without a channel of colour
    takes.signature[40:80] &= ~RED_OF_TOKEN  # with one, but no signs of it in the token
    copies = [copied(rng, takes, 25) for _ in range(2)]
    faded = dataclasses.replace(takes, signature=takes.signature & ~RED)
    takes = joined(takes, *copies, faded, faded.turned())
    each = np.bincount(takes.band).tolist()
    assert each == [750] * 4
    monkeypatch.setattr("tasks.video.duplicates.FEW", int(750 / times), raising=False)
    index, queries = takes.tables()
    found = search(index, [queries])
    wanted = looked_for(takes, most_signs)
    columns = (found.take.tolist(), found.other.tolist(), found.view.tolist(), found.signs.tolist())
    assert list(zip(*columns, strict=True)) == wanted
    assert {int(takes.band[take]) for take, _, view, _ in wanted if view} == {0, 1, 2, 3}
    assert max(signs for _, _, _, signs in wanted) == most_signs[0]
    order = rng.permutation(len(index))
    shuffled = search(index.take(order), [queries.take(order[::-1]).combine_chunks()])
    for name in ("take", "other", "view", "signs", "probes", "collisions"):
        np.testing.assert_array_equal(getattr(shuffled, name), getattr(found, name))


def test_one_look_up_finds_a_picture_and_its_mirror_image() -> None:
    takes = drawn(np.random.default_rng(12), 200)
    index, queries = joined(takes, takes.turned()).tables()
    found = search(index, [queries])
    pairs = list(zip(found.take.tolist(), found.other.tolist(), found.view.tolist(), strict=True))
    assert pairs == [(i, (i + 200) % 400, 1) for i in range(400)]
    assert found.probes == 400 * 2**5


def test_a_take_meets_hardly_more_chance_candidates_among_more_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.video.duplicates.FEW", 1500, raising=False)
    by_chance = {}
    for count in (1_500, 12_000):
        rng = np.random.default_rng(13)
        takes, mask = drawn(rng, count), fingerprints.MASKS[0]
        few_tokens = rng.integers(0, 1 << 64, 1000, np.uint64)[rng.integers(0, 1000, count)]
        differing = np.packbits(rng.random((2, count, 64)) < 0.18, axis=2, bitorder="little").view("<u8")[..., 0]
        takes.signature = few_tokens & mask | differing[0] & ~mask  # of two takes, 27 signs of 93 or so
        takes.beside = differing[1]
        copies = dataclasses.replace(takes, beside=takes.beside ^ np.uint64(0b101100111))
        index, queries = joined(takes, copies).tables()
        originals = np.flatnonzero(index["take"].to_numpy() < count)
        found = search(index.take(originals), [queries])
        copy_of_it = np.abs(found.take - found.other) == count
        assert np.count_nonzero(copy_of_it) == count
        by_chance[count] = np.count_nonzero(~copy_of_it) / count
    assert by_chance[1_500] > 0.05
    assert by_chance[12_000] < 2 * by_chance[1_500]  # of eight times the takes


# --- clusters ---


def quality(name: str, area: float = 1280 * 720, bits: float = 1.0, seconds: float = 5.0) -> Quality:
    return Quality(name, area, bits, seconds)


def test_the_best_copy_is_larger_then_longer_then_better_coded() -> None:
    copies = [
        quality("small", area=640 * 360, bits=9, seconds=9),
        quality("short", bits=9, seconds=3),
        quality("poor", bits=0.5),
        quality("good", bits=2),
        quality("a little longer", bits=1.9, seconds=5.1),
        quality("large", area=1920 * 1080, bits=0.1, seconds=3),
    ]
    order = [take.take_id for take in sorted(copies, key=rank_key)]
    assert order == ["large", "good", "a little longer", "poor", "short", "small"]


def test_members_of_a_cluster_match_the_one_that_is_kept() -> None:
    rng = np.random.default_rng(2)
    takes = [quality(f"{i:03}", bits=float(rng.random())) for i in range(60)]
    pairs = [(a, b) for a, b in itertools.combinations(range(60), 2) if rng.random() < 0.03]
    found = clusters(takes, pairs)
    touching = {frozenset(pair) for pair in pairs}
    for number, (centre, rank, linked) in enumerate(found):
        assert number == centre or frozenset((number, centre)) in touching
        assert (rank == 0) == (number == centre)
        assert rank_key(takes[centre]) <= rank_key(takes[number])
        assert found[linked][2] == linked
    for a, b in pairs:
        assert found[a][2] == found[b][2]
        assert not (found[a][1] == found[b][1] == 0)  # of two that match, no two are kept


# --- with real files, and as a stage ---


def scanned(path: Path, store: Store) -> tuple[list[str], np.ndarray]:
    keep, difference = Thumbnails(store.table_blob), ColorDifference(store.table_blob)
    run_pass(path, [keep, difference], frame_s=1 / FPS)
    (table,) = difference.finish()[1]
    return keep.finish()[1], store.read_table_blob(table).column("pts").to_numpy()


class Films:
    """Files of one take each, scanned, with the tables that scan_video and detect_shots would write."""

    def __init__(self, folder: Path) -> None:
        self.root, self.store = folder, Store(folder / "data/store")
        self.videos: list[dict[str, Any]] = []
        self.frames: list[dict[str, Any]] = []
        self.shots: list[dict[str, Any]] = []

    def add(self, name: str, images: list[Image], **how: Any) -> str:
        path = write_clip(self.root / "films" / f"{name}.mkv", images, **how)
        blobs, pts = scanned(path, self.store)
        source_id = f"{len(self.videos):064x}"[::-1]
        fps = how.get("fps", FPS)
        end_pts = int(pts[-1]) + round(1000 / fps)
        row: dict[str, Any] = {
            field.name: [] if pa.types.is_list(field.type) else "" if pa.types.is_string(field.type) else 0
            for field in scan_video.VIDEOS
        }
        row |= {"source_id": source_id, "name": name, "thumbnail_blobs": blobs, "video_bytes": path.stat().st_size}
        row |= {"height": images[0].shape[0], "width": images[0].shape[1], "duration_s": len(images) / fps}
        row |= {"time_base_num": 1, "time_base_den": 1000, "start_pts": int(pts[0]), "end_pts": end_pts}
        row |= {"mirrored": False}
        self.videos.append(row)
        self.frames += [
            {"source_id": source_id, "pts": int(time), "i_frame": True, "color_difference": None} for time in pts
        ]
        shot = {"source_id": source_id, "start_pts": int(pts[0]), "end_pts": end_pts, "frames": len(pts)}
        shot |= {"begins": "start", "ends": "end", "begins_probability": 1.0, "ends_probability": 1.0}
        self.shots.append(shot)
        return f"{source_id[:16]}-{int(pts[0])}-{end_pts}"

    def find(self, workers: int = 1) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        curated = self.root / "data/curated"
        schema = scan_video.VIDEOS
        if "video_bytes" not in schema.names:
            schema = schema.append(pa.field("video_bytes", pa.int64(), nullable=False))
        for name in ("scan", "shots"):
            (curated / name).mkdir(parents=True, exist_ok=True)
        write_table(curated / "scan/videos.parquet", self.videos, schema)
        write_table(curated / "scan/frames.parquet", self.frames, scan_video.FRAMES)
        write_table(curated / "shots/shots.parquet", self.shots, detect_shots.SHOTS)
        knobs = Knobs(engine="local", workers=workers, item_timeout_s=600, max_reject_fraction=0.5, log_level="error")
        stage = Stage(_info(), self.root, knobs, Tracker())
        find = FindDuplicates(**dataclasses.asdict(RULES))
        run(stage, Params(floor=FloorParams(min_height_px=1, min_duration_s=1), find_duplicates=find))
        stage._publish()
        duplicates = read_table(curated / "duplicates/duplicates.parquet", DUPLICATES).to_pylist()
        return duplicates, read_table(curated / "duplicates/matches.parquet", MATCHES).to_pylist()


def _info() -> StageInfo:
    fields: dict[str, Any] = {
        "address": "find_duplicates",
        "name": "find_duplicates",
        "deps": dict.fromkeys(("data/curated/scan", "data/curated/shots"), ""),
        "outs": dict.fromkeys(("data/curated/duplicates", "data/metrics/find_duplicates.json"), ""),
    }
    for name, kind in get_type_hints(StageInfo).items():
        fields.setdefault(name, (get_origin(kind) or kind)())
    return StageInfo(**fields)


@pytest.mark.slow
def test_real_encoders_change_nothing_that_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "data/store"))
    films = Films(tmp_path)
    small = cropped(0, 0, 0, 0)
    wanted = {}
    for seed in range(4):
        images = take(400 + seed, 4, pan_px=[0, 0.5, 0, 2][seed], things=3)
        wanted[films.add(f"best{seed}", images, options={"crf": "16"})] = {
            films.add(f"poor{seed}", small(images), options={"crf": "34"}),
            films.add(f"old{seed}", mirrored(small(images)), codec="mpeg4", options={"qscale": "8", "flags": "qscale"}),
            films.add(f"slow{seed}", every(2)(small(images)), fps=FPS // 2, codec="libvpx-vp9", options={"crf": "40"}),
        }
    films.add("another", take(499, 4))
    rows, matches = films.find()
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["cluster_id"], set())
        if row["rank"]:
            found[row["cluster_id"]].add(row["take_id"])
    assert found == wanted
    assert {row["linked_id"] for row in rows} == set(wanted)
    assert any(match["mirrored"] for match in matches)


def test_more_copies_than_a_token_leads_to_are_in_the_cluster_of_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "data/store"))
    monkeypatch.setattr("tasks.video.duplicates.BUCKET", 3)
    films, images = Films(tmp_path), take(450, 3)
    names = []
    for number in range(9):
        names.append(films.add(f"copy{number}", images))
        films.videos[-1]["video_bytes"] += 1000 * number  # the last is the best
    rows, _ = films.find()
    assert {row["take_id"]: row["cluster_id"] for row in rows} == dict.fromkeys(names, names[-1])


def test_fingerprints_are_made_once_and_the_same_for_any_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "data/store"))
    films = Films(tmp_path)
    for seed in range(3):
        films.add(f"one{seed}", take(500 + seed, 3))
        films.add(f"other{seed}", with_logo(take(500 + seed, 3)))
    first = films.find(workers=1)
    table = (tmp_path / "data/curated/duplicates/matches.parquet").read_bytes()
    monkeypatch.setattr("tasks.video.find_duplicates.make_fingerprints", None)
    assert films.find(workers=2) == first
    assert (tmp_path / "data/curated/duplicates/matches.parquet").read_bytes() == table
    assert len(first[0]) == 6


def test_fingerprints_depend_on_thumbnails_times_and_spans(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    path = write_clip(tmp_path / "clip.mp4", take(600, 5))
    blobs, pts = scanned(path, store)
    edges = np.append(pts, pts[-1] + pts[1]) / (pts[1] * FPS)
    job = FingerprintJob(tuple(blobs), edges, ((0, 60), (60, 120)), store.url)
    assert make_fingerprints(job) == 18
    store.refresh()
    same = dataclasses.replace(job, edges_s=edges.copy())
    others = [
        dataclasses.replace(job, edges_s=edges * 1.001),
        dataclasses.replace(job, takes=((0, 120),)),
        dataclasses.replace(job, thumbnail_blobs=(*blobs, *blobs)),
    ]
    kept = stored_fingerprints(store, {"same": same, **{str(i): other for i, other in enumerate(others)}})
    assert list(kept) == ["same"]
    for blob in kept["same"].blobs:
        path = store.blob_path(blob)
        assert path is not None
        path.rename(path.with_suffix(".gone"))
        assert stored_fingerprints(store, {"same": same}) == {}  # else its search would fail, at every run
        path.with_suffix(".gone").rename(path)
    frames = read_thumbnails(store, blobs)
    for read, (first, end) in zip(read_pictures(store, kept["same"]), job.takes, strict=True):
        alone, _ = pictures_of(lambda a, b: frames[a:b], Span(first, edges[first : end + 1]))
        np.testing.assert_array_equal(read, levels(alone))
