"""The published Self-Instruct run, for comparison: Wang et al. (2023), "Self-Instruct", arXiv 2212.10560, table 1.

Pure. The keys are those of the figures that they stand beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PUBLISHED: Mapping[str, float] = MappingProxyType(
    {
        "instructions": 52_445,
        "classification": 11_584,
        "other": 40_861,
        "instances": 82_439,
        "without_input": 35_878,
        "instruction_words": 15.9,
        "input_words": 12.7,
        "output_words": 18.9,
    }
)

ROWS: Mapping[str, str] = MappingProxyType(
    {
        "instructions": "Instructions",
        "classification": "of them classification",
        "other": "of them not classification",
        "instances": "Instances",
        "without_input": "of them with an empty input",
        "instruction_words": "Words an instruction, on average",
        "input_words": "Words an input that is not empty, on average",
        "output_words": "Words an output, on average",
    }
)
"""What each row is called."""
