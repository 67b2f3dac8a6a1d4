/* Running a test in namespaces of its own, where this process may make them. */
#ifndef TEST_UNIT_NAMESPACES_H
#define TEST_UNIT_NAMESPACES_H

#include "children.h"

enum proc_kind {
    PROC_OUTER, /* /proc stays what it is: not of the pid namespace */
    PROC_OWN,   /* /proc is of the pid namespace */
    PROC_NONE   /* there is nothing in /proc */
};

/* Run the function in a child that is the first process of a pid namespace of its own, and wait for its end: its exit
 * code, or minus its signal. The test is skipped where that may not be made. */
int in_pid_namespace(enum proc_kind proc, child_function *run, void *arg);

/* Run it in a child that has no /proc, but in the same pid namespace. */
int without_proc(child_function *run, void *arg);

#endif
