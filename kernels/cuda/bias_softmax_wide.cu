/* Outputs in the place of products: softmax(a + b) of each row, where a warp has a row of N outputs, too many for the
   registers of a thread. REAL and N, at least 32, by -D. */
__device__ __forceinline__ REAL larger(REAL a, REAL b) { return a > b || a != a ? a : b; }

extern "C" __global__ void __launch_bounds__(128)
bias_softmax(REAL* a, const REAL* __restrict__ b, long long rows) {
    const long long row = (long long)blockIdx.x * 4 + threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    if (row >= rows) return; /* a whole warp */
    a += row * N;
    REAL most = a[lane] + b[lane], sum = 0;
    for (int j = lane; j < N; j += 32) most = larger(a[j] += b[j], most);
    #pragma unroll
    for (int distance = 16; distance; distance /= 2) most = larger(__shfl_xor_sync(0xffffffffu, most, distance), most);
    for (int j = lane; j < N; j += 32) sum += a[j] = exp(a[j] - most);
    #pragma unroll
    for (int distance = 16; distance; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    for (int j = lane; j < N; j += 32) a[j] /= sum;
}
