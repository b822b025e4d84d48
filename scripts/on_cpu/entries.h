/* The kernels of a source under their names, called as a driver calls them: with a pointer to each argument.
   In a program of its own (ON_CPU_PROGRAM) one call is read from a file, each array into memory of its exact size. */
#pragma once

namespace on_cpu {

template <class T> constexpr const char* kind() {
    using U = std::remove_cv_t<T>;
    if constexpr (std::is_pointer_v<U>) {
        using V = std::remove_pointer_t<U>;
        if constexpr (std::is_arithmetic_v<std::remove_cv_t<V>>) return kind<std::remove_cv_t<V>>();
        else return "?";
    }
    else if constexpr (std::is_same_v<U, char>) return "?"; /* bytes of anything */
    else if constexpr (std::is_same_v<U, bool>) return "b1";
    else if constexpr (std::is_floating_point_v<U>) return sizeof(U) == 4 ? "f4" : "f8";
    else if constexpr (std::is_signed_v<U>) return sizeof(U) == 1 ? "i1" : sizeof(U) == 2 ? "i2" : sizeof(U) == 4 ? "i4" : "i8";
    else if constexpr (std::is_unsigned_v<U>) return sizeof(U) == 1 ? "u1" : sizeof(U) == 2 ? "u2" : sizeof(U) == 4 ? "u4" : "u8";
    else return "?";
}

template <auto F> struct Of;
template <class... A, void (*F)(A...)> struct Of<F> {
    template <size_t... I> static void unpacked(void** values, std::index_sequence<I...>) { F(*static_cast<std::remove_cv_t<A>*>(values[I])...); }
    static void call(void** values) { unpacked(values, std::index_sequence_for<A...>()); }
    /* For each parameter: "*" where it is a pointer, "const " where what it points to is not written, and the type. */
    static const char* kinds() {
        static char text[512];
        text[0] = 0;
        ((strcat(text, std::is_pointer_v<A> ? "*" : ""), strcat(text, std::is_const_v<std::remove_pointer_t<A>> ? "const " : ""),
          strcat(text, kind<A>()), strcat(text, ",")), ...);
        return text;
    }
};

struct Entry { const char* name; unsigned threads; const char* (*kinds)(); void (*call)(void**); };
extern const Entry* const sources[];

static const Entry* find(const char* name) {
    for (auto source = sources; *source; ++source)
        for (auto one = *source; one->name; ++one)
            if (!strcmp(one->name, name)) return one;
    return nullptr;
}

}  // namespace on_cpu

/* The first number of __launch_bounds__, or 0. */
#define ON_CPU_FIRST(first, ...) first

#ifndef ON_CPU_PROGRAM
extern "C" const char* on_cpu_kinds(const char* name) { const auto* one = on_cpu::find(name); return one ? one->kinds() : nullptr; }
extern "C" unsigned on_cpu_threads(const char* name) { return on_cpu::find(name)->threads; }
extern "C" const char* on_cpu_launch(const char* name, const unsigned* grid, const unsigned* block, size_t bytes, int order, long long first, long long last, void** values) {
    return on_cpu::launch({grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, bytes, order, first, last, on_cpu::find(name)->call, values);
}
#else
/* Its words: kernel, file, 6 numbers of grid and block, bytes of shared memory, first and last block, and for each argument
   "p" and the bytes of an array, or "v" and those of a number. What the arrays hold then goes back into the file. */
int main(int n, char** words) {
    FILE* file = fopen(words[2], "r+b");
    const auto at = [&](int i) { return strtoull(words[i], nullptr, 10); };
    const auto small = [&](int i) { return static_cast<unsigned>(at(i)); };
    void *memory[32], *values[32];
    if (!file || n > 12 + 32) return 4;
    for (int i = 0; i < n - 12; ++i) {
        const size_t bytes = strtoull(words[12 + i] + 1, nullptr, 10);
        memory[i] = malloc(bytes);
        values[i] = words[12 + i][0] == 'p' ? static_cast<void*>(&memory[i]) : memory[i];
        if (fread(memory[i], 1, bytes, file) != bytes) return 4;
    }
    on_cpu::launch({small(3), small(4), small(5)}, {small(6), small(7), small(8)}, at(9), 0, at(10), at(11), on_cpu::find(words[1])->call, values);
    rewind(file);
    for (int i = 0; i < n - 12; ++i) fwrite(memory[i], 1, strtoull(words[12 + i] + 1, nullptr, 10), file), free(memory[i]);
    return fclose(file);
}
#endif
