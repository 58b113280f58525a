// One registration function per kernel family.
#pragma once

#include <pybind11/pybind11.h>

namespace bulkgen::bindings {

void register_csr(pybind11::module_& module);
void register_group_moments(pybind11::module_& module);
void register_group_sums(pybind11::module_& module);
void register_philox(pybind11::module_& module);
void register_rank_tokens(pybind11::module_& module);
void register_truncated_gaussian(pybind11::module_& module);

}  // namespace bulkgen::bindings
