"""The results page of the generators, made from stored runs of ``bulkgen benchmark``.

python benchmarks/generator_page.py collect FOLDER NAME   keep the tables of a run under results/generators/NAME
python benchmarks/generator_page.py                       write docs/generators.md from all that is kept
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
RUNS = HERE / "results" / "generators"
PAGE = HERE.parent / "docs" / "generators.md"
KEPT = ("summary.csv", "few_cells.csv", "settings.json")

#: Order of the page, and what each run is.
TITLES = {
    "kang_linear": "Interferon: control and stimulated PBMC",
    "kang_tiny": "Interferon, a small transformer",
    "drugs_linear": "Five virtual drugs",
    "drugs_bias_linear": "Five virtual drugs, bulk with a platform bias",
    "drugs_tiny": "Five virtual drugs, a small transformer",
    "drugs_tiny_long": "Five virtual drugs, the small transformer trained longer",
    "drugs_few_cells": "Few real cells: virtual drugs",
    "kang_few_cells": "Few real cells: interferon",
}
#: Columns of a table: heading, metric, digits.
COLUMNS = (
    ("gap closed", "tstr_gap_closed", 2),
    ("tokens off by", "token_count_wasserstein", 0),
    ("zeros off by", "gene_zero_fraction_error", 3),
    ("correlation slope", "correlation_slope", 2),
    ("energy distance", "energy_distance", 3),
    ("coverage", "coverage", 2),
    ("AUROC linear", "auroc_linear", 2),
    ("AUROC forest", "auroc_forest", 2),
    ("fold-change slope", "fold_change_slope", 2),
    ("DE overlap, 200", "de_overlap_200", 2),
    ("singled out", "singled_out", 2),
)


HEAD = """\
# Generators, measured on real cells

Made by `python benchmarks/generator_page.py` from the tables under `benchmarks/results/generators/`; each was written
by the command beside it, whose paths are of one machine. Interferon: Kang et al., Nature Biotechnology 2018. Virtual
drugs: five cell lines of sc_mixology, CEL-seq2 (Tian et al., Nature Methods 2019). Mean ± standard deviation over
seeds, each with a split of its own. The test cells are real, and take no part in training, estimation or any choice.
`real` is the ceiling: the real training cells in the place of generated ones. `poisson_floor` is what needs no
generator: independent Poisson counts with the bulk's means. What each metric is: [fidelity](design/fidelity.md). Why
the defaults are as they are, and what did not help: [generators](design/generators.md)."""

MIXTURE = """\
Twenty-one wells of 90 cells of three lines (sc_mixology) as bulk, single cells of the lines as reference. Errors are of
fractions of cells; guessing a third for each line has {guess:.3f}. The number and weights of marker genes were chosen
with these wells in view, so expect somewhat more elsewhere. At this depth the lines are told apart without error."""


def page(runs: Path = RUNS, mixture: Path | None = None) -> str:
    """Return the page, in Markdown."""
    parts = [HEAD]
    for name, title in TITLES.items():
        folder = runs / name
        if not folder.is_dir():
            continue
        settings = json.loads((folder / "settings.json").read_text())
        parts += [f"## {title}", _about(settings)]
        if (folder / "few_cells.csv").exists():
            parts.append(
                few_cells_table(pd.read_csv(folder / "few_cells.csv", keep_default_na=False, na_values=["nan"]))
            )
        else:
            parts.append(table(pd.read_csv(folder / "summary.csv", keep_default_na=False, na_values=[""])))
        parts.append(f"`{settings['command']}`")
    newest = mixture or max((HERE / "results").glob("*-mixture_scmix.json"), default=None)
    if newest is not None:
        parts += mixture_parts(json.loads(newest.read_text()), newest.name)
    return "\n\n".join(parts) + "\n"


def table(summary: pd.DataFrame) -> str:
    """Methods by balanced accuracy, and the metrics that were measured."""
    macro = summary[summary["label"].isna()]
    accuracy = macro[macro["metric"] == "tstr_balanced_accuracy"]
    models = list(accuracy["model"].dropna().unique())
    shown = [column for column in COLUMNS if macro.loc[macro["metric"] == column[1], "mean"].notna().any()]
    heads = ["method", *(f"balanced accuracy, `{model}`" for model in models), *(head for head, _, _ in shown)]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "--:|" * (len(heads) - 1)]
    roles = accuracy.drop_duplicates("method").set_index("method")["role"]
    first = accuracy[accuracy["model"] == models[0]].set_index("method")["mean"]
    order = sorted(roles.index, key=lambda method: (_RANK[roles[method]], -first.get(method, 0.0)))
    for method in order:
        if roles[method] == "majority":
            continue
        rows = macro[macro["method"] == method]
        cells = [f"`{method}`"]
        scores = rows[rows["metric"] == "tstr_balanced_accuracy"]
        cells += [_spread(scores[scores["model"] == model], 3) for model in models]
        for _, metric, digits in shown:
            chosen = rows[rows["metric"] == metric]
            cells.append(_spread(chosen.iloc[:1], digits, sd=False))
        lines.append("| " + " | ".join(cells) + " |")
    majority = macro[(macro["role"] == "majority") & (macro["metric"] == "tstr_balanced_accuracy")]["mean"]
    return "\n".join(lines) + f"\n\nAlways the commonest label: {majority.iloc[0]:.3f}."


_RANK = {"ceiling": 0, "generator": 1, "floor": 2, "majority": 3}


def few_cells_table(curve: pd.DataFrame) -> str:
    """Balanced accuracy by real cells per class, alone and with generated cells at the chosen weight."""
    curve = curve.assign(
        size=[
            f"all ({size})" if everything else str(size)
            for size, everything in zip(curve["size"], curve["all"], strict=True)
        ]
    )
    sizes = list(dict.fromkeys(curve["size"]))
    methods = list(dict.fromkeys(curve["synthetic"]))
    lines = ["| training cells | " + " | ".join(sizes) + " |", "|---|" + "--:|" * len(sizes)]
    for method in methods:
        cells = []
        for size in sizes:
            rows = curve[(curve["synthetic"] == method) & (curve["size"] == size)]
            if rows.empty:
                cells.append("–")
                continue
            weights = ", ".join(f"{weight:g}" for weight in sorted(rows["weight"].unique()))
            weight = f" (w = {weights})" if method else ""
            cells.append(
                f"{rows['balanced_accuracy'].mean():.3f} ± {rows['balanced_accuracy'].std(ddof=1):.3f}{weight}"
            )
        lines.append(f"| {f'real and `{method}`' if method else 'real alone'} | " + " | ".join(cells) + " |")
    return (
        "Real cells per class, alone and with generated cells of weight w, which cross-validation over the real cells "
        "chooses in each seed (the generator is fitted again without the cells that are held out); model `linear`.\n\n"
        + "\n".join(lines)
    )


def mixture_parts(record: dict, name: str) -> list[str]:
    """Say what `mixture` makes of wells of known composition."""
    rows = pd.DataFrame(record["results"]["rows"])
    heads = ("fractions by", "mean absolute error", "largest", "generated cells", "TSTR, real", "TSTR", "AUROC forest")
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "--:|" * (len(heads) - 1)]
    for fractions, group in rows.groupby("fractions"):
        score = pd.json_normalize(group["scores"].tolist()).mean()
        cells = (
            f"`{fractions}`",
            f"{group['fraction_mean_absolute_error'].mean():.3f}",
            f"{group['fraction_largest_error'].max():.3f}",
            f"{group['generated_mean_absolute_error'].mean():.3f}",
            f"{score['real.tstr_balanced_accuracy']:.3f}",
            f"{score['synthetic.tstr_balanced_accuracy']:.3f}",
            f"{score['synthetic.auroc_forest']:.2f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return [
        "## Mixtures of known composition",
        MIXTURE.format(guess=rows["guess_mean_absolute_error"].mean()),
        "\n".join(lines),
        f"`{record['command']}`, written to `benchmarks/results/{name}`.",
    ]


def collect(folder: Path, name: str) -> Path:
    """Keep the tables of a run."""
    if name not in TITLES:
        raise SystemExit(f"the page has no place for {name!r}; places: {', '.join(TITLES)}")
    kept = RUNS / name
    kept.mkdir(parents=True, exist_ok=True)
    for file in KEPT:
        if (folder / file).exists():
            shutil.copy(folder / file, kept / file)
    # where the run was written says nothing
    settings = kept / "settings.json"
    settings.write_text(settings.read_text().replace(str(folder), name))
    return kept


def _about(settings: dict) -> str:
    said = f"{settings['input']['cells']:,} cells, {settings['seeds']} seeds, {settings['seconds'] / 60:.0f} minutes."
    marked = settings.get("not_measured")
    if marked:
        title, text = marked.values()
        said = f"**{title.upper()}: {text}** {said}"
    for model in settings["models"]:
        if "epochs" in model["options"]:
            epochs, context = model["options"]["epochs"], model["options"]["context"]
            said += f" Model `{model['model']}`: {epochs} epochs, the first {context} tokens of a cell."
    return said


def _spread(rows: pd.DataFrame, digits: int, *, sd: bool = True) -> str:
    if rows.empty or rows["mean"].isna().all():
        return "–"
    row = rows.iloc[0]
    mean = f"{row['mean']:z,.{digits}f}"
    return f"{mean} ± {row['sd']:.{digits}f}" if sd and pd.notna(row["sd"]) else mean


if __name__ == "__main__":
    if sys.argv[1:2] == ["collect"]:
        print(collect(Path(sys.argv[2]), sys.argv[3]))
    else:
        PAGE.write_text(page())
        print(PAGE)
