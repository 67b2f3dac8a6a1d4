/* The start of a process, between the call and the child: what each start method needs, and what the child is told. */
#ifndef MPROC_PROCESS_START_H
#define MPROC_PROCESS_START_H

#include "process/self.h"

/* Made by the parent, read by the child. The descriptors belong to the process that made it; in the child they are its
 * own. */
struct start {
    mproc_target *fn;
    void *arg;
    size_t arg_size;
    mproc_connection *const *connections;
    size_t connection_count;
    bool connections_listed; /* else a forked child keeps them all */

    char name[PROCESS_NAME_SIZE];
    char line[PROCESS_NAME_SIZE];
    bool daemon;
    bool ignore_interrupt;
    char parent_name[PROCESS_NAME_SIZE];
    pid_t parent_pid;
    member_owner parent;      /* what the parent is in the family, or 0 */
    uint64_t group;           /* the mark of its process group in the family, or 0; see group.h */
    char groups[GROUPS_SIZE]; /* the marks of all groups that it is in, as its environment says them */

    bool forks;     /* the method is fork: the parent's sentinel is its own, and the child's a copy of that */
    int sentinel;   /* a pidfd of the parent */
    int pidfd;      /* of the child, where it was opened before anybody could reap it; else -1 */
    int leash;      /* of a daemon, see parent_tie.h; else -1 */
    int tie;        /* the same, in the parent; else -1 */
    int words_file; /* of a process with a post-mortem: where it leaves its last words; else -1 */
    struct crash_report *words; /* the same as it is mapped; NULL in a fresh process */
    int gate; /* an eventfd that is rung when the parent has a descriptor of the child; -1: it does not wait for that */
};

/* Start a process of a group, or of none (NULL). As mproc_process_start() otherwise. */
int start_process(mproc_process **process, mproc_target *fn, const void *arg, const mproc_process_options *options,
                  struct mproc_group *group);

/* The methods. Each returns the child's pid, or what mproc_process_start() returns: negative, or a condition in
 * *condition with a pid of 0. */
pid_t start_fork(struct start *start);
pid_t start_spawn(struct start *start, int *condition);
pid_t start_by_server(struct start *start, int *condition);

#endif
