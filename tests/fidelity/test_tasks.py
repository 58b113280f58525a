"""Tasks: what may be learnt from never includes what is tested on."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bulkgen.errors import LabelError
from bulkgen.fidelity.few_cells import FOLDS
from bulkgen.fidelity.tasks import LabelControlTask, LabelTask, VirtualDrugs, make_task
from fidelity.drug_cells import made_up_cells, poisoned


def seed(number: int = 0) -> np.random.SeedSequence:
    return np.random.SeedSequence(number)


def lines(cells_per_line: int = 24) -> ad.AnnData:
    """Two cell lines without a gene in common, 2,000 molecules per cell."""
    rng = np.random.default_rng(5)
    counts = np.zeros((2 * cells_per_line, 40), np.float32)
    counts[:cells_per_line, :20] = rng.multinomial(2000, np.full(20, 0.05), cells_per_line)
    counts[cells_per_line:, 20:] = rng.multinomial(2000, np.full(20, 0.05), cells_per_line)
    obs = pd.DataFrame({"line": np.repeat(["A", "B"], cells_per_line)}, index=[f"c{i}" for i in range(len(counts))])
    return ad.AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=[f"ENSG{i:011d}" for i in range(40)]))


def test_bulk_of_a_label_task_is_the_sum_of_the_training_cells_alone():
    trial = LabelTask("drug").trial(made_up_cells(), rng=seed())
    assert set(trial.train.obs_names).isdisjoint(trial.test.obs_names)
    assert trial.train.n_obs + trial.test.n_obs == 180
    for profile, name in zip(trial.bulk.X, trial.bulk.obs_names, strict=True):
        own = trial.train[trial.train.obs["drug"] == name]
        np.testing.assert_array_equal(np.asarray(profile).ravel(), np.asarray(own.X.sum(axis=0)).ravel())


@pytest.mark.parametrize("task", [LabelTask("drug"), LabelControlTask("drug", control="none", by=("kind",))])
def test_test_cells_change_nothing_that_is_learnt_from(task):
    cells = made_up_cells()
    trial = task.trial(cells, rng=seed(3))
    again = task.trial(poisoned(cells, trial.test.obs_names), rng=seed(3))
    assert not np.array_equal(trial.test.X.toarray(), again.test.X.toarray())
    np.testing.assert_array_equal(trial.train.X.toarray(), again.train.X.toarray())
    np.testing.assert_array_equal(np.asarray(trial.bulk.X), np.asarray(again.bulk.X))
    np.testing.assert_array_equal(trial.reference.X.toarray(), again.reference.X.toarray())


def test_a_patient_is_in_training_or_in_test_but_not_in_both():
    trial = LabelTask("drug", group="patient").trial(made_up_cells(), rng=seed())
    assert set(trial.train.obs["patient"]).isdisjoint(trial.test.obs["patient"])
    assert set(trial.test.obs["drug"]) == set(trial.train.obs["drug"])


def test_seeds_split_differently_and_the_same_seed_alike():
    cells = made_up_cells()
    first, again, other = (LabelTask("drug").trial(cells, rng=seed(n)) for n in (1, 1, 2))
    assert list(first.test.obs_names) == list(again.test.obs_names)
    assert list(first.test.obs_names) != list(other.test.obs_names)


def test_reference_of_a_control_design_is_its_training_controls():
    trial = LabelControlTask("drug", control="none", by=("kind",)).trial(made_up_cells(), rng=seed())
    assert set(trial.reference.obs["drug"]) == {"none"}
    assert set(trial.reference.obs_names) <= set(trial.train.obs_names)
    assert trial.by == ("drug", "kind")
    assert len(trial.bulk) == 6


@pytest.mark.parametrize("group", [None, "patient"])
def test_a_trial_without_a_fold_has_no_trace_of_it(group):
    cells = made_up_cells()
    task = LabelControlTask("drug", control="none", group=group)
    trial = task.trial(cells, rng=seed())
    fold = trial.folds(3, key=0)
    held = np.flatnonzero(fold == 1)
    part = trial.without(held)
    assert part.train.n_obs == trial.train.n_obs - held.size
    assert set(part.reference.obs_names).isdisjoint(trial.train.obs_names[held])
    # the cells of the fold change, what is learnt from the others does not
    changed = task.trial(poisoned(cells, trial.train.obs_names[held]), rng=seed()).without(held)
    np.testing.assert_array_equal(np.asarray(part.bulk.X), np.asarray(changed.bulk.X))
    if group is not None:
        patients = trial.train.obs["patient"]
        assert set(patients.iloc[held]).isdisjoint(patients.iloc[np.flatnonzero(fold != 1)])


def test_numbers_add_up_to_the_cells_asked_for_of_each_class():
    trial = LabelControlTask("drug", control="none", by=("kind",)).trial(made_up_cells(), rng=seed())
    assert sum(trial.numbers().values()) == trial.train.n_obs
    numbers = trial.numbers(31)
    for label in ("none", "low", "high"):
        assert sum(n for name, n in numbers.items() if name.startswith(f"{label} | ")) == 31
    assert list(numbers) == list(trial.bulk.obs_names)


def test_virtual_drugs_replace_the_share_alpha_and_share_no_source_cell():
    task = VirtualDrugs("line", control="A", alpha=0.3, library_size=500, n_train=200, n_test=60, bulk_reads=10**6)
    trial = task.trial(lines(), rng=seed())
    assert set(trial.train.obs["source_cell"]).isdisjoint(trial.test.obs["source_cell"])
    assert set(trial.reference.obs["virtual_drug"]) == {"A"}
    mixed = trial.train[trial.train.obs["virtual_drug"] == "A+B"].X.toarray()
    sizes = mixed.sum(axis=1)
    # molecules of line B over all: 200 cells of about 500, so within 4 standard errors of 0.3
    assert mixed[:, 20:].sum() / sizes.sum() == pytest.approx(0.3, abs=4 * float(np.sqrt(0.21 / sizes.sum())))
    # log-normal of sd 0.3
    assert np.median(sizes) == pytest.approx(500, rel=4 * 1.25 * 0.3 / np.sqrt(200))
    assert np.asarray(trial.bulk.X).sum(axis=1).tolist() == [10**6, 10**6]
    assert trial.train.uns["bulkgen"]["simulated"] == task.mixed
    assert "No such drug was measured" in task.mixed


def sources_of(cells: ad.AnnData) -> pd.DataFrame:
    """One row per source cell of a cell: the cell, its class, its family, and the source cell."""
    columns = ["virtual_drug", "family"]
    named = cells.obs.melt(columns, ["source_cell", "other_source_cell"], "from", "source", ignore_index=False)
    return named[named["source"] != ""]


@pytest.mark.parametrize("cells_per_line, families", [(90, 12), (24, 6), (5, 3)])
def test_no_source_cell_of_any_line_is_in_two_folds_of_virtual_drugs(cells_per_line, families):
    task = VirtualDrugs("line", control="A", n_train=200, n_test=60)
    trial = task.trial(lines(cells_per_line), rng=seed())
    assert trial.group == "family"
    assert trial.train.obs["family"].nunique() == families
    fold = pd.Series(trial.folds(FOLDS, key=0), trial.train.obs_names)
    sources = sources_of(trial.train)
    assert set(sources["source"].str[:1]) == {"c"}
    assert (fold[sources.index].groupby(sources["source"].to_numpy()).nunique() == 1).all()
    # every fold and every family has every class, in about equal numbers
    for groups in (fold, trial.train.obs["family"]):
        table = pd.crosstab(groups, trial.train.obs["virtual_drug"].astype(str))
        assert table.shape == (groups.nunique(), 2)
        assert fold.nunique() == FOLDS
        assert table.to_numpy().min() >= 0.6 * table.to_numpy().max()
    # training and test have neither a source cell nor a family in common
    tested = sources_of(trial.test)
    for column in ("source", "family"):
        assert set(sources[column]).isdisjoint(tested[column])


def test_source_cells_of_virtual_drugs_serve_about_equally_often_and_meet_many_others():
    trial = VirtualDrugs("line", control="A", n_train=240, n_test=60).trial(lines(60), rng=seed())
    both = sources_of(trial.train)
    # 240 cells of 48 source cells in 12 families of four: five times each
    for _, served in both.groupby(["virtual_drug", "from"], observed=True):
        assert served["source"].value_counts().tolist() == [5] * 48
    mixed = trial.train.obs[trial.train.obs["virtual_drug"] == "A+B"]
    # five cells of each source cell, over four partners: most partners are met
    assert mixed.groupby("source_cell")["other_source_cell"].nunique().mean() > 2.5


def test_same_seed_mixes_the_same_virtual_drugs():
    task = VirtualDrugs("line", control="A", n_train=80, n_test=40)
    one, same, other = (task.trial(lines(), rng=seed(number)) for number in (3, 3, 4))
    pd.testing.assert_frame_equal(one.train.obs, same.train.obs)
    for part in ("train", "test", "bulk", "reference"):
        first, again = (np.asarray(getattr(trial, part).to_df()) for trial in (one, same))
        np.testing.assert_array_equal(first, again)
    assert not one.train.obs["source_cell"].equals(other.train.obs["source_cell"])


def test_fewer_groups_than_folds_are_held_out_one_by_one_and_a_single_one_is_refused():
    trial = LabelTask("drug", group="patient").trial(made_up_cells(donors=3), rng=seed())
    assert trial.train.obs["patient"].nunique() == 2
    fold = trial.folds(3, key=0)
    assert sorted(set(fold)) == [0, 1]
    assert pd.Series(fold).groupby(trial.train.obs["patient"].to_numpy()).nunique().tolist() == [1, 1]
    alone = trial.without(np.flatnonzero(fold == 0))
    with pytest.raises(LabelError, match="all training cells are of one 'patient'"):
        alone.folds(3, key=0)


def test_cells_are_chosen_of_every_stratum_as_many_as_asked_for_or_all():
    trial = LabelControlTask("drug", control="none", by=("kind",)).trial(made_up_cells(), rng=seed())
    sizes = trial.numbers()
    assert trial.some(sizes, key=0).tolist() == list(range(trial.train.n_obs))
    few = dict.fromkeys(sizes, 7) | {"none | a": 10_000}
    rows = trial.some(few, key=0)
    assert len(set(rows)) == len(rows)
    chosen = trial.train.obs.iloc[rows].groupby(["drug", "kind"], observed=True).size()
    assert {" | ".join(names): n for names, n in chosen.items()} == few | {"none | a": sizes["none | a"]}


def test_platform_bias_is_one_factor_per_gene_for_all_profiles():
    settings = {"control": "A", "alpha": 0.5, "library_size": 1000, "n_train": 80, "n_test": 40}
    plain = VirtualDrugs("line", **settings).trial(lines(), rng=seed())
    biased = VirtualDrugs("line", **settings, platform_bias=1.0).trial(lines(), rng=seed())
    np.testing.assert_array_equal(plain.train.X.toarray(), biased.train.X.toarray())
    # genes of line A are in both profiles; each profile is scaled to its reads
    logs = np.log(np.asarray(biased.bulk.X)[:, :20] / np.asarray(plain.bulk.X)[:, :20])
    logs -= logs.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(logs[0], logs[1], atol=0.02)
    assert logs.std() > 0.5


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: VirtualDrugs("line", control="A", alpha=1.5), r"alpha must be in \(0, 1\)"),
        (
            lambda: VirtualDrugs("line", control="C").trial(lines(), rng=seed()),
            "virtual drugs need cells of the control",
        ),
        (
            lambda: LabelControlTask("drug", control="no").trial(made_up_cells(), rng=seed()),
            "control='no' is not among",
        ),
        (lambda: make_task("label_control", label="drug"), "needs control="),
        (lambda: make_task("virtual_drugs", label="line", control="A", beta=1), "has no setting 'beta'"),
        (lambda: make_task("drugs", label="line"), "task must be one of"),
        (
            lambda: LabelTask("drug", group="drug").trial(made_up_cells(), rng=seed()),
            "needs cells in at least two groups",
        ),
    ],
)
def test_wrong_settings_are_refused(build, message):
    with pytest.raises((ValueError, LabelError), match=message):
        build()
