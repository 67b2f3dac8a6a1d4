/* When a server ends without a client's asking: at a signal, when a descriptor says so, or when the process that has
 * started it is gone. Called by server_setup.c and by the loop. */
#ifndef MPROC_MANAGER_SERVER_STOP_H
#define MPROC_MANAGER_SERVER_STOP_H

#include <stdbool.h>
#include <stdint.h>

struct server;

struct stop {
    int fd;        /* the server is to end when it can be read; -1: none, or that has been seen */
    int parent;    /* at its end of file when whoever the server is for is gone; -1: none, or that was seen */
    bool is_asked; /* to end */
    bool parent_is_gone;
    unsigned signals; /* of which the server knows */
    bool has_failed;  /* it was asked to end, and could not save what it has */
    int64_t retry_at; /* to do that again */
};

/* From now on SIGTERM and SIGINT ask all servers of this process to end, where they would have ended the process. Each
 * call needs one of stop_release_signals(). */
void stop_take_signals(struct stop *stop);
void stop_release_signals(void);

/* In a process that is nothing but a server: it goes on at SIGINT, which is for the program at the terminal. When its
 * parent is gone it gets SIGTERM in place of SIGKILL, and has a while for its end. */
void stop_adopt_process(struct stop *stop);

/* Watch for the ends. 0; -EBADF: the descriptor is not open; -EINVAL: it cannot be waited for. */
int stop_watch(struct server *server);

/* Whether the process that has started the server is gone. */
bool stop_is_orphan(const struct stop *stop);

/* To be called in each round of the loop: end the server if it was asked to. */
void stop_look(struct server *server);

#endif
