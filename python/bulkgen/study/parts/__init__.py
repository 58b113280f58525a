"""The parts of a study by name."""

from __future__ import annotations

from bulkgen.study.parts.ablations import Ablations
from bulkgen.study.parts.base import ALL_REAL, FLOOR, Part, Point, Problem
from bulkgen.study.parts.bias import Bias
from bulkgen.study.parts.bulkiness import Bulkiness
from bulkgen.study.parts.few_cells import FewCells
from bulkgen.study.parts.ladder import Ladder
from bulkgen.study.parts.mixing import Mixing
from bulkgen.study.parts.synthetic import Synthetic
from bulkgen.study.parts.thinning import Thinning
from bulkgen.study.parts.unseen_dose import UnseenDose

__all__ = ["ALL_REAL", "FLOOR", "PARTS", "Part", "Point", "Problem"]

#: The parts by their names in the TOML, in the order of their letters.
PARTS: dict[str, type[Part]] = {
    part.name: part for part in (Bulkiness, Synthetic, Mixing, Thinning, Ladder, FewCells, Bias, UnseenDose, Ablations)
}
