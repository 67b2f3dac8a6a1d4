/* pthread_cancel() of threads that wait in the library: it takes effect when they have left it. What they waited on
 * works for others afterwards. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What the threads wait on. */
struct stage {
    mproc_connection *ours, *theirs;
    mproc_listener *listener;
    mproc_queue *queue;
    mproc_pool *pool;
    struct gate *gate; /* what a task waits at */
    mproc_future *future;
    mproc_imap *imap;
    int left; /* inputs */
    mproc_process *process;
    mproc_manager *manager;
    mproc_remote *remote;
    mproc_lock *lock;
    _Atomic(int) entered;
    _Atomic(int) result; /* of the call, when it has returned */
};

#define RUNNING 12345

typedef int wait_function(struct stage *stage);

struct waiter {
    struct stage *stage;
    wait_function *wait;
};

static void *wait_and_tell(void *arg)
{
    const struct waiter *waiter = arg;
    atomic_store(&waiter->stage->entered, 1);
    int result = waiter->wait(waiter->stage);
    atomic_store(&waiter->stage->result, result);
    pthread_testcancel();
    return NULL;
}

static bool has_entered(void *stage)
{
    return atomic_load(&((struct stage *)stage)->entered);
}

/* Cancel a thread in a wait; the wait must end as it would have, and then the thread. end: what ends the wait. */
static void cancel_in(struct stage *stage, wait_function *wait, void (*end)(struct stage *stage), int expected)
{
    struct waiter waiter = {.stage = stage, .wait = wait};
    pthread_t thread;
    void *came_of_it;
    atomic_store(&stage->entered, 0);
    atomic_store(&stage->result, RUNNING);
    assert_int_equal(pthread_create(&thread, NULL, wait_and_tell, &waiter), 0);
    assert_true(wait_until(has_entered, stage, 20000));
    nap(30); /* most likely it waits; earlier is as good a test */
    assert_int_equal(pthread_cancel(thread), 0);
    nap(30);
    assert_int_equal(atomic_load(&stage->result), RUNNING);
    end(stage);
    assert_int_equal(pthread_join(thread, &came_of_it), 0);
    assert_ptr_equal(came_of_it, PTHREAD_CANCELED);
    assert_int_equal(atomic_load(&stage->result), expected);
}

/* ---- connections ---- */

static int receive(struct stage *stage)
{
    char text[8];
    return mproc_connection_recv(stage->ours, text, sizeof text, NULL, MPROC_FOREVER);
}

static int wait_for_connection(struct stage *stage)
{
    mproc_wait_item items[2] = {{.kind = MPROC_WAIT_CONNECTION, .on.connection = stage->ours},
                                {.kind = MPROC_WAIT_QUEUE, .on.queue = stage->queue}};
    return mproc_wait(items, 2, NULL, MPROC_FOREVER);
}

static void send_something(struct stage *stage)
{
    assert_int_equal(mproc_connection_send(stage->theirs, "x", 1, MPROC_SEC(20)), 0);
}

static void a_receiver_of_a_connection_takes_its_message(void **state)
{
    struct stage stage = {0};
    (void)state;
    assert_int_equal(mproc_pipe(&stage.ours, &stage.theirs, true), 0);
    assert_int_equal(mproc_queue_create(&stage.queue, NULL), 0);
    cancel_in(&stage, receive, send_something, 0);
    cancel_in(&stage, wait_for_connection, send_something, 0);
    assert_int_equal(receive(&stage), 0);
    mproc_queue_free(stage.queue);
    mproc_connection_free(stage.ours);
    mproc_connection_free(stage.theirs);
}

static int accept_one(struct stage *stage)
{
    mproc_connection *peer;
    int result = mproc_listener_accept(stage->listener, &peer, MPROC_FOREVER);
    if (result == 0)
        mproc_connection_free(peer);
    return result;
}

static void connect_one(struct stage *stage)
{
    mproc_connection *connection;
    assert_int_equal(mproc_connect(&connection, mproc_listener_address(stage->listener), NULL, MPROC_SEC(20)), 0);
    mproc_connection_free(connection);
}

static void a_listener_goes_on(void **state)
{
    struct stage stage = {0};
    (void)state;
    assert_int_equal(mproc_listener_create(&stage.listener, "unix:", NULL), 0);
    cancel_in(&stage, accept_one, connect_one, 0);
    cancel_in(&stage, accept_one, connect_one, 0);
    mproc_listener_free(stage.listener);
}

/* ---- shared objects ---- */

static int get(struct stage *stage)
{
    char text[8];
    return mproc_queue_get(stage->queue, text, sizeof text, NULL, MPROC_FOREVER);
}

static void put(struct stage *stage)
{
    assert_int_equal(mproc_queue_put(stage->queue, "x", 1, MPROC_SEC(20)), 0);
}

static int acquire(struct stage *stage)
{
    return mproc_lock_acquire(stage->lock, MPROC_FOREVER);
}

static void release(struct stage *stage)
{
    assert_int_equal(mproc_lock_release(stage->lock), 0);
}

static void queues_and_locks_are_taken(void **state)
{
    struct stage stage = {.lock = mproc_calloc(1, sizeof *stage.lock)};
    (void)state;
    assert_int_equal(mproc_queue_create(&stage.queue, NULL), 0);
    assert_int_equal(mproc_lock_init(stage.lock), 0);
    assert_int_equal(mproc_lock_acquire(stage.lock, MPROC_SEC(20)), 0);
    cancel_in(&stage, get, put, 0);
    cancel_in(&stage, acquire, release, 0);
    release(&stage); /* the process has it */
    mproc_queue_free(stage.queue);
    mproc_free(stage.lock);
}

/* ---- pools ---- */

static int call(struct stage *stage)
{
    return mproc_pool_call(stage->pool, wait_at_gate, stage->gate, NULL, 0, NULL, 0, MPROC_FOREVER);
}

static int map(struct stage *stage)
{
    return mproc_pool_map(stage->pool, wait_at_gate, stage->gate, &(mproc_map){.count = 10}, MPROC_FOREVER);
}

static int run_on_all(struct stage *stage)
{
    return mproc_pool_run_on_all(stage->pool, wait_at_gate, stage->gate, &(mproc_map){.count = 0}, MPROC_FOREVER);
}

static int wait_for_future(struct stage *stage)
{
    return mproc_future_wait(stage->future, MPROC_FOREVER);
}

static int next_input(void *arg, void *in)
{
    struct stage *stage = arg;
    *(long *)in = stage->left;
    return stage->left-- > 0 ? 0 : MPROC_CLOSED;
}

static int next_result(struct stage *stage)
{
    return mproc_imap_next(stage->imap, NULL, NULL, MPROC_FOREVER);
}

static int join(struct stage *stage)
{
    return mproc_pool_join(stage->pool, MPROC_FOREVER);
}

static void open_gate(struct stage *stage)
{
    atomic_store(&stage->gate->open, true);
}

static void close_gate(struct stage *stage)
{
    atomic_store(&stage->gate->open, false);
}

/* The mutexes of a pool are asked for again and again: by looks at its server, for one. */
static void a_pool_goes_on(void **state)
{
    wait_function *const waits[] = {call, map, run_on_all};
    struct stage stage = {.pool = make_pool(2), .gate = make_gate(), .left = 3};
    (void)state;
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        close_gate(&stage);
        cancel_in(&stage, waits[i], open_gate, 0);
    }
    close_gate(&stage);
    stage.future = submit_at_gate(stage.pool, stage.gate);
    cancel_in(&stage, wait_for_future, open_gate, 0);
    mproc_future_free(stage.future);
    close_gate(&stage);
    const mproc_imap_options options = {.next = next_input, .arg = &stage, .in_size = sizeof(long)};
    assert_int_equal(mproc_pool_imap(stage.pool, &stage.imap, wait_at_gate, stage.gate, &options), 0);
    cancel_in(&stage, next_result, open_gate, 0);
    assert_int_equal(next_result(&stage), 0);
    mproc_imap_free(stage.imap);
    close_gate(&stage);
    stage.future = submit_at_gate(stage.pool, stage.gate);
    assert_int_equal(mproc_pool_close(stage.pool), 0);
    cancel_in(&stage, join, open_gate, 0);
    assert_int_equal(join(&stage), 0);
    mproc_future_free(stage.future);
    mproc_pool_free(stage.pool);
    mproc_free(stage.gate);
}

/* ---- processes and managers ---- */

static int sleep_at_gate(void *gate)
{
    return wait_at_gate(gate, NULL, NULL);
}

static int join_process(struct stage *stage)
{
    return mproc_process_join(stage->process, MPROC_FOREVER);
}

static void a_process_can_be_joined_again(void **state)
{
    struct stage stage = {.gate = make_gate()};
    (void)state;
    assert_int_equal(mproc_process_start(&stage.process, sleep_at_gate, stage.gate, NULL), 0);
    cancel_in(&stage, join_process, open_gate, 0);
    assert_int_equal(join_process(&stage), 0);
    mproc_process_free(stage.process);
    mproc_free(stage.gate);
}

static int get_remote(struct stage *stage)
{
    mproc_value value;
    int result = mproc_remote_get(stage->remote, &value, MPROC_FOREVER);
    if (result == 0)
        mproc_value_free(&value);
    return result;
}

static void put_remote(struct stage *stage)
{
    assert_int_equal(mproc_remote_put(stage->remote, mproc_int(1), MPROC_SEC(20)), 0);
}

static void a_proxy_goes_on(void **state)
{
    struct stage stage = {0};
    (void)state;
    assert_int_equal(mproc_manager_create(&stage.manager, NULL), 0);
    assert_int_equal(mproc_manager_remote(stage.manager, &stage.remote, MPROC_REMOTE_QUEUE, 0, NULL, MPROC_SEC(20)), 0);
    cancel_in(&stage, get_remote, put_remote, 0);
    put_remote(&stage);
    assert_int_equal(get_remote(&stage), 0);
    mproc_remote_free(stage.remote);
    mproc_manager_free(stage.manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_receiver_of_a_connection_takes_its_message),
        unit(a_listener_goes_on),
        unit(queues_and_locks_are_taken),
        unit(a_pool_goes_on),
        unit(a_process_can_be_joined_again),
        unit(a_proxy_goes_on),
    };
    pool_method = MPROC_START_FORK;
    return cmocka_run_group_tests(tests, make_first_pool, NULL);
}
