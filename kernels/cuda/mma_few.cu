/* The whole network for few rows, on tensor cores.

   A block takes 16 rows. In the first layer its warps share out the steps of the inputs, and add up their sums in shared
   memory; above it they share out the tiles of columns. Activations lie in shared memory as [tile][lane], four of each lane,
   so that a lane reads what the lane of its number has written. Weights come straight from global memory. */
#define WARPS (THREADS / 32)

__device__ constexpr int most_tiles() {
    int most = 0;
    for (int layer = 1; layer <= LAYERS; ++layer) most = tiles(layer) > most ? tiles(layer) : most;
    return most;
}

__device__ __forceinline__ float4 packed_four(const float (&v)[4]) { return make_float4(v[0], v[1], v[2], v[3]); }

/* Compute layer L and those above it from the activations of layer L - 1, which are in below. */
template <int L>
__device__ __forceinline__ void rest(float4* below, float4* above, const unsigned char* weights, int warp, int lane) {
    if constexpr (L <= LAYERS) {
        const Four* packed = reinterpret_cast<const Four*>(weights + weights_at(L)) + lane;
        for (int tile = warp; tile < tiles(L); tile += WARPS) {
            float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            #pragma unroll 4
            for (int s = 0; s < steps(L); ++s) {
                const float4 even = below[2 * s * 32 + lane];
                const float4 odd = 2 * s + 1 < tiles(L - 1) ? below[(2 * s + 1) * 32 + lane]
                                                            : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                inputs_from(even, odd).multiply(sums, packed[(s * tiles(L) + tile) * 32]);
            }
            finish<L>(sums, weights, tile, lane % 4);
            above[tile * 32 + lane] = packed_four(sums);
        }
        __syncthreads();
        rest<L + 1>(above, below, weights, warp, lane);
    }
}

/* x (rows, inputs), weights as they are packed, y (rows, outputs). Grid: rows / 16 blocks, rounded up. */
extern "C" __global__ void __launch_bounds__(THREADS)
mlp_mma_few(const float* __restrict__ x, const unsigned char* __restrict__ weights, float* __restrict__ y, long long rows) {
    SHARED(float4, memory);
    constexpr int region = most_tiles() * 32;
    float4 *odd_layers = memory, *even_layers = memory + region, *parts = memory + 2 * region;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, q = lane % 4;
    const long long first = (long long)blockIdx.x * 16 + g, second = first + 8;

    Layer<1> layer;
    const float* row = x + (first < rows ? first : rows - 1) * width(0) + 4 * q;
    const float* row8 = x + (second < rows ? second : rows - 1) * width(0) + 4 * q;
    const Four* packed = reinterpret_cast<const Four*>(weights + weights_at(1)) + lane;
    #pragma unroll 2
    for (int s = warp; s < steps(1); s += WARPS) {
        const Inputs inputs(inputs_once(row, 16 * s, q), inputs_once(row8, 16 * s, q));
        #pragma unroll
        for (int j = 0; j < tiles(1); ++j) inputs.multiply(layer.at[j], packed[(s * tiles(1) + j) * 32]);
    }
    #pragma unroll
    for (int j = 0; j < tiles(1); ++j) parts[(warp * tiles(1) + j) * 32 + lane] = packed_four(layer.at[j]);
    __syncthreads();
    for (int tile = warp; tile < tiles(1); tile += WARPS) {
        float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        #pragma unroll
        for (int w = 0; w < WARPS; ++w) {
            const float4 part = parts[(w * tiles(1) + tile) * 32 + lane];
            sums[0] += part.x, sums[1] += part.y, sums[2] += part.z, sums[3] += part.w;
        }
        finish<1>(sums, weights, tile, q);
        odd_layers[tile * 32 + lane] = packed_four(sums);
    }
    __syncthreads();
    rest<2>(odd_layers, even_layers, weights, warp, lane);

    if (warp < 2) { /* one for rows g, one for rows g + 8 */
        const float4* from = (LAYERS % 2 ? odd_layers : even_layers) + lane;
        Layer<LAYERS> outputs;
        #pragma unroll
        for (int j = 0; j < tiles(LAYERS); ++j) {
            const float4 v = from[j * 32];
            outputs.at[j][0] = v.x, outputs.at[j][1] = v.y, outputs.at[j][2] = v.z, outputs.at[j][3] = v.w;
        }
        if (warp == 0) put_outputs<0>(outputs, q, y + first * width(LAYERS), first < rows);
        if (warp == 1) put_outputs<1>(outputs, q, y + second * width(LAYERS), second < rows);
    }
}
