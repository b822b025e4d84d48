/* Products on tensor cores, 16 rows at a time. ARITHMETIC is one of the names below.

   The inner index of a layer goes in steps of 16. In a step, each lane has four inputs of row g and four of row g + 8,
   g = lane / 4, and four weights of column g of a tile of 8 columns. Which four inputs belong to which lane is free, as
   long as the weights are packed alike: in the first layer they are neighbours in memory, q = lane % 4, inputs
   16 step + 4 q + (0, 1, 2, 3); above it they are what the lane has summed itself, 16 step + 2 q + (0, 1, 8, 9). So no
   activation ever changes its lane. Packed weights are [step][tile][lane]. */
#define TF32 1
#define TF32_3 3
#define FP16 16

__device__ constexpr int tiles(int layer) { return (width(layer) + 7) / 8; }
__device__ constexpr int steps(int layer) { return layer == 1 ? (width(0) + 15) / 16 : (tiles(layer - 1) + 1) / 2; }

#if ARITHMETIC == FP16
typedef uint2 Four; /* of weights: two halves in each word */
#else
typedef float4 Four;
#endif

/* Four inputs of row g and four of row g + 8, as the tensor cores take them. */
struct Inputs {
#if ARITHMETIC == FP16
    unsigned a[4];
    __device__ __forceinline__ Inputs(float4 g, float4 h)
        : a{to_halves(g.x, g.y), to_halves(h.x, h.y), to_halves(g.z, g.w), to_halves(h.z, h.w)} {}
    __device__ __forceinline__ void multiply(float (&sums)[4], Four w) const {
        mma_f16(sums, a[0], a[1], a[2], a[3], w.x, w.y);
    }
#elif ARITHMETIC == TF32
    float a[8];
    __device__ __forceinline__ Inputs(float4 g, float4 h)
        : a{to_tf32(g.x), to_tf32(h.x), to_tf32(g.y), to_tf32(h.y),
            to_tf32(g.z), to_tf32(h.z), to_tf32(g.w), to_tf32(h.w)} {}
    __device__ __forceinline__ void multiply(float (&sums)[4], Four w) const {
        mma_tf32(sums, a[0], a[1], a[2], a[3], w.x, w.y);
        mma_tf32(sums, a[4], a[5], a[6], a[7], w.z, w.w);
    }
#else
    /* Each operand is the sum of two of 11 bits; of the four products, the one of the two small parts is left out. */
    float a[8], rest[8];
    __device__ __forceinline__ Inputs(float4 g, float4 h) {
        const float from[8] = {g.x, h.x, g.y, h.y, g.z, h.z, g.w, h.w};
        #pragma unroll
        for (int i = 0; i < 8; ++i) {
            a[i] = cut_tf32(from[i]);
            rest[i] = to_tf32(from[i] - a[i]);
        }
    }
    __device__ __forceinline__ void multiply(float (&sums)[4], Four w) const {
        const float b[4] = {cut_tf32(w.x), cut_tf32(w.y), cut_tf32(w.z), cut_tf32(w.w)};
        const float b_rest[4] = {to_tf32(w.x - b[0]), to_tf32(w.y - b[1]), to_tf32(w.z - b[2]), to_tf32(w.w - b[3])};
        #pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int j = 4 * i, k = 2 * i;
            mma_tf32(sums, rest[j], rest[j + 1], rest[j + 2], rest[j + 3], b[k], b[k + 1]);
            mma_tf32(sums, a[j], a[j + 1], a[j + 2], a[j + 3], b_rest[k], b_rest[k + 1]);
            mma_tf32(sums, a[j], a[j + 1], a[j + 2], a[j + 3], b[k], b[k + 1]);
        }
    }
#endif
};

/* What a lane has of one layer: sums, then activations, of columns 8 tile + 2 q + (0, 1) of row g, then of row g + 8. */
template <int L>
struct Layer {
    float at[tiles(L)][4];
    __device__ __forceinline__ Layer() {
        #pragma unroll
        for (int j = 0; j < tiles(L); ++j)
            #pragma unroll
            for (int i = 0; i < 4; ++i) at[j][i] = 0.0f;
    }
};

/* Add the bias to a lane's four sums of a tile, and activate them. Columns that fill up the last
   tile become zero: an infinite input makes NaN of them. */
template <int L>
__device__ __forceinline__ void finish(float (&sums)[4], const unsigned char* weights, int tile, int q) {
    const float2 bias = *reinterpret_cast<const float2*>(weights + biases_at(L) + (8 * tile + 2 * q) * 4);
    #pragma unroll
    for (int i = 0; i < 4; ++i) {
        const float a = biased<L>(sums[i], i % 2 ? bias.y : bias.x);
        sums[i] = 8 * tile + 2 * q + i % 2 >= width(L) ? 0.0f : activate<L>(a);
    }
}

/* Inputs of a step above the first layer, from the activations of two tiles; beyond the last tile they are zero. */
__device__ __forceinline__ Inputs inputs_from(const float4 even, const float4 odd) {
    return Inputs(make_float4(even.x, even.y, odd.x, odd.y), make_float4(even.z, even.w, odd.z, odd.w));
}

/* A lane's inputs of a step of the first layer; row begins at its first input, 4 q, and the step at input k of all. */
__device__ __forceinline__ float4 inputs_once(const float* row, int k, int q) {
    if constexpr (width(0) % 16 == 0) return load_once(reinterpret_cast<const float4*>(row + k));
    return inputs_of(row - 4 * q, k + 4 * q);
}

/* Write a lane's outputs of row g (HALF 0) or g + 8 (HALF 1); y is that row. All 32 lanes take part. */
template <int HALF>
__device__ __forceinline__ void put_outputs(const Layer<LAYERS>& outputs, int q, float* y, bool is_row) {
    constexpr int n = width(LAYERS);
    float v[tiles(LAYERS)][2];
    #pragma unroll
    for (int j = 0; j < tiles(LAYERS); ++j) v[j][0] = outputs.at[j][2 * HALF], v[j][1] = outputs.at[j][2 * HALF + 1];
#if SOFTMAX
    float most = -3.402823e38f, sum = 0.0f; /* a lane may have no column of the outputs */
    #pragma unroll
    for (int j = 0; j < tiles(LAYERS); ++j)
        #pragma unroll
        for (int i = 0; i < 2; ++i)
            if (8 * j + 2 * q + i < n) most = fmaxf(most, v[j][i]);
    #pragma unroll
    for (int distance = 1; distance < 4; distance *= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, distance));
    #pragma unroll
    for (int j = 0; j < tiles(LAYERS); ++j)
        #pragma unroll
        for (int i = 0; i < 2; ++i) {
            v[j][i] = 8 * j + 2 * q + i < n ? fast_exp(v[j][i] - most) : 0.0f;
            sum += v[j][i];
        }
    #pragma unroll
    for (int distance = 1; distance < 4; distance *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    const float share = 1.0f / sum;
#else
    const float share = 1.0f;
#endif
    if (!is_row) return;
    #pragma unroll
    for (int j = 0; j < tiles(LAYERS); ++j) {
        const int c = 8 * j + 2 * q;
        if constexpr (n % 2 == 0) {
            if (c < n) *reinterpret_cast<float2*>(y + c) = make_float2(v[j][0] * share, v[j][1] * share);
        } else {
            if (c < n) y[c] = v[j][0] * share;
            if (c + 1 < n) y[c + 1] = v[j][1] * share;
        }
    }
}
