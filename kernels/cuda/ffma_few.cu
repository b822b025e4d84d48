/* The whole network for few rows, in float32 without tensor cores.

   A block takes ROWS rows. Its warps share out the inputs of a layer: each multiplies some of them by their rows of
   weights, straight from global memory, with neighbouring columns in neighbouring lanes. Then all add up the partial sums
   of the warps, always in the same order. */
#define WARPS (THREADS / 32)

/* Columns of a lane: one vector of weights. */
__device__ constexpr int per_lane(int n) { return n <= 32 ? 1 : n <= 64 ? 2 : 4; }
/* Columns of a row of weights, with those that fill up the last lane. */
__device__ constexpr int stride(int n) { return (n + per_lane(n) - 1) / per_lane(n) * per_lane(n); }
__device__ constexpr int widest_stride() {
    int most = 0;
    for (int layer = 1; layer <= LAYERS; ++layer) most = stride(width(layer)) > most ? stride(width(layer)) : most;
    return most;
}

template <int N>
struct Sums {
    static constexpr int columns = per_lane(N);
    float at[ROWS][columns];
    __device__ __forceinline__ Sums() {
        #pragma unroll
        for (int r = 0; r < ROWS; ++r)
            #pragma unroll
            for (int j = 0; j < columns; ++j) at[r][j] = 0.0f;
    }
    /* Add one input of each row times the lane's part of a row of weights. */
    __device__ __forceinline__ void add(const float (&a)[ROWS], const float* weights) {
        float w[columns];
        if constexpr (columns == 4) {
            const float4 v = four(weights);
            w[0] = v.x, w[1] = v.y, w[2] = v.z, w[3] = v.w;
        } else if constexpr (columns == 2) {
            const float2 v = *reinterpret_cast<const float2*>(weights);
            w[0] = v.x, w[1] = v.y;
        } else {
            w[0] = *weights;
        }
        #pragma unroll
        for (int r = 0; r < ROWS; ++r)
            #pragma unroll
            for (int j = 0; j < columns; ++j) at[r][j] = fmaf(a[r], w[j], at[r][j]);
    }
};

struct Thread {
    /* parts: [warp][row][stride]; activations: [column][row] */
    float *parts, *activations;
    const float* weights;
    int warp, lane;

    template <int L>
    __device__ __forceinline__ const float* lane_weights() const {
        constexpr int n = width(L);
        return weights + weights_at(L) + lane * per_lane(n);
    }
    /* Add up the parts of all warps into activations, or outputs, of the layer. */
    template <int L>
    __device__ __forceinline__ void reduce(const Sums<width(L)>& sums) const {
        constexpr int n = width(L), columns = per_lane(n);
        if (lane * columns < n)
            #pragma unroll
            for (int r = 0; r < ROWS; ++r)
                #pragma unroll
                for (int j = 0; j < columns; ++j)
                    parts[(warp * ROWS + r) * stride(n) + lane * columns + j] = sums.at[r][j];
        __syncthreads();
        for (int i = threadIdx.x; i < ROWS * n; i += THREADS) {
            const int r = i % ROWS, c = i / ROWS;
            float sum = 0.0f;
            #pragma unroll
            for (int w = 0; w < WARPS; ++w) sum += parts[(w * ROWS + r) * stride(n) + c];
            const float a = biased<L>(sum, weights[biases_at(L) + c]);
            activations[i] = activate<L>(a);
        }
        __syncthreads();
    }
    /* Compute layers L and above from the activations of layer L - 1. */
    template <int L>
    __device__ __forceinline__ void rest() const {
        if constexpr (L <= LAYERS) {
            constexpr int n = width(L);
            Sums<n> sums;
            if (lane * per_lane(n) < n)
                for (int k = warp; k < width(L - 1); k += WARPS) {
                    float a[ROWS];
                    #pragma unroll
                    for (int r = 0; r < ROWS; ++r) a[r] = activations[k * ROWS + r];
                    sums.add(a, lane_weights<L>() + k * stride(n));
                }
            reduce<L>(sums);
            rest<L + 1>();
        }
    }
};

/* x (rows, inputs), weights as they are packed, y (rows, outputs). Grid: rows / ROWS blocks, rounded up. */
extern "C" __global__ void __launch_bounds__(THREADS)
mlp_ffma_few(const INPUT* __restrict__ x, const float* __restrict__ weights, float* __restrict__ y, long long rows) {
    SHARED(float, memory);
    constexpr int n1 = width(1), out = width(LAYERS);
    const Thread thread = {memory, memory + WARPS * ROWS * widest_stride(), weights, int(threadIdx.x) / 32,
                           int(threadIdx.x) % 32};
    const long long first = (long long)blockIdx.x * ROWS;
    const int valid = rows - first < ROWS ? int(rows - first) : ROWS;
    x += first * width(0);
    y += first * out;

    Sums<n1> sums;
    if (thread.lane * per_lane(n1) < n1)
        #pragma unroll UNROLL
        for (int k = 4 * thread.warp; k < width(0); k += 4 * WARPS) {
            float a[4][ROWS];
            #pragma unroll
            for (int r = 0; r < ROWS; ++r) {
                const float4 v = r < valid ? inputs_of(x + (long long)r * width(0), k) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                a[0][r] = v.x, a[1][r] = v.y, a[2][r] = v.z, a[3][r] = v.w;
            }
            #pragma unroll
            for (int c = 0; c < 4; ++c) sums.add(a[c], thread.lane_weights<1>() + (k + c) * stride(n1));
        }
    thread.reduce<1>(sums);
    thread.rest<2>();

    for (int r = thread.warp; r < valid; r += WARPS) {
        const float* outputs = thread.activations + r;
#if SOFTMAX
        float most = outputs[0], sum = 0.0f;
        for (int j = thread.lane; j < out; j += 32) most = fmaxf(most, outputs[j * ROWS]);
        #pragma unroll
        for (int distance = 16; distance; distance /= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, distance));
        for (int j = thread.lane; j < out; j += 32) sum += fast_exp(outputs[j * ROWS] - most);
        #pragma unroll
        for (int distance = 16; distance; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
        const float share = 1.0f / sum;
        for (int j = thread.lane; j < out; j += 32) y[r * out + j] = fast_exp(outputs[j * ROWS] - most) * share;
#else
        for (int j = thread.lane; j < out; j += 32) y[r * out + j] = outputs[j * ROWS];
#endif
    }
}
