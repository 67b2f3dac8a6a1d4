/* The fork server's side: a small process with one thread that forks children for its host. */
#ifndef MPROC_PROCESS_FORKSERVER_MAIN_H
#define MPROC_PROCESS_FORKSERVER_MAIN_H

#include "process/start_record.h"

/* A request, as one packet. The descriptors that come with it are, in order: the record, the report, the sentinel, the
 * leash of a daemon, the gate if there is one, the file of the last words if there is one, the working directory if it
 * is open, stdin, stdout and stderr as far as they are, the connections. The server closes them all; the child keeps
 * what it needs. */
struct forkserver_request {
    bool has_leash;
    bool has_gate;
    bool has_words;
    bool has_directory;
    bool has_stdio[3];
};

/* What comes back through the report, from the server or from the child, whichever is first: a pid, or -errno. The end
 * of file without a report: there is no child. */
struct forkserver_report {
    int32_t pid;
};

/* Serve the host that the sentinel is of, until it is gone. */
_Noreturn void server_run(struct start_record *record, int sentinel, int requests);

#endif
