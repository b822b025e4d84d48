/* Outputs in the place of products: softmax(a + b) of each row, where one thread has a row. REAL and N, the outputs, by -D. */
extern "C" __global__ void __launch_bounds__(128)
bias_softmax(REAL* a, const REAL* __restrict__ b, long long rows) {
    const long long row = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    REAL v[N], sum = 0;
    a += row * N;
    #pragma unroll
    for (int j = 0; j < N; ++j) v[j] = a[j] + b[j];
    REAL most = v[0];
    #pragma unroll
    for (int j = 1; j < N; ++j) most = v[j] > most || v[j] != v[j] ? v[j] : most;
    #pragma unroll
    for (int j = 0; j < N; ++j) sum += v[j] = exp(v[j] - most);
    #pragma unroll
    for (int j = 0; j < N; ++j) a[j] = v[j] / sum;
}
