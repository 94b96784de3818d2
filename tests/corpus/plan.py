"""The planted corpus: which clips there are, what is wrong with each, and what curation must say of it.

Every fault of the desk list of papers' sheet on Presto / LongTake-HD, in each of six codecs, beside good takes. A clip
is a line of shots, each of a land of its own (tests/corpus/scenery.py), with what joins them; its truth follows.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

CODECS = ("h264", "hevc", "vp9", "av1", "mpeg2", "mjpeg")
SIZES = {180: 320, 144: 256, 270: 480, 360: 640, 720: 1280}  # height -> width
MIN_TAKE_S = 4.0  # a good take is longer by 0.6 s at least, a short one shorter by as much

STILL = {"motion", "motion_part", "frozen", "psnr_high", "ssim_high", "perceptual_low"}
# what a take of each kind may be rejected for: the reasons that name the fault, and others that are right too
FAULTS: dict[str, tuple[set[str], set[str]]] = {
    "too small": ({"width", "height", "floor_height"}, set()),
    "low frame rate": ({"fps_low"}, set()),
    "too short": ({"duration", "floor_duration"}, set()),
    "dark": ({"dark"}, {"clipped"}),
    "bright": ({"bright"}, {"clipped"}),
    "under-exposed": ({"clipped"}, {"dark"}),
    "over-exposed": ({"clipped"}, {"bright"}),
    "blurred": ({"blurred", "quality"}, set()),
    "static": ({"motion", "frozen"}, STILL),
    "slide show": ({"motion", "frozen"}, STILL | {"duration"}),
    "freeze": ({"frozen"}, {"motion_part"}),
    "still part": ({"motion_part"}, {"frozen"}),
    "letterbox": ({"letterbox", "artifacts"}, {"overlay"}),
    "logo": ({"overlay", "artifacts"}, set()),
    "text": ({"text"}, {"overlay", "artifacts"}),
    "too similar": ({"psnr_high", "ssim_high", "perceptual_low"}, set()),
    "incoherent": ({"psnr_low", "perceptual_high"}, {"cut"}),
    "near-duplicate": ({"near_duplicate"}, set()),
}
GOOD, FLASH = "good", "flash"  # a take with a flash of light may be kept, or be rejected for a jump in colour


@dataclass(frozen=True)
class Shot:
    """`frames` of a land. `spoil` names what is wrong with its pictures, by how much says `amount`."""

    seed: int
    camera: str
    frames: int
    path_s: float
    kind: str = GOOD
    spoil: str = ""
    amount: float = 0.0
    start_s: float = 0.0  # on the camera's path
    hold_s: tuple[float, float] = (0.0, 0.0)  # when the picture stands still, from and for how long
    flash: tuple[int, int] = (0, 0)  # first frame, frames
    mirrored: bool = False
    cropped: float = 0.0  # of each side


@dataclass(frozen=True)
class Join:
    """What lies between two shots: "cut", "dissolve" or "fade" through black, of so many `frames`."""

    how: str
    frames: int = 0

    @property
    def black(self) -> int:
        return 4 if self.how == "fade" else 0


@dataclass(frozen=True)
class Clip:
    """One file of the corpus."""

    id: str
    codec: str
    height: int
    fps: int
    shots: tuple[Shot, ...]
    joins: tuple[Join, ...] = ()
    copy_of: str = ""
    worse: bool = False  # coded with fewer bits

    @property
    def width(self) -> int:
        return SIZES[self.height]

    @property
    def frames(self) -> int:
        return starts(self)[-1] + self.shots[-1].frames

    @property
    def seconds(self) -> float:
        return self.frames / self.fps


@dataclass(frozen=True)
class Boundary:
    """One shot ends before frame `end`, the next begins with frame `start`."""

    end: int
    start: int
    how: str


@dataclass(frozen=True)
class Take:
    """Frames [start, end) of a clip, what kind they are, and with which clips they form a group of duplicates."""

    clip: str
    start: int
    end: int
    kind: str
    group: str = ""


def starts(clip: Clip) -> list[int]:
    """Return the first frame of each shot; a dissolve's frames belong to both, a fade's black ones to none."""
    found = [0]
    for shot, join in zip(clip.shots, clip.joins, strict=False):
        overlap = join.frames if join.how == "dissolve" else 0
        found.append(found[-1] + shot.frames - overlap + join.black)
    return found


def boundaries(clip: Clip) -> list[Boundary]:
    """Return where the shots of a clip change."""
    found = []
    for shot, first, after, join in zip(clip.shots, starts(clip), starts(clip)[1:], clip.joins, strict=False):
        end = first + shot.frames
        half = join.frames // 2 if join.how == "fade" else 0
        low, high = (after, end) if join.how == "dissolve" else (end - half, after + half)
        found.append(Boundary(low, high, join.how))
    return found


def takes(clip: Clip) -> list[Take]:
    """Return the takes of a clip, one a shot, without the frames of transitions."""
    between = boundaries(clip)
    lows, highs = [0, *(b.start for b in between)], [*(b.end for b in between), clip.frames]
    group = (clip.copy_of or clip.id) if clip.copy_of or clip.id in ORIGINALS else ""
    return [Take(clip.id, low, high, shot.kind, group) for shot, low, high in zip(clip.shots, lows, highs, strict=True)]


# --- the list ---

GOOD_CAMERAS = ("pan", "zoom", "objects", "turns")
COPIES = {"copy_coded": "pan", "copy_cropped": "zoom", "copy_flipped": "objects", "copy_offset": "turns"}


def _seed(*parts: object) -> int:
    return zlib.crc32("-".join(map(str, parts)).encode())


def _between(low: float, high: float, *parts: object) -> float:
    """Return a number in [low, high), always the same for the same parts."""
    return low + (high - low) * (_seed(*parts) / 2**32)


class _Maker:
    """Makes the clips of one codec of one kind."""

    def __init__(self, kind: str, codec: str, height: int, fps: int):
        self.id, self.codec, self.height, self.fps = f"{kind}-{codec}", codec, height, fps
        self.kind = kind

    def pick(self, low: float, high: float, what: str) -> float:
        return _between(low, high, self.id, what)

    def shot(self, seconds: float, number: int = 0, camera: str = "", **how: object) -> Shot:
        camera = camera or GOOD_CAMERAS[_seed(self.id, number, "camera") % 4]
        frames = round(seconds * self.fps)
        shot = Shot(_seed(self.id, number), camera, frames, max(5.0, frames / self.fps))
        return replace(shot, **how)  # type: ignore[arg-type]

    def clip(self, *shots: Shot, joins: tuple[Join, ...] = (), **how: object) -> Clip:
        joins = joins or (Join("cut"),) * (len(shots) - 1)
        return replace(Clip(self.id, self.codec, self.height, self.fps, shots, joins), **how)  # type: ignore[arg-type]

    def fault(self, kind: str, spoil: str, amount: float, camera: str = "") -> Clip:
        return self.clip(self.shot(self.pick(5, 6, "length"), camera=camera, kind=kind, spoil=spoil, amount=amount))


def _made(kind: str, make: _Maker) -> Clip:
    """Return the clip of a kind in one codec."""
    pick, shot, clip, fault = make.pick, make.shot, make.clip, make.fault
    if kind in GOOD_CAMERAS:
        return clip(shot(pick(5.5, 7, "length"), camera=kind))
    if kind == "large":
        return clip(shot(5, camera="pan"))
    if kind == "cut":
        return clip(shot(pick(4.7, 5.5, "a")), shot(pick(4.7, 5.5, "b"), 1))
    if kind == "cut_short":
        return clip(shot(4.8), shot(pick(1.2, 3.2, "b"), 1, kind="too short"), shot(pick(4.7, 5.2, "c"), 2))
    if kind == "close_cuts":
        lengths = [5 + _seed(make.id, "part", i) % 10 for i in range(5)]
        bits = [shot(n / make.fps, i + 1, kind="too short") for i, n in enumerate(lengths)]
        return clip(shot(4.7), *bits, shot(4.8, 9))
    if kind in ("dissolve", "dissolve_long"):
        length = round(pick(8, 16, "dissolve") if kind == "dissolve" else pick(18, 30, "dissolve"))
        room = length / make.fps
        return clip(shot(4.8 + room), shot(4.8 + room, 1), joins=(Join("dissolve", length),))
    if kind == "fade":
        length = 2 * round(pick(6, 13, "fade"))
        room = length / 2 / make.fps
        return clip(shot(4.8 + room), shot(4.8 + room, 1), joins=(Join("fade", length),))
    if kind == "flash":
        whole = shot(5.5, kind=FLASH)
        return clip(replace(whole, flash=(round(whole.frames * pick(0.2, 0.8, "at")), 1 + _seed(make.id, "long") % 3)))
    if kind == "static":
        return clip(shot(pick(5, 6, "length"), camera="still", kind="static"))
    if kind in ("slides", "slides_dissolve"):
        join = Join("cut") if kind == "slides" else Join("dissolve", round(0.4 * make.fps))
        room = join.frames / make.fps
        stills = [shot(pick(1.5, 2, f"slide{i}") + room, i, "still", kind="slide show") for i in range(4)]
        return clip(*stills, joins=(join,) * 3)
    if kind == "dark":
        return fault("dark", "dark", pick(10, 14, "mean"))
    if kind == "bright":
        return fault("bright", "bright", pick(196, 208, "mean"))
    if kind == "under":
        return fault("under-exposed", "under", pick(0.48, 0.56, "share"))
    if kind == "over":
        return fault("over-exposed", "over", pick(0.28, 0.36, "share"))
    if kind == "logo":
        return fault("logo", "logo", 1.0)
    if kind == "logo_soft":
        return fault("logo", "logo", pick(0.6, 0.85, "opaque"))
    if kind in ("bars", "pillars"):
        return fault("letterbox", kind, pick(0.10, 0.14, "bar"))
    if kind == "blur":
        return fault("blurred", "blur", 1 / pick(100, 150, "sigma"))
    if kind == "text":
        return fault("text", "text", pick(1.4, 2.2, "each"))
    if kind == "low_fps":
        return clip(shot(pick(5, 7, "length"), kind="low frame rate"))
    if kind == "small":
        return clip(shot(pick(5, 7, "length"), kind="too small"))
    if kind == "short":
        return clip(shot(pick(2.2, 3.4, "length"), kind="too short"))
    if kind == "freeze":
        return clip(shot(6.5, kind="freeze", hold_s=(pick(1.2, 3.2, "from"), 2.0), spoil="freeze"))
    if kind == "pause":
        return clip(shot(6.5, kind="still part", hold_s=(pick(0.6, 3.4, "from"), 2.7)))
    if kind == "loop":
        return clip(shot(5, camera="pan", kind="too similar", spoil="loop"))
    if kind == "stripes":
        return clip(shot(5, camera="stripes", kind="incoherent"))
    raise ValueError(kind)


ORDER = (
    *GOOD_CAMERAS,
    *("large", "cut", "cut_short", "close_cuts", "dissolve", "dissolve_long", "fade", "flash"),
    *("static", "slides", "slides_dissolve", "dark", "bright", "under", "over", "logo", "logo_soft", "bars", "pillars"),
    *("low_fps", "small", "short", "freeze", "pause", "blur", "text", "loop", "stripes"),
)


def _small_pick(kind: str) -> int:
    """Return which codec of a kind is in the small corpus, and small."""
    return ORDER.index(kind) % len(CODECS)


def _clips() -> Iterator[Clip]:
    for number, kind in enumerate(ORDER):
        for i, codec in enumerate(CODECS):
            if i == _small_pick(kind):
                height, fps = 180, (15, 24, 12)[number % 3]
            else:
                height, fps = (180, 360, 270, 180)[(number + i) % 4], (24, 25, 30, 15, 24)[(2 * number + i) % 5]
            height = {"large": 720, "small": 144}.get(kind, height)
            fps = {"low_fps": 10, "loop": 24, "stripes": 24}.get(kind, fps)
            yield _made(kind, _Maker(kind, codec, height, fps))


def _copies(originals: dict[str, Clip]) -> Iterator[Clip]:
    """Make of each good clip a copy in another codec."""
    for kind, of in COPIES.items():
        for i, codec in enumerate(CODECS):
            original = originals[f"{of}-{CODECS[i - 1]}"]
            (shot,) = original.shots
            copy = replace(original, id=f"{kind}-{codec}", codec=codec, copy_of=original.id)
            if kind == "copy_coded":
                fps = original.fps if i % 2 else {24: 25, 25: 30, 30: 25}.get(original.fps, original.fps)
                height = {360: 180, 270: 180}.get(original.height, 180 if i % 3 else 270)
                shot = replace(shot, frames=int(shot.path_s * fps))
                copy = replace(copy, worse=True, height=height, fps=fps)
            elif kind == "copy_cropped":
                shot = replace(shot, cropped=_between(0.05, 0.09, copy.id))
            elif kind == "copy_flipped":
                shot = replace(shot, mirrored=True)
            else:
                late = round(_between(0.5, 0.9, copy.id) * copy.fps)
                shot = replace(shot, start_s=late / copy.fps, frames=shot.frames - late)
            yield replace(copy, shots=(shot,))


_ORIGINAL = {clip.id: clip for clip in _clips()}
CLIPS = (*_ORIGINAL.values(), *_copies(_ORIGINAL))
ORIGINALS = {clip.copy_of for clip in CLIPS if clip.copy_of}
BY_ID = {clip.id: clip for clip in CLIPS}


def _small() -> tuple[Clip, ...]:
    """Return forty clips with every fault and all codecs: one of each kind (without the large), and more good ones."""
    chosen = [f"{kind}-{CODECS[_small_pick(kind)]}" for kind in ORDER if kind != "large"]
    for kind, of in COPIES.items():
        chosen.append(f"{kind}-{CODECS[(_small_pick(of) + 1) % len(CODECS)]}")
    more = [f"{kind}-{CODECS[i]}" for kind, i in (("pan", 3), ("zoom", 4), ("objects", 5), ("turns", 0), ("pan", 5))]
    chosen += more[: 40 - len(chosen)]
    return tuple(BY_ID[name] for name in chosen)


SMALL = _small()
