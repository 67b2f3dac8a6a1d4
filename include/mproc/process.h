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
 * A handle is private to the process that started the child; it is no shared object. The library installs no SIGCHLD
 * handler and never waits for children that it did not start. Where the program itself reaps a child of ours
 * (waitpid(-1) or SIGCHLD ignored), the child's exit code is unknown: -ECHILD.
 *
 * What the child gets: default dispositions for every signal that the parent catches, an empty signal mask, the
 * parent's stdio (flushed before, so that nothing is written twice), and with fork the rest of the parent's state. When
 * fn returns the child joins its own children that are no daemons, flushes stdio and leaves without running the
 * parent's exit handlers; exit() called in fn does the same.
 *
 * When the program exits (returns from main, or calls exit()) its daemons are killed and its other children joined. */
#ifndef MPROC_PROCESS_H
#define MPROC_PROCESS_H

#include <mproc/base.h>
#include <mproc/connection.h>
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
    MPROC_START_DEFAULT = 0, /* what mproc_set_start_method() set; at first fork */
    MPROC_START_FORK,        /* a copy of this process; needs nothing; unwise with threads or very much memory */
    MPROC_START_SPAWN,       /* a fresh run of this program; needs mproc_init() */
    MPROC_START_FORKSERVER   /* forked by a small single-threaded server; needs mproc_init() */
};

typedef struct mproc_process_options {
    const char *name;               /* copied, cut after 63 bytes; NULL: "Process-1", in its child "Process-1:1" */
    size_t arg_size;                /* 0: arg is handed over as it stands; else so many bytes of it are copied */
    enum mproc_start_method method; /* 0: the default */
    bool daemon;                    /* dies with its parent; must not start children of its own that are no daemons */
    mproc_connection *const *connections; /* NULL: fork inherits all, the others none. Else these and no others: */
    size_t connection_count;              /* the child finds them by mproc_inherited_connection(); at most 64 */
} mproc_process_options;

/* Start a process that runs fn(arg). On success *process is its handle, to be given to mproc_process_free().
 *
 * arg as it stands is the same pointer in the child (const here only so that any pointer may be given; fn gets it
 * without): with fork it may point anywhere, with spawn and forkserver only into shared memory (else MPROC_NOT_SHARED).
 * With arg_size the child gets a private copy, whatever the method. Connections of the list are open in the child and
 * stay open here.
 *
 * -EBUSY: another thread receives on a connection of the list, or a descriptor that came on it was not received yet.
 * -EINVAL: NULL process or fn, an unknown method, arg_size without arg, or a NULL connection in the list. -EAGAIN: no
 * process can be had (RLIMIT_NPROC, or 4096 members in the family). -ENOMEM, -EMFILE, -ENFILE as they say.
 * MPROC_NOT_INITIALIZED: spawn or forkserver in a program that did not call mproc_init(). MPROC_NO_FUNCTION: spawn or
 * forkserver of a function that is in no loaded object file. On failure *process is NULL and nothing is left behind. */
MPROC_API int mproc_process_start(mproc_process **process, mproc_target *fn, const void *arg,
                                  const mproc_process_options *options);

/* Wait until the process has ended. 0; MPROC_TIMEOUT; -EDEADLK when it is the caller itself; -ECHILD when the handle is
 * not of a child of this process (for example one inherited by fork). A joined process may be joined again. */
MPROC_API int mproc_process_join(mproc_process *process, mproc_time timeout);

/* Its exit code: 0 to 255, or minus the signal that ended it. MPROC_RUNNING when it has not ended; -ECHILD when
 * somebody else reaped it. *exitcode is written only on 0. */
MPROC_API int mproc_process_exitcode(mproc_process *process, int *exitcode);

/* Whether it has not ended. False for NULL. */
MPROC_API bool mproc_process_is_alive(mproc_process *process);

/* Its process id, also after its end; or -EINVAL. */
MPROC_API pid_t mproc_process_pid(const mproc_process *process);

/* Its name; NULL for NULL. Valid until the handle is freed. */
MPROC_API const char *mproc_process_name(const mproc_process *process);
MPROC_API bool mproc_process_is_daemon(const mproc_process *process);

/* A descriptor that becomes readable when the process ends, for poll() or mproc_wait(); it belongs to the handle. */
MPROC_API int mproc_process_sentinel(const mproc_process *process);

/* Send SIGTERM, SIGKILL, SIGINT. 0 also when it has already ended: the signal never goes to another process. */
MPROC_API int mproc_process_terminate(mproc_process *process);
MPROC_API int mproc_process_kill(mproc_process *process);
MPROC_API int mproc_process_interrupt(mproc_process *process);

/* Give the handle up and return NULL. A process that still runs goes on; it is joined (a daemon: killed) when the
 * program exits. NULL, and a handle that was freed already, are ignored. */
MPROC_API mproc_process *mproc_process_free(mproc_process *process);

/* ---- this process and its relatives ---- */

/* This process: its name and whether it is a daemon can be asked. "MainProcess" in the program itself. Never NULL. */
MPROC_API mproc_process *mproc_current_process(void);

/* The process that started this one; NULL in the main process. It can be asked for pid, name, is_alive and sentinel. */
MPROC_API mproc_process *mproc_parent_process(void);

/* The children that have not ended, joining those that have. Writes up to capacity handles to children (they still
 * belong to whoever started them) and returns how many there are, or -EINVAL. */
MPROC_API int mproc_active_children(mproc_process **children, size_t capacity);

/* The default start method. -EINVAL for an unknown one; DEFAULT means fork. */
MPROC_API int mproc_set_start_method(enum mproc_start_method method);
MPROC_API enum mproc_start_method mproc_get_start_method(void);

/* The program that spawn runs instead of this one (it must call mproc_init() and contain the same functions). NULL:
 * this one again. -ENOENT and others when it cannot be executed. */
MPROC_API int mproc_set_executable(const char *path);

/* Shared objects that the fork server loads once, so that its children have them. To be called before the first process
 * is started by forkserver; -EBUSY after. The names are copied. */
MPROC_API int mproc_forkserver_preload(const char *const *libraries, size_t count);

/* The key for authenticated connections; children inherit it. At most 256 bytes; copied. Without a call a random key of
 * 32 bytes. mproc_authkey() writes up to capacity bytes and sets size; MPROC_TOO_SMALL when they are fewer. */
MPROC_API int mproc_set_authkey(const void *key, size_t size);
MPROC_API int mproc_authkey(void *key, size_t capacity, size_t *size);

/* In a child that was started with a list of connections: the one at this index, or NULL. Free it like any other. */
MPROC_API mproc_connection *mproc_inherited_connection(size_t index);

/* ---- groups: several processes as one ---- */

typedef struct mproc_group_options {
    bool stop_on_failure; /* when one ends with other than 0, wait_any and wait_all terminate the rest */
} mproc_group_options;

MPROC_API int mproc_group_create(mproc_group **group, const mproc_group_options *options);

/* Start a process as a member. *process, if process is not NULL, is a handle that belongs to the group. As
 * mproc_process_start() otherwise. */
MPROC_API int mproc_group_start(mproc_group *group, mproc_process **process, mproc_target *fn, const void *arg,
                                const mproc_process_options *options);

/* Wait until one that was not yet told of has ended, and tell which. 0, MPROC_TIMEOUT, or -ECHILD when none is left. */
MPROC_API int mproc_group_wait_any(mproc_group *group, mproc_process **ended, mproc_time timeout);

/* Wait until all have ended. 0 when each returned 0; MPROC_TASK_FAILED when one did not; MPROC_TIMEOUT. */
MPROC_API int mproc_group_wait_all(mproc_group *group, mproc_time timeout);

/* End all members and all their descendants, whatever they do, and wait for the members: SIGTERM, then SIGKILL for what
 * is left after grace. 0, or -errno. A descendant that made itself a new session and whose parents all died before is
 * the one kind that can escape. */
MPROC_API int mproc_group_terminate(mproc_group *group, mproc_time grace);

/* The number of members that have not ended, or -EINVAL. */
MPROC_API int mproc_group_size(mproc_group *group);

/* Give the group up, with its handles; members that still run go on. Returns NULL. */
MPROC_API mproc_group *mproc_group_free(mproc_group *group);

#ifdef __cplusplus
}
#endif

#endif
