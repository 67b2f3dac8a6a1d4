/* The arena in narrow places: limits on files and on locked memory, and address space that somebody else has. Each case
 * is a fresh run of this program, which has no arena yet. */
#include "arena/region.h"
#include "children.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB       ((rlim_t)1 << 20)
#define HOG       "MPROC_TEST_HOG"
#define LARGE     ((size_t)20 << 20)
#define RUN_FIRST 2 /* arguments before those of a case */

/* ---- helpers ---- */

/* Run this program anew for a case, with a number for it. Its exit code, or minus its signal. */
static int execute(const char *name, unsigned long long number)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", number);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "test_region", name, text, NULL);
        _exit(126);
    }
    return child_finish(pid);
}

static int add_one(void *arg)
{
    return (*(_Atomic(int) *)arg)++;
}

static int start_one(_Atomic(int) *word, enum mproc_start_method method)
{
    mproc_process *process;
    int code = -1;
    int result = mproc_process_start(&process, add_one, word, &(mproc_process_options){.method = method});
    if (result)
        return result;
    result = mproc_process_join(process, MPROC_SEC(60));
    if (!result)
        result = mproc_process_exitcode(process, &code);
    mproc_process_free(process);
    return result ? result : code;
}

/* Memory that a child took can be touched here at once. */
static int leave_memory(void *arg)
{
    unsigned char *block = mproc_alloc(LARGE);
    if (block)
        memset(block, 1, LARGE);
    *(unsigned char **)arg = block;
    return 0;
}

static int use_what_a_child_takes(void)
{
    mproc_process *process;
    unsigned char **place = mproc_calloc(1, sizeof *place);
    if (!place || mproc_process_start(&process, leave_memory, place, NULL) ||
        mproc_process_join(process, MPROC_SEC(60)) || !*place)
        return 1;
    mproc_process_free(process);
    for (size_t i = 0; i < LARGE; i++)
        if ((*place)[i] != 1)
            return 2;
    return mproc_free(*place) || mproc_free(place);
}

static int use_a_queue(void)
{
    mproc_queue *queue;
    char text[4];
    if (mproc_queue_create(&queue, NULL) || mproc_queue_put(queue, "abc", 4, MPROC_SEC(1)) ||
        mproc_queue_get(queue, text, 4, NULL, MPROC_SEC(1)))
        return 1;
    mproc_queue_free(queue);
    return 0;
}

static int use_all(void)
{
    _Atomic(int) *word = mproc_calloc(1, sizeof *word);
    if (!word || use_a_queue() || use_what_a_child_takes())
        return 10;
    for (int method = MPROC_START_FORK; method <= MPROC_START_FORKSERVER; method++)
        if (start_one(word, (enum mproc_start_method)method) != method - MPROC_START_FORK)
            return 10 + method;
    return 0;
}

/* ---- a limit on the size of files ---- */

static int limit_files(rlim_t limit)
{
    return setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, RLIM_INFINITY});
}

static int begin_under_a_file_limit(unsigned long long limit)
{
    limit_files(limit);
    void *block = mproc_alloc(1000);
    if (!block)
        return errno == EFBIG && limit < 128 * MIB ? 0 : 1;
    return limit < 128 * MIB || use_what_a_child_takes();
}

static void a_small_file_limit_makes_the_arena_small_or_is_an_error(void **state)
{
    const rlim_t limits[] = {0, 1, 4096, MIB, 100 * MIB, 128 * MIB - 1, 128 * MIB, 200 * MIB + 5, 1024 * MIB};
    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        assert_int_equal(execute("files", limits[i]), 0);
}

static int go_on_under_a_file_limit(unsigned long long limit)
{
    mproc_shared_memory *memory;
    _Atomic(int) *word = mproc_calloc(1, sizeof *word);
    char name[64], path[80];
    if (!word)
        return 1;
    snprintf(name, sizeof name, "mproc-test-%d", (int)getpid());
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    limit_files(limit);
    if (use_what_a_child_takes() || start_one(word, MPROC_START_FORK) != 0)
        return 2;
    int spawned = start_one(word, MPROC_START_SPAWN);
    int served = start_one(word, MPROC_START_FORKSERVER);
    if ((spawned != 1 && spawned != -EFBIG) || (served != 2 && served != -EFBIG))
        return 3;
    if (mproc_shared_memory_create(&memory, name, 2 * MIB) != -EFBIG || memory)
        return 4;
    return access(path, F_OK) == 0 ? 5 : 0;
}

static void a_file_limit_that_is_set_later_gives_errors_and_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(execute("files-later", 0), 0);
    assert_int_equal(execute("files-later", 4096), 0);
    assert_int_equal(execute("files-later", MIB), 0);
}

static int save_under_a_file_limit(unsigned long long limit)
{
    char path[] = "/tmp/mproc-test-XXXXXX";
    mproc_manager *manager;
    mproc_dict *dict;
    static char text[100000];
    close(mkstemp(path));
    unlink(path);
    memset(text, 'x', sizeof text - 1);
    mproc_free(mproc_alloc(1));
    limit_files(limit);
    if (mproc_manager_create(&manager, &(mproc_manager_options){.snapshot_file = path}) ||
        mproc_manager_dict(manager, &dict, "d", MPROC_SEC(20)) ||
        mproc_dict_set(dict, mproc_string("k"), mproc_string(text), MPROC_SEC(20)))
        return 1;
    int result = mproc_manager_save(manager, MPROC_SEC(20));
    mproc_dict *again;
    if (mproc_manager_dict(manager, &again, "d", MPROC_SEC(20))) /* the server goes on */
        return 2;
    mproc_dict_free(again);
    mproc_dict_free(dict);
    mproc_manager_free(manager);
    bool is_there = access(path, F_OK) == 0;
    unlink(path);
    return result == -EFBIG && !is_there ? 0 : 3;
}

static void a_snapshot_that_is_too_large_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(execute("snapshot", 20000), 0);
    assert_int_equal(execute("snapshot", 0), 0);
}

/* ---- locked memory ---- */

static int become_nobody(void)
{
    return setgroups(0, NULL) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534);
}

/* Locked bytes of this process. */
static size_t locked(void)
{
    char line[256];
    size_t size = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "VmLck:", 6) == 0)
            size = strtoul(line + 6, NULL, 10) * 1024;
    if (file)
        fclose(file);
    return size;
}

/* mlockall() comes first. */
static int begin_locked(unsigned long long as_nobody)
{
    if ((as_nobody && become_nobody()) || mlockall(MCL_CURRENT | MCL_FUTURE))
        return 77;
    size_t before = locked();
    unsigned char *block = mproc_alloc(MIB);
    if (!block || locked() < before + MIB || locked() > before + 8 * MIB)
        return 1;
    int result = use_all();
    if (result)
        return result;
    return locked() < before + 40 * MIB ? 0 : 2;
}

static int lock_later(unsigned long long as_nobody)
{
    if (as_nobody && become_nobody())
        return 77;
    if (use_a_queue())
        return 1;
    if (mlockall(MCL_CURRENT | MCL_FUTURE))
        return errno == EPERM ? 77 : 2;
    return use_all();
}

static void locked_memory_is_what_is_used(void **state)
{
    const char *const names[] = {"locked", "lock-later"};
    (void)state;
    if (geteuid() != 0)
        skip();
    for (int i = 0; i < 4; i++) {
        int result = execute(names[i / 2], (unsigned)i % 2);
        if (result != 77) /* this machine lets nobody lock as much as a program needs */
            assert_int_equal(result, 0);
    }
}

/* ---- address space ---- */

/* Where something is already, nothing need be taken. */
static void take_range(uintptr_t begin, uintptr_t end)
{
    (void)mmap((void *)begin, end - begin, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
               -1, 0);
}

/* In a child only: the place that its parent's arena has, before the library comes to it. */
__attribute__((constructor)) static void take_the_place(void)
{
    const char *place = getenv(HOG);
    if (place)
        take_range(strtoul(place, NULL, 16), strtoul(place, NULL, 16) + (16 << 20));
}

enum taken {
    BELOW_THE_STACK = 1,
    MIDDLE = 2,
    PLACES_OF_SANITIZERS = 4,
    ALL_TAKEN = 7
};

static int begin_beside(unsigned long long taken)
{
    if (taken & BELOW_THE_STACK)
        (void)mmap(NULL, (size_t)2 << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (taken & MIDDLE)
        take_range(0x200000000000, 0x4c0000000000);
    if (taken & PLACES_OF_SANITIZERS)
        take_range(0x550000000000, 0x554000000000);
    return use_all();
}

static void address_space_that_others_have_is_left_to_them(void **state)
{
    (void)state;
    for (unsigned taken = 0; taken <= ALL_TAKEN; taken++)
        assert_int_equal(execute("beside", taken), 0);
}

static int start_where_it_is_taken(unsigned long long unused)
{
    char place[32];
    mproc_pool *pool;
    _Atomic(int) *word = mproc_calloc(1, sizeof *word);
    (void)unused;
    snprintf(place, sizeof place, "%zx", (size_t)(uintptr_t)region.base);
    setenv(HOG, place, 1);
    if (!word || start_one(word, MPROC_START_SPAWN) != -EEXIST || start_one(word, MPROC_START_FORKSERVER) != -EEXIST ||
        start_one(word, MPROC_START_FORK) != 0)
        return 1;
    int result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1, .method = MPROC_START_SPAWN});
    return result == -EEXIST ? 0 : 2;
}

static void a_child_whose_place_is_taken_is_not_started(void **state)
{
    (void)state;
    assert_int_equal(execute("taken-in-child", 0), 0);
}

static int say_place(unsigned long long fd)
{
    void *block = mproc_alloc(1);
    return write((int)fd, &block, sizeof block) == sizeof block ? 0 : 1;
}

static void families_lie_at_different_places(void **state)
{
    uintptr_t places[8];
    int ends[2], different = 0;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(execute("place", (unsigned)ends[1]), 0);
        assert_int_equal(read(ends[0], &places[i], sizeof places[i]), sizeof places[i]);
        different += places[i] != places[0];
    }
    close(ends[0]);
    close(ends[1]);
#ifndef __SANITIZE_THREAD__
    assert_true(different > 0);
#endif
}

static int run_case(const char *name, unsigned long long number)
{
    const struct {
        const char *name;
        int (*run)(unsigned long long number);
    } cases[] = {
        {"files", begin_under_a_file_limit},
        {"files-later", go_on_under_a_file_limit},
        {"snapshot", save_under_a_file_limit},
        {"locked", begin_locked},
        {"lock-later", lock_later},
        {"beside", begin_beside},
        {"taken-in-child", start_where_it_is_taken},
        {"place", say_place},
    };
    alarm(100);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(name, cases[i].name) == 0)
            return cases[i].run(number);
    return 125;
}

int main(int argc, char **argv)
{
    mproc_init();
    if (argc > RUN_FIRST)
        return run_case(argv[1], strtoull(argv[2], NULL, 10));
    const struct CMUnitTest tests[] = {
        unit(a_small_file_limit_makes_the_arena_small_or_is_an_error),
        unit(a_file_limit_that_is_set_later_gives_errors_and_leaves_nothing),
        unit(a_snapshot_that_is_too_large_is_an_error),
        unit(locked_memory_is_what_is_used),
        unit(address_space_that_others_have_is_left_to_them),
        unit(a_child_whose_place_is_taken_is_not_started),
        unit(families_lie_at_different_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
