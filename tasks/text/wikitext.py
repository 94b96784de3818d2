"""Wikitext to plain sections: templates, tables, references, files and headings go, words stay.

What a template would have shown in the middle of a sentence is not known here: its place is marked (`HOLE`), and the
sentence it stands in is left out later.
"""

import re
from collections.abc import Iterator

import mwparserfromhell
from mwparserfromhell.nodes import ExternalLink, Heading, HTMLEntity, Tag, Template, Text, Wikilink
from mwparserfromhell.wikicode import Wikicode

HOLE = "\ufffc"  # Unicode's object replacement character

_SHOWN = frozenset(
    {"lang", "nowrap", "nobr", "as of", "convert", "circa", "c.", "abbr", "small", "sic", "'", "ndash", "mdash"}
)
_SILENT = re.compile(  # templates that show nothing within a sentence, or only a note about it
    r"(?i)^(cite|citation|sfn|harv|ref|r$|efn|refn|citation needed|cn\b|fact\b|page needed|rp\b|clarify|dubious|vague|"
    r"who|when|by whom|which|dead link|verify|failed|main\b|see also|further|details|about|for\b|other|redirect|"
    r"infobox|use |pp-|good article|featured|portal|navbox|taxobox|automatic|speciesbox|coord|toc|clear|multiple image|"
    r"quote box|anchor|update|unreliable|original research|weasel|disputed|better|full|subscription|isbn|doi|ipa|"
    r"respell|pron|audio)"
)
_DROPPED_TAGS = frozenset({"ref", "references", "table", "gallery", "timeline", "imagemap", "style", "script"})
_DROPPED_SECTIONS = frozenset(
    {"see also", "references", "notes", "external links", "further reading", "bibliography", "sources", "footnotes"}
    | {"citations", "works cited", "gallery", "publications", "discography", "filmography", "selected works"}
)
_BETWEEN = {  # the numbers of a range or product in {{convert}}, and how it is written
    **{word: f" {word} " for word in ("to", "and", "or", "by", "\u00b1")},
    **{
        "-": "\u2013",
        "\u2013": "\u2013",
        "x": " by ",
        "*": " by ",
        "\u00d7": " by ",
        "+/-": " \u00b1 ",
        "to(-)": " to ",
    },
}
_FILES = re.compile(r"(?i)^\s*:?(file|image|media|category)\s*:")
_PARENTHESIS = re.compile(r"\s*\((?:[\s,;:]|" + HOLE + r")*\)")


def sections_of(wikitext: str) -> Iterator[str]:
    """Yield the plain text of each section that is prose, in the order of the page; blank lines part paragraphs.

    Lists of works, references and links are left out by their headings.
    """
    code = mwparserfromhell.parse(wikitext, skip_style_tags=True)
    for section in code.get_sections(flat=True):
        headings = section.filter_headings(recursive=False)
        if headings and str(headings[0].title).strip().lower() in _DROPPED_SECTIONS:
            continue
        text = _tidied(_plain(section))
        if text:
            yield text


def _plain(code: Wikicode) -> str:
    parts = []
    for node in code.nodes:
        if isinstance(node, Text):
            parts.append(str(node.value))
        elif isinstance(node, Wikilink):
            if not _FILES.match(str(node.title)):
                parts.append(_plain(node.text) if node.text is not None else str(node.title))
        elif isinstance(node, ExternalLink):
            parts.append(_plain(node.title) if node.title is not None else "")
        elif isinstance(node, HTMLEntity):
            parts.append(node.normalize())
        elif isinstance(node, Template):
            parts.append(_template(node))
        elif isinstance(node, Tag):
            parts.append(_tag(node))
        elif isinstance(node, Heading):
            continue
    return "".join(parts)


def _template(node: Template) -> str:
    name = str(node.name).strip().lower()
    if name in _SHOWN:
        return _shown(name, [_plain(p.value).strip() for p in node.params if not p.showkey])
    return "" if _SILENT.match(name) else HOLE


def _shown(name: str, values: list[str]) -> str:
    if name in ("ndash", "mdash", "'"):
        return {"ndash": "\u2013", "mdash": "\u2014", "'": "'"}[name]
    if not values:
        return HOLE
    if name == "lang":
        return values[-1]
    if name == "convert":
        return _converted(values)
    if name in ("circa", "c."):
        return f"c. {values[0]}"
    if name == "as of":
        return f"As of {values[0]}"
    return values[0]


def _converted(values: list[str]) -> str:
    """Return the quantity as it was put in, a range where it is one: {{convert|4|to|8|mm}} is "4 to 8 mm"."""
    shown = values[0]
    rest = values[1:]
    while len(rest) > 1 and rest[0].strip() in _BETWEEN:
        shown += f"{_BETWEEN[rest[0].strip()]}{rest[1]}"
        rest = rest[2:]
    return f"{shown} {rest[0]}" if rest else shown


def _tag(node: Tag) -> str:
    name = str(node.tag).strip().lower()
    if name in _DROPPED_TAGS:
        return ""
    if name in ("math", "chem", "score", "hiero"):
        return HOLE
    if name in ("br", "hr"):
        return "\n"
    if name in ("li", "dd", "dt"):
        return "\n* "
    return _plain(node.contents) if node.contents is not None else ""


def _tidied(text: str) -> str:
    """Return paragraphs of prose: lines of lists go, white space is made one, empty brackets vanish."""
    paragraphs = []
    for paragraph in text.replace("'''", "").replace("''", "").split("\n"):
        line = re.sub(r"\s+", " ", _PARENTHESIS.sub("", paragraph)).strip()
        line = re.sub(r" ([,.;:])", r"\1", line)
        if line and line[0] not in "*#:;|{!=" and re.search(r"[.!?]['\")\]\u201d]?$", line):
            paragraphs.append(line)
    return "\n\n".join(paragraphs)
