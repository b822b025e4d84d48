/* One thread of the operating system for each thread of a block, so that sanitizers see what they do to each other.
   Shared memory is allocated in its exact size, for AddressSanitizer to guard. A warp waits as a whole.
   Words of C make threads here: the headers of C++ for them take longer to compile than a kernel. */
#pragma once
#define ON_CPU_WATCHED
#include "cuda.h"
#include <pthread.h>

#define __shared__ static

static thread_local uint3 threadIdx;
static uint3 blockIdx;
static dim3 blockDim, gridDim;

namespace on_cpu {

static unsigned count;
static Warp warps[32][3];
static thread_local unsigned turn;
/* Two in turn. With one, ThreadSanitizer would take a thread that is slow to leave a barrier as one that has waited for
   those that have come to the next barrier already, and would not see that they race. */
struct Barrier {
    pthread_barrier_t both[2];
    void set(unsigned n) { for (auto& one : both) pthread_barrier_init(&one, nullptr, n); }
    void wait(unsigned& which) { pthread_barrier_wait(&both[which ^= 1]); }
};
static Barrier of_block, of_warps[32];
static thread_local unsigned turn_of_block, turn_of_warp;
static unsigned char* shared;
static void (*body)(void**);
static void** body_values;
static long long first_block, last_block;
static size_t shared_bytes;

void fault(const char* form, ...) {
    va_list values;
    va_start(values, form);
    vfprintf(stderr, form, values);
    fputc('\n', stderr);
    va_end(values);
    _Exit(3);
}
inline unsigned lane() { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }
inline Copies& copies() {
    static thread_local Copies mine;
    return mine;
}
inline bool arrive_at_once() { return true; }
inline Warp& place_of_parts() { return warps[lane() / 32][2]; }
inline Warp& next_of_warp() { return warps[lane() / 32][turn ^= 1]; }
static unsigned whole(unsigned of_warp) {
    const unsigned there = count - 32 * of_warp;
    return there >= 32 ? 0xffffffffu : (1u << there) - 1;
}
inline unsigned lanes_of_warp() { return whole(lane() / 32); }
void block_barrier() { of_block.wait(turn_of_block); }
void warp_barrier(unsigned mask) {
    const unsigned which = lane() / 32;
    if ((mask & whole(which)) != whole(which)) fault("a part of a warp waits (%08x): fibers can, threads cannot", mask);
    of_warps[which].wait(turn_of_warp);
}
inline unsigned char* dynamic_shared(size_t) { return shared; }

/* The first thread makes a block, all run it, and the first one ends it: threads are dear under a sanitizer. */
static void begin_block(long long which) {
    blockIdx = {static_cast<unsigned>(which % gridDim.x), static_cast<unsigned>(which / gridDim.x % gridDim.y), static_cast<unsigned>(which / gridDim.x / gridDim.y)};
    shared = static_cast<unsigned char*>(malloc(shared_bytes ? shared_bytes : 1));
    memset(shared, 0xff, shared_bytes);
}
static void* run_thread(void* which) {
    const unsigned i = static_cast<unsigned>(reinterpret_cast<uintptr_t>(which));
    threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
    for (long long number = first_block; number < last_block; ++number) {
        if (i == 0) begin_block(number);
        block_barrier();
        body(body_values);
        block_barrier();
        if (i == 0) free(shared);
    }
    return nullptr;
}

static const char* launch(dim3 grid, dim3 block, size_t bytes, int, long long first, long long last, void (*call)(void**), void** values) {
    gridDim = grid, blockDim = block, count = block.x * block.y * block.z;
    body = call, body_values = values, shared_bytes = bytes, first_block = first, last_block = last;
    of_block.set(count);
    for (unsigned i = 0; i < count; i += 32) of_warps[i / 32].set(count - i < 32 ? count - i : 32);
    pthread_t running[1024];
    for (uintptr_t i = 0; i < count; ++i)
        if (pthread_create(&running[i], nullptr, run_thread, reinterpret_cast<void*>(i))) fault("there is no thread for each of a block");
    for (unsigned i = 0; i < count; ++i) pthread_join(running[i], nullptr);
    return nullptr;
}

}  // namespace on_cpu

#include "entries.h"
