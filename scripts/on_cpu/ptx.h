/* Instructions of PTX that kernels name in `asm`: `raw.py` makes a call of each, its operands in the order of the text.
   Where the numbers of a fragment lie is written from the tables of the PTX ISA (mma.m16n8k8 and mma.m16n8k16), and knows
   nothing of how a kernel packs them. The sum of a product is rounded once: devices round in ways of their own. */
#pragma once

namespace on_cpu {

inline float half_to_float(unsigned short bits) { return static_cast<float>(same_bits<_Float16>(bits)); }
inline unsigned short float_to_half(float x) { return same_bits<unsigned short>(static_cast<_Float16>(x)); }

inline float tf32(unsigned bits) {
    if (bits & 0x1fff) fault("mma takes %08x, which is not rounded to tf32", bits);
    return same_bits<float>(bits);
}

/* d = a (16 x K) * b (K x 8) + c: row g and g + 8, columns 2q and 2q + 1 of d are in lane 4g + q. `row` and `k` of a lie in
   lane 4 (row % 8) + (k % (K / 2)) / P, where P numbers share a register; b likewise, by its column. */
template <int K, int P> __attribute__((no_sanitize("undefined"))) inline void product(float (&d)[4], const float (&a)[4 * P], const float (&b)[2 * P], const float (&c)[4]) {
    typedef double Pair __attribute__((vector_size(16)));
    Warp& w = next_of_warp();
    const unsigned own = lane() % 32, g = own / 4, q = own % 4;
    for (int far = 0; far < 2; ++far)
        for (int part = 0; part < P; ++part) {
            const int k = far * K / 2 + q * P + part;
            w.a[k][g] = a[2 * P * far + part];
            w.a[k][g + 8] = a[2 * P * far + P + part];
            w.b[k][g] = b[P * far + part];
        }
    warp_barrier(0xffffffffu);
    Pair near = {c[0], c[1]}, below = {c[2], c[3]};
    for (int k = 0; k < K; ++k) {
        const Pair of_b = *reinterpret_cast<const Pair*>(&w.b[k][2 * q]);
        near += w.a[k][g] * of_b;
        below += w.a[k][g + 8] * of_b;
    }
    for (int i = 0; i < 2; ++i) d[i] = static_cast<float>(near[i]), d[2 + i] = static_cast<float>(below[i]);
}

}  // namespace on_cpu

inline void ptx_mma_sync_aligned_m16n8k8_row_col_f32_tf32_tf32_f32(float& d0, float& d1, float& d2, float& d3, unsigned a0, unsigned a1,
    unsigned a2, unsigned a3, unsigned b0, unsigned b1, float c0, float c1, float c2, float c3) {
    float d[4];
    const float a[] = {on_cpu::tf32(a0), on_cpu::tf32(a1), on_cpu::tf32(a2), on_cpu::tf32(a3)}, b[] = {on_cpu::tf32(b0), on_cpu::tf32(b1)};
    on_cpu::product<8, 1>(d, a, b, {c0, c1, c2, c3});
    d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3];
}
inline void ptx_mma_sync_aligned_m16n8k16_row_col_f32_f16_f16_f32(float& d0, float& d1, float& d2, float& d3, unsigned a0, unsigned a1,
    unsigned a2, unsigned a3, unsigned b0, unsigned b1, float c0, float c1, float c2, float c3) {
    float d[4], a[8], b[4];
    const unsigned of_a[] = {a0, a1, a2, a3}, of_b[] = {b0, b1};
    for (int i = 0; i < 8; ++i) a[i] = on_cpu::half_to_float(static_cast<unsigned short>(of_a[i / 2] >> 16 * (i % 2)));
    for (int i = 0; i < 4; ++i) b[i] = on_cpu::half_to_float(static_cast<unsigned short>(of_b[i / 2] >> 16 * (i % 2)));
    on_cpu::product<16, 2>(d, a, b, {c0, c1, c2, c3});
    d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3];
}
/* To the nearest, halves away from zero. */
inline void ptx_cvt_rna_tf32_f32(unsigned& to, float x) {
    unsigned bits = on_cpu::same_bits<unsigned>(x);
    if ((bits & 0x7f800000u) != 0x7f800000u) bits += 0x1000u;
    to = bits & 0xffffe000u;
}
inline void ptx_cvt_rn_f16x2_f32(unsigned& to, float high, float low) {
    to = static_cast<unsigned>(on_cpu::float_to_half(high)) << 16 | on_cpu::float_to_half(low);
}
template <class T> inline void ptx_cvt_rn_f16_f32(T& to, float x) { to = on_cpu::float_to_half(x); }
template <class T> inline void ptx_cvt_f32_f16(float& to, T x) { to = on_cpu::half_to_float(static_cast<unsigned short>(x)); }
inline void ptx_cp_async_cg_shared_global(unsigned to, const void* from, int bytes) {
    on_cpu::Copies& mine = on_cpu::copies();
    unsigned char* there = on_cpu::dynamic_shared(16) + to;
    if (bytes != 16 || to % 16 || reinterpret_cast<uintptr_t>(from) % 16) on_cpu::fault("cp.async copies 16 bytes that lie at multiples of 16");
    if (mine.count == 64) on_cpu::fault("a thread begins more than 64 copies, and waits for none");
    if (on_cpu::arrive_at_once()) for (int i = 0; i < 4; ++i) reinterpret_cast<float*>(there)[i] = static_cast<const float*>(from)[i];
    else mine.of[mine.count++] = {there, from};
}
inline void ptx_cp_async_wait_all() {
    on_cpu::Copies& mine = on_cpu::copies();
    for (unsigned i = 0; i < mine.count; ++i) memcpy(mine.of[i].to, mine.of[i].from, 16);
    mine.count = 0;
}
template <class T> inline void ptx_mov_u64(T& to, long long value) { to = value; }
inline long long ptx_register_globaltimer() { return clock64(); }
