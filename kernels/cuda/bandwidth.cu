
#define START (long long)blockIdx.x * blockDim.x + threadIdx.x
#define STEP (long long)gridDim.x * blockDim.x

extern "C" __global__ __launch_bounds__(256, 4)
void copy_all(const uint4* source, uint4* target, long long n, int times) {
    const long long step = STEP;
    for (int turn = 0; turn < times; turn++) {
        long long i = START;
        for (; i + 3 * step < n; i += 4 * step) {
            uint4 a = __ldcg(source + i), b = __ldcg(source + i + step);
            uint4 c = __ldcg(source + i + 2 * step), d = __ldcg(source + i + 3 * step);
            __stcg(target + i, a);
            __stcg(target + i + step, b);
            __stcg(target + i + 2 * step, c);
            __stcg(target + i + 3 * step, d);
        }
        for (; i < n; i += step) {
            __stcg(target + i, __ldcg(source + i));
        }
    }
}

__device__ unsigned mixed(uint4 item) {
    return item.x ^ item.y ^ item.z ^ item.w;
}

extern "C" __global__ __launch_bounds__(256, 4)
void read_all(const uint4* source, unsigned* sums, long long n, int times) {
    const long long step = STEP;
    unsigned sum = 0;
    for (int turn = 0; turn < times; turn++) {
        long long i = START;
        for (; i + 3 * step < n; i += 4 * step) {
            uint4 a = __ldcg(source + i), b = __ldcg(source + i + step);
            uint4 c = __ldcg(source + i + 2 * step), d = __ldcg(source + i + 3 * step);
            sum = 3 * sum + (mixed(a) ^ mixed(b) ^ mixed(c) ^ mixed(d));
        }
        for (; i < n; i += step) {
            sum = 3 * sum + mixed(__ldcg(source + i));
        }
    }
    sums[START] = sum;
}
