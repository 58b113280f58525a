// The arrays of an alias table as spans, checked so that no gene is read or written out of range.
#pragma once

#include "arrays.hpp"
#include "bulkgen/alias.hpp"

namespace bulkgen::bindings {

inline void require_gene_number(std::size_t n_genes) {
    require(n_genes > 0 && n_genes <= 0x7fffffffU, "there must be between 1 and 2^31 - 1 genes");
}

inline AliasTable checked_alias(const Array<std::uint64_t>& threshold, const Array<std::int32_t>& other) {
    const AliasTable table{input(threshold), input(other)};
    require_gene_number(table.threshold.size());
    require(table.other.size() == table.threshold.size(), "threshold and other must have equal length");
    const auto n = static_cast<std::uint32_t>(table.other.size());
    bool inside = true;
    for (const std::int32_t gene : table.other) inside &= static_cast<std::uint32_t>(gene) < n;
    require(inside, "other must hold genes of the table");
    return table;
}

}  // namespace bulkgen::bindings
