/* The heap: what mproc_alloc() and its relatives promise, what the books say after many processes used it, and that a
 * process killed inside it leaves it whole. */
#include "arena/heap.h"
#include "arena/layout.h"
#include "arena/member.h"
#include "arena/spans.h"
#include "children.h"
#include "harness.h"
#include <errno.h>
#include <mproc/memory.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void blocks_are_aligned_and_as_large_as_asked(void **state)
{
    (void)state;
    for (size_t size = 1; size < 300000; size += size / 7 + 1) {
        unsigned char *block = mproc_alloc(size);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % (size >= 64 ? 64 : 16), 0);
        assert_true(mproc_usable_size(block) >= size);
        assert_true(mproc_is_shared(block) && mproc_is_shared(block + size - 1));
        memset(block, 0xa5, size);
        assert_int_equal(mproc_free(block), 0);
    }
}

static void bad_input_is_told_and_changes_nothing(void **state)
{
    (void)state;
    errno = 0;
    assert_null(mproc_alloc(0));
    assert_int_equal(errno, EINVAL);
    assert_null(mproc_alloc(SIZE_MAX));
    assert_int_equal(errno, ENOMEM);
    assert_null(mproc_calloc(SIZE_MAX / 2, 3));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(mproc_calloc(0, 3));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(mproc_free(NULL), 0);
    int local;
    assert_int_equal(mproc_free(&local), -EINVAL);
    assert_false(mproc_is_shared(&local));
    assert_false(mproc_is_shared(NULL));
    assert_int_equal(mproc_usable_size(&local), 0);
    errno = 0;
    assert_null(mproc_realloc(&local, 10));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(mproc_memory_usage(NULL), -EINVAL);
}

static void bytes_and_strings_are_copied_into_shared_memory(void **state)
{
    char text[] = "text";
    char *string = mproc_strdup(text), *bytes = mproc_memdup(text, 2);
    (void)state;
    memset(text, 'x', 4);
    assert_string_equal(string, "text");
    assert_memory_equal(bytes, "te", 2);
    assert_true(mproc_is_shared(string) && mproc_is_shared(bytes));
    assert_int_equal(mproc_free(string), 0);
    assert_int_equal(mproc_free(bytes), 0);
    errno = 0;
    assert_null(mproc_memdup(text, 0));
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_null(mproc_strdup(NULL));
    assert_int_equal(errno, EINVAL);
}

static void a_double_free_is_refused(void **state)
{
    (void)state;
    const size_t sizes[] = {1, 16, 100, 8192, 8193, 65536, 1 << 20, 5 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *block = mproc_alloc(sizes[i]);
        unsigned char *other = mproc_alloc(sizes[i]); /* keeps the span in use */
        assert_non_null(block);
        assert_int_equal(mproc_free(block + 1), -EINVAL);
        if (sizes[i] > 65536)
            assert_int_equal(mproc_free(block + 65536), -EINVAL);
        assert_int_equal(mproc_free(block), 0);
        assert_int_equal(mproc_free(block), -EINVAL);
        assert_int_equal(mproc_usable_size(block), 0);
        assert_null(mproc_realloc(block, 10));
        assert_int_equal(mproc_free(other), 0);
    }
}

/* A block that a process frees from its place until it is killed. */
struct freeing {
    heap_place place;
    size_t size;
};

static void join_family(void *arg)
{
    (void)arg;
    member_self();
}

static void free_from_place(void *arg)
{
    heap_free_from(&((struct freeing *)arg)->place);
}

static void free_again(void *arg)
{
    struct freeing *freeing = arg;
    void *block;
    assert_int_equal(heap_free_from(&freeing->place), 0);
    assert_int_equal(atomic_load(&freeing->place), 0);
    assert_null(heap_audit());
    assert_int_equal(heap_alloc(freeing->size, &freeing->place, &block), 0);
}

static void what_a_dead_process_was_freeing_can_be_freed_directly(void **state)
{
    const struct stepping stepping = {.prepare = join_family, .operate = free_from_place, .check = free_again};
    const size_t sizes[] = {100, 20000, 1 << 20};
    struct freeing *freeing = shared(sizeof *freeing);
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *block;
        freeing->size = sizes[i];
        assert_int_equal(heap_alloc(freeing->size, &freeing->place, &block), 0);
        kill_at_each_instruction(&stepping, freeing);
        assert_int_equal(heap_free_from(&freeing->place), 0);
        member_sweep_all();
    }
    shared_free(freeing);
}

/* ---- what was freed, by a process that has come to its end ---- */

static int free_many_and_end(void *how)
{
    for (int i = 0; i < 600; i++)
        if (mproc_free(mproc_alloc(i % 100 ? 100 : 20000)))
            return 1;
    return *(int *)how ? raise(*(int *)how) : 0;
}

static void what_a_process_has_freed_is_free_however_it_ends(void **state)
{
    (void)state;
    for (int how = 0; how <= SIGKILL; how += SIGKILL) {
        size_t before = heap_allocated();
        assert_int_equal(in_child(free_many_and_end, &how), -how);
        member_sweep_all();
        assert_int_equal(heap_allocated(), before);
        assert_null(heap_audit());
    }
}

static void what_a_process_has_freed_is_no_longer_in_the_books(void **state)
{
    mproc_memory_statistics before, after;
    int how = SIGKILL;
    (void)state;
    mproc_memory_usage(&before);
    assert_int_equal(in_child(free_many_and_end, &how), -how);
    mproc_memory_usage(&after);
    assert_int_equal(after.allocated, before.allocated);
}

struct freed {
    void *first;
    void *second;
    size_t before;
};

static void take_two(void *arg)
{
    struct freed *freed = arg;
    freed->first = mproc_alloc(100);
    freed->second = mproc_alloc(20000);
}

static void free_two(void *arg)
{
    struct freed *freed = arg;
    mproc_free(freed->first);
    mproc_free(freed->second);
}

/* Nobody but the dead process had them: what it had not freed is still there, in this order. */
static void check_freed(void *arg)
{
    struct freed *freed = arg;
    member_sweep_all();
    assert_null(heap_audit());
    size_t left = heap_allocated() - freed->before;
    size_t second = heap_usable_size(freed->second);
    assert_int_equal(left, heap_usable_size(freed->first) + second);
    assert_true(second || left == 0);
    if (heap_usable_size(freed->first))
        assert_int_equal(heap_free(freed->first), 0);
    if (second)
        assert_int_equal(heap_free(freed->second), 0);
}

static void who_dies_while_it_frees_has_freed_or_has_not(void **state)
{
    const struct stepping stepping = {.prepare = take_two, .operate = free_two, .check = check_freed, .stride = 20};
    struct freed *freed = shared(sizeof *freed);
    (void)state;
    freed->before = heap_allocated();
    kill_at_each_instruction(&stepping, freed);
    assert_int_equal(heap_allocated(), freed->before);
    shared_free(freed);
}

/* As if, between the look at the place and the lock, another had finished what a dead process began, and the block had
 * been taken anew. */
static void a_block_that_left_its_place_is_not_freed_from_there(void **state)
{
    heap_place *place = mproc_calloc(1, sizeof *place);
    const size_t sizes[] = {100, 1 << 20};
    void *block;
    unsigned index;
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(heap_alloc(sizes[i], place, &block), 0);
        atomic_store(place, 0);
        assert_true(chunk_of(block, &index));
        if (sizes[i] <= SPAN_LARGEST)
            assert_int_equal(spans_give(index, block, place), 0);
        else
            assert_int_equal(chunks_give(index, CHUNK_USED, place), 0);
        assert_true(mproc_usable_size(block) >= sizes[i]);
        assert_int_equal(mproc_free(block), 0);
    }
    assert_int_equal(mproc_free(place), 0);
}

static void calloc_is_zero_also_where_memory_was_used_before(void **state)
{
    (void)state;
    for (size_t size = 10; size < 3000000; size = size * 3 + 1) {
        for (int round = 0; round < 3; round++) {
            unsigned char *block = mproc_calloc(1, size);
            assert_non_null(block);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(block[i], 0);
            memset(block, 0xff, size);
            mproc_free(block);
        }
    }
}

static void realloc_keeps_what_fits(void **state)
{
    (void)state;
    unsigned char *block = mproc_realloc(NULL, 1);
    assert_non_null(block);
    block[0] = 0;
    size_t size = 1;
    const size_t targets[] = {2, 17, 100, 5000, 70000, 3000000, 200000, 65536, 9000, 300, 3};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        block = mproc_realloc(block, targets[i]);
        assert_non_null(block);
        for (size_t at = 0; at < size && at < targets[i]; at++)
            assert_int_equal(block[at], at % 251);
        size = targets[i];
        for (size_t at = 0; at < size; at++)
            block[at] = (unsigned char)(at % 251);
        assert_null(heap_audit());
    }
    errno = 0;
    assert_null(mproc_realloc(block, 0));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(mproc_free(block), 0);
}

static size_t resident(void)
{
    mproc_memory_statistics usage;
    assert_int_equal(mproc_memory_usage(&usage), 0);
    return usage.resident;
}

static void a_large_block_goes_back_to_the_kernel(void **state)
{
    (void)state;
    size_t before = resident();
    size_t size = (size_t)64 << 20;
    char *block = mproc_alloc(size);
    assert_non_null(block);
    assert_true(resident() >= size);
    assert_int_equal(mproc_free(block), 0);
    assert_true(resident() < before + (1 << 20));
}

static void what_a_realloc_gives_up_goes_back_to_the_kernel(void **state)
{
    (void)state;
    size_t before = resident();
    char *block = mproc_alloc((size_t)64 << 20);
    char *smaller = mproc_realloc(block, 1 << 20);
    assert_ptr_equal(smaller, block);
    assert_true(resident() < before + (3 << 20));
    assert_null(heap_audit());
    mproc_free(smaller);
}

static void many_small_frees_go_back_to_the_kernel(void **state)
{
    (void)state;
    enum {
        COUNT = 50000
    };
    size_t before = resident();
    static void *blocks[COUNT];
    for (int i = 0; i < COUNT; i++)
        assert_non_null(blocks[i] = mproc_alloc(4000));
    assert_true(resident() > before + 100 * 1000 * 1000);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(mproc_free(blocks[i]), 0);
    assert_true(resident() < before + (40 << 20));
    assert_null(heap_audit());
}

static void a_request_beyond_the_machine_is_enomem(void **state)
{
    (void)state;
    mproc_memory_statistics usage;
    mproc_memory_usage(&usage);
    errno = 0;
    assert_null(mproc_alloc(usage.address_space));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(mproc_alloc((size_t)200 << 30)); /* fits the arena, but no machine that runs this test */
    assert_int_equal(errno, ENOMEM);
    assert_null(heap_audit());
}

/* ---- several processes ---- */

static int child_of(int (*run)(int number), int number, pid_t *pid)
{
    *pid = fork();
    if (*pid == 0)
        _exit(run(number));
    return *pid > 0 ? 0 : -1;
}

static int exit_code(pid_t pid)
{
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static int take_and_give(int number)
{
    enum {
        SLOTS = 64,
        PAIRS = 250000
    };
    unsigned seed = (unsigned)number;
    unsigned char *held[SLOTS] = {NULL};
    size_t sizes[SLOTS];
    for (int i = 0; i < PAIRS + SLOTS; i++) {
        unsigned slot = next_random(&seed) % SLOTS;
        if (i >= PAIRS)
            slot = (unsigned)(i - PAIRS);
        if (held[slot] && (held[slot][0] != number || held[slot][sizes[slot] - 1] != number))
            return 1;
        if (held[slot] && mproc_free(held[slot]))
            return 2;
        held[slot] = NULL;
        if (i >= PAIRS)
            continue;
        sizes[slot] = 1 + next_random(&seed) % (next_random(&seed) % 100 == 0 ? 100000 : 600);
        held[slot] = mproc_alloc(sizes[slot]);
        if (!held[slot])
            return 3;
        held[slot][0] = held[slot][sizes[slot] - 1] = (unsigned char)number;
    }
    return 0;
}

static void a_million_pairs_from_four_processes_leave_nothing(void **state)
{
    (void)state;
    mproc_memory_statistics before;
    mproc_memory_statistics after;
    mproc_memory_usage(&before);
    pid_t pids[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(child_of(take_and_give, i + 1, &pids[i]), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(exit_code(pids[i]), 0);
    member_sweep_all();
    mproc_memory_usage(&after);
    assert_int_equal(after.allocated, before.allocated);
    assert_null(heap_audit());
}

struct exchange {
    _Atomic(void *) box;
    _Atomic(int) stop;
};
static struct exchange *exchange;

static int free_what_comes(int number)
{
    (void)number;
    int freed = 0;
    while (freed < 20000) {
        void *block = atomic_exchange(&exchange->box, NULL);
        if (block && mproc_free(block))
            return 1;
        freed += block != NULL;
        if (!block)
            sched_yield();
    }
    return 0;
}

static void a_block_is_valid_and_free_in_every_process(void **state)
{
    (void)state;
    exchange = mproc_calloc(1, sizeof *exchange);
    pid_t pid;
    assert_int_equal(child_of(free_what_comes, 0, &pid), 0);
    for (int sent = 0; sent < 20000; sent++) {
        void *block = mproc_alloc(sent % 10 == 0 ? 20000 : 48);
        void *empty = NULL;
        while (!atomic_compare_exchange_weak(&exchange->box, &empty, block)) {
            empty = NULL;
            sched_yield();
        }
    }
    assert_int_equal(exit_code(pid), 0);
    mproc_free(exchange);
    assert_null(heap_audit());
}

static int churn_for_ever(int number)
{
    unsigned seed = (unsigned)number;
    while (seed != 0) {
        void *small = mproc_alloc(1 + next_random(&seed) % 9000);
        void *large = next_random(&seed) % 4 ? NULL : mproc_alloc(next_random(&seed) % 300000 + 1);
        mproc_free(small);
        mproc_free(large);
        seed |= 1;
    }
    return 0;
}

static void killed_processes_leave_the_heap_whole(void **state)
{
    (void)state;
    mproc_memory_statistics before;
    mproc_memory_statistics after;
    mproc_memory_usage(&before);
    unsigned seed = 20;
    enum {
        KILLS = 200
    };
    for (int kills = 0; kills < KILLS; kills++) {
        pid_t pids[2];
        for (int i = 0; i < 2; i++)
            assert_int_equal(child_of(churn_for_ever, kills * 2 + i + 1, &pids[i]), 0);
        usleep(500 + next_random(&seed) % 3000);
        for (int i = 0; i < 2; i++) {
            kill(pids[i], SIGKILL);
            assert_int_equal(exit_code(pids[i]), -1);
        }
        member_sweep_all();
        const char *wrong = heap_audit();
        if (wrong)
            fail_msg("after kill %d: %s", kills, wrong);
    }
    mproc_memory_usage(&after);
    /* A block that mproc_alloc() had returned, or that mproc_free() had not begun with, was the dead process's own. */
    size_t most = (size_t)KILLS * 2 * (16384 + 303104);
    assert_true(after.allocated - before.allocated <= most);
    books_forgive();
}

static int take_and_free_for_ever(int size)
{
    while (mproc_free(mproc_alloc((size_t)size)) == 0) {
    }
    return 1;
}

/* Nearly all of the time goes into pages that are taken and given back: the block is not the caller's then. */
static void killed_processes_leak_no_large_block_in_either_call(void **state)
{
    enum {
        KILLS = 60,
        LARGE = 4 << 20
    };
    size_t before = heap_allocated();
    unsigned seed = 7;
    pid_t pid;
    (void)state;
    for (int kills = 0; kills < KILLS; kills++) {
        assert_int_equal(child_of(take_and_free_for_ever, LARGE, &pid), 0);
        usleep(500 + next_random(&seed) % 3000);
        kill(pid, SIGKILL);
        assert_int_equal(exit_code(pid), -1);
    }
    member_sweep_all();
    assert_null(heap_audit());
    assert_true(heap_allocated() - before <= (size_t)KILLS / 10 * LARGE);
    books_forgive();
}

static void an_arena_under_a_file_size_limit_is_smaller(void **state)
{
    (void)state;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        munmap(region.base, region.size);
        region.base = NULL; /* as in a fresh process */
        struct rlimit limit = {.rlim_cur = (rlim_t)1 << 30, .rlim_max = (rlim_t)1 << 30};
        setrlimit(RLIMIT_FSIZE, &limit);
        void *block = mproc_alloc(100000);
        _exit(block && region.size == (size_t)1 << 30 && mproc_free(block) == 0 ? 0 : 1);
    }
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    assert_int_equal(exit_code(pid), 0);
}

static void a_full_arena_is_enomem_and_works_again_after_a_free(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        munmap(region.base, region.size);
        region.base = NULL;
        struct rlimit limit = {.rlim_cur = (rlim_t)1 << 27, .rlim_max = (rlim_t)1 << 27};
        setrlimit(RLIMIT_FSIZE, &limit);
        enum {
            MOST = 100000
        };
        void **blocks = calloc(MOST, sizeof *blocks);
        int count = 0;
        while (count < MOST && (blocks[count] = mproc_alloc(8000)))
            count++;
        if (errno != ENOMEM || count < 5000 || count == MOST || heap_audit())
            _exit(1);
        if (mproc_alloc(100000) || mproc_free(blocks[0]) || !mproc_alloc(8000))
            _exit(2);
        for (int i = 1; i < count; i++) {
            if (mproc_free(blocks[i]))
                _exit(3);
        }
        _exit(mproc_alloc(20 << 20) && !heap_audit() ? 0 : 4);
    }
    assert_int_equal(exit_code(pid), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(blocks_are_aligned_and_as_large_as_asked),
        unit(bad_input_is_told_and_changes_nothing),
        unit(bytes_and_strings_are_copied_into_shared_memory),
        unit(a_double_free_is_refused),
        unit(what_a_dead_process_was_freeing_can_be_freed_directly),
        unit(what_a_process_has_freed_is_free_however_it_ends),
        unit(what_a_process_has_freed_is_no_longer_in_the_books),
        unit(who_dies_while_it_frees_has_freed_or_has_not),
        unit(a_block_that_left_its_place_is_not_freed_from_there),
        unit(calloc_is_zero_also_where_memory_was_used_before),
        unit(realloc_keeps_what_fits),
        unit(a_large_block_goes_back_to_the_kernel),
        unit(what_a_realloc_gives_up_goes_back_to_the_kernel),
        unit(many_small_frees_go_back_to_the_kernel),
        unit(a_request_beyond_the_machine_is_enomem),
        unit(a_million_pairs_from_four_processes_leave_nothing),
        unit(a_block_is_valid_and_free_in_every_process),
        unit(killed_processes_leave_the_heap_whole),
        unit(killed_processes_leak_no_large_block_in_either_call),
        unit(an_arena_under_a_file_size_limit_is_smaller),
        unit(a_full_arena_is_enomem_and_works_again_after_a_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
