"""Results of a study that never ran: random numbers in the shape of real ones, for tests of the report alone."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd

from bulkgen.report.study.content import PartWords, StudyContent
from bulkgen.training.metrics import Scores

TEST_CELLS = {"Untreated": 325, "Nutlin": 90, "Dex": 80, "SAHA": 37, "BMS": 25}
LABELS = tuple(sorted(TEST_CELLS))
#: Training cells of the rarest label.
RAREST = 8 * min(TEST_CELLS.values())
ALL, EQUAL = "5 labels", "5 labels, equal classes"
MODELS = ("linear", "tiny")
REAL, WITH_CONTROLS = "real cells", "real cells + all controls"
KS = (1.0, 10.0, 100.0)
#: About what each generator reaches here.
SCORES = {
    "truncated_gaussian": 0.45,
    "poisson": 0.7,
    "negative_binomial": 0.72,
    "donor_shift": 0.86,
    "donor_shift_renoise": 0.84,
    "copula": 0.75,
}
PARTS = (
    PartWords("bulkiness", "A", "Bulkiness", "How does a model fare that was trained on k cells at a time?",
              "cells per sample (k)"),
    PartWords("synthetic", "B", "Synthetic cells", "Can cells generated from bulk replace single cells?"),
    PartWords("mixing", "C", "Mixing", "Do synthetic cells help beside real ones?"),
    PartWords("thinning", "D", "Thinning", "Is the collapse depth or averaging?", "cells per sample (k)"),
    PartWords("ladder", "E", "Ladder", "Which generator makes the most useful cells?"),
    PartWords("few_cells", "F", "Few real cells", "When does bulk help?", "real cells per class"),
    PartWords("bias", "G", "Bias", "What does the platform of the bulk do?", "sd of the gene-wise log bias"),
    PartWords("unseen_dose", "H", "Unseen dose", "Can bulk stand for a dose without single cells?", "dose (µM)"),
    PartWords("ablations", "I", "Ablations", "What is left without labels, genes, or depth?", "donors per class"),
)  # fmt: skip


class _Study:
    """Rows and records as they are added."""

    def __init__(self, seeds, models, rng=0):
        self.seeds, self.models = seeds, models
        self.rng = np.random.default_rng(rng)
        self.rows, self.specifications, self.runs = [], {}, {}

    def add(self, part, series, name, training, score, *, x=None, problem=ALL, validated=None, how="real",
            ablation="none", test_dose=None, status="done", models=None):  # fmt: skip
        labels = LABELS if problem in (ALL, EQUAL) else tuple(sorted(problem.split(" or ")))
        for model in models or self.models:
            for seed in self.seeds:
                run = {
                    "training": training,
                    "labels": None if problem in (ALL, EQUAL) else list(labels),
                    "validation": how,
                    "ablation": ablation,
                    "test_dose": test_dose,
                    "model": {"name": model, "checkpoint": None, "subfolder": None, "options": {}},
                    "seed": seed,
                    "context": {"data": "d", "split": "s", "vocabulary": "v", "threads": 1},
                }
                key = hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:20]
                self.specifications[key] = run
                if key not in self.runs and status != "missing":
                    self.runs[key] = self._record(key, run, labels, score, validated, status)
                row = {"part": part, "problem": problem, "series": series, "name": name, "x": x, "model": model}
                self.rows.append(row | {"seed": seed, "key": key, "status": status} | _columns(self.runs.get(key)))

    def _record(self, key, run, labels, score, validated, status):
        slow = run["model"]["name"] == "tiny"
        record = {
            "format": "bulkgen-study-run",
            "version": 1,
            "key": key,
            "run": run,
            "status": status,
            "error": None,
            "result": None,
            "cost": {"seconds": float(self.rng.gamma(9, 4.0 if slow else 0.2)), "peak_memory": 900.0 + 60 * slow},
            "versions": {"bulkgen": "0.1.0"},
        }
        if status == "failed":
            record["error"] = {"type": "ValueError", "message": "no <cells> of BMS", "traceback": "Traceback …"}
            return record
        loss = 0.06 if slow else 0.0
        test = self._scores(labels, score - loss)
        validation = self._scores(labels, (score if validated is None else validated) - loss / 3)
        history = [
            {"epoch": epoch, "training_loss": 1 / epoch, "validation_balanced_accuracy":
             validation["balanced_accuracy"] * (1 - 0.5 ** (epoch + 1))} for epoch in range(1, 7)
        ] if slow else []  # fmt: skip
        first = run["training"][0]
        k = first.get("k") or 1.0
        sizes = 4800 * (1.0 if first.get("thin") else k)
        record["result"] = {
            "test": test,
            "test_predictions": self._predictions(test),
            "validation": validation,
            "validation_real": self._scores(labels, score - loss),
            "history": history,
            "training_set": {
                "cells": 5000,
                "label_counts": dict.fromkeys(labels, 1000),
                "token_lengths": _quantiles(self.rng, 2000 * min(k, 3.0) ** 0.5),
                "library_sizes": _quantiles(self.rng, sizes),
                "expressed_genes": _quantiles(self.rng, 2100 * min(k, 5.0)),
            },
            "fidelity": {
                "token_ks": float(self.rng.uniform(0, 1)),
                "token_wasserstein": float(2000 * (1 - score) ** 2 + self.rng.uniform(0, 9)),
                "fold_change_slope": float(score + self.rng.normal(0, 0.05)),
                "fold_change_correlation": float(score),
            },
        }
        return record

    def _predictions(self, test):
        """Classes of the test cells in the order of the split, as the confusion matrix has them."""
        by_label = dict(zip(test["labels"], test["confusion"], strict=True))
        found = [np.repeat(np.arange(len(by_label)), by_label[label]) for label in TEST_CELLS if label in by_label]
        return np.concatenate([self.rng.permutation(classes) for classes in found]).tolist()

    def _scores(self, labels, recall):
        confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
        for place, label in enumerate(labels):
            hit = float(np.clip(recall + self.rng.normal(0, 0.02), 0.0, 1.0))
            others = np.full(len(labels), (1 - hit) / (len(labels) - 1))
            others[place] = hit
            confusion[place] = self.rng.multinomial(TEST_CELLS[label], others / others.sum())
        plain = {"confusion": confusion.tolist(), "labels": list(labels), "majority": {"label": "Untreated"}}
        return Scores.from_dict(plain).to_dict()


def make_study(*, seeds=(0, 1, 2), models=MODELS, simulated=True):
    """A whole study of all parts; ``copula`` fails for tiny in part E and has not been run for two labels in part B."""
    study = _Study(seeds, models)
    for part in (_bulkiness, _synthetic, _mixing, _thinning, _ladder, _few_cells, _bias, _unseen_dose, _ablations):
        part(study)
    table = pd.DataFrame(study.rows)
    content = {
        "name": "poster",
        "data": {
            "name": "the simulated twin of sci-Plex2" if simulated else "sci-Plex2",
            "simulated": simulated,
            "note": "No cell was measured." if simulated else "Measured by Srivatsan et al.",
            "n_cells": 5565,
            "n_genes": 2000,
            "labels": {label: 10 * n for label, n in TEST_CELLS.items()},
            "control": "Untreated",
            "doses": [0.0, 1.0, 10.0],
            "qc": [{"step": "500 < counts < 12,000", "cells": 19239}, {"step": "drug known", "cells": 19164}],
            "sha256": {"counts": 64 * "c", "labels": 64 * "b"},
            "vocabulary": {"name": "fitted", "genes": 1800, "context": 2048},
        },
        "parts": PARTS,
        "table": table,
        "specifications": study.specifications,
        "runs": study.runs,
        "split": pd.DataFrame(
            [
                (part, label)
                for part, share in (("train", 8), ("validation", 1), ("test", 1))
                for label, n in TEST_CELLS.items()
                for _ in range(share * n)
            ],
            columns=["part", "label"],
        ),
        "command": "bulkgen study run poster --out poster",
        "settings": 'name = "poster"\nseeds = [0, 1, 2]\n',
        "versions": {"bulkgen": "0.1.0"},
        "citations": ("Someone (2020).",),
    }
    return StudyContent(**content)


def _bulkiness(study):
    study.add("bulkiness", REAL, REAL, [_real()], 0.91)
    for how, validated, words in (("same", 0.95, "pseudo-bulk"), ("mixed", 0.8, "pseudo-bulk and cells")):
        for strategy, drop in (("mean", 0.32), ("sum", 0.32), ("mean_k", 0.25)):
            for k in KS:
                study.add("bulkiness", f"{strategy}, validated on {words}", f"pseudo-bulk k = {k:g}",
                          [_bulk(k, strategy)], max(0.9 - drop * np.log10(k), 0.22), x=k, validated=validated,
                          how=how)  # fmt: skip


def _synthetic(study):
    for problem in (*(f"Untreated or {label}" for label in LABELS if label != "Untreated"), ALL):
        study.add("synthetic", REAL, REAL, [_real()], 0.91 if problem == ALL else 0.96, problem=problem)
        for name, value in SCORES.items():
            level = value if problem == ALL else 0.5 + value / 2
            status = "missing" if name == "copula" and problem != ALL else "done"
            study.add("synthetic", name, name, [_made(name)], level, problem=problem, status=status)
    study.add("synthetic", REAL, REAL, [_real(RAREST)], 0.95, problem=EQUAL)
    for name, value in SCORES.items():
        study.add("synthetic", name, name, [_made(name, per_class=RAREST)], value + 0.02, problem=EQUAL)


def _mixing(study):
    study.add("mixing", REAL, REAL, [_real()], 0.91)
    for name in ("truncated_gaussian", "donor_shift"):
        cells = [_real(), _made(name, labels=["BMS", "Untreated"], ratio=1.0)]
        study.add("mixing", f"+ {name}", f"real cells + {name} of BMS and Untreated", cells,
                  0.91 - 0.03 * (name[0] == "t"))  # fmt: skip
    again = [_real(), _real() | {"labels": ["BMS", "Untreated"]}]
    study.add("mixing", "+ the same real cells", "real cells + the same real cells of BMS and Untreated", again, 0.89)


def _thinning(study):
    study.add("thinning", REAL, REAL, [_real()], 0.91)
    for series, drop in (("sums", 0.33), ("sums at single-cell depth", 0.06), ("sums, as many as cells", 0.3),
                         ("single cells, as few as sums", 0.1)):  # fmt: skip
        for k in KS:
            cells = {
                "sums": _bulk(k, "sum"),
                "sums at single-cell depth": _bulk(k, "sum", thin=True),
                "sums, as many as cells": _made("pseudobulk", {"k": k, "thin": False}),
                "single cells, as few as sums": _real(share=1 / k),
            }[series]
            study.add("thinning", series, f"{series}, k = {k:g}", [cells], 0.9 - drop * np.log10(k), x=k, how="same")


def _ladder(study):
    study.add("ladder", REAL, REAL, [_real()], 0.91)
    for name, value in SCORES.items():
        for model in study.models:
            status = "failed" if (name, model) == ("copula", "tiny") else "done"
            # what fails here is done in part B: another run
            cells = _made(name, labels=list(LABELS)) if status == "failed" else _made(name)
            study.add("ladder", name, name, [cells], value, models=(model,), status=status)
    study.add("ladder", "Poisson floor", "Poisson floor", [_made("poisson")], 0.7)
    study.add("ladder", REAL, REAL, [_real(RAREST)], 0.95, problem=EQUAL)
    study.add("ladder", "copula", "copula", [_made("copula", per_class=RAREST)], 0.77, problem=EQUAL)
    study.add("ladder", "Poisson floor", "Poisson floor", [_made("poisson", per_class=RAREST)], 0.72, problem=EQUAL)


def _few_cells(study):
    sizes = {0: 0.0, 5: 5.0, 20: 20.0, 60: 60.0, None: 891.2}
    levels = {5: 0.4, 20: 0.6, 60: 0.75, None: 0.91}
    for size, level in levels.items():
        study.add("few_cells", REAL, f"{size} alone", [_real(size)], level, x=sizes[size])
    for size in (5, 20, 60):
        cells = [_real() | {"labels": ["Untreated"]}, _real(size) | {"labels": ["BMS", "Dex", "Nutlin", "SAHA"]}]
        study.add("few_cells", WITH_CONTROLS, f"{size} + all controls", cells, levels[size] + 0.05, x=sizes[size])
    for name in ("truncated_gaussian", "donor_shift"):
        for ratio in (1.0, 10.0):
            for size, x in sizes.items():
                made = _made(name, ratio=ratio) | {"reference": "seen"}
                cells = [_made(name, per_class=RAREST)] if size == 0 else [_real(size), made]
                level = max(levels.get(size, 0.0), SCORES[name])
                study.add("few_cells", f"+ {name} 1:{ratio:g}", f"{size} + {name}", cells, level, x=x)


def _bias(study):
    study.add("bias", REAL, REAL, [_real()], 0.91)
    for mean, slope in (("ratio", 0.03), ("absolute", 0.3)):
        for sd in (0.0, 0.3, 0.7, 1.0):
            cells = [_made("negative_binomial", {"mean": mean}, bias_sd=sd, bulk_reads=10**6)]
            series = f"negative_binomial, {mean} means"
            study.add("bias", series, f"{series}, bias {sd:g}", cells, 0.72 - slope * sd, x=sd)


def _unseen_dose(study):
    for dose in (1.0, 10.0):
        seen = _real() | {"without_dose": dose}
        training = {REAL: ([_real()], 0.9), "real cells of the other doses": ([seen], 0.6)}
        for name in ("truncated_gaussian", "donor_shift"):
            made = _made(name, held_dose=dose)
            training |= {
                name: ([made], SCORES[name] - 0.1),
                f"real cells of the other doses + {name}": ([seen, made], SCORES[name]),
            }
        for series, (cells, level) in training.items():
            name = f"{series}, dose {dose:g} unseen"
            study.add("unseen_dose", series, name, cells, level, x=dose, test_dose=dose)


def _ablations(study):
    taken = {
        "none": ("nothing taken away", 1.0),
        "shuffled_labels": ("labels shuffled", 0.0),
        "permuted_genes": ("genes permuted", 0.0),
        "equal_library_sizes": ("equal library sizes", 0.95),
    }
    for series, cells, level in ((REAL, _real(), 0.91), ("donor_shift", _made("donor_shift"), 0.86)):
        for ablation, (name, share) in taken.items():
            study.add("ablations", series, name, [cells], 0.2 + share * (level - 0.2), ablation=ablation)
    for donors in (10, 100, 1000):
        study.add("ablations", "donor_shift, few reference cells", f"{donors} reference cells",
                  [_made("donor_shift", donors=donors)], 0.6 + 0.08 * np.log10(donors), x=float(donors))  # fmt: skip


def _real(per_class=None, share=1.0):
    return {"kind": "real", "per_class": per_class, "share": share, "without_dose": None}


def _bulk(k, strategy, *, thin=False):
    return {"kind": "pseudobulk", "k": k, "strategy": strategy, "cv": 0.1, "thin": thin, "labels": None}


def _made(name, parameters=None, **settings):
    method = "donor_shift" if name.startswith("donor_shift") else name
    parameters = {"renoise": 0.2} if name == "donor_shift_renoise" and parameters is None else parameters or {}
    reference = "all" if method == "truncated_gaussian" else "control"
    return {"kind": "synthetic", "method": method, "parameters": parameters, "reference": reference, **settings}


def _columns(record):
    """Scores as the columns of a study's table."""
    if record is None or record["status"] != "done":
        return {}
    result = record["result"]
    found = dict(result["fidelity"])
    for prefix, scores in (("", result["test"]), ("validation_", result["validation"])):
        found |= {f"{prefix}{name}": scores[name] for name in ("accuracy", "balanced_accuracy", "macro_f1")}
    found |= {f"recall_{label}": scores["recall"] for label, scores in result["test"]["per_class"].items()}
    found |= {f"majority_{name}": result["test"]["majority"][name] for name in ("accuracy", "macro_f1")}
    return found | {"chance": result["test"]["chance"]}


def _quantiles(rng, middle):
    return {"quantiles": np.quantile(middle * rng.lognormal(0, 0.4, 2000), np.linspace(0, 1, 101)).tolist()}
