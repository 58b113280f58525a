// Molecules of one cell, counted gene by gene, and the sparse row that they make.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/sparse_rows.hpp"

namespace bulkgen {

/// Memory of RowCounts, all zero: an element per gene, a bit per gene.
struct RowCountsScratch {
    std::span<std::uint32_t> counts;
    std::span<std::uint64_t> touched;
};

namespace {  // a level's copy of the class is its own

/// Dense counts and a bit per gene that has one. Memory is the caller's, all zero before the first cell and
/// after each `write`.
class RowCounts {
  public:
    explicit RowCounts(const RowCountsScratch& scratch) noexcept
        : counts_(scratch.counts.data()),
          touched_(scratch.touched.data()),
          n_words_(scratch.touched.size()) {}

    /// Pre: gene is one of the counts; its total stays below 2^32.
    void add(std::int32_t gene, std::uint32_t count = 1) noexcept {
        const auto g = static_cast<std::size_t>(gene);
        counts_[g] += count;
        touched_[g >> 6] |= std::uint64_t{1} << (g & 63);
    }

    /// Entry `slot` on: the counts above zero in ascending order of the genes. Returns the slot behind the
    /// last one, or `no_room`; either way all counts are zero after.
    std::size_t write(const SparseRows& rows, std::size_t slot) noexcept {
        const std::size_t room = rows.columns.size();
        bool fits = true;
        for (std::size_t w = 0; w < n_words_; ++w) {
            std::uint64_t bits = touched_[w];
            touched_[w] = 0;
            while (bits != 0) {
                const std::size_t gene = 64 * w + static_cast<std::size_t>(std::countr_zero(bits));
                bits &= bits - 1;
                const std::uint32_t count = counts_[gene];
                counts_[gene] = 0;
                if (slot >= room) {
                    fits = fits && count == 0;
                    continue;
                }
                rows.columns[slot] = static_cast<std::int32_t>(gene);
                rows.values[slot] = static_cast<float>(count);
                slot += count != 0 ? 1 : 0;
            }
        }
        return fits ? slot : no_room;
    }

    static constexpr std::size_t no_room = ~std::size_t{0};

  private:
    std::uint32_t* counts_;
    std::uint64_t* touched_;
    std::size_t n_words_;
};

}  // namespace

}  // namespace bulkgen
