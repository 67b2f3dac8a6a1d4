/* Messages per second through a POSIX message queue, as deep as the system allows every user: see messages.h. */
#include "../messages.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>

/* What the system allows every user, or the preset where it does not say. */
static long queue_limit(const char *name, long preset)
{
    char path[64];
    long limit = preset;

    snprintf(path, sizeof path, "/proc/sys/fs/mqueue/%s", name);
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%ld", &limit) != 1)
        limit = preset;
    if (file)
        fclose(file);
    return limit;
}

static mqd_t queue;

/* The name is gone again before the first message; the descriptor is inherited. */
static void *open_queue(size_t size)
{
    struct mq_attr attributes = {.mq_maxmsg = queue_limit("msg_max", 10), .mq_msgsize = (long)size};
    char name[64];

    errno = EMSGSIZE;
    must(queue_limit("msgsize_max", 8192) >= (long)size, "/proc/sys/fs/mqueue/msgsize_max");
    snprintf(name, sizeof name, "/mproc-bench-%d", (int)getpid());
    queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
    must(queue != (mqd_t)-1, "mq_open");
    must(!mq_unlink(name), "mq_unlink");
    return &queue;
}

static void put(void *channel, const void *message, size_t size)
{
    (void)channel;
    must(!mq_send(queue, message, size, 0), "mq_send");
}

static void get(void *channel, void *message, size_t size)
{
    (void)channel;
    must(mq_receive(queue, message, size, NULL) == (ssize_t)size, "mq_receive");
}

int main(int argc, char **argv)
{
    static const struct channel kind = {open_queue, put, get, NULL};

    return measure_messages(argc, argv, &kind);
}
