#include <pybind11/pybind11.h>

#include "bindings.hpp"

PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
    namespace bindings = bulkgen::bindings;
    module.doc() = "Compiled kernels of bulkgen; called by bulkgen.kernels.native alone.";
    module.attr("__version__") = BULKGEN_VERSION;
    module.attr("compiler") = BULKGEN_COMPILER;
    bindings::register_alias_table(module);
    bindings::register_copula(module);
    bindings::register_csr(module);
    bindings::register_donor_shift(module);
    bindings::register_group_moments(module);
    bindings::register_group_sums(module);
    bindings::register_level(module);
    bindings::register_multinomial(module);
    bindings::register_negative_binomial(module);
    bindings::register_philox(module);
    bindings::register_poisson_log_normal(module);
    bindings::register_rank_tokens(module);
    bindings::register_thin_rows(module);
    bindings::register_truncated_gaussian(module);
    bindings::register_truncated_gaussian_tokens(module);
    bindings::register_variates(module);
}
