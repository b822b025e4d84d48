/* One thread of the operating system for each thread of a block, so that sanitizers see what they do to each other.
   Shared memory is allocated in its exact size, for AddressSanitizer to guard. A warp waits as a whole. */
#pragma once
#include <barrier>
#include <memory>
#include <thread>
#include <vector>

#define __shared__ static

static thread_local uint3 threadIdx;
static uint3 blockIdx;
static dim3 blockDim, gridDim;

namespace on_cpu {

static unsigned count;
static Warp warps[32][3];
static thread_local unsigned turn;
static std::unique_ptr<std::barrier<>> of_block;
static std::vector<std::unique_ptr<std::barrier<>>> of_warps;
static unsigned char* shared;

void fault(const char* form, ...) {
    va_list values;
    va_start(values, form);
    vfprintf(stderr, form, values);
    fputc('\n', stderr);
    va_end(values);
    _Exit(3);
}
unsigned lane() { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }
Copies& copies() {
    static thread_local Copies mine;
    return mine;
}
Warp& place_of_parts() { return warps[lane() / 32][2]; }
Warp& next_of_warp() { return warps[lane() / 32][turn ^= 1]; }
static unsigned whole(unsigned of_warp) {
    const unsigned there = count - 32 * of_warp;
    return there >= 32 ? 0xffffffffu : (1u << there) - 1;
}
unsigned lanes_of_warp() { return whole(lane() / 32); }
void block_barrier() { of_block->arrive_and_wait(); }
void warp_barrier(unsigned mask) {
    const unsigned which = lane() / 32;
    if ((mask & whole(which)) != whole(which)) fault("a part of a warp waits (%08x): fibers can, threads cannot", mask);
    of_warps[which]->arrive_and_wait();
}
unsigned char* dynamic_shared(size_t) { return shared; }

static const char* launch(dim3 grid, dim3 block, size_t bytes, int, long long first, long long last, void (*call)(void**), void** values) {
    gridDim = grid, blockDim = block, count = block.x * block.y * block.z;
    for (long long which = first; which < last; ++which) {
        blockIdx = {static_cast<unsigned>(which % grid.x), static_cast<unsigned>(which / grid.x % grid.y), static_cast<unsigned>(which / grid.x / grid.y)};
        shared = static_cast<unsigned char*>(malloc(bytes ? bytes : 1));
        memset(shared, 0xff, bytes);
        of_block = std::make_unique<std::barrier<>>(count);
        of_warps.clear();
        for (unsigned first_lane = 0; first_lane < count; first_lane += 32) of_warps.push_back(std::make_unique<std::barrier<>>(count - first_lane < 32 ? count - first_lane : 32));
        std::vector<std::thread> running;
        for (unsigned i = 0; i < count; ++i)
            running.emplace_back([=] {
                threadIdx = {i % block.x, i / block.x % block.y, i / (block.x * block.y)};
                call(values);
            });
        for (auto& one : running) one.join();
        free(shared);
    }
    return nullptr;
}

}  // namespace on_cpu
