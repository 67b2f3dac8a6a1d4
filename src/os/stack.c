/* This thread's stack, and the object files that its functions are in.
 *
 * The unwinder is that of libgcc, which takes no memory. With glibc 2.35 and gcc 12 it finds an object's tables by
 * _dl_find_object(), which takes no lock and is safe in a handler; so objects are found by that here too. */
#define _GNU_SOURCE
#include "os/stack.h"

#include "os/unwind.h"
#include <dlfcn.h>
#include <link.h>
#include <ucontext.h>
#include <unwind.h>

#if defined(__SANITIZE_ADDRESS__)
#define NO_CHECK __attribute__((no_sanitize_address))
#else
#define NO_CHECK
#endif

struct walk {
    bool (*visit)(const struct os_stack_call *call, void *arg);
    void *arg;
};

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *arg)
{
    const struct walk *walk = arg;
    int interrupted = 0;
    struct os_stack_call call = {.address = _Unwind_GetIPInfo(context, &interrupted), .frame = _Unwind_GetCFA(context)};
    call.interrupted = interrupted;
    return walk->visit(&call, walk->arg) ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

static bool go_on(const struct os_stack_call *call, void *arg)
{
    (void)call;
    (void)arg;
    return true;
}

/* A static program tells the unwinder of its tables in a constructor without a number. Before that, and in what was
 * forked before that, the unwinder would abort. */
static bool has_tables(void)
{
    struct unwind_bases bases;
    return _Unwind_Find_FDE((void *)(uintptr_t)go_on, &bases) != NULL;
}

void os_stack_walk(bool (*visit)(const struct os_stack_call *call, void *arg), void *arg)
{
    struct walk walk = {.visit = visit, .arg = arg};
    if (has_tables())
        _Unwind_Backtrace(step, &walk);
}

void os_stack_prepare(void)
{
    os_stack_walk(go_on, NULL);
}

uintptr_t os_stack_interrupted(const void *context)
{
    const ucontext_t *thread = context;
#if defined(__x86_64__)
    return (uintptr_t)thread->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return thread->uc_mcontext.pc;
#else
    (void)thread;
    return 0;
#endif
}

NO_CHECK uintptr_t os_stack_caller(const void *context)
{
    const ucontext_t *thread = context;
#if defined(__x86_64__)
    return *(const uintptr_t *)thread->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return thread->uc_mcontext.regs[30];
#else
    (void)thread;
    return 0;
#endif
}

bool os_object_at(uintptr_t address, struct os_object *object)
{
    struct dl_find_object found;
    if (_dl_find_object((void *)address, &found))
        return false;
    *object = (struct os_object){.base = found.dlfo_link_map->l_addr,
                                 .begin = found.dlfo_map_start,
                                 .end = found.dlfo_map_end,
                                 .path = found.dlfo_link_map->l_name};
    return true;
}
