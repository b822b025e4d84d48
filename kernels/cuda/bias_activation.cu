/* The activation of products in their place: that of a + b for each number. A block has ROWS rows of N outputs, or one of
   PARTS parts of a row: four numbers for each thread. REAL, N, ROWS, PARTS, ACTIVATION, a name below, and SLOPE, of
   leaky-relu below 0, by -D. NaN stays NaN, but for a step. */
enum { IDENTITY, SIGMOID, RELU, STEP, TANH, GELU, SILU, LEAKY_RELU };

__device__ __forceinline__ REAL activated(REAL a) {
    constexpr REAL one = 1;
    if constexpr (ACTIVATION == SIGMOID) return one / (one + exp(-a));
    if constexpr (ACTIVATION == RELU) return a < 0 ? 0 : a;
    if constexpr (ACTIVATION == STEP) return a > 0 ? 1 : 0;
    if constexpr (ACTIVATION == TANH) return tanh(a);
    if constexpr (ACTIVATION == GELU) return a / 2 * (one + erf(a * REAL(0.70710678118654752)));
    if constexpr (ACTIVATION == SILU) return a / (one + exp(-a));
    if constexpr (ACTIVATION == LEAKY_RELU) return a > 0 ? a : a * REAL(SLOPE);
    return a;
}

extern "C" __global__ void __launch_bounds__(256)
bias_activation(REAL* a, const REAL* __restrict__ b, long long rows) {
    const long long first = (long long)(blockIdx.x / PARTS) * ROWS;
    const int items = (rows - first < ROWS ? int(rows - first) : ROWS) * N;
    const int begin = blockIdx.x % PARTS * 4 * blockDim.x + threadIdx.x;
    REAL v[4]; /* four loads are on their way at once */
    a += first * N;
    #pragma unroll
    for (int j = 0, i = begin; j < 4; ++j, i += blockDim.x) if (i < items) v[j] = a[i];
    #pragma unroll
    for (int j = 0, i = begin; j < 4; ++j, i += blockDim.x) if (i < items) a[i] = activated(v[j] + b[i % N]);
}
