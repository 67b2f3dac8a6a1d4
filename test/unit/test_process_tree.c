/* What becomes of children when their parent ends, in whatever way, and what a child does at its own end. */
#include "children.h"
#include "harness.h"
#include "processes.h"

#include <errno.h>
#include <mproc/memory.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PLACES = 8
};

/* What the processes of one test tell each other; in shared memory. */
struct words {
    enum mproc_start_method method;
    bool daemon;
    _Atomic(int) pid;        /* of the child */
    _Atomic(int) ready;      /* the child runs */
    _Atomic(int) go;         /* the child may end */
    _Atomic(int) ended;      /* the child has ended by itself */
    _Atomic(int) order;      /* counts up */
    _Atomic(int) at[PLACES]; /* what order was when something happened, and other numbers */
};

static int wait_for_go(void *arg)
{
    struct words *words = arg;
    atomic_store(&words->ready, 1);
    if (!await_word(&words->go))
        return 1;
    atomic_store(&words->ended, 1);
    return 0;
}

static mproc_process *start_waiting(struct words *words)
{
    mproc_process *process =
        start(wait_for_go, words, &(mproc_process_options){.method = words->method, .daemon = words->daemon});
    atomic_store(&words->pid, mproc_process_pid(process));
    await_word(&words->ready);
    return process;
}

static const enum mproc_start_method methods[] = {MPROC_START_FORK, MPROC_START_SPAWN, MPROC_START_FORKSERVER};

/* Run a test body with the words set up for each method. */
static void for_each_method(void (*body)(struct words *words))
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        struct words *words = shared(sizeof *words);
        words->method = methods[i];
        body(words);
        shared_free(words);
    }
}

/* ---- the parent dies ---- */

static int start_and_sleep(void *arg)
{
    start_waiting(arg);
    return sleep_for_ever(NULL);
}

static void kill_the_parent_of_a_daemon(struct words *words)
{
    words->daemon = true;
    pid_t host = program_start(start_and_sleep, words);
    assert_true(await_word(&words->ready));
    assert_true(await_word(&words->pid));
    assert_false(is_gone(words->pid));
    child_kill(host);
    assert_true(await_gone(words->pid));
    assert_false(atomic_load(&words->ended));
}

static void a_daemon_dies_with_its_killed_parent(void **state)
{
    (void)state;
    for_each_method(kill_the_parent_of_a_daemon);
}

static void kill_the_parent_of_another(struct words *words)
{
    pid_t host = program_start(start_and_sleep, words);
    assert_true(await_word(&words->pid));
    child_kill(host);
    assert_false(is_gone(words->pid));
    atomic_store(&words->go, 1);
    assert_true(await_gone(words->pid));
    assert_true(atomic_load(&words->ended));
}

static void a_child_that_is_no_daemon_survives_its_killed_parent(void **state)
{
    (void)state;
    for_each_method(kill_the_parent_of_another);
}

static int start_daemons_at_once(void *arg)
{
    struct words *words = arg;
    for (int i = 0; i < PLACES; i++) {
        mproc_process *process =
            start(sleep_for_ever, NULL, &(mproc_process_options){.method = words->method, .daemon = true});
        atomic_store(&words->at[i], mproc_process_pid(process));
    }
    raise(SIGKILL);
    return 0;
}

/* The death of the parent comes before, while and after a daemon is tied to it. */
static void let_the_parent_die_at_once(struct words *words)
{
    for (int i = 0; i < 5; i++) {
        assert_int_equal(child_finish(program_start(start_daemons_at_once, words)), -SIGKILL);
        for (int k = 0; k < PLACES; k++)
            assert_true(await_gone(words->at[k]));
    }
}

static void a_daemon_dies_with_a_parent_that_dies_at_once(void **state)
{
    (void)state;
    for_each_method(let_the_parent_die_at_once);
}

static void *start_from_thread(void *arg)
{
    start_waiting(arg);
    return NULL;
}

static int start_by_thread_that_ends(void *arg)
{
    struct words *words = arg;
    pthread_t thread;
    pthread_create(&thread, NULL, start_from_thread, words);
    pthread_join(thread, NULL);
    atomic_store(&words->at[0], 1);
    return sleep_for_ever(NULL);
}

static void end_the_thread_that_starts_a_daemon(struct words *words)
{
    words->daemon = true;
    pid_t host = program_start(start_by_thread_that_ends, words);
    assert_true(await_word(&words->at[0]));
    usleep(20000); /* a death signal would have come by now */
    assert_false(is_gone(words->pid));
    child_kill(host);
    assert_true(await_gone(words->pid));
}

static void a_daemon_survives_the_thread_that_started_it(void **state)
{
    (void)state;
    for_each_method(end_the_thread_that_starts_a_daemon);
}

static void *sleep_in_thread(void *arg)
{
    struct words *words = arg;
    await_word(&words->go);
    return NULL;
}

static int end_the_main_thread(void *arg)
{
    pthread_t thread;
    start_waiting(arg);
    pthread_create(&thread, NULL, sleep_in_thread, arg);
    atomic_store(&((struct words *)arg)->at[0], 1);
    pthread_exit(NULL);
}

static void a_daemon_survives_the_main_thread_of_its_parent(void **state)
{
    struct words *words = shared(sizeof *words);
    (void)state;
    words->method = MPROC_START_FORK;
    words->daemon = true;
    pid_t host = program_start(end_the_main_thread, words);
    assert_true(await_word(&words->at[0]));
    usleep(20000);
    assert_false(is_gone(words->pid));
    child_kill(host);
    assert_true(await_gone(words->pid));
    shared_free(words);
}

static int fork_and_start_daemon(void *arg)
{
    struct words *words = arg;
    start_waiting(arg);
    pid_t other = fork(); /* has a copy of every descriptor of ours */
    if (other == 0)
        _exit(sleep_for_ever(NULL));
    atomic_store(&words->at[0], other);
    return sleep_for_ever(NULL);
}

static void a_process_forked_by_the_program_does_not_keep_its_daemons_alive(void **state)
{
    struct words *words = shared(sizeof *words);
    (void)state;
    words->method = MPROC_START_FORK;
    words->daemon = true;
    pid_t host = program_start(fork_and_start_daemon, words);
    assert_true(await_word(&words->at[0]));
    child_kill(host);
    assert_true(await_gone(words->pid));
    assert_false(is_gone(words->at[0]));
    kill(words->at[0], SIGKILL);
    shared_free(words);
}

static int start_before_and_after_a_change_of_user(void *arg)
{
    struct words *words = arg;
    const mproc_process_options daemon = {.daemon = true};
    mproc_process *first = start(sleep_for_ever, NULL, &daemon);
    if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
        return 1;
    mproc_process *second = start(sleep_for_ever, NULL, &daemon);
    atomic_store(&words->at[0], mproc_process_pid(first));
    atomic_store(&words->at[1], mproc_process_pid(second));
    return sleep_for_ever(NULL);
}

static void daemons_die_with_a_parent_that_became_another_user(void **state)
{
    struct words *words = shared(sizeof *words);
    (void)state;
    pid_t host = child_start(start_before_and_after_a_change_of_user, words);
    assert_true(await_word(&words->at[1]));
    child_kill(host);
    assert_true(await_gone(words->at[0]));
    assert_true(await_gone(words->at[1]));
    shared_free(words);
}

static int start_as_root_and_leave_as_another(void *arg)
{
    struct words *words = arg;
    mproc_process *first = start(sleep_for_ever, NULL, &(mproc_process_options){.daemon = true});
    atomic_store(&words->at[0], mproc_process_pid(first));
    return setgid(65534) || setuid(65534) ? 1 : 4;
}

static void a_program_exits_without_the_daemons_that_it_may_no_longer_kill(void **state)
{
    struct words *words = shared(sizeof *words);
    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: it takes root to become another user\n");
        shared_free(words);
        skip();
    }
    assert_int_equal(child_finish(program_start(start_as_root_and_leave_as_another, words)), 4);
    assert_true(await_gone(words->at[0]));
    shared_free(words);
}

/* ---- a daemon that has nothing left of the library ---- */

static int become_sleep(void *arg)
{
    (void)arg;
    execlp("sleep", "sleep", "1000", (char *)NULL);
    return 1;
}

static int close_all(void *arg)
{
    struct words *words = arg;
    closefrom(0);
    atomic_fetch_add(&words->ready, 1);
    return sleep_for_ever(NULL);
}

static int close_all_and_become_sleep(void *arg)
{
    closefrom(3);
    return become_sleep(arg);
}

static bool is_sleep(void *pid)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", *(int *)pid);
    FILE *file = fopen(path, "re");
    bool is = file && fgets(name, sizeof name, file) && strcmp(name, "sleep\n") == 0;
    if (file)
        fclose(file);
    return is;
}

/* A host of such daemons: what they do, and whether it then executes a program itself. */
struct bare {
    struct words words;
    mproc_target *target;
    bool executes;
};

static int start_bare_daemons(void *arg)
{
    struct bare *bare = arg;
    for (int i = 0; i < PLACES; i++) {
        mproc_process *process =
            start(bare->target, &bare->words, &(mproc_process_options){.method = bare->words.method, .daemon = true});
        atomic_store(&bare->words.at[i], mproc_process_pid(process));
    }
    if (bare->executes)
        execl("/bin/sleep", "another", "1000", (char *)NULL);
    return sleep_for_ever(NULL);
}

static bool all_are_bare(void *arg)
{
    struct bare *bare = arg;
    bool closes = bare->target == close_all;
    for (int i = 0; i < PLACES; i++)
        if (!bare->words.at[i] || (!closes && !is_sleep(&bare->words.at[i])))
            return false;
    return !closes || atomic_load(&bare->words.ready) == PLACES;
}

static void expect_bare_daemons_to_die(enum mproc_start_method method, mproc_target *target)
{
    struct bare *bare = shared(sizeof *bare);
    *bare = (struct bare){.words = {.method = method}, .target = target};
    pid_t host = program_start(start_bare_daemons, bare);
    assert_true(wait_until(all_are_bare, bare, PATIENCE_MS));
    for (int i = 0; i < PLACES; i++)
        assert_false(is_gone(bare->words.at[i]));
    child_kill(host);
    for (int i = 0; i < PLACES; i++)
        assert_true(await_gone(bare->words.at[i]));
    shared_free(bare);
}

static void daemons_that_executed_a_program_die_with_their_killed_parent(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        expect_bare_daemons_to_die(methods[i], become_sleep);
}

static void daemons_that_closed_all_descriptors_die_with_their_killed_parent(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        expect_bare_daemons_to_die(methods[i], close_all);
        expect_bare_daemons_to_die(methods[i], close_all_and_become_sleep);
    }
}

static void daemons_that_executed_a_program_die_when_their_parent_executes_one(void **state)
{
    struct bare *bare = shared(sizeof *bare);
    (void)state;
    *bare = (struct bare){.words = {.method = MPROC_START_FORK}, .target = become_sleep, .executes = true};
    pid_t host = program_start(start_bare_daemons, bare);
    assert_true(wait_until(is_sleep, &host, PATIENCE_MS));
    for (int i = 0; i < PLACES; i++)
        assert_true(await_gone(bare->words.at[i]));
    child_kill(host);
    shared_free(bare);
}

static int become_sleep_at_once(void *arg)
{
    struct words *words = arg;
    for (int i = 0; i < PLACES; i++) {
        mproc_process *process = start(become_sleep, NULL, &(mproc_process_options){.daemon = true});
        atomic_store(&words->at[i], mproc_process_pid(process));
    }
    raise(SIGKILL);
    return 0;
}

static void a_daemon_that_executes_while_its_parent_dies_dies_too(void **state)
{
    struct words *words = shared(sizeof *words);
    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(child_finish(program_start(become_sleep_at_once, words)), -SIGKILL);
        for (int k = 0; k < PLACES; k++)
            assert_true(await_gone(words->at[k]));
    }
    shared_free(words);
}

/* ---- the parent exits ---- */

static int start_and_return(void *arg)
{
    start_waiting(arg);
    return 3;
}

static void let_the_parent_exit(struct words *words)
{
    pid_t host = program_start(start_and_return, words);
    assert_true(await_word(&words->pid));
    usleep(20000);
    assert_int_equal(waitpid(host, NULL, WNOHANG), 0); /* it waits for its child */
    assert_false(is_gone(words->pid));
    atomic_store(&words->go, 1);
    assert_int_equal(child_finish(host), 3);
    assert_true(atomic_load(&words->ended));
    assert_true(is_gone(words->pid));
}

static void a_program_that_exits_joins_its_children(void **state)
{
    (void)state;
    for_each_method(let_the_parent_exit);
}

/* A program whose stderr is a file, and which waits for more than a second for its processes. */
static int return_with_stderr_in(void *arg)
{
    struct words *words = arg;
    char path[64];
    snprintf(path, sizeof path, "/tmp/mproc-test-%d", atomic_load(&words->at[0]));
    if (!freopen(path, "w", stderr))
        return 1;
    start(wait_for_go, words, &(mproc_process_options){.name = "slow one"});
    mproc_process_free(start(wait_for_go, words, &(mproc_process_options){.name = "another"}));
    start(sleep_for_ever, NULL, &(mproc_process_options){.name = "a daemon", .daemon = true});
    return 0;
}

static bool has_line(void *path)
{
    char line[512];
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    bool has = fgets(line, sizeof line, file) && strstr(line, "main()") && strstr(line, "2 of its processes") &&
               strstr(line, "slow one") && strstr(line, "another") && !strstr(line, "a daemon");
    fclose(file);
    return has;
}

static void a_program_that_waits_for_its_children_says_for_whom(void **state)
{
    struct words *words = shared(sizeof *words);
    char path[64];
    (void)state;
    atomic_store(&words->at[0], getpid());
    snprintf(path, sizeof path, "/tmp/mproc-test-%d", (int)getpid());
    pid_t host = program_start(return_with_stderr_in, words);
    assert_true(wait_until(has_line, path, PATIENCE_MS));
    atomic_store(&words->go, 1);
    assert_int_equal(child_finish(host), 0);
    unlink(path);
    shared_free(words);
}

static int start_free_and_return(void *arg)
{
    mproc_process_free(start_waiting(arg));
    return 3;
}

static void a_program_that_exits_joins_children_without_handle_too(void **state)
{
    struct words *words = shared(sizeof *words);
    (void)state;
    words->method = MPROC_START_FORK;
    pid_t host = program_start(start_free_and_return, words);
    assert_true(await_word(&words->pid));
    atomic_store(&words->go, 1);
    assert_int_equal(child_finish(host), 3);
    assert_true(atomic_load(&words->ended));
    shared_free(words);
}

static void let_the_parent_of_a_daemon_exit(struct words *words)
{
    words->daemon = true;
    assert_int_equal(child_finish(program_start(start_and_return, words)), 3);
    assert_true(is_gone(words->pid));
    assert_false(atomic_load(&words->ended));
}

static void a_program_that_exits_kills_its_daemons(void **state)
{
    (void)state;
    for_each_method(let_the_parent_of_a_daemon_exit);
}

static void a_child_that_returns_does_as_a_program_does(void **state)
{
    struct words *words = shared(sizeof *words);
    (void)state;
    words->method = MPROC_START_FORK;
    mproc_process *process = start(start_and_return, words, NULL);
    assert_true(await_word(&words->pid));
    assert_int_equal(mproc_process_join(process, MPROC_MS(20)), MPROC_TIMEOUT);
    atomic_store(&words->go, 1);
    assert_int_equal(finish(process), 3);
    assert_true(atomic_load(&words->ended));
    memset(words, 0, sizeof *words);
    words->method = MPROC_START_FORK;
    words->daemon = true;
    assert_int_equal(run(start_and_return, words, NULL), 3);
    assert_true(is_gone(words->pid));
    assert_false(atomic_load(&words->ended));
    shared_free(words);
}

static int fork_and_exit(void *arg)
{
    struct words *words = arg;
    start_waiting(words);
    pid_t other = fork();
    if (other == 0)
        exit(0);
    int code = child_finish(other);
    atomic_store(&words->at[0], is_gone(words->pid) ? 2 : 1);
    atomic_store(&words->go, 1);
    return code;
}

static void a_process_forked_by_the_program_leaves_its_children_alone(void **state)
{
    struct words *words = shared(sizeof *words);
    (void)state;
    words->method = MPROC_START_FORK;
    words->daemon = true;
    assert_int_equal(child_finish(program_start(fork_and_exit, words)), 0);
    assert_int_equal(atomic_load(&words->at[0]), 1);
    shared_free(words);
}

static int start_another_kind(void *arg)
{
    mproc_process *process;
    (void)arg;
    if (mproc_process_start(&process, sleep_for_ever, NULL, NULL) != -EPERM || process)
        return 1;
    process = start(sleep_for_ever, NULL, &(mproc_process_options){.daemon = true});
    mproc_process_kill(process);
    return finish(process) == -SIGKILL ? 0 : 2;
}

static void children_of_a_daemon_are_daemons(void **state)
{
    (void)state;
    assert_int_equal(run(start_another_kind, NULL, &(mproc_process_options){.daemon = true}), 0);
}

/* ---- the end of a child ---- */

static struct words *noted;

static void note(int place)
{
    atomic_store(&noted->at[place], atomic_fetch_add(&noted->order, 1) + 1);
}

static void note_0(void)
{
    note(0);
}

static void note_1(void)
{
    note(1);
}

static void note_parent(void)
{
    note(2);
}

static int register_handlers(void *arg)
{
    noted = arg;
    atexit(note_0);
    atexit(note_1);
    return 5;
}

static int register_and_run(void *arg)
{
    noted = arg;
    atexit(note_parent);
    int code = run(register_handlers, arg, NULL);
    return atomic_load(&noted->at[2]) == 0 ? code : 99;
}

static void a_child_runs_its_own_exit_handlers_and_not_its_parents(void **state)
{
    struct words *words = shared(sizeof *words);
    (void)state;
    assert_int_equal(child_finish(program_start(register_and_run, words)), 5);
    assert_int_equal(words->at[1], 1);
    assert_int_equal(words->at[0], 2);
    assert_int_equal(words->at[2], 3);
    shared_free(words);
}

static FILE *output;

static int print_more(void *arg)
{
    (void)arg;
    fputs(" by the child\n", output);
    printf(" said the child\n");
    return 0;
}

static int print_and_start(void *arg)
{
    const char *path = arg;
    if (!freopen(path, "a", stdout))
        return 1;
    output = fopen(path, "a");
    fputs("written by the parent,", output);
    finish(start(print_more, NULL, NULL));
    printf("hello");
    fflush(output);
    finish(start(print_more, NULL, NULL));
    fclose(output);
    return 0;
}

static void what_is_buffered_is_written_once(void **state)
{
    char path[] = "/tmp/mproc-test-XXXXXX", text[256] = "";
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(child_finish(program_start(print_and_start, path)), 0);
    FILE *file = fdopen(fd, "r");
    size_t size = fread(text, 1, sizeof text - 1, file);
    text[size] = '\0';
    fclose(file);
    unlink(path);
    int commas = 0, children = 0, hellos = 0, sayings = 0;
    for (const char *at = text; *at; at++) {
        commas += *at == ',';
        children += strncmp(at, "by the child", 12) == 0;
        sayings += strncmp(at, "said the child", 14) == 0;
        hellos += strncmp(at, "hello", 5) == 0;
    }
    assert_int_equal(commas, 1);
    assert_int_equal(hellos, 1);
    assert_int_equal(children, 2);
    assert_int_equal(sayings, 2);
}

static void *read_line(void *arg)
{
    char line[64];
    return fgets(line, sizeof line, arg);
}

static int start_while_a_thread_reads(void *arg)
{
    int ends[2];
    pthread_t thread;
    (void)arg;
    if (pipe(ends))
        return 1;
    FILE *input = fdopen(ends[0], "r");
    pthread_create(&thread, NULL, read_line, input);
    usleep(20000); /* it sleeps in the read, most probably, and holds the stream */
    int code = run(return_int, &(int){0}, NULL);
    if (write(ends[1], "\n", 1) != 1)
        return 2;
    pthread_join(thread, NULL);
    return code;
}

static void a_thread_that_reads_a_stream_holds_up_no_start(void **state)
{
    (void)state;
    assert_int_equal(child_finish(program_start(start_while_a_thread_reads, NULL)), 0);
}

int main(void)
{
    mproc_init();
    const struct CMUnitTest tests[] = {
        unit(a_daemon_dies_with_its_killed_parent),
        unit(a_child_that_is_no_daemon_survives_its_killed_parent),
        unit(a_daemon_dies_with_a_parent_that_dies_at_once),
        unit(a_daemon_survives_the_thread_that_started_it),
        unit(a_daemon_survives_the_main_thread_of_its_parent),
        unit(a_process_forked_by_the_program_does_not_keep_its_daemons_alive),
        unit(daemons_die_with_a_parent_that_became_another_user),
        unit(a_program_exits_without_the_daemons_that_it_may_no_longer_kill),
        unit(daemons_that_executed_a_program_die_with_their_killed_parent),
        unit(daemons_that_closed_all_descriptors_die_with_their_killed_parent),
        unit(daemons_that_executed_a_program_die_when_their_parent_executes_one),
        unit(a_daemon_that_executes_while_its_parent_dies_dies_too),
        unit(a_program_that_exits_joins_its_children),
        unit(a_program_that_waits_for_its_children_says_for_whom),
        unit(a_program_that_exits_joins_children_without_handle_too),
        unit(a_program_that_exits_kills_its_daemons),
        unit(a_child_that_returns_does_as_a_program_does),
        unit(a_process_forked_by_the_program_leaves_its_children_alone),
        unit(children_of_a_daemon_are_daemons),
        unit(a_child_runs_its_own_exit_handlers_and_not_its_parents),
        unit(what_is_buffered_is_written_once),
        unit(a_thread_that_reads_a_stream_holds_up_no_start),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
