"""The table of metrics: what each is called, which way is better, and what it is at perfection.

The functions that calculate them are in one file per group; :func:`bulkgen.fidelity.measure` calls those that need
nothing but cells. Utility and cost need training and timing, and are the runner's.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GROUPS", "METRICS", "Metric", "MetricGroup"]

MetricGroup: TypeAlias = Literal[
    "utility",
    "tokens",
    "cells",
    "dependence",
    "distribution",
    "discrimination",
    "effect",
    "copying",
    "cost",
]

#: The groups in the order of a report, with a heading each.
GROUPS: Mapping[MetricGroup, str] = MappingProxyType(
    {
        "utility": "Utility: train on synthetic, test on real",
        "tokens": "Tokens",
        "cells": "Cells and genes",
        "dependence": "Dependence between genes",
        "distribution": "Distribution in a space of real training cells",
        "discrimination": "Discrimination: can a classifier tell",
        "effect": "Effect: differential expression",
        "copying": "Copying of training cells",
        "cost": "Cost",
    }
)


@dataclass(frozen=True)
class Metric:
    """What a number means.

    Attributes
    ----------
    name
        Its name in results.
    group
        The group it belongs to.
    better
        ``"lower"``, ``"higher"``, or ``"toward"`` where it can be off on either side of `perfect`.
    perfect
        The best value there is; what real cells reach, the ceiling, is often short of it.
    description
        One line for the report.
    unit
        Unit of the value; empty for a number without one.
    """

    name: str
    group: MetricGroup
    better: Literal["lower", "higher", "toward"]
    perfect: float
    description: str
    unit: str = ""

    def badness(self, value: float) -> float:
        """Return how far a value is from perfection on the bad side; what ranks methods, 0 the best."""
        match self.better:
            case "lower":
                return max(0.0, value - self.perfect)
            case "higher":
                return max(0.0, self.perfect - value)
            case "toward":
                return abs(value - self.perfect)


_TABLE = (
    # utility and cost need training and timing; the runner measures them
    Metric(
        "tstr_balanced_accuracy", "utility", "higher", 1.0, "balanced accuracy, trained on synthetic, tested on real"
    ),
    Metric("tstr_macro_f1", "utility", "higher", 1.0, "macro-F1, trained on synthetic, tested on real"),
    Metric("tstr_recall", "utility", "higher", 1.0, "recall of a class, trained on synthetic, tested on real"),
    Metric(
        "tstr_gap_closed", "utility", "higher", 1.0, "balanced accuracy: 0 truncated Gaussian, 1 real training cells"
    ),
    Metric("token_count_ks", "tokens", "lower", 0.0, "Kolmogorov-Smirnov distance of tokens per cell"),
    Metric("token_count_wasserstein", "tokens", "lower", 0.0, "Wasserstein distance of tokens per cell", "tokens"),
    Metric("token_top_overlap", "tokens", "higher", 1.0, "share in common of the 2,048 tokens found in most cells"),
    Metric("token_rank_displacement", "tokens", "lower", 0.0, "difference of mean relative ranks, commonest tokens"),
    Metric("library_size_ks", "cells", "lower", 0.0, "Kolmogorov-Smirnov distance of library sizes"),
    Metric("library_size_wasserstein", "cells", "lower", 0.0, "Wasserstein distance of log library sizes", "log2"),
    Metric("zero_fraction_ks", "cells", "lower", 0.0, "Kolmogorov-Smirnov distance of the cells' shares of zeros"),
    Metric("zero_fraction_wasserstein", "cells", "lower", 0.0, "Wasserstein distance of the cells' shares of zeros"),
    Metric("gene_mean_concordance", "cells", "higher", 1.0, "Lin's concordance of the genes' log means"),
    Metric("gene_variance_concordance", "cells", "higher", 1.0, "Lin's concordance of the genes' log variances"),
    Metric("gene_zero_fraction_error", "cells", "lower", 0.0, "mean difference of the genes' shares of zeros"),
    Metric("mean_variance_curve", "cells", "lower", 0.0, "mean difference of log variance at equal mean", "log2"),
    Metric(
        "gene_ks", "cells", "lower", 0.0, "Kolmogorov-Smirnov distance of a gene's counts, mean over variable genes"
    ),
    Metric("correlation_difference", "dependence", "lower", 0.0, "root mean square difference of gene correlations"),
    Metric("correlation_slope", "dependence", "toward", 1.0, "slope of synthetic on real gene correlations"),
    Metric(
        "eigen_spectrum_ratio", "dependence", "toward", 1.0, "ten largest eigenvalues of the correlations over real"
    ),
    Metric("energy_distance", "distribution", "lower", 0.0, "energy distance (unbiased: may fall below 0)"),
    Metric("mmd2", "distribution", "lower", 0.0, "squared maximum mean discrepancy (unbiased: may fall below 0)"),
    Metric("sliced_wasserstein", "distribution", "lower", 0.0, "Wasserstein distance, mean over 200 directions"),
    Metric("precision", "distribution", "higher", 1.0, "share of synthetic cells in the neighbourhood of a real one"),
    Metric("recall", "distribution", "higher", 1.0, "share of real cells in the neighbourhood of a synthetic one"),
    Metric(
        "density", "distribution", "toward", 1.0, "real neighbourhoods around a synthetic cell, over those expected"
    ),
    Metric(
        "coverage", "distribution", "higher", 1.0, "share of real cells with a synthetic one in their neighbourhood"
    ),
    Metric("auroc_linear", "discrimination", "toward", 0.5, "AUROC of logistic regression, synthetic against real"),
    Metric("auroc_forest", "discrimination", "toward", 0.5, "AUROC of a random forest, synthetic against real"),
    Metric("fold_change_slope", "effect", "toward", 1.0, "slope of synthetic on real log fold changes, top 200 genes"),
    Metric("fold_change_correlation", "effect", "higher", 1.0, "correlation of log fold changes, top 200 genes"),
    Metric("fold_change_direction", "effect", "higher", 1.0, "share of the top 200 genes with the real direction"),
    Metric("de_overlap_50", "effect", "higher", 1.0, "share in common of the 50 most differential genes"),
    Metric("de_overlap_100", "effect", "higher", 1.0, "share in common of the 100 most differential genes"),
    Metric("de_overlap_200", "effect", "higher", 1.0, "share in common of the 200 most differential genes"),
    Metric("nearest_is_donor", "copying", "lower", 0.0, "share whose nearest real training cell is their own donor"),
    Metric("closest_record_median", "copying", "toward", 1.0, "median distance to training cells over held-out cells'"),
    Metric("closest_record_low", "copying", "toward", 1.0, "5 % quantile of the distance over held-out cells'"),
    Metric("singled_out", "copying", "lower", 0.05, "share nearer to one training cell than 95 % of held-out cells"),
    Metric("seconds_per_10000_cells", "cost", "lower", 0.0, "time to draw 10,000 cells, after fitting", "s"),
    Metric("fit_seconds", "cost", "lower", 0.0, "time to fit", "s"),
    Metric("peak_memory", "cost", "lower", 0.0, "most memory taken beyond what was taken before", "MB"),
)

#: Every metric by its name, in the order of a report.
METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _TABLE})
