"""How alike the sub-captions of a clip are: LongTake-HD's step 8 (arXiv 2412.01316), by sentence embeddings.

Redundant ones tell of a clip in which nothing happens. The paper names neither encoder nor pairs: here MiniLM, mean
pooled, and the cosine of all pairs is kept, so that another threshold or other pairs ask no encoder.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np

from tasks.encoder_files import EncoderSources
from tasks.keys import StoredFunction, canonical_json, key_of
from tasks.store import Store

STORED = StoredFunction("video.caption_similarity", "1", __name__, ("torch", "transformers", "tokenizers", "numpy"))
Pairs = Literal["adjacent", "all"]
Reduce = Literal["mean", "min", "max"]
_TOKENS = 256  # of a sub-caption that are read; the encoder was trained on as many


def similarities(
    texts: Mapping[str, Sequence[str]], sources: EncoderSources, store: Store, fetch: Callable[[Any], Path]
) -> dict[str, list[float]]:
    """Return for each clip the cosine of each pair of its texts: (0, 1), (0, 2), ..., (1, 2), ...

    What the store has is read; the encoder is fetched and loaded where something is missing.
    """
    params = {name: getattr(sources, name).sha256 for name in ("weights", "tokenizer", "config")}
    inputs = {clip_id: canonical_json(list(said)) for clip_id, said in texts.items()}
    keys = {clip_id: key_of(STORED.name, STORED.version, params, text) for clip_id, text in inputs.items()}
    store.refresh(STORED.name)
    known = store.get_many(STORED.name, set(keys.values()))
    missing = {inputs[clip_id]: list(texts[clip_id]) for clip_id, key in keys.items() if key not in known}
    if missing:
        sentences = sorted({text for said in missing.values() for text in said})
        vectors = dict(zip(sentences, _vectors(sentences, sources, fetch), strict=True))
        results = [
            (given, {"pairs": [_cosine(vectors[a], vectors[b]) for a, b in itertools.combinations(said, 2)]}, ())
            for given, said in missing.items()
        ]
        with store.writer() as writer:
            writer.put_many(STORED.name, STORED.version, params, results)
        known = store.get_many(STORED.name, set(keys.values()))
    return {clip_id: known[key].value["pairs"] for clip_id, key in keys.items()}


def reduced(pairs: Sequence[float], count: int, which: Pairs, reduce: Reduce) -> float:
    """Return one number of the cosines of all pairs of `count` texts, or of those that follow each other."""
    named = zip(itertools.combinations(range(count), 2), pairs, strict=True)
    chosen = [value for (first, second), value in named if which == "all" or second == first + 1]
    return {"mean": fmean(chosen), "min": min(chosen), "max": max(chosen)}[reduce]


def _vectors(sentences: Sequence[str], sources: EncoderSources, fetch: Callable[[Any], Path]) -> list[np.ndarray]:
    """Return the mean-pooled states of each sentence, of unit length, float64 (D,). A sentence is read alone.

    So its vector does not depend on which others are asked for.
    """
    import torch  # it takes seconds, and is needed only where something is missing

    from tasks.embed import Texts, fetched_encoder, load_body, mean_pooled, padded
    from tasks.learning.exact import exactly

    config, tokenizer, weights = fetched_encoder(sources, fetch)
    model, pieces = load_body(weights, config).eval(), Texts(tokenizer, _TOKENS)(sentences)
    found: list[np.ndarray] = []
    with exactly(1, torch.device("cpu")), torch.no_grad():
        for one in pieces:
            ids_BL, mask_BL = padded([one])
            states_BLD = model(input_ids=ids_BL, attention_mask=mask_BL).last_hidden_state
            vector = mean_pooled(states_BLD, mask_BL)[0].numpy().astype(np.float64)
            found.append(vector / np.linalg.norm(vector))
    return found


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    return round(float((first * second).sum()), 6)
