/* Children for the tests of shared objects, see children.h. Nothing here takes part in what is tested. */
#include "children.h"

#include "arena/layout.h"
#include "harness.h"
#include <mproc/memory.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 20000, /* for what must happen, under whatever load */
    MOST = 16            /* children or threads at once */
};

#if defined(__SANITIZE_THREAD__)
#define STRIDE 4999
#elif defined(__SANITIZE_ADDRESS__)
#define STRIDE 7
#else
#define STRIDE 1
#endif

pid_t child_start(child_function *run, void *arg)
{
    pid_t child = fork();
    if (child == 0)
        _exit(run(arg));
    assert_true(child > 0);
    return child;
}

static bool is_no_member(void *arg)
{
    pid_t child = *(pid_t *)arg;
    unsigned limit = region.base ? atomic_load(&arena_header()->member_limit) : 0;
    for (unsigned slot = 0; slot < limit; slot++) {
        member_owner owner = member_in_slot(slot);
        if (owner && atomic_load(&member_at(slot)->pid) == child && !member_is_dead(owner))
            return false;
    }
    return true;
}

/* Who looks at a process in /proc, as ps does, keeps the proof of its life for that time. */
int child_finish(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    wait_until(is_no_member, &child, 1000);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void child_kill(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(child_finish(child), -SIGKILL);
}

static bool is_asleep(void *arg)
{
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)*(pid_t *)arg);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 0;
    fclose(file);
    return state == 'S';
}

void child_await_sleep(pid_t child)
{
    assert_true(wait_until(is_asleep, &child, PATIENCE_MS));
}

int in_child(child_function *run, void *arg)
{
    return child_finish(child_start(run, arg));
}

struct call {
    child_function *run;
    void *arg;
};

static void *run_call(void *arg)
{
    const struct call *call = arg;
    return (void *)(intptr_t)call->run(call->arg);
}

int in_thread(child_function *run, void *arg)
{
    pthread_t thread;
    struct call call = {run, arg};
    void *result;
    assert_int_equal(pthread_create(&thread, NULL, run_call, &call), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    return (int)(intptr_t)result;
}

void threads_run(child_function *run, void *arg, int count)
{
    pthread_t threads[MOST];
    struct call call = {run, arg};
    void *result;
    assert_in_range(count, 1, MOST);
    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_call, &call), 0);
    for (int i = 0; i < count; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, NULL);
    }
}

void children_run(child_function *run, void *arg, int count)
{
    pid_t children[MOST];
    assert_in_range(count, 1, MOST);
    for (int i = 0; i < count; i++)
        children[i] = child_start(run, arg);
    for (int i = 0; i < count; i++)
        assert_int_equal(child_finish(children[i]), 0);
}

void *shared(size_t size)
{
    void *memory = mproc_calloc(1, size);
    assert_non_null(memory);
    return memory;
}

void shared_free(void *memory)
{
    assert_int_equal(mproc_free(memory), 0);
}

struct goal {
    const _Atomic(int) *word;
    int value;
};

static bool is_reached(void *arg)
{
    const struct goal *goal = arg;
    return atomic_load(goal->word) >= goal->value;
}

void await_value(const _Atomic(int) *word, int value)
{
    struct goal goal = {word, value};
    assert_true(wait_until(is_reached, &goal, PATIENCE_MS));
}

int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t shortest(void (*run)(void *arg), void *arg)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < 30; i++) {
        int64_t begin = now();
        run(arg);
        int64_t time = now() - begin;
        best = time < best ? time : best;
    }
    return best;
}

/* ---- stepping ---- */

static pid_t start_traced(const struct stepping *stepping, void *arg)
{
    pid_t child = fork();
    if (child == 0) {
        if (stepping->prepare)
            stepping->prepare(arg);
        pid_t self = getpid();
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        kill(self, SIGUSR1);
        stepping->operate(arg);
        kill(self, SIGUSR1);
        _exit(0);
    }
    assert_true(child > 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR1);
    return child;
}

/* Whether the operation is not at its end yet. */
static bool step(pid_t child)
{
    int status;
    assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSTOPPED(status));
    return WSTOPSIG(status) != SIGUSR1;
}

void kill_at_each_instruction(const struct stepping *stepping, void *arg)
{
    bool more = true;
    int kills = 0;
    int stride = stepping->stride ? STRIDE * stepping->stride : STRIDE;
    if (getenv("MPROC_EVERY_INSTRUCTION"))
        stride = 1;
    for (int steps = 0; more; steps += stride, kills++) {
        pid_t child = start_traced(stepping, arg);
        for (int i = 0; i < steps && more; i++)
            more = step(child);
        if (stepping->meet)
            stepping->meet(arg);
        child_kill(child);
        stepping->check(arg);
    }
    assert_true(kills * stride > 10);
}

/* ---- the storm ---- */

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

int kill_storm(child_function *run, void *arg, int count, int milliseconds)
{
    pid_t children[MOST] = {0};
    unsigned seed = 20240607;
    int killed = 0;
    assert_in_range(count, 1, MOST);
    for (int i = 0; i < count; i++)
        children[i] = child_start(run, arg);
    for (int64_t end = now() + (int64_t)milliseconds * 1000000; now() < end; killed++) {
        struct timespec delay = {.tv_nsec = next_random(&seed) % 3000000};
        nanosleep(&delay, NULL);
        int i = killed % count;
        child_kill(children[i]);
        children[i] = child_start(run, arg);
    }
    for (int i = 0; i < count; i++)
        child_kill(children[i]);
    return killed;
}
