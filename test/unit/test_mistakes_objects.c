/* Mistakes with locks and the like, queues, connections, and memory with a name: each says which function and argument,
 * and changes nothing. */
#include "harness.h"
#include "mistakes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define UNALIGNED "the address is NULL, or not aligned to 8 bytes"
#define UNSHARED  "the address is not in shared memory; use mproc_alloc()"
#define NO_LOCK   "lock is NULL, or mproc_lock_init() has not set it up"

static void locks(void **state)
{
    mproc_lock here, *lock = mproc_alloc(sizeof *lock);
    mproc_rlock *rlock = mproc_alloc(sizeof *rlock);
    (void)state;
    says(mproc_lock_init(NULL), -EINVAL, "mproc_lock_init: " UNALIGNED);
    says(mproc_lock_init(&here), MPROC_NOT_SHARED, "mproc_lock_init: " UNSHARED);
    assert_int_equal(mproc_lock_init(lock), 0);
    says(mproc_lock_acquire(NULL, SECONDS), -EINVAL, "mproc_lock_acquire: " NO_LOCK);
    says(mproc_lock_acquire(lock, WRONG_TIME), -EINVAL, "mproc_lock_acquire: timeout is negative");
    says(mproc_lock_release(NULL), -EINVAL, "mproc_lock_release: " NO_LOCK);
    says(mproc_lock_release(lock), -EPERM, "mproc_lock_release: this process does not hold the lock");
    says(mproc_rlock_init(NULL), -EINVAL, "mproc_rlock_init: " UNALIGNED);
    assert_int_equal(mproc_rlock_init(rlock), 0);
    says(mproc_rlock_acquire(NULL, SECONDS), -EINVAL,
         "mproc_rlock_acquire: lock is NULL, or mproc_rlock_init() has not set it up");
    says(mproc_rlock_acquire(rlock, WRONG_TIME), -EINVAL, "mproc_rlock_acquire: timeout is negative");
    says(mproc_rlock_release(NULL), -EINVAL,
         "mproc_rlock_release: lock is NULL, or mproc_rlock_init() has not set it up");
    says(mproc_rlock_release(rlock), -EPERM, "mproc_rlock_release: this thread does not hold the lock");
    assert_false(mproc_lock_is_locked(lock) || mproc_rlock_is_locked(rlock));
    mproc_free(lock);
    mproc_free(rlock);
}

static void semaphores_and_events(void **state)
{
    mproc_semaphore *semaphore = mproc_alloc(sizeof *semaphore);
    mproc_event *event = mproc_alloc(sizeof *event);
    const char *const unset = "mproc_event_wait: event is NULL, or mproc_event_init() has not set it up";
    (void)state;
    says(mproc_semaphore_init(NULL, 1, 0), -EINVAL,
         "mproc_semaphore_init: the address is NULL, or not aligned to 16 bytes");
    says(mproc_semaphore_init(semaphore, UINT32_MAX, 0), -EINVAL, "mproc_semaphore_init: value is above 2^31 - 1");
    says(mproc_semaphore_init(semaphore, 1, 64), -EINVAL, "mproc_semaphore_init: flags has a bit that is no flag");
    assert_int_equal(mproc_semaphore_init(semaphore, 2, MPROC_SEMAPHORE_BOUNDED), 0);
    says(mproc_semaphore_acquire(NULL, SECONDS), -EINVAL,
         "mproc_semaphore_acquire: semaphore is NULL, or mproc_semaphore_init() has not set it up");
    says(mproc_semaphore_acquire(semaphore, WRONG_TIME), -EINVAL, "mproc_semaphore_acquire: timeout is negative");
    says(mproc_semaphore_release(semaphore, 0), -EINVAL, "mproc_semaphore_release: count is 0");
    says(mproc_semaphore_release(semaphore, 1), -EOVERFLOW,
         "mproc_semaphore_release: the value would be above 2, the bound of semaphore");
    says(mproc_semaphore_release(semaphore, UINT32_MAX), -EOVERFLOW,
         "mproc_semaphore_release: count is above 2^31 - 1");
    says(mproc_semaphore_value(NULL), -EINVAL,
         "mproc_semaphore_value: semaphore is NULL, or mproc_semaphore_init() has not set it up");
    assert_int_equal(mproc_semaphore_value(semaphore), 2);
    says(mproc_event_init(NULL), -EINVAL, "mproc_event_init: " UNALIGNED);
    says(mproc_event_set(NULL), -EINVAL, "mproc_event_set: event is NULL, or mproc_event_init() has not set it up");
    says(mproc_event_clear(NULL), -EINVAL, "mproc_event_clear: event is NULL, or mproc_event_init() has not set it up");
    says(mproc_event_wait(NULL, SECONDS), -EINVAL, unset);
    assert_int_equal(mproc_event_init(event), 0);
    says(mproc_event_wait(event, WRONG_TIME), -EINVAL, "mproc_event_wait: timeout is negative");
    mproc_free(semaphore);
    mproc_free(event);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void conditions_and_barriers(void **state)
{
    mproc_condition *condition = mproc_alloc(sizeof *condition);
    mproc_barrier *barrier = mproc_alloc(sizeof *barrier);
    mproc_lock *lock = mproc_alloc(sizeof *lock);
    (void)state;
    assert_int_equal(mproc_lock_init(lock), 0);
    says(mproc_condition_init(NULL), -EINVAL, "mproc_condition_init: " UNALIGNED);
    assert_int_equal(mproc_condition_init(condition), 0);
    says(mproc_condition_wait(NULL, lock, SECONDS), -EINVAL,
         "mproc_condition_wait: condition is NULL, or mproc_condition_init() has not set it up");
    says(mproc_condition_wait(condition, NULL, SECONDS), -EINVAL, "mproc_condition_wait: " NO_LOCK);
    says(mproc_condition_wait(condition, lock, SECONDS), -EPERM,
         "mproc_condition_wait: this process does not hold the lock");
    says(mproc_condition_wait_for(condition, lock, NULL, NULL, SECONDS), -EINVAL,
         "mproc_condition_wait_for: predicate is NULL");
    says(mproc_condition_wait_for(condition, lock, never, NULL, SECONDS), -EPERM,
         "mproc_condition_wait_for: this process does not hold the lock");
    says(mproc_condition_notify(condition, 0), -EINVAL, "mproc_condition_notify: count is 0");
    says(mproc_condition_notify_all(NULL), -EINVAL,
         "mproc_condition_notify_all: condition is NULL, or mproc_condition_init() has not set it up");
    says(mproc_barrier_init(NULL, 1, NULL, NULL), -EINVAL,
         "mproc_barrier_init: the address is NULL, or not aligned to 16 bytes");
    says(mproc_barrier_init(barrier, 0, NULL, NULL), -EINVAL, "mproc_barrier_init: parties is 0");
    assert_int_equal(mproc_barrier_init(barrier, 2, NULL, NULL), 0);
    says(mproc_barrier_wait(barrier, NULL, WRONG_TIME), -EINVAL, "mproc_barrier_wait: timeout is negative");
    says(mproc_barrier_abort(NULL), -EINVAL,
         "mproc_barrier_abort: barrier is NULL, or mproc_barrier_init() has not set it up");
    says(mproc_barrier_reset(NULL), -EINVAL,
         "mproc_barrier_reset: barrier is NULL, or mproc_barrier_init() has not set it up");
    says(mproc_barrier_waiting(NULL), -EINVAL,
         "mproc_barrier_waiting: barrier is NULL, or mproc_barrier_init() has not set it up");
    says(mproc_barrier_parties(NULL), -EINVAL,
         "mproc_barrier_parties: barrier is NULL, or mproc_barrier_init() has not set it up");
    assert_int_equal(mproc_barrier_waiting(barrier), 0);
    mproc_free(condition);
    mproc_free(barrier);
    mproc_free(lock);
}

static void queues(void **state)
{
    mproc_queue *queue;
    mproc_message message = {.data = NULL, .size = 3};
    char byte;
    void *place;
    const void *seen;
    size_t size;
    (void)state;
    says(mproc_queue_create(NULL, NULL), -EINVAL, "mproc_queue_create: queue is NULL");
    says(mproc_queue_create(&queue, &(mproc_queue_options){.reserved = {1}}), -EINVAL,
         "mproc_queue_create: a word of options.reserved is not 0");
    assert_int_equal(mproc_queue_create(&queue, &(mproc_queue_options){.maxsize = 2}), 0);
    says(mproc_queue_put(NULL, &byte, 1, SECONDS), -EINVAL, "mproc_queue_put: queue is NULL, or no queue");
    says(mproc_queue_put(queue, NULL, 1, SECONDS), -EINVAL,
         "mproc_queue_put: data is NULL, but size is not 0; or size is above 2^47");
    says(mproc_queue_put(queue, "", 1, WRONG_TIME), -EINVAL, "mproc_queue_put: timeout is negative");
    says(mproc_queue_put_many(queue, NULL, 1, SECONDS), -EINVAL, "mproc_queue_put_many: messages is NULL");
    says(mproc_queue_put_many(queue, &message, 0, SECONDS), -EINVAL, "mproc_queue_put_many: count is 0");
    says(mproc_queue_put_many(queue, &message, 3, SECONDS), -EINVAL,
         "mproc_queue_put_many: count is above the maxsize of the queue");
    says(mproc_queue_put_many(queue, &message, 1, SECONDS), -EINVAL,
         "mproc_queue_put_many: one of messages has a size without data, or they are above 2^47 bytes together");
    says(mproc_queue_get(queue, NULL, 1, NULL, SECONDS), -EINVAL,
         "mproc_queue_get: buffer is NULL, but capacity is not 0");
    says(mproc_queue_get_new(queue, NULL, &size, SECONDS), -EINVAL, "mproc_queue_get_new: data is NULL");
    says(mproc_queue_get_new(queue, &place, NULL, SECONDS), -EINVAL, "mproc_queue_get_new: size is NULL");
    says(mproc_queue_get_many(queue, &message, 1, NULL, SECONDS), -EINVAL, "mproc_queue_get_many: got is NULL");
    says(mproc_queue_reserve(queue, NULL, 1, SECONDS), -EINVAL, "mproc_queue_reserve: data is NULL");
    says(mproc_queue_reserve(queue, &place, SIZE_MAX, SECONDS), -EINVAL, "mproc_queue_reserve: size is above 2^47");
    says(mproc_queue_commit(queue, 1), -EPERM, "mproc_queue_commit: this thread has no reservation here");
    says(mproc_queue_abandon(queue), -EPERM, "mproc_queue_abandon: this thread has no reservation here");
    says(mproc_queue_peek(queue, NULL, &size, SECONDS), -EINVAL, "mproc_queue_peek: data is NULL");
    says(mproc_queue_peek(queue, &seen, NULL, SECONDS), -EINVAL, "mproc_queue_peek: size is NULL");
    says(mproc_queue_release(queue, true), -EPERM, "mproc_queue_release: this thread does not peek here");
    says(mproc_queue_task_done(queue), -EPERM, "mproc_queue_task_done: more is said to be done than was put");
    says(mproc_queue_join(queue, WRONG_TIME), -EINVAL, "mproc_queue_join: timeout is negative");
    says(mproc_queue_close(NULL), -EINVAL, "mproc_queue_close: queue is NULL, or no queue");
    assert_true(mproc_queue_empty(queue));
    mproc_queue_free(queue);
}

static void connections(void **state)
{
    mproc_connection *in, *out;
    mproc_connection *made = NULL;
    char buffer[4];
    void *data;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), passed;
    (void)state;
    says(mproc_pipe(NULL, &out, false), -EINVAL, "mproc_pipe: a is NULL");
    says(mproc_pipe(&in, NULL, false), -EINVAL, "mproc_pipe: b is NULL");
    says(mproc_pipe(&in, &in, false), -EINVAL, "mproc_pipe: a and b are the same place");
    assert_int_equal(mproc_pipe(&in, &out, false), 0);
    says(mproc_connection_from_fd(NULL, fd), -EINVAL, "mproc_connection_from_fd: connection is NULL");
    says(mproc_connection_from_fd(&made, fd), -EINVAL, "mproc_connection_from_fd: fd is no socket and no pipe");
    says(mproc_connection_from_fd(&made, -1), -EBADF, "mproc_connection_from_fd: fstat: Bad file descriptor");
    says(mproc_connection_send(NULL, "", 1, SECONDS), -EINVAL, "mproc_connection_send: connection is NULL");
    says(mproc_connection_send(out, NULL, 1, SECONDS), -EINVAL,
         "mproc_connection_send: data is NULL, but size is not 0");
    says(mproc_connection_send(in, "", 1, SECONDS), -EBADF,
         "mproc_connection_send: the connection is closed, or is for the other direction only");
    says(mproc_connection_send_fd(out, fd, SECONDS), -EOPNOTSUPP,
         "mproc_connection_send_fd: connection is no Unix socket, which alone carries descriptors");
    says(mproc_connection_recv(in, NULL, 1, NULL, SECONDS), -EINVAL,
         "mproc_connection_recv: buffer is NULL, but capacity is not 0");
    says(mproc_connection_recv(in, buffer, 4, NULL, WRONG_TIME), -EINVAL, "mproc_connection_recv: timeout is negative");
    says(mproc_connection_recv_new(in, NULL, NULL, SECONDS), -EINVAL, "mproc_connection_recv_new: data is NULL");
    says(mproc_connection_recv_new(out, &data, NULL, SECONDS), -EBADF,
         "mproc_connection_recv_new: the connection is closed, or is for the other direction only");
    says(mproc_connection_recv_fd(in, NULL, SECONDS), -EINVAL, "mproc_connection_recv_fd: fd is NULL");
    says(mproc_connection_recv_fd(NULL, &passed, SECONDS), -EINVAL, "mproc_connection_recv_fd: connection is NULL");
    says(mproc_connection_poll(NULL, SECONDS), -EINVAL, "mproc_connection_poll: connection is NULL");
    says(mproc_connection_fileno(NULL), -EINVAL, "mproc_connection_fileno: connection is NULL");
    assert_null(made);
    mproc_connection_free(in);
    mproc_connection_free(out);
    close(fd);
}

static void waits(void **state)
{
    mproc_wait_item items[] = {{.kind = MPROC_WAIT_FD, .on.fd = 0}, {.kind = MPROC_WAIT_QUEUE}};
    (void)state;
    says(mproc_wait(NULL, 1, NULL, SECONDS), -EINVAL, "mproc_wait: items is NULL");
    says(mproc_wait(items, 0, NULL, SECONDS), -EINVAL, "mproc_wait: count is 0");
    says(mproc_wait(items, 1, NULL, WRONG_TIME), -EINVAL, "mproc_wait: timeout is negative");
    says(mproc_wait(items, 2, NULL, SECONDS), -EINVAL, "mproc_wait: items[1].on.queue is NULL");
    items[1].kind = MPROC_WAIT_CONNECTION;
    says(mproc_wait(items, 2, NULL, SECONDS), -EINVAL, "mproc_wait: items[1].on.connection is NULL");
    items[1].kind = MPROC_WAIT_PROCESS;
    says(mproc_wait(items, 2, NULL, SECONDS), -EINVAL, "mproc_wait: items[1].on.process is NULL");
    items[1].kind = MPROC_WAIT_FUTURE;
    says(mproc_wait(items, 2, NULL, SECONDS), -EINVAL, "mproc_wait: items[1].on.future is NULL");
    items[1].kind = (enum mproc_wait_kind)77;
    says(mproc_wait(items, 2, NULL, SECONDS), -EINVAL,
         "mproc_wait: items[1].kind must be a constant of enum mproc_wait_kind");
    items[1] = (mproc_wait_item){.kind = MPROC_WAIT_FD, .on.fd = -1};
    says(mproc_wait(items, 2, NULL, SECONDS), -EBADF, "mproc_wait: items[1].on.fd is negative");
}

static void listeners(void **state)
{
    mproc_listener *listener = NULL;
    mproc_connection *connection;
    char key[8];
    size_t size;
    (void)state;
    says(mproc_listener_create(NULL, "unix:", NULL), -EINVAL, "mproc_listener_create: listener is NULL");
    says(mproc_listener_create(&listener, NULL, NULL), -EINVAL, "mproc_listener_create: address is NULL");
    says(mproc_listener_create(&listener, "tls:127.0.0.1:0", NULL), -EINVAL,
         "mproc_listener_create: address begins with tls:, which only managers speak: unix: or tcp:");
    says(mproc_listener_create(&listener, "tcp:nowhere", NULL), -EINVAL,
         "mproc_listener_create: address is not tcp:HOST:PORT, or the port is no number up to 65535");
    says(mproc_listener_create(&listener, "unix:/nonexistent/socket", NULL), -ENOENT,
         "mproc_listener_create: bind: No such file or directory");
    says(mproc_listener_create(&listener, "unix:", &(mproc_listener_options){.backlog = -1}), -EINVAL,
         "mproc_listener_create: options.backlog is negative");
    says(mproc_listener_accept(NULL, &connection, SECONDS), -EINVAL, "mproc_listener_accept: listener is NULL");
    says(mproc_listener_fileno(NULL), -EINVAL, "mproc_listener_fileno: listener is NULL");
    says(mproc_listener_last_accepted(NULL, key, sizeof key), -EINVAL,
         "mproc_listener_last_accepted: listener is NULL");
    says(mproc_connect(NULL, "unix:/a", NULL, SECONDS), -EINVAL, "mproc_connect: connection is NULL");
    says(mproc_connect(&connection, "unix:", NULL, SECONDS), -EINVAL,
         "mproc_connect: address has no path behind unix:");
    says(mproc_connect(&connection, "tcp:127.0.0.1:0", &(mproc_connect_options){.key = "k", .key_size = 1}, SECONDS),
         -EINVAL, "mproc_connect: address has the port 0, to which nobody can connect");
    says(mproc_key_from_file(NULL, key, sizeof key, &size), -EINVAL, "mproc_key_from_file: path is NULL");
    says(mproc_key_from_file("/tmp", key, sizeof key, &size), -EISDIR, "mproc_key_from_file: path is a folder: /tmp");
    says(mproc_key_from_file("/no/such", key, sizeof key, &size), -ENOENT,
         "mproc_key_from_file: open: No such file or directory");
    says(mproc_key_from_fd(0, key, sizeof key, NULL), -EINVAL, "mproc_key_from_fd: size is NULL");
    assert_null(listener);
}

static void named_memory(void **state)
{
    mproc_shared_memory *memory = NULL;
    (void)state;
    says(mproc_shared_memory_create(NULL, NULL, 1), -EINVAL, "mproc_shared_memory_create: memory is NULL");
    says(mproc_shared_memory_create(&memory, NULL, 0), -EINVAL, "mproc_shared_memory_create: size is 0");
    says(mproc_shared_memory_create(&memory, "a/b", 1), -EINVAL,
         "mproc_shared_memory_create: name is empty, too long or has a slash in it");
    says(mproc_shared_memory_attach(&memory, ""), -EINVAL,
         "mproc_shared_memory_attach: name is NULL, empty, too long or has a slash in it");
    says(mproc_shared_memory_own(NULL, true), -EINVAL, "mproc_shared_memory_own: memory is NULL");
    says(mproc_shared_memory_unlink(NULL), -EINVAL,
         "mproc_shared_memory_unlink: name is NULL, empty, too long or has a slash in it");
    assert_null(memory);
}

static void logs_and_keys(void **state)
{
    char key[4];
    (void)state;
    says(mproc_log_set_level(0), -EINVAL, "mproc_log_set_level: level is below 1");
    says(mproc_log_to_stderr(0), -EINVAL, "mproc_log_to_stderr: level is below 1");
    says(mproc_authkey_set(NULL, 4), -EINVAL, "mproc_authkey_set: key is NULL");
    says(mproc_authkey_get(key, sizeof key, NULL), -EINVAL, "mproc_authkey_get: size is NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(locks),     unit(semaphores_and_events), unit(conditions_and_barriers),
        unit(queues),    unit(connections),           unit(waits),
        unit(listeners), unit(named_memory),          unit(logs_and_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
