"""Near-duplicates among takes: candidates that share parts of fingerprints, confirmed by their pictures, in clusters.

A look-up costs the same however many takes there are: buckets are capped, and what a token lets through must agree in
the signs of both regions before two takes are compared. Of pairs of takes that agree by chance there are as the square
of the takes: the more takes there are, the fewer signs may differ, so that each is compared with few at any size.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tasks.video.fingerprints import BANDS, HEIGHT, MASKS, RATE, WIDTH, WINDOWS, Rect, mirrored

WEAK = 5  # bits of a query that are tried both ways
MOST_SIGNS = (20, 11)  # of 128, or 72 of a grey picture, that may differ in what is compared; by chance half do
BUCKET = 32  # takes that one token leads to, the first ones
FEW = 1 << 22  # entries of a band, of some 280,000 takes: with each doubling of them, one sign less may differ
CHUNK = 4_096  # queries looked up at once, whose places stay in the processor's cache
SIEVE = 7  # 2 to this power bits or more for each entry: most tokens that lead to nothing are not looked up
LARGEST_SIEVE = 32  # 2 to this power bits are half a gigabyte
LOOKED_AT = 8  # pictures by which the place of one take in another is fitted
REJECTED_AT = 0.5  # likeness of pictures below which no fit can help
NOISE = 0.75  # grey levels: what coding alone changes over time in a small picture

_BIT = np.uint8(1) << np.arange(8, dtype=np.uint8)
_NONE = np.empty((0, 4), np.int32)
_TURNED = tuple((mirrored(np.array(MASKS)) ^ MASKS) & MASKS)  # in a token, where no channel is without colour


# --- candidates -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidates:
    """Pairs that may be near-duplicates, sorted: `other` may show a window of `take`, mirrored where view is odd."""

    take: np.ndarray  # int32
    other: np.ndarray  # int32
    view: np.ndarray  # int32: 2 * window + mirrored
    signs: np.ndarray  # int32: how many of both regions differ
    probes: int  # tokens looked up
    collisions: int  # what they led to, before all signs were counted


def search(index: pa.Table, queries: Iterable[pa.Table]) -> Candidates:
    """Look up the tokens of `queries` in the index; keep the best view of each ordered pair of takes.

    The tables are as fingerprints.SIGNATURES and QUERIES, with takes numbered through, the best first: of many copies
    each is led to the first ones, and so to the one that is kept.
    """
    columns = {name: index.column(name).to_numpy() for name in index.column_names}
    bands = [_band(columns, band) for band in range(BANDS)]
    best, probes, collisions = [_NONE], 0, 0
    for table in queries:
        part = {name: table.column(name).to_numpy() for name in table.column_names}
        hits = [_NONE]
        for number, band in enumerate(bands):
            tried, asked, found = _led_to(part, band, number)
            probes += tried
            collisions += len(asked)
            hits.append(_agreeing(part, band, asked, found))
        best.append(_best(np.concatenate(hits)))
    take, other, signs, view = _best(np.concatenate(best)).T
    return Candidates(take, other, view, signs, probes, collisions)


@dataclass(frozen=True)
class _Band:
    """What the tokens of a band lead to, sorted by key: each take once for a token, and no more than BUCKET takes."""

    kind: int  # 1 for grey
    key: np.ndarray  # uint64, as _keys
    count: np.ndarray  # uint8: at the first entry of a token or its mirror image, how many these two have
    signature: np.ndarray  # uint64
    beside: np.ndarray  # uint64
    take: np.ndarray  # int32
    sieve: np.ndarray  # uint8, of 8 bits: set at the places of tokens
    most_signs: int


def _band(index: Mapping[str, np.ndarray], band: int) -> _Band:
    kind = band & 1
    rows = np.flatnonzero(index["band"] == band)
    key = _keys(index["signature"][rows] & MASKS[kind], kind)
    order = np.lexsort((index["take"][rows], key))
    rows, key = rows[order], key[order]
    take = index["take"][rows]
    new = np.ones(len(rows), bool)
    new[1:] = (key[1:] != key[:-1]) | (take[1:] != take[:-1])
    rows, key, take = rows[new], key[new], take[new]
    number = np.arange(len(rows))
    kept = number - np.maximum.accumulate(np.where(_changes(key), number, 0)) < BUCKET
    rows, key = rows[kept], key[kept]
    first = np.flatnonzero(_changes(key >> np.uint64(1)))
    count = np.zeros(len(key), np.uint8)
    count[first] = np.diff(first, append=len(key))
    sieve = np.zeros(1 << min(SIEVE + len(key).bit_length(), LARGEST_SIEVE) - 3, np.uint8)
    for at in range(0, len(key), 1 << 18):
        place = _places(_keys(key[at : at + (1 << 18)], kind), kind) & np.uint32(8 * len(sieve) - 1)
        np.bitwise_or.at(sieve, place >> np.uint32(3), _BIT[place & np.uint32(7)])
    signature, beside = (index[name][rows] for name in ("signature", "beside"))
    return _Band(kind, key, count, signature, beside, take[kept], sieve, most_signs(kind, len(key)))


def _changes(values: np.ndarray) -> np.ndarray:
    """Return where a value differs from the one before."""
    found = np.ones(len(values), bool)
    found[1:] = values[1:] != values[:-1]
    return found


def most_signs(kind: int, entries: int) -> int:
    """Return how many signs may differ in what is compared, given the entries of the band that it was found in.

    A take meets twice the chance hits among twice the entries, and about half of them differ in one sign less.
    """
    return MOST_SIGNS[kind] - max(0, (entries // FEW).bit_length() - 1)


def _keys(tokens: np.ndarray, kind: int) -> np.ndarray:
    """Return tokens so changed that one and its mirror image differ in the lowest bit alone; the same changes back."""
    return tokens ^ np.where(tokens & np.uint64(1), _TURNED[kind] ^ np.uint64(1), np.uint64(0))


def _places(tokens: np.ndarray, kind: int) -> np.ndarray:
    """Return the place of each token among 2 to the 32, the same for its mirror image, uint32.

    It is linear in the bits: the place of an exclusive or of tokens is that of their places.
    """
    found = np.zeros(len(tokens), np.uint32)
    for table, part in zip(_places_of_bytes(kind), _bytes(tokens).T, strict=True):
        found ^= table[part]
    return found


@cache
def _places_of_bytes(kind: int) -> np.ndarray:
    """Return what each byte of a token adds to its place, by number and value, uint32 (8, 256): random for each bit."""
    of_bit = np.random.default_rng(kind).integers(0, 1 << 32, 64, np.uint32)
    turned = [bit for bit in range(1, 64) if int(_TURNED[kind]) >> bit & 1]
    of_bit[0] = np.bitwise_xor.reduce(of_bit[turned])  # so that what the mirror turns adds nothing in all
    found = np.zeros((8, 256), np.uint32)
    for bit in range(8):
        found[:, 1 << bit : 2 << bit] = found[:, : 1 << bit] ^ of_bit[bit::8, None]
    return found


def _bytes(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8)


def _led_to(part: Mapping[str, np.ndarray], band: _Band, number: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Look up the tokens of a band's queries, weak bits both ways, and mirrored.

    Return how many look-ups that were; of each entry that one led to, what was asked (2 * query + mirrored); the entry.
    """
    rows = np.flatnonzero(part["band"] == number)
    plain = part["signature"][rows] & MASKS[band.kind]
    turned = mirrored(part["signature"][rows]) & MASKS[band.kind]
    # one look-up finds a token and its mirror image, but not where a channel without colour has none
    apart = plain ^ turned != _TURNED[band.kind]
    asked = np.concatenate([2 * rows, 2 * rows[apart] + 1])
    token = np.concatenate([plain, turned[apart]])
    apart = np.concatenate([apart, apart[apart]])
    tried, key = _sieved(band, token, _bytes(part["weak"])[asked >> 1, :WEAK])
    order = np.argsort(key)  # the look-ups of neighbours are near each other in memory
    tried, key = tried[order], key[order]
    first = np.searchsorted(band.key, key & ~np.uint64(1))
    there = first < len(band.key)
    there[there] = (band.key[first[there]] ^ key[there]) <= np.uint64(1)
    tried, key, first = tried[there], key[there], first[there]
    count = band.count[first].astype(np.int64)
    found = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
    tried = np.repeat(tried, count)
    image = np.repeat(key, count) != band.key[found]
    meant = ~(image & apart[tried])
    tried, found, image = tried[meant], found[meant], image[meant]
    return len(token) << WEAK, asked[tried] ^ image, found


def _sieved(band: _Band, token: np.ndarray, weak: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Try tokens (N,) with their weak bits (N, WEAK) both ways; return rows and keys that the sieve lets through."""
    within = np.uint32(8 * len(band.sieve) - 1)
    of_bit = _places(np.uint64(1) << np.arange(64, dtype=np.uint64), band.kind) & within
    passed = [np.empty((2, 0), np.int64)]
    for at in range(0, len(token), CHUNK):
        some = weak[at : at + CHUNK]
        places = np.empty((1 << WEAK, len(some)), np.uint32)
        places[0] = _places(token[at : at + CHUNK], band.kind) & within
        for k in range(WEAK):
            np.bitwise_xor(places[: 1 << k], of_bit[some[:, k]], out=places[1 << k : 2 << k])
        place = places.reshape(-1)
        bits = band.sieve.take((place >> np.uint32(3)).astype(np.intp), mode="wrap")  # not slowed by checks
        bits = bits >> (place.astype(np.uint8) & np.uint8(7)) & np.uint8(1)
        way, row = np.divmod(np.flatnonzero(bits.view(bool)), len(some))
        passed.append(np.stack([way, row + at]))
    way, row = np.concatenate(passed, axis=1)
    tried = token[row]
    for k in range(WEAK):
        tried ^= (way >> k & 1).astype(np.uint64) << weak[row, k].astype(np.uint64)
    return row, _keys(tried, band.kind)


def _agreeing(part: Mapping[str, np.ndarray], band: _Band, asked: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return (take, other, signs, view) of the hits on other takes in which the signs agree, int32 (N, 4)."""
    others = part["take"][asked >> 1] != band.take[found]  # most hits are on the take itself
    asked, found = asked[others], found[others]
    differing = np.zeros(len(asked), np.int32)
    for name, there in (("signature", band.signature), ("beside", band.beside)):
        here = part[name][asked >> 1]
        differing += np.bitwise_count(np.where(asked & 1, mirrored(here), here) ^ there[found])
        agree = differing <= band.most_signs
        asked, found, differing = asked[agree], found[agree], differing[agree]
    query = asked >> 1
    view = 2 * part["window"][query].astype(np.int32) + (asked & 1)
    return np.stack([part["take"][query], band.take[found], differing, view], axis=1).astype(np.int32)


def _best(hits: np.ndarray) -> np.ndarray:
    """Keep of each pair the view in which most signs agree; return (take, other, signs, view), sorted."""
    order = np.lexsort(hits.T[::-1])
    hits = hits[order]
    first = np.ones(len(hits), bool)
    first[1:] = (hits[1:, :2] != hits[:-1, :2]).any(axis=1)
    return hits[first]


# --- confirmation -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rules:
    """What makes two takes near-duplicates; see FindDuplicates."""

    max_distance: float
    min_overlap_s: float
    min_overlap_share: float


@dataclass(frozen=True)
class Samples:
    """A take for comparison: [start_s, end_s) of its video, its first sample, and luma uint8 (N, HEIGHT, WIDTH)."""

    start_s: float
    end_s: float
    first_s: float
    luma: np.ndarray

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Match:
    """`other` shows what `take` shows. `offset_s`: when `take` starts, on the clock of `other` from its start."""

    distance: float
    offset_s: float
    overlap_s: float
    window: Rect  # of take, which other shows


def compare(take: Samples, other: Samples, view: int, rules: Rules) -> Match | None:
    """Align two takes in time and place, given the view that their signs suggest; return how they match, if they do."""
    window, mirrored = WINDOWS[view >> 1], view & 1
    source = take.luma.astype(np.float32)
    target = other.luma.astype(np.float32)
    if mirrored:
        source = source[:, :, ::-1]
        window = (1 - window[1], 1 - window[0], *window[2:])
    lag = _best_lag(_pooled(_resampled(source, window)), _pooled(target), take, other, rules)
    if lag is None:
        return None
    first, second = _overlap(len(source), len(target), lag)
    chosen = np.unique(np.linspace(0, len(first) - 1, LOOKED_AT).round().astype(int))
    window = _fitted(source[first[chosen]], target[second[chosen]], window)
    shown = _resampled(source, window)
    distance, at = min(_distances(shown, target, lag))
    if distance > rules.max_distance:
        return None
    shift_s = take.first_s + at / RATE - other.first_s  # from the clock of other's video to that of take's
    overlap_s = min(take.end_s, other.end_s + shift_s) - max(take.start_s, other.start_s + shift_s)
    if overlap_s < _least_overlap_s(take, other, rules):
        return None
    if mirrored:
        window = (1 - window[1], 1 - window[0], *window[2:])
    return Match(
        round(distance, 4), round(take.start_s - shift_s - other.start_s, 3) + 0.0, round(overlap_s, 3), window
    )


def _least_overlap_s(take: Samples, other: Samples, rules: Rules) -> float:
    return max(rules.min_overlap_s, rules.min_overlap_share * min(take.duration_s, other.duration_s)) - 0.5 / RATE


@cache
def _resampler(size: int, low: float, high: float) -> np.ndarray:
    """Return the matrix that stretches [low, high) of an axis over all of its pixels, the edge repeated beyond it."""
    edges = (low + (high - low) * np.arange(size + 1) / size) * size
    pixels = np.arange(size)
    left = np.where(pixels == 0, -size, pixels)
    right = np.where(pixels == size - 1, 2 * size, pixels + 1)
    part = np.minimum(edges[1:, None], right) - np.maximum(edges[:-1, None], left)
    part = np.clip(part, 0, None)
    return (part / part.sum(axis=1, keepdims=True)).astype(np.float32)


def _resampled(luma: np.ndarray, window: Rect) -> np.ndarray:
    """Return a window of each picture at the size of the whole."""
    return _resampler(HEIGHT, window[2], window[3]) @ luma @ _resampler(WIDTH, window[0], window[1]).T


def _normal(pictures: np.ndarray) -> np.ndarray:
    """Return pictures (..., HEIGHT, WIDTH) as vectors of mean 0 and length 1, or less where contrast is only noise."""
    flat = pictures.reshape(*pictures.shape[:-2], -1)
    flat = flat - flat.mean(axis=-1, keepdims=True)
    return flat / np.sqrt((flat**2).sum(axis=-1, keepdims=True) + flat.shape[-1] * NOISE**2)


def _best_lag(shown: np.ndarray, target: np.ndarray, take: Samples, other: Samples, rules: Rules) -> int | None:
    """Return the lag at which pictures are most alike: sample k + lag of the one beside sample k of the other."""
    a, b = _normal(shown), _normal(target)
    size = 1 << (len(a) + len(b) - 1).bit_length()
    spectrum = (np.fft.rfft(a, size, axis=0) * np.conj(np.fft.rfft(b, size, axis=0))).sum(axis=1)
    lags = np.arange(1 - len(b), len(a))
    shared = np.minimum(len(a), lags + len(b)) - np.maximum(0, lags)
    # a sample reaches beyond itself: an overlap of the takes has so many samples at least
    least = max(2, int(np.floor((_least_overlap_s(take, other, rules) - 0.5) * RATE)))
    allowed = shared >= min(least, len(a), len(b))
    alike = np.fft.irfft(spectrum, size)[lags] / np.maximum(shared, 1)
    score = np.where(allowed, alike + 0.01 * shared / shared.max(), -1)  # of equals, the longest
    best = int(np.argmax(score))
    return int(lags[best]) if alike[best] >= REJECTED_AT else None


def _overlap(count: int, others: int, lag: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples of both that lie beside each other."""
    second = np.arange(max(0, int(np.ceil(-lag))), min(others, int(np.floor(count - 1 - lag)) + 1))
    return second + int(np.floor(lag)), second


def _pooled(luma: np.ndarray) -> np.ndarray:
    return luma.reshape(len(luma), HEIGHT // 2, 2, WIDTH // 2, 2).mean(axis=(2, 4))


def _fitted(source: np.ndarray, target: np.ndarray, window: Rect) -> Rect:
    """Return the window of `source` that is most like `target`, found axis by axis, to a hundredth of a side."""
    window = _nearer(_pooled(source), _pooled(target), window, 0.03, reach=2)
    return _nearer(source, target, window, 0.01, reach=1)


def _nearer(source: np.ndarray, target: np.ndarray, window: Rect, step: float, reach: int) -> Rect:
    wanted = _normal(target)
    left, right, top, bottom = window
    height, width = source.shape[1:]
    rows = _resampler(height, top, bottom) @ source
    choices = _choices(left, right, step, reach)
    tried = rows @ np.stack([_resampler(width, *edges).T for edges in choices])[:, None]
    left, right = choices[int(np.argmax((_normal(tried) * wanted).sum(axis=(1, 2))))]
    columns = source @ _resampler(width, left, right).T
    choices = _choices(top, bottom, step, reach)
    tried = np.stack([_resampler(height, *edges) for edges in choices])[:, None] @ columns
    top, bottom = choices[int(np.argmax((_normal(tried) * wanted).sum(axis=(1, 2))))]
    return left, right, top, bottom


def _choices(low: float, high: float, step: float, reach: int) -> list[tuple[float, float]]:
    """Return edges about the ones given, the nearest first."""
    moves = itertools.product(range(-reach, reach + 1), repeat=2)
    return [
        (_bounded(low + step * i), _bounded(high + step * k))
        for i, k in sorted(moves, key=lambda move: (move[0] ** 2 + move[1] ** 2, move))
    ]


def _bounded(edge: float) -> float:
    return round(min(1.05, max(-0.05, edge)), 4)


def _distances(shown: np.ndarray, target: np.ndarray, lag: int) -> Iterator[tuple[float, float]]:
    """Yield (distance, lag) for lags about the one given, in parts of a sample."""
    for move in sorted((k / 4 for k in range(-3, 4)), key=abs):
        at = lag + move
        first, second = _overlap(len(shown), len(target), at)
        if len(second) < 2:
            continue
        share = np.float32(at - np.floor(at))
        beside = shown[first] if not share else (1 - share) * shown[first] + share * shown[first + 1]
        yield distance(beside, target[second]), at


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return 1 less the correlation of two aligned sequences (N, HEIGHT, WIDTH), the worse of two: in each picture
    over its pixels, and in each pixel over time, where what coding changes counts as agreement.
    """
    a, b = (x.reshape(len(x), -1) for x in (one, other))
    space = _correlation(a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True), 0.0)
    time = _correlation(a - a.mean(axis=0), b - b.mean(axis=0), NOISE**2)
    return 1 - min(space, time)


def _correlation(a: np.ndarray, b: np.ndarray, noise: float) -> float:
    floor = a.size * noise + 1e-9
    return float(((a * b).sum() + floor) / np.sqrt(((a**2).sum() + floor) * ((b**2).sum() + floor)))


# --- clusters ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quality:
    """What decides which of several copies is best: see `rank_key`."""

    take_id: str
    area_px: float  # as displayed, without bars
    bits_per_px_s: float
    duration_s: float


def rank_key(take: Quality) -> tuple[int, int, float, float, str]:
    """Order copies, the best first: the larger (to 7 %), the longer (to 10 %), more bits for each pixel and second."""
    larger = round(10 * math.log2(max(take.area_px, 1)))
    longer = round(math.log(max(take.duration_s, 0.01)) / math.log(1.1))
    return -larger, -longer, -take.bits_per_px_s, -take.duration_s, take.take_id


def clusters(takes: Sequence[Quality], pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Return of each take its cluster's best take, its rank there, and the best take of all that it is linked with.

    The best take begins a cluster of all that match it, then the best of the rest, and so on: each member is a
    near-duplicate of the one that is kept for it, never of one that is only like another. Links (the third) go on
    without end: what must not be parted between training and test.
    """
    order = sorted(range(len(takes)), key=lambda number: rank_key(takes[number]))
    near: list[list[int]] = [[] for _ in takes]
    for a, b in pairs:
        near[a].append(b)
        near[b].append(a)
    centre: dict[int, int] = {}
    for number in order:
        if number in centre:
            continue
        for member in (number, *near[number]):
            centre.setdefault(member, number)
    best: dict[int, int] = {}
    rank, linked, size = {}, {}, dict.fromkeys(centre.values(), 0)
    edges = np.array(pairs, int).reshape(-1, 2)
    ones = np.ones(len(edges), bool)
    _, group = connected_components(coo_array((ones, edges.T), shape=(len(takes), len(takes))), directed=False)
    for number in order:
        rank[number] = size[centre[number]]
        size[centre[number]] += 1
        linked[number] = best.setdefault(int(group[number]), number)
    return [(centre[number], rank[number], linked[number]) for number in range(len(takes))]
