"""What a generated scene may be made of: colours, shapes, words, typefaces. Each has one name, told apart by eye.

Words and typefaces are dealt out to the splits, so that none that is tested was trained on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

COLOURS: Mapping[str, tuple[int, int, int]] = {  # sRGB; any two are more than 30 apart in CIE Lab
    "red": (214, 32, 38),
    "orange": (250, 140, 22),
    "yellow": (252, 226, 48),
    "green": (34, 150, 62),
    "cyan": (60, 205, 220),
    "blue": (38, 72, 214),
    "purple": (126, 42, 160),
    "pink": (250, 132, 196),
    "white": (246, 246, 246),
    "black": (24, 24, 26),
}
BACKGROUNDS: Mapping[str, tuple[int, int, int]] = {  # paler or darker than things are
    "grey": (132, 134, 138),
    "white": (232, 232, 228),
    "black": (40, 40, 44),
    "blue": (92, 122, 188),
    "green": (96, 146, 104),
    "purple": (132, 100, 158),
    "brown": (134, 102, 76),
}
UNLIKE: Mapping[str, tuple[str, ...]] = {"brown": ("orange",)}  # things that a background would hide

SHAPES = ("circle", "square", "triangle", "star", "hexagon", "ring", "cross", "heart", "crescent")
ROUND = ("circle", "ring")  # a turn does not show
BROAD = ("circle", "square", "hexagon")  # wide enough for a word
TEXTURES = ("plain", "gradient", "stripes", "checks", "dots", "speckles")
FILM = "film picture"
SIZES: Mapping[str, float] = {"large": 0.15, "small": 0.072}  # radius in heights of the picture
COUNTS = ("zero", "one", "two", "three", "four", "five")

DIRECTIONS: Mapping[str, tuple[int, int]] = {  # x to the right, y downwards
    "left": (-1, 0),
    "right": (1, 0),
    "up": (0, -1),
    "down": (0, 1),
    "up and left": (-1, -1),
    "up and right": (1, -1),
    "down and left": (-1, 1),
    "down and right": (1, 1),
}
CIRCLES: Mapping[str, int] = {"clockwise in a circle": 1, "anticlockwise in a circle": -1}
VERBS = (
    *("moves", "collides", "appears", "disappears", "changes colour"),
    *("grows", "shrinks", "blinks", "rotates"),
)
MOTIONS = (*DIRECTIONS, *CIRCLES, "still")

WORDS: Mapping[str, tuple[str, ...]] = {
    "train": (
        *("LAMP", "RIVER", "STONE", "APPLE", "CLOUD", "TIGER", "BREAD", "CHAIR", "MUSIC", "PLANT", "HORSE", "SUGAR"),
        *("TRAIN", "BRUSH", "GLASS", "MOUSE", "PAPER", "KNIFE", "WATER", "LEMON", "PIANO", "ROBOT", "SNAKE", "TOWER"),
        *("BOAT", "FISH", "GOLD", "HAND", "IRON", "JUMP", "KING", "LEAF", "MILK", "NEST", "OVEN", "PARK", "RAIN"),
        *("SHIP", "TREE", "WIND", "BELL", "CAKE", "DOOR", "FARM", "GATE", "HILL", "ROAD", "SAND", "TENT", "WOOD"),
    ),
    "valid": (
        *("BIRD", "COIN", "DUCK", "FORK", "HOUSE", "JUICE", "MAPLE", "NIGHT", "OCEAN", "PEARL", "SHEEP", "SPOON"),
        *("MOON", "FIRE"),
    ),
    "test": (
        *("BEAR", "CAMEL", "DRUM", "FLUTE", "GRAPE", "HONEY", "LION", "MELON", "NORTH", "ONION", "PLANE", "QUEEN"),
        *("ROSE", "SNOW", "SWORD", "TABLE", "WHALE", "CORN", "BANK", "MAIL"),
    ),
}


@dataclass(frozen=True)
class Typeface:
    """Letters that ship with a package: a TrueType file of matplotlib, or OpenCV's own, which putText draws."""

    name: str
    family: str

    @property
    def is_opencv(self) -> bool:
        return self.name.startswith("FONT_")


TYPEFACES: Mapping[str, tuple[Typeface, ...]] = {  # no family is in two splits
    "train": (
        Typeface("DejaVuSans-Bold.ttf", "DejaVu Sans"),
        Typeface("DejaVuSans.ttf", "DejaVu Sans"),
        Typeface("DejaVuSerif-Bold.ttf", "DejaVu Serif"),
        Typeface("cmb10.ttf", "Computer Modern"),
    ),
    "valid": (Typeface("DejaVuSansMono-Bold.ttf", "DejaVu Sans Mono"), Typeface("cmss10.ttf", "Computer Modern Sans")),
    "test": (Typeface("STIXGeneralBol.ttf", "STIX"), Typeface("FONT_HERSHEY_DUPLEX", "of OpenCV 5")),
}
