"""The data of a study: cells, the frozen split, the vocabulary, and the facts that reports and keys need."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from bulkgen.datasets import SCIPLEX2_CITATION
from bulkgen.generators.registry import generator_package
from bulkgen.io import canonical_counts, library_sizes, make_anndata, provenance_of, qc_table
from bulkgen.rng import STREAM_VERSION
from bulkgen.splits import split_benchmark
from bulkgen.study.cells import study_cells
from bulkgen.study.models import settled_model
from bulkgen.study.run import RESULT_VERSION, RunContext
from bulkgen.thinning import thin
from bulkgen.tokens import Vocabulary, tokenize
from bulkgen.tokens.encode import load_vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import numpy.typing as npt
    import scipy.sparse as sp
    from anndata import AnnData

    from bulkgen.kernels.protocol import Float64Array, Int64Array
    from bulkgen.study.config import DataSettings, StudyConfig
    from bulkgen.tokens import TokenDataset

__all__ = ["DataFacts", "LabelledCells", "StudyData", "join_tokens", "take_tokens"]

Value = TypeVar("Value")
Origin: TypeAlias = Literal["real", "simulated", "computed"]

#: Fewer training cells of a label are pointed out: a tenth of them is no cell, and a variance of them says little.
_FEW = 10
#: What may have been done to measured cells for them to be measured still.
_STILL_MEASURED = ("split", "thinned")

#: Columns that the test set is stratified by where the cells have them and the study names none.
_STRATIFIED_BY = ("replicate", "plate", "batch")
#: Equalised cells are thinned to this quantile of the training cells' library sizes: nine of ten reach it.
_EQUAL_QUANTILE = 0.1


class DataFacts(BaseModel):
    """What a study's data is; needs no cell to be told.

    Attributes
    ----------
    name
        Of the data set.
    origin
        ``"real"``: measured cells; ``"simulated"``; or ``"computed"`` from cells: sums, mixtures or synthetic cells.
    simulated
        Whether no cell of it was measured: the origin is another than real.
    note, citation
        What to say wherever the data appears, and whom to cite.
    n_cells, n_genes
        Size.
    labels
        Label → cells, sorted by label.
    parts
        Part of the split → label → cells.
    control
        Label of the control.
    doses
        Doses of the cells, ascending; empty where the study names no column of doses.
    qc
        Steps of quality control with the cells left after each.
    sha256
        Hashes: ``counts``, ``genes`` and ``labels`` (with names and doses of the cells).
    stratified_by
        Columns that the split is stratified by, beside the label.
    split_sha256
        Hash of which cell is in which part.
    vocabulary
        ``name``, ``fingerprint``, ``genes`` and ``context``.
    threads, stream_version, result_version
        What else results depend on.
    models
        Model → what its settings leave open and results depend on: ``device`` and ``precision``, and ``weights``, a
        hash of a local checkpoint's files.
    packages
        Method → package and version of a generator that is not bulkgen's.
    command
        The command that ran the study, if it was one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    origin: Origin = "real"
    simulated: bool
    note: str = ""
    citation: str = ""
    n_cells: int
    n_genes: int
    labels: dict[str, int]
    parts: dict[str, dict[str, int]]
    control: str | None = None
    doses: tuple[float, ...] = ()
    qc: tuple[dict[str, Any], ...] = ()
    sha256: dict[str, str]
    stratified_by: tuple[str, ...] = ()
    split_sha256: str
    vocabulary: dict[str, Any]
    threads: int = 1
    stream_version: int = STREAM_VERSION
    result_version: int = RESULT_VERSION
    models: dict[str, dict[str, str]] = {}
    packages: dict[str, str] = {}
    command: str | None = None

    @property
    def rare(self) -> dict[str, int]:
        """Labels with few training cells, and how many."""
        return {label: n for label, n in self.parts.get("train", {}).items() if n < _FEW}

    @property
    def context(self) -> RunContext:
        """What every run's key holds of the data."""
        together = "".join(self.sha256[name] for name in sorted(self.sha256)) + repr(self.control)
        return RunContext(
            data=hashlib.sha256(together.encode()).hexdigest(),
            split=self.split_sha256,
            vocabulary=str(self.vocabulary["fingerprint"]),
            threads=self.threads,
            stream_version=self.stream_version,
            result_version=self.result_version,
        )


@dataclass(frozen=True, eq=False)
class LabelledCells:
    """Real cells of one part of the split, with their tokens.

    Attributes
    ----------
    cells
        The cells.
    tokens
        Tokens of those that express a gene of the vocabulary.
    labels, doses
        Of each cell; doses are NaN where the study names no column of them.
    """

    cells: AnnData
    tokens: TokenDataset
    labels: npt.NDArray[np.object_]
    doses: Float64Array

    def rows(
        self,
        labels: Collection[str] | None = None,
        *,
        dose: float | None = None,
        control: str | None = None,
        without_doses: Collection[float] = (),
    ) -> Int64Array:
        """Return the rows of some cells, ascending.

        Parameters
        ----------
        labels
            Cells of these labels; ``None`` for any.
        dose
            Cells of this dose, and those of the control.
        control
            Label of the control.
        without_doses
            No cell of these doses.
        """
        chosen = np.ones(len(self.labels), dtype=bool) if labels is None else np.isin(self.labels, list(labels))
        if dose is not None:
            chosen &= (self.doses == dose) | (self.labels == control)
        chosen &= ~np.isin(self.doses, list(without_doses))
        return np.flatnonzero(chosen)

    def tokens_of(self, rows: Int64Array) -> TokenDataset:
        """Return the tokens of some cells, without those that express no gene of the vocabulary."""
        places = self._places[rows]
        return take_tokens(self.tokens, places[places >= 0])

    @cached_property
    def _places(self) -> Int64Array:
        """Row of each cell among the tokens, -1 for a cell that has none."""
        found = pd.Index(self.tokens.column("cell_id")).get_indexer(self.cells.obs_names.astype(str))
        return np.asarray(found, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class StudyData:
    """Cells of a study, divided for good.

    Attributes
    ----------
    facts
        What the data is.
    split
        One row per cell: ``cell``, ``part``, ``label``, and ``dose`` where there is one.
    train, validation, test
        The cells of each part; ``validation`` may be empty.
    label, dose
        Columns of the cells; ``dose`` may be ``None``.
    gene_ids
        Column of ``var`` with the gene ids, ``None`` for the names.
    vocabulary
        The vocabulary.
    """

    facts: DataFacts
    split: pd.DataFrame
    train: AnnData
    validation: AnnData
    test: AnnData
    label: str
    dose: str | None
    gene_ids: str | None
    vocabulary: Vocabulary

    @classmethod
    def open(cls, config: StudyConfig) -> StudyData:
        """Read or simulate the cells of a study and divide them.

        Nothing but the training cells decides the vocabulary where it is fitted.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        LabelError
            If a column or label is missing, or a label has too few cells.
        ValueError
            If the settings do not fit the cells.
        """
        settings = config.data
        cells, name = study_cells(settings)
        stratify_by = _stratify_by(cells, config)
        split = split_benchmark(
            cells,
            label=settings.label,
            test_fraction=config.split.test_fraction,
            validation_fraction=config.split.validation_fraction,
            stratify_by=stratify_by,
            rng=config.split.rng,
        )
        if config.vocabulary.name == "fit":
            vocabulary = Vocabulary.fit(split.train, gene_ids=settings.gene_ids)
        else:
            vocabulary = load_vocabulary(config.vocabulary.name, config.vocabulary.path)
        if config.vocabulary.context is not None:
            vocabulary = replace(vocabulary, context=config.vocabulary.context)
        table = _split_table(cells, split.indices, settings)
        record = provenance_of(cells) or {}
        origin = _origin(record)
        labels = table["label"].value_counts().sort_index()
        facts = DataFacts(
            name=name,
            origin=origin,
            simulated=origin != "real",
            note=str(record.get("note", cells.uns.get("note", ""))),
            citation=str(cells.uns.get("citation", "" if settings.source == "file" else SCIPLEX2_CITATION)),
            n_cells=cells.n_obs,
            n_genes=cells.n_vars,
            labels={str(label): int(n) for label, n in labels.items()},
            parts=_label_counts(table),
            control=settings.control,
            doses=() if settings.dose is None else tuple(float(dose) for dose in np.unique(table["dose"])),
            qc=_qc_steps(cells) if settings.source == "sciplex2" else (),
            sha256=_hashes(cells, table, gene_ids=settings.gene_ids),
            stratified_by=tuple(stratify_by),
            split_sha256=_sha256((table["cell"] + "\0" + table["part"] + "\0").tolist()),
            vocabulary={
                "name": vocabulary.name,
                "fingerprint": vocabulary.fingerprint,
                "genes": len(vocabulary.tokens),
                "context": vocabulary.context,
            },
            threads=config.threads,
            models={name: found for name, model in config.models.items() if (found := settled_model(model))},
            packages=_packages(config),
        )
        return cls(
            facts=facts,
            split=table,
            train=split.train,
            validation=split.validation,
            test=split.test,
            label=settings.label,
            dose=settings.dose,
            gene_ids=settings.gene_ids,
            vocabulary=vocabulary,
        )

    @property
    def by(self) -> tuple[str, ...]:
        """The columns that bulk profiles are grouped by: label and dose."""
        return (self.label,) if self.dose is None else (self.label, self.dose)

    @cached_property
    def equal_size(self) -> float:
        """The library size that cells are thinned to where all shall have the same."""
        return float(
            np.floor(np.quantile(library_sizes(canonical_counts(self.train.X, require_integers=True)), _EQUAL_QUANTILE))
        )

    def tokens_of(self, cells: AnnData, *, keep_empty: bool = False) -> TokenDataset:
        """Tokenize cells with the study's vocabulary and label."""
        return tokenize(
            cells,
            vocabulary=self.vocabulary,
            label=self.label,
            gene_ids=self.gene_ids,
            keep_empty=keep_empty,
            threads=self.facts.threads,
        )

    def equalised(self, cells: AnnData, *, rng: np.random.SeedSequence) -> AnnData:
        """Thin cells to :attr:`equal_size`; those that have fewer counts stay as they are.

        Values that are no whole numbers are rounded first.
        """
        counts = canonical_counts(cells.X, require_integers=False)
        if not np.array_equal(counts.data, np.rint(counts.data)):
            counts = counts.copy()
            counts.data = np.rint(counts.data)
            counts.eliminate_zeros()
        whole = make_anndata(counts, obs=cells.obs, var=cells.var, uns=cells.uns)
        return thin(whole, library_size=max(1.0, self.equal_size), rng=rng, threads=self.facts.threads)

    def real(self, part: str, *, equal: bool = False) -> LabelledCells | None:
        """Return the real cells of a part, which are tokenized once; ``None`` for a part without cells.

        Parameters
        ----------
        part
            ``train``, ``validation`` or ``test``.
        equal
            All cells thinned to one library size, always in the same way.
        """
        if (part, equal) not in self._real:
            cells: AnnData = getattr(self, part)
            found = None
            if cells.n_obs:
                if equal:
                    number = ("train", "validation", "test").index(part)
                    cells = self.equalised(cells, rng=np.random.SeedSequence([0, number]))
                labels = cells.obs[self.label].astype(str).to_numpy(dtype=object)
                none = np.full(cells.n_obs, np.nan)
                doses = none if self.dose is None else cells.obs[self.dose].to_numpy(dtype=np.float64)
                found = LabelledCells(cells, self.tokens_of(cells), labels, doses)
            self._real[part, equal] = found
        return self._real[part, equal]

    @cached_property
    def _real(self) -> dict[tuple[str, bool], LabelledCells | None]:
        return {}

    def shared(self, kind: str, key: str, make: Callable[[], Value], *, most: int) -> Value:
        """Return what runs share (fits, training sets), made when it is first needed.

        Parameters
        ----------
        kind
            Of thing.
        key
            Hash of all that determines it.
        make
            Makes it.
        most
            Of this kind so many are kept, those used last.
        """
        kept: OrderedDict[str, Any] = self._shared.setdefault(kind, OrderedDict())
        if key in kept:
            kept.move_to_end(key)
        else:
            while len(kept) >= most:
                kept.popitem(last=False)
            kept[key] = make()
        found: Value = kept[key]
        return found

    @cached_property
    def _shared(self) -> dict[str, OrderedDict[str, Any]]:
        return {}


def take_tokens(tokens: TokenDataset, rows: Int64Array) -> TokenDataset:
    """Return some cells of a token data set, in this order."""
    return replace(tokens, table=tokens.table.take(pa.array(rows)))


def join_tokens(parts: Sequence[TokenDataset]) -> TokenDataset:
    """Put token data sets of one vocabulary and label end to end, with the columns of the first."""
    tables = [part.table.select(parts[0].table.column_names).replace_schema_metadata(None) for part in parts]
    return replace(parts[0], table=pa.concat_tables(tables, promote_options="permissive"))


def _origin(record: Mapping[str, Any]) -> Origin:
    """Say where cells are from by their provenance and that of what they were made from."""
    kinds = []
    while record:
        kinds.append(str(record.get("kind", "simulated" if record.get("simulated") else "split")))
        record = json.loads(str(record.get("history", "{}")))
    if "simulated" in kinds:
        return "simulated"
    return "real" if set(kinds) <= set(_STILL_MEASURED) else "computed"


def _packages(config: StudyConfig) -> dict[str, str]:
    """Return the packages of the generators that are not bulkgen's."""
    methods = dict.fromkeys(generator.method for generator in config.generators.values())
    found = {method: generator_package(method) for method in methods}
    return {method: package for method, package in found.items() if package is not None}


def _stratify_by(cells: AnnData, config: StudyConfig) -> list[str]:
    if config.split.stratify_by:
        return list(config.split.stratify_by)
    columns = [] if config.data.dose is None else [config.data.dose]
    complete = [name for name in _STRATIFIED_BY if name in cells.obs and not cells.obs[name].isna().any()]
    return columns + [name for name in complete if name not in columns]


def _split_table(cells: AnnData, indices: dict[str, Int64Array], settings: DataSettings) -> pd.DataFrame:
    part = np.empty(cells.n_obs, dtype=object)
    for name, rows in indices.items():
        part[rows] = name
    columns = {
        "cell": cells.obs_names.astype(str).to_numpy(dtype=object),
        "part": part,
        "label": cells.obs[settings.label].astype(str).to_numpy(dtype=object),
    }
    if settings.dose is not None:
        columns["dose"] = cells.obs[settings.dose].to_numpy(np.float64)
    return pd.DataFrame(columns)


def _label_counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return part → label → cells."""
    counts = pd.crosstab(table["part"], table["label"]).reindex(["train", "validation", "test"], fill_value=0)
    return {str(part): {str(label): int(n) for label, n in row.items()} for part, row in counts.iterrows()}


def _qc_steps(cells: AnnData) -> tuple[dict[str, Any], ...]:
    """Return the steps of quality control that the reader noted."""
    return tuple({str(name): value for name, value in row.items()} for row in qc_table(cells).to_dict("records"))


def _hashes(cells: AnnData, table: pd.DataFrame, *, gene_ids: str | None) -> dict[str, str]:
    """Hash the content, however it is stored."""
    counts: sp.csr_matrix = canonical_counts(cells.X, require_integers=False)
    if not counts.data.all():
        counts = counts.copy()
        counts.eliminate_zeros()
    matrix = hashlib.sha256(repr(counts.shape).encode())
    for values, kind in ((counts.indptr, "<i8"), (counts.indices, "<i4"), (counts.data, "<f8")):
        matrix.update(np.ascontiguousarray(values, dtype=kind).tobytes())
    genes = cells.var_names if gene_ids is None else cells.var[gene_ids]
    columns = [table[name].astype(str) for name in table.columns if name != "part"]
    return {
        "counts": matrix.hexdigest(),
        "genes": _sha256([f"{gene}\0" for gene in genes]),
        "labels": _sha256(["\0".join(row) + "\0" for row in zip(*columns, strict=True)]),
    }


def _sha256(texts: Sequence[str]) -> str:
    return hashlib.sha256("".join(texts).encode()).hexdigest()
