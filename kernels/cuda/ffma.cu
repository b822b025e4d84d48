/* The whole network for many rows, in float32 without tensor cores.

   A block takes ROWS rows. A thread sums TM rows, GROUPS apart, times the columns of its column group, in registers.
   Inputs and weights of the first layer come through shared memory, BK inputs at a time, in two buffers: the loads of
   one are under way while the other is used. The activations of a layer stay in shared memory. Those of the last
   hidden layer are made in passes, and each pass is added to the outputs before the next one takes its place. */
#define GROUPS (THREADS / CG)
#define ROWS (GROUPS * TM)
#define BK_ROW (BK + 4) /* an odd number of quads, as BK is 16 or 32 */

/* How n columns lie among CG groups: in passes, with at most 16 to a thread. Packed weights are [pass][k][group][stride]. */
__device__ constexpr int passes(int n) { return (n + 16 * CG - 1) / (16 * CG); }
__device__ constexpr int each(int n) { return (n + passes(n) * CG - 1) / (passes(n) * CG); }
__device__ constexpr int stride(int n) { return odd_quads(each(n)); }
/* Columns with those that fill up the groups: they are zero, and the next layer has as many rows of weights. */
__device__ constexpr int padded(int n) { return passes(n) * CG * each(n); }
/* Floats of a row of layer's activations in shared memory. */
__device__ constexpr int row_floats(int layer) {
    return odd_quads(layer > 1 && layer == LAYERS - 1 ? CG * each(width(layer)) : padded(width(layer)));
}
__device__ constexpr int region_floats(int first) {
    int most = 0;
    for (int layer = first; layer <= LAYERS; layer += 2) most = row_floats(layer) > most ? row_floats(layer) : most;
    return ROWS * most;
}
/* Odd layers lie at the start of shared memory, even ones behind them. */
__device__ constexpr int region(int layer) { return layer % 2 ? 0 : region_floats(1); }

template <int N>
struct Sums {
    float at[TM][each(N)];
    __device__ __forceinline__ Sums() {
        #pragma unroll
        for (int i = 0; i < TM; ++i)
            #pragma unroll
            for (int j = 0; j < each(N); ++j) at[i][j] = 0.0f;
    }
};

/* Add K inputs of the thread's rows, ROW floats long, times K rows of weights of its columns. */
template <int N, int K, int ROW>
__device__ __forceinline__ void multiply(Sums<N>& sums, const float* inputs, const float* weights) {
    #pragma unroll 1
    for (int k = 0; k < K; k += 4) {
        float a[TM][4];
        #pragma unroll
        for (int i = 0; i < TM; ++i) {
            const float4 v = four(inputs + i * GROUPS * ROW + k);
            a[i][0] = v.x, a[i][1] = v.y, a[i][2] = v.z, a[i][3] = v.w;
        }
        #pragma unroll
        for (int c = 0; c < 4; ++c) {
            float b[(each(N) + 3) / 4 * 4];
            #pragma unroll
            for (int j = 0; j < each(N); j += 4) {
                const float4 v = four(weights + (k + c) * CG * stride(N) + j);
                b[j] = v.x, b[j + 1] = v.y, b[j + 2] = v.z, b[j + 3] = v.w;
            }
            #pragma unroll
            for (int i = 0; i < TM; ++i)
                #pragma unroll
                for (int j = 0; j < each(N); ++j) sums.at[i][j] = fmaf(a[i][c], b[j], sums.at[i][j]);
        }
    }
}

struct Thread {
    float* memory;
    const float* weights;
    int group, column;

    /* Where the activations of the thread's first row begin. */
    template <int L>
    __device__ __forceinline__ float* row() const {
        return memory + region(L) + group * row_floats(L);
    }
    template <int L>
    __device__ __forceinline__ const float* weights_of(int pass, int rows_of_weights) const {
        constexpr int n = width(L);
        return weights + weights_at(L) + (pass * rows_of_weights * CG + column) * stride(n);
    }
    /* Keep the activations of a pass, or the outputs without one, in columns from `from` on. */
    template <int L>
    __device__ __forceinline__ void keep(const Sums<width(L)>& sums, int pass, int from) const {
        constexpr int n = width(L);
        #pragma unroll
        for (int j = 0; j < each(n); ++j) {
            const int within = column * each(n) + j, at = pass * CG * each(n) + within;
            const float bias = weights[biases_at(L) + at];
            #pragma unroll
            for (int i = 0; i < TM; ++i) {
                const float a = biased<L>(sums.at[i][j], bias);
                row<L>()[i * GROUPS * row_floats(L) + from + within] = at >= n ? 0.0f : activate<L>(a);
            }
        }
    }
    /* Compute layers L and above from the activations of layer L - 1 in shared memory. */
    template <int L>
    __device__ __forceinline__ void rest() const {
        if constexpr (L <= LAYERS) {
            constexpr int n = width(L), k = padded(width(L - 1));
            if constexpr (L > 1 && L == LAYERS - 1) {
                constexpr int m = width(LAYERS), part = CG * each(n);
                Sums<m> outputs;
                #pragma unroll 1
                for (int pass = 0; pass < passes(n); ++pass) {
                    Sums<n> sums;
                    multiply<n, k, row_floats(L - 1)>(sums, row<L - 1>(), weights_of<L>(pass, k));
                    keep<L>(sums, pass, 0);
                    __syncthreads();
                    multiply<m, part, row_floats(L)>(outputs, row<L>(),
                                                     weights_of<LAYERS>(0, 0) + pass * part * CG * stride(m));
                    __syncthreads();
                }
                keep<LAYERS>(outputs, 0, 0);
                __syncthreads();
            } else {
                #pragma unroll 1
                for (int pass = 0; pass < passes(n); ++pass) {
                    Sums<n> sums;
                    multiply<n, k, row_floats(L - 1)>(sums, row<L - 1>(), weights_of<L>(pass, k));
                    keep<L>(sums, pass, pass * CG * each(n));
                }
                __syncthreads();
                rest<L + 1>();
            }
        }
    }
};

/* What a thread carries from global memory to a buffer of shared memory: inputs and weights of the first layer. Its quads
   of inputs are a fixed number of rows apart, and its quads of weights as many as there are threads: one address serves
   all of them. */
struct Carried {
    static constexpr int quads = BK / 4, apart = THREADS / quads, n_inputs = ROWS / apart;
    static constexpr int w_quads = BK * CG * stride(width(1)) / 4;
    static constexpr int n_weights = (w_quads + THREADS - 1) / THREADS;
    float4 inputs[n_inputs], weights[n_weights];
    const INPUT* row; /* the first of its rows */
    const float* packed;
    int place, valid; /* in a buffer of inputs; how many of its rows there are, times apart */

    __device__ __forceinline__ Carried(const INPUT* x, const float* all, int rows) {
        const int first = threadIdx.x / quads, quad = threadIdx.x % quads;
        row = x + first * width(0);
        packed = all + 4 * threadIdx.x;
        place = first * BK_ROW + 4 * quad;
        valid = rows - first;
    }
    __device__ __forceinline__ void load(int k) {
        const int first = k + 4 * (threadIdx.x % quads);
        #pragma unroll
        for (int p = 0; p < n_inputs; ++p) {
            const int r = p * apart;
            inputs[p] = r < valid ? inputs_of(row + r * width(0), first) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        }
        #pragma unroll
        for (int p = 0; p < n_weights; ++p)
            if (is_weight(p)) weights[p] = four(packed + k * CG * stride(width(1)) + 4 * p * THREADS);
    }
    __device__ __forceinline__ void put(float* to_inputs, float* to_weights) const {
        #pragma unroll
        for (int p = 0; p < n_inputs; ++p)
            *reinterpret_cast<float4*>(to_inputs + place + p * apart * BK_ROW) = inputs[p];
        #pragma unroll
        for (int p = 0; p < n_weights; ++p)
            if (is_weight(p)) *reinterpret_cast<float4*>(to_weights + 4 * threadIdx.x + 4 * p * THREADS) = weights[p];
    }
    static __device__ __forceinline__ bool is_weight(int p) {
        return (p + 1) * THREADS <= w_quads || p * THREADS + int(threadIdx.x) < w_quads;
    }
};

/* x (rows, inputs), weights as they are packed, y (rows, outputs). Grid: rows / ROWS blocks, rounded up. */
extern "C" __global__ void __launch_bounds__(THREADS)
mlp_ffma(const INPUT* __restrict__ x, const float* __restrict__ weights, float* __restrict__ y, long long rows) {
    SHARED(float, memory);
    constexpr int n1 = width(1), out = width(LAYERS), buffer = ROWS * BK_ROW + BK * CG * stride(n1);
    const Thread thread = {memory, weights, int(threadIdx.x) / CG, int(threadIdx.x) % CG};
    const long long first = (long long)blockIdx.x * ROWS;
    const int valid = rows - first < ROWS ? int(rows - first) : ROWS;
    x += first * width(0);
    y += first * out;

    Sums<n1> sums;
    Carried carried(x, weights + weights_at(1), valid);
    carried.load(0);
    carried.put(memory, memory + ROWS * BK_ROW);
    __syncthreads();
    int now = 0;
    #pragma unroll 1
    for (int k = 0; k < width(0); k += BK) {
        const bool more = k + BK < width(0);
        const float* used = memory + now * buffer;
        float* filled = memory + (1 - now) * buffer;
        if (more) carried.load(k + BK);
        multiply<n1, BK, BK_ROW>(sums, used + thread.group * BK_ROW, used + ROWS * BK_ROW + thread.column * stride(n1));
        if (more) carried.put(filled, filled + ROWS * BK_ROW);
        __syncthreads(); /* the other buffer is full, and nobody reads this one any more */
        now = 1 - now;
    }
    thread.keep<1>(sums, 0, 0);
    __syncthreads();
    thread.rest<2>();

    float* outputs = memory + region(LAYERS);
    constexpr int row = row_floats(LAYERS);
#if SOFTMAX
    if (threadIdx.x < ROWS) {
        float* mine = outputs + threadIdx.x * row;
        float most = mine[0], sum = 0.0f;
        for (int j = 1; j < out; ++j) most = fmaxf(most, mine[j]);
        for (int j = 0; j < out; ++j) sum += mine[j] = fast_exp(mine[j] - most);
        const float share = 1.0f / sum;
        for (int j = 0; j < out; ++j) mine[j] *= share;
    }
    __syncthreads();
#endif
    for (int i = threadIdx.x; i < valid * out; i += THREADS) y[i] = outputs[i / out * row + i % out];
}
