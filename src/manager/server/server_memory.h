/* What a server has in its family's memory, as a set of addresses there. The process that starts the server makes the
 * set, and frees what is in it when the server was killed; the server adds each container when it is made, and takes it
 * out before it is freed. So a death leaves one container at most that nobody frees: the one that the server was making
 * or freeing at that moment. Called by manager.c in the one process, by requests.c and registry.c in the other. */
#ifndef MPROC_MANAGER_SERVER_SERVER_MEMORY_H
#define MPROC_MANAGER_SERVER_SERVER_MEMORY_H

#include <mproc/containers.h>

/* In the server. 0 or an error, and nothing has changed then; estate NULL: nobody keeps it, 0. */
int server_memory_add(mproc_set *server_memory, const void *container);
int server_memory_remove(mproc_set *server_memory, const void *container);

/* Once the server has ended: free what it left, and the set. */
void server_memory_free(mproc_set *server_memory);

#endif
