/* Managers: shared objects in a server, for processes of other families and on other hosts.
 *
 *     mproc_manager *manager;
 *     mproc_dict *ages;
 *     mproc_manager_create(&manager, NULL);                          // a server, in a process of its own
 *     mproc_manager_dict(manager, &ages, "ages", MPROC_SEC(5));
 *     mproc_dict_set(ages, mproc_string("Ada"), mproc_int(36), MPROC_SEC(5));
 *
 *     mproc_manager_connect(&manager, address, &(mproc_manager_options){ .key = key, .key_size = size }, MPROC_SEC(5));
 *     mproc_manager_dict(manager, &ages, "ages", MPROC_SEC(5));      // elsewhere: the same dict
 *
 * Within a family the containers of <mproc/containers.h> need no server and are faster.
 *
 * Addresses are unix:PATH, tcp:HOST:PORT and tls:HOST:PORT; "unix:" is a socket in a new folder that nobody else may
 * enter, port 0 one that is free, and no HOST is 127.0.0.1. Both sides prove to each other that they have the key
 * before anything else is said. tls: is TLS 1.3 with a key made of that key; with unix: and tcp: what follows is
 * neither encrypted nor sealed. Only methods that are named here or were registered can be called from afar.
 *
 * What comes back: beside what <mproc/containers.h> says, MPROC_SERVER_DIED: the server is gone, or was started anew,
 * or does not answer; a request that was sent may or may not have been done. MPROC_TIMEOUT of a container's function:
 * there was no answer in time; the request may still be done. When only the connection was lost it is made again, and
 * requests without an answer are sent again; each is done once. What a client held is released when its connection
 * ends.
 *
 * With tcp: and tls: both sides find out within about silence_time, in whole seconds and at least 4, that the other's
 * host is gone without a word: the server takes its client for dead, and what that held goes to the next one; a client
 * that waits is MPROC_SERVER_DIED some 5 s later, when it could not connect again. MPROC_FOREVER leaves that to the
 * kernel, which may take hours. A side that is stopped is no such one, unless it leaves data unread for that long.
 *
 * A manager outlives its server: each call tries to connect again, to whatever serves at that address with that key. A
 * proxy that was obtained by a name comes back by itself. After the server was started anew one call with it is
 * MPROC_SERVER_DIED, as what it stood for may have changed; the next one obtains it as it was obtained at first: the
 * object of that name, which is made if there is none. A proxy without a name, or that came out of a value, or whose
 * initial value had proxies in it, stays MPROC_SERVER_DIED: free it and obtain another. What was held is held no more.
 *
 * A manager is used by all threads of its process. A forked child may use it, and all its proxies, over a connection of
 * its own that is made when it first does; it holds what it acquires itself. The key is 1 to 4096 bytes, see
 * mproc_key_from_file(); without one it is the family's, mproc_authkey_get(). */
#ifndef MPROC_MANAGER_H
#define MPROC_MANAGER_H

#include <mproc/containers.h>
#include <mproc/process.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mproc_manager mproc_manager;
typedef struct mproc_remote mproc_remote;
typedef struct mproc_object mproc_object;

/* What mproc_object_type() says of a mproc_object; of a mproc_remote it is its kind. */
#define MPROC_TYPE_USER ((enum mproc_type)64)

typedef struct mproc_manager_options {
    const char *address;            /* of create only; NULL: "unix:" */
    const void *key;                /* copied; NULL: the family's */
    size_t key_size;                /* 1 to 4096 */
    enum mproc_start_method method; /* of create only: how the server is started */
    size_t frame_most;              /* bytes of a request or an answer; 0: 1 GiB and 64 KiB */
    size_t waiting_most;            /* server: how many may be at their authentication at a time; 0: 64 */
    mproc_time authentication_time; /* server: how long that may take; 0: 10 s */
    mproc_time stall_time;  /* server: how long a client may not go on in a request, or not read its answers; 0: 30 s */
    mproc_time linger_time; /* server: how long a client that lost its connection may come back; 0: 30 s */
    bool any_user;          /* unix: let in clients of other users */
    const char *snapshot_file; /* of create and serve only; copied; NULL: none, see mproc_manager_save() */
    mproc_time save_interval;  /* server: how often to write that file by itself, if something has changed; 0: never */
    int stop_fd;               /* of serve only: end when it can be read or is at its end; 0: none */
    mproc_time
        silence_time;     /* tcp, tls: when the other side's host that is gone without a word is known to be; 0: 30 s */
    uint64_t reserved[5]; /* must be 0: room for fields to come, see mproc/base.h */
} mproc_manager_options;

/* ---- servers and connections ---- */

/* Start a server as a daemon of this process, and connect to it. It ends when it is shut down or gets SIGTERM, and when
 * this process ends, however it does; it writes its snapshot file first if it has one, as mproc_manager_serve() says.
 * It does not end at SIGINT, which a terminal sends to all its processes. -EINVAL, also for a stop_fd; -EADDRINUSE and the other errors of
 * mproc_listener_create() and mproc_process_start(); those of a snapshot file, see mproc_manager_save();
 * MPROC_NO_FUNCTION, with spawn or forkserver, also: the server cannot find a type that is registered, see
 * mproc_manager_register(); -ELIBACC: OpenSSL is needed, whatever the address, and is not there. */
MPROC_API int mproc_manager_create(mproc_manager **manager, const mproc_manager_options *options);

/* Be the server, until a client calls mproc_manager_shutdown(), a signal asks for the end, or stop_fd can be read or is
 * at its end of file. 0: it has ended in good order, after it wrote its snapshot file if it has one; or an error as
 * above. -EINVAL also: no key was given, and none was set by mproc_authkey_set(), here or in the process from which
 * it was inherited: a random one is nobody else's; or stop_fd is negative or a regular file. -EBADF: stop_fd is not
 * open.
 *
 * The signals are SIGTERM and SIGINT, each only where it would have ended the process by default: a program that
 * handles or ignores one of them keeps that, and may have its handler write to a pipe whose other end is stop_fd. They
 * are as they were when this returns. stop_fd stays the caller's, and is not read; as 0 means none, descriptor 0 must
 * be duplicated to be one.
 *
 * A server that was asked to end and cannot write its file says so in the log and goes on; it tries again each second.
 * A further signal then ends it without: this returns the error of mproc_manager_save(), and the file is as it was. */
MPROC_API int mproc_manager_serve(const char *address, const mproc_manager_options *options);

/* Have the server write its snapshot file now. With the option snapshot_file a server has in that file what has a name
 * in it, and all that can be reached from there; it restores itself from it when it starts, and writes it when it is
 * asked here, every save_interval, and at its end: by mproc_manager_shutdown(), SIGTERM, and the end of the process
 * that created it. A server that is killed leaves what was written last. 0: the file is in its place and on the disk,
 * and shows the server as it was after all that this client had been answered before. Others are served meanwhile;
 * those who ask meanwhile have one more writing together.
 *
 * With any error the file is whole, as it was before or as it was to be. -EOPNOTSUPP: the server was not given a file.
 * MPROC_WORKER_DIED: the process that wrote was killed. -ENOSPC, -EFBIG, -EIO and the like: from writing it. -EINVAL: a
 * function save of a type has made no value; or what that returned. -ENOMEM. MPROC_TIMEOUT: it may still be written.
 *
 * What a server that starts says of its file: -EBADMSG: it is damaged, cut off, or no snapshot. -EPROTONOSUPPORT:
 * another version of mproc has written it. -EPERM: it, or what keeps other servers away from it, is another user's, or
 * others may read or write it, or it is no regular file. -ELOOP: it is a symbolic link. -EBUSY: another server has it.
 * MPROC_NOT_FOUND: it has an object of a type that is not registered or has no function restore; or what that function
 * returned. -ENAMETOOLONG; -ENOENT: there is no such folder; -EACCES and the like. The server does not start then, and
 * the file stays as it is. */
MPROC_API int mproc_manager_save(mproc_manager *manager, mproc_time timeout);

/* Connect to a server. MPROC_AUTH: one of the two has another key, or the peer is no such server. MPROC_TIMEOUT.
 * -ENOENT, -ECONNREFUSED: nobody listens there. -EPERM: the server is of another user. -EINVAL, -ELIBACC. */
MPROC_API int mproc_manager_connect(mproc_manager **manager, const char *address, const mproc_manager_options *options,
                                    mproc_time timeout);

/* Where the server can be found. Valid until the manager is freed. NULL for NULL. */
MPROC_API const char *mproc_manager_address(const mproc_manager *manager);

/* End the server, with all that is in it, and wait until it has ended where this process has started it. One that has a
 * snapshot file writes it before, and does nothing any more after that; if it cannot, it goes on, and the error is that
 * of mproc_manager_save(). 0, MPROC_TIMEOUT, MPROC_SERVER_DIED. */
MPROC_API int mproc_manager_shutdown(mproc_manager *manager, mproc_time timeout);

/* Give up the connection, all proxies that came by it, and the server where this process has started it. It is shut
 * down, for which it has 1 s, or 30 s to write a snapshot file, and is killed if it does not end; where it was killed
 * its memory goes back now. Returns NULL; NULL is ignored. No other thread may be in a call. */
MPROC_API mproc_manager *mproc_manager_free(mproc_manager *manager);

/* ---- proxies of containers ----
 *
 * A new object in the server, or with a name the one of that name, which is made if there is none. The proxy is used
 * by the functions of <mproc/containers.h>, and given back by the _free function of its type. An object lives while it
 * has a name, a proxy, or a place in another object that lives. -EEXIST: the name is another type's. MPROC_SERVER_DIED,
 * MPROC_TIMEOUT, -EINVAL, -ENOMEM.
 *
 * Proxies are nested by mproc_object_value(), in objects of the same server. A proxy that comes out of a value belongs
 * to the manager: it is valid until that is freed, and giving it back does nothing. */

MPROC_API int mproc_manager_dict(mproc_manager *manager, mproc_dict **dict, const char *name, mproc_time timeout);
MPROC_API int mproc_manager_list(mproc_manager *manager, mproc_list **list, const char *name, mproc_time timeout);
MPROC_API int mproc_manager_set(mproc_manager *manager, mproc_set **set, const char *name, mproc_time timeout);
MPROC_API int mproc_manager_namespace(mproc_manager *manager, mproc_namespace **names, const char *name,
                                      mproc_time timeout);

/* value, count and element_size are of a new one. */
MPROC_API int mproc_manager_variable(mproc_manager *manager, mproc_variable **variable, const char *name,
                                     mproc_value value, mproc_time timeout);
MPROC_API int mproc_manager_array(mproc_manager *manager, mproc_array **array, const char *name, size_t count,
                                  size_t element_size, mproc_time timeout);

/* Take a name away. MPROC_NOT_FOUND. */
MPROC_API int mproc_manager_forget(mproc_manager *manager, const char *name, mproc_time timeout);

/* ---- locks, queues and the like, in the server ----
 *
 * Who waits is served in the order in which requests came. MPROC_TIMEOUT: nothing was done. */

enum mproc_remote_kind {
    MPROC_REMOTE_LOCK = 65,
    MPROC_REMOTE_RLOCK,
    MPROC_REMOTE_SEMAPHORE,         /* number: its value at first */
    MPROC_REMOTE_BOUNDED_SEMAPHORE, /* and never more */
    MPROC_REMOTE_EVENT,
    MPROC_REMOTE_CONDITION, /* with a lock of its own, which is an rlock */
    MPROC_REMOTE_BARRIER,   /* number: the parties */
    MPROC_REMOTE_QUEUE      /* number: the most items, 0: no limit */
};

MPROC_API int mproc_manager_remote(mproc_manager *manager, mproc_remote **remote, enum mproc_remote_kind kind,
                                   int64_t number, const char *name, mproc_time timeout);
MPROC_API mproc_remote *mproc_remote_free(mproc_remote *remote);

/* Lock, rlock, semaphore, condition. MPROC_OWNER_DIED: the lock is yours; the connection of its last owner ended while
 * it held it. Release is -EPERM where this process (for an rlock or a condition: this thread) does not hold it, and
 * -EOVERFLOW where a bounded semaphore has its first value. */
MPROC_API int mproc_remote_acquire(mproc_remote *remote, mproc_time timeout);
MPROC_API int mproc_remote_release(mproc_remote *remote, mproc_time timeout);

/* Event. */
MPROC_API int mproc_remote_set(mproc_remote *remote, mproc_time timeout);
MPROC_API int mproc_remote_clear(mproc_remote *remote, mproc_time timeout);
MPROC_API int mproc_remote_is_set(mproc_remote *remote, bool *is_set, mproc_time timeout);

/* Event: until it is set. Condition, whose lock this thread holds: until it is notified; the lock is held again when
 * this returns, also with MPROC_TIMEOUT, for which it may be waited longer. Barrier: until all parties wait;
 * MPROC_BROKEN when one gave up or died, or it was aborted. */
MPROC_API int mproc_remote_wait(mproc_remote *remote, mproc_time timeout);

/* Condition, whose lock this thread holds: wake up to count that wait. */
MPROC_API int mproc_remote_notify(mproc_remote *remote, size_t count, mproc_time timeout);

/* Barrier: break it, and mend it. Those who wait are told MPROC_BROKEN. */
MPROC_API int mproc_remote_abort(mproc_remote *remote, mproc_time timeout);
MPROC_API int mproc_remote_reset(mproc_remote *remote, mproc_time timeout);

/* Queue. task_done is -EINVAL when it was called as often as items were put; join waits until it was. A client that
 * ends between its get and its task_done leaves its item undone, and join waits for ever: somebody who knows of that
 * end must call task_done in its place, see mproc_queue_join(). */
MPROC_API int mproc_remote_put(mproc_remote *remote, mproc_value value, mproc_time timeout);
MPROC_API int mproc_remote_get(mproc_remote *remote, mproc_value *value, mproc_time timeout);
MPROC_API int mproc_remote_size(mproc_remote *remote, size_t *size, mproc_time timeout);
MPROC_API int mproc_remote_task_done(mproc_remote *remote, mproc_time timeout);
MPROC_API int mproc_remote_join(mproc_remote *remote, mproc_time timeout);

/* ---- types of the program's own ---- */

/* A method, run in the server, one at a time: it must not wait, and must not use the manager. *result is nil before; a
 * value that it writes may borrow from the object. What it returns is the result of the call. */
typedef struct mproc_manager_method {
    const char *name;
    int (*function)(void *object, const mproc_value *args, size_t count, mproc_value *result);
} mproc_manager_method;

typedef struct mproc_manager_type {
    const char *name;
    int (*construct)(void **object, const mproc_value *args, size_t count);
    void (*destroy)(void *object); /* may be NULL */
    const mproc_manager_method *methods;
    size_t method_count;
    /* Both, or NULL for a type whose objects are left out of snapshots: an object becomes a value, and a new one is
     * made of that. *state is nil before, and may borrow from the object; a state that is given stays the library's.
     * What is not 0 ends the writing, or the start of the server, with that. As methods, they must not wait. */
    int (*save)(void *object, mproc_value *state);
    int (*restore)(void **object, const mproc_value *state);
    uint64_t reserved[8]; /* must be 0: room for fields to come, see mproc/base.h */
} mproc_manager_type;

/* Let servers that this process becomes, or starts from now on, have objects of that type. What it points to stays the
 * caller's and must stay. A server that is started by spawn or forkserver has the type from the program's file or a
 * library's, as it is there at first: so it must be static and initialized where it is declared, or
 * mproc_manager_create() is MPROC_NO_FUNCTION, and the log says for which. -EINVAL, also for one of save and restore
 * without the other; -EEXIST: there is one of that name. */
MPROC_API int mproc_manager_register(const mproc_manager_type *type);

/* A new object of a registered type, or with a name the one of that name. MPROC_NOT_FOUND: the server has no such type.
 * Else what its constructor returned. */
MPROC_API int mproc_manager_object(mproc_manager *manager, mproc_object **object, const char *type, const char *name,
                                   const mproc_value *args, size_t count, mproc_time timeout);
MPROC_API mproc_object *mproc_object_free(mproc_object *object);

/* Call a method. result may be NULL. MPROC_NOT_FOUND: there is no such method. Else what it returned. */
MPROC_API int mproc_object_call(mproc_object *object, const char *method, const mproc_value *args, size_t count,
                                mproc_value *result, mproc_time timeout);

/* ---- many calls at a time ----
 *
 *     const mproc_value ada[] = {mproc_string("Ada"), mproc_int(36)};
 *     mproc_call calls[] = {{.object = ages, .method = "set", .args = ada, .count = 2},
 *                           {.object = ages, .method = "length"}};
 *     int result = mproc_manager_call(manager, calls, 2, MPROC_SEC(5));
 *     if (result == 0 && calls[1].status == 0)
 *         printf("%ld\n", (long)calls[1].result.integer);
 *     for (size_t i = 0; i < 2; i++)
 *         mproc_value_free(&calls[i].result);
 *
 * A call that waits for its answer before the next one begins takes the time of the way there and back. These go
 * together, and are done in their order; those of other clients, and of other threads, may come in between. */

/* object: any proxy of the manager. method, args: of a registered type its own; else what follows the type in the name
 * of the function that does the same, and what it takes in, in its order, without the timeout: bool and numbers as
 * values, elements of an array as bytes. What would wait in the server (an acquire, a get) is done with MPROC_NOWAIT.
 */
typedef struct mproc_call {
    void *object;
    const char *method;
    const mproc_value *args;
    size_t count;
    int status;         /* written: what the function of one call would return; MPROC_NOT_FOUND: no such method, too */
    mproc_value result; /* written: what it would write, owned by the caller */
} mproc_call;

typedef struct mproc_batch mproc_batch;

/* Send these calls and wait for all their answers. 0: each has a status and a result. MPROC_TIMEOUT: so they have, and
 * those without an answer have the status MPROC_TIMEOUT; they may still be done. -EINVAL: nothing was sent: a NULL, no
 * calls, a timeout below -1, an object that is no proxy of this manager, an argument that is no value. -ENOMEM,
 * -EMSGSIZE, likewise. */
MPROC_API int mproc_manager_call(mproc_manager *manager, mproc_call *calls, size_t count, mproc_time timeout);

/* The same in two steps, to do something else meanwhile, or to ask several servers at once. calls stays the caller's
 * and must stay until the batch is freed; args and what they hold need not. It does not wait: what the socket does not
 * take at once goes out while anybody waits for an answer of this manager. Only after a MPROC_SERVER_DIED it brings
 * proxies with names back first, as any call does, which may take 5 s. Errors as above. In a forked child of the process that has sent it, a batch is MPROC_SERVER_DIED for
 * each call. */
MPROC_API int mproc_manager_send(mproc_manager *manager, mproc_call *calls, size_t count, mproc_batch **batch);

/* Wait until all its calls have their answers: 0, and status and result of each are written. MPROC_TIMEOUT: nothing is
 * written yet. -EINVAL. One thread at a time waits for a batch. */
MPROC_API int mproc_batch_wait(mproc_batch *batch, mproc_time timeout);

/* Free a batch, before its manager. Of calls whose answers were not waited for status and result are written as they
 * are, MPROC_TIMEOUT where there is none. Returns NULL; NULL is ignored. */
MPROC_API mproc_batch *mproc_batch_free(mproc_batch *batch);

#ifdef __cplusplus
}
#endif

#endif
