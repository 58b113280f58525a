// One registration function per kernel family.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>

#include "bulkgen/level.hpp"

namespace bulkgen::bindings {

/// The instruction-set level that every kernel is called at; Python sets it (kernels/native.py).
extern std::atomic<Level> chosen_level;

void register_alias_table(pybind11::module_& module);
void register_copula(pybind11::module_& module);
void register_csr(pybind11::module_& module);
void register_donor_shift(pybind11::module_& module);
void register_group_moments(pybind11::module_& module);
void register_group_sums(pybind11::module_& module);
void register_level(pybind11::module_& module);
void register_multinomial(pybind11::module_& module);
void register_negative_binomial(pybind11::module_& module);
void register_philox(pybind11::module_& module);
void register_poisson_log_normal(pybind11::module_& module);
void register_rank_tokens(pybind11::module_& module);
void register_thin_rows(pybind11::module_& module);
void register_truncated_gaussian(pybind11::module_& module);
void register_truncated_gaussian_tokens(pybind11::module_& module);
void register_variates(pybind11::module_& module);

}  // namespace bulkgen::bindings
