/* CUDA C++ on a CPU: the words of a device kernel, for g++ and clang++. An engine (fibers.h or threads.h) runs its threads.
   It executes arithmetic, indexing, barriers and what a warp exchanges. It does not model the order of memory, divergence,
   conflicts of banks, flushed denormals, the accuracy of the device's functions, nor time.
   All that is not CUDA's own name is in the namespace `on_cpu`, and it is included before any -D: no macro of a kernel
   can reach it. */
#pragma once
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tuple>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__

/* Under ThreadSanitizer a vector is copied field by field: it does not see one that is read as a whole, as an argument. */
#ifdef ON_CPU_WATCHED
#define ON_CPU_COPIES(name, of, ...) name() = default; name(const name& o) { *this = o; } __VA_ARGS__
#define ON_CPU_COPIES2(name, of) ON_CPU_COPIES(name, of, name(of a, of b) : x(a), y(b) {} \
    name& operator=(const name& o) { x = o.x, y = o.y; return *this; })
#define ON_CPU_COPIES4(name, of) ON_CPU_COPIES(name, of, name(of a, of b, of c, of d) : x(a), y(b), z(c), w(d) {} \
    name& operator=(const name& o) { x = o.x, y = o.y, z = o.z, w = o.w; return *this; })
#else
#define ON_CPU_COPIES2(name, of)
#define ON_CPU_COPIES4(name, of)
#endif
#define ON_CPU_VECTORS(of, name, a1, a2, a4)                                        \
    struct alignas(a1) name##1 { of x; };                                           \
    struct alignas(a2) name##2 { of x, y; ON_CPU_COPIES2(name##2, of) };            \
    struct name##3 { of x, y, z; };                                                 \
    struct alignas(a4) name##4 { of x, y, z, w; ON_CPU_COPIES4(name##4, of) };      \
    [[maybe_unused]] static inline name##2 make_##name##2(of x, of y) { return {x, y}; }             \
    [[maybe_unused]] static inline name##3 make_##name##3(of x, of y, of z) { return {x, y, z}; }    \
    [[maybe_unused]] static inline name##4 make_##name##4(of x, of y, of z, of w) { return {x, y, z, w}; }
ON_CPU_VECTORS(unsigned char, uchar, 1, 2, 4)
ON_CPU_VECTORS(unsigned short, ushort, 2, 4, 8)
ON_CPU_VECTORS(int, int, 4, 8, 16)
ON_CPU_VECTORS(unsigned, uint, 4, 8, 16)
ON_CPU_VECTORS(float, float, 4, 8, 16)
ON_CPU_VECTORS(double, double, 8, 16, 16)
#undef ON_CPU_VECTORS
struct dim3 { unsigned x, y, z; };

namespace on_cpu {

/* Ends the launch with these words; each engine has its way. */
[[noreturn]] void fault(const char* form, ...) __attribute__((format(printf, 1, 2)));
void block_barrier();
void warp_barrier(unsigned mask);
inline unsigned lane();          /* within the block */
inline unsigned lanes_of_warp(); /* of this warp: all that it has, although some may have returned */
inline unsigned char* dynamic_shared(size_t alignment);

template <class T> inline T& aligned(T* p) {
    if (reinterpret_cast<uintptr_t>(p) % alignof(T)) fault("%zu bytes are loaded or stored at an address that %zu does not divide", sizeof(T), alignof(T));
    return *p;
}

/* What the threads of a warp show each other: they write, wait, and read. A whole warp has two places in turn: whoever
   writes to the first one again has waited a second time, and by then all have read. A part of it has one, and waits. */
/* Copies that a thread has begun and not waited for. In some orders they arrive at once, in others with the wait: a
   device may do either. */
struct Copies { unsigned count; struct { unsigned char* to; const void* from; } of[64]; };
inline Copies& copies();
inline bool arrive_at_once();

struct Warp { uint64_t slot[32]; alignas(16) double a[16][16], b[16][8]; };
inline Warp& next_of_warp();
inline Warp& place_of_parts();

template <class T> inline T exchanged(unsigned mask, T value, unsigned from) {
    static_assert(sizeof(T) <= 8, "a shuffle moves 4 or 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    const bool is_part = lanes_of_warp() & ~mask;
    Warp& w = is_part ? place_of_parts() : next_of_warp();
    w.slot[lane() % 32] = bits;
    warp_barrier(mask);
    if (!(mask >> from & 1)) fault("a shuffle takes from lane %u, which its mask %08x does not name", from, mask);
    bits = w.slot[from];
    if (is_part) warp_barrier(mask);
    memcpy(&value, &bits, sizeof value);
    return value;
}

template <class To, class From> inline To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "of one size");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

}  // namespace on_cpu

/* Loads and stores that name a cache: one memory here. */
template <class T> inline T __ldg(const T* p) { return on_cpu::aligned(p); }
template <class T> inline T __ldcg(const T* p) { return on_cpu::aligned(p); }
template <class T> inline T __ldcs(const T* p) { return on_cpu::aligned(p); }
template <class T> inline void __stcg(T* p, std::type_identity_t<T> v) { on_cpu::aligned(p) = v; }

inline size_t __cvta_generic_to_shared(const void* p) { return static_cast<const unsigned char*>(p) - on_cpu::dynamic_shared(1); }

inline void __syncthreads() { on_cpu::block_barrier(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { on_cpu::warp_barrier(mask); }

template <class T> inline T __shfl_xor_sync(unsigned mask, T v, int with, int width = 32) {
    const unsigned own = on_cpu::lane() % 32, first = own & ~(width - 1u), from = own ^ with;
    return on_cpu::exchanged(mask, v, from >= first + width ? own : from);
}
inline unsigned __float_as_uint(float x) { return on_cpu::same_bits<unsigned>(x); }
inline int __float_as_int(float x) { return on_cpu::same_bits<int>(x); }
inline float __uint_as_float(unsigned x) { return on_cpu::same_bits<float>(x); }
inline float __int_as_float(int x) { return on_cpu::same_bits<float>(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline long long clock64() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
template <class A, class B> inline std::common_type_t<A, B> min(A a, B b) { return b < a ? b : a; }
template <class A, class B> inline std::common_type_t<A, B> max(A a, B b) { return a < b ? b : a; }

#include "ptx.h"
