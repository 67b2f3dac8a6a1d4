/* Messages per second through a POSIX message queue, as deep as the system allows every user: see messages.h. */
#include "../messages.h"

#include <fcntl.h>
#include <mqueue.h>

static long deepest(void)
{
    FILE *file = fopen("/proc/sys/fs/mqueue/msg_max", "r");
    long depth = 10;

    if (file && fscanf(file, "%ld", &depth) != 1)
        depth = 10;
    if (file)
        fclose(file);
    return depth;
}

static mqd_t queue;

/* The name is gone again before the first message; the descriptor is inherited. */
static void *open_queue(size_t size)
{
    struct mq_attr attributes = {.mq_maxmsg = deepest(), .mq_msgsize = (long)size};
    char name[64];

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
    static const struct channel kind = {open_queue, put, get};

    return measure_messages(argc, argv, &kind);
}
