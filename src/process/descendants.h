/* The processes of a group and all that descend from them, found from outside. */
#ifndef MPROC_PROCESS_DESCENDANTS_H
#define MPROC_PROCESS_DESCENDANTS_H

#include "os/proc.h"
#include <stddef.h>

struct descendant {
    struct os_proc proc; /* as it was last seen; in a blind tree only its number here */
    int pidfd;           /* proven to be this process; else -1 */
    bool is_own;         /* the pidfd is the tree's, not a handle's */
    bool is_told;        /* to stop, and nothing else since */
};

/* Private to the thread that uses it. */
struct descendants {
    struct descendant *list; /* in the order in which they were found */
    size_t count;
    size_t capacity;
    uint64_t since;   /* nothing that is older belongs to it */
    uint64_t id;      /* 32 bits: in the marks of members of the family, and of processes */
    const char *mark; /* in the environment of what was executed */
    bool is_blind;    /* no /proc shows this process: only members of the group and of the family are found */
    pid_t self;       /* the number of this process in /proc; if blind, here */
    int error;        /* the first thing that went wrong, or 0 */
};

/* Begin with an empty tree. Where there is no /proc the error is noted, and the tree is blind. */
void descendants_begin(struct descendants *tree, uint64_t since, uint32_t id, const char *mark);

/* Add a child of ours that has not ended, by its number here and its pidfd, which must stay open. */
void descendants_add(struct descendants *tree, pid_t pid, int pidfd);

/* Forget those that have ended. Returns whether none is left. */
bool descendants_is_empty(struct descendants *tree);

/* Forget those that have ended, and look for more: children of those that are there, and processes with the marks.
 * Returns how many are new; they are the last. */
size_t descendants_search(struct descendants *tree);

/* Stop them all, those found on the way too, until none is left that could make another one; or until one that does
 * not stop has been waited for long enough. */
void descendants_freeze(struct descendants *tree);

/* Send a signal to all of them. */
void descendants_signal(struct descendants *tree, int signal);

void descendants_destroy(struct descendants *tree);

#endif
