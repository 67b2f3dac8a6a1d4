/* What a server has, in a file: written when a client asks, at intervals and at the end of the server, read when it
 * starts.
 *
 *     snapshot.c           those who ask, and one writing after the other
 *     snapshot_encode.c    what the server has becomes bytes
 *     snapshot_decode.c    and again what the server has
 *     snapshot_file.c      the file: its seal, its lock, and how it is put in the place of the one before
 *
 * Numbers of 8 bytes have the highest byte first.
 *
 *     file       magic and version, 16 bytes | size of the records, 8 | records | SHA-256 of all before, 32
 *     record     size of what follows, 8 bytes | a value in its stored form
 *
 * Each object is a record that says what it is, and records of what is in it, as many as that says:
 *
 *     [number, type, name or nil, [what it is made with], records of what is in it]
 *
 *     dict, namespace   []                            a key and a value for each entry
 *     list, set         []                            each item
 *     variable          []                            its value
 *     array             [count, element size]         its bytes, in pieces
 *     lock, queue, ...  [number, first, is, open]     a queue's items
 *     the program's     [name of the type]            its state
 *
 * Of a semaphore `number` is what is left when nobody holds any, and `first` what it had at first; `is` says that an
 * event is set, that a barrier is broken, or that the next owner of a lock is to hear that the last one died; `open` is
 * what a queue's join waits for. An object in a value is the number that its own record has. */
#ifndef MPROC_MANAGER_SERVER_SNAPSHOT_H
#define MPROC_MANAGER_SERVER_SNAPSHOT_H

#include "manager/server/server.h"

#define SNAPSHOT_MAGIC "mproc-snapshot\0\1" /* the last byte is the version */
#define SNAPSHOT_HEAD  ((size_t)24)
#define SNAPSHOT_SEAL  ((size_t)32)
#define SNAPSHOT_PIECE ((size_t)1 << 20) /* of an array */

/* The fields of a record that says what an object is. */
enum {
    SNAPSHOT_NUMBER,
    SNAPSHOT_TYPE,
    SNAPSHOT_NAME,
    SNAPSHOT_MADE_WITH,
    SNAPSHOT_RECORDS,
    SNAPSHOT_FIELDS
};

/* What a lock, queue or the like is made with. */
enum {
    SNAPSHOT_WAITABLE_NUMBER,
    SNAPSHOT_WAITABLE_FIRST,
    SNAPSHOT_WAITABLE_IS,
    SNAPSHOT_WAITABLE_OPEN,
    SNAPSHOT_WAITABLE_FIELDS
};

struct snapshot_bytes {
    unsigned char *bytes; /* from malloc() */
    size_t size, capacity;
};

/* ---- snapshot_encode.c, snapshot_decode.c ---- */

/* Append the records of all that has a name, and of what can be reached from that. 0; -ENOMEM; what the function of a
 * type has returned. */
int snapshot_encode(struct server *server, struct snapshot_bytes *records);

/* Make what records say, in a server that has nothing. 0; -EBADMSG: they are none; MPROC_NOT_FOUND: a type is not
 * registered; what the function of a type has returned; -ENOMEM. Then some of it may be there. */
int snapshot_decode(struct server *server, const unsigned char *records, size_t size);

/* ---- snapshot_file.c ---- */

struct snapshot_file {
    int folder, lock;
    char name[NAME_MAX + 1];
};

/* The path of a file that could be one: copied to path, which is empty for NULL. -EINVAL, -ENAMETOOLONG. */
int snapshot_path(char path[PATH_MAX], const char *given);

/* Have the file for this server alone. -EBUSY: another server has it; -EPERM: its lock is another user's; -errno. */
int snapshot_file_open(struct snapshot_file *file, const char *path);
void snapshot_file_close(struct snapshot_file *file);

/* All that is in the file, into memory from malloc(). -ENOENT: there is none; -EPERM: it is another user's, or others
 * may read or write it, or it is no regular file; -ELOOP: it is a symbolic link; -errno. */
int snapshot_file_read(const struct snapshot_file *file, struct snapshot_bytes *bytes);

/* Leave place for the head of a file, before its records. 0 or -ENOMEM. */
int snapshot_begin(struct snapshot_bytes *bytes);

/* Whether that is a whole file; then where its records are. -EBADMSG: damaged, or none; -EPROTONOSUPPORT: of another
 * version. */
int snapshot_check(const struct snapshot_bytes *bytes, const unsigned char **records, size_t *size);

/* Have a process write records, which have the place for a head before them: a pidfd. When that process exits with 0
 * the file is in its place and on the disk; else the one before may be there, and the exit code is an errno. */
int snapshot_file_write(const struct snapshot_file *file, const struct snapshot_bytes *bytes);

/* Make room for so many bytes more: where they go, or NULL. */
unsigned char *snapshot_extend(struct snapshot_bytes *bytes, size_t size);

/* ---- snapshot.c ---- */

struct snapshot {
    struct snapshot_file file;
    struct waitable *waitable; /* those who ask */
    int pidfd;                 /* of the process that writes; -1: none does */
    int64_t interval;          /* to write by itself; 0: never */
    int64_t next_at;           /* not before that */
    bool has_changes;          /* that are in no file that was begun */
};

/* A server that has nothing yet gets the file, and what is in it. interval: to write it by itself when something has
 * changed; 0: never. 0, or an error of those above, and it has nothing. */
int snapshot_start(struct server *server, const char *path, int64_t interval);

/* A client asks: SERVER_STATUS_END, or what it is answered at once. */
int snapshot_ask(struct server *server, struct session *session, uint64_t number);

/* Something was done that may have to be saved. */
static inline void snapshot_note_change(struct server *server)
{
    if (server->snapshot)
        server->snapshot->has_changes = true;
}

/* To be called whenever the process that writes may have ended, and now and then for the interval. */
void snapshot_look(struct server *server);

/* Write what there is and wait until that is done. 0, also without a file; or an error. */
int snapshot_finish(struct server *server);

/* The server has ended. */
void snapshot_stop(struct server *server);

#endif
