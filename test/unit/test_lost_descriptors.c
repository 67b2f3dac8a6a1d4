/* Programs that close, copy or replace descriptors which are not theirs: their processes stay alive for the others, and
 * the files that they open at the same numbers stay as they are. */
#include "arena/member.h"
#include "arena/proof.h"
#include "arena/region.h"
#include "children.h"
#include "harness.h"
#include "os/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OURS_END = 100,       /* no descriptor of a test's is above */
    FILE_SIZE = 512 << 10 /* of the program's own files */
};

struct family {
    mproc_lock lock;
    _Atomic(member_owner) owner;
    _Atomic(int) step;
    mproc_queue *first, *second;
};
static struct family *family;

static int begin(void **state)
{
    int result = books_open(state);
    family = shared(sizeof *family);
    return result || mproc_lock_init(&family->lock) || mproc_queue_create(&family->first, NULL) ||
           mproc_queue_create(&family->second, NULL);
}

static int end(void **state)
{
    mproc_queue_free(family->first);
    mproc_queue_free(family->second);
    shared_free(family);
    member_sweep_all();
    return books_check(state);
}

#define test(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

/* ---- what programs do ---- */

static void copy_and_close(void)
{
    for (int fd = OS_FIRST_FD; fd < OURS_END; fd++)
        close(dup(fd));
}

static void open_and_close(void)
{
    char path[64];
    for (int fd = OS_FIRST_FD; fd < OURS_END; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        close(open(path, O_RDWR | O_NONBLOCK));
    }
}

static void *nap(void *arg)
{
    usleep(10000);
    return arg;
}

static void have_a_table_of_its_own(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, nap, NULL), 0);
    assert_int_equal(unshare(CLONE_FILES), 0);
    pthread_join(thread, NULL);
}

static void close_all(void)
{
    close_range(OS_FIRST_FD, ~0u, 0);
}

static void put_others_there(void)
{
    int nothing = open("/dev/null", O_RDWR);
    for (int fd = OS_FIRST_FD; fd < OURS_END; fd++)
        if (fd != nothing && os_is_open(fd))
            dup2(nothing, fd);
}

static void run_a_program(void)
{
    assert_int_equal(system("true"), 0);
}

static void (*const deeds[])(void) = {copy_and_close, open_and_close,   have_a_table_of_its_own,
                                      close_all,      put_others_there, run_a_program};
#define DEEDS (sizeof deeds / sizeof *deeds)

/* ---- life ---- */

static int do_it_and_stay(void *deed)
{
    if (mproc_lock_acquire(&family->lock, MPROC_NOWAIT))
        return 1;
    (*(void (**)(void))deed)();
    atomic_store(&family->owner, member_self());
    atomic_store(&family->step, 1);
    for (;;)
        pause();
}

static void who_loses_descriptors_keeps_its_locks_until_it_dies(void **state)
{
    (void)state;
    for (size_t i = 0; i < DEEDS; i++) {
        atomic_store(&family->step, 0);
        void (*deed)(void) = deeds[i];
        pid_t child = child_start(do_it_and_stay, &deed);
        await_value(&family->step, 1);
        assert_false(member_is_dead(family->owner));
        assert_int_equal(mproc_lock_acquire(&family->lock, MPROC_MS(150)), MPROC_TIMEOUT);
        child_kill(child);
        assert_true(member_is_dead(family->owner));
        assert_int_equal(mproc_lock_acquire(&family->lock, MPROC_NOWAIT), MPROC_OWNER_DIED);
        mproc_lock_release(&family->lock);
    }
}

static void *wait_for_ever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static int stay_with_threads(void *arg)
{
    pthread_t thread;
    for (int i = 0; i < 4; i++)
        pthread_create(&thread, NULL, wait_for_ever, NULL);
    atomic_store(&family->owner, member_self());
    atomic_store(&family->step, 1);
    if (arg)
        pthread_exit(NULL);
    for (;;)
        pause();
}

/* Also one whose first thread has ended before. */
static void who_was_reaped_is_dead(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        atomic_store(&family->step, 0);
        pid_t child = child_start(stay_with_threads, i % 2 ? family : NULL);
        await_value(&family->step, 1);
        assert_false(member_is_dead(family->owner));
        child_kill(child);
        assert_true(member_is_dead(family->owner));
    }
}

/* A copy that no handler of fork() knows of has its parent's descriptors, and the arena. */
static int have_a_bare_copy(void *arg)
{
    atomic_store(&family->owner, member_self());
    pid_t copy = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (copy > 0) {
        *(_Atomic(pid_t) *)arg = copy;
        atomic_store(&family->step, 1);
    }
    wait_for_ever(NULL);
    return 0;
}

static void a_copy_does_not_live_for_its_parent(void **state)
{
    (void)state;
    _Atomic(pid_t) *copy = shared(sizeof *copy);
    pid_t child = child_start(have_a_bare_copy, copy);
    await_value(&family->step, 1);
    child_kill(child);
    assert_true(member_is_dead(family->owner));
    kill(*copy, SIGKILL);
    shared_free(copy);
}

static bool is_dead(void *owner)
{
    return member_is_dead(atomic_load((_Atomic(member_owner) *)owner));
}

static int execute(void *arg)
{
    (void)arg;
    atomic_store(&family->owner, member_self());
    atomic_store(&family->step, 1);
    execl("/bin/sleep", "sleep", "100", NULL);
    return 1;
}

static void who_executes_another_program_is_no_member(void **state)
{
    (void)state;
    pid_t child = child_start(execute, NULL);
    await_value(&family->step, 1);
    assert_true(wait_until(is_dead, &family->owner, 20000));
    child_kill(child);
}

/* ---- without /proc ---- */

static int hide_proc(void)
{
    return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
           mount("none", "/proc", "tmpfs", 0, NULL);
}

static int live_by_a_record_lock(void *arg)
{
    (void)arg;
    if (hide_proc())
        return 77;
    atomic_store(&family->owner, member_self());
    atomic_store(&family->step, 1);
    await_value(&family->step, 2);
    close(dup(region.fd));
    atomic_store(&family->step, 3);
    await_value(&family->step, 4);
    member_tick();
    atomic_store(&family->step, 5);
    await_value(&family->step, 6);
    close(dup(region.fd));
    atomic_store(&family->step, 7);
    await_value(&family->step, 8);
    member_tick(); /* swept, it is another member */
    return member_self() == atomic_load(&family->owner);
}

static void without_proc_the_record_lock_is_the_proof_and_is_renewed(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    pid_t child = child_start(live_by_a_record_lock, NULL);
    await_value(&family->step, 1);
    assert_false(member_is_dead(family->owner));
    atomic_store(&family->step, 2);
    await_value(&family->step, 3);
    assert_true(member_is_dead(family->owner));
    atomic_store(&family->step, 4);
    await_value(&family->step, 5);
    assert_false(member_is_dead(family->owner));
    atomic_store(&family->step, 6);
    await_value(&family->step, 7);
    member_sweep_all();
    atomic_store(&family->step, 8);
    assert_int_equal(child_finish(child), 0);
}

/* ---- the program's files ---- */

static int own_file(void)
{
    char name[] = "/tmp/mproc-test-XXXXXX", byte = 1;
    int fd = mkstemp(name);
    unlink(name);
    for (off_t at = 0; at < FILE_SIZE; at += 4096)
        if (pwrite(fd, &byte, 1, at) != 1)
            return -1;
    return fd;
}

/* As large as our own, so that what is meant for the arena would fall into it. */
static int own_memory_file(void)
{
    int fd = memfd_create("own", 0);
    return ftruncate(fd, 1 << 30) ? -1 : fd;
}

static bool is_locked(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_pid = 0};
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Whatever mproc does on what it had before. */
static void use_what_is_left(mproc_process *process, mproc_connection *const *pipe, unsigned char *block)
{
    char text[4];
    mproc_wait_item items[] = {{.kind = MPROC_WAIT_QUEUE, .on.queue = family->first},
                               {.kind = MPROC_WAIT_QUEUE, .on.queue = family->second}};
    assert_int_equal(mproc_free(block), 0);
    block = mproc_alloc(40 << 20);
    assert_non_null(block);
    block[20 << 20] = 1;
    assert_int_equal(mproc_free(block), 0);
    assert_int_equal(mproc_wait(items, 2, NULL, MPROC_MS(120)), MPROC_TIMEOUT);
    assert_int_equal(mproc_queue_put(family->first, "abc", 4, MPROC_SEC(1)), 0);
    assert_int_equal(mproc_wait(items, 2, NULL, MPROC_SEC(5)), 0);
    assert_int_equal(mproc_queue_get(family->first, text, sizeof text, NULL, MPROC_SEC(1)), 0);
    assert_int_equal(mproc_lock_acquire(&family->lock, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_lock_release(&family->lock), 0);
    assert_int_not_equal(mproc_connection_send(pipe[1], "abc", 4, MPROC_MS(100)), 0);
    assert_int_not_equal(mproc_connection_recv(pipe[0], text, sizeof text, NULL, MPROC_MS(100)), 0);
    mproc_connection_free(pipe[0]);
    mproc_connection_free(pipe[1]);
    member_sweep_all();
    member_tick();
    if (process) {
        assert_int_equal(mproc_process_kill(process), 0);
        assert_int_equal(mproc_process_join(process, MPROC_SEC(20)), 0);
        mproc_process_free(process);
    }
}

static int sleep_long(void *arg)
{
    (void)arg;
    sleep(100);
    return 0;
}

static int close_all_and_go_on(void *make)
{
    mproc_process *process;
    mproc_connection *pipe[2];
    unsigned char *block = mproc_alloc(16 << 20);
    struct stat before, after;
    if (!block || mproc_process_start(&process, sleep_long, NULL, NULL) || mproc_pipe(&pipe[0], &pipe[1], false))
        return 1;
    close_all();
    int own = (*(int (**)(void))make)();
    for (int fd = OS_FIRST_FD; fd < OURS_END; fd++)
        if (fd != own)
            dup2(own, fd);
    fstat(own, &before);
    use_what_is_left(process, pipe, block);
    for (int fd = OS_FIRST_FD; fd < OURS_END; fd++)
        if (!os_is_open(fd))
            return 2;
    fstat(own, &after);
    int other = open("/proc/self/fd/3", O_RDWR);
    return before.st_size != after.st_size || before.st_blocks != after.st_blocks || is_locked(other) ? 3 : 0;
}

static void the_files_of_the_program_stay_as_they_are(void **state)
{
    (void)state;
    int (*const makers[])(void) = {own_file, own_memory_file};
    for (size_t i = 0; i < 2; i++) {
        int (*make)(void) = makers[i];
        assert_int_equal(in_child(close_all_and_go_on, &make), 0);
    }
}

static int close_all_and_begin(void *arg)
{
    (void)arg;
    close_all();
    return mproc_lock_acquire(&family->lock, MPROC_NOWAIT) == -EBADF ? 0 : 1;
}

static void a_child_that_closes_all_before_its_first_use_gets_an_error(void **state)
{
    (void)state;
    assert_int_equal(in_child(close_all_and_begin, NULL), 0);
}

/* The pool's server goes with the descriptors, and nobody can be asked whether it is gone. */
static int end_a_pool_without_descriptors(void *others)
{
    mproc_pool *pool;

    if (mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2}))
        return 2;
    close_all();
    for (int i = 0; others && i < 60; i++)
        if (dup(STDERR_FILENO) < 0)
            return 3;
    alarm(60);
    mproc_pool_close(pool);
    int joined = mproc_pool_join(pool, MPROC_FOREVER);
    pool = mproc_pool_free(pool);
    return joined == 0 || joined == -EBADF ? 0 : 1;
}

static void a_pool_ends_though_its_program_has_closed_all(void **state)
{
    (void)state;
    assert_int_equal(in_child(end_a_pool_without_descriptors, NULL), 0);
    assert_int_equal(in_child(end_a_pool_without_descriptors, family), 0);
}

/* ---- jobs of a pool without descriptors ---- */

static int sleep_in_a_task(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    sleep(100);
    return 0;
}

static void *map_for_ever(void *pool)
{
    return (void *)(intptr_t)mproc_pool_map(pool, sleep_in_a_task, NULL, &(mproc_map){.count = 50}, MPROC_FOREVER);
}

static int next_of_many(void *arg, void *in)
{
    (void)arg;
    *(char *)in = 1;
    return 0;
}

/* Calls that wait while it happens, futures and an imap that are waited for afterwards, and calls that begin then. */
static int end_calls_without_descriptors(void *others)
{
    const mproc_imap_options options = {.next = next_of_many, .in_size = 1, .in_flight = 4};
    mproc_pool *pool;
    mproc_future *future;
    mproc_imap *imap;
    pthread_t thread;
    void *result;
    size_t index;
    if (mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2}) ||
        mproc_pool_submit(pool, &future, sleep_in_a_task, NULL, NULL, 0, 0) ||
        mproc_pool_imap(pool, &imap, sleep_in_a_task, NULL, &options) ||
        pthread_create(&thread, NULL, map_for_ever, pool))
        return 2;
    alarm(60);
    close_all();
    for (int i = 0; others && i < 60; i++)
        if (dup(STDERR_FILENO) < 0)
            return 3;
    int ended = mproc_future_wait(future, MPROC_FOREVER) ? -1 : mproc_future_get(future, NULL, MPROC_NOWAIT);
    if (ended != MPROC_BROKEN && ended != MPROC_WORKER_DIED)
        return 4;
    do
        ended = mproc_imap_next(imap, NULL, &index, MPROC_FOREVER);
    while (ended == MPROC_WORKER_DIED);
    if (ended != MPROC_BROKEN)
        return 5;
    pthread_join(thread, &result);
    if ((int)(intptr_t)result != MPROC_BROKEN)
        return 6;
    if (mproc_pool_call(pool, sleep_in_a_task, NULL, NULL, 0, NULL, 0, MPROC_FOREVER) != MPROC_BROKEN)
        return 7;
    if (mproc_pool_run_on_all(pool, sleep_in_a_task, NULL, &(mproc_map){0}, MPROC_FOREVER) != MPROC_BROKEN)
        return 8;
    mproc_imap_free(imap);
    mproc_future_free(future);
    mproc_pool_free(pool);
    return 0;
}

static void calls_of_a_pool_end_though_its_program_has_closed_all(void **state)
{
    (void)state;
    assert_int_equal(in_child(end_calls_without_descriptors, NULL), 0);
    assert_int_equal(in_child(end_calls_without_descriptors, family), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(who_loses_descriptors_keeps_its_locks_until_it_dies),
        test(who_was_reaped_is_dead),
        test(a_copy_does_not_live_for_its_parent),
        test(who_executes_another_program_is_no_member),
        test(without_proc_the_record_lock_is_the_proof_and_is_renewed),
        test(the_files_of_the_program_stay_as_they_are),
        test(a_child_that_closes_all_before_its_first_use_gets_an_error),
        test(a_pool_ends_though_its_program_has_closed_all),
        test(calls_of_a_pool_end_though_its_program_has_closed_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
