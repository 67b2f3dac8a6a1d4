/* What the tests of snapshots share: a folder for each test with a snapshot file in it, and servers that have it. */
#ifndef TEST_UNIT_SNAPSHOTS_H
#define TEST_UNIT_SNAPSHOTS_H

#include <mproc/manager.h>
#include <stdbool.h>
#include <sys/types.h>

/* Setup and teardown of a test: an empty folder, and the books of the harness. */
int snapshots_begin(void **state);
int snapshots_end(void **state);

/* The file of this test. */
const char *snapshots_path(void);
size_t snapshots_size(void);
size_t snapshots_load(void *bytes, size_t size);
void snapshots_store(const void *bytes, size_t size);

/* A server that has the file, at an address or at one of its own. */
mproc_manager *start_with_snapshot(const char *address);

/* Be one: for files with which none can start. What that says. */
int serve_snapshot(void);

/* The only server of this process. */
pid_t server_pid(void);

/* Kill it, and free its manager. */
void kill_server(mproc_manager *manager);

/* Whether there is a file beside it that is to take its place. */
bool is_being_written(void);

/* The process that writes for a server, or 0. */
pid_t writer_of(pid_t server);

/* In the folder is the file and nothing else; or, while there is a server, the lock beside it. */
void assert_only_the_snapshot_is_left(void);
void assert_only_the_snapshot_is_left_but_its_lock(void);

#endif
