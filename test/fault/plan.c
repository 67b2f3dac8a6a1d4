/* The plan that answers os_fault(). It is linked into the library's objects wherever they are compiled with
 * MPROC_FAULTS; tests arm it. It makes no system call that could itself be made to fail. */
#include "plan.h"

#include "util/failure.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where a process that is executed finds the plan of who executed it. */
#define VARIABLE "MPROC_TEST_FAULT_PLAN"

enum {
    NOTHING = -1,
    PLAN_FD = 100
};

/* In memory shared with children, those that are executed too. The test writes call, left, error, after and hits while
 * call is NOTHING, and then call; whoever makes a system call only counts left down and hits up. */
static struct plan {
    atomic_int call;  /* stored with release by fault_arm(), loaded with acquire by os_fault() */
    atomic_long left; /* calls to let through; the one that finds 0 is the one that fails */
    atomic_int error;
    atomic_long after;
    atomic_long hits;
    atomic_long count[OS_CALL_COUNT];
} * plan;

/* Whether the armed fault has struck in this thread, with an error that the library makes a note of. */
static _Thread_local bool noted;

/* What was armed when this process suspended it. */
static int suspended = NOTHING;

/* A plan of our own, which processes find that are executed. Its descriptor is out of the way of all others. */
static int create(void)
{
    char path[64];
    int first = memfd_create("faults", MFD_CLOEXEC);

    int fd = fcntl(first, F_DUPFD_CLOEXEC, PLAN_FD);
    close(first);
    if (fd < 0 || ftruncate(fd, sizeof *plan))
        abort();
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
    setenv(VARIABLE, path, 1);
    return fd;
}

/* Before the constructors of the library, which may make system calls. */
__attribute__((constructor(101))) static void make_plan(void)
{
    const char *path = getenv(VARIABLE);
    bool is_ours = !path;

    int fd = is_ours ? create() : open(path, O_RDWR | O_CLOEXEC);
    plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (plan == MAP_FAILED)
        abort();
    if (is_ours)
        atomic_init(&plan->call, NOTHING);
    else
        close(fd);
}

int os_fault(enum os_call call)
{
    atomic_fetch_add_explicit(&plan->count[call], 1, memory_order_relaxed);
    if (atomic_load_explicit(&plan->call, memory_order_acquire) != (int)call)
        return 0;
    if (atomic_fetch_sub_explicit(&plan->left, 1, memory_order_relaxed) != 0)
        return 0;
    atomic_fetch_add_explicit(&plan->hits, 1, memory_order_relaxed);
    errno = atomic_load_explicit(&plan->error, memory_order_relaxed);
    noted = errno != EAGAIN && errno != EINTR && errno != ETIMEDOUT && errno != EINPROGRESS;
    return failed_call("a call that was made to fail");
}

bool fault_is_noted(void)
{
    return noted;
}

void fault_arm(enum os_call call, long after, int error)
{
    fault_disarm();
    noted = false;
    atomic_store_explicit(&plan->left, after, memory_order_relaxed);
    atomic_store_explicit(&plan->after, after, memory_order_relaxed);
    atomic_store_explicit(&plan->error, error, memory_order_relaxed);
    atomic_store_explicit(&plan->hits, 0, memory_order_relaxed);
    atomic_store_explicit(&plan->call, (int)call, memory_order_release);
}

void fault_disarm(void)
{
    atomic_store_explicit(&plan->call, NOTHING, memory_order_release);
}

long fault_hits(void)
{
    return atomic_load_explicit(&plan->hits, memory_order_relaxed);
}

void fault_struck(struct fault *fault)
{
    int call = atomic_load_explicit(&plan->call, memory_order_relaxed);
    bool struck = call != NOTHING && fault_hits() > 0;

    fault->call = struck ? (enum os_call)call : OS_CALL_COUNT;
    fault->after = atomic_load_explicit(&plan->after, memory_order_relaxed);
    fault->error = struck ? atomic_load_explicit(&plan->error, memory_order_relaxed) : 0;
}

void fault_suspend(void)
{
    suspended = atomic_exchange_explicit(&plan->call, NOTHING, memory_order_relaxed);
}

void fault_resume(void)
{
    atomic_store_explicit(&plan->call, suspended, memory_order_release);
}

long fault_count(enum os_call call)
{
    return atomic_load_explicit(&plan->count[call], memory_order_relaxed);
}

long fault_total(void)
{
    long total = 0;

    for (int call = 0; call < OS_CALL_COUNT; call++)
        total += fault_count((enum os_call)call);
    return total;
}

void fault_reset(void)
{
    for (int call = 0; call < OS_CALL_COUNT; call++)
        atomic_store_explicit(&plan->count[call], 0, memory_order_relaxed);
}
