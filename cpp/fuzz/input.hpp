// A fuzzer's bytes as the arguments of a kernel: mostly arrays that fit together, now and then spoiled.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "bulkgen/alias.hpp"
#include "bulkgen/csr.hpp"
#include "bulkgen/groups.hpp"
#include "bulkgen/level.hpp"
#include "bulkgen/row_encoder.hpp"
#include "bulkgen/sparse_rows.hpp"

/// A law that a kernel must keep whatever it is given: the fuzzer reports a call that does not.
#define LAW(condition)                                                                              \
    do {                                                                                            \
        if (!(condition)) {                                                                         \
            std::fprintf(stderr, "%s:%d: law does not hold: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                           \
        }                                                                                           \
    } while (false)

namespace bulkgen::fuzz {

/// An array of its own allocation and of no spare room: AddressSanitizer sees one element too far.
template <typename T>
class Exact {
  public:
    explicit Exact(const std::vector<T>& values) : size_(values.size()), values_(new T[values.size()]) {
        for (std::size_t i = 0; i < size_; ++i) values_[i] = values[i];
    }
    std::span<T> view() noexcept { return {values_.get(), size_}; }
    std::size_t size() const noexcept { return size_; }
    const T& operator[](std::size_t i) const noexcept { return values_[i]; }
    T* begin() noexcept { return values_.get(); }
    T* end() noexcept { return values_.get() + size_; }
    const T* begin() const noexcept { return values_.get(); }
    const T* end() const noexcept { return values_.get() + size_; }

  private:
    std::size_t size_;
    std::unique_ptr<T[]> values_;
};

/// Behind the last byte come pseudo-random ones, so that few bytes make long arrays.
class Input {
  public:
    Input(const std::uint8_t* bytes, std::size_t size) : bytes_(bytes), left_(size) {
        for (std::size_t i = 0; i < size && i < 4; ++i) state_ = state_ * 257 + bytes[i];
    }

    std::uint8_t byte() {
        if (left_ > 0) {
            --left_;
            return *bytes_++;
        }
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return static_cast<std::uint8_t>(state_ >> 32);
    }

    bool flag() { return (byte() & 1) != 0; }
    /// Once in about sixty calls that nobody steers.
    bool rarely() { return byte() % 61 == 1; }

    std::uint64_t word() {
        std::uint64_t word = 0;
        for (int i = 0; i < 8; ++i) word = word << 8 | byte();
        return word;
    }

    /// At most `most`, and mostly small.
    std::size_t up_to(std::size_t most) {
        std::size_t n = byte();
        if (n >= 240) n = (n - 239) * 64 + byte();
        return n <= most ? n : n % (most + 1);
    }

    /// Any value of a type.
    template <typename T>
    T wild() {
        if constexpr (std::is_floating_point_v<T>) {
            using Limits = std::numeric_limits<T>;
            const T values[] = {Limits::quiet_NaN(),
                                Limits::infinity(),
                                -Limits::infinity(),
                                T(-0.0),
                                Limits::denorm_min(),
                                Limits::max(),
                                Limits::lowest(),
                                Limits::min(),
                                T(-1),
                                T(0.5),
                                T(1),
                                T(0x1p24),
                                T(0x1p31),
                                T(0x1p32),
                                T(0x1p53),
                                T(0x1p63)};
            const std::uint8_t kind = byte();
            if (kind < 16) return values[kind];
            return static_cast<T>(std::ldexp(static_cast<double>(static_cast<std::int64_t>(word())),
                                             static_cast<int>(byte()) - 190));
        } else {
            const std::uint8_t kind = byte();
            const auto shifted = static_cast<T>(std::uint64_t{1} << (kind % 64));
            switch (kind / 64) {
                case 0:
                    return shifted;
                case 1:
                    return static_cast<T>(0 - static_cast<std::uint64_t>(kind % 64));
                case 2:
                    return static_cast<T>((std::uint64_t{1} << (kind % 64)) - 1);
                default:
                    return static_cast<T>(word());
            }
        }
    }

    /// A count of molecules as a value of a matrix.
    template <typename T>
    T count() {
        const std::uint8_t b = byte();
        if (b < 200) return static_cast<T>(b % 8);
        return static_cast<T>(b < 250 ? b : 1000 * (b - 249) + byte());
    }

    /// Of the order of 1.
    double positive() { return static_cast<double>(1 + byte()) / 64.0; }

    /// A number of a range that may be wrong.
    std::size_t place(std::size_t size) { return rarely() ? wild<std::size_t>() : up_to(size); }

    /// The array, or one that differs from it in an element or in length.
    template <typename T>
    Exact<T> maybe_spoiled(std::vector<T> values) {
        if (rarely()) {
            switch (byte() % 4) {
                case 0:
                    if (!values.empty()) values[up_to(values.size() - 1)] = wild<T>();
                    break;
                case 1:
                    if (!values.empty()) values.pop_back();
                    break;
                case 2:
                    values.push_back(wild<T>());
                    break;
                default:
                    for (T& value : values) value = wild<T>();
            }
        }
        return Exact<T>(values);
    }

    template <typename Make>
    auto array(std::size_t size, Make&& make) {
        std::vector<decltype(make())> values(size);
        for (auto& value : values) value = make();
        return maybe_spoiled(std::move(values));
    }

    /// An array for results.
    template <typename T>
    Exact<T> room(std::size_t size) {
        return maybe_spoiled(std::vector<T>(size));
    }

    /// Library sizes that make no more than some thousand molecules; out of range now and then.
    Exact<double> sizes(double largest = 300.0) {
        Exact<double> sizes = array(1 + up_to(5), [&] { return byte() / 255.0 * largest; });
        for (double& size : sizes.view()) {
            if (size > 5000.0 && size < 0x1p31) size = std::fmod(size, 5000.0);
        }
        return sizes;
    }

    std::uint32_t purpose() { return rarely() ? wild<std::uint32_t>() : byte(); }

  private:
    const std::uint8_t* bytes_;
    std::size_t left_;
    std::uint64_t state_ = 0x9e3779b97f4a7c15U;
};

template <typename Value, typename Index>
struct Matrix {
    Matrix(Input& in, std::size_t n_columns) : Matrix(in, n_columns, parts(in, n_columns)) {}
    Csr<Value, Index> view() const { return {indptr, indices, data}; }

    Exact<std::int64_t> indptr;
    Exact<Index> indices;
    Exact<Value> data;

  private:
    struct Parts {
        std::vector<std::int64_t> indptr{0};
        std::vector<Index> indices;
        std::vector<Value> data;
    };

    Matrix(Input& in, std::size_t, Parts made)
        : indptr(in.maybe_spoiled(std::move(made.indptr))),
          indices(in.maybe_spoiled(std::move(made.indices))),
          data(in.maybe_spoiled(std::move(made.data))) {}

    static Parts parts(Input& in, std::size_t n_columns) {
        Parts made;
        for (std::size_t row = in.up_to(6); row > 0; --row) {
            const std::size_t step = 1 + in.up_to(8);
            for (std::size_t column = in.up_to(8); column < n_columns; column += 1 + in.byte() % step) {
                made.indices.push_back(static_cast<Index>(column));
                made.data.push_back(in.count<Value>());
            }
            made.indptr.push_back(static_cast<std::int64_t>(made.data.size()));
        }
        return made;
    }
};

struct GroupArrays {
    GroupArrays(Input& in, std::size_t n_rows) : GroupArrays(in, parts(in, n_rows)) {}
    Groups view() const { return {rows, offsets}; }

    Exact<std::int64_t> rows, offsets;

  private:
    struct Parts {
        std::vector<std::int64_t> rows, offsets{0};
    };
    GroupArrays(Input& in, Parts made)
        : rows(in.maybe_spoiled(std::move(made.rows))), offsets(in.maybe_spoiled(std::move(made.offsets))) {}

    static Parts parts(Input& in, std::size_t n_rows) {
        Parts made;
        for (std::size_t group = in.up_to(4); group > 0; --group) {
            for (std::size_t n = n_rows > 0 ? in.up_to(4) : 0; n > 0; --n) {
                made.rows.push_back(static_cast<std::int64_t>(in.up_to(n_rows - 1)));
            }
            made.offsets.push_back(static_cast<std::int64_t>(made.rows.size()));
        }
        return made;
    }
};

struct AliasArrays {
    AliasArrays(Input& in, std::size_t n_genes)
        : threshold(in.array(n_genes, [&] { return in.word(); })),
          other(in.array(n_genes, [&] { return static_cast<std::int32_t>(in.up_to(n_genes - 1)); })) {}
    AliasTable view() const { return {threshold, other}; }
    std::size_t n_genes() const { return threshold.size(); }

    Exact<std::uint64_t> threshold;
    Exact<std::int32_t> other;
};

struct ColumnArrays {
    ColumnArrays(Input& in, std::size_t n_columns)
        : token(in.array(n_columns, [&] { return std::int32_t{in.byte()} - 20; })),
          median(in.array(n_columns, [&] { return in.positive(); })),
          first_column(in.maybe_spoiled(in.flag() ? firsts(in, n_columns) : std::vector<std::int32_t>())) {}
    ColumnTokens view() const { return {token, median, first_column}; }

    Exact<std::int32_t> token;
    Exact<double> median;
    Exact<std::int32_t> first_column;

  private:
    static std::vector<std::int32_t> firsts(Input& in, std::size_t n_columns) {
        std::vector<std::int32_t> first(n_columns);
        for (std::size_t c = 0; c < n_columns; ++c) {
            first[c] = in.byte() % 4 == 0 && c > 0 ? first[in.up_to(c - 1)] : static_cast<std::int32_t>(c);
        }
        return first;
    }
};

/// Rows of sparse cells, and what must hold of them however they were made.
struct CellArrays {
    CellArrays(Input& in, std::size_t n_cells, std::size_t room)
        : indptr(in.room<std::int64_t>(n_cells + 1)),
          columns(in.room<std::int32_t>(room)),
          values(in.room<float>(room)) {}
    SparseRows view() { return {indptr, columns, values}; }

    void expect(std::size_t written, std::size_t n_genes) const {
        LAW(written < indptr.size());
        LAW(indptr[0] == 0);
        for (std::size_t cell = 0; cell < written; ++cell) {
            LAW(indptr[cell] <= indptr[cell + 1]);
            LAW(indptr[cell + 1] <= static_cast<std::int64_t>(columns.size()));
            for (auto i = static_cast<std::size_t>(indptr[cell]);
                 i < static_cast<std::size_t>(indptr[cell + 1]); ++i) {
                LAW(columns[i] >= 0 && static_cast<std::size_t>(columns[i]) < n_genes);
                LAW(i == static_cast<std::size_t>(indptr[cell]) || columns[i - 1] < columns[i]);
                LAW(values[i] >= 1.0F && values[i] == std::trunc(values[i]));
            }
        }
    }

    /// Cell `cell` is the only one of `alone`.
    void expect_same(std::size_t cell, const CellArrays& alone) const {
        const auto begin = static_cast<std::size_t>(indptr[cell]);
        const auto size = static_cast<std::size_t>(indptr[cell + 1]) - begin;
        LAW(static_cast<std::size_t>(alone.indptr[1]) == size);
        for (std::size_t i = 0; i < size; ++i) {
            LAW(columns[begin + i] == alone.columns[i] && values[begin + i] == alone.values[i]);
        }
    }

    Exact<std::int64_t> indptr;
    Exact<std::int32_t> columns;
    Exact<float> values;
};

/// draw(rows, first_cell) -> cells written. Draws cells, then one of them alone, which must be the same.
template <typename Draw>
void expect_cells(Input& in, std::size_t n_cells, std::size_t n_genes, std::uint64_t first_cell,
                  Draw&& draw) {
    CellArrays cells(in, n_cells, in.up_to(n_cells * n_genes));
    const std::size_t written = draw(cells.view(), first_cell);
    cells.expect(written, n_genes);
    if (written == 0) return;
    const std::size_t chosen = in.up_to(written - 1);
    Input none(nullptr, 0);
    CellArrays alone(none, 0, 0);
    alone.indptr = Exact<std::int64_t>(std::vector<std::int64_t>(2));
    alone.columns = Exact<std::int32_t>(std::vector<std::int32_t>(n_genes));
    alone.values = Exact<float>(std::vector<float>(n_genes));
    LAW(draw(alone.view(), first_cell + chosen) == 1);
    cells.expect_same(chosen, alone);
}

/// Refused arguments are no finding.
template <typename Call>
int unless_refused(Call&& call) {
    try {
        call();
    } catch (const std::invalid_argument&) {
    }
    return 0;
}

}  // namespace bulkgen::fuzz
