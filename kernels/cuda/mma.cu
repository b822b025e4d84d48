/* The whole network for many rows, on tensor cores.

   A warp takes MT times 16 rows, and keeps its sums and activations in registers from the first layer to the outputs. Its
   inputs come straight from global memory. The weights of the first layer come through shared memory, CHUNK steps at
   a time for all warps of the block, in two buffers: one fills while the other is used. Those above it are few, and come
   from the caches. */
#define WARPS (THREADS / 32)
#define CHUNKS ((steps(1) + CHUNK - 1) / CHUNK)

/* Begin to copy the weights of a chunk of steps to shared memory. */
__device__ __forceinline__ void begin_chunk(Four* to, const unsigned char* weights, int chunk) {
    constexpr int quads_of_step = tiles(1) * 32 * int(sizeof(Four)) / 16;
    const int n = (steps(1) - chunk * CHUNK < CHUNK ? steps(1) - chunk * CHUNK : CHUNK) * quads_of_step;
    const float4* from = reinterpret_cast<const float4*>(weights + weights_at(1)) + chunk * CHUNK * quads_of_step;
    for (int i = threadIdx.x; i < n; i += THREADS) copy_begin(reinterpret_cast<float4*>(to) + i, from + i);
}

/* Compute layer L and those above it from the activations of layer L - 1. */
template <int L>
__device__ __forceinline__ void rest(const Layer<L - 1>& below, const unsigned char* weights, int lane, Layer<LAYERS>& outputs) {
    if constexpr (L > LAYERS) {
        outputs = below;
    } else {
        Layer<L> layer;
        const Four* packed = reinterpret_cast<const Four*>(weights + weights_at(L)) + lane;
        #pragma unroll
        for (int s = 0; s < steps(L); ++s) {
            const float (&even)[4] = below.at[2 * s];
            float odd[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            if (2 * s + 1 < tiles(L - 1))
                #pragma unroll
                for (int i = 0; i < 4; ++i) odd[i] = below.at[2 * s + 1 < tiles(L - 1) ? 2 * s + 1 : 0][i];
            const Inputs inputs = inputs_from(make_float4(even[0], even[1], even[2], even[3]),
                                              make_float4(odd[0], odd[1], odd[2], odd[3]));
            #pragma unroll
            for (int j = 0; j < tiles(L); ++j) inputs.multiply(layer.at[j], packed[(s * tiles(L) + j) * 32]);
        }
        #pragma unroll
        for (int j = 0; j < tiles(L); ++j) finish<L>(layer.at[j], weights, j, lane % 4);
        rest<L + 1>(layer, weights, lane, outputs);
    }
}

/* x (rows, inputs), weights as they are packed, y (rows, outputs). Grid: rows / (WARPS * MT * 16) blocks, rounded up. */
extern "C" __global__ void __launch_bounds__(THREADS)
mlp_mma(const float* __restrict__ x, const unsigned char* __restrict__ weights, float* __restrict__ y, long long rows) {
    SHARED(float4, memory);
    constexpr int buffer = CHUNK * tiles(1) * 32;
    Four* buffers = reinterpret_cast<Four*>(memory);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, q = lane % 4;
    const long long first = ((long long)blockIdx.x * WARPS + warp) * MT * 16;

    const float* row[MT][2];
    #pragma unroll
    for (int m = 0; m < MT; ++m)
        #pragma unroll
        for (int half = 0; half < 2; ++half) {
            const long long r = first + m * 16 + half * 8 + g;
            row[m][half] = x + (r < rows ? r : rows - 1) * width(0) + 4 * q;
        }
    Layer<1> layer[MT];
    float4 next[MT][2];
    #pragma unroll
    for (int m = 0; m < MT; ++m) next[m][0] = inputs_once(row[m][0], 0, q), next[m][1] = inputs_once(row[m][1], 0, q);

    begin_chunk(buffers, weights, 0);
    #pragma unroll 1
    for (int chunk = 0; chunk < CHUNKS; ++chunk) {
        copies_done();
        __syncthreads(); /* this chunk is there for all warps, and nobody reads the one before it any more */
        if (chunk + 1 < CHUNKS) begin_chunk(buffers + (chunk + 1) % 2 * buffer, weights, chunk + 1);
        const Four* packed = buffers + chunk % 2 * buffer + lane;
        #pragma unroll 1
        for (int s = chunk * CHUNK; s < steps(1) && s < (chunk + 1) * CHUNK; ++s, packed += tiles(1) * 32) {
            float4 now[MT][2];
            #pragma unroll
            for (int m = 0; m < MT; ++m)
                #pragma unroll
                for (int half = 0; half < 2; ++half) {
                    now[m][half] = next[m][half];
                    if (s + 1 < steps(1)) next[m][half] = inputs_once(row[m][half], 16 * (s + 1), q);
                }
            #pragma unroll
            for (int m = 0; m < MT; ++m) {
                const Inputs inputs(now[m][0], now[m][1]);
                #pragma unroll
                for (int j = 0; j < tiles(1); ++j) inputs.multiply(layer[m].at[j], packed[j * 32]);
            }
        }
    }
    #pragma unroll
    for (int m = 0; m < MT; ++m) {
        #pragma unroll
        for (int j = 0; j < tiles(1); ++j) finish<1>(layer[m].at[j], weights, j, q);
        Layer<LAYERS> outputs;
        rest<2>(layer[m], weights, lane, outputs);
        const long long r = first + m * 16 + g;
        put_outputs<0>(outputs, q, y + r * width(LAYERS), r < rows);
        put_outputs<1>(outputs, q, y + (r + 8) * width(LAYERS), r + 8 < rows);
    }
}
