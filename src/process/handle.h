/* The handles of this process on its children: which there are, whether they have ended, and how. */
#ifndef MPROC_PROCESS_HANDLE_H
#define MPROC_PROCESS_HANDLE_H

#include "arena/member.h"
#include <mproc/postmortem.h>
#include <mproc/process.h>

#define PROCESS_NAME_SIZE 64

enum handle_state {
    HANDLE_RUNNING,
    HANDLE_ENDED, /* reaped; exitcode is known */
    HANDLE_LOST   /* ended, and reaped by other code than this library */
};

/* Memory of this process alone. The fields of the first part do not change once it is listed; the others are under the
 * process lock. */
struct mproc_process {
    pid_t pid;
    int pidfd;
    unsigned generation; /* of the process that made it, see process_lock.h */
    bool daemon;
    member_owner parent; /* what that process was in the family, or 0 */
    struct mproc_group *group;
    char name[PROCESS_NAME_SIZE];

    int sentinel; /* what is polled where the pidfd cannot be, once that was asked for; or -1 */
    int64_t started_at;
    struct crash_report *words; /* see process_postmortem.h; or NULL */

    enum handle_state state;
    int exitcode;
    enum mproc_cause cause; /* this and the next three with HANDLE_ENDED */
    int64_t ended_at;       /* when that was seen */
    int64_t cpu;
    size_t peak_memory;
    bool was_killed; /* it was sent SIGKILL from here */
    unsigned users;  /* calls that are at work on it; it is not destroyed before they are through */
    bool freed;
    int tie;      /* of a daemon that has not ended, for parent_tie_end(); else -1 */
    bool is_left; /* at the end of this process, see handle_end_all() */
    bool told;    /* mproc_group_wait_any() has told of its end */
    struct mproc_process *next;
    struct mproc_process *sibling; /* the next member of its group */
};

/* Make a handle that is not listed yet, or NULL; and destroy one that never was. */
struct mproc_process *handle_new(void);
void handle_discard(struct mproc_process *handle);

/* Give a handle its child, which has just been made. On failure the child is no more. 0 or -errno. */
int handle_attach(struct mproc_process *handle, pid_t pid);

/* The same with a pidfd of the child that was opened before anybody could reap it, or with the error of that. */
int handle_attach_by(struct mproc_process *handle, pid_t pid, int pidfd);

/* List a handle that has a child. */
void handle_list(struct mproc_process *handle);

/* In the child of a fork: none of the listed ones is a child of this process. */
void handle_forget(void);

/* Use a handle that a caller gave: NULL unless it is listed. To be followed by handle_put(). */
struct mproc_process *handle_get(const mproc_process *process);
void handle_put(struct mproc_process *handle);

/* Whether the process is a child of this process. */
bool handle_is_own(const struct mproc_process *handle);

/* The failure that it is not: MPROC_FOREIGN. */
int handle_foreign(void);

/* With the process lock held: the descriptor that becomes readable when the process ends, which belongs to the handle;
 * or -errno. */
int handle_sentinel(struct mproc_process *handle);

/* Look whether the process has ended, and reap it if so. For children of this process. */
enum handle_state handle_look(struct mproc_process *handle);

/* Wait until it has ended and reap it. 0, MPROC_TIMEOUT, -errno. */
int handle_wait(struct mproc_process *handle, int64_t deadline);

/* Take a handle from its owner; a process that still runs is remembered until it ends. */
void handle_free(struct mproc_process *handle);

/* The handles of own children that have not ended; the others are reaped. Writes up to capacity, returns how many. */
size_t handle_active(struct mproc_process **handles, size_t capacity);

/* Reap some of those children whose handle is freed and that have ended. */
void handle_reap_freed(void);

/* Kill the daemons of this process, and wait for all its children; but not for daemons that it may not kill. */
void handle_end_all(void);

#endif
