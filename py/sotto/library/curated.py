"""A few models to begin with."""

from __future__ import annotations

from dataclasses import dataclass

TERMS = "https://ai.google.dev/gemma/terms"


@dataclass(frozen=True)
class Curated:
    """A model worth having. What it is good for is said by the words `models.curated.<name>` of web/words.json.

    Attributes:
        name: what it is called here.
        title: what people call it.
        address: as `library.address.parse` takes it.
        nbytes: about what its file has; the hub knows it exactly.
        licence: its name; its terms are at TERMS.
        memory: bytes that the machine should have free for it.
        recommended: the one to take in doubt.
    """

    name: str
    title: str
    address: str
    nbytes: int
    licence: str
    memory: int
    recommended: bool = False


# As published in 2026; the first one is Google's QAT with the settings mended and the embedding in six bits.
CURATED = (
    Curated(
        "1b", "Gemma 3 1B-it QAT", "stduhpf/google-gemma-3-1b-it-qat-q4_0-gguf-small:gemma-3-1b-it-q4_0_s.gguf",
        720_000_000, "Gemma", 1_500_000_000, recommended=True,
    ),
    Curated(
        "270m", "Gemma 3 270M-it", "unsloth/gemma-3-270m-it-GGUF:gemma-3-270m-it-Q8_0.gguf",
        292_000_000, "Gemma", 800_000_000,
    ),
    Curated(
        "4b", "Gemma 3 4B-it QAT", "google/gemma-3-4b-it-qat-q4_0-gguf:gemma-3-4b-it-q4_0.gguf",
        3_160_000_000, "Gemma", 5_000_000_000,
    ),
)  # fmt: skip
