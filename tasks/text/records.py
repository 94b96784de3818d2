"""The tables of the text line, in the order in which they are made; all offsets count characters (code points)."""

import pyarrow as pa


def text(name: str) -> pa.Field:
    """Return a column of text that is never null."""
    return pa.field(name, pa.string(), nullable=False)


def number(name: str, kind: pa.DataType | None = None) -> pa.Field:
    """Return a column of numbers, int32 unless told otherwise, never null."""
    return pa.field(name, kind or pa.int32(), nullable=False)


def flag(name: str) -> pa.Field:
    """Return a column of true or false."""
    return pa.field(name, pa.bool_(), nullable=False)


def many(name: str, item: pa.DataType) -> pa.Field:
    """Return a column of lists without nulls."""
    return pa.field(name, pa.list_(pa.field("item", item, nullable=False)), nullable=False)


SPAN = pa.struct([number("start"), number("end")])  # [start, end)
OWED = ("licence", "credit", "url")  # by whom a text is, and on which terms: with every row that holds words of it

# --- fetch_passages: data/raw/passages/ ---
PAGES = pa.schema(
    [
        *map(text, ("page_id", "source", "name", "title", "topic", "text")),
        many("sentences", SPAN),
        *map(text, OWED),
    ]
)
WINDOWS = pa.schema(  # every window of a page; `drawn` is the one that claims are made from
    [
        *map(text, ("passage_id", "page_id")),
        *map(number, ("first_sentence", "sentence_count", "start", "end")),  # of the page
        flag("drawn"),
    ]
)
PASSAGES = pa.schema(  # the drawn ones; `sentences` are offsets into this text
    [
        *map(text, ("passage_id", "page_id", "title", "topic", "text")),
        many("sentences", SPAN),
        *map(text, ("source", *OWED)),
    ]
)

# --- extract_claims: data/curated/claims/ ---
CLAIMS = pa.schema(
    [
        *map(text, ("claim_id", "passage_id", "page_id")),
        number("number"),  # in the passage, from 0
        *map(text, ("claim", "quote")),
        *map(number, ("quote_start", "quote_end")),  # in the passage's text
        number("sentence"),
        *map(text, ("construction", "method")),
        *map(text, OWED),
    ]
)
DROPPED = pa.schema([*map(text, ("passage_id", "text", "reason"))])

# --- falsify_claims: data/curated/falsified/ ---
FALSIFIED = pa.schema(
    [
        *map(text, ("passage_id", "page_id", "claim_id", "claim", "false_claim", "old", "new")),
        *map(text, ("old_lemma", "new_lemma")),
        *map(number, ("old_start", "old_end")),  # in the claim
        *map(number, ("new_start", "new_end")),  # in the false claim
        *map(text, ("relation", "role", "file")),
        number("tried"),  # pairs of this passage that failed a check before
        *map(text, OWED),
    ]
)
VERDICTS = pa.schema(
    [
        *map(text, ("passage_id", "check")),
        flag("passed"),
        *(number(name, pa.float64()) for name in ("value", "threshold")),
    ]
)

# --- write_texts: data/curated/texts/ ---
TEXTS = pa.schema(
    [
        *map(text, ("passage_id", "page_id", "title")),
        many("claim_ids", pa.string()),  # of the claims that the texts tell, in their order
        text("factual"),
        many("factual_spans", SPAN),  # of each claim in `factual`
        many("ways", pa.string()),  # how each claim is told: passive, fronted, joined, synonym, ... or as_is
        pa.field("unfactual", pa.string()),  # null where no claim of the passage could be made false
        many("unfactual_spans", SPAN),  # empty there
        pa.field("false_place", pa.int32()),  # of the falsified claim in claim_ids
        pa.field("old_window", SPAN),  # of `factual`, that
        pa.field("new_window", SPAN),  # of `unfactual` replaces
        *map(text, OWED),
    ]
)

# --- build_oasis: data/curated/oasis/; every row says its split (train or test), by page ---
_PLACE = [*map(text, ("passage_id", "page_id", "split", "title", "topic", "source"))]
CLAIM_EXTRACTION = pa.schema([*_PLACE, text("text"), many("claims", pa.string()), *map(text, OWED)])
CLAIM_FALSIFICATION = pa.schema(
    [
        *_PLACE,
        text("text"),
        many("factual_claim", pa.string()),  # one each; lists, as the paper's data set has them
        many("unfactual_claim", pa.string()),
        text("claim_id"),
        *map(number, ("quote_start", "quote_end")),  # of the factual claim, in `text`
        *map(number, ("old_start", "old_end", "new_start", "new_end")),  # of the swapped word, in the two claims
        *map(text, ("old", "new", "old_lemma", "new_lemma", "relation", "role", "backend")),
        many("verdicts", pa.struct([field for field in VERDICTS if field.name != "passage_id"])),
        *map(text, OWED),
    ]
)
PARAPHRASE_GENERATION = pa.schema(
    [
        *_PLACE,
        text("text"),
        many("claims", pa.string()),
        text("paraphrase"),
        many("claim_spans", SPAN),  # of each claim in `paraphrase`
        many("ways", pa.string()),
        *map(text, OWED),
    ]
)
UNFACTUAL_TEXT_GENERATION = pa.schema(
    [
        *_PLACE,
        many("claims", pa.string()),  # the false one in its place
        number("false_place"),
        *map(text, ("factual_text", "unfactual_text")),
        many("claim_spans", SPAN),  # of each claim in `unfactual_text`
        pa.field("old_window", SPAN, nullable=False),  # of `factual_text`, that
        pa.field("new_window", SPAN, nullable=False),  # of `unfactual_text` replaces
        *map(text, OWED),
    ]
)
NLI_TRIPLETS = pa.schema(
    [
        text("triplet_id"),
        *_PLACE,
        text("premise"),
        *map(text, ("premise_kind", "premise_title")),  # passage, factual, unfactual, window; of which page
        text("hypothesis"),
        text("hypothesis_kind"),  # claim, false_claim
        text("label"),  # entailment, contradiction, neutral
        text("claim_id"),
        text("neutral_from"),  # same_page, same_topic; "" of those that are not neutral
        text("relation"),  # of the swap, "" where the passage has none
        *map(text, OWED),
    ]
)
DOCUMENTS = pa.schema(  # what is searched, and what retrieval pairs point to
    [
        text("document_id"),
        *_PLACE,  # passage_id: of the passage that a paraphrase is of; of a window its own
        text("kind"),  # window (of the pages), factual, unfactual
        text("text"),
        *map(number, ("start", "end")),  # of a window, in the page's text; 0, 0 else
        *map(text, OWED),
    ]
)
RETRIEVAL_PAIRS = pa.schema(
    [
        *_PLACE,
        *map(text, ("query", "query_kind", "claim_id")),  # kind: claim, false_claim
        *map(text, ("document_id", "document_kind")),  # kind: passage (its window), factual, unfactual
    ]
)
