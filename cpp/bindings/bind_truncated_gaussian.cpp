#include "arrays.hpp"
#include "bindings.hpp"
#include "bulkgen/truncated_gaussian.hpp"

namespace bulkgen::bindings {

namespace {

template <typename Value>
void bind(py::module_& module) {
    module.def(
        "truncated_gaussian",
        [](Array<Value>& out, const Array<std::uint8_t>& proposal, const Array<double>& location,
           const Array<double>& scale, const Array<double>& lower, const Array<double>& upper,
           const Array<double>& first, const Array<double>& second, const Array<double>& third,
           std::uint64_t key, std::uint32_t purpose, std::uint32_t retry_purpose, std::uint64_t first_cell) {
            const TruncatedGaussianPlan plan{input(proposal), input(location), input(scale),  input(lower),
                                             input(upper),    input(first),    input(second), input(third)};
            const std::size_t n = plan.location.size();
            require(plan.proposal.size() == n && plan.scale.size() == n && plan.lower.size() == n &&
                        plan.upper.size() == n && plan.first.size() == n && plan.second.size() == n &&
                        plan.third.size() == n,
                    "every array of the plan must have one element per gene");
            require(out.ndim() == 2 && static_cast<std::size_t>(out.shape(1)) == n,
                    "out must have two dimensions: cells x genes");
            require(n < (std::size_t{1} << 32), "at most 2^32 - 1 genes can be addressed");
            require(purpose < 256 && retry_purpose < 256, "a purpose must be below 256");
            const auto cells = output(out);
            py::gil_scoped_release release;
            at_level(chosen_level, [&](auto level) {
                truncated_gaussian<level.level>(key, purpose, retry_purpose, first_cell, plan, cells);
            });
        },
        py::arg("out").noconvert(), py::arg("proposal").noconvert(), py::arg("location").noconvert(),
        py::arg("scale").noconvert(), py::arg("lower").noconvert(), py::arg("upper").noconvert(),
        py::arg("first").noconvert(), py::arg("second").noconvert(), py::arg("third").noconvert(),
        py::kw_only(), py::arg("key"), py::arg("purpose"), py::arg("retry_purpose"), py::arg("first_cell"));
}

}  // namespace

void register_truncated_gaussian(py::module_& module) {
    bind<float>(module);
    bind<double>(module);
}

}  // namespace bulkgen::bindings
