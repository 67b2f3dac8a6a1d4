/* Setting up a server, in the process that is to be it. Called by manager.c. */
#ifndef MPROC_MANAGER_SERVER_SERVER_SETUP_H
#define MPROC_MANAGER_SERVER_SERVER_SETUP_H

#include "manager/wire/manager_address.h"
#include "process/function.h"
#include <limits.h>
#include <mproc/manager.h>

/* All that a server is told. It can be copied to another process, with the types behind it. */
struct server_plan {
    struct manager_address way;
    size_t frame_most, waiting_most;
    int64_t authentication_time, stall_time, linger_time;
    int64_t save_interval;             /* 0: none */
    int stop_fd;                       /* -1: none */
    bool is_child;                     /* of whoever has started it, and nothing else */
    char snapshot_file[PATH_MAX];      /* empty: none */
    mproc_set *server_memory;          /* of who starts it, see server_memory.h; or NULL */
    size_t type_count;                 /* of a process that does not know its parent's */
    struct function_reference types[]; /* see types.h */
};

/* Check options and fill in what they leave out. 0 or -EINVAL and others. */
int server_plan_check(struct server_plan *plan, const char *address, const mproc_manager_options *options);

/* Listen, call ready with 0 and the address, and serve. Where it cannot listen it calls ready with that error. */
int server_setup_run(const struct server_plan *plan, void (*ready)(void *arg, int result, const char *address),
                     void *arg);

#endif
