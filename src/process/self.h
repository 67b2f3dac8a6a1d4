/* What this process is: its name, its parent, the children it has counted. */
#ifndef MPROC_PROCESS_SELF_H
#define MPROC_PROCESS_SELF_H

#include "process/handle.h"

/* The variable in the environment of a group's members and of what they execute: "mark:mark", the outermost first. */
#define GROUPS_VARIABLE "MPROC_GROUP"
#define GROUPS_SIZE     136

/* Of this process alone. Written before main() and once more by a child before its target runs; only the count changes
 * later. */
struct self {
    struct {
        char name[PROCESS_NAME_SIZE];
        bool daemon;
    } process; /* its address stands for the handle of this process */
    struct {
        char name[PROCESS_NAME_SIZE];
        pid_t pid;
        int pidfd;
    } parent; /* the same for its parent's; meaningful with has_parent */
    bool has_parent;
    char line[PROCESS_NAME_SIZE]; /* "1:2": the second child of the first child of the program; "" in the program */
    const char *groups;           /* the marks of its groups, see group.h */
    _Atomic(unsigned) children;
};

extern struct self self;

/* The place in the line of descent of the next child. */
void self_next_line(char line[PROCESS_NAME_SIZE]);

/* Let ps and top show the name of this process, as far as there is room. */
void self_show_name(void);

/* Cut a name to its place. */
void self_copy_name(char name[PROCESS_NAME_SIZE], const char *text);

#endif
