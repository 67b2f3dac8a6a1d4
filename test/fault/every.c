/* The walk over a table of cases, as every.h says. */
#include "every.h"

#include "arena/member.h"
#include "harness.h"
#include "plan.h"

#include <dirent.h>
#include <errno.h>
#include <mproc/base.h>
#include <mproc/memory.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CHILD_RIGHT = 0,
    CHILD_WRONG = 9,
    NAME_MAX_SIZE = 96,
    MOST_CALLS = 200,
    PAGE_SIZE = 4096
};

/* What is seen of a case: its own figures, and what is taken of everything. */
struct view {
    long seen[EVERY_SEEN];
    size_t bytes;
    int descriptors;
};

/* One case that is being walked. */
static struct {
    const struct every_case *is;
    bool in_child;
    struct view before;
    struct view after; /* as it looked when nothing failed */
    bool after_is_known;
    int struck;
    long calls; /* of the last run */
    int wrong;  /* runs in which something was not right */
    char where[128];
} now;

void every_wrong(const char *what)
{
    now.wrong++;
    fprintf(stderr, "%s%s%s%s%s: %s\n", now.is->function, now.is->when ? ", " : "", now.is->when ? now.is->when : "",
            now.in_child ? ", in a child" : "", now.where, what);
}

void every_must(int result)
{
    if (result)
        every_wrong(mproc_strerror(result));
}

int every_struck(void)
{
    return now.struck;
}

void *every_shared(void)
{
    static void *page;

    if (!page)
        page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        abort();
    return page;
}

/* ---- threads ---- */

static struct {
    pthread_t thread;
    bool runs;
    long sleeps; /* that there were before */
    void (*help)(void);
    int (*fn)(void);
    int result;
} other;

static bool somebody_sleeps(void *arg)
{
    (void)arg;
    return fault_count(OS_FUTEX_WAIT) + fault_count(OS_POLL) > other.sleeps;
}

void every_await(bool (*condition)(void *))
{
    if (!wait_until(condition, NULL, 10000))
        every_wrong("what is waited for does not come");
}

void every_await_sleeper(void)
{
    every_await(somebody_sleeps);
}

static void *help(void *arg)
{
    every_await_sleeper();
    other.help();
    return arg;
}

static void *run_thread(void *arg)
{
    other.result = other.fn();
    return arg;
}

static void start_thread(void *(*fn)(void *))
{
    other.sleeps = fault_count(OS_FUTEX_WAIT) + fault_count(OS_POLL);
    other.result = 0;
    other.runs = pthread_create(&other.thread, NULL, fn, NULL) == 0;
    if (!other.runs)
        every_wrong("there is no thread to be had");
}

void every_help(void (*fn)(void))
{
    other.help = fn;
    start_thread(help);
}

void every_thread(int (*fn)(void))
{
    other.fn = fn;
    start_thread(run_thread);
}

void every_sleeper(int (*fn)(void))
{
    every_thread(fn);
    every_await_sleeper();
}

int every_join(void)
{
    if (other.runs)
        pthread_join(other.thread, NULL);
    other.runs = false;
    return other.result;
}

/* ---- one run ---- */

static int count_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");

    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count;
}

static struct view look(void)
{
    mproc_memory_statistics usage = {0};
    struct view view = {.descriptors = count_descriptors()};

    every_must(mproc_memory_usage(&usage));
    view.bytes = usage.allocated;
    if (now.is->scene->look)
        now.is->scene->look(view.seen);
    return view;
}

static void compare(const struct view *view, const struct view *expected, const char *what)
{
    char text[128];

    for (int i = 0; i < EVERY_SEEN; i++) {
        if (view->seen[i] == expected->seen[i])
            continue;
        snprintf(text, sizeof text, "%s, figure %d is %ld and not %ld", what, i, view->seen[i], expected->seen[i]);
        every_wrong(text);
    }
}

static void judge_success(bool struck)
{
    struct view view = look();

    if (!struck && !now.after_is_known) {
        now.after = view;
        now.after_is_known = true;
    }
    compare(&view, &now.after, "after success");
}

/* It failed: nothing has changed, and it works when it is called again. A child is not asked for its descriptors, for
 * it may have got one for life. */
static void judge_failure(void)
{
    struct view view = look();

    compare(&view, &now.before, "after a failure");
    if (view.bytes > now.before.bytes)
        every_wrong("shared memory leaks");
    if (!now.in_child && view.descriptors != now.before.descriptors)
        every_wrong("a descriptor leaks, or was closed");
    int again = now.is->call();
    if (again == now.is->result) {
        judge_success(true);
        return;
    }
    every_wrong("the same call is not done the second time");
    every_wrong(mproc_strerror(again));
}

/* A memory file that cannot grow is memory that there is not. */
static bool may_answer(int result, const struct fault *fault)
{
    if (fault->call == OS_FALLOCATE && result == -ENOMEM)
        return true;
    if (result == -fault->error && fault->error != EINTR)
        return true;
    for (int i = 0; i < EVERY_ANSWERS; i++)
        if (now.is->answers[i] && now.is->answers[i] == result)
            return true;
    return false;
}

static bool is_of(const char *words, const char *function)
{
    size_t length = strlen(function);
    return strncmp(words, function, length) == 0 && strncmp(words + length, ": ", 2) == 0 && words[length + 2];
}

/* Whether the sentence about a failure has the name of the function and a cause: that of the call, where that failed in
 * this thread and its error is the result. */
static void judge_words(int result, const struct fault *fault)
{
    const char *words = mproc_last_error();

    if (!is_of(words, now.is->function) && !(now.is->also && is_of(words, now.is->also)))
        every_wrong(words);
    if (result == -fault->error && fault_is_noted() && strcmp(strchr(words, ' ') + 1, mproc_strerror(result)) == 0)
        every_wrong(words);
}

static void judge_error(int result, const struct fault *fault)
{
    if (result < 0)
        judge_words(result, fault);
    if (!now.is->is_final && result != MPROC_BROKEN)
        judge_failure();
}

static void judge(int result, const struct fault *fault)
{
    bool struck = fault->error != 0;

    if (result == now.is->result)
        judge_success(struck);
    else if (!struck || !may_answer(result, fault))
        every_wrong(mproc_strerror(result));
    else
        judge_error(result, fault);
}

/* Make the call and judge it. */
static void call(void)
{
    struct fault fault;

    long calls = fault_total();
    fault_resume();
    int result = now.is->call();
    fault_struck(&fault);
    fault_disarm();
    now.calls = fault_total() - calls;
    now.where[0] = '\0';
    if (fault.error)
        snprintf(now.where, sizeof now.where, ", when %s number %ld fails with \"%s\"", fault_name(fault.call),
                 fault.after + 1, strerror(fault.error));
    now.struck = fault.error;
    judge(result, &fault);
}

/* The first child that is right tells what it saw, so that the others can be compared. */
struct report {
    struct view after;
    long calls;
};

static void report(int fd)
{
    const struct report report = {now.after, now.calls};

    if (write(fd, &report, sizeof report) != (ssize_t)sizeof report)
        every_wrong("there is no room for a report");
    fflush(NULL);
    _exit(now.wrong ? CHILD_WRONG : CHILD_RIGHT);
}

/* cmocka's handlers would make a child that crashes go on with the tests. */
static void crash_as_usual(void)
{
    const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS};

    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        signal(crashes[i], SIG_DFL);
}

static void call_in_child(void)
{
    struct report report_of_child;
    int fds[2], status;
    int wrong = now.wrong;

    every_must(pipe(fds));
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        crash_as_usual();
        now.wrong = 0;
        call();
        report(fds[1]);
    }
    close(fds[1]);
    ssize_t got = read(fds[0], &report_of_child, sizeof report_of_child);
    close(fds[0]);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || got != sizeof report_of_child)
        every_wrong("the child was lost");
    else if (WEXITSTATUS(status) != CHILD_RIGHT)
        now.wrong++;
    fault_disarm();
    if (now.wrong == wrong) {
        now.after = report_of_child.after;
        now.after_is_known = true;
        now.calls = report_of_child.calls;
    }
    member_sweep_all();
}

static int run(void *arg)
{
    (void)arg;
    fault_suspend();
    now.where[0] = '\0';
    if (now.is->scene->begin)
        now.is->scene->begin();
    now.before = look();
    if (now.in_child)
        call_in_child();
    else
        call();
    if (now.is->scene->end)
        now.is->scene->end();
    return 0;
}

static void check_run(void *arg, int result, const struct fault *fault)
{
    (void)arg;
    (void)result;
    (void)fault;
}

/* ---- one case ---- */

static void run_in_silence(void)
{
    run(NULL);
    if (now.calls)
        every_wrong("makes a system call");
}

static void walk(bool in_silence)
{
    now.after_is_known = false;
    if (in_silence)
        run_in_silence();
    else if (fault_walk_first(now.is->most ? now.is->most : MOST_CALLS, run, check_run, NULL) == 0 &&
             now.is->calls != CALLS_AT_TIMES)
        every_wrong("makes no system call that could fail");
}

/* The first run fetches what a process keeps for its life. */
static void walk_here(void)
{
    now.in_child = false;
    run(NULL);
    books_forgive();
    walk(now.is->calls == CALLS_NONE);
}

static void walk_children(void)
{
    now.in_child = true;
    walk(now.is->calls == CALLS_NONE && now.is->child != CHILD_JOINS);
}

static void walk_case(void **state)
{
    memset(&now, 0, sizeof now);
    now.is = *state;
    if (now.is->child != CHILD_ALONE)
        walk_here();
    if (now.is->child != CHILD_MAY_NOT)
        walk_children();
    assert_int_equal(now.wrong, 0);
}

int every_run(const char *title, const struct every_case *cases, size_t count)
{
    struct CMUnitTest *tests = calloc(count, sizeof *tests);
    char(*names)[NAME_MAX_SIZE] = calloc(count, sizeof *names);

    if (!tests || !names) {
        free(tests);
        free(names);
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "%s%s%s", cases[i].function, cases[i].when ? ", " : "",
                 cases[i].when ? cases[i].when : "");
        tests[i] = (struct CMUnitTest){.name = names[i],
                                       .test_func = walk_case,
                                       .setup_func = books_open,
                                       .teardown_func = books_check,
                                       .initial_state = (void *)(uintptr_t)&cases[i]};
    }
    int failed = _cmocka_run_group_tests(title, tests, count, NULL, NULL);
    free(names);
    free(tests);
    return failed;
}
