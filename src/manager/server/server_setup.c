/* Setting up a server, as server_setup.h says, and mproc_manager_serve(). */
#include "manager/server/server_setup.h"

#include "crypto/mac.h"
#include "crypto/openssl.h"
#include "manager/server/server.h"
#include "manager/server/snapshot.h"
#include "os/allocate.h"
#include "os/descriptor.h"
#include "os/listen.h"
#include "os/random.h"
#include "process/authkey.h"
#include "util/failure.h"
#include "util/reserved.h"
#include <errno.h>
#include <mproc/log.h>
#include <stdio.h>
#include <string.h>

#define BACKLOG 1024

static int take_key(struct manager_address *way, const mproc_manager_options *options)
{
    way->key_size = options->key_size;
    if (!options->key && options->key_size)
        return failure(-EINVAL, "options.key is NULL, but options.key_size is not 0");
    if (!options->key)
        return mproc_authkey_get(way->key, sizeof way->key, &way->key_size);
    if (options->key_size == 0)
        return failure(-EINVAL, "options.key_size is 0");
    if (options->key_size > sizeof way->key)
        return failure(-EINVAL, "options.key_size is above %zu", sizeof way->key);
    memcpy(way->key, options->key, options->key_size);
    return 0;
}

static int64_t time_or(mproc_time time, nanoseconds otherwise)
{
    nanoseconds span = time.nanoseconds;
    return span == 0 ? otherwise : span == OS_USER_FOREVER ? OS_NEVER / 4 : span;
}

/* What is wrong with them, or NULL. */
static const char *wrong_options(const mproc_manager_options *options)
{
    if (!reserved_is_zero(options->reserved, sizeof options->reserved))
        return "a word of options.reserved is not 0";
    if (!os_option_is_valid(options->authentication_time))
        return "options.authentication_time is negative, or under 100 us: its unit is missing";
    if (!os_option_is_valid(options->stall_time))
        return "options.stall_time is negative, or under 100 us: its unit is missing";
    if (!os_option_is_valid(options->linger_time))
        return "options.linger_time is negative, or under 100 us: its unit is missing";
    if (!os_option_is_valid(options->save_interval))
        return "options.save_interval is negative, or under 100 us: its unit is missing";
    if (!os_option_is_valid(options->silence_time))
        return "options.silence_time is negative, or under 100 us: its unit is missing";
    if (options->save_interval.nanoseconds > 0 && !options->snapshot_file)
        return "options.save_interval needs an options.snapshot_file";
    return options->frame_most > INT64_MAX / 2 ? "options.frame_most is above INT64_MAX / 2" : NULL;
}

int server_plan_check(struct server_plan *plan, const char *address, const mproc_manager_options *options)
{
    static const mproc_manager_options defaults;

    options = options ? options : &defaults;
    const char *wrong = wrong_options(options);
    if (wrong)
        return failure(-EINVAL, "%s", wrong);
    memset(plan, 0, sizeof *plan);
    int result = manager_address_parse(&plan->way, address);
    if (!result)
        result = take_key(&plan->way, options);
    if (!result)
        result = snapshot_path(plan->snapshot_file, options->snapshot_file);
    plan->way.any_user = options->any_user;
    plan->way.silence_time = os_silence(options->silence_time);
    plan->frame_most = options->frame_most ? options->frame_most : WIRE_FRAME_MOST;
    plan->waiting_most = options->waiting_most ? options->waiting_most : 64;
    plan->authentication_time = time_or(options->authentication_time, OS_SEC(10));
    plan->stall_time = time_or(options->stall_time, OS_SEC(30));
    plan->linger_time = time_or(options->linger_time, OS_SEC(30));
    plan->save_interval = options->save_interval.nanoseconds > 0 ? options->save_interval.nanoseconds : 0;
    plan->stop_fd = options->stop_fd ? options->stop_fd : -1;
    return result ? result : os_openssl_load();
}

static void write_address(const struct server *server, char text[MPROC_ADDRESS_MAX])
{
    address_write(&server->endpoint.address, text);
    for (size_t i = 0; server->tls && i < strlen("tls"); i++)
        text[i] = "tls"[i]; /* instead of tcp */
}

static const char *cause_of(int result)
{
    const char *cause = failure_cause(failure_mark(), result);
    return cause ? cause : mproc_strerror(result);
}

static int set_up(struct server *server, const struct server_plan *plan)
{
    int result = endpoint_open(&server->endpoint, &plan->way.address, BACKLOG, plan->way.any_user);
    if (result)
        return result;
    result = server_open(server);
    if (!result && plan->snapshot_file[0]) {
        result = snapshot_start(server, plan->snapshot_file, plan->save_interval);
        if (result)
            os_close(server->epoll);
        if (result < 0)
            failure(result, "options.snapshot_file cannot be used: %s", cause_of(result));
    }
    if (result)
        endpoint_close(&server->endpoint);
    return result;
}

static struct server *make_server(const struct server_plan *plan)
{
    struct server *server = os_malloc(sizeof *server);
    if (!server)
        return NULL;
    memset(server, 0, sizeof *server);
    server->tls = plan->way.tls;
    server->key = plan->way.key;
    server->key_size = plan->way.key_size;
    server->limits =
        (struct server_limits){plan->frame_most,  plan->waiting_most,     plan->authentication_time, plan->stall_time,
                               plan->linger_time, plan->way.silence_time, plan->way.any_user};
    server->server_memory = plan->server_memory;
    server->stop = (struct stop){.fd = plan->stop_fd, .parent = -1};
    return server;
}

static int begin(struct server *server, const struct server_plan *plan)
{
    int result = os_random(server->instance, WIRE_IDENTITY);
    if (!result)
        result = os_openssl_load(); /* which a server that was spawned has not done */
    return result ? result : set_up(server, plan);
}

/* The signals are taken before there is anything that could be lost by them. */
int server_setup_run(const struct server_plan *plan, void (*ready)(void *arg, int result, const char *address),
                     void *arg)
{
    char address[MPROC_ADDRESS_MAX] = "";
    struct server *server = make_server(plan);
    if (!server) {
        ready(arg, -ENOMEM, address);
        return -ENOMEM;
    }
    if (plan->is_child)
        stop_adopt_process(&server->stop);
    else
        stop_take_signals(&server->stop);
    int result = begin(server, plan);
    if (!result) {
        write_address(server, address);
        mproc_log(MPROC_LOG_INFO, "manager: serving at %s", address);
    }
    ready(arg, result, address);
    if (!result) {
        result = server_loop(server);
        snapshot_stop(server);
        endpoint_close(&server->endpoint);
    }
    stop_release_signals();
    free(server);
    return result;
}

static void nobody_waits(void *arg, int result, const char *address)
{
    (void)arg;
    (void)result;
    (void)address;
}

/* A random key, which this family may have got by whatever it did before, is one that no other client could have. */
static bool has_key(const mproc_manager_options *options)
{
    return (options && options->key) || authkey_is_given();
}

int mproc_manager_serve(const char *address, const mproc_manager_options *options)
{
    unsigned before = failure_mark();
    if (!has_key(options))
        return refuse(__func__,
                      "options.key is NULL, and the family's key is a random one that nobody else has: give a "
                      "key, or call mproc_authkey_set() first");
    if (options && options->stop_fd < 0)
        return refuse(__func__, "options.stop_fd is negative");
    struct server_plan *plan = os_malloc(sizeof *plan);
    if (!plan)
        return retold(__func__, before, -ENOMEM);
    int result = server_plan_check(plan, address, options);
    if (!result)
        result = server_setup_run(plan, nobody_waits, NULL);
    mac_forget(plan, sizeof *plan);
    free(plan);
    return retold(__func__, before, result);
}
