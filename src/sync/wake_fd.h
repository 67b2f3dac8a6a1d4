/* The family's wake-up descriptor: one eventfd that every member has, so that mproc_wait() can wait for shared objects
 * and descriptors in one epoll. A waiter arms the cells of its objects and watches the descriptor edge-triggered;
 * whoever wakes an armed cell rings it. All watchers wake and look again. Nobody ever reads the counter, so it needs no
 * recovery. */
#ifndef MPROC_SYNC_WAKE_FD_H
#define MPROC_SYNC_WAKE_FD_H

/* The descriptor to watch for input, edge-triggered; or -errno: -EBADF where the program has closed it. It is never to
 * be closed. */
int wake_fd(void);

/* Wake everybody that watches. */
void wake_fd_ring(void);

#endif
