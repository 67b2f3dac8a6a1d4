/* The loop over the items of a chunk, and its copy. Argument in loop.h. */
#include "pool/worker/loop.h"

#include "os/code.h"
#include "util/atomic.h"

/* Sanitizers put calls into what they build, and these are not to be copied. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOOP_STAYS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define LOOP_STAYS 1
#endif
#endif
#ifndef LOOP_STAYS
#define LOOP_STAYS 0
#endif

#define FAR ((uintptr_t)2 << 30)

/* Alone in its section, whose ends the linker knows. It calls nothing but the task, and refers to nothing but what its
 * argument points to. What changes from item to item is in registers, and by how much; the rest is read from the
 * argument, for it is not worth a register. in and out are kept apart: as a pair in a vector register they cost more.
 */
__attribute__((noinline, section("mproc_loop"), no_instrument_function, no_profile_instrument_function)) int
loop_run(struct loop *loop)
{
    size_t in_size = loop->in_size, out_size = loop->out_size;
    uint64_t mark = loop->mark;
    uintptr_t in = loop->in, out = loop->out;
    int code, stopped;
    do {
        store_release(loop->current, mark);
        code = loop->task(loop->ctx, (const void *)in, (void *)out);
        mark += 2;
        in += in_size;
        __asm__("" : "+r"(in));
        out += out_size;
        __asm__("" : "+r"(out));
        stopped = (int)(load_relaxed(loop->flags) & 1);
    } while (__builtin_expect((code | stopped) == 0, 1) && mark < loop->end_mark);
    loop->mark = mark;
    loop->in = in;
    loop->out = out;
    return code;
}

extern const unsigned char __start_mproc_loop[], __stop_mproc_loop[];

static bool is_far(const void *a, const void *b)
{
    uintptr_t distance = (uintptr_t)a > (uintptr_t)b ? (uintptr_t)a - (uintptr_t)b : (uintptr_t)b - (uintptr_t)a;
    return distance >= FAR;
}

/* The copy of this process; made once, by whoever is first, and kept. */
static _Atomic(uintptr_t) copy;

static void *make_copy(const void *near)
{
    void *made;
    uintptr_t none = 0;
    if (os_code_copy(near, __start_mproc_loop, (size_t)(__stop_mproc_loop - __start_mproc_loop), &made))
        return NULL;
    if (atomic_compare_exchange_strong_explicit(&copy, &none, (uintptr_t)made, memory_order_acq_rel,
                                                memory_order_acquire)) {
        os_code_tell(made, (size_t)(__stop_mproc_loop - __start_mproc_loop));
        return made;
    }
    os_code_free(made);
    return (void *)none;
}

loop_function *loop_for(mproc_task *task)
{
    const void *near = (const void *)task;
    if (LOOP_STAYS || !is_far(near, __start_mproc_loop))
        return loop_run;
    void *there = (void *)load_acquire(&copy);
    if (!there)
        there = make_copy(near);
    if (!there || is_far(near, there))
        return loop_run;
    size_t offset = (size_t)((const unsigned char *)(void *)loop_run - __start_mproc_loop);
    return (loop_function *)(void *)((unsigned char *)there + offset);
}
