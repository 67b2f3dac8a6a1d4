/* As namespaces.h says. */
#define _GNU_SOURCE
#include "namespaces.h"

#include "harness.h"
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

enum {
    CANNOT = 200 /* the exit code of a child that could not make its namespaces */
};

struct call {
    enum proc_kind proc;
    child_function *run;
    void *arg;
};

static bool change_proc(enum proc_kind proc)
{
    const char *type = proc == PROC_OWN ? "proc" : "tmpfs";
    return proc == PROC_OUTER ||
           (unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
            mount("none", "/proc", type, MS_RDONLY, NULL) == 0);
}

static int run_first(void *arg)
{
    const struct call *call = arg;
    return change_proc(call->proc) ? call->run(call->arg) : CANNOT;
}

static int run_in_namespace(void *arg)
{
    return unshare(CLONE_NEWPID) ? CANNOT : in_child(run_first, arg);
}

static int skip_if(int code)
{
    if (code == CANNOT) {
        print_message("skipped: it takes the right to make namespaces\n");
        skip();
    }
    return code;
}

int in_pid_namespace(enum proc_kind proc, child_function *run, void *arg)
{
    return skip_if(in_child(run_in_namespace, &(struct call){proc, run, arg}));
}

int without_proc(child_function *run, void *arg)
{
    return skip_if(in_child(run_first, &(struct call){PROC_NONE, run, arg}));
}
