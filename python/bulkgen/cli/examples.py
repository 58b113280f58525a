"""An example of every command, as it is typed; its help ends with it."""

from __future__ import annotations

__all__ = ["EXAMPLES"]

#: Lines by the name of the command.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "fetch": ("bulkgen fetch sciplex2 --out cells.h5ad",),
    "sciplex2": ("bulkgen sciplex2 SrivatsanTrapnell2020_sciplex2.h5ad --out cells.h5ad",),
    "split": ("bulkgen split cells.h5ad --label treated_label --out split",),
    "pseudobulk": ("bulkgen pseudobulk split/train.h5ad --by treated_label -k 10 -o pb.h5ad",),
    "thin": ("bulkgen thin pb.h5ad --reference split/train.h5ad -o thinned.h5ad",),
    "bulk": ("bulkgen bulk counts.csv --samples samples.csv --by drug -o bulk.h5ad",),
    "generators": ("bulkgen generators",),
    "fit": ("bulkgen fit split/train.h5ad --by treated_label -o fit.h5ad",),
    "synthesize": (
        "bulkgen synthesize split/train.h5ad --by treated_label -n 500 -o cells.h5ad",
        "bulkgen synthesize --fitted fit.h5ad -n 500 --tokens -o cells.dataset",
    ),
    "tokenize": ("bulkgen tokenize cells.h5ad --label treated_label -o cells.dataset",),
    "publish": ("bulkgen publish cells.dataset --license cc-by-4.0 -o hub",),
    "finetune": (
        "bulkgen finetune cells.dataset --validation val.dataset --model tiny -o run",
        "bulkgen finetune --fitted fit.h5ad --n-cells 1000 --model linear -o run",
    ),
    "evaluate": ("bulkgen evaluate run test.dataset --predictions predictions.csv",),
    "benchmark": (
        "bulkgen benchmark cells.h5ad --label cell_type -m donor_shift \\",
        "  -m masked=truncated_gaussian:zero_mask=true -o benchmark",
    ),
    "score": ("bulkgen score synthetic.h5ad --real test.h5ad --label cell_type -o score",),
    "demo": ("bulkgen demo --out demo",),
    "doctor": ("bulkgen doctor",),
    "study run": ("bulkgen study run poster --data cells.h5ad --jobs 4 --out study",),
    "study report": ("bulkgen study report study",),
    "study status": ("bulkgen study status study",),
    "study presets": ("bulkgen study presets quick > mine.toml",),
}
