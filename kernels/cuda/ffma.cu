/* The whole network for many rows, in float32 without tensor cores.

   A block takes ROWS rows. A thread sums TM rows, GROUPS apart, times the columns of its column group, in registers.
   Inputs and weights of the first layer come through shared memory, BK inputs at a time, in two buffers: the loads of
   one are under way while the other is used. The activations of a layer stay in shared memory. With WHOLE, those of the
   last hidden layer do not: each thread adds its own to all outputs of its rows, and the column groups' shares are
   summed at the end. */
#define GROUPS (THREADS / CG)
#define ROWS (GROUPS * TM)
#define BK_ROW (BK + 4) /* an odd number of quads, as BK is 16 */

/* How n columns lie among CG groups: in passes, with at most 16 to a thread. Packed weights are [pass][k][group][stride]. */
__device__ constexpr int passes(int n) { return (n + 16 * CG - 1) / (16 * CG); }
__device__ constexpr int each(int n) { return (n + passes(n) * CG - 1) / (passes(n) * CG); }
/* Columns with those that fill up the groups: they are zero, and the next layer has as many rows of weights. */
__device__ constexpr int padded(int n) { return passes(n) * CG * each(n); }
/* Whether a thread keeps its activations of layer to itself. */
__device__ constexpr bool kept(int layer) { return WHOLE && layer == LAYERS - 1; }
/* Floats of a row of layer's activations in shared memory. */
__device__ constexpr int row_floats(int layer) { return kept(layer) ? 0 : odd_quads(padded(width(layer))); }
__device__ constexpr int region_floats(int first) {
    int most = 0;
    for (int layer = first; layer <= LAYERS; layer += 2) most = row_floats(layer) > most ? row_floats(layer) : most;
    return ROWS * most;
}
/* Odd layers lie at the start of shared memory, even ones behind them. */
__device__ constexpr int region(int layer) { return layer % 2 ? 0 : region_floats(1); }

/* Sums of the thread's rows, in N columns. */
template <int N>
struct Sums {
    float at[TM][N];
    __device__ __forceinline__ Sums() {
        #pragma unroll
        for (int i = 0; i < TM; ++i)
            #pragma unroll
            for (int j = 0; j < N; ++j) at[i][j] = 0.0f;
    }
};
using Outputs = Sums<WHOLE ? width(LAYERS) : 1>;

/* The first N of the floats there. */
template <int N>
struct Some {
    float at[(N + 3) / 4 * 4];
    __device__ __forceinline__ explicit Some(const float* from) {
        #pragma unroll
        for (int j = 0; j < N; j += 4) {
            const float4 v = four(from + j);
            at[j] = v.x, at[j + 1] = v.y, at[j + 2] = v.z, at[j + 3] = v.w;
        }
    }
};

/* Add K inputs of the thread's rows, ROW floats long, times K rows of weights of its N columns. */
template <int N, int K, int ROW>
__device__ __forceinline__ void multiply(Sums<N>& sums, const float* inputs, const float* weights) {
    #pragma unroll (K % 8 ? 1 : 2) /* more would not stay in the cache of instructions */
    for (int k = 0; k < K; k += 4) {
        float a[TM][4];
        #pragma unroll
        for (int i = 0; i < TM; ++i) {
            const float4 v = four(inputs + i * GROUPS * ROW + k);
            a[i][0] = v.x, a[i][1] = v.y, a[i][2] = v.z, a[i][3] = v.w;
        }
        #pragma unroll
        for (int c = 0; c < 4; ++c) {
            const Some<N> b(weights + (k + c) * CG * odd_quads(N));
            #pragma unroll
            for (int i = 0; i < TM; ++i)
                #pragma unroll
                for (int j = 0; j < N; ++j) sums.at[i][j] = fmaf(a[i][c], b.at[j], sums.at[i][j]);
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
    /* Take the sums of a pass: keep their activations, or the outputs without one, or add them to the outputs. */
    template <int L>
    __device__ __forceinline__ void take(const Sums<each(width(L))>& sums, int pass, Outputs& outputs) const {
        constexpr int n = width(L);
        const int first = (pass * CG + column) * each(n);
        #pragma unroll
        for (int j = 0; j < each(n); ++j) {
            const bool full = padded(n) - each(n) + j < n; /* in every group and pass */
            const int at = first + j;
            const float bias = weights[biases_at(L) + at];
            float a[TM];
            #pragma unroll
            for (int i = 0; i < TM; ++i) {
                a[i] = activate<L>(biased<L>(sums.at[i][j], bias));
                if (!full && at >= n) a[i] = 0.0f;
            }
            if constexpr (kept(L)) {
                constexpr int out = width(LAYERS);
                const Some<out> b(weights + weights_at(LAYERS) + at * odd_quads(out));
                #pragma unroll
                for (int i = 0; i < TM; ++i)
                    #pragma unroll
                    for (int m = 0; m < out; ++m) outputs.at[i][m] = fmaf(a[i], b.at[m], outputs.at[i][m]);
            } else {
                #pragma unroll
                for (int i = 0; i < TM; ++i) row<L>()[i * GROUPS * row_floats(L) + at] = a[i];
            }
        }
    }
    /* Sum the outputs over the column groups, and keep them. */
    __device__ __forceinline__ void gather(const Outputs& outputs) const {
        __syncthreads(); /* nobody reads activations any more */
        #pragma unroll
        for (int m = 0; m < width(LAYERS); ++m) {
            const float bias = weights[biases_at(LAYERS) + m];
            #pragma unroll
            for (int i = 0; i < TM; ++i) {
                float sum = outputs.at[i][m];
                #pragma unroll
                for (int lane = 1; lane < CG; lane *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lane);
                if (column == i % CG) row<LAYERS>()[i * GROUPS * row_floats(LAYERS) + m] = biased<LAYERS>(sum, bias);
            }
        }
        __syncthreads();
    }
    /* Compute the layers above L, whose sums have been taken. */
    template <int L>
    __device__ __forceinline__ void above(Outputs& outputs) const {
        if constexpr (kept(L)) {
            gather(outputs);
        } else {
            __syncthreads();
            if constexpr (L < LAYERS) {
                constexpr int n = width(L + 1), k = padded(width(L)), stride = odd_quads(each(n));
                const float* mine = weights + weights_at(L + 1) + column * stride;
                #pragma unroll 1
                for (int pass = 0; pass < passes(n); ++pass) {
                    Sums<each(n)> sums;
                    multiply<each(n), k, row_floats(L)>(sums, row<L>(), mine + pass * k * CG * stride);
                    take<L + 1>(sums, pass, outputs);
                }
                above<L + 1>(outputs);
            }
        }
    }
};

/* Four inputs are carried as they are in memory: nothing waits for them before they are put down. */
__device__ __forceinline__ float4 joined(float a, float b, float c, float d) { return make_float4(a, b, c, d); }
__device__ __forceinline__ unsigned joined(unsigned char a, unsigned char b, unsigned char c, unsigned char d) {
    return a | unsigned(b) << 8 | unsigned(c) << 16 | unsigned(d) << 24;
}
using Input = INPUT;
using Quad = decltype(joined(Input(), Input(), Input(), Input()));
__device__ __forceinline__ float4 floats(float4 v) { return v; }
__device__ __forceinline__ float4 floats(unsigned v) {
    return make_float4(float(v & 255u), float(v >> 8 & 255u), float(v >> 16 & 255u), float(v >> 24));
}

/* What a thread brings from global memory to a buffer of shared memory: inputs and weights of the first layer. Its quads
   of inputs are a fixed number of rows apart, and its quads of weights as many as there are threads: one address serves
   all of them. Where there are fewer rows, it copies its last one again, and nobody reads what comes of it. Floats are
   copied; bytes, and rows that begin anywhere, are carried in registers. */
struct Brought {
    static constexpr bool copied = sizeof(INPUT) == sizeof(float) && width(0) % 4 == 0;
    static constexpr int quads = BK / 4, apart = THREADS / quads, n_inputs = ROWS / apart;
    static constexpr int w_step = BK * CG * odd_quads(each(width(1))), n_weights = (w_step / 4 + THREADS - 1) / THREADS;
    Quad carried[copied ? 1 : n_inputs] = {};
    const INPUT* row; /* the first of its rows, from its inputs of the next buffer on */
    const float* packed;
    int k, place, last; /* its first input; in a buffer of inputs; items from its first row to its last one */

    __device__ __forceinline__ Brought(const INPUT* x, const float* all, int rows) {
        const int first = threadIdx.x / quads;
        k = 4 * (threadIdx.x % quads);
        row = x + (first < rows ? first : rows - 1) * width(0) + k;
        packed = all + 4 * threadIdx.x;
        place = first * BK_ROW + k;
        last = first < rows ? (rows - 1 - first) / apart * apart * width(0) : 0;
    }
    /* Let the next inputs and weights be on their way. */
    __device__ __forceinline__ void begin(float* inputs, float* weights) {
        #pragma unroll
        for (int p = 0; p < n_inputs; ++p) {
            /* Which of both guards takes fewer instructions, the compilers have shown. */
            const int items = p * apart * width(0), there = copied && items > last ? last : items;
            if (copied || items <= last) bring(row + there, inputs + place + p * apart * BK_ROW, carried[copied ? 0 : p]);
        }
        #pragma unroll
        for (int p = 0; p < n_weights; ++p)
            if (is_weight(p)) copy_begin(weights + 4 * (p * THREADS + threadIdx.x), packed + 4 * p * THREADS);
        k += BK;
        row += BK;
        packed += w_step;
    }
    /* Put down what is carried. After a barrier everything is there. */
    __device__ __forceinline__ void end(float* inputs) const {
        if constexpr (!copied) {
            #pragma unroll
            for (int p = 0; p < n_inputs; ++p)
                *reinterpret_cast<float4*>(inputs + place + p * apart * BK_ROW) = floats(carried[p]);
        }
        copies_done();
    }
    /* Inputs beyond the end of a row are zero. */
    __device__ __forceinline__ void bring(const INPUT* from, float* to, Quad& quad) const {
        constexpr int n = width(0);
        if constexpr (copied) {
            if (n % BK == 0 || k < n) copy_begin(to, from);
            else *reinterpret_cast<float4*>(to) = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        } else if constexpr (n % 4 == 0) {
            quad = n % BK == 0 || k < n ? *reinterpret_cast<const Quad*>(from) : Quad();
        } else {
            INPUT at[4];
            #pragma unroll
            for (int c = 0; c < 4; ++c) at[c] = k + c < n ? from[c] : Input();
            quad = joined(at[0], at[1], at[2], at[3]);
        }
    }
    static __device__ __forceinline__ bool is_weight(int p) {
        return 4 * (p + 1) * THREADS <= w_step || 4 * (p * THREADS + int(threadIdx.x)) < w_step;
    }
};

/* x (rows, inputs), weights as they are packed, y (rows, outputs). Grid: rows / ROWS blocks, rounded up. */
extern "C" __global__ void __launch_bounds__(THREADS)
mlp_ffma(const INPUT* __restrict__ x, const float* __restrict__ weights, float* __restrict__ y, long long rows) {
    SHARED(float, memory);
    constexpr int n = each(width(1)), stride = odd_quads(n), out = width(LAYERS);
    constexpr int buffer = ROWS * BK_ROW + BK * CG * stride;
    const Thread thread = {memory, weights, int(threadIdx.x) / CG, int(threadIdx.x) % CG};
    const long long first = (long long)blockIdx.x * ROWS;
    const int valid = rows - first < ROWS ? int(rows - first) : ROWS;
    x += first * width(0);
    y += first * out;

    Sums<n> sums;
    Brought brought(x, weights + weights_at(1), valid);
    brought.begin(memory, memory + ROWS * BK_ROW);
    brought.end(memory);
    __syncthreads();
    int now = 0;
    #pragma unroll 1
    for (int k = 0; k < width(0); k += BK) {
        const bool more = k + BK < width(0);
        const float* used = memory + now * buffer;
        float* filled = memory + (1 - now) * buffer;
        if (more) brought.begin(filled, filled + ROWS * BK_ROW);
        multiply<n, BK, BK_ROW>(sums, used + thread.group * BK_ROW, used + ROWS * BK_ROW + thread.column * stride);
        if (more) brought.end(filled);
        __syncthreads(); /* the other buffer is full, and nobody reads this one any more */
        now = 1 - now;
    }
    Outputs outputs;
    thread.take<1>(sums, 0, outputs);
    thread.above<1>(outputs);

    float* there = memory + region(LAYERS);
    constexpr int row = row_floats(LAYERS);
#if SOFTMAX
    for (int r = threadIdx.x; r < ROWS; r += THREADS) {
        float* mine = there + r * row;
        float most = mine[0], sum = 0.0f;
        for (int j = 1; j < out; ++j) most = fmaxf(most, mine[j]);
        for (int j = 0; j < out; ++j) sum += mine[j] = fast_exp(mine[j] - most);
        const float share = 1.0f / sum;
        for (int j = 0; j < out; ++j) mine[j] *= share;
    }
    __syncthreads();
#endif
    for (int i = threadIdx.x; i < valid * out; i += THREADS) y[i] = there[i / out * row + i % out];
}
