/* Arithmetic alone, in registers: what the units of a device do at most. Each thread has CHAINS sums that wait for
   nothing but themselves, and each turn adds STEPS products to each of them. REAL is float or double. */
#define CHAINS 8
#define STEPS 16

extern "C" __global__ void __launch_bounds__(256) nothing() {}

extern "C" __global__ void __launch_bounds__(256) multiply_adds(REAL* out, REAL factor, REAL more, int turns) {
    REAL sums[CHAINS], sum = 0;
    #pragma unroll
    for (int i = 0; i < CHAINS; ++i) sums[i] = (REAL)i;
    #pragma unroll 1 /* NVRTC 13.5 makes fifteen turns of one for sm_120, and takes minutes */
    for (int turn = 0; turn < turns; ++turn) {
        #pragma unroll
        for (int step = 0; step < STEPS; ++step)
            #pragma unroll
            for (int i = 0; i < CHAINS; ++i) sums[i] = fma(sums[i], factor, more);
    }
    #pragma unroll
    for (int i = 0; i < CHAINS; ++i) sum += sums[i];
    out[(long long)blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

#if __CUDA_ARCH__ >= 800
/* Tiles of 16 by 8 sums, one chain each; all operands are ones, so that every product adds the inner length. */
template <class Product>
__device__ __forceinline__ void multiply_tiles(float* out, int turns, Product product) {
    float sums[CHAINS][4], sum = 0.0f;
    #pragma unroll
    for (int i = 0; i < CHAINS; ++i)
        #pragma unroll
        for (int j = 0; j < 4; ++j) sums[i][j] = (float)i;
    #pragma unroll 1 /* NVRTC 13.5 makes fifteen turns of one for sm_120, and takes minutes */
    for (int turn = 0; turn < turns; ++turn) {
        #pragma unroll
        for (int step = 0; step < STEPS; ++step)
            #pragma unroll
            for (int i = 0; i < CHAINS; ++i) product(sums[i]);
    }
    #pragma unroll
    for (int i = 0; i < CHAINS; ++i)
        #pragma unroll
        for (int j = 0; j < 4; ++j) sum += sums[i][j];
    out[(long long)blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

struct OfTf32 {
    float one;
    __device__ __forceinline__ void operator()(float (&sums)[4]) const { mma_tf32(sums, one, one, one, one, one, one); }
};
struct OfHalves {
    unsigned ones;
    __device__ __forceinline__ void operator()(float (&sums)[4]) const { mma_f16(sums, ones, ones, ones, ones, ones, ones); }
};

extern "C" __global__ void __launch_bounds__(256) tiles_tf32(float* out, float one, int turns) {
    multiply_tiles(out, turns, OfTf32{one});
}
extern "C" __global__ void __launch_bounds__(256) tiles_f16(float* out, float one, int turns) {
    multiply_tiles(out, turns, OfHalves{to_halves(one, one)});
}
#endif
