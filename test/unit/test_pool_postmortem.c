/* What a dead worker leaves: signal, address and stack, taken in the process that dies; what it had used; and that it
 * ends as it would have ended without all that. How it reaches its caller is seen in test_pool_deaths_told.c. */
#include "faults.h"
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- tasks ---- */

HERE void go_wrong(uintptr_t place)
{
    write_at((volatile long *)place);
    after = 2;
}

static int fault(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    go_wrong(ADDRESS);
    after = 3;
    return 0;
}

HERE void give_up(void)
{
    abort();
}

static int give_up_at_once(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    give_up();
    after = 3;
    return 0;
}

static UNCHECKED int descend(volatile int *depth)
{
    volatile char frame[4096];
    frame[0] = (char)++*depth;
    return *depth > 0 ? descend(depth) + frame[0] : 0;
}

static int overflow(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    return descend(&(volatile int){0});
}

static void *descend_in_thread(void *arg)
{
    return descend(&(volatile int){0}) ? arg : NULL;
}

static int overflow_a_thread(void *ctx, const void *in, void *out)
{
    pthread_t thread;
    (void)ctx;
    (void)in;
    (void)out;
    if (pthread_create(&thread, NULL, descend_in_thread, NULL))
        return 1;
    pthread_join(thread, NULL);
    return 0;
}

/* Threads that end in every way, whose stacks for signals are given back. */
static void *end_by_exit(void *arg)
{
    pthread_exit(arg);
}

static int make_threads(void *ctx, const void *in, void *out)
{
    pthread_t thread;
    void *seen = NULL;
    (void)ctx;
    (void)in;
    (void)out;
    for (int i = 0; i < 100; i++) {
        if (pthread_create(&thread, NULL, end_by_exit, &seen) || pthread_join(thread, &seen) || seen != &seen)
            return 1;
    }
    return 0;
}

static void (*volatile nothing)(void);

static UNCHECKED void call(void)
{
    nothing();
    after = 1;
}

static int call_nothing(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    call();
    after = 3;
    return 0;
}

/* Such a place on the stack makes the unwinder read where nothing is: a fault in the handler. In a function with a
 * frame of unknown size the unwinder goes by that register. */
#if defined(__x86_64__)
static UNCHECKED void lose_frame(volatile size_t size, bool by_fault)
{
    volatile char *frame = __builtin_alloca(size);
    frame[0] = 1;
    if (by_fault)
        __asm__ volatile("movq $16, %%rbp; movq $0, (%%rbp)" ::: "memory");
    else
        __asm__ volatile("movq $16, %%rbp; ud2" ::: "memory");
    after = frame[0] != 0;
}
#endif

static int lose_the_frame(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)out;
#if defined(__x86_64__)
    lose_frame(100, *(const bool *)in);
#endif
    return *(const bool *)in;
}

/* A child kills the worker so many microseconds after it has begun to die. */
static int fault_and_be_killed(void *ctx, const void *in, void *out)
{
    int worker = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (worker < 0)
        return 1;
    if (fork() == 0) {
        struct timespec span = {.tv_nsec = *(const int *)in * 1000L};
        nanosleep(&span, NULL);
        syscall(SYS_pidfd_send_signal, worker, SIGKILL, NULL, 0);
        _exit(0);
    }
    return fault(ctx, in, out);
}

static int leave(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    exit(3);
}

static int be_killed(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    return raise(SIGKILL);
}

HERE void hang(void)
{
    for (;;)
        pause();
}

static int hang_at_once(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    hang();
    after = 3;
    return 0;
}

static void *fault_in_thread(void *unused)
{
    go_wrong(ADDRESS);
    return unused;
}

static int fault_in_a_thread(void *ctx, const void *in, void *out)
{
    pthread_t thread;
    (void)ctx;
    (void)in;
    (void)out;
    if (pthread_create(&thread, NULL, fault_in_thread, NULL))
        return 1;
    return pthread_join(thread, NULL);
}

static void leave_9(int number)
{
    (void)number;
    _exit(9);
}

static int handle_fault(void *ctx, const void *in, void *out)
{
    signal(SIGSEGV, leave_9);
    return fault(ctx, in, out);
}

/* The copy dies of a signal that the worker says its last words at; then the worker ends itself. */
static int fault_in_a_copy(void *ctx, const void *in, void *out)
{
    int status = 0;
    pid_t copy = fork();
    if (copy == 0)
        fault(ctx, in, out);
    waitpid(copy, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV ? raise(SIGKILL) : 1;
}

static int fail_for_memory(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    void *memory = mmap(NULL, (size_t)1 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED && errno == ENOMEM ? 1 : 0;
}

static int die_for_memory(void *ctx, const void *in, void *out)
{
    if (fail_for_memory(ctx, in, out))
        give_up();
    return 0;
}

static int give_up_for_memory(void *ctx, const void *in, void *out)
{
    errno = ENOMEM;
    return give_up_at_once(ctx, in, out);
}

/* Uses as much CPU time and memory as in tells. */
static int work_and_be_killed(void *ctx, const void *in, void *out)
{
    clock_t end = clock() + CLOCKS_PER_SEC / 10;
    size_t size = *(const size_t *)in;
    unsigned char *memory = malloc(size);
    (void)ctx;
    (void)out;
    memset(memory, after + 1, size);
    while (clock() < end)
        after = memory[size / 2];
    raise(SIGKILL);
    free(memory);
    return 0;
}

/* The first item works, the second one sleeps and dies. */
static int work_or_sleep(void *ctx, const void *in, void *out)
{
    clock_t end = clock() + CLOCKS_PER_SEC / 5;
    (void)ctx;
    (void)out;
    while (*(const int *)in == 0 && clock() < end)
        ;
    if (*(const int *)in == 0)
        return 0;
    nap(100);
    return raise(SIGKILL);
}

/* ---- one death ---- */

struct told {
    mproc_postmortem death;
    int count;
};

static void note(void *arg, const mproc_postmortem *death)
{
    struct told *told = arg;
    told->death = *death;
    told->count++;
}

static mproc_postmortem die_in(mproc_pool *pool, mproc_task *task, mproc_map map, int code)
{
    struct told told = {.count = 0};
    mproc_item_status status = {0};
    map.count = 1;
    map.status = &status;
    map.died = note;
    map.died_arg = &told;
    int result = mproc_pool_map(pool, task, NULL, &map, MPROC_SEC(60));
    assert_int_equal(result, map.item_timeout.nanoseconds ? MPROC_LATE : MPROC_WORKER_DIED);
    assert_int_equal(told.count, 1);
    assert_int_equal(status.code, code);
    assert_int_equal(told.death.exit, code);
    assert_int_equal(told.death.index, 0);
    assert_int_equal(told.death.attempt, 0);
    assert_int_equal(told.death.worker, 1);
    assert_true(told.death.pid > 0 && told.death.pid != getpid());
    return told.death;
}

static mproc_postmortem die(mproc_task *task, int code)
{
    mproc_pool *pool = make_pool(1);
    mproc_postmortem death = die_in(pool, task, (mproc_map){.count = 1}, code);
    mproc_pool_free(pool);
    return death;
}

static void assert_object(const struct mproc_frame *frame)
{
    assert_string_equal(frame->object, program_invocation_short_name);
    assert_true(frame->offset < frame->object_offset && frame->object_offset <= frame->address);
}

static void a_fault_tells_its_address_its_function_and_the_callers(void **state)
{
    (void)state;
    mproc_postmortem death = die(fault, -SIGSEGV);
    assert_int_equal(death.cause, MPROC_CAUSE_SIGNAL);
    assert_true(death.has_address);
    assert_int_equal(death.address, ADDRESS);
    assert_int_equal(frame_of(&death, "write_at"), 0);
    assert_int_equal(frame_of(&death, "go_wrong"), 1);
    assert_int_equal(frame_of(&death, "fault"), 2);
    for (int i = 0; i < 3; i++)
        assert_object(&death.frames[i]);
    char text[8192];
    assert_true(mproc_postmortem_text(&death, text, sizeof text) < sizeof text);
    assert_non_null(strstr(text, "at address 0x1238\n"));
    assert_non_null(strstr(text, " in write_at"));
    assert_non_null(strstr(text, " in go_wrong"));
}

static void an_abort_tells_who_gave_up(void **state)
{
    (void)state;
    mproc_postmortem death = die(give_up_at_once, -SIGABRT);
    assert_int_equal(death.cause, MPROC_CAUSE_SIGNAL);
    assert_false(death.has_address);
    int frame = frame_of(&death, "give_up");
    assert_true(frame > 0);
    assert_int_equal(frame_of(&death, "give_up_at_once"), frame + 1);
}

static void a_stack_that_overflows_is_told_from_its_end(void **state)
{
    (void)state;
    mproc_postmortem death = die(overflow, -SIGSEGV);
    assert_true(death.has_address);
    assert_int_equal(death.frame_count, MPROC_STACK_DEPTH);
    assert_int_equal(frame_of(&death, "descend"), 0);
}

static void a_stack_of_a_thread_that_overflows_is_told_too(void **state)
{
    (void)state;
    mproc_postmortem death = die(overflow_a_thread, -SIGSEGV);
    assert_true(death.has_address);
    assert_int_equal(death.frame_count, MPROC_STACK_DEPTH);
    assert_int_equal(frame_of(&death, "descend"), 0);
}

static void threads_of_a_task_are_as_ever(void **state)
{
    mproc_pool *pool;
    (void)state;
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1}), 0);
    assert_int_equal(mproc_pool_call(pool, make_threads, NULL, NULL, 0, NULL, 0, MPROC_FOREVER), 0);
    mproc_pool_free(pool);
}

static void a_call_of_nothing_tells_the_caller(void **state)
{
    (void)state;
    mproc_postmortem death = die(call_nothing, -SIGSEGV);
    assert_true(death.has_address);
    assert_int_equal(death.address, 0);
    assert_true(death.frame_count >= 2);
    assert_int_equal(death.frames[0].address, 0);
    assert_string_equal(death.frames[0].function, "");
    assert_string_equal(death.frames[0].object, "");
    assert_int_equal(frame_of(&death, "call"), 1);
}

static void a_fault_in_another_thread_is_told(void **state)
{
    (void)state;
    mproc_postmortem death = die(fault_in_a_thread, -SIGSEGV);
    assert_int_equal(death.address, ADDRESS);
    assert_int_equal(frame_of(&death, "write_at"), 0);
    assert_int_equal(frame_of(&death, "fault_in_thread"), 2);
}

static void a_fault_in_the_handler_ends_the_words_and_changes_nothing_else(void **state)
{
#if !defined(__x86_64__) || defined(__SANITIZE_THREAD__)
    skip(); /* TSan calls handlers by a handler of its own, which does not survive this */
#endif
    const bool by_fault = true, by_instruction = false;
    mproc_pool *pool = make_pool(1);
    (void)state;
    mproc_postmortem death =
        die_in(pool, lose_the_frame, (mproc_map){.in = &by_instruction, .in_size = sizeof(bool)}, -SIGILL);
    assert_true(death.has_address);
    assert_int_equal(death.frame_count, 1);
    assert_int_equal(death.frames[0].address, death.address);
    assert_object(&death.frames[0]);
    death = die_in(pool, lose_the_frame, (mproc_map){.in = &by_fault, .in_size = sizeof(bool)}, -SIGSEGV);
    assert_int_equal(death.address, 16);
    assert_int_equal(death.frame_count, 1);
    mproc_pool_free(pool);
}

static void check_what_was_said(void *arg, const mproc_postmortem *death)
{
    int *told = arg;
    char text[8192];
    assert_true(death->exit == -SIGSEGV || death->exit == -SIGKILL);
    assert_true(death->frame_count <= MPROC_STACK_DEPTH);
    assert_true(death->has_address == (death->exit == -SIGSEGV));
    for (unsigned i = 0; i < death->frame_count; i++) {
        const struct mproc_frame *frame = &death->frames[i];
        assert_true(frame->address != 0);
        assert_true(strnlen(frame->function, sizeof frame->function) < sizeof frame->function);
        assert_true(strnlen(frame->object, sizeof frame->object) < sizeof frame->object);
    }
    if (death->frame_count && death->frames[0].function[0])
        assert_memory_equal(death->frames[0].function, "write_at", 8);
    assert_true(mproc_postmortem_text(death, text, sizeof text) > 0);
    ++*told;
}

static void a_worker_that_is_killed_as_it_speaks_leaves_what_it_has_said(void **state)
{
    enum {
        TIMES = 60
    };
    int in[TIMES], told = 0;
    mproc_pool *pool = make_pool(1);
    (void)state;
    for (int i = 0; i < TIMES; i++)
        in[i] = i * 20;
    const mproc_map map = {
        .count = TIMES, .in = in, .in_size = sizeof *in, .died = check_what_was_said, .died_arg = &told};
    assert_int_equal(mproc_pool_map(pool, fault_and_be_killed, NULL, &map, MPROC_SEC(60)), MPROC_WORKER_DIED);
    assert_int_equal(told, TIMES);
    mproc_pool_free(pool);
}

static void an_exit_tells_its_code(void **state)
{
    (void)state;
    mproc_postmortem death = die(leave, 3);
    assert_int_equal(death.cause, MPROC_CAUSE_EXIT);
    assert_false(death.has_address);
    assert_int_equal(death.frame_count, 0);
}

static void a_kill_leaves_no_words(void **state)
{
    (void)state;
    mproc_postmortem death = die(be_killed, -SIGKILL);
    assert_int_equal(death.cause, MPROC_CAUSE_SIGNAL);
    assert_false(death.has_address);
    assert_int_equal(death.frame_count, 0);
    assert_true(death.peak_memory > 0);
}

static void a_late_item_shows_where_it_hung(void **state)
{
    mproc_pool *pool = make_pool(1);
    (void)state;
    mproc_postmortem death = die_in(pool, hang_at_once, (mproc_map){.item_timeout = MPROC_MS(50)}, -SIGTERM);
    assert_int_equal(death.cause, MPROC_CAUSE_LATE);
    assert_false(death.has_address);
    assert_true(death.wall.nanoseconds >= MPROC_MS(50).nanoseconds);
    int frame = frame_of(&death, "hang");
    assert_true(frame >= 0);
    assert_int_equal(frame_of(&death, "hang_at_once"), frame + 1);
    mproc_pool_free(pool);
}

static void a_handler_of_the_task_wins(void **state)
{
    (void)state;
    mproc_postmortem death = die(handle_fault, 9);
    assert_int_equal(death.cause, MPROC_CAUSE_EXIT);
    assert_int_equal(death.frame_count, 0);
}

static void a_copy_of_a_worker_says_nothing(void **state)
{
    (void)state;
    mproc_postmortem death = die(fault_in_a_copy, -SIGKILL);
    assert_int_equal(death.frame_count, 0);
    assert_false(death.has_address);
}

static void a_worker_at_its_memory_limit_says_so(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    skip(); /* a sanitizer needs more than any limit for itself */
#endif
    mproc_pool *pool;
    const mproc_pool_options options = {.workers = 1, .method = pool_method, .memory_limit = (size_t)256 << 20};
    assert_int_equal(mproc_pool_create(&pool, &options), 0);
    assert_int_equal(die_in(pool, die_for_memory, (mproc_map){0}, -SIGABRT).cause, MPROC_CAUSE_LIMIT);
    assert_int_equal(mproc_pool_call(pool, fail_for_memory, NULL, NULL, 0, NULL, 0, MPROC_SEC(60)), MPROC_TASK_FAILED);
    assert_int_equal(die_in(pool, give_up_at_once, (mproc_map){0}, -SIGABRT).cause, MPROC_CAUSE_SIGNAL);
    mproc_pool_free(pool);
}

static void a_worker_without_a_limit_is_at_none(void **state)
{
    (void)state;
    assert_int_equal(die(give_up_for_memory, -SIGABRT).cause, MPROC_CAUSE_SIGNAL);
}

static void what_was_used_is_told(void **state)
{
    size_t size = (size_t)32 << 20;
    mproc_pool *pool = make_pool(1);
    (void)state;
    const mproc_map map = {.in = &size, .in_size = sizeof size};
    mproc_postmortem death = die_in(pool, work_and_be_killed, map, -SIGKILL);
    assert_true(death.peak_memory >= size && death.peak_memory < (size_t)4 << 30);
    assert_true(death.cpu.nanoseconds >= MPROC_MS(50).nanoseconds && death.cpu.nanoseconds < MPROC_SEC(60).nanoseconds);
    assert_true(death.wall.nanoseconds >= MPROC_MS(50).nanoseconds &&
                death.wall.nanoseconds < MPROC_SEC(60).nanoseconds);
    mproc_pool_free(pool);
}

static void what_others_used_before_is_not_counted(void **state)
{
    const int in[] = {0, 1};
    struct told told = {.count = 0};
    mproc_pool *pool = make_pool(1);
    (void)state;
    const mproc_map map = {.count = 2, .in = in, .in_size = sizeof *in, .chunk = 1, .died = note, .died_arg = &told};
    assert_int_equal(mproc_pool_map(pool, work_or_sleep, NULL, &map, MPROC_SEC(60)), MPROC_WORKER_DIED);
    assert_int_equal(told.death.index, 1);
    assert_true(told.death.cpu.nanoseconds < MPROC_MS(90).nanoseconds);
    assert_true(told.death.wall.nanoseconds >= MPROC_MS(90).nanoseconds &&
                told.death.wall.nanoseconds < MPROC_SEC(60).nanoseconds);
    mproc_pool_free(pool);
}

int main(void)
{
    const struct rlimit none = {0};
    setrlimit(RLIMIT_CORE, &none);
    const struct CMUnitTest tests[] = {
        unit(a_fault_tells_its_address_its_function_and_the_callers),
        unit(an_abort_tells_who_gave_up),
        unit(a_stack_that_overflows_is_told_from_its_end),
        unit(a_stack_of_a_thread_that_overflows_is_told_too),
        unit(threads_of_a_task_are_as_ever),
        unit(a_call_of_nothing_tells_the_caller),
        unit(a_fault_in_another_thread_is_told),
        unit(a_fault_in_the_handler_ends_the_words_and_changes_nothing_else),
        unit(a_worker_that_is_killed_as_it_speaks_leaves_what_it_has_said),
        unit(an_exit_tells_its_code),
        unit(a_kill_leaves_no_words),
        unit(a_late_item_shows_where_it_hung),
        unit(a_handler_of_the_task_wins),
        unit(a_copy_of_a_worker_says_nothing),
        unit(a_worker_at_its_memory_limit_says_so),
        unit(a_worker_without_a_limit_is_at_none),
        unit(what_was_used_is_told),
        unit(what_others_used_before_is_not_counted),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
