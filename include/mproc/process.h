/* Processes: start, wait, signal, group.
 *
 *     static int worker(void *arg)
 *     {
 *         printf("Hello from %s\n", (const char *)arg);
 *         return 0;                            // the exit code
 *     }
 *
 *     mproc_process *p;
 *     int result = mproc_process_start(&p, worker, "a child", NULL);
 *     if (result)
 *         fprintf(stderr, "start: %s\n", mproc_strerror(result));
 *     mproc_process_join(p, MPROC_FOREVER);
 *     p = mproc_process_free(p);
 *
 * A handle is private to the process that started the child; it is no shared object. It takes one descriptor, a pidfd;
 * that of a daemon two more until the daemon has ended. In a process that was forked since, it can still be asked for
 * name, pid, is_alive and sentinel. The library installs no SIGCHLD handler and never waits for children that it did
 * not start. A program may reap any child itself (waitpid(-1), SIGCHLD ignored): Linux 6.15 and later tell all the same
 * how such a child ended; on older kernels its exit code is then unknown (-ECHILD). There, a program that was started
 * with SIGCHLD ignored, as by a shell after trap '' CHLD, gets the default action back when it first starts a process.
 *
 * What the child gets: default dispositions for every signal that the parent catches and for SIGCHLD (what else the
 * parent ignores stays ignored), an empty signal mask, the parent's stdio (flushed before, so that nothing is written
 * twice), and with fork the rest of the parent's state. When fn returns the child runs the exit handlers that fn has
 * registered, joins its own children that are no daemons, kills those that are, flushes stdio and leaves without
 * running the parent's exit handlers; exit() called in fn does the same. A child that finds out only after its start
 * that it cannot run says so on stderr and exits with code 127.
 *
 * When the program exits (returns from main, or calls exit()) its daemons are killed and its other children joined.
 * What a daemon forks by itself, and what then executes another program, is no daemon, and may outlive the program.
 * Where that takes longer than a second, a line says which it waits for: on stderr, or in the log (WARNING) where it
 * has that level.
 * docs/processes.md compares the start methods. */
#ifndef MPROC_PROCESS_H
#define MPROC_PROCESS_H

#include <mproc/base.h>
#include <mproc/connection.h>
#include <mproc/postmortem.h>
#include <stdbool.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mproc_process mproc_process;
typedef struct mproc_group mproc_group;

/* What a process runs. Its result is the exit code, of which the kernel keeps the low 8 bits. */
typedef int mproc_target(void *arg);

enum mproc_start_method {
    MPROC_START_DEFAULT = 0, /* what mproc_start_method_set() set; at first fork */
    MPROC_START_FORK,        /* a copy of this process; needs nothing; unwise with threads or very much memory */
    MPROC_START_SPAWN,       /* a fresh run of this program; needs mproc_init() */
    MPROC_START_FORKSERVER   /* forked by a small single-threaded server; needs mproc_init() */
};

typedef struct mproc_process_options {
    const char *name; /* copied, cut to 63 bytes of whole letters (UTF-8), and to 15 for ps and top; NULL: "Process-1",
                         in its child "Process-1:1" */
    size_t arg_size;  /* 0: arg is handed over as it stands; else so many bytes of it are copied */
    enum mproc_start_method method; /* 0: the default */
    bool daemon;                    /* dies with its parent, however that ends; its own children must be daemons too */
    bool postmortem;                /* leave what is known when a signal ends it, see mproc_process_postmortem() */
    bool ignore_interrupt;          /* it ignores SIGINT, and so does what it starts: a Ctrl-C is its parent's matter */
    mproc_connection *const *connections; /* NULL: fork inherits all, the others none. Else these and no others: */
    size_t connection_count;              /* the child finds them by mproc_inherited_connection(); at most 64 */
    uint64_t reserved[8];                 /* must be 0: room for fields to come, see mproc/base.h */
} mproc_process_options;

/* Start a process that runs fn(arg). On success *process is its handle, to be given to mproc_process_free(). The child
 * has the user, the groups, the limits, the file mode mask and whatever else the kernel passes on as the calling thread
 * has them at this moment, whatever the method: a fork server that began before they changed is replaced.
 *
 * arg as it stands is the same pointer in the child (const here only so that any pointer may be given; fn gets it
 * without): with fork it may point anywhere, with spawn and forkserver only into shared memory (else MPROC_NOT_SHARED).
 * With arg_size the child gets a private copy, whatever the method. Connections of the list are open in the child and
 * stay open here.
 *
 * -EBUSY: another thread receives on a connection of the list, or a descriptor that came on it was not received yet.
 * -EINVAL: NULL process or fn, an unknown method, arg_size without arg, or a NULL connection in the list. -EPERM: this
 * process is a daemon and the other would be none. -EAGAIN: no process can be had (RLIMIT_NPROC). -ENOMEM, -EMFILE,
 * -ENFILE as they say. -ENOENT and -EACCES: the program cannot be executed, by the user that this process has
 * become for example, or there is no /proc (spawn and forkserver). MPROC_NOT_INITIALIZED: spawn or forkserver, and a
 * fresh run of the program does not get to mproc_init(): this process did not call it, or it was called by something
 * that dlopen() has loaded, as in an interpreter; or main() ended before it, which the first start finds out and says
 * on stderr. -EPERM: spawn or forkserver in a program with a set-user-ID bit or with file capabilities.
 * MPROC_NO_FUNCTION: spawn or forkserver of a function that is in no loaded object file. On failure *process is NULL
 * and nothing is left behind.
 *
 * A family has at most 4032 living members at a time. A child beyond that number still runs, but its first use of a
 * shared object is -EAGAIN. Dead members do not count, whoever reaps them. */
MPROC_API int mproc_process_start(mproc_process **process, mproc_target *fn, const void *arg,
                                  const mproc_process_options *options);

/* Wait until the process has ended. 0; MPROC_TIMEOUT; -EDEADLK when it is the caller itself; -ECHILD when it is its
 * parent; MPROC_FOREIGN when another process started it, as with a handle inherited by fork; -EINVAL when it is no
 * handle, here as in all calls. A joined process may be joined again, and several threads may join it at once. What the
 * process held of the family's objects when it died is free when this returns. */
MPROC_API int mproc_process_join(mproc_process *process, mproc_time timeout);

/* Its exit code: 0 to 255, or minus the signal that ended it. MPROC_RUNNING when it has not ended; -ECHILD when
 * somebody else reaped it and the kernel does not tell, or it is the parent; MPROC_FOREIGN as above. *exitcode is
 * written only on 0. */
MPROC_API int mproc_process_exitcode(mproc_process *process, int *exitcode);

/* Whether it has not ended. False for NULL. */
MPROC_API bool mproc_process_is_alive(mproc_process *process);

/* What is known about its end: how and why, the time from its start until its end was seen, CPU time and peak memory
 * (0 where somebody else has reaped it). With the option postmortem also the address that the signal tells of, and the
 * stack; mproc/postmortem.h says when there is one, and writes it as text. In *postmortem, index, attempt and worker
 * are 0. 0; MPROC_RUNNING; -ECHILD when its exit code is unknown; MPROC_FOREIGN as above; -EINVAL.
 *
 * The option costs a start some 10 us more, and the first one in a program the look-up of symbols, a few milliseconds.
 * The process handles the signals that would end it, on a stack of its own, and then ends as without it; handlers that
 * the target installs itself take their place. */
MPROC_API int mproc_process_postmortem(mproc_process *process, mproc_postmortem *postmortem);

/* Its process id, also after its end; or -EINVAL. */
MPROC_API pid_t mproc_process_pid(const mproc_process *process);

/* Its name; NULL for NULL. Valid until the handle is freed. */
MPROC_API const char *mproc_process_name(const mproc_process *process);
MPROC_API bool mproc_process_is_daemon(const mproc_process *process);

/* A descriptor that becomes readable when the process ends, for poll() or mproc_wait(); it belongs to the handle.
 * -EINVAL for the current process. */
MPROC_API int mproc_process_sentinel(const mproc_process *process);

/* Send SIGTERM, SIGKILL, SIGINT. 0 also when it has already ended: the signal never goes to another process. -ECHILD
 * for the current process and its parent; -EPERM when the process has become another user's. */
MPROC_API int mproc_process_terminate(mproc_process *process);
MPROC_API int mproc_process_kill(mproc_process *process);
MPROC_API int mproc_process_interrupt(mproc_process *process);

/* Give the handle up and return NULL. A process that still runs goes on; it is joined (a daemon: killed) when the
 * program exits. NULL, a handle that was freed already, one of a group, and those of this process and its parent are
 * ignored. */
MPROC_API mproc_process *mproc_process_free(mproc_process *process);

/* ---- this process and its relatives ---- */

/* This process: its name and whether it is a daemon can be asked. "MainProcess" in the program itself. Never NULL. */
MPROC_API mproc_process *mproc_current_process(void);

/* The process that started this one; NULL in the main process. It can be asked for pid, name, is_alive and sentinel,
 * also when it has ended. */
MPROC_API mproc_process *mproc_parent_process(void);

/* The children that have not ended and whose handle was not freed, joining those that have ended. Writes up to capacity
 * handles to children (they still belong to whoever started them) and returns how many there are, or -EINVAL. */
MPROC_API int mproc_active_children(mproc_process **children, size_t capacity);

/* The default start method. -EINVAL for an unknown one; DEFAULT means fork. */
MPROC_API int mproc_start_method_set(enum mproc_start_method method);
MPROC_API enum mproc_start_method mproc_start_method_get(void);

/* The program that spawn, and a fork server that is yet to be started, run instead of this one: a copy of it, or one
 * that calls mproc_init() and has or can load the same object files. This program then needs no mproc_init() itself.
 * A relative path is taken from the present working directory. NULL: this program again. -ENOENT, -EACCES and others
 * when it cannot be executed; -ENAMETOOLONG. */
MPROC_API int mproc_executable_set(const char *path);

/* Shared objects that the fork server loads once, so that its children have them; one that cannot be loaded is named on
 * stderr. To be called before the first process is started by forkserver; -EBUSY while there is a server. The names are
 * copied. -EINVAL: NULL or an empty name in the list. */
MPROC_API int mproc_forkserver_preload(const char *const *libraries, size_t count);

/* The key for authenticated connections; children inherit it. 1 to 256 bytes; copied. Without a call a random key of
 * 32 bytes. mproc_authkey_get() writes up to capacity bytes and sets size; MPROC_TOO_SMALL when they are fewer. -EINVAL,
 * -ENOMEM. */
MPROC_API int mproc_authkey_set(const void *key, size_t size);
MPROC_API int mproc_authkey_get(void *key, size_t capacity, size_t *size);

/* In a child that was started with a list of connections: the one at this index, or NULL. Free it like any other. */
MPROC_API mproc_connection *mproc_inherited_connection(size_t index);

/* ---- groups: several processes as one ----
 *
 *     mproc_group *group;
 *     mproc_group_create(&group, &(mproc_group_options){ .stop_on_failure = true });
 *     for (size_t i = 0; i < count; i++)
 *         mproc_group_start(group, NULL, worker, &jobs[i], NULL);
 *     result = mproc_group_wait_all(group, MPROC_SEC(60));
 *     if (result == MPROC_TIMEOUT)
 *         mproc_group_terminate(group, MPROC_SEC(1));
 *     group = mproc_group_free(group);
 *
 * A group belongs to the process that made it; in a forked copy every call on it but free is MPROC_FOREIGN,
 * and mproc_group_size() -EPERM. It must not be
 * used while or after it is freed. */

typedef struct mproc_group_options {
    bool stop_on_failure; /* when wait_any or wait_all see one end with other than 0, they send SIGTERM to the rest and
                           * all that descends from it, and if the wait goes on, SIGKILL a second later. What cannot be
                           * found, for there is no /proc, is said in the log (WARNING) */
    uint64_t reserved[8]; /* must be 0: room for fields to come, see mproc/base.h */
} mproc_group_options;

/* -EINVAL, -ENOMEM. */
MPROC_API int mproc_group_create(mproc_group **group, const mproc_group_options *options);

/* Start a process as a member. *process, if process is not NULL, is a handle that belongs to the group. As
 * mproc_process_start() otherwise. */
MPROC_API int mproc_group_start(mproc_group *group, mproc_process **process, mproc_target *fn, const void *arg,
                                const mproc_process_options *options);

/* Wait until a member has ended that was not returned before, and store it in *ended. 0, MPROC_TIMEOUT, or -ECHILD when
 * none is left. Several threads may wait: each member is returned once. */
MPROC_API int mproc_group_wait_any(mproc_group *group, mproc_process **ended, mproc_time timeout);

/* Wait until all have ended. 0 when each returned 0; MPROC_TASK_FAILED when one did not, or its exit code is unknown;
 * MPROC_TIMEOUT. */
MPROC_API int mproc_group_wait_all(mproc_group *group, mproc_time timeout);

/* End all members and all their descendants, whatever they do, and wait for the members: SIGTERM, then SIGKILL for what
 * is left after grace (MPROC_NOWAIT: SIGKILL at once; MPROC_FOREVER: never). They are stopped before each signal, so
 * that nobody escapes by forking. 0, or the first error that was met. -ENOENT: there is no /proc, or one that does not
 * show these processes; the members were ended, and those descendants that are members of the family, but there may be
 * others. -EPERM: there is one that may not be killed.
 *
 * Descendants are found by their parents. Where these are dead, they are found by marks: the soft limit of file locks
 * (RLIMIT_LOCKS, which Linux does not use otherwise), which every descendant inherits; the environment (MPROC_GROUP) of
 * what was executed; and the family's member table. A process escapes only when its parents have all died and it has
 * changed that limit, as a login does, and was executed with another environment or overwrote it. A signal is sent to
 * no process that was not proven to be one of them, in whatever pid namespace /proc was mounted. */
MPROC_API int mproc_group_terminate(mproc_group *group, mproc_time grace);

/* The number of members that are still running, or -EINVAL. */
MPROC_API int mproc_group_size(mproc_group *group);

/* Give the group up, with its handles; members that still run go on. Returns NULL. */
MPROC_API mproc_group *mproc_group_free(mproc_group *group);

#ifdef __cplusplus
}
#endif

#endif
