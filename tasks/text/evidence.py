"""Evidence as a judge and a retriever are given it: what is cut out of a page comes with the page's title."""

_CUT = frozenset({"window", "passage"})  # of a page; a paraphrase stands by itself


def evidence_text(kind: str, title: str, text: str) -> str:
    """Return a document or premise of a kind (window, passage, factual, unfactual) with its title if it needs one."""
    return f"{title}. {text}" if kind in _CUT else text
