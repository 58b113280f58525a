// Vectors of 64-bit lanes for Philox: the one place with intrinsics. Its 32 x 32 -> 64 bit product is one
// instruction at every level, but GCC does not find it in a plain loop, which costs a factor of three at
// x86-64-v3 and below (docs/design/kernels.md). Without a known instruction set a vector is one integer.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AVX512F__) || defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#endif

namespace bulkgen {

namespace {  // a level's copy of the class is its own

#if defined(__AVX512F__)
// maskz with every lane kept is the plain instruction; the plain functions trip GCC 12's -Wuninitialized
struct Lanes {
    static constexpr std::size_t size = 8;
    __m512i value;

    static Lanes all(std::uint64_t x) noexcept { return {_mm512_set1_epi64(static_cast<long long>(x))}; }
    static Lanes load(const std::uint32_t* x) noexcept {
        return {_mm512_maskz_cvtepu32_epi64(0xff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)))};
    }
    /// The low halves, to size consecutive words.
    void store(std::uint32_t* out) const noexcept {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_maskz_cvtepi64_epi32(0xff, value));
    }
    /// Products of the low halves.
    Lanes times(Lanes other) const noexcept { return {_mm512_maskz_mul_epu32(0xff, value, other.value)}; }
    Lanes high() const noexcept { return {_mm512_maskz_srli_epi64(0xff, value, 32)}; }
    Lanes operator^(Lanes other) const noexcept { return {_mm512_xor_si512(value, other.value)}; }
};
#elif defined(__AVX2__)
struct Lanes {
    static constexpr std::size_t size = 4;
    __m256i value;

    static Lanes all(std::uint64_t x) noexcept { return {_mm256_set1_epi64x(static_cast<long long>(x))}; }
    static Lanes load(const std::uint32_t* x) noexcept {
        return {_mm256_cvtepu32_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)))};
    }
    /// The low halves, to size consecutive words.
    void store(std::uint32_t* out) const noexcept {
        const __m256i packed = _mm256_permutevar8x32_epi32(value, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(packed));
    }
    /// Products of the low halves.
    Lanes times(Lanes other) const noexcept { return {_mm256_mul_epu32(value, other.value)}; }
    Lanes high() const noexcept { return {_mm256_srli_epi64(value, 32)}; }
    Lanes operator^(Lanes other) const noexcept { return {_mm256_xor_si256(value, other.value)}; }
};
#elif defined(__SSE2__)
struct Lanes {
    static constexpr std::size_t size = 2;
    __m128i value;

    static Lanes all(std::uint64_t x) noexcept { return {_mm_set1_epi64x(static_cast<long long>(x))}; }
    static Lanes load(const std::uint32_t* x) noexcept {
        const __m128i words = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x));
        return {_mm_unpacklo_epi32(words, _mm_setzero_si128())};
    }
    /// The low halves, to size consecutive words.
    void store(std::uint32_t* out) const noexcept {
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi32(value, 0x88));
    }
    /// Products of the low halves.
    Lanes times(Lanes other) const noexcept { return {_mm_mul_epu32(value, other.value)}; }
    Lanes high() const noexcept { return {_mm_srli_epi64(value, 32)}; }
    Lanes operator^(Lanes other) const noexcept { return {_mm_xor_si128(value, other.value)}; }
};
#else
struct Lanes {
    static constexpr std::size_t size = 1;
    std::uint64_t value;

    static constexpr Lanes all(std::uint64_t x) noexcept { return {x}; }
    static constexpr Lanes load(const std::uint32_t* x) noexcept { return {*x}; }
    /// The low halves, to size consecutive words.
    constexpr void store(std::uint32_t* out) const noexcept { *out = static_cast<std::uint32_t>(value); }
    /// Products of the low halves.
    constexpr Lanes times(Lanes other) const noexcept {
        return {(value & 0xffffffffU) * (other.value & 0xffffffffU)};
    }
    constexpr Lanes high() const noexcept { return {value >> 32}; }
    constexpr Lanes operator^(Lanes other) const noexcept { return {value ^ other.value}; }
};
#endif

}  // namespace

}  // namespace bulkgen
