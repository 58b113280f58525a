// Group sums without the checks of the rows, compiled for one instruction-set level: for bench_checks alone, which
// gives it nothing but valid matrices.
#include <pybind11/pybind11.h>

#include "bindings.hpp"

std::atomic<bulkgen::Level> bulkgen::bindings::chosen_level{bulkgen::Level::baseline};

PYBIND11_MODULE(_unchecked, module, pybind11::mod_gil_not_used()) {
    bulkgen::bindings::register_group_sums(module);
}
