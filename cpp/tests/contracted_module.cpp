// The negative control of the parity test: sampled kernels compiled with fused multiply-add.
#include <pybind11/pybind11.h>

#include "bindings.hpp"

std::atomic<bulkgen::Level> bulkgen::bindings::chosen_level{bulkgen::Level::baseline};

PYBIND11_MODULE(_contracted, module, pybind11::mod_gil_not_used()) {
    bulkgen::bindings::register_truncated_gaussian(module);
    bulkgen::bindings::register_variates(module);
}
