"""Small files in exactly the shapes in which sci-Plex2 is published, with the faults of the published ones."""

from __future__ import annotations

import gzip
import warnings
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from bulkgen.datasets import sciplex2_twin

SERIES = "GSM4150377_sciPlex2_A549_Transcription_Modulators"


@dataclass
class Experiment:
    """Cells as the sequencer saw them: counts, a hash label `<drug>_<dose>_<well>` or None, genes with versions."""

    counts: sp.csr_matrix
    hashes: list[str | None]
    gene_ids: list[str]
    symbols: list[str]

    @property
    def cells(self) -> list[str]:
        return [f"A01_B{i // 96:02d}_RT_{i:04d}" for i in range(self.counts.shape[0])]

    def parts(self, place: int, missing: object) -> list[object]:
        return [missing if label is None else label.split("_")[place] for label in self.hashes]


def experiment(counts, symbols, *, rng: int = 0) -> Experiment:
    """Give counts (at least 60 cells x 20 genes) hash labels, versioned ids, and everything that has to be cleaned.

    The first cells are faulty: 0 to 4 have few counts, 5 and 6 too many, 7 to 9 are mostly mitochondrial, 10 to 15 have
    no hash label.
    """
    generator = np.random.default_rng(rng)
    dense = np.asarray(counts.todense()).astype(np.int64)
    n_cells, n_genes = dense.shape
    symbols = [str(symbol) for symbol in symbols]
    symbols[:3] = ["MT-CO1", "MT-ND4", "MT-CYB"]
    symbols[5] = symbols[6]  # one symbol, two genes
    dense[:5] = 0
    dense[:5, 10] = 500
    dense[5:7, 11] += 12_000
    dense[7:10, :3] = dense[7:10].sum(axis=1, keepdims=True) + 1
    dense[7:10] = dense[7:10] * 6_000 // dense[7:10].sum(axis=1, keepdims=True)
    ids = [f"ENSG{i:011d}.{1 + i % 9}" for i in range(1, n_genes + 1)]
    ids[-1] = ids[20].split(".")[0] + ".77_PAR_Y"  # the Y copy of gene 20
    ids[-2] = ids[21].split(".")[0] + ".3"
    drug = generator.choice(["BMS", "Dex", "Nutlin", "SAHA"], n_cells)
    dose = generator.choice(["0", "0.1", "1", "10"], n_cells, p=[0.4, 0.1, 0.1, 0.4])
    well = generator.choice(["AA01", "AB07", "BH12"], n_cells)
    hashes: list[str | None] = [f"{d}_{at}_{w}" for d, at, w in zip(drug, dose, well, strict=True)]
    hashes[10:16] = [None] * 6
    return Experiment(sp.csr_matrix(dense.astype(np.int32)), hashes, ids, symbols)


def simulated_experiment() -> Experiment:
    """160 cells of the twin, with everything that has to be cleaned."""
    twin = sciplex2_twin(160, 600, rng=1)
    return experiment(twin.X, twin.var["symbol"])


def write_preprocessed(cells: Experiment, path: Path) -> Path:
    """The preprocessed file: doses as text, symbols as names, 'Ensemble Id' with version, NAN for no label."""
    dose = ["NAN" if at is None else f"{float(at):.1f}" for at in cells.parts(1, None)]
    obs = pd.DataFrame(
        {"n.umi": np.asarray(cells.counts.sum(axis=1)).ravel(), "drug": cells.parts(0, "NAN"), "dose": dose},
        index=cells.cells,
    )
    var = pd.DataFrame({"Ensemble Id": cells.gene_ids}, index=cells.symbols)
    return _write(cells.counts.astype(np.float32), obs, var, path)


def write_scperturb(cells: Experiment, path: Path) -> Path:
    """scPerturb's file: cells without a hash label are called control."""
    labelled = np.array([label is not None for label in cells.hashes])
    obs = _hash_columns(cells).rename(columns={"pval": "pval_demultiplexing", "qval": "qval_demultiplexing"})
    obs = obs.rename(columns={"n.umi": "ncounts"}).drop(columns=["Cell", "sample", "Size_Factor"])
    obs["perturbation"] = cells.parts(0, "control")
    obs["dose_value"] = pd.Series(cells.parts(1, np.nan), index=obs.index, dtype=object)
    obs["well"] = pd.Series(cells.parts(2, np.nan), index=obs.index, dtype=object)
    obs["celltype"], obs["cell_line"], obs["cancer"] = "alveolar basal epithelial cells", "A549", True
    obs["disease"], obs["tissue_type"], obs["organism"] = "lung adenocarcinoma", "cell_line", "human"
    obs["perturbation_type"], obs["nperts"] = "drug", labelled.astype(int)
    obs["top_oligo"] = obs["top_oligo"].astype(object)
    var = pd.DataFrame({"ensembl_id": [gene.split(".")[0] for gene in cells.gene_ids]}, index=cells.symbols)
    var.index = pd.Index(
        [
            f"{name}-{i}" if twice else name
            for i, (name, twice) in enumerate(zip(var.index, var.index.duplicated(), strict=True))
        ],
        name="gene_symbol",
    )
    return _write(cells.counts.astype(np.float32), obs, var, path)


def write_geo(cells: Experiment, folder: Path, *, annotations: bool = True) -> Path:
    """GEO's triplet; with `annotations`, the pData are in another order than the matrix."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = cells.counts.tocoo()
    with gzip.open(folder / f"{SERIES}_UMI.count.matrix.gz", "wt") as file:
        file.writelines(
            f"{gene + 1}\t{cell + 1}\t{count}\n"
            for cell, gene, count in zip(entries.row, entries.col, entries.data, strict=True)
        )
    with gzip.open(folder / f"{SERIES}_gene.annotations.txt.gz", "wt") as file:
        file.writelines(f"{gene}\t{symbol}\n" for gene, symbol in zip(cells.gene_ids, cells.symbols, strict=True))
    metadata = _hash_columns(cells)
    if annotations:
        with gzip.open(folder / f"{SERIES}_cell.annotations.txt.gz", "wt") as file:
            file.writelines(f"{cell}\tsciPlex2\n" for cell in cells.cells)
        metadata = metadata.sample(frac=1.0, random_state=1)
    # as R's write.table: text in quotes, row names without a name in the header, NA bare
    quoted = metadata.map(lambda value: f'"{value}"' if isinstance(value, str) else "NA" if pd.isna(value) else value)
    with gzip.open(folder / "GSM4150377_sciPlex2_pData.txt.gz", "wt") as file:
        file.write(" ".join(f'"{name}"' for name in quoted) + "\n")
        file.writelines(f'"{name}" {" ".join(map(str, row))}\n' for name, *row in quoted.itertuples())
    return folder


def _hash_columns(cells: Experiment) -> pd.DataFrame:
    n = len(cells.hashes)
    return pd.DataFrame(
        {
            "Cell": cells.cells,
            "sample": "sciPlex2",
            "n.umi": np.asarray(cells.counts.sum(axis=1)).ravel(),
            "Size_Factor": 1.0,
            # every seventh label is doubtful
            "hash_umis": np.where(np.arange(n) % 7 == 0, 12, 300),
            "pval": 1e-9,
            "qval": 1e-8,
            "top_to_second_best_ratio": 25.5,
            "top_oligo": cells.hashes,
        },
        index=cells.cells,
    )


def _write(X: sp.csr_matrix, obs: pd.DataFrame, var: pd.DataFrame, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ad.AnnData(X, obs=obs, var=var).write_h5ad(path)
    return path
