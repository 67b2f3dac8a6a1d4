/* The cases of every.h for groups. A group is of the process that made it, so children do not use
 * that of their parent. */
#include "every.h"

#include <errno.h>
#include <mproc/process.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define SHORT MPROC_MS(2)
#define LONG  MPROC_SEC(20)

/* What looks for descendants reads the whole of /proc several times. */
enum {
    SOME_CALLS = 5
};

static mproc_group *group;
static mproc_process *member;

static int sleep_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static int return_at_once(void *arg)
{
    return arg ? 1 : 0;
}

static int ignore_termination(void *arg)
{
    signal(SIGTERM, SIG_IGN);
    return sleep_for_ever(arg);
}

/* ---- scenes ---- */

static void begin_nothing(void)
{
    group = NULL;
    member = NULL;
}

static void begin_empty(void)
{
    begin_nothing();
    every_must(mproc_group_create(&group, NULL));
}

static void add(mproc_target *fn, const void *arg)
{
    every_must(mproc_group_start(group, &member, fn, arg, NULL));
}

static void await_end(void)
{
    struct pollfd end = {.fd = mproc_process_sentinel(member), .events = POLLIN};

    if (poll(&end, 1, 10000) != 1)
        every_wrong("the member does not end");
}

static void begin_running(void)
{
    begin_empty();
    add(sleep_for_ever, NULL);
    add(sleep_for_ever, NULL);
}

static void begin_obstinate(void)
{
    begin_empty();
    add(ignore_termination, NULL);
    add(sleep_for_ever, NULL);
}

static void begin_ended(void)
{
    begin_empty();
    add(return_at_once, NULL);
    await_end();
}

static void begin_failed(void)
{
    begin_empty();
    add(return_at_once, "");
    await_end();
}

/* One has failed, and the rest is to be stopped. */
static void begin_to_be_stopped(void)
{
    begin_nothing();
    every_must(mproc_group_create(&group, &(mproc_group_options){.stop_on_failure = true}));
    add(sleep_for_ever, NULL);
    add(return_at_once, "");
    await_end();
}

static void help_by_kill(void)
{
    every_must(kill(mproc_process_pid(member), SIGKILL));
}

static void begin_being_killed(void)
{
    begin_empty();
    add(sleep_for_ever, NULL);
    every_help(help_by_kill);
}

static void look(long *seen)
{
    seen[0] = group != NULL;
    seen[1] = group ? mproc_group_size(group) : 0;
}

static void end(void)
{
    if (group)
        every_must(mproc_group_terminate(group, MPROC_NOWAIT));
    group = mproc_group_free(group);
}

static void end_helped(void)
{
    every_must(every_join());
    end();
}

/* ---- calls ---- */

static int create(void)
{
    return mproc_group_create(&group, NULL);
}

static int start(void)
{
    return mproc_group_start(group, &member, sleep_for_ever, NULL, NULL);
}

/* The first thing that a process does with the library. */
static int create_and_free(void)
{
    int result = mproc_group_create(&group, NULL);
    if (!result)
        result = mproc_group_start(group, &member, return_at_once, NULL, NULL);
    if (!result)
        await_end();
    group = mproc_group_free(group);
    return result;
}

static int wait_any(void)
{
    mproc_process *ended;
    return mproc_group_wait_any(group, &ended, MPROC_FOREVER);
}

static int wait_any_for_a_while(void)
{
    mproc_process *ended;
    return mproc_group_wait_any(group, &ended, SHORT);
}

static int wait_all(void)
{
    return mproc_group_wait_all(group, LONG);
}

static int wait_all_for_a_while(void)
{
    return mproc_group_wait_all(group, SHORT);
}

static int terminate(void)
{
    return mproc_group_terminate(group, MPROC_NOWAIT);
}

static int terminate_gently(void)
{
    return mproc_group_terminate(group, MPROC_MS(5));
}

static int size(void)
{
    return mproc_group_size(group);
}

static int call_free(void)
{
    group = mproc_group_free(group);
    return 0;
}

static const struct every_scene none = {begin_nothing, look, end};
static const struct every_scene empty = {begin_empty, look, end};
static const struct every_scene running = {begin_running, look, end};
static const struct every_scene obstinate = {begin_obstinate, look, end};
static const struct every_scene ended = {begin_ended, NULL, end};
static const struct every_scene failed = {begin_failed, NULL, end};
static const struct every_scene to_be_stopped = {begin_to_be_stopped, NULL, end};
static const struct every_scene being_killed = {begin_being_killed, NULL, end_helped};

/* Terminating is many steps; it does what can be done and tells the first error, so a failure leaves some of it done.
 */
static const struct every_case list[] = {
    {"mproc_group_create", "here", &none, create, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_group_create", "first of all", &none, create_and_free, 0, CHILD_ALONE, .calls = CALLS,
     .also = "mproc_group_start"},
    {"mproc_group_start", NULL, &empty, start, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_group_wait_any", "one has ended", &ended, wait_any, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_group_wait_any", "some time", &running, wait_any_for_a_while, MPROC_TIMEOUT, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_group_wait_any", "one ends", &being_killed, wait_any, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_group_wait_any", "none is left", &empty, wait_any, -ECHILD, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_group_wait_all", "all have ended", &ended, wait_all, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_group_wait_all", "one has failed", &failed, wait_all, MPROC_TASK_FAILED, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_group_wait_all", "some time", &running, wait_all_for_a_while, MPROC_TIMEOUT, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_group_wait_all", "one ends", &being_killed, wait_all, MPROC_TASK_FAILED, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_group_wait_all", "stopped by a failure", &to_be_stopped, wait_all, MPROC_TASK_FAILED, CHILD_MAY_NOT,
     .calls = CALLS, .most = SOME_CALLS},
    {"mproc_group_terminate", "at once", &running, terminate, 0, CHILD_MAY_NOT, .calls = CALLS, .is_final = true,
     .most = SOME_CALLS},
    {"mproc_group_terminate", "gently", &obstinate, terminate_gently, 0, CHILD_MAY_NOT, .calls = CALLS,
     .is_final = true, .most = SOME_CALLS},
    {"mproc_group_size", NULL, &running, size, 2, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_group_free", "without members", &empty, call_free, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_group_free", "with members", &ended, call_free, 0, CHILD_MAY_NOT, .calls = CALLS},
};

const struct every_table cases_group = {list, sizeof list / sizeof *list};
