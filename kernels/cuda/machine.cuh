/* What only a GPU has. Where the sources run on a CPU, the tests define these names instead, before this text. */
#ifdef __CUDACC__

#define SHARED(type, name) extern __shared__ __align__(16) type name[]

__device__ __forceinline__ float fast_exp(float a) { return __expf(a); }
__device__ __forceinline__ float reciprocal(float a) { return __fdividef(1.0f, a); }

/* 16 bytes that nobody reads again: they need no place in the caches. */
__device__ __forceinline__ float4 load_once(const float4* from) { return __ldcs(from); }

#if __CUDA_ARCH__ >= 800
/* Copies 16 bytes from global to shared memory. They are there after copies_done and a barrier. */
__device__ __forceinline__ void copy_begin(void* to, const void* from) {
    const unsigned shared = static_cast<unsigned>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared), "l"(from) : "memory");
}
__device__ __forceinline__ void copies_done() { asm volatile("cp.async.wait_all;" ::: "memory"); }

/* The nearest number of 11 significant bits. The tensor cores read no more of a float. */
__device__ __forceinline__ float to_tf32(float a) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(a));
    return __uint_as_float(bits);
}
/* The first 11 significant bits. */
__device__ __forceinline__ float cut_tf32(float a) { return __uint_as_float(__float_as_uint(a) & 0xffffe000u); }

/* Two floats as halves in one word, the first one in the lower half. */
__device__ __forceinline__ unsigned to_halves(float low, float high) {
    unsigned word;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}

/* c += a b: (16, 8) += (16, 8) (8, 8), spread over the 32 lanes of a warp as PTX says for mma.m16n8k8. */
__device__ __forceinline__ void mma_tf32(float (&c)[4], float a0, float a1, float a2, float a3, float b0, float b1) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(__float_as_uint(a0)), "r"(__float_as_uint(a1)), "r"(__float_as_uint(a2)),
                   "r"(__float_as_uint(a3)), "r"(__float_as_uint(b0)), "r"(__float_as_uint(b1)));
}
/* c += a b: (16, 8) += (16, 16) (16, 8), as PTX says for mma.m16n8k16; a and b are words of two halves. */
__device__ __forceinline__ void mma_f16(float (&c)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0,
                                        unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
#else /* a load and a store */
__device__ __forceinline__ void copy_begin(void* to, const void* from) {
    *static_cast<float4*>(to) = *static_cast<const float4*>(from);
}
__device__ __forceinline__ void copies_done() {}
#endif
#endif
