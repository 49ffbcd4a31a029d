"""Operators that have no meaning here, and why."""

from __future__ import annotations

REASONS = {
    "it works on texts": (
        "LabelEncoder",
        "RegexFullMatch",
        "StringConcat",
        "StringNormalizer",
        "StringSplit",
        "TfIdfVectorizer",
    ),
    "it draws random numbers, which differ from program to program": (
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    ),
    "it reads image files": ("ImageDecoder",),
    "its largest samples have no agreed meaning": ("MaxRoiPool",),
}
DOMAINS = {
    "ai.onnx.ml": "it is of classic machine learning",
    "ai.onnx.preview.training": "it trains, which an optimizer of `chainrule.optim` does",
    "ai.onnx.training": "it trains, which an optimizer of `chainrule.optim` does",
}


def reason(domain: str, name: str) -> str | None:
    """Why an operator is refused, if that is known."""
    for why, names in REASONS.items():
        if name in names:
            return why
    return DOMAINS.get(domain)
