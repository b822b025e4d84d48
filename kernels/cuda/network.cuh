/* The network, by -D: SIZES as 784,50,100,10; LAYERS; HIDDEN, a name below for each hidden layer, and SLOPES, of leaky-relu
   below 0; SOFTMAX 0 or 1; INPUT, the type of an input, and INPUT_SCALE, which its sums are multiplied by; WEIGHTS_AT and
   BIASES_AT, where those of each layer begin in the packed weights. Layers count from 1. */
#define IDENTITY 0
#define SIGMOID 1
#define RELU 2
#define STEP 3
#define TANH 4
#define GELU 5
#define SILU 6
#define LEAKY_RELU 7

__device__ constexpr int width(int layer) {
    constexpr int sizes[] = {SIZES};
    return sizes[layer];
}
__device__ constexpr int weights_at(int layer) {
    constexpr int at[] = {WEIGHTS_AT};
    return at[layer - 1];
}
__device__ constexpr int biases_at(int layer) {
    constexpr int at[] = {BIASES_AT};
    return at[layer - 1];
}
__device__ constexpr int activation(int layer) {
    constexpr int of[] = {HIDDEN IDENTITY}; /* the outputs have none here */
    return of[layer - 1];
}
__device__ constexpr float slope(int layer) {
    constexpr float of[] = {SLOPES 0.0f};
    return of[layer - 1];
}
/* An odd number of quads of floats: rows so far apart are read four floats at a time without conflicts of banks. */
__device__ constexpr int odd_quads(int floats) { return ((floats + 3) / 4 | 1) * 4; }

/* The activation of a layer; of the outputs it is none. NaN stays NaN in each of them, but for a step, as in NumPy. */
template <int L>
__device__ __forceinline__ float activate(float a) {
    constexpr int kind = activation(L);
    if constexpr (kind == SIGMOID) return reciprocal(1.0f + fast_exp(-a));
    if constexpr (kind == RELU) return a < 0.0f ? 0.0f : a;
    if constexpr (kind == STEP) return a > 0.0f ? 1.0f : 0.0f;
    if constexpr (kind == TANH) return tanhf(a);
    if constexpr (kind == GELU) return 0.5f * a * (1.0f + erff(a * 0.70710678f));
    if constexpr (kind == SILU) return a * reciprocal(1.0f + fast_exp(-a));
    if constexpr (kind == LEAKY_RELU) return a > 0.0f ? a : slope(L) * a;
    return a;
}

/* Add the bias; the sums of the first layer are those of inputs that are not scaled yet. */
template <int L>
__device__ __forceinline__ float biased(float sum, float bias) {
    return L == 1 ? fmaf(sum, INPUT_SCALE, bias) : sum + bias;
}

__device__ __forceinline__ float4 four(const float* from) { return *reinterpret_cast<const float4*>(from); }
__device__ __forceinline__ float4 four(const unsigned char* from) {
    const unsigned bytes = *reinterpret_cast<const unsigned*>(from);
    return make_float4(float(bytes & 255u), float(bytes >> 8 & 255u), float(bytes >> 16 & 255u), float(bytes >> 24));
}

/* Inputs k to k + 3 of a row; zero beyond its end. Rows begin at multiples of four inputs, or are read one by one. */
__device__ __forceinline__ float4 inputs_of(const INPUT* row, int k) {
    constexpr int n = width(0);
    if constexpr (n % 4 == 0) {
        return k < n ? four(row + k) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    } else {
        return make_float4(k < n ? float(row[k]) : 0.0f, k + 1 < n ? float(row[k + 1]) : 0.0f,
                           k + 2 < n ? float(row[k + 2]) : 0.0f, k + 3 < n ? float(row[k + 3]) : 0.0f);
    }
}
