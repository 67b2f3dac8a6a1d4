/* The end of groups where /proc is of another pid namespace, or not there: it touches nobody else, and says what it
 * could not do. And the marks by which descendants are found that have no parent. */
#include "groups.h"
#include "harness.h"
#include "namespaces.h"
#include "os/pidfd.h"
#include "os/proc.h"
#include "processes.h"

#include <errno.h>
#include <mproc/memory.h>
#include <mproc/pool.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    BYSTANDERS = 30, /* more than there are low numbers among a member and its descendants */
    STARTED_ALL = 3
};

/* The descendants of a member: each beats as long as it lives, for nothing else tells that everywhere. */
enum descendant {
    CHILD,  /* by fork() */
    ORPHAN, /* by fork(), of a parent that is dead */
    FAMILY, /* by the library, of a parent that is dead */
    DESCENDANTS
};

struct words {
    _Atomic(int) started;
    _Atomic(int) beats[DESCENDANTS];
    _Atomic(int) pids[DESCENDANTS]; /* as they know themselves */
};

static struct words *words;

static _Noreturn void beat(enum descendant which)
{
    signal(SIGTERM, SIG_IGN);
    alarm(60);
    atomic_store(&words->pids[which], getpid());
    for (int i = 0;; i++) {
        atomic_fetch_add(&words->beats[which], 1);
        if (i == 0)
            atomic_fetch_add(&words->started, 1);
        usleep(1000);
    }
}

static int beat_in_family(void *arg)
{
    (void)arg;
    beat(FAMILY);
}

static int start_and_leave(void *arg)
{
    (void)arg;
    start(beat_in_family, NULL, NULL);
    _exit(0);
}

static int have_descendants(void *arg)
{
    (void)arg;
    if (fork() == 0)
        beat(CHILD);
    pid_t middle = fork();
    if (middle == 0) {
        setsid();
        if (fork() == 0)
            beat(ORPHAN);
        _exit(0);
    }
    waitpid(middle, NULL, 0);
    start(start_and_leave, NULL, NULL);
    return sleep_for_ever(NULL);
}

static bool beats(enum descendant which)
{
    int before = atomic_load(&words->beats[which]);
    usleep(100000); /* a hundred of its beats */
    return atomic_load(&words->beats[which]) != before;
}

static mproc_group *make_family_tree(void)
{
    memset(words, 0, sizeof *words);
    mproc_group *group = make_group(false);
    add_member(group, have_descendants, NULL);
    await_value(&words->started, STARTED_ALL);
    return group;
}

/* ---- in a pid namespace ---- */

static int bystand(void *arg)
{
    alarm(60);
    return sleep_for_ever(arg);
}

/* Whoever is signalled by a number of the outer namespace is one of these: they have the low ones. */
static int end_a_group_among_bystanders(void *arg)
{
    const mproc_time *grace = arg;
    pid_t bystanders[BYSTANDERS];
    for (int i = 0; i < BYSTANDERS; i++)
        bystanders[i] = child_start(bystand, NULL);
    mproc_group *group = make_family_tree();
    if (mproc_group_terminate(group, *grace) || mproc_group_size(group))
        return 1;
    for (enum descendant which = 0; which < DESCENDANTS; which++)
        if (beats(which))
            return 2 + (int)which;
    for (int i = 0; i < BYSTANDERS; i++) {
        int status; /* also if it was stopped and continued */
        if (waitpid(bystanders[i], &status, WNOHANG | WUNTRACED | WCONTINUED) != 0)
            return 10 + i;
    }
    mproc_group_free(group);
    return 0;
}

static void a_group_that_ends_touches_nobody_else_whatever_proc_shows(void **state)
{
    mproc_time graces[] = {MPROC_NOWAIT, MPROC_MS(50)};
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(in_pid_namespace(PROC_OWN, end_a_group_among_bystanders, &graces[i]), 0);
        assert_int_equal(in_pid_namespace(PROC_OUTER, end_a_group_among_bystanders, &graces[i]), 0);
    }
}

static int fail_one(void *arg)
{
    int three = 3;
    (void)arg;
    pid_t bystander = child_start(bystand, NULL);
    mproc_group *group = make_group(true);
    add_member(group, have_descendants, NULL);
    await_value(&words->started, STARTED_ALL);
    add_member(group, return_int, &three);
    if (mproc_group_wait_all(group, MPROC_SEC(60)) != MPROC_TASK_FAILED || waitpid(bystander, NULL, WNOHANG))
        return 1;
    mproc_group_free(group);
    return 0;
}

static void a_failure_ends_the_group_and_nobody_else_whatever_proc_shows(void **state)
{
    (void)state;
    memset(words, 0, sizeof *words);
    assert_int_equal(in_pid_namespace(PROC_OUTER, fail_one, NULL), 0);
}

static int look_at_a_worker(void *arg)
{
    mproc_pool *pool;
    mproc_worker_stats stats;
    pid_t pid;
    struct os_proc proc;
    (void)arg;
    if (mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1}))
        return 1;
    int count = mproc_pool_stats(pool, NULL, &stats, 1);
    size_t own = 0;
    int self = os_pidfd_open(getpid());
    if (os_proc_number(self, &pid) || pid == getpid() || os_proc_read(pid, &proc) || os_proc_peak_memory(self, &own))
        return 2;
    close(self);
    mproc_pool_free(pool);
    return count == 1 && stats.peak_memory > 0 && stats.peak_memory < own * 2 ? 0 : 3;
}

static void the_memory_of_a_worker_is_its_own_whatever_proc_shows(void **state)
{
    (void)state;
    assert_int_equal(in_pid_namespace(PROC_OUTER, look_at_a_worker, NULL), 0);
}

/* ---- without /proc ---- */

static int end_a_group_blindly(void *arg)
{
    const mproc_time *grace = arg;
    pid_t bystander = child_start(bystand, NULL);
    mproc_group *group = make_family_tree();
    if (mproc_group_terminate(group, *grace) != -ENOENT || mproc_group_size(group))
        return 1;
    if (beats(FAMILY)) /* which is known by the family's table */
        return 2;
    if (waitpid(bystander, NULL, WNOHANG))
        return 3;
    child_kill(bystander);
    for (enum descendant which = 0; which < FAMILY; which++)
        kill(words->pids[which], SIGKILL);
    mproc_group_free(group);
    return 0;
}

static void without_proc_a_group_ends_its_members_and_says_that_it_knows_of_no_others(void **state)
{
    mproc_time graces[] = {MPROC_NOWAIT, MPROC_MS(50)};
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(without_proc(end_a_group_blindly, &graces[i]), 0);
        assert_int_equal(in_pid_namespace(PROC_NONE, end_a_group_blindly, &graces[i]), 0);
    }
}

static int start_daemon_and_die(void *arg)
{
    (void)arg;
    start(beat_in_family, NULL, &(mproc_process_options){.daemon = true});
    await_value(&words->started, 1);
    raise(SIGKILL);
    return 0;
}

static int tie_blindly(void *arg)
{
    (void)arg;
    memset(words, 0, sizeof *words);
    if (in_child(start_daemon_and_die, NULL) != -SIGKILL)
        return 1;
    for (int i = 0; i < 100 && beats(FAMILY); i++) {
    }
    return beats(FAMILY) ? 2 : 0;
}

static void without_proc_daemons_die_with_their_killed_parent_too(void **state)
{
    (void)state;
    assert_int_equal(without_proc(tie_blindly, NULL), 0);
}

/* ---- marks ---- */

/* As setproctitle() does it: the environment as the kernel shows it is overwritten. */
static void overwrite_environment(void)
{
    char *last = environ[0];
    if (!last)
        return;
    for (char **at = environ; *at; at++)
        last = *at + strlen(*at);
    memset(environ[0], 0, (size_t)(last - environ[0]));
}

/* What the member executes: it leaves a daemon in the old way. */
static int be_daemon(const char *file)
{
    setsid();
    if (fork() || fork())
        _exit(0);
    overwrite_environment();
    FILE *output = fopen(file, "w");
    fprintf(output, "%d\n", (int)getpid());
    fclose(output);
    closefrom(0);
    alarm(60);
    return sleep_for_ever(NULL);
}

static int execute_daemon(void *arg)
{
    execl("/proc/self/exe", "daemon", "--daemon", (char *)arg, (char *)NULL);
    return 1;
}

static pid_t pid_in(const char *file)
{
    int pid = 0;
    FILE *input = fopen(file, "r");
    if (input && fscanf(input, "%d\n", &pid) != 1)
        pid = 0;
    if (input)
        fclose(input);
    return pid;
}

static bool is_written(void *file)
{
    return pid_in(file) > 0;
}

static void a_daemon_that_overwrote_its_environment_ends_with_its_group(void **state)
{
    char file[] = "/tmp/mproc-test-XXXXXX";
    const enum mproc_start_method methods[] = {MPROC_START_FORK, MPROC_START_SPAWN, MPROC_START_FORKSERVER};
    (void)state;
    close(mkstemp(file));
    for (int i = 0; i < 3; i++) {
        truncate(file, 0);
        mproc_group *group = make_group(false);
        const mproc_process_options options = {.method = methods[i], .arg_size = sizeof file};
        assert_int_equal(mproc_group_start(group, NULL, execute_daemon, file, &options), 0);
        assert_true(wait_until(is_written, file, PATIENCE_MS));
        assert_int_equal(mproc_group_wait_all(group, MPROC_MS(PATIENCE_MS)), 0);
        pid_t pid = pid_in(file);
        assert_false(is_gone(pid));
        assert_int_equal(mproc_group_terminate(group, MPROC_NOWAIT), 0);
        assert_true(is_gone(pid));
        mproc_group_free(group);
    }
    unlink(file);
}

static int tell_limits(void *arg)
{
    struct rlimit limit, before = *(struct rlimit *)arg;
    getrlimit(RLIMIT_LOCKS, &limit);
    return limit.rlim_max != before.rlim_max;
}

static void the_mark_takes_nothing_that_a_member_may(void **state)
{
    struct rlimit before, after;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_LOCKS, &before), 0);
    mproc_group *group = make_group(false);
    add_member(group, tell_limits, &before);
    assert_int_equal(mproc_group_wait_all(group, MPROC_MS(PATIENCE_MS)), 0);
    mproc_group_free(group);
    assert_int_equal(getrlimit(RLIMIT_LOCKS, &after), 0);
    assert_memory_equal(&before, &after, sizeof before);
}

/* ---- proof ---- */

static void a_process_that_is_not_the_one_that_was_read_gets_no_descriptor(void **state)
{
    struct os_proc proc;
    (void)state;
    pid_t child = child_start(sleep_for_ever, NULL);
    assert_int_equal(os_proc_read(child, &proc), 0);
    int fd = os_proc_open(&proc);
    assert_true(fd >= 0);
    close(fd);
    proc.start--;
    assert_int_equal(os_proc_open(&proc), -ESRCH);
    proc.start++;
    child_kill(child);
    assert_int_equal(os_proc_open(&proc), -ESRCH);
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--daemon") == 0)
        return be_daemon(argv[2]);
    mproc_init();
    words = mproc_calloc(1, sizeof *words);
    const struct CMUnitTest tests[] = {
        unit(a_group_that_ends_touches_nobody_else_whatever_proc_shows),
        unit(a_failure_ends_the_group_and_nobody_else_whatever_proc_shows),
        unit(the_memory_of_a_worker_is_its_own_whatever_proc_shows),
        unit(without_proc_a_group_ends_its_members_and_says_that_it_knows_of_no_others),
        unit(without_proc_daemons_die_with_their_killed_parent_too),
        unit(a_daemon_that_overwrote_its_environment_ends_with_its_group),
        unit(the_mark_takes_nothing_that_a_member_may),
        unit(a_process_that_is_not_the_one_that_was_read_gets_no_descriptor),
    };
    return cmocka_run_group_tests(tests, warm_up_with_server, NULL);
}
