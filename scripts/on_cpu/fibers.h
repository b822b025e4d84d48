/* One fiber for each thread of a block, in an order that can be chosen: forward, reverse, random, or (3) the last warp
   always as far ahead of the others as it can be, up to the next barrier of the block.
   Blocks run one after the other. A fiber runs until it waits; a barrier opens when all have come to it. That a thread has
   returned before a barrier is an error here; CUDA forgives it.
   Shared memory has its exact size: a page that nobody may touch follows it, what alignment leaves over is watched. */
#pragma once
#include "cuda.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define __shared__ static __attribute__((section("on_cpu_shared")))
extern "C" unsigned char __start_on_cpu_shared[] __attribute__((weak, visibility("hidden")));
extern "C" unsigned char __stop_on_cpu_shared[] __attribute__((weak, visibility("hidden")));

static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;

namespace on_cpu {

constexpr unsigned MOST = 1024;
/* Not a power of two: the tops of all stacks would share a few lines of each cache. */
constexpr size_t STACK = (128 << 10) + 5 * 64;
enum State : unsigned char { READY, AT_BLOCK, AT_WARP, DONE };

/* Of each fiber: what the scheduler looks at all the time lies close together. */
static State states[MOST];
static unsigned masks[MOST], turns[MOST];
static uint3 places[MOST];
static void* rests[MOST][5];
static Copies begun[MOST];
static bool made[MOST];

static Warp warps[MOST / 32][3];
static unsigned char* stacks;
static unsigned count, current, ended;
static void* scheduler[5];
static sigjmp_buf failed;
static char said[512];
static void (*body)(void**);
static void** body_values;

struct Shared { unsigned char *pages, *begin; size_t size, bytes; };
static Shared shared;
constexpr unsigned char POISON = 0xff;  /* NaN as a float or a half, -1 as an integer */

void fault(const char* form, ...) {
    va_list values;
    va_start(values, form);
    vsnprintf(said, sizeof said, form, values);
    va_end(values);
    siglongjmp(failed, 1);
}

static const char* where(const void* address) {
    static char text[160];
    const ptrdiff_t from = static_cast<const unsigned char*>(address) - shared.begin, page = sysconf(_SC_PAGESIZE);
    if (shared.pages && from >= -page && from < static_cast<ptrdiff_t>(shared.size) + page)
        snprintf(text, sizeof text, "byte %td of dynamic shared memory, which has %zu", from, shared.size);
    else
        snprintf(text, sizeof text, "%p, which is neither shared memory nor an array's", address);
    return text;
}

static void on_signal(int number, siginfo_t* info, void*) {
    const char* what = number == SIGILL || number == SIGTRAP ? "does what C++ leaves undefined (an overflow, an alignment, an index)" : "touches ";
    fault("thread %u of block %u %s%s", current, blockIdx.x, what, number == SIGILL || number == SIGTRAP ? "" : where(info->si_addr));
}

static void make(unsigned which);

/* In a pass, each thread that can run does so until it waits, and then jumps to the next one. The jumps are the compiler's
   own: they save no mask of signals, and take a tenth of the time of those of the C library. */
static unsigned who[MOST], at, most;
static bool ran, early;
static __attribute__((noinline)) void go_on() {
    while (++at < most) {
        const unsigned next = who[at];
        if (states[next] != READY) continue;
        ran = true, current = next, threadIdx = places[next];
        if (!made[next]) make(next);
        __builtin_longjmp(rests[next], 1);
    }
    __builtin_longjmp(scheduler, 1);
}
static __attribute__((noinline)) bool pass() {
    ran = false, at = -1;
    if (!__builtin_setjmp(scheduler)) go_on();
    return ran;
}
/* A fiber lives as long as the library, and begins again for each block. */
static void entry() {
    for (;;) {
        body(body_values);
        states[current] = DONE;
        if (!__builtin_setjmp(rests[current])) go_on();
    }
}
static void make(unsigned which) {
    ucontext_t start;
    made[which] = true;
    getcontext(&start);
    start.uc_stack.ss_sp = stacks + which * STACK;
    start.uc_stack.ss_size = STACK;
    start.uc_link = nullptr;
    makecontext(&start, entry, 0);
    setcontext(&start);
}

inline unsigned lane() { return current; }
inline Copies& copies() { return begun[current]; }
inline bool arrive_at_once() { return early; }
inline Warp& place_of_parts() { return warps[current / 32][2]; }
inline Warp& next_of_warp() { return warps[current / 32][turns[current] ^= 1]; }
static unsigned named(unsigned of_warp, unsigned mask) {
    const unsigned there = count - 32 * of_warp;
    return there >= 32 ? mask : mask & ((1u << there) - 1);
}
inline unsigned lanes_of_warp() { return named(current / 32, 0xffffffffu); }
void block_barrier() {
    states[current] = AT_BLOCK;
    if (!__builtin_setjmp(rests[current])) go_on();
}
void warp_barrier(unsigned mask) {
    mask = named(current / 32, mask);
    if (!(mask >> current % 32 & 1)) fault("thread %u waits with the mask %08x, which does not name it", current, mask);
    masks[current] = mask;
    states[current] = AT_WARP;
    if (!__builtin_setjmp(rests[current])) go_on();
}
inline unsigned char* dynamic_shared(size_t alignment) {
    if (reinterpret_cast<uintptr_t>(shared.begin) % alignment) fault("shared memory is aligned to 16 bytes, and not to %zu", alignment);
    return shared.begin;
}

/* Open every barrier to which all have come; return whether there was one. Counts those that have ended. */
static bool opened() {
    bool any = false;
    unsigned at_block = 0;
    ended = 0;
    for (unsigned i = 0; i < count; ++i) at_block += states[i] == AT_BLOCK, ended += states[i] == DONE;
    if (at_block == count) {
        memset(states, READY, count);
        return true;
    }
    for (unsigned i = 0; i < count; ++i) {
        if (states[i] != AT_WARP) continue;
        const unsigned first = i / 32 * 32, mask = masks[i];
        bool all = true;
        for (unsigned j = 0; j < 32 && all; ++j)
            if (mask >> j & 1) all = states[first + j] == AT_WARP && masks[first + j] == mask;
        if (!all) continue;
        for (unsigned j = 0; j < 32; ++j)
            if (mask >> j & 1) states[first + j] = READY;
        any = true;
    }
    return any;
}

static uint64_t seed;
static unsigned random_below(unsigned n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return static_cast<unsigned>((seed >> 32) * n >> 32);
}

static void run_block(int order) {
    const unsigned before_last = order == 3 ? (count - 1) / 32 * 32 : 0;
    early = order % 2;
    for (unsigned i = 0; i < count; ++i) {
        states[i] = READY;
        begun[i].count = turns[i] = 0;
        who[i] = order == 1 ? count - 1 - i : (i + before_last) % count;
    }
    for (ended = 0; ended < count;) {
        if (order == 2)
            for (unsigned i = count - 1; i > 0; --i) std::swap(who[i], who[random_below(i + 1)]);
        bool any = false;
        if (order == 3)
            for (most = count - before_last; pass(); any = true) opened();
        most = count;
        any |= pass();
        if (!opened() && !any && ended < count)
            fault("a barrier in block %u never opens: %u of its %u threads have returned, the others wait", blockIdx.x, ended, count);
    }
}

static void map_shared(size_t size) {
    const size_t page = sysconf(_SC_PAGESIZE), room = (size + 15) / 16 * 16;
    if (shared.pages) munmap(shared.pages, shared.bytes);
    const size_t inner = (room + page - 1) / page * page;
    shared = {nullptr, nullptr, size, inner + 2 * page};
    void* pages = mmap(nullptr, shared.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) fault("there is no memory for %zu bytes of shared memory", size);
    shared.pages = static_cast<unsigned char*>(pages);
    mprotect(shared.pages, page, PROT_NONE);
    mprotect(shared.pages + page + inner, page, PROT_NONE);
    shared.begin = shared.pages + page + inner - room;
}

static void poison_shared() {
    memset(shared.pages + sysconf(_SC_PAGESIZE), POISON, shared.bytes - 2 * sysconf(_SC_PAGESIZE));
    if (__start_on_cpu_shared) memset(__start_on_cpu_shared, POISON, __stop_on_cpu_shared - __start_on_cpu_shared);
}

static void look_behind_shared() {
    const size_t over = (16 - shared.size % 16) % 16;
    for (size_t i = 0; i < over; ++i)
        if (shared.begin[shared.size + i] != POISON) fault("block %u writes byte %zu of dynamic shared memory, which has %zu", blockIdx.x, shared.size + i, shared.size);
}

/* Run the blocks from `first` to before `last` of a grid; return null, or what went wrong. */
static const char* launch(dim3 grid, dim3 block, size_t bytes, int order, long long first, long long last, void (*call)(void**), void** values) {
    struct sigaction mine = {}, before[4];
    const int watched[4] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
    mine.sa_sigaction = on_signal;
    mine.sa_flags = SA_SIGINFO | SA_NODEFER;
    for (int i = 0; i < 4; ++i) sigaction(watched[i], &mine, &before[i]);
    const char* found = nullptr;
    if (sigsetjmp(failed, 1)) {
        found = said;
        memset(made, 0, sizeof made); /* fibers stand in the middle of a block that nobody ends */
    }
    else {
        if (!stacks) stacks = static_cast<unsigned char*>(mmap(nullptr, MOST * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        map_shared(bytes);
        gridDim = grid, blockDim = block, count = block.x * block.y * block.z;
        for (unsigned i = 0; i < count; ++i) places[i] = {i % block.x, i / block.x % block.y, i / (block.x * block.y)};
        body = call, body_values = values, seed = order;
        for (long long i = first; i < last; ++i) {
            const long long which = order == 1 ? first + last - 1 - i : i;
            blockIdx = {static_cast<unsigned>(which % grid.x), static_cast<unsigned>(which / grid.x % grid.y), static_cast<unsigned>(which / grid.x / grid.y)};
            poison_shared();
            run_block(order);
            look_behind_shared();
        }
    }
    for (int i = 0; i < 4; ++i) sigaction(watched[i], &before[i], nullptr);
    return found;
}

}  // namespace on_cpu

#include "entries.h"
