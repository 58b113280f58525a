// A fuzz target without a fuzzer: the same pseudo-random inputs every time, or those of files.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

namespace {

int run(const std::vector<std::uint8_t>& bytes) { return LLVMFuzzerTestOneInput(bytes.data(), bytes.size()); }

}  // namespace

/// replay N: N inputs. replay FILE...: those inputs.
int main(int n_arguments, char** arguments) {
    char* end = nullptr;
    const unsigned long n = n_arguments == 2 ? std::strtoul(arguments[1], &end, 10) : 0;
    if (n_arguments == 2 && *end == '\0') {
        std::mt19937_64 random(20261123);
        for (unsigned long i = 0; i < n; ++i) {
            std::vector<std::uint8_t> bytes(random() % 257);
            for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
            run(bytes);
        }
        return 0;
    }
    for (int i = 1; i < n_arguments; ++i) {
        std::ifstream file(arguments[i], std::ios::binary);
        if (!file) {
            std::fprintf(stderr, "%s: cannot be read\n", arguments[i]);
            return 1;
        }
        run({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
    }
    return 0;
}
