/* What the tests of managers share: a server for each test, and clients of it. */
#ifndef TEST_UNIT_MANAGERS_H
#define TEST_UNIT_MANAGERS_H

#include "manager/client/client_connection.h"
#include <mproc/manager.h>
#include <sys/types.h>

/* For what must not happen: it fails the test long before it is over. */
#define SOON MPROC_SEC(20)

/* A server with a key of the tests, and a client of it. limits may be NULL. */
extern const char manager_key[21];
mproc_manager *make_manager(const char *address, const mproc_manager_options *limits);

/* Another client of the same server. */
mproc_manager *join_manager(const mproc_manager *manager);

/* A bare connection that has passed the authentication, to send anything by. */
struct channel raw_client(const mproc_manager *manager);

/* A bare connection that has not. */
int raw_socket(const mproc_manager *manager);

/* Whether the other end closes within a second or two. */
bool drops(int fd);

/* The process that is the server, which is this one's only child. */
pid_t server_of_managers(void);

/* End every connection to the loopback that this process has, as if the network had lost it. */
void cut_connections(void);

/* Whether the server answers. */
void assert_serves(mproc_manager *manager);

/* For cmocka_run_group_tests(): what processes keep for good after their first manager is no leak of a test. */
int make_first_manager(void **state);

#endif
