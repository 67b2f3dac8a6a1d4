/* The cases of every.h for processes that run or have ended, and for what a process knows of itself. Starts are in
 * cases_start.c. */
#include "every.h"

#include <errno.h>
#include <mproc/process.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHORT MPROC_MS(2)
#define LONG  MPROC_SEC(20)

enum {
    TARGET_RETURNS = 6
};

static mproc_process *process;

static int sleep_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static int return_six(void *arg)
{
    (void)arg;
    return TARGET_RETURNS;
}

/* ---- scenes ---- */

static void await_end(void)
{
    struct pollfd end = {.fd = mproc_process_sentinel(process), .events = POLLIN};

    if (poll(&end, 1, 10000) != 1)
        every_wrong("the process does not end");
}

static void begin_running(void)
{
    every_must(mproc_process_start(&process, sleep_for_ever, NULL, NULL));
}

/* It was not reaped. */
static void begin_ended(void)
{
    every_must(mproc_process_start(&process, return_six, NULL, NULL));
    await_end();
}

static void begin_joined(void)
{
    begin_ended();
    every_must(mproc_process_join(process, LONG));
}

static void end_with(int expected)
{
    int exitcode = 0;

    every_must(mproc_process_join(process, LONG));
    every_must(mproc_process_exitcode(process, &exitcode));
    if (exitcode != expected)
        every_wrong("the exit code is another one");
    process = mproc_process_free(process);
}

static void end_running(void)
{
    every_must(mproc_process_kill(process));
    end_with(-SIGKILL);
}

static void end_ended(void)
{
    end_with(TARGET_RETURNS);
}

static void end_killed(void)
{
    end_with(-SIGKILL);
}

static void end_terminated(void)
{
    end_with(-SIGTERM);
}

static void end_interrupted(void)
{
    end_with(-SIGINT);
}

/* The handle was freed while the process ran: it is reaped by a later start. */
static pid_t freed;

static void begin_to_be_freed(void)
{
    begin_running();
    freed = mproc_process_pid(process);
}

static void end_freed(void)
{
    kill(freed, SIGKILL);
    siginfo_t info;
    every_must(waitid(P_PID, (id_t)freed, &info, WEXITED | WNOWAIT));
    begin_ended();
    end_ended();
}

static void end_ended_freed(void)
{
    begin_ended();
    end_ended();
}

static void help_by_kill(void)
{
    every_must(kill(mproc_process_pid(process), SIGKILL));
}

static void begin_being_killed(void)
{
    begin_running();
    every_help(help_by_kill);
}

static void end_helped(void)
{
    every_must(every_join());
    end_killed();
}

/* ---- what is done with one ---- */

static int join(void)
{
    return mproc_process_join(process, MPROC_FOREVER);
}

static int join_for_a_while(void)
{
    return mproc_process_join(process, SHORT);
}

static int exitcode(void)
{
    int code = TARGET_RETURNS;
    int result = mproc_process_exitcode(process, &code);
    return result ? result : code - TARGET_RETURNS;
}

static int is_alive(void)
{
    return mproc_process_is_alive(process);
}

static int pid_is_known(void)
{
    return mproc_process_pid(process) > 0 ? 0 : -1;
}

static int name_is_known(void)
{
    return mproc_process_name(process)[0] ? 0 : -1;
}

static int is_daemon(void)
{
    return mproc_process_is_daemon(process);
}

static int sentinel_is_known(void)
{
    return mproc_process_sentinel(process) >= 0 ? 0 : -1;
}

static int terminate(void)
{
    return mproc_process_terminate(process);
}

static int call_kill(void)
{
    return mproc_process_kill(process);
}

static int read_postmortem(void)
{
    mproc_postmortem postmortem;
    return mproc_process_postmortem(process, &postmortem);
}

static int interrupt(void)
{
    return mproc_process_interrupt(process);
}

static int call_free(void)
{
    process = mproc_process_free(process);
    return 0;
}

static int count_children(void)
{
    mproc_process *children[4];
    return mproc_active_children(children, 4);
}

/* ---- this process ---- */

static int current_is_known(void)
{
    return mproc_current_process() ? 0 : -1;
}

static int has_no_parent(void)
{
    return mproc_parent_process() ? -1 : 0;
}

static int inherits_nothing(void)
{
    return mproc_inherited_connection(0) ? -1 : 0;
}

static int set_method(void)
{
    return mproc_start_method_set(MPROC_START_SPAWN);
}

static int get_method(void)
{
    return (int)mproc_start_method_get();
}

static void end_method(void)
{
    every_must(mproc_start_method_set(MPROC_START_DEFAULT));
}

static int set_executable(void)
{
    return mproc_executable_set("/proc/self/exe");
}

static int unset_executable(void)
{
    return mproc_executable_set(NULL);
}

static void end_executable(void)
{
    every_must(mproc_executable_set(NULL));
}

static int preload(void)
{
    const char *const names[] = {"libm.so.6", "libc.so.6"};
    return mproc_forkserver_preload(names, 2);
}

static void end_preload(void)
{
    every_must(mproc_forkserver_preload(NULL, 0));
}

static int set_authkey(void)
{
    return mproc_authkey_set("key", 3);
}

static int get_authkey(void)
{
    char key[256];
    size_t size = 0;

    int result = mproc_authkey_get(key, sizeof key, &size);
    return result || size ? result : -1;
}

static const struct every_scene nothing = {NULL, NULL, NULL};
static const struct every_scene running = {begin_running, NULL, end_running};
static const struct every_scene ended = {begin_ended, NULL, end_ended};
static const struct every_scene joined = {begin_joined, NULL, end_ended};
static const struct every_scene being_killed = {begin_being_killed, NULL, end_helped};
static const struct every_scene killed = {begin_running, NULL, end_killed};
static const struct every_scene terminated = {begin_running, NULL, end_terminated};
static const struct every_scene interrupted = {begin_running, NULL, end_interrupted};
static const struct every_scene to_be_freed = {begin_to_be_freed, NULL, end_freed};
static const struct every_scene ended_to_be_freed = {begin_ended, NULL, end_ended_freed};
static const struct every_scene method = {NULL, NULL, end_method};
static const struct every_scene executable = {NULL, NULL, end_executable};
static const struct every_scene preloading = {NULL, NULL, end_preload};

/* The table begins with what knows of no start, after which there is a key. */
static const struct every_case list[] = {
    {"mproc_authkey_get", "the first time", &nothing, get_authkey, 0, CHILD_ALONE, .calls = CALLS},
    {"mproc_authkey_set", NULL, &nothing, set_authkey, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_authkey_get", "it is known", &nothing, get_authkey, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_forkserver_preload", NULL, &preloading, preload, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_executable_set", "one", &executable, set_executable, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_executable_set", "this one", &executable, unset_executable, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_start_method_set", NULL, &method, set_method, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_start_method_get", NULL, &nothing, get_method, MPROC_START_FORK, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_current_process", NULL, &nothing, current_is_known, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_parent_process", NULL, &nothing, has_no_parent, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_inherited_connection", NULL, &nothing, inherits_nothing, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_process_join", "ended", &ended, join, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_join", "joined before", &joined, join, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_process_join", "running, some time", &running, join_for_a_while, MPROC_TIMEOUT, CHILD_MAY_NOT,
     .calls = CALLS},
    {"mproc_process_join", "running for a while", &being_killed, join, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_join", "of another process", &running, join, MPROC_FOREIGN, CHILD_ALONE, .calls = CALLS_NONE},
    {"mproc_process_exitcode", "ended", &ended, exitcode, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_exitcode", "joined", &joined, exitcode, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_process_exitcode", "running", &running, exitcode, MPROC_RUNNING, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_postmortem", "ended", &ended, read_postmortem, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_postmortem", "joined", &joined, read_postmortem, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_process_postmortem", "running", &running, read_postmortem, MPROC_RUNNING, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_is_alive", "ended", &ended, is_alive, false, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_is_alive", "of another process", &ended, is_alive, false, CHILD_ALONE, .calls = CALLS,
     .answers = {true}},
    {"mproc_process_is_alive", "running", &running, is_alive, true, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_process_pid", NULL, &running, pid_is_known, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_process_name", NULL, &running, name_is_known, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_process_is_daemon", NULL, &running, is_daemon, false, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_process_sentinel", NULL, &running, sentinel_is_known, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_process_terminate", "running", &terminated, terminate, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_process_terminate", "ended", &ended, terminate, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_process_kill", "running", &killed, call_kill, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_process_kill", "ended", &ended, call_kill, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_process_interrupt", "running", &interrupted, interrupt, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_process_interrupt", "ended", &ended, interrupt, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_process_free", "running", &to_be_freed, call_free, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_free", "ended", &ended_to_be_freed, call_free, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_active_children", "none", &nothing, count_children, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_active_children", "one", &running, count_children, 1, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_active_children", "one that ended", &ended, count_children, 0, CHILD_MAY_NOT, .calls = CALLS},
};

const struct every_table cases_process = {list, sizeof list / sizeof *list};
